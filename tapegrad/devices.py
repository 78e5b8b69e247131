"""Where and how a tensor lies in memory: device, layout, memory format.

Only the CPU exists for now; the names of the other devices are known so that a program which asks for one
is told that it is absent instead of being told that the name is wrong.
"""

from __future__ import annotations

from .errors import message

KNOWN = ("cpu", "cuda", "mps", "xpu", "meta", "hpu", "xla", "vulkan", "mtia", "ipu", "privateuseone")


class device:
    """A place where tensors live: a type and, for devices of which there are several, an index.

    Args:
        type: a device string such as ``"cpu"`` or ``"cuda:1"``, or another device.
        index: the ordinal of the device, if it is not part of the string.

    Raises:
        RuntimeError: the string names no known kind of device.

    >>> import tapegrad as torch
    >>> torch.device("cpu")
    device(type='cpu')
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str | device, index: int | None = None):
        if isinstance(type, device):
            type, index = str(type), None
        if not isinstance(type, str):
            raise TypeError(message("device: the type must be a string", got=repr(type), expected="'cpu'"))
        name, colon, ordinal = type.partition(":")
        if name not in KNOWN or (colon and not ordinal.isdigit()):
            raise RuntimeError(
                message("device: not a device string", got=repr(type), expected=f"one of {', '.join(KNOWN)}")
            )
        if colon and index is not None:
            raise RuntimeError(message("device: the index is given twice", got=f"{type!r} and index={index}"))
        self.type = name
        self.index = int(ordinal) if colon else index

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self):
        return device, (self.type, self.index)


CPU = device("cpu")


def check_device(where: str, asked: str | device | int | None) -> device:
    """Return the CPU device, or say which device is missing."""
    if asked is None or asked == "cpu" or asked is CPU:
        return CPU
    found = device("cuda", asked) if isinstance(asked, int) else device(asked)
    if found.type != "cpu":
        text = message(
            f"{where}: tapegrad computes on the CPU only", got=f"device {str(found)!r}", fix="use device='cpu'"
        )
        raise RuntimeError(text)
    return found


class _Named:
    """A constant that prints as its public name."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self):
        return self.name


class layout(_Named):
    """How the elements are stored; every tensor here is ``strided``, other layouts are refused."""


class memory_format(_Named):
    """The order of dimensions in memory that a copying operation is asked for."""


strided = layout("strided")
sparse_coo = layout("sparse_coo")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
