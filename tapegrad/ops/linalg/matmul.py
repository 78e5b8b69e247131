"""Products of matrices: `matmul` for every rank, its special cases, `linear`, and the `add...` forms.

One rule of calculus serves all: for out = x @ y, the gradients are g @ y^H and x^H @ g, where a vector counts as a
matrix of one row (x) or one column (y). A matrix that multiplied a whole stack gets the sum over the stack from one
product of tall matrices.
"""

from __future__ import annotations

import math
from typing import Any

from ... import shapes
from ...backends.cpu import gemm
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..casting import lower

__all__ = [
    "matmul", "mm", "bmm", "mv", "dot", "vdot", "linear", "addmm", "addmv", "addbmm", "baddbmm", "addr",
]  # fmt: skip


# ---- the rule ----------------------------------------------------------------------------------------------------


def adjoint(a: Any) -> Any:
    """The conjugate transpose of (stacks of) matrices."""
    kind = getattr(a.dtype, "kind", None)
    return a.conj().mT if kind == "c" or getattr(a.dtype, "is_complex", False) else a.mT


def conjugate(a: Any) -> Any:
    """The complex conjugate; itself, if real."""
    kind = getattr(a.dtype, "kind", None)
    return a.conj() if kind == "c" or getattr(a.dtype, "is_complex", False) else a


def product(a: Any, b: Any) -> Any:
    """`matmul` as formulas call it: arrays go to the kernel without detour."""
    return gemm.matmul(a, b) if a.__class__ is Array else matmul(a, b)


def grad_left(g: Any, y: Any, x_shape: tuple[int, ...]) -> Any:
    """The gradient of `x @ y` with respect to x (not yet summed over stretched dimensions)."""
    if y.ndim == 1:
        g, y = g.reshape((*g.shape, 1)), y.reshape((-1, 1))
    if len(x_shape) == 1:
        found = product(g.reshape((*g.shape[:-1], 1, g.shape[-1])), adjoint(y))  # (..., 1, k)
        return found.reshape((*found.shape[:-2], x_shape[0]))
    return product(g, adjoint(y))


def grad_right(g: Any, x: Any, y_shape: tuple[int, ...]) -> Any:
    """The gradient of `x @ y` with respect to y (not yet summed over stretched dimensions)."""
    if len(y_shape) == 1:
        g = g.reshape((*g.shape, 1))
    if x.ndim == 1:
        g, x = g.reshape((*g.shape[:-1], 1, g.shape[-1])), x.reshape((1, -1))
    if len(y_shape) <= 2 and x.ndim > 2:  # one product instead of a stack of them that is summed afterwards
        count = math.prod(x.shape[:-1])
        x, g = x.reshape((count, x.shape[-1])), g.reshape((count, g.shape[-1]))
    found = product(adjoint(x), g)
    return found.reshape(y_shape) if len(y_shape) == 1 else found


# ---- products ----------------------------------------------------------------------------------------------------


def _matmul_name(node: Any) -> str:
    """PyTorch builds `matmul` of these."""
    x, y = map(len, node.shapes)
    if x <= 2 and y <= 2:
        return {(1, 1): "DotBackward0", (2, 1): "MvBackward0", (1, 2): "SqueezeBackward4"}.get((x, y), "MmBackward0")
    return "CloneBackward0" if x == 2 else "UnsafeViewBackward0"


@lower
@op(method=True, node=_matmul_name)
def matmul(x: Array, y: Array):
    """The matrix product `x @ y`.

    Args:
        x: (..., n, k), or a vector (k,).
        y: (..., k, m), or a vector (k,). The dimensions before the last two broadcast.

    Returns:
        (..., n, m), without n or m where that operand is a vector.

    Raises:
        RuntimeError: the inner sizes or the dtypes differ, or an operand has no dimensions.

    >>> import tapegrad as torch
    >>> torch.matmul(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if x.dtype is not y.dtype or x.dtype.kind == "b":
        gemm.check_types("matmul", x, y)
    return gemm.matmul(x, y)


@matmul.grad("x")
def _(g, y, x_shape, y_shape):
    return grad_left(g, y, x_shape)


@matmul.grad("y")
def _(g, x, y_shape):
    return grad_right(g, x, y_shape)


@matmul.shape
def _(x, y):
    return shapes.matmul("matmul", x, y)


def _ranks(where: str, x: tuple[int, ...], y: tuple[int, ...], expected: tuple[int, int]) -> None:
    if (len(x), len(y)) != expected:
        text = message(
            f"{where}: wrong numbers of dimensions", got=f"{tuple(x)} and {tuple(y)}", expected=f"{expected}"
        )
        raise RuntimeError(text)


def _check(where: str, x: Array, y: Array, rx: int, ry: int) -> None:
    if x.ndim != rx or y.ndim != ry:
        _ranks(where, x.shape, y.shape, (rx, ry))
    if x.dtype is not y.dtype or x.dtype.kind == "b":
        gemm.check_types(where, x, y)


def _stacks(where: str, x: Array, y: Array) -> None:
    if x.ndim == y.ndim == 3 and x.shape[0] != y.shape[0]:
        text = message(f"{where}: the numbers of matrices differ", got=f"{x.shape} and {y.shape}", fix="use matmul")
        raise RuntimeError(text)
    _check(where, x, y, 3, 3)


def _checked(where: str, x: Array, y: Array, rx: int, ry: int) -> Array:
    _check(where, x, y, rx, ry)
    return gemm.matmul(x, y)


@lower
@op(method=True)
def mm(x: Array, mat2: Array):
    """The product of two matrices, (n, k) and (k, m).

    >>> import tapegrad as torch
    >>> torch.mm(torch.ones(2, 3), torch.ones(3, 1))
    tensor([[3.],
            [3.]])
    """
    return _checked("mm", x, mat2, 2, 2)


@lower
@op(method=True)
def bmm(x: Array, mat2: Array):
    """The products of B pairs of matrices, (B, n, k) and (B, k, m).

    >>> import tapegrad as torch
    >>> torch.bmm(torch.ones(4, 2, 3), torch.ones(4, 3, 5)).shape
    torch.Size([4, 2, 5])
    """
    _stacks("bmm", x, mat2)
    return gemm.matmul(x, mat2)


@op(method=True)
def mv(x: Array, vec: Array):
    """The product of a matrix (n, k) and a vector (k,).

    >>> import tapegrad as torch
    >>> torch.mv(torch.ones(2, 3), torch.ones(3))
    tensor([3., 3.])
    """
    return _checked("mv", x, vec, 2, 1)


@op(method=True)
def dot(x: Array, tensor: Array):
    """The sum of the products of two vectors' elements.

    >>> import tapegrad as torch
    >>> torch.dot(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return _checked("dot", x, tensor, 1, 1)


@op(method=True)
def vdot(x: Array, y: Array):
    """`dot` with the complex conjugate of the first vector.

    >>> import tapegrad as torch
    >>> torch.vdot(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return _checked("vdot", conjugate(x), y, 1, 1)


@mm.grad("x")
@bmm.grad("x")
def _(g, mat2):
    return product(g, adjoint(mat2))


@mm.grad("mat2")
@bmm.grad("mat2")
def _(g, x):
    return product(adjoint(x), g)


@mv.grad("x")
def _(g, vec, x_shape):
    return grad_left(g, vec, x_shape)


@mv.grad("vec")
def _(g, x):
    return product(adjoint(x), g)


@dot.grad("x")
def _(g, tensor):
    return g * conjugate(tensor)


@dot.grad("tensor")
def _(g, x):
    return g * conjugate(x)


@vdot.grad("x")
def _(g, y):
    return conjugate(g) * y


@vdot.grad("y")
def _(g, x):
    return g * x


@mm.shape
def _(x, mat2):
    _ranks("mm", x, mat2, (2, 2))
    return shapes.matmul("mm", x, mat2)


@bmm.shape
def _(x, mat2):
    _ranks("bmm", x, mat2, (3, 3))
    return shapes.matmul("bmm", x, mat2)


@mv.shape
def _(x, vec):
    _ranks("mv", x, vec, (2, 1))
    return shapes.matmul("mv", x, vec)


@dot.shape
def _(x, tensor):
    _ranks("dot", x, tensor, (1, 1))
    return shapes.matmul("dot", x, tensor)


@vdot.shape
def _(x, y):
    _ranks("vdot", x, y, (1, 1))
    return shapes.matmul("vdot", x, y)


# ---- with a bias -------------------------------------------------------------------------------------------------


def _linear_name(node: Any) -> str:
    x, weight, bias = node.shapes
    if len(weight) == 1:
        return "DotBackward0" if len(x) == 1 else "MvBackward0" if len(x) == 2 else "UnsafeViewBackward0"
    if bias is None:
        return {1: "SqueezeBackward4", 2: "MmBackward0"}.get(len(x), "UnsafeViewBackward0")
    return "AddmmBackward0" if len(x) == 2 else "ViewBackward0"


@lower
@op(node=_linear_name)
def linear(input: Array, weight: Array, bias: Array | None = None):
    """`input @ weight.T + bias`.

    Args:
        input: (..., in).
        weight: (out, in), or (in,).
        bias: (out,), or nothing.

    Returns:
        (..., out).

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    >>> import tapegrad as torch
    >>> from tapegrad.ops.linalg.matmul import linear
    >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([10.0, 20.0]))
    tensor([[13., 22.]])
    """
    if (
        input.dtype is not weight.dtype
        or input.dtype.kind == "b"
        or (bias is not None and bias.dtype is not input.dtype)
    ):
        gemm.check_types("linear", input, weight, *(() if bias is None else (bias,)))
    return gemm.linear(input, weight, bias)


@linear.grad("input")
def _(g, weight):
    if weight.ndim == 1:
        return g.reshape((*g.shape, 1)) * conjugate(weight)
    return product(g, conjugate(weight))


@linear.grad("weight")
def _(g, input, weight_shape):
    count = math.prod(input.shape[:-1])
    x = input.reshape((count, input.shape[-1])) if input.ndim != 2 else input  # (N, in)
    g = g.reshape((count, weight_shape[0] if len(weight_shape) > 1 else 1))  # (N, out)
    found = product(g.mT, conjugate(x))
    return found if len(weight_shape) == 2 else found.reshape(weight_shape)


@linear.grad("bias")
def _(g):
    return g


@linear.shape
def _(input, weight, bias=None):
    if len(weight) not in (1, 2):
        raise RuntimeError(message("linear: the weight must be (out, in)", got=f"weight of shape {tuple(weight)}"))
    if not input or input[-1] != weight[-1]:
        text = message(
            f"linear: the input's last size must be the weight's in_features, {weight[-1]}",
            got=f"input {tuple(input)} and weight {tuple(weight)}",
            expected="(..., in) and (out, in)",
        )
        raise RuntimeError(text)
    if len(weight) == 1 and bias is not None:
        raise RuntimeError(message("linear: a bias needs a weight of two dimensions", got=f"weight {tuple(weight)}"))
    out = tuple(input[:-1]) + tuple(weight[:-1])
    if bias is not None and shapes.broadcast("linear (bias)", out, bias) != out:
        raise RuntimeError(message("linear: the bias does not fit", got=f"{tuple(bias)}", expected=f"{out[-1:]}"))
    return out


# ---- added to something -------------------------------------------------------------------------------------------


def _added(where: str, start: Array, product: Array, beta: Any, alpha: Any) -> Array:
    if start.dtype != product.dtype:
        gemm.check_types(where, product, start)
    return gemm.accumulate(where, start, product, beta, alpha)


def _scaled(g: Any, factor: Any) -> Any:
    """`g * factor`, the conjugate of a complex factor; `g` itself if the factor is 1."""
    if isinstance(factor, complex):
        factor = factor.conjugate()
    return g if factor == 1 else g * factor


@lower
@op(method=True, inplace=True)
def addmm(input: Array, mat1: Array, mat2: Array, *, beta=1, alpha=1):
    """`beta * input + alpha * mat1 @ mat2` for matrices (n, k) and (k, m); `input` broadcasts to (n, m).

    Where beta is 0, `input` is not read: what is not a number in it stays out of the result.

    >>> import tapegrad as torch
    >>> torch.addmm(torch.ones(2), torch.ones(2, 3), torch.ones(3, 2), alpha=10)
    tensor([[31., 31.],
            [31., 31.]])
    """
    _check("addmm", mat1, mat2, 2, 2)
    if input.dtype != mat1.dtype:
        gemm.check_types("addmm", mat1, input)
    return gemm.added("addmm", input, mat1, mat2, beta, alpha)


@op(method=True, inplace=True)
def addmv(input: Array, mat: Array, vec: Array, *, beta=1, alpha=1):
    """`beta * input + alpha * mat @ vec` for a matrix (n, k) and a vector (k,); `input` broadcasts to (n,).

    >>> import tapegrad as torch
    >>> torch.addmv(torch.ones(2), torch.ones(2, 3), torch.ones(3))
    tensor([4., 4.])
    """
    return _added("addmv", input, _checked("addmv", mat, vec, 2, 1), beta, alpha)


@lower
@op(method=True, inplace=True)
def baddbmm(input: Array, batch1: Array, batch2: Array, *, beta=1, alpha=1):
    """`beta * input + alpha * batch1 @ batch2`, matrix by matrix; `input` broadcasts to (B, n, m).

    >>> import tapegrad as torch
    >>> torch.baddbmm(torch.ones(1), torch.ones(1, 2, 3), torch.ones(1, 3, 1))
    tensor([[[4.],
             [4.]]])
    """
    _stacks("baddbmm", batch1, batch2)
    if input.dtype != batch1.dtype:
        gemm.check_types("baddbmm", batch1, input)
    return gemm.added("baddbmm", input, batch1, batch2, beta, alpha)


@lower
@op(method=True, inplace=True)
def addbmm(input: Array, batch1: Array, batch2: Array, *, beta=1, alpha=1):
    """`beta * input + alpha * (the sum of the products batch1[b] @ batch2[b])`; `input` broadcasts to (n, m).

    >>> import tapegrad as torch
    >>> torch.addbmm(torch.zeros(1), torch.ones(4, 1, 3), torch.ones(4, 3, 1))
    tensor([[12.]])
    """
    _checked_batches("addbmm", batch1.shape, batch2.shape)
    b, n, k = batch1.shape  # the sum over b is part of one product
    tall = batch1.transpose(1, 0, 2).reshape(n, b * k)
    return _added("addbmm", input, _checked("addbmm", tall, batch2.reshape(b * k, batch2.shape[2]), 2, 2), beta, alpha)


def _checked_batches(where: str, x: tuple[int, ...], y: tuple[int, ...]) -> None:
    if len(x) != 3 or len(y) != 3 or x[0] != y[0] or x[2] != y[1]:
        text = message(
            f"{where}: these stacks of matrices do not fit", got=f"{x} and {y}", expected="(B, n, k), (B, k, m)"
        )
        raise RuntimeError(text)


@op(method=True, inplace=True)
def addr(input: Array, vec1: Array, vec2: Array, *, beta=1, alpha=1):
    """`beta * input + alpha * vec1[:, None] * vec2` for vectors (n,) and (m,); `input` broadcasts to (n, m).

    >>> import tapegrad as torch
    >>> torch.addr(torch.zeros(1), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    _ranks("addr", vec1.shape, vec2.shape, (1, 1))
    return _added("addr", input, vec1[:, None] * vec2, beta, alpha)


@addmm.grad("input")
@addmv.grad("input")
@baddbmm.grad("input")
@addbmm.grad("input")
@addr.grad("input")
def _(g, beta):
    return _scaled(g, beta)


@addmm.grad("mat1")
def _(g, mat2, alpha):
    return product(_scaled(g, alpha), adjoint(mat2))


@addmm.grad("mat2")
def _(g, mat1, alpha):
    return product(adjoint(mat1), _scaled(g, alpha))


@addmv.grad("mat")
def _(g, vec, alpha):
    return _scaled(g, alpha).reshape((-1, 1)) * conjugate(vec)


@addmv.grad("vec")
def _(g, mat, alpha):
    return product(adjoint(mat), _scaled(g, alpha))


@baddbmm.grad("batch1")
@addbmm.grad("batch1")
def _(g, batch2, alpha):
    return product(_scaled(g, alpha), adjoint(batch2))


@baddbmm.grad("batch2")
@addbmm.grad("batch2")
def _(g, batch1, alpha):
    return product(adjoint(batch1), _scaled(g, alpha))


@addr.grad("vec1")
def _(g, vec2, alpha):
    return product(_scaled(g, alpha), conjugate(vec2))


@addr.grad("vec2")
def _(g, vec1, alpha):
    return product(_scaled(g, alpha).mT, conjugate(vec1))


@addmm.shape
def _(input, mat1, mat2, *, beta=1, alpha=1):
    _ranks("addmm", mat1, mat2, (2, 2))
    return _fits("addmm", input, shapes.matmul("addmm", mat1, mat2))


@addmv.shape
def _(input, mat, vec, *, beta=1, alpha=1):
    _ranks("addmv", mat, vec, (2, 1))
    return _fits("addmv", input, shapes.matmul("addmv", mat, vec))


@baddbmm.shape
def _(input, batch1, batch2, *, beta=1, alpha=1):
    _checked_batches("baddbmm", batch1, batch2)
    return _fits("baddbmm", input, shapes.matmul("baddbmm", batch1, batch2))


@addbmm.shape
def _(input, batch1, batch2, *, beta=1, alpha=1):
    _checked_batches("addbmm", batch1, batch2)
    return _fits("addbmm", input, (batch1[1], batch2[2]))


@addr.shape
def _(input, vec1, vec2, *, beta=1, alpha=1):
    _ranks("addr", vec1, vec2, (1, 1))
    return _fits("addr", input, (vec1[0], vec2[0]))


def _fits(where: str, start: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    if shapes.broadcast(where, start, shape) != shape:
        text = message(f"{where}: the input does not broadcast to the product", got=f"{tuple(start)} and {shape}")
        raise RuntimeError(text)
    return shape


# ---- operators ----------------------------------------------------------------------------------------------------


def _matmul_operator(self: Tensor, other: Any) -> Any:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


def _rmatmul_operator(self: Tensor, other: Any) -> Any:
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


Tensor.__matmul__ = _matmul_operator
Tensor.__rmatmul__ = _rmatmul_operator
