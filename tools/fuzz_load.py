"""Loads files that were changed at random: each load must end in a value or in a clear error.

    python tools/fuzz_load.py [COUNT] [SEED]      100000 files by default; prints a summary, and the seed of a failure

What is watched, for every file: nothing is imported, executed or opened (Python's audit events); no more memory is
taken than the file accounts for; no load takes longer than a minute; errors are of the announced classes, with a text
of ours; tensors in a result lie within their memory. Half of the changes are made to the pickle stream inside a valid
archive, with checksums that are right, so that they reach the interpreter.
"""

from __future__ import annotations

import collections
import io
import random
import signal
import struct
import sys
import tracemalloc
import warnings
import zipfile
from pickle import UnpicklingError

import numpy as np

import tapegrad as torch
from tapegrad.errors import is_explained
from tapegrad.io import safetensors
from tapegrad.io.archive import ZipWriter

ALLOWED = (UnpicklingError, RuntimeError, EOFError, safetensors.SafetensorError)
FORBIDDEN = ("import", "exec", "compile", "open", "os.", "subprocess.", "socket.", "ctypes.", "pickle.", "shutil.")
BYTES_PER_BYTE, BYTES_FREE = 300, 4_000_000  # an empty set takes 216 bytes and is written in one
SECONDS = 60

OPCODES = bytes(range(0x80, 0x99)) + b"(.012FIJKLMNRSTUVXabcdeghijlopqrstu]}QGBC)"
NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**64 - 1)
GLOBALS = (
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"c__builtin__\ngetattr\n", b"csubprocess\nPopen\n", b"ctorch.nn\nLinear\n",
    b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"ctorch\nSize\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n", b"ccollections\nOrderedDict\n",
    b"c__builtin__\nset\n", b"c__builtin__\nbytearray\n", b"ctorch\nFloatStorage\n", b"ctorch\nint64\n",
    b"c_codecs\nencode\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n", b"ctorch._C\nGenerator\n", b"ccollections\ndefaultdict\n",
)  # fmt: skip


# ---- files to change -------------------------------------------------------------------------------------------------


def values() -> list[object]:
    """Values of every kind that files hold."""
    x = torch.arange(12.0).reshape(3, 4)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    plain = [1, -2, 2**40, 2**100, 1.5, "text", b"bytes", None, True, (1, (2,)), {3, "a"}, 1 + 2j, bytearray(b"x")]
    tensors = [
        torch.ones(3, dtype=getattr(torch, name)) for name in ("bool", "int8", "bfloat16", "uint32", "complex64")
    ]
    small = [
        torch.Size([2, 3]),
        torch.float16,
        torch.device("cpu"),
        torch.strided,
        torch.Generator(),
        range(3),
        slice(1),
    ]
    arrays = [np.arange(3.0), np.float32(2.5), np.ones((2, 2), np.int16)]
    attributed = torch.ones(2)
    attributed.note = "kept"
    named = collections.OrderedDict(a=collections.Counter("ab"), b=collections.defaultdict(list, {1: [2]}))
    return [
        model.state_dict(),
        optimizer.state_dict(),
        {"x": x, "t": x.t()[1:], "row": x[1], "empty": torch.zeros(0, 3), "scalar": torch.tensor(2)},
        [*plain, *small, {"nested": [plain, {"deep": [[[]]]}]}],
        [*tensors, torch.nn.Parameter(x), torch.nn.Buffer(torch.ones(1)), attributed, *arrays, named],
    ]


def samples() -> list[tuple[str, bytes]]:
    """Files of every format, each with the name of its loader."""
    found = []
    for value in values():
        for new in (True, False):
            file = io.BytesIO()
            torch.save(value, file, _use_new_zipfile_serialization=new)
            found.append(("load", file.getvalue()))
    tensors = {"a": torch.ones(2, 3), "b": torch.arange(4), "c": torch.ones(3, dtype=torch.bool)}
    found.append(("safetensors", safetensors.save(tensors, {"made": "here"})))
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, a=np.ones((2, 3)), b=np.arange(4, dtype=np.int16), c=np.asfortranarray(np.eye(3)))
        found.append(("npz", file.getvalue()))
    return found


LOADERS = {
    "load": lambda data: torch.load(io.BytesIO(data)),
    "weights": lambda data: torch.io.load_weights(io.BytesIO(data)),
    "safetensors": safetensors.load,
    "npz": lambda data: torch.io.load_npz(io.BytesIO(data)),
}

# ---- changes ---------------------------------------------------------------------------------------------------------


def changed(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """The bytes with one to four changes, each of a random kind."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(12)
        if kind == 0 and out:
            out[at - 1] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[at - 1] = rng.randrange(256)
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + rng.choice((1, 2, 4, 8, 64))]
        elif kind == 4:
            out[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8)))
        elif kind == 5:
            out[at : at + 1] = bytes([rng.choice(OPCODES)])
        elif kind == 6:
            out[at:at] = bytes([rng.choice(OPCODES)])
        elif kind == 7:
            width, code = rng.choice(((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q")))
            out[at : at + width] = struct.pack(code, rng.choice(NUMBERS) % 256**width)
        elif kind == 8:
            out[at:at] = rng.choice(GLOBALS)
        elif kind == 9:
            start = rng.randrange(len(out) + 1)
            out[at:at] = out[start : start + rng.randrange(200)]
        elif kind == 10:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            out[at : at + rng.randrange(200)] = other[start : start + rng.randrange(200)]
        else:
            start = out.find(b"c", at)
            end = out.find(b"\n", out.find(b"\n", start) + 1) + 1
            if start >= 0 and end > start:
                out[start:end] = rng.choice(GLOBALS)
    return bytes(out)


def changed_inside(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """A zip archive with one entry changed, and the checksums right again."""
    out = io.BytesIO()
    writer = ZipWriter(out)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    target = 0 if rng.random() < 0.9 else rng.randrange(len(entries))
    for i, (name, content) in enumerate(entries):
        writer.add(name, changed(rng, content, others) if i == target else content, align=True)
    writer.close()
    return out.getvalue()


# ---- watching --------------------------------------------------------------------------------------------------------

_events: list[str] | None = None


def _audit(event: str, args: tuple) -> None:
    if _events is not None and event.startswith(FORBIDDEN):
        _events.append(f"{event} {args!r:.200}")


def _too_long(*_: object) -> None:
    raise TimeoutError(f"a load took more than {SECONDS} s")


def check(loader: str, data: bytes) -> str:
    """Load one file; what came of it: "value" or the class of the error. AssertionError if it was not as it should."""
    global _events
    modules, start = set(sys.modules), tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    signal.alarm(SECONDS)
    _events = []
    try:
        value, outcome = LOADERS[loader](data), "value"
    except ALLOWED as error:
        assert is_explained(error), f"an error without explanation: {error!r}"
        value, outcome = None, type(error).__name__
    except ValueError as error:
        assert loader == "weights" and is_explained(error), f"{error!r}"
        value, outcome = None, "ValueError"
    finally:
        seen, _events = _events, None
        signal.alarm(0)
    taken = tracemalloc.get_traced_memory()[1] - start
    assert taken <= BYTES_PER_BYTE * len(data) + BYTES_FREE, f"{taken} bytes of memory for a file of {len(data)}"
    assert not seen, seen
    assert set(sys.modules) == modules, set(sys.modules) - modules
    look_at(value)
    return outcome


def look_at(value: object) -> None:
    """Every tensor in a result can be read."""
    pending, seen = [value], set()
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, torch.Tensor):
            if part.numel() < 100_000:
                repr(part)
                part.array.tobytes()
        elif isinstance(part, dict):
            pending.extend(part.values())
        elif isinstance(part, (list, tuple, set, frozenset)):
            pending.extend(part)


def run(count: int, seed: int = 0, progress: bool = False) -> collections.Counter:
    """Load `count` changed files; how often what came of it. AssertionError, naming the file, if one was not right."""
    if not getattr(run, "audited", False):
        sys.addaudithook(_audit)
        run.audited = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = samples()
    for loader, data in files:  # whatever is imported lazily is imported now
        LOADERS[loader](data)
    others = [data for _, data in files]
    outcomes: collections.Counter = collections.Counter()
    before = signal.signal(signal.SIGALRM, _too_long)
    tracemalloc.start(1)
    try:
        for n in range(count):
            i = seed * 1_000_000 + n
            rng = random.Random(i)
            loader, data = rng.choice(files)
            inside = data[:2] == b"PK" and loader == "load" and rng.random() < 0.8
            data = (changed_inside if inside else changed)(rng, data, others)
            if loader == "load" and rng.random() < 0.2:
                loader = "weights"
            try:
                outcomes[f"{loader}: {check(loader, data)}"] += 1
            except BaseException as error:
                raise AssertionError(f"file number {i} ({loader}): {error!r}") from error
            if progress and (n + 1) % 10_000 == 0:
                print(f"{n + 1:,} files", flush=True)
    finally:
        tracemalloc.stop()
        signal.signal(signal.SIGALRM, before)
    return outcomes


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    result = run(arguments[0] if arguments else 100_000, arguments[1] if len(arguments) > 1 else 0, progress=True)
    for outcome, times in sorted(result.items()):
        print(f"{outcome:36s} {times:8,d}")
