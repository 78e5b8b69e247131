"""Padding layers: cells around the last one, two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.tensor import Tensor
from . import functional as F
from .convolution import each
from .module import Module


class _PadNd(Module):
    """Adds cells around the last `rank` dimensions."""

    rank: int
    mode: str

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = each(padding, 2 * self.rank)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


# ---- a number --------------------------------------------------------------------------------------------------------


class _ConstantPadNd(_PadNd):
    """Adds cells of one value."""

    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Adds cells of one value before and after the last dimension.

    Args:
        padding: how many before and after, or one number for both; negative numbers cut off.
        value: what is in them.

    >>> import tapegrad as torch
    >>> torch.nn.ConstantPad1d((1, 2), 7.0)(torch.tensor([[1.0, 2.0]]))
    tensor([[7., 1., 2., 7., 7.]])
    """

    rank = 1


class ConstantPad2d(_ConstantPadNd):
    """`ConstantPad1d` for the last two dimensions: `padding` is (left, right, top, bottom), or one number."""

    rank = 2


class ConstantPad3d(_ConstantPadNd):
    """`ConstantPad1d` for the last three dimensions: `padding` is (left, right, top, bottom, front, back), or one
    number.
    """

    rank = 3


class _ZeroPadNd(_ConstantPadNd):
    """Adds zeros."""

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPadNd):
    """Adds zeros before and after the last dimension.

    Args:
        padding: how many before and after, or one number for both.
    """

    rank = 1


class ZeroPad2d(_ZeroPadNd):
    """`ZeroPad1d` for the last two dimensions: `padding` is (left, right, top, bottom), or one number."""

    rank = 2


class ZeroPad3d(_ZeroPadNd):
    """`ZeroPad1d` for the last three dimensions: `padding` is (left, right, top, bottom, front, back), or one
    number.
    """

    rank = 3


# ---- what is there already -------------------------------------------------------------------------------------------


class ReflectionPad1d(_PadNd):
    """Mirrors (N, C, L) or (C, L) at its first and last element.

    Args:
        padding: how many cells before and after, or one number for both; less than L.

    >>> import tapegrad as torch
    >>> torch.nn.ReflectionPad1d(2)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    rank = 1
    mode = "reflect"


class ReflectionPad2d(_PadNd):
    """`ReflectionPad1d` of (N, C, H, W) or (C, H, W): `padding` is (left, right, top, bottom), or one number."""

    rank = 2
    mode = "reflect"


class ReflectionPad3d(_PadNd):
    """`ReflectionPad1d` of (N, C, D, H, W) or (C, D, H, W): `padding` is (left, right, top, bottom, front, back), or
    one number.
    """

    rank = 3
    mode = "reflect"


class ReplicationPad1d(_PadNd):
    """Repeats the first and the last element of (N, C, L) or (C, L).

    Args:
        padding: how many cells before and after, or one number for both.

    >>> import tapegrad as torch
    >>> torch.nn.ReplicationPad1d((2, 1))(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 1., 2., 3., 3.]])
    """

    rank = 1
    mode = "replicate"


class ReplicationPad2d(_PadNd):
    """`ReplicationPad1d` of (N, C, H, W) or (C, H, W): `padding` is (left, right, top, bottom), or one number."""

    rank = 2
    mode = "replicate"


class ReplicationPad3d(_PadNd):
    """`ReplicationPad1d` of (N, C, D, H, W) or (C, D, H, W): `padding` is (left, right, top, bottom, front, back), or
    one number.
    """

    rank = 3
    mode = "replicate"


class CircularPad1d(_PadNd):
    """Continues (N, C, L) or (C, L) as a ring.

    Args:
        padding: how many cells before and after, or one number for both; L at most.

    >>> import tapegrad as torch
    >>> torch.nn.CircularPad1d((1, 2))(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1., 2.]])
    """

    rank = 1
    mode = "circular"


class CircularPad2d(_PadNd):
    """`CircularPad1d` of (N, C, H, W) or (C, H, W): `padding` is (left, right, top, bottom), or one number."""

    rank = 2
    mode = "circular"


class CircularPad3d(_PadNd):
    """`CircularPad1d` of (N, C, D, H, W) or (C, D, H, W): `padding` is (left, right, top, bottom, front, back), or one
    number.
    """

    rank = 3
    mode = "circular"
