"""Activation functions: what stands between two linear layers, one scalar expression each.

References: Hendrycks & Gimpel 2016 (gelu), Elfwing et al. 2018 (silu), Misra 2019 (mish), Clevert et al. 2016 (elu),
Barron 2017 (celu), Klambauer et al. 2017 (selu), He et al. 2015 (prelu), Xu et al. 2015 (rrelu), Howard et al. 2019
(hardswish), Dauphin et al. 2017 (glu).
"""

from __future__ import annotations

import math

from ... import dtypes, errors, shapes
from ...backends.cpu import rows
from ...core.op import Array, elementwise, op
from ...core.tensor import Tensor
from ...ir import expr as e
from ..casting import lower
from ..pointwise.bounds import clamp_max
from ..pointwise.compare import where
from ..pointwise.functions import abs, erf, exp, sigmoid
from ..pointwise.trigonometry import tanh
from ..random.draws import drawn_slopes
from ..shape.joining import cat

# The names that PyTorch has at the top as well.
__all__ = ("celu celu_ hardshrink prelu relu relu_ rrelu rrelu_ selu selu_ threshold threshold_").split()

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

# Where PyTorch's large and small tensors disagree about the gradient at NaN, these formulas are those of small ones.

# ---- piecewise linear ------------------------------------------------------------------------------------------------


@elementwise(refuses="B", linked=True)
def relu(x):
    """Rectified linear unit: `max(x, 0)`.

    >>> import tapegrad as torch
    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return e.maximum(x, 0)


@relu.grad
def _(g, out):
    return where(out <= 0, 0, g)  # a NaN lets the gradient pass


def relu_(input: Tensor) -> Tensor:
    """In-place form of `relu`."""
    return input.relu_()


@elementwise(method=False, refuses="biu", node="LeakyReluBackward0", linked=True, static=("negative_slope",))
def leaky_relu(x, negative_slope=0.01):
    """`x` where positive, `negative_slope * x` elsewhere."""
    if not isinstance(negative_slope, e.Expr) and 0 < negative_slope <= 1:
        return e.maximum(x, x * negative_slope)  # the same, in half the time
    return e.where(x > 0, x, x * negative_slope)


@leaky_relu.grad
def _(g, x, negative_slope):
    return where(x > 0, g, g * negative_slope)


@elementwise(method=False, name="_prelu_kernel", node="PreluKernelBackward0", inplace=False, linked=True)
def prelu_kernel(x, weight, rising=False):
    """`x` where positive, `weight * x` elsewhere, the weight broadcast; `rising`: it is above 0 and at most 1."""
    return e.maximum(x, weight * x) if rising else e.where(x > 0, x, weight * x)


@prelu_kernel.grad("x")
def _(g, x, weight):
    return where(x > 0, g, weight * g)


@prelu_kernel.grad("weight")
def _(g, x):
    return where(x > 0, 0, x * g)


@lower
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`x` where positive, `weight * x` elsewhere.

    Args:
        input: any shape; dimension 1 is the channels.
        weight: one slope, or one per channel.

    Raises:
        RuntimeError: the number of slopes is neither 1 nor that of the channels.

    >>> import tapegrad as torch
    >>> torch.prelu(torch.tensor([-2.0, 2.0]), torch.tensor([0.5]))
    tensor([-1.,  2.])
    """
    channels = input.shape[1] if input.dim() > 1 else 1
    if weight.dim() > 1 or weight.numel() not in (1, channels):
        raise RuntimeError(
            errors.message(
                "prelu: the weight must be one slope, or one per channel (dimension 1 of the input)",
                got=f"weight {tuple(weight.shape)}, input {tuple(input.shape)}",
            )
        )
    if input.dim() > 1 and weight.dim() == 1:
        weight = weight.reshape(1, -1, *(1,) * (input.dim() - 2))  # (1, C, 1, ...)
    elif input.dim() == 0:
        weight = weight.reshape(())
    slopes = weight.array
    rising = input.array.size > 4096 and slopes.size > 0 and bool(slopes.min() > 0 and slopes.max() <= 1)
    return prelu_kernel(input, weight, rising)


Tensor.prelu = prelu  # type: ignore[attr-defined]


@elementwise(method=False, name="rrelu_with_noise", node="RreluWithNoiseBackward0", inplace=False)
def rrelu_with_noise(x, noise):
    """`x * noise`: the slope that was drawn for each element, 1 where `x` is positive."""
    return x * noise


@rrelu_with_noise.grad("x")
def _(g, noise):
    return g * noise


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`x` where positive, `slope * x` elsewhere; slopes are drawn from U(lower, upper) in training, else their mean.

    Args:
        input: any shape.
        lower: smallest slope.
        upper: largest slope.
        training: draw a slope for each element.

    Raises:
        RuntimeError: `lower` is above `upper`.

    >>> import tapegrad as torch
    >>> torch.rrelu(torch.tensor([-1.0, 1.0]), 0.0, 0.5)
    tensor([-0.2500,  1.0000])
    """
    return rrelu_with_noise(input, _slopes(input, lower, upper, training))


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """In-place form of `rrelu`."""
    return input.mul_(_slopes(input, lower, upper, training))


def _slopes(input: Tensor, lower: float, upper: float, training: bool) -> Tensor:
    """The slope of each element: 1 where it is positive. Only the others draw a number, in double precision."""
    if lower > upper:
        text = errors.message("rrelu: the lower bound must not be above the upper bound", got=f"{lower} and {upper}")
        raise RuntimeError(text)
    below = input.detach() <= 0
    if not training:
        return where(below, (lower + upper) / 2, input.new_ones(()))
    return drawn_slopes(below, input.dtype, lower, upper)


@elementwise(method=False, refuses="b", float_only=False, linked=True)
def hardtanh(x, min_val=-1.0, max_val=1.0):
    """`x` limited to `[min_val, max_val]`; the gradient is zero at the limits and beyond."""
    return e.minimum(e.maximum(x, min_val), max_val)


@hardtanh.grad
def _(g, x, min_val, max_val):
    return where((x <= min_val) | (x >= max_val), 0, g)


@elementwise(method=False, refuses="biu")
def hardsigmoid(x):
    """`(x + 3) / 6` limited to `[0, 1]`."""
    return e.minimum(e.maximum(x + 3, 0), 6) / 6


@hardsigmoid.grad
def _(g, x):
    return where((x > -3) & (x < 3), g / 6, 0)


@elementwise(method=False, refuses="biu")
def hardswish(x):
    """`x * hardsigmoid(x)`."""
    return x * e.minimum(e.maximum(x + 3, 0), 6) / 6


@hardswish.grad
def _(g, x):
    return where(x <= -3, 0, where(x >= 3, g, g * (x / 3 + 0.5)))


@elementwise(inplace=False, refuses="biu", linked=True)
def hardshrink(x, lambd=0.5):
    """`x` with everything in `[-lambd, lambd]` set to zero.

    >>> import tapegrad as torch
    >>> torch.hardshrink(torch.tensor([0.2, 1.0]))
    tensor([0., 1.])
    """
    return e.where(e.abs(x) <= lambd, 0, x)


@hardshrink.grad
def _(g, x, lambd):
    return where(abs(x) <= lambd, 0, g)


@elementwise(method=False, inplace=False, refuses="biu", linked=True)
def softshrink(x, lambd=0.5):
    """`x` moved towards zero by `lambd`, and zero in `[-lambd, lambd]`."""
    return x - e.minimum(e.maximum(x, -lambd), lambd)


@softshrink.grad
def _(g, x, lambd):
    return where(abs(x) <= lambd, 0, g)


@elementwise(method=False, float_only=False, linked=True)
def threshold(x, threshold=0.0, value=0.0):
    """`x` where it is above `threshold`, `value` elsewhere."""
    return e.where(x <= threshold, value, x)


@threshold.grad
def _(g, x, threshold):
    return where(x <= threshold, 0, g)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place form of `threshold`."""
    return input.threshold_(threshold, value)


# ---- exponential -----------------------------------------------------------------------------------------------------
# Exponentials of numbers that a `where` will not take are limited first: they would overflow, with a warning. Second
# derivatives at 0 are those of the straight side, as PyTorch's.


@elementwise(method=False, refuses="biu")
def elu(x, alpha=1.0, scale=1.0, input_scale=1.0):
    """`scale * x` where positive, `scale * alpha * (exp(input_scale * x) - 1)` elsewhere."""
    return e.where(x <= 0, e.expm1(e.minimum(x, 0) * input_scale) * alpha * scale, x * scale)


@elu.grad
def _(g, x, alpha, scale, input_scale):
    return where(x <= 0, g * (alpha * scale * input_scale) * exp(where(x < 0, x, 0) * input_scale), g * scale)


@elementwise(method=False, refuses="biu", name="celu")
def _celu(x, alpha=1.0):
    return e.where(x > 0, x, e.expm1(e.minimum(x, 0) / alpha) * alpha)


@_celu.grad
def _(g, x, alpha):
    return where(x <= 0, g * exp(where(x < 0, x, 0) / alpha), g)


def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` where positive, `alpha * (exp(x / alpha) - 1)` elsewhere.

    Raises:
        RuntimeError: `alpha` is zero.

    >>> import tapegrad as torch
    >>> torch.celu(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    _check_alpha(alpha)
    return _celu(input, alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place form of `celu`."""
    _check_alpha(alpha)
    return input.celu_(alpha)


def _check_alpha(alpha: float) -> None:
    if alpha == 0:
        raise RuntimeError(errors.message("celu: alpha cannot be 0 (ZeroDivisionError)", got=alpha))


def selu(input: Tensor) -> Tensor:
    """Scaled elu, which keeps mean 0 and variance 1 through many layers: `1.0507 * elu(x, 1.6733)`.

    >>> import tapegrad as torch
    >>> torch.selu(torch.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    return elu(input, SELU_ALPHA, SELU_SCALE)


def selu_(input: Tensor) -> Tensor:
    """In-place form of `selu`."""
    return input.elu_(SELU_ALPHA, SELU_SCALE)


@elementwise(method=False, inplace=False, refuses="biu")
def softplus(x, beta=1.0, threshold=20.0):
    """`log(1 + exp(beta * x)) / beta`, a smooth relu; `x` itself where `beta * x > threshold`."""
    scaled = x * beta
    return e.where(scaled > threshold, x, e.log1p(e.exp(e.minimum(scaled, threshold))) / beta)


@softplus.grad
def _(g, x, beta, threshold):
    return where(x * beta > threshold, g, g * sigmoid(x * beta))


@elementwise(method=False, inplace=False, refuses="biu", name="log_sigmoid", node="LogSigmoidBackward0")
def logsigmoid(x):
    """`log(1 / (1 + exp(-x)))`, without the overflow of the plain formula."""
    return e.minimum(x, 0) - e.log1p(e.exp(-e.abs(x)))


@logsigmoid.grad
def _(g, x):
    return g * sigmoid(-x)


@elementwise(method=False, refuses="biu")
def silu(x):
    """Sigmoid linear unit (swish): `x * sigmoid(x)`."""
    return x / (1 + e.exp(-x))


@silu.grad
def _(g, x):
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


@elementwise(method=False, refuses="biu")
def mish(x):
    """`x * tanh(softplus(x))`.

    With `t = exp(x)` and `n = t * (t + 2)` the factor is `n / (n + 2)`: one exponential, and exactly 1 from x = 20 on.
    """
    t = e.exp(e.minimum(x, 20))
    n = t * (t + 2)
    return x * (n / (n + 2))


@mish.grad
def _(g, x):
    t = exp(clamp_max(x, 20))
    n = t * (t + 2)
    factor = n / (n + 2)
    return g * (factor + x * sigmoid(x) * (1 - factor * factor))


@elementwise(method=False, inplace=False, refuses="biu", node="GeluBackward0")
def gelu_erf(x):
    """`x` times the probability that a standard normal number is below `x`."""
    return x * 0.5 * (1 + e.erf(x * math.sqrt(0.5)))


@gelu_erf.grad
def _(g, x):
    return g * _slope(x)


# logit(P(N(0, 1) <= x)) / x as a rational function of x * x, from 0 to 36: all coefficients of one sign, fitted for
# this file (weighted least squares, reweighted towards the least maximal error). Up to abs(x) = 2 its relative error is
# below 4e-8; beyond, where less of it is left in the result, it is 1e-7 at 3 and 4e-6 at 6.
_LOGIT = (
    (1.595769067479098, 0.2211638147100253, 0.01824339293239107, 0.000556709781897542, 1.4922454594354003e-06),
    (1.0, 0.09305351803355398, 0.007241894853019054, 8.812593784916585e-05),
)


def _minus_logit(x, square):
    """`-logit(P(N(0, 1) <= x))` of numbers, arrays, tensors or expressions, given `x * x` limited to 36."""
    (a0, a1, a2, a3, a4), (b0, b1, b2, b3) = _LOGIT
    upper = (((-a4 * square - a3) * square - a2) * square - a1) * square - a0
    return x * (upper / (((b3 * square + b2) * square + b1) * square + b0))


@elementwise(method=False, inplace=False, refuses="biu", node="GeluBackward0")
def gelu_single(x):
    """`gelu_erf` to the precision of float32, in half the time, and without its cancellation left of zero."""
    return x / (1 + e.exp(_minus_logit(x, e.minimum(x * x, 36))))


@gelu_single.grad
def _(g, x):
    square = x * x
    share = 1 / (1 + exp(_minus_logit(x, clamp_max(square, 36))))
    return g * (share + x * exp(-0.5 * square) * (1 / math.sqrt(2 * math.pi)))


@op(name="gelu_large", node="GeluBackward0")
def _gelu_large(x: Array):
    """`gelu_single` of large arrays in machine code: one exponential serves the function and its derivative."""
    return rows.gelu(x) if rows.has_gelu(x) else gelu_single(x)


@_gelu_large.grad
def _(g, x):
    return _gelu_backward(g, x)


@op(name="gelu_backward")
def _gelu_backward(dy: Array, x: Array):
    if rows.has_gelu(x) and dy.dtype == x.dtype and dy.shape == x.shape:
        return rows.gelu_backward(dy, x)
    return dy * _slope(x)


_gelu_large.shape(lambda x: x)
_gelu_backward.shape(lambda dy, x: x)


def _slope(x):
    """The derivative of GELU."""
    return 0.5 * (1 + erf(x * math.sqrt(0.5))) + x * exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


@_gelu_backward.grad("dy")
def _(g, x):
    return g * _slope(x)


@_gelu_backward.grad("x")
def _(g, dy, x):
    return g * dy * (2 - x * x) * exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


@elementwise(method=False, inplace=False, refuses="biu", node="GeluBackward0")
def gelu_tanh(x):
    """`gelu` with the normal distribution approximated by a tanh."""
    return 0.5 * x * (1 + e.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


@gelu_tanh.grad
def _(g, x):
    t = tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    slope = math.sqrt(2 / math.pi) * (1 + (3 * 0.044715) * x * x)
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)


def gelu(input: Tensor, *, approximate: str = "none", out: Tensor | None = None) -> Tensor:
    r"""Gaussian error linear unit: `x * P(N(0, 1) <= x)`.

    Args:
        input: any shape.
        approximate: "none", or "tanh" for `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
        out: where to put the result.

    Raises:
        RuntimeError: another `approximate`.
    """
    if approximate not in ("none", "tanh"):
        expected = "'none' or 'tanh'"
        raise RuntimeError(errors.message("gelu: unknown approximate", got=repr(approximate), expected=expected))
    if approximate == "none" and out is None and isinstance(input, Tensor) and rows.has_gelu(input.array):
        return _gelu_large(input)
    exact = gelu_erf if getattr(input, "dtype", None) is dtypes.float64 else gelu_single
    function = exact if approximate == "none" else gelu_tanh
    return function(input) if out is None else function(input, out=out)


# ---- gates -----------------------------------------------------------------------------------------------------------


def _halves(x: Array, dim: int) -> tuple[Array, Array]:
    """The first and the second half of `x` along `dim`: views of an array or a tensor."""
    dim = shapes.axis("glu", dim, x.ndim)
    n = x.shape[dim]
    if n % 2:
        raise RuntimeError(
            errors.message("glu: the halved dimension must have an even size", got=f"{n} at dimension {dim}")
        )
    lead = (slice(None),) * dim
    return x[(*lead, slice(None, n // 2))], x[(*lead, slice(n // 2, None))]


@op
def glu(x: Array, dim=-1):
    """Gated linear unit: `a * sigmoid(b)`, where a and b are the halves of `x` along `dim`."""
    if x.ndim == 0:
        raise RuntimeError(errors.message("glu does not support 0-dimensional tensors"))
    a, b = _halves(x, dim)
    return a * sigmoid(b)


@glu.shape
def _(x, dim=-1):
    dim = shapes.axis("glu", dim, len(x))
    return (*x[:dim], x[dim] // 2, *x[dim + 1 :])


@glu.grad
def _(g, x, dim):
    a, b = _halves(x, dim)
    s = sigmoid(b)
    return cat([g * s, g * a * (s * (1 - s))], dim)
