"""Pure functions on tuples of integers: broadcasting, axes, strides, and the shapes that operations give.

Nothing here touches data. The functions are the shape rules of the operations and the source of the errors
that explain a wrong shape, so each says which sizes met and which would fit.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence

from .errors import message

Shape = tuple[int, ...]


class Size(tuple):
    """The shape of a tensor: a tuple that prints as PyTorch's and counts elements.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).shape
    torch.Size([2, 3])
    >>> torch.zeros(2, 3).shape.numel()
    6
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self)

    def __getitem__(self, index):
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other):
        return Size(tuple(other) + tuple(self))

    def __mul__(self, n):
        return Size(tuple.__mul__(self, n))

    __rmul__ = __mul__

    def __reduce__(self):
        return Size, (tuple(self),)


def as_shape(where: str, sizes: Sequence) -> Shape:
    """Read `f(2, 3)`, `f((2, 3))` and `f([2, 3])` alike: the sizes as one tuple of integers."""
    if len(sizes) == 1 and not hasattr(sizes[0], "__index__"):
        sizes = sizes[0]
    try:
        return tuple(map(operator.index, sizes))
    except TypeError:
        raise TypeError(message(f"{where}: sizes must be integers", got=repr(sizes), expected="e.g. (2, 3)")) from None


def check_sizes(where: str, sizes: Shape) -> Shape:
    """Refuse negative sizes."""
    for n in sizes:
        if n < 0:
            raise RuntimeError(message(f"{where}: a size is negative", got=list(sizes), expected="sizes of 0 or more"))
    return sizes


def axis(where: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front; a 0-d tensor answers to 0 and -1 as if it had one dimension."""
    n = ndim or 1
    try:
        found = operator.index(dim)
    except TypeError:
        raise TypeError(message(f"{where}: dim must be an integer", got=repr(dim))) from None
    if not -n <= found < n:
        text = message(
            f"{where}: dim is out of range for {ndim} dimensions", got=f"dim={dim}", expected=f"{-n} to {n - 1}"
        )
        raise IndexError(text)
    return found % n


def axes(where: str, dim: int | Iterable[int] | None, ndim: int) -> Shape | None:
    """The reduced axes, counted from the front; None and () mean all of them."""
    if dim is None:
        return None
    if hasattr(dim, "__index__"):
        return (axis(where, dim, ndim),)  # type: ignore[arg-type]
    if not isinstance(dim, Iterable):
        raise TypeError(message(f"{where}: dim must be an integer or several", got=repr(dim)))
    found = tuple(axis(where, d, ndim) for d in dim)  # type: ignore[union-attr]
    if len(set(found)) != len(found):
        raise RuntimeError(message(f"{where}: a dim is named twice", got=f"dim={tuple(dim)}"))  # type: ignore[arg-type]
    return found or None


def reduced(shape: Shape, over: Shape | None, keepdim: bool) -> Shape:
    """The shape after reducing `over` (None: everything)."""
    if over is None:
        return (1,) * len(shape) if keepdim else ()
    if keepdim:
        return tuple(1 if i in over else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in over)


def broadcast(where: str, *shapes: Shape) -> Shape:
    """The common shape of operands, sizes of 1 being stretched, compared from the last dimension."""
    ndim = max(map(len, shapes), default=0)
    out = [1] * ndim
    for shape in shapes:
        lead = ndim - len(shape)
        for i, n in enumerate(shape, lead):
            if n != 1 and out[i] not in (1, n):
                text = message(
                    f"{where}: sizes {out[i]} and {n} do not broadcast at dimension {i}",
                    got=" and ".join(str(tuple(s)) for s in shapes),
                    expected="equal sizes, or 1, in every dimension counted from the last",
                    fix="reshape, unsqueeze or expand one of them",
                )
                raise RuntimeError(text)
            if n != 1:
                out[i] = n
    return tuple(out)


def stretched(shape: Shape, wide: Shape) -> tuple[Shape, Shape]:
    """The axes of `wide`, which `shape` broadcasts to, that it has more in front, and those it has stretched."""
    lead = len(wide) - len(shape)
    return tuple(range(lead)), tuple([i for i, n in enumerate(shape, lead) if n == 1 and wide[i] != 1])


def strides(shape: Shape) -> Shape:
    """Row-major strides in elements (`tensor.stride()` of a contiguous tensor)."""
    found, step = [], 1
    for n in reversed(shape):
        found.append(step)
        step *= max(n, 1)
    return tuple(reversed(found))


def infer(where: str, sizes: Shape, numel: int) -> Shape:
    """Fill in the one size given as -1 so that `numel` elements fit."""
    unknown = [i for i, n in enumerate(sizes) if n == -1]
    known = math.prod(n for n in sizes if n != -1)
    if len(unknown) > 1:
        raise RuntimeError(message(f"{where}: only one size can be inferred", got=list(sizes)))
    if any(n < -1 for n in sizes):
        raise RuntimeError(
            message(f"{where}: a size is negative", got=list(sizes), expected="sizes of 0 or more, or one -1")
        )
    if unknown and known and numel % known == 0:
        return tuple(numel // known if n == -1 else n for n in sizes)
    if unknown and not known and numel == 0:
        raise RuntimeError(message(f"{where}: the size -1 is ambiguous for an empty tensor", got=list(sizes)))
    if unknown or known != numel:
        text = message(
            f"{where}: shape {list(sizes)} is invalid for an input of size {numel}",
            got=f"{numel} elements",
            expected=f"{'a multiple of ' if unknown else ''}{known} elements",
        )
        raise RuntimeError(text)
    return sizes


def matmul(where: str, x: Shape, y: Shape) -> Shape:
    """The shape of `x @ y`: vectors, matrices, and batches of matrices that broadcast."""
    if not x or not y:
        text = message(
            f"{where}: both operands need at least one dimension", got=f"{tuple(x)} @ {tuple(y)}", fix="use x * y"
        )
        raise RuntimeError(text)
    inner_y = y[-2] if len(y) > 1 else y[0]
    if x[-1] != inner_y:
        text = message(
            f"{where}: the inner sizes {x[-1]} and {inner_y} differ",
            got=f"{tuple(x)} @ {tuple(y)}",
            expected="(..., n, k) @ (..., k, m)",
            fix="transpose one operand (x.mT), or check the layer's in_features",
        )
        raise RuntimeError(text)
    batch = broadcast(where, x[:-2], y[:-2])
    return batch + x[-2:-1] + (y[-1:] if len(y) > 1 else ())
