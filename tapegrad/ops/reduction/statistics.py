"""Statistics and calculus of samples: covariance, histograms, distances, closeness, differences, integrals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...backends.cpu import statistics as kernels
from ...core.dispatch import write_out
from ...core.op import Array, op
from ...core.results import result_type_of
from ...core.tensor import Tensor, wrap
from ...errors import message
from ..linalg.matmul import conjugate
from ..pointwise.bounds import clamp
from ..pointwise.compare import ne, where
from ..pointwise.functions import sqrt
from ..shape.joining import cat
from .adjoints import numpy_names, one
from .reduce import norm_grad, sum, vector_norm
from .scan import cumsum

__all__ = [
    "allclose",
    "bincount",
    "corrcoef",
    "cov",
    "cumulative_trapezoid",
    "diff",
    "dist",
    "equal",
    "histc",
    "histogram",
    "histogramdd",
    "isclose",
    "renorm",
    "trapezoid",
    "trapz",
]


def _into(found: Tensor, out: Tensor | None) -> Tensor:
    return found if out is None else write_out(sum.op, [found], found.array, out)


# ---- counts ---------------------------------------------------------------------------------------------------------


@op(method=True, nondiff=True)
def bincount(x: Array, weights: Array | None = None, minlength=0):
    """How often each integer 0, 1, 2, ... occurs; with weights, the sum of those of its occurrences.

    Args:
        input: (n,), integers of 0 or more.
        weights: (n,).
        minlength: the least length of the result.

    Raises:
        RuntimeError: the input is not one-dimensional, or has a negative number, or the weights have another length.

    >>> import tapegrad as torch
    >>> torch.bincount(torch.tensor([1, 2, 2]))
    tensor([0, 1, 2])
    """
    if x.dtype.kind not in "iu":
        raise NotImplementedError(message("bincount: needs integers", got=str(dtypes.of(x.dtype))))
    if x.ndim != 1 or (x.size and x.min() < 0) or minlength < 0:
        text = message(
            "bincount: needs one dimension of integers of 0 or more",
            got=f"shape {x.shape}, minlength={minlength}" + (f", smallest {x.min()}" if x.size else ""),
        )
        raise RuntimeError(text)
    if weights is not None and weights.shape != x.shape:
        raise RuntimeError(message("bincount: one weight for each element", got=weights.shape, expected=x.shape))
    return kernels.bincount(x, weights, minlength)


def _floats(where: str, x: Array) -> None:
    if x.dtype.kind in "biuc":
        raise NotImplementedError(message(f"{where}: needs a floating-point tensor", got=str(dtypes.of(x.dtype))))


def _range(where: str, x: Array, low: float, high: float) -> tuple[float, float]:
    """The ends of a histogram: as given, else of the data; a range of one point becomes one of width 1 or 2."""
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(message(f"{where}: the range is not finite", got=f"{low} to {high}"))
    if low > high:
        raise RuntimeError(message(f"{where}: the range is empty", got=f"{low} to {high}", expected="min <= max"))
    return low, high


@op(method=True, nondiff=True)
def histc(x: Array, bins=100, min=0, max=0):
    """How many elements lie in each of `bins` equal intervals from `min` to `max`; others are not counted.

    Args:
        input: any shape, floating point.
        bins: how many intervals.
        min, max: the ends; if they are equal, those of the data.

    >>> import tapegrad as torch
    >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    _floats("histc", x)
    if bins <= 0:
        raise RuntimeError(message("histc: there must be a bin", got=f"bins={bins}"))
    low, high = _range("histc", x, min, max)
    return kernels.histc(x, bins, *((low - 1, high + 1) if low == high else (low, high)))


histc.shape(lambda x, bins=100, *_: (bins,))


def _edges(where: str, x: Array, bins: Any, ends: Any) -> Array:
    """The edges of bins along one coordinate."""
    if isinstance(bins, Tensor):
        return bins.array
    if bins <= 0:
        raise RuntimeError(message(f"{where}: there must be a bin", got=f"bins={bins}"))
    if ends is None and not x.size:
        ends = (0.0, 1.0)
    low, high = _range(where, x, *(ends or (0.0, 0.0))) if ends is None else _range(where, x[:0], *ends)
    return kernels.linspace(*((low - 0.5, high + 0.5) if low == high else (low, high)), bins + 1, x.dtype)


def _histogram(where: str, points: Array, edges: list, weight: Tensor | None, density: bool) -> Array:
    if weight is not None and weight.array.size != len(points):
        raise RuntimeError(
            message(f"{where}: one weight for each point", got=tuple(weight.shape), expected=f"{len(points)} weights")
        )
    return kernels.histogram(points, edges, None if weight is None else weight.array.reshape(-1), density)


def histogram(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False, out: Any = None
) -> Any:
    """How many elements lie in each bin, and the edges of the bins; the last bin holds its right edge too.

    Args:
        input: any shape, floating point.
        bins: how many equal bins, or the rising edges as a tensor.
        range: the first and the last edge (default: of the data).
        weight: what each element counts, in the shape of the input.
        density: divide by the total and the widths of the bins.

    >>> import tapegrad as torch
    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 3.0)).hist
    tensor([2., 1.])
    """
    x = input.array
    _floats("histogram", x)
    edges = _edges("histogram", x, bins, range)
    hist = _histogram("histogram", x.reshape(-1, 1), [edges], weight, density)
    found = [wrap(hist), wrap(edges)]
    if out is not None:
        found = [write_out(sum.op, [], t.array, o) for t, o in zip(found, out)]
    return result_type_of("histogram", ("hist", "bin_edges"))(*found)


def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """`histogram` of points: (..., D) to a grid of D dimensions, and the edges along each of them.

    Args:
        input: (..., D), floating point.
        bins: how many bins along each coordinate (one number, or D), or D tensors of edges.
        range: the first and last edge of each coordinate, 2 D numbers.
        weight: what each point counts, (...).
        density: divide by the total and the volumes of the bins.

    >>> import tapegrad as torch
    >>> torch.histogramdd(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), bins=2).hist
    tensor([[0., 1.],
            [1., 0.]])
    """
    x = input.array
    _floats("histogramdd", x)
    if x.ndim < 2:
        raise RuntimeError(message("histogramdd: needs points", got=f"shape {x.shape}", expected="(..., D)"))
    points = x.reshape(-1, x.shape[-1])
    dims = points.shape[1]
    each = [bins] * dims if isinstance(bins, int) else list(bins)
    if len(each) != dims or (range is not None and len(range) != 2 * dims):
        got = f"{len(each)} bins" + ("" if range is None else f", {len(range)} ends")
        raise RuntimeError(
            message("histogramdd: bins and range must fit the coordinates", got=got, expected=f"{dims} and {2 * dims}")
        )
    ends = [None] * dims if range is None else list(zip(range[::2], range[1::2]))
    edges = [_edges("histogramdd", column, b, r) for column, b, r in zip(points.T, each, ends)]
    hist = _histogram("histogramdd", points, edges, weight, density)
    return result_type_of("histogramdd", ("hist", "bin_edges"))(wrap(hist), tuple(map(wrap, edges)))


# ---- closeness and distance -----------------------------------------------------------------------------------------


@op(method=True, nondiff=True)
def isclose(x: Array, y: Array, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether `|x - y| <= atol + rtol * |y|`, elementwise; infinities are close to themselves.

    Args:
        input, other: tensors of one type that broadcast.
        rtol, atol: relative and absolute tolerance.
        equal_nan: whether NaN is close to NaN.

    Raises:
        RuntimeError: the types differ, or a tolerance is negative.

    >>> import tapegrad as torch
    >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    if x.dtype != y.dtype:
        text = message(
            "isclose: the types differ", got=f"{dtypes.of(x.dtype)} and {dtypes.of(y.dtype)}", fix="convert one of them"
        )
        raise RuntimeError(text)
    if rtol < 0 or atol < 0:
        raise RuntimeError(message("isclose: a tolerance is negative", got=f"rtol={rtol}, atol={atol}"))
    return kernels.isclose(x, y, rtol, atol, equal_nan)


isclose.shape(lambda x, y, *_: shapes.broadcast("isclose", x, y))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close (see `isclose`), as a Python bool.

    >>> import tapegrad as torch
    >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements, as a Python bool.

    >>> import tapegrad as torch
    >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    True
    """
    for t in (input, other):
        if not isinstance(t, Tensor):
            raise TypeError(message("equal: both operands must be tensors", got=type(t).__name__))
    return np.array_equal(input.array, other.array)


@op(method=True)
def dist(x: Array, y: Array, p=2):
    """The norm of the difference, `(sum |x - y|**p) ** (1 / p)`.

    >>> import tapegrad as torch
    >>> torch.dist(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0]))
    tensor(5.)
    """
    return vector_norm(x - y, p)


@dist.grad("x")
def _(g, x, y, out, p):
    return norm_grad(g, x - y, out, p, None, False)


@dist.grad("y")
def _(g, x, y, out, p):
    return -norm_grad(g, x - y, out, p, None, False)


dist.shape(lambda x, y, p=2: ())


def renorm(input: Tensor, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None) -> Tensor:
    """Scale the slices along `dim` whose norm exceeds `maxnorm` down to it; composed of `vector_norm`.

    Args:
        input: two or more dimensions.
        p: the order of the norm, above 0.
        dim: the slices are those with one index of this dimension.
        maxnorm: the largest norm allowed.

    >>> import tapegrad as torch
    >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.0, 0.5]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000],
            [0.0000, 0.5000]])
    """
    ndim = input.array.ndim
    if p <= 0 or maxnorm < 0 or ndim < 2:
        text = message(
            "renorm: the arguments do not fit",
            got=f"p={p}, maxnorm={maxnorm}, {ndim} dimensions",
            expected="p > 0, maxnorm >= 0, and 2 or more dimensions",
        )
        raise RuntimeError(text)
    axis = one("renorm", dim, input.array)
    size = vector_norm(input, p, [i for i in range(ndim) if i != axis], True)
    return _into(input * where(size > maxnorm, maxnorm / (size + 1e-7), 1.0), out)


def _renorm_(self: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """In-place form of `renorm`."""
    return self.copy_(renorm(self.clone(), p, dim, maxnorm))


# ---- covariance -----------------------------------------------------------------------------------------------------


def _check_weights(x: Tensor, fweights: Tensor | None, aweights: Tensor | None) -> None:
    for name, w, kinds in (("fweights", fweights, "iu"), ("aweights", aweights, "fV")):
        if w is None:
            continue
        if (
            w.array.ndim > 1
            or w.array.dtype.kind not in kinds
            or w.array.size != (x.shape[1] if x.ndim > 1 else x.numel())
        ):
            text = message(
                f"cov: {name} does not fit",
                got=f"{w.dtype}, shape {tuple(w.shape)}",
                expected=f"{'integers' if kinds == 'iu' else 'floating point'}, one for each observation",
            )
            raise RuntimeError(text)
        if (w.array < 0).any():
            raise RuntimeError(message(f"cov: {name} cannot be negative"))


def cov(
    input: Tensor, *, correction: float = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariance matrix of variables, `sum(w (x - mean)(x - mean)^T) / (sum(w) - correction)`; composed.

    Args:
        input: (variables, observations), or (observations,) of one variable.
        correction: what is taken off the number of observations.
        fweights: (observations,), integers: how often each was made.
        aweights: (observations,), floating point: how much each counts.

    Raises:
        RuntimeError: the input has more than two dimensions, or the weights do not fit.

    >>> import tapegrad as torch
    >>> torch.cov(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.array.ndim > 2 or input.array.dtype.kind == "b":
        text = message(
            "cov: the input does not fit",
            got=f"{input.dtype}, shape {tuple(input.shape)}",
            expected="numbers, (variables, observations)",
        )
        raise RuntimeError(text)
    _check_weights(input, fweights, aweights)
    x = input.reshape(1, -1) if input.array.ndim < 2 else input
    w = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    total = x.shape[1] if w is None else sum(w)
    middle = sum(x if w is None else x * w, 1, True) / total
    norm = total - correction
    if aweights is not None and correction:
        norm = total - correction * sum(w * aweights) / total
    away = x - middle
    found = away @ conjugate(away if w is None else away * w).mT
    return (found / (norm if norm > 0 else 0)).squeeze()


def corrcoef(input: Tensor) -> Tensor:
    """The correlation matrix of variables: the covariance over the standard deviations of each pair; composed.

    Args:
        input: (variables, observations), or (observations,) of one variable.

    >>> import tapegrad as torch
    >>> torch.corrcoef(torch.tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if c.array.ndim == 0:
        return c / c
    spread = sqrt(c.diagonal())  # standard deviations
    found = c / spread.reshape(-1, 1) / spread.reshape(1, -1)
    return found if found.is_complex() else clamp(found, -1, 1)


# ---- differences and integrals --------------------------------------------------------------------------------------


@numpy_names
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    out: Any = None,
) -> Tensor:
    """The `n`-th differences `x[i + 1] - x[i]` along `dim` (whether they differ, of booleans); composed.

    Args:
        input: one or more dimensions.
        n: how often to take differences.
        dim: the dimension.
        prepend, append: values to put before and after the input first.

    >>> import tapegrad as torch
    >>> torch.diff(torch.tensor([1.0, 3.0, 8.0]))
    tensor([2., 5.])
    """
    if input.array.ndim == 0 or n < 0:
        raise RuntimeError(message("diff: needs a dimension and n >= 0", got=f"{input.array.ndim} dimensions, n={n}"))
    axis = one("diff", dim, input.array)
    if n == 0:
        return _into(input.clone(), out)
    parts = [t for t in (prepend, input, append) if t is not None]
    x = cat(parts, axis) if len(parts) > 1 else input
    for _ in range(min(n, x.shape[axis])):
        length = max(x.shape[axis] - 1, 0)
        after, before = x.narrow(axis, min(1, x.shape[axis]), length), x.narrow(axis, 0, length)
        x = ne(after, before) if x.array.dtype.kind == "b" else after - before
    return _into(x, out)


def _widths(where: str, y: Tensor, x: Tensor | None, dx: float | None, dim: int) -> tuple[int, Any]:
    """The axis, and the distances of neighbouring samples along it: a number, or a tensor that broadcasts."""
    if x is not None and dx is not None:
        raise TypeError(message(f"{where}: give either x or dx", got="both"))
    if y.array.ndim == 0:
        raise IndexError(message(f"{where}: y has no dimensions"))
    axis = one(where, dim, y.array)
    if y.array.dtype.kind == "b" or (x is not None and x.array.dtype.kind == "b"):
        raise RuntimeError(message(f"{where}: not defined for booleans"))
    if x is None:
        return axis, 1.0 if dx is None else dx
    n = y.shape[axis]
    if x.array.ndim == 1 or x.array.ndim < y.array.ndim:
        lead = [1] * (y.array.ndim - x.array.ndim)
        x = (
            x.reshape([-1 if i == axis else 1 for i in range(y.array.ndim)])
            if x.array.ndim == 1
            else x.reshape([*lead, *x.shape])
        )
    if x.shape[axis] != n:
        raise RuntimeError(message(f"{where}: one x for each sample", got=f"{x.shape[axis]} for {n} samples"))
    return axis, diff(x, 1, axis)


def _panels(y: Tensor, axis: int, widths: Any) -> Tensor:
    """The area between neighbouring samples."""
    n = max(y.shape[axis] - 1, 0)
    return (y.narrow(axis, 0, n) + y.narrow(axis, min(1, y.shape[axis]), n)) * widths / 2


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The integral of samples by the trapezoidal rule, `sum((x[i+1] - x[i]) (y[i] + y[i+1]) / 2)`; composed.

    Args:
        y: the samples.
        x: where they were taken: (n,), or a shape that broadcasts with that of `y`.
        dx: their distance (default: 1), instead of `x`.
        dim: the dimension to integrate along.

    >>> import tapegrad as torch
    >>> torch.trapezoid(torch.tensor([1.0, 3.0, 1.0]))
    tensor(4.)
    """
    axis, widths = _widths("trapezoid", y, x, dx, dim)
    if x is None and y.shape[axis]:
        return (sum(y, axis) - (y.select(axis, 0) + y.select(axis, -1)) * 0.5) * widths
    return sum(_panels(y, axis, widths), axis)


def trapz(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The same as `trapezoid`.

    >>> import tapegrad as torch
    >>> torch.trapz(torch.tensor([1.0, 3.0]))
    tensor(2.)
    """
    return trapezoid(y, x, dx=dx, dim=dim)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The running integral of samples by the trapezoidal rule, one value fewer than samples; composed.

    The arguments are those of `trapezoid`.

    >>> import tapegrad as torch
    >>> torch.cumulative_trapezoid(torch.tensor([1.0, 3.0, 1.0]))
    tensor([2., 4.])
    """
    axis, widths = _widths("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(_panels(y, axis, widths), axis)


for _f in (allclose, equal, renorm, cov, corrcoef, diff, histogram):
    setattr(Tensor, _f.__name__, _f)
Tensor.renorm_ = _renorm_  # type: ignore[attr-defined]
