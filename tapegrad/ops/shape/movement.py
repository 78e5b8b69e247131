"""Views: the same memory under another shape. Nothing here copies, except a `reshape` that must.

The invariant: whatever PyTorch returns as a view shares memory here as well, so writing to it writes to its base
(Note [Views] in `core/views`). A derivative of a view is a view of the gradient (another shape), or zeros with the
gradient written into the window that the view showed (`*_backward`), which in turn has the view as its derivative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...backends.cpu import index as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message

__all__ = """
    reshape flatten unflatten permute transpose swapaxes swapdims t adjoint movedim moveaxis squeeze unsqueeze
    broadcast_to
""".split()


# ---- the same elements in the same order -----------------------------------------------------------------------------


@op(view=True, name="view")
def view_as_shape(x: Array, size):
    """The memory of `x` with another shape."""
    found = x.reshape(size)
    if found.shape != size:
        shapes.infer("view", tuple(size), x.size)
    if not x.flags.c_contiguous and not kernels.shares(found, x):
        text = message(
            f"view: the strides do not allow the shape {list(size)} without copying",
            got=f"shape {x.shape}, strides {tuple(s // x.itemsize for s in x.strides)}",
            fix="use .reshape(...), which copies where it must",
        )
        raise RuntimeError(text)
    return found


@view_as_shape.shape
def _(x, size):
    return shapes.infer("view", tuple(size), math.prod(x))


@view_as_shape.grad
def _(g, x_shape):
    return reshape(g, x_shape)


reshape_alias = op(view_as_shape.op.body, view=True, name="_reshape_alias", node="ReshapeAliasBackward0")
reshape_alias.shape(view_as_shape.op.shape_rule)


@reshape_alias.grad
def _(g, x_shape):
    return reshape(g, x_shape)


@op(name="_unsafe_view", node="UnsafeViewBackward0")
def reshape_copy(x: Array, size):
    """A row-major copy of `x` with another shape."""
    found = x.reshape(size)
    return found if not kernels.shares(found, x) else found.copy()


@reshape_copy.shape
def _(x, size):
    return shapes.infer("reshape", tuple(size), math.prod(x))


@reshape_copy.grad
def _(g, x_shape):
    return reshape(g, x_shape)


@op(view=True, name="view_dtype", nondiff=True)
def view_as_dtype(x: Array, dtype):
    """The bytes of `x` read as another element type; the last dimension grows or shrinks with the elements."""
    have, want = x.itemsize, dtype.numpy.itemsize
    if have != want and (x.ndim == 0 or x.strides[-1] != have or (want > have and x.shape[-1] * have % want)):
        text = message(
            f"view: elements of {have} bytes cannot be read as elements of {want} bytes here",
            got=f"shape {x.shape}",
            expected="a last dimension that is contiguous and whose bytes make whole elements",
        )
        raise RuntimeError(text)
    return x.view(dtype.numpy)


def view(self: Tensor, *sizes: Any, size: Any = None, dtype: Any = None) -> Tensor:
    """The same memory with another shape, or read as another dtype.

    Args:
        sizes: integers or one tuple (`size`); one of them may be -1 and is computed. Or a dtype.

    Raises:
        RuntimeError: the number of elements differs, or the strides do not allow it without copying.

    >>> import tapegrad as torch
    >>> x = torch.arange(6)
    >>> x.view(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if len(sizes) == 1 and sizes[0].__class__ is not int:
        if sizes[0].__class__ is dtypes.dtype:
            return view_as_dtype(self, sizes[0])
        sizes = shapes.as_shape("view", sizes)
    elif not sizes and (dtype is not None or size is not None):
        return view_as_dtype(self, dtype) if size is None else view_as_shape(self, shapes.as_shape("view", (size,)))
    return view_as_shape(self, sizes)


def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The elements in row-major order with another shape: a view where the strides allow it, else a copy.

    Args:
        input: any shape.
        sizes: integers or one tuple (`shape`); one of them may be -1 and is computed.

    Raises:
        RuntimeError: the number of elements differs.

    >>> import tapegrad as torch
    >>> torch.arange(4).reshape(2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    if shape is None:
        shape = sizes
    if len(shape) == 1 and shape[0].__class__ is not int:
        shape = shapes.as_shape("reshape", shape)
    elif shape is not sizes:
        shape = shapes.as_shape("reshape", (shape,))
    try:
        array = input.array
    except AttributeError:  # an array, or a number that stands for one without dimensions
        return np.reshape(input, shape)  # type: ignore[return-value]
    if array.flags.c_contiguous:
        return view_as_shape(input, shape)
    return reshape_alias(input, shape) if _viewable(array, shape) else reshape_copy(input, shape)


def _viewable(array: np.ndarray, shape: Any) -> bool:
    """Whether the strides allow the shape without copying."""
    try:
        return kernels.shares(array.reshape(shape), array)
    except ValueError:
        return False  # the operation explains


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.view(other.shape)`.

    >>> import tapegrad as torch
    >>> torch.arange(4).view_as(torch.zeros(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return view_as_shape(self, other.array.shape)


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.reshape(other.shape)`.

    >>> import tapegrad as torch
    >>> torch.arange(4).reshape_as(torch.zeros(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return reshape(self, other.array.shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Join the dimensions from `start_dim` to `end_dim` into one.

    Raises:
        RuntimeError: `start_dim` comes after `end_dim`.
        IndexError: there is no such dimension.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3, 4).flatten(1).shape
    torch.Size([2, 12])
    """
    shape = input.shape
    n = len(shape)
    start, end = shapes.axis("flatten", start_dim, n), shapes.axis("flatten", end_dim, n)
    if start > end:
        raise RuntimeError(message("flatten: start_dim comes after end_dim", got=f"{start_dim} and {end_dim}"))
    if n == 0:
        return reshape(input, (1,))
    if start == end:
        return input
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Split one dimension into several of the given sizes (one may be -1); the opposite of `flatten`.

    Raises:
        RuntimeError: the product of the sizes is not the size of the dimension.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 12).unflatten(1, (3, -1)).shape
    torch.Size([2, 3, 4])
    """
    shape = input.shape
    dim = shapes.axis("unflatten", dim, len(shape))
    sizes = shapes.as_shape("unflatten", (sizes,))
    if not sizes:
        raise RuntimeError(message("unflatten: sizes must not be empty"))
    if not shape:
        raise IndexError(message("unflatten: a 0-d tensor has no dimension to split"))
    sizes = shapes.infer("unflatten", sizes, shape[dim])
    return view(input, (*shape[:dim], *sizes, *shape[dim + 1 :]))


@op(view=True)
def alias(x: Array):
    """The same memory and the same shape."""
    return x


@alias.shape
def _(x):
    return x


@alias.grad
def _(g):
    return g


# ---- dimensions in another order -------------------------------------------------------------------------------------


@op(view=True, name="permute")
def permute_dims(x: Array, dims):
    """Dimensions in the order `dims`."""
    return x.transpose(dims)


@permute_dims.shape
def _(x, dims):
    if len(dims) != len(x):
        raise RuntimeError(
            message("permute: one number for each dimension", got=f"dims={list(dims)} of {len(x)} dimensions")
        )
    over = shapes.axes("permute", dims, len(x)) or ()
    return tuple(x[d] for d in over)


@permute_dims.grad
def _(g, dims):
    n = len(dims)
    inverse = [0] * n
    for i, d in enumerate(dims):
        inverse[d % n] = i
    return permute_dims(g, tuple(inverse))


def permute(input: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """Dimensions in another order: dimension i of the result is `order[i]` of the input.

    Args:
        order: integers or one tuple (`dims`).

    Raises:
        RuntimeError: not each dimension is named once.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3, 4).permute(2, 0, 1).shape
    torch.Size([4, 2, 3])
    """
    if dims is not None or len(order) <= 1:
        if dims is None and not order:
            raise TypeError(message("permute: needs the dimensions in their new order", got="nothing"))
        order = shapes.as_shape("permute", order if dims is None else (dims,))
    return permute_dims(input, order)


@op(view=True)
def transpose(x: Array, dim0, dim1):
    """Two dimensions exchanged.

    Raises:
        IndexError: there is no such dimension.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3, 4).transpose(0, 2).shape
    torch.Size([4, 3, 2])
    """
    if x.ndim == 0:
        shapes.axis("transpose", dim0, 0), shapes.axis("transpose", dim1, 0)
        return x
    return x.swapaxes(dim0, dim1)


@transpose.shape
def _(x, dim0, dim1):
    found, a, b = list(x), shapes.axis("transpose", dim0, len(x)), shapes.axis("transpose", dim1, len(x))
    if found:
        found[a], found[b] = found[b], found[a]
    return tuple(found)


@transpose.grad
def _(g, dim0, dim1):
    return transpose(g, dim0, dim1)


@op(view=True, method=True)
def t(x: Array):
    """The transpose of a matrix; vectors and 0-d tensors stay as they are.

    Raises:
        RuntimeError: there are more than two dimensions.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).t().shape
    torch.Size([3, 2])
    """
    if x.ndim > 2:
        text = message("t: at most two dimensions", got=f"shape {x.shape}", fix="use .transpose(dim0, dim1) or .mT")
        raise RuntimeError(text)
    return x.T


@t.shape
def _(x):
    return x[::-1]


@t.grad
def _(g):
    return t(g)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose` under NumPy's name.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).swapaxes(0, 1).shape
    torch.Size([3, 2])
    """
    return transpose(input, axis0, axis1)


def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """`transpose` under another name.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).swapdims(0, 1).shape
    torch.Size([3, 2])
    """
    return transpose(input, dim0, dim1)


def adjoint(input: Tensor) -> Tensor:
    """The conjugate transpose of the last two dimensions.

    >>> import tapegrad as torch
    >>> torch.zeros(5, 2, 3).adjoint().shape
    torch.Size([5, 3, 2])
    """
    if input.ndim == 0:
        return input
    if input.ndim < 2:
        raise RuntimeError(message("adjoint: at least two dimensions", got=f"shape {tuple(input.shape)}"))
    found = transpose(input, -2, -1)
    return found.conj() if input.is_complex() else found


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move dimensions to other places; the rest keep their order.

    Raises:
        RuntimeError: `source` and `destination` have different lengths or name a dimension twice.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3, 4).movedim(0, -1).shape
    torch.Size([3, 4, 2])
    """
    n = input.ndim
    old = shapes.axes("movedim", source, n) or ()
    new = shapes.axes("movedim", destination, n) or ()
    if len(old) != len(new):
        raise RuntimeError(message("movedim: as many destinations as sources", got=f"{source} and {destination}"))
    if n == 0:
        return alias(input)
    order = [d for d in range(n) if d not in old]
    for to, d in sorted(zip(new, old)):
        order.insert(to, d)
    return permute_dims(input, tuple(order))


def _T(self: Tensor) -> Tensor:
    """The dimensions in reverse order.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).T.shape
    torch.Size([3, 2])
    """
    return permute_dims(self, tuple(range(self.array.ndim))[::-1])


def _mT(self: Tensor) -> Tensor:
    """The last two dimensions exchanged.

    >>> import tapegrad as torch
    >>> torch.zeros(5, 2, 3).mT.shape
    torch.Size([5, 3, 2])
    """
    if self.array.ndim == 0:
        return self
    if self.array.ndim < 2:
        raise RuntimeError(message("mT: at least two dimensions", got=f"shape {self.array.shape}"))
    return transpose(self, -2, -1)


def _H(self: Tensor) -> Tensor:
    """The conjugate transpose of a matrix.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).H.shape
    torch.Size([3, 2])
    """
    if self.array.ndim not in (0, 2):
        raise RuntimeError(
            message("H: a matrix", got=f"shape {self.array.shape}", fix="use .mH for batches of matrices")
        )
    return self if self.array.ndim == 0 else adjoint(self)


# ---- sizes of one ----------------------------------------------------------------------------------------------------


def _squeezed(shape: tuple[int, ...], dim: Any) -> tuple[int, ...]:
    if dim is None:
        return tuple(n for n in shape if n != 1)
    over = shapes.axes("squeeze", dim, len(shape)) or ()
    return tuple(n for i, n in enumerate(shape) if n != 1 or i not in over)


def squeeze_name(node: Any, first: int = 0) -> str:
    dim = node.op.attributes(*node.attrs)[0]
    return f"SqueezeBackward{first + (0 if dim is None else 1 if isinstance(dim, int) else 2)}"


@op(view=True, method=True, node=squeeze_name)
def squeeze(x: Array, dim=None):
    """Drop dimensions of size 1: all of them, or those named by `dim` (others are left alone).

    >>> import tapegrad as torch
    >>> torch.zeros(2, 1, 3, 1).squeeze(1).shape
    torch.Size([2, 3, 1])
    """
    return x.reshape(_squeezed(x.shape, dim))


@squeeze.shape
def _(x, dim=None):
    return _squeezed(x, dim)


@squeeze.grad
def _(g, x_shape):
    return reshape(g, x_shape)


@op(view=True, method=True)
def unsqueeze(x: Array, dim):
    """Insert a dimension of size 1 at `dim`.

    Raises:
        IndexError: `dim` is not between `-ndim - 1` and `ndim`.

    >>> import tapegrad as torch
    >>> torch.zeros(2, 3).unsqueeze(1).shape
    torch.Size([2, 1, 3])
    """
    shape = x.shape
    dim = shapes.axis("unsqueeze", dim, len(shape) + 1)
    return x.reshape((*shape[:dim], 1, *shape[dim:]))


@unsqueeze.shape
def _(x, dim):
    dim = shapes.axis("unsqueeze", dim, len(x) + 1)
    return (*x[:dim], 1, *x[dim:])


@unsqueeze.grad
def _(g, x_shape):
    return reshape(g, x_shape)


# ---- broadcasting ----------------------------------------------------------------------------------------------------


@op(view=True, name="expand")
def expand_to(x: Array, size):
    """`x` repeated along dimensions of size 1 and new leading ones, without copying."""
    return kernels.expand(x, _expanded(x.shape, size))


def _expanded(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, ...]:
    lead = len(size) - len(shape)
    if lead < 0:
        text = message("expand: fewer sizes than dimensions", got=f"{tuple(size)} for a tensor of shape {tuple(shape)}")
        raise RuntimeError(text)
    found = list(size)
    for i, n in enumerate(size):
        have = shape[i - lead] if i >= lead else None
        if n == have:
            continue
        if n == -1 and have is not None:
            found[i] = have
        elif n < 0 or (have is not None and have != 1):
            text = message(
                f"expand: size {n} does not fit at dimension {i}",
                got=f"{tuple(size)} for a tensor of shape {tuple(shape)}",
                expected="equal sizes, -1, or a dimension of size 1 to stretch",
            )
            raise RuntimeError(text)
    return tuple(found)


@expand_to.shape
def _(x, size):
    return _expanded(x, size)


@expand_to.grad
def _(g):
    return g  # the engine undoes broadcasting


def expand(self: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """Repeat along dimensions of size 1 without copying: a view in which these have stride 0.

    Args:
        sizes: the sizes, as integers or one tuple; -1 keeps a size; new dimensions come first.

    Raises:
        RuntimeError: a dimension that is not of size 1 would change.

    >>> import tapegrad as torch
    >>> torch.tensor([[1], [2]]).expand(2, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    return expand_to(self, shapes.as_shape("expand", sizes if size is None else (size,)))


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """`self.expand(other.shape)`.

    >>> import tapegrad as torch
    >>> torch.tensor([1, 2]).expand_as(torch.zeros(2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand_to(self, other.array.shape)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """`input.expand(size)`.

    >>> import tapegrad as torch
    >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand_to(input, shapes.as_shape("broadcast_to", (size,)))


for _function in (
    view, view_as, reshape, reshape_as, flatten, unflatten, permute, transpose, swapaxes, swapdims, adjoint, movedim,
    expand, expand_as, broadcast_to,
):  # fmt: skip
    setattr(Tensor, _function.__name__, _function)
moveaxis = Tensor.moveaxis = movedim  # type: ignore[attr-defined]
Tensor.T = property(_T)  # type: ignore[attr-defined]
Tensor.mT = property(_mT)  # type: ignore[attr-defined]
Tensor.H = property(_H)  # type: ignore[attr-defined]
Tensor.mH = property(adjoint)  # type: ignore[attr-defined]
