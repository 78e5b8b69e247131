"""Reductions: sums, products, extremes, logic, moments and norms over some or all dimensions.

`dim` is one dimension, several, or None for all of them; `keepdim` leaves the reduced ones as size 1. The derivative of
a reduction gives the gradient of a result back to the elements it came from: `spread` (see `adjoints`) to all of them,
`place` to the one that was chosen.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import dtypes, modes, shapes
from ...backends.cpu import reduce as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...errors import message
from ..casting import full
from ..linalg.matmul import conjugate
from ..pointwise.arithmetic import true_divide
from ..pointwise.compare import isnan, where
from ..pointwise.functions import abs, exp, sgn
from .adjoints import numpy_names, one, over, reduced_shape, shift, spread
from .extremes import amax, amin, aminmax, argmax, argmin, max, min, refuse_nothing, ties
from .scan import cumprod, cumprod_from_end

__all__ = [
    "all",
    "amax",
    "amin",
    "aminmax",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "nanmean",
    "nansum",
    "norm",
    "prod",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]


def _name(base: str, position: int = 0):
    """PyTorch's node of a reduction: 0 for the whole tensor, 1 with a dim."""

    def name(node: Any) -> str:
        args = node.op.attributes(*node.attrs) if node.attrs else node.op.attr_defaults
        return f"{base}Backward{0 if args[position] is None else 1}"

    return name


def _floating(where: str, x: Array, what: str = "floating-point or complex") -> None:
    if x.dtype.kind in "biu":
        text = message(
            f"{where}: needs a {what} tensor",
            got=str(dtypes.of(x.dtype)),
            fix="convert it with .float(), or give dtype=",
        )
        raise RuntimeError(text)


# ---- sums and products ----------------------------------------------------------------------------------------------


@op(method=True, node=_name("Sum"))
def sum(x: Array, dim=None, keepdim=False, *, dtype=None):
    """The sum of the elements, of the whole tensor or along dimensions.

    Args:
        input: any shape.
        dim: the dimension or dimensions to add up (default: all).
        keepdim: keep them with size 1.
        dtype: convert to this type first (integers add up in int64).

    Raises:
        IndexError: `dim` is out of range.

    >>> import tapegrad as torch
    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(dim=1)
    tensor([3., 7.])
    """
    return kernels.sum(x, over("sum", dim, x), keepdim, None if dtype is None else dtype.numpy)


@sum.grad
def _(g, x_shape, dim, keepdim):
    return spread(g, x_shape, dim, keepdim)


@spread.grad
def _(g, dim, keepdim):
    return sum(g, dim, keepdim)


@op(method=True, node=_name("Mean"))
def mean(x: Array, dim=None, keepdim=False, *, dtype=None):
    """The arithmetic mean, `sum(x) / n`; NaN of nothing.

    Args:
        input: any shape, floating point (or give `dtype`).
        dim: the dimension or dimensions to average over (default: all).
        keepdim: keep them with size 1.
        dtype: convert to this type first.

    Raises:
        RuntimeError: the type is not floating point.

    >>> import tapegrad as torch
    >>> torch.mean(torch.tensor([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    if dtype is not None:
        x = x.astype(dtype.numpy, copy=False)
    _floating("mean", x)
    return kernels.mean(x, over("mean", dim, x), keepdim)


@mean.grad
def _(g, x_shape, dim, keepdim):
    return spread(g / (_count(x_shape, dim) or math.nan), x_shape, dim, keepdim)


def _count(shape, dim) -> int:
    return kernels.count(shape, shapes.axes("mean", dim, len(shape)) if len(shape) else None)


@op(node="ProdBackward0")
def _prod(x: Array, dtype=None):
    return kernels.prod(x, None, False, None if dtype is None else dtype.numpy)


@op(node="ProdBackward1")
def _prod_along(x: Array, dim, keepdim=False, *, dtype=None):
    return kernels.prod(x, over("prod", one("prod", dim, x), x), keepdim, None if dtype is None else dtype.numpy)


@_prod.grad
def _(g, x, x_shape):
    return (g * _others(conjugate(x).reshape(-1), 0)).reshape(x_shape)


@_prod_along.grad
def _(g, x, x_shape, dim, keepdim):
    return spread(g, x_shape, dim, keepdim) * _others(conjugate(x), dim)


def _others(x, dim):
    """For each element the product of all others: exact where one or more are 0, unlike `out / x`."""
    return shift(cumprod(x, dim), dim, 1, 1) * shift(cumprod_from_end(x, dim), dim, -1, 1)


@full
@numpy_names
def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None, out: Tensor | None = None
) -> Tensor:
    """The product of the elements, of the whole tensor or along one dimension.

    Args:
        input: any shape.
        dim: the dimension to multiply over (default: all).
        keepdim: keep it with size 1.
        dtype: convert to this type first (integers multiply in int64).

    >>> import tapegrad as torch
    >>> torch.tensor([1.0, 2.0, 3.0]).prod()
    tensor(6.)
    """
    if dim is None:
        return _prod(input, dtype)
    return (
        _prod_along(input, dim, keepdim, dtype=dtype)
        if out is None
        else _prod_along(input, dim, keepdim, dtype=dtype, out=out)
    )


# ---- logic ----------------------------------------------------------------------------------------------------------


@op(method=True, nondiff=True)
def any(x: Array, dim=None, keepdim=False):
    """Whether some element is not zero, in the whole tensor or along dimensions.

    >>> import tapegrad as torch
    >>> torch.any(torch.tensor([[0, 1], [0, 0]]), dim=1)
    tensor([ True, False])
    """
    axis = () if dim == () else over("any", dim, x)
    return kernels.any(x, axis, keepdim)


@op(method=True, nondiff=True)
def all(x: Array, dim=None, keepdim=False):
    """Whether no element is zero, in the whole tensor or along dimensions.

    >>> import tapegrad as torch
    >>> torch.all(torch.tensor([[0, 1], [1, 1]]), dim=1)
    tensor([False,  True])
    """
    axis = () if dim == () else over("all", dim, x)
    return kernels.all(x, axis, keepdim)


@op(method=True, nondiff=True)
def count_nonzero(x: Array, dim=None):
    """How many elements are not zero.

    >>> import tapegrad as torch
    >>> torch.count_nonzero(torch.tensor([0, 3, 5]))
    tensor(2)
    """
    return kernels.count_nonzero(x, over("count_nonzero", dim, x))


# ---- moments --------------------------------------------------------------------------------------------------------


@op(name="var", node="VarBackward0")
def _var(x: Array, dim=None, correction=1, keepdim=False):
    _floating("var", x)
    return kernels.like(kernels.var(x, over("var", dim, x), correction, keepdim)[0], _real(x))


@op(name="std", node="StdBackward0")
def _std(x: Array, dim=None, correction=1, keepdim=False):
    _floating("std", x)
    return kernels.like(np.sqrt(kernels.var(x, over("std", dim, x), correction, keepdim)[0]), _real(x))


@op(name="var_mean", node="VarMeanBackward0", nout=2)
def _var_mean(x: Array, dim=None, correction=1, keepdim=False):
    _floating("var_mean", x)
    found, middle = kernels.var(x, over("var_mean", dim, x), correction, keepdim)
    return kernels.like(found, _real(x)), middle


@op(name="std_mean", node="StdMeanBackward0", nout=2)
def _std_mean(x: Array, dim=None, correction=1, keepdim=False):
    _floating("std_mean", x)
    found, middle = kernels.var(x, over("std_mean", dim, x), correction, keepdim)
    return kernels.like(np.sqrt(found), _real(x)), middle


def _real(x: Array) -> Any:
    return x.real.dtype if x.dtype.kind == "c" else x.dtype


def _var_grad(g, x, dim, correction, keepdim):
    n = _count(x.shape, dim) - correction
    scale = 2 / n if n > 0 else math.nan if n == 0 else math.inf
    return spread(g * scale, x.shape, dim, keepdim) * (x - mean(x, dim, True))


def _root_grad(g, out):
    """The gradient of a square root, 0 where the root is 0."""
    return where(out == 0, 0.0, g / (2 * out))


_var.grad(_var_grad)


@_std.grad
def _(g, x, out, dim, correction, keepdim):
    return _var_grad(_root_grad(g, out), x, dim, correction, keepdim)


@_var_mean.grad
def _(gs, x, dim, correction, keepdim):
    return _var_grad(gs[0], x, dim, correction, keepdim) + spread(gs[1] / _count(x.shape, dim), x.shape, dim, keepdim)


@_std_mean.grad
def _(gs, x, out, dim, correction, keepdim):
    own = _var_grad(_root_grad(gs[0], out), x, dim, correction, keepdim)
    return own + spread(gs[1] / _count(x.shape, dim), x.shape, dim, keepdim)


def _moment(
    where: str, function: Any, x: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: Any, out: Any
) -> Any:
    """Read the overloads: `(x, unbiased)`, `(x, dim, unbiased, keepdim)` and `(x, dim, correction=, keepdim=)`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(message(f"{where}: give either unbiased or correction", got="both"))
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    found = function(x, dim, correction, keepdim) if out is None else function(x, dim, correction, keepdim, out=out)
    return found


@numpy_names
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The variance, `sum((x - mean)**2) / max(n - correction, 0)`.

    Args:
        input: any shape, floating point.
        dim: the dimension or dimensions (default: all).
        unbiased: True is `correction=1` (the default), False is `correction=0`.
        keepdim: keep the dimensions with size 1.
        correction: what is taken off `n`: 1 for a sample (Bessel), 0 for a whole population.

    Raises:
        RuntimeError: the type is not floating point.

    >>> import tapegrad as torch
    >>> torch.var(torch.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    return _moment("var", _var, input, dim, unbiased, keepdim, correction, out)


@numpy_names
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The standard deviation, the root of the variance; the arguments are those of `var`.

    >>> import tapegrad as torch
    >>> torch.std(torch.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    return _moment("std", _std, input, dim, unbiased, keepdim, correction, out)


@numpy_names
def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The variance and the mean in one call; the arguments are those of `var`.

    >>> import tapegrad as torch
    >>> torch.var_mean(torch.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    return _moment("var_mean", _var_mean, input, dim, unbiased, keepdim, correction, None)


@numpy_names
def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean in one call; the arguments are those of `var`.

    >>> import tapegrad as torch
    >>> torch.std_mean(torch.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    return _moment("std_mean", _std_mean, input, dim, unbiased, keepdim, correction, None)


# ---- exponentials and norms -----------------------------------------------------------------------------------------


@op(method=True)
def logsumexp(x: Array, dim, keepdim=False):
    """`log(sum(exp(x)))` over dimensions, without overflow.

    Args:
        input: any shape.
        dim: the dimension or dimensions.
        keepdim: keep them with size 1.

    >>> import tapegrad as torch
    >>> torch.logsumexp(torch.tensor([0.0, 0.0]), dim=0)
    tensor(0.6931)
    """
    if x.dtype.kind in "biu":
        x = x.astype(modes.defaults.numpy)
    return kernels.logsumexp(x, over("logsumexp", dim, x), keepdim)


@logsumexp.grad
def _(g, x, out, dim, keepdim):
    return spread(g, x.shape, dim, keepdim) * conjugate(exp(x - spread(out, x.shape, dim, keepdim)))


@op(name="linalg_vector_norm")
def vector_norm(x: Array, ord=2, dim=None, keepdim=False, *, dtype=None):
    """`(sum |x|**ord) ** (1 / ord)`; the largest or smallest `|x|` for infinite `ord`; how many are not 0 for 0.

    Args:
        input: any shape, floating point; None for `dim` takes it as one vector.
        ord: the order.
        dim: the dimension or dimensions (default: all).
        keepdim: keep them with size 1.
        dtype: convert to this type first.

    Raises:
        RuntimeError: the type is not floating point, or there is no extreme of nothing.

    >>> import tapegrad as torch
    >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if dtype is not None:
        x = x.astype(dtype.numpy, copy=False)
    _floating("vector_norm", x)
    axis = over("vector_norm", dim, x)
    if ord < 0 or ord == math.inf:
        refuse_nothing("vector_norm", x, axis)
    return kernels.vector_norm(x, float(ord), axis, keepdim, _real(x))


def norm_grad(g, x, out, ord, dim, keepdim):
    """The derivative of a vector norm; 0 where the norm is 0."""
    if ord == 0:
        return x * 0
    g, out = spread(g, x.shape, dim, keepdim), spread(out, x.shape, dim, keepdim)
    if ord == 1:
        return g * sgn(x)
    if ord == 2:
        return where(out == 0, 0.0, g * x / out)
    if ord in (math.inf, -math.inf):
        return g * sgn(x) * ties(abs(x), out, dim, True)
    if ord < 1:  # the power is negative: an element that is 0 would give infinity
        return where(x == 0, 0.0, sgn(x) * abs(x) ** (ord - 1) * g * out ** (1 - ord))
    if ord < 2:
        return where(out == 0, 0.0, sgn(x) * abs(x) ** (ord - 1) * g / out ** (ord - 1))
    return where(out == 0, 0.0, x * abs(x) ** (ord - 2) * g / out ** (ord - 1))


vector_norm.grad(norm_grad)


def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: Any = None
) -> Tensor:
    """The norm of a vector: of the whole tensor, or of each along `dim`; composed of `vector_norm`.

    Args:
        input: any shape, floating point.
        p: the order: a number, `"fro"` (2), or `"nuc"`: the sum of the singular values of a matrix.
        dim: the dimension or dimensions (default: all).
        keepdim: keep them with size 1.
        dtype: convert to this type first.

    Raises:
        RuntimeError: the type is not floating point, or `p` is unknown.

    >>> import tapegrad as torch
    >>> torch.norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    named = {} if out is None else {"out": out}
    if p == "nuc":
        return _nuclear(input, dim, keepdim, dtype, named)
    if p is None or p == "fro":
        if dim is not None and not hasattr(dim, "__index__") and len(dim) > 2:
            raise RuntimeError(message("norm: a matrix has two dimensions", got=f"dim={dim}"))
        p = 2
    if isinstance(p, str):
        raise RuntimeError(message("norm: unknown order", got=repr(p), expected="a number, 'fro' or 'nuc'"))
    return vector_norm(input, p, dim, keepdim, dtype=dtype, **named)


def _nuclear(x: Tensor, dim: Any, keepdim: bool, dtype: Any, named: dict) -> Tensor:
    """The sum of the singular values of the matrices in two dimensions."""
    x = x if dtype is None else x.to(dtype)
    rows, columns = shapes.axes("norm", (-2, -1) if dim is None else dim, x.array.ndim) or (0, 0)
    if rows == columns or (dim is None and x.array.ndim != 2):
        raise RuntimeError(message("norm: 'nuc' needs two dimensions", got=f"dim={dim} of {x.array.ndim} dimensions"))
    singular = x.movedim((rows, columns), (-2, -1)).svd()[1]  # (..., min(rows, columns))
    if keepdim:
        for d in sorted((rows, columns)):
            singular = singular.unsqueeze(d)
    return sum(singular, -1, **named)


# ---- without NaN ----------------------------------------------------------------------------------------------------


@op(method=True)
def nansum(x: Array, dim=None, keepdim=False, *, dtype=None):
    """The sum of the elements that are not NaN; the arguments are those of `sum`.

    >>> import tapegrad as torch
    >>> torch.nansum(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    axes, target = over("nansum", dim, x), None if dtype is None else dtype.numpy
    found = kernels.sum(x, axes, keepdim, target)
    if x.dtype.kind in "biu" or not np.isnan(found).any():  # a NaN would be seen in the sum
        return found
    return kernels.sum(np.where(x != x, x.dtype.type(0), x), axes, keepdim, target)


@nansum.grad
def _(g, x, dim, keepdim):
    return where(isnan(x), 0.0, spread(g, x.shape, dim, keepdim))


@numpy_names
def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None) -> Tensor:
    """The mean of the elements that are not NaN: `nansum(x) / count`; composed.

    >>> import tapegrad as torch
    >>> torch.nanmean(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    _floating("nanmean", input.array)
    return true_divide(
        nansum(input, dim, keepdim, dtype=dtype),
        sum(~isnan(input), dim, keepdim),
        **({} if out is None else {"out": out}),
    )


for _f in (sum, mean, any, all, nansum, logsumexp):
    _f.shape(reduced_shape)
for _f in (_var, _std, _var_mean, _std_mean):
    _f.shape(lambda x, dim=None, correction=1, keepdim=False: reduced_shape(x, dim, keepdim))
vector_norm.shape(lambda x, ord=2, dim=None, keepdim=False, *, dtype=None: reduced_shape(x, dim, keepdim))
_prod_along.shape(reduced_shape)
count_nonzero.shape(reduced_shape)
_prod.shape(lambda x, dtype=None: ())
for _f in (prod, var, std, norm, nanmean):
    setattr(Tensor, _f.__name__, _f)
