"""Convolution in one, two and three dimensions, its transpose, and windows as columns (`unfold`, `fold`).

Three bilinear operations, declared here for any number of dimensions, are each other's derivatives; see
`backends/cpu/conv.py` for what they compute. Their arguments are tuples, one number for each spatial dimension: `low`
is the padding before the first element, `size` the spatial shape of the result.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

from ... import errors
from ...backends.cpu import conv as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor
from ..casting import lower
from ..linalg.matmul import conjugate
from ..reduction.reduce import sum

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution",
]  # fmt: skip

# ---- the operations --------------------------------------------------------------------------------------------------


@op(name="convolution", node="ConvolutionBackward0")
def _convolve(x: Array, weight: Array, bias: Array | None, stride, low, dilation, groups, size):
    return kernels.convolve(x, weight, bias, stride, low, dilation, groups, size)


@_convolve.shape
def _(x, weight, bias, stride, low, dilation, groups, size):
    return (x[0], weight[0], *size)


@_convolve.grad("x")
def _(g, weight, x_shape, stride, low, dilation, groups):
    return _convolve_input(g, conjugate(weight), None, stride, low, dilation, groups, x_shape[2:])


@_convolve.grad("weight")
def _(g, x, weight_shape, stride, low, dilation, groups):
    return _convolve_weight(conjugate(x), g, stride, low, dilation, groups, weight_shape[2:])


@_convolve.grad("bias")
def _(g):
    return sum(g, _all_but_channels(g))


@op(name="convolution_input", node="ConvolutionBackward0")
def _convolve_input(x: Array, weight: Array, bias: Array | None, stride, low, dilation, groups, size):
    return kernels.convolve_input(x, weight, bias, stride, low, dilation, groups, size)


@_convolve_input.shape
def _(x, weight, bias, stride, low, dilation, groups, size):
    return (x[0], weight[1] * groups, *size)


@_convolve_input.grad("x")
def _(g, weight, x_shape, stride, low, dilation, groups):
    return _convolve(g, conjugate(weight), None, stride, low, dilation, groups, x_shape[2:])


@_convolve_input.grad("weight")
def _(g, x, weight_shape, stride, low, dilation, groups):
    return _convolve_weight(g, conjugate(x), stride, low, dilation, groups, weight_shape[2:])


@_convolve_input.grad("bias")
def _(g):
    return sum(g, _all_but_channels(g))


@op(name="convolution_weight", node="ConvolutionBackwardBackward0")
def _convolve_weight(x: Array, y: Array, stride, low, dilation, groups, size):
    return kernels.convolve_weight(x, y, stride, low, dilation, groups, size)


@_convolve_weight.shape
def _(x, y, stride, low, dilation, groups, size):
    return (y[1], x[1] // groups, *size)


@_convolve_weight.grad("x")
def _(g, y, x_shape, stride, low, dilation, groups):
    return _convolve_input(conjugate(y), g, None, stride, low, dilation, groups, x_shape[2:])


@_convolve_weight.grad("y")
def _(g, x, y_shape, stride, low, dilation, groups):
    return _convolve(conjugate(x), g, None, stride, low, dilation, groups, y_shape[2:])


def _all_but_channels(g: Any) -> tuple[int, ...]:
    return (0, *range(2, g.ndim))


# ---- arguments -------------------------------------------------------------------------------------------------------


def per_axis(where: str, name: str, value: Any, n: int) -> tuple[int, ...]:
    """One number for each of `n` spatial dimensions, from a number or a sequence of 1 or `n` of them."""
    if value.__class__ is int:
        return (value,) * n
    try:
        if hasattr(value, "__index__"):
            return (operator.index(value),) * n
        found = tuple(map(operator.index, value))
    except TypeError:
        expected = f"an int or {n} of them"
        raise TypeError(
            errors.message(f"{where}: {name} must be integers", got=repr(value), expected=expected)
        ) from None
    if len(found) == 1:
        return found * n
    if len(found) != n:
        raise RuntimeError(errors.message(f"{where}: {name} needs 1 or {n} values", got=found))
    return found


def _check_tensors(where: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Refuse what is no tensor, unequal dtypes, and booleans."""
    for name, t in (("input", x), ("weight", weight), ("bias", bias)):
        if not isinstance(t, Tensor) and (t is not None or name != "bias"):
            raise TypeError(errors.message(f"{where}: {name} must be a tensor", got=type(t).__name__))
    kind = x.array.dtype
    if weight.array.dtype != kind or (bias is not None and bias.array.dtype != kind):
        got = " and ".join(str(t.dtype) for t in (x, weight, bias) if t is not None)
        raise RuntimeError(
            errors.message(f"{where}: input, weight and bias must have one dtype", got=got, fix="x.to(weight.dtype)")
        )
    if kind.kind == "b":
        raise RuntimeError(errors.message(f"{where}: not defined for torch.bool", fix="x.float()"))


def _check_dimensions(where: str, n: int, x: tuple, weight: tuple) -> None:
    """Refuse wrong numbers of dimensions."""
    if len(weight) != n + 2:
        text = f"{where}: the weight has the wrong number of dimensions"
        raise RuntimeError(errors.message(text, got=weight, expected=f"{n + 2} of them"))
    if len(x) not in (n + 1, n + 2):
        text = f"{where}: the input has the wrong number of dimensions"
        raise RuntimeError(errors.message(text, got=x, expected=f"{n + 2} (batched) or {n + 1}"))


def check_numbers(where: str, **numbers: tuple[int, ...]) -> None:
    """Refuse paddings below 0, and whatever else is below 1."""
    for name, values in numbers.items():
        least = 0 if "padding" in name else 1
        if min(values) < least:
            raise RuntimeError(errors.message(f"{where}: {name} must be {least} or more", got=values))


def _check_channels(where: str, x: tuple, weight: tuple, bias: tuple | None, groups: int, transposed: bool) -> None:
    """Refuse channels that do not fit the weight, the groups or the bias."""
    if groups.__class__ is not int or groups <= 0:
        raise RuntimeError(errors.message(f"{where}: groups must be a positive integer", got=repr(groups)))
    first, second, *kernel = weight
    channels = x[-len(kernel) - 1]
    takes, gives = (first, second * groups) if transposed else (second * groups, first)
    if first % groups:
        text = f"{where}: the first size of the weight must be divisible by the groups"
        raise RuntimeError(errors.message(text, got=f"weight of {weight}, groups={groups}"))
    if channels != takes:
        text = errors.message(
            f"{where}: the input has {channels} channels, the weight is for {takes}",
            got=f"input of {x}, weight of {weight}, groups={groups}",
            fix="check in_channels of the layer, and the order (N, C, *) of the input's dimensions",
        )
        raise RuntimeError(text)
    if bias is not None and bias != (gives,):
        raise RuntimeError(errors.message(f"{where}: wrong shape of the bias", got=bias, expected=f"({gives},)"))
    if 0 in kernel:
        raise RuntimeError(errors.message(f"{where}: the kernel is empty", got=weight))


# ---- convolution -----------------------------------------------------------------------------------------------------


def _paddings(where: str, padding: Any, kernel: tuple, stride: tuple, dilation: tuple) -> tuple[tuple, tuple]:
    """Cells before and after each spatial dimension."""
    n = len(kernel)
    if not isinstance(padding, str):
        low = per_axis(where, "padding", padding, n)
        return low, low
    if padding == "valid":
        return (0,) * n, (0,) * n
    if padding != "same":
        raise RuntimeError(errors.message(f"{where}: unknown padding", got=repr(padding), expected="'valid' or 'same'"))
    if any(s != 1 for s in stride):
        raise RuntimeError(errors.message(f"{where}: padding='same' needs a stride of 1", got=f"stride={stride}"))
    total = [d * (k - 1) for d, k in zip(dilation, kernel)]
    return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)


@functools.lru_cache(maxsize=1024)
def _geometry(
    where: str,
    n: int,
    x: tuple,
    weight: tuple,
    bias: tuple | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> tuple[tuple, tuple, tuple, tuple]:
    """(stride, padding before, dilation, spatial shape of the result) of shapes that fit."""
    _check_dimensions(where, n, x, weight)
    stride, dilation = per_axis(where, "stride", stride, n), per_axis(where, "dilation", dilation, n)
    kernel, sizes = weight[2:], x[-n:]
    low, high = _paddings(where, padding, kernel, stride, dilation)
    check_numbers(where, stride=stride, dilation=dilation, padding=low)
    _check_channels(where, x, weight, bias, groups, False)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    room = [size + a + b - span for size, a, b, span in zip(sizes, low, high, spans)]
    if min(room) < 0:
        text = errors.message(
            f"{where}: the kernel is larger than the padded input",
            got=f"input of {x}, padding {low}, kernel of {kernel}, dilation {dilation}",
            expected=f"an input of {tuple(s - a - b for s, a, b in zip(spans, low, high))} or more",
        )
        raise RuntimeError(text)
    return stride, low, dilation, tuple(r // s + 1 for r, s in zip(room, stride))


def _hashable(value: Any) -> Any:
    return tuple(value) if value.__class__ is list else value


def _conv(
    where: str,
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    """Convolution in `n` dimensions."""
    _check_tensors(where, input, weight, bias)
    shapes = input.array.shape, weight.array.shape, None if bias is None else bias.array.shape
    numbers = _hashable(stride), _hashable(padding), _hashable(dilation), groups
    stride, low, dilation, size = _geometry(where, n, *shapes, *numbers)
    if input.array.ndim == n + 2:
        return _convolve(input, weight, bias, stride, low, dilation, groups, size)
    return _convolve(input.unsqueeze(0), weight, bias, stride, low, dilation, groups, size).squeeze(0)


@lower
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`y[n, o, j] = b[o] + sum over c, t of x[n, c, j stride + t dilation - padding] w[o, c, t]`.

    Args:
        input: x, (N, C, L) or (C, L).
        weight: w, (O, C / groups, K).
        bias: b, (O,).
        stride: the step between windows.
        padding: zeros on both sides, 'valid' for none, or 'same' for as many as keep the length (stride 1 only).
        dilation: the step between the elements of a window.
        groups: into how many parts channels are divided that do not see each other.

    Returns:
        y, (N, O, `floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1`).

    Raises:
        RuntimeError: shapes, dtypes or numbers do not fit.

    >>> import tapegrad as torch
    >>> torch.conv1d(torch.tensor([[[1.0, 2.0, 4.0]]]), torch.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2.]]])
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@lower
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`conv1d` in two dimensions: the sums run over windows of (KH, KW).

    Args:
        input: (N, C, H, W) or (C, H, W).
        weight: (O, C / groups, KH, KW).
        bias: (O,).
        stride: the step between windows, for both dimensions or for each.
        padding: zeros on both sides, 'valid' for none, or 'same' for as many as keep the size (stride 1 only).
        dilation: the step between the elements of a window.
        groups: into how many parts channels are divided that do not see each other.

    Returns:
        (N, O, H', W') with `H' = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1`.

    Raises:
        RuntimeError: shapes, dtypes or numbers do not fit.

    >>> import tapegrad as torch
    >>> torch.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@lower
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`conv1d` in three dimensions; arguments and errors as for `conv2d`.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        weight: (O, C / groups, KD, KH, KW).
        bias: (O,).
        stride: the step between windows.
        padding: zeros on both sides, 'valid' or 'same'.
        dilation: the step between the elements of a window.
        groups: into how many parts channels are divided that do not see each other.

    >>> import tapegrad as torch
    >>> torch.conv3d(torch.ones(1, 1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2))
    tensor([[[[[8.]]]]])
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


# ---- transposed convolution ------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _transposed_geometry(
    where: str,
    n: int,
    x: tuple,
    weight: tuple,
    bias: tuple | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: int,
) -> tuple[tuple, tuple, tuple, tuple]:
    """(stride, padding before, dilation, spatial shape of the result) of shapes that fit."""
    _check_dimensions(where, n, x, weight)
    stride, dilation = per_axis(where, "stride", stride, n), per_axis(where, "dilation", dilation, n)
    low, extra = per_axis(where, "padding", padding, n), per_axis(where, "output_padding", output_padding, n)
    check_numbers(where, stride=stride, dilation=dilation, padding=low, output_padding=extra)
    _check_channels(where, x, weight, bias, groups, True)
    kernel, sizes = weight[2:], x[-n:]
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        text = f"{where}: output padding must be smaller than either stride or dilation"
        raise RuntimeError(errors.message(text, got=f"{extra}, stride {stride}, dilation {dilation}"))
    size = tuple(
        (m - 1) * s - 2 * a + d * (k - 1) + e + 1
        for m, s, a, d, k, e in zip(sizes, stride, low, dilation, kernel, extra)
    )
    if min(size) <= 0:
        got = f"input of {x}, kernel of {kernel}, padding {low}"
        raise RuntimeError(errors.message(f"{where}: the output would be empty, {size}", got=got))
    return stride, low, dilation, size


def _conv_transpose(
    where: str,
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    """Transposed convolution in `n` dimensions."""
    _check_tensors(where, input, weight, bias)
    shapes = input.array.shape, weight.array.shape, None if bias is None else bias.array.shape
    numbers = _hashable(stride), _hashable(padding), _hashable(output_padding), _hashable(dilation), groups
    stride, low, dilation, size = _transposed_geometry(where, n, *shapes, *numbers)
    if input.array.ndim == n + 2:
        return _convolve_input(input, weight, bias, stride, low, dilation, groups, size)
    return _convolve_input(input.unsqueeze(0), weight, bias, stride, low, dilation, groups, size).squeeze(0)


@lower
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """The derivative of `conv1d` by its input: every element of x is spread over a window of the output.

    `y[n, o, i] = b[o] + sum over c, j, t with i = j stride + t dilation - padding of x[n, c, j] w[c, o, t]`

    Args:
        input: x, (N, C, L) or (C, L).
        weight: w, (C, O / groups, K).
        bias: b, (O,).
        stride: the step between windows.
        padding: how much is cut off on both sides.
        output_padding: how much is added at the end, less than the stride or the dilation.
        groups: into how many parts channels are divided that do not see each other.
        dilation: the step between the elements of a window.

    Returns:
        y, (N, O, `(L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1`).

    Raises:
        RuntimeError: shapes, dtypes or numbers do not fit.

    >>> import tapegrad as torch
    >>> torch.conv_transpose1d(torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1, 2), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@lower
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """`conv_transpose1d` of (N, C, H, W) with a weight of (C, O / groups, KH, KW); arguments and errors are alike.

    >>> import tapegrad as torch
    >>> torch.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).shape
    torch.Size([1, 1, 3, 3])
    """
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@lower
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """`conv_transpose1d` of (N, C, D, H, W) with a weight of (C, O / groups, KD, KH, KW); arguments and errors are
    alike.
    """
    return _conv_transpose(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@lower
def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """Any of the functions above: the number of dimensions is that of the weight, less two."""
    n = weight.dim() - 2
    if transposed:
        return _conv_transpose("convolution", n, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _conv("convolution", n, input, weight, bias, stride, padding, dilation, groups)
