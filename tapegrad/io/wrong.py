"""What a file is that `torch.load` cannot read: one sentence with the cause, and the way out."""

from __future__ import annotations

import io
import struct
from pickle import UnpicklingError

from ..errors import message

_AGAIN = "get the file again"
_FROM = "get the file itself, not the page about it (on GitHub the raw file, on Hugging Face .../resolve/...)"
_UNPACK = "unpack it first, and load the file inside"

# How files begin, what they are, and what to do.
_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer: the place of the file in a repository", "run `git lfs pull`"),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"\x93NUMPY", "an array of NumPy (.npy)", "torch.from_numpy(numpy.load(file))"),
    (b"\x89HDF\r\n", "an HDF5 file (Keras saves them)", "read it with h5py, and save its arrays with torch.save"),
    (b"GGUF", "a GGUF file (llama.cpp)", "get the weights as safetensors, and use tapegrad.io.safetensors.load_file"),
    (b"\x89PNG", "an image (PNG)", _AGAIN),
    (b"\xff\xd8\xff", "an image (JPEG)", _AGAIN),
)
_ONNX_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)  # what follows the version: producer, domain, graph, opset


def explanation(head: bytes, name: str, writer: str = "torch.save") -> Exception:
    """The error for a file that begins with `head` and was not written by `writer`."""
    what, fix = _kind(head)
    kind = EOFError if not head else UnpicklingError
    return kind(message(f"load: {name} is {what}, not a file of {writer}", fix=fix))


def _kind(head: bytes) -> tuple[str, str]:
    if not head:
        return "empty", "get the file again: the download or the save did not finish"
    for beginning, what, fix in _BEGINNINGS:
        if head.startswith(beginning):
            return what, fix
    start = head[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        return "a web page (HTML)", _FROM
    if len(head) > 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < 100_000_000:
        return "a safetensors file", "tapegrad.io.safetensors.load_file(file)"
    if start.startswith((b"{", b"[")):
        return "text (JSON)", "look into it: it may be the answer of a server that refused the download"
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    if head[0] == 0x08 and len(head) > 2 and 1 <= head[1] < 0x20 and head[2] in _ONNX_FIELDS:
        return "an ONNX model", "export the weights with torch.save(model.state_dict(), file) where it was made"
    if head[0] == 0x80 and len(head) > 1 and 1 <= head[1] <= 5:
        return "a file of Python's pickle", "load it with pickle where you trust it, and save the value with torch.save"
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head[:200]):
        return f"text (it begins with {head[:40].decode('latin-1')!r})", _AGAIN
    return f"of an unknown kind (it begins with {head[:8]!r})", _AGAIN


def wrong_archive(names: list[str], name: str) -> Exception:
    """The error for a zip archive that `torch.save` did not write."""
    if any(entry.endswith("/constants.pkl") or "/code/" in entry for entry in names):
        what = "a TorchScript program (torch.jit.save)"
        fix = "load it in PyTorch, and save module.state_dict() with torch.save"
    elif names and all(entry.endswith(".npy") for entry in names):
        what, fix = "an archive of NumPy arrays (.npz)", "tapegrad.io.load_npz(file)"
    elif any(entry.endswith("data.pkl") for entry in names):
        what, fix = "an archive in which a file of torch.save was packed, or several", _UNPACK
    else:
        what = "a zip archive of other files"
        fix = _UNPACK
    return UnpicklingError(message(f"load: {name} is {what}, not a file of torch.save", fix=fix))


def described(f: object) -> str:
    """How a file is called in an error: its path, or what kind of object it is."""
    if isinstance(f, str):
        return f
    if hasattr(f, "__fspath__"):
        return str(f)
    name = getattr(f, "name", None)
    return name if isinstance(name, str) else "the file" if not isinstance(f, io.BytesIO) else "the data"
