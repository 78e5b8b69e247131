"""`linear_cross_entropy`: the last layer of a classifier and its loss in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import dtypes, errors
from ...core.tensor import Tensor
from ..linalg.matmul import linear
from .classes import cross_entropy

_POLICIES = ("accurate", "balanced", "compact", "auto")
_METHODS = ("auto", "aspect_ratio")


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch's `linear_cross_entropy` would cut its work into chunks; checked, and otherwise without effect.

    Args:
        allow_retain_graph: whether `backward` may run twice (here it always may).
        batch_chunk_size: rows of a chunk.
        chunking_method: "auto", "aspect_ratio:K", or None for `batch_chunk_size`.
        acc_policy: "accurate", "balanced", "compact" or "auto".
        acc_dtype: the dtype of sums.

    Raises:
        ValueError: a value that is none of these.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        size, method, name = self.batch_chunk_size, self.chunking_method, "LinearCrossEntropyOptions"
        if size is not None and (not isinstance(size, int) or size <= 0):
            text = f"{name}: batch_chunk_size must be positive int or None"
            raise ValueError(errors.message(text, got=size))
        if method is not None and method.split(":")[0] not in _METHODS:
            expected = "'auto', 'aspect_ratio:K' or None"
            raise ValueError(errors.message(f"{name}: invalid chunking_method", got=repr(method), expected=expected))
        if self.acc_policy not in _POLICIES:
            expected = ", ".join(map(repr, _POLICIES))
            got = repr(self.acc_policy)
            raise ValueError(errors.message(f"{name}: invalid acc_policy", got=got, expected=expected))
        if self.acc_dtype not in (None, dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64):
            text = f"{name}: acc_dtype must be None or a floating-point dtype"
            raise ValueError(errors.message(text, got=self.acc_dtype))


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """`cross_entropy(x W^T + b, target)`.

    Args:
        input: x, (N, I) or (I,).
        linear_weight: W, (C, I), or (C, d1, ..., I) for several targets of each row.
        target: class numbers, (N,), (N, d1, ...) or (), or probabilities, (N, C, d1, ...) or (C,).
        linear_bias: b, (C,) or (C, d1, ...).
        weight: factor of each class, (C,).
        reduction: "none", "mean" (weighted by `weight`) or "sum".
        ignore_index: targets of this class number count nothing.
        label_smoothing: the part of the target's probability that is spread over all classes.
        options: how PyTorch would cut the work; the result does not depend on it.

    Raises:
        RuntimeError: shapes do not fit, or `ignore_index` with probabilities.
        ValueError: an unknown reduction.

    >>> import tapegrad as torch
    >>> x, w = torch.zeros(2, 3), torch.zeros(10, 3)
    >>> torch.nn.functional.linear_cross_entropy(x, w, torch.tensor([1, 2]))
    tensor(2.3026)
    """
    _check(input, linear_weight, linear_bias, options)
    classes, *outer, features = linear_weight.shape
    numbers = target.array.dtype.kind in "iu"
    if ignore_index is not None and not numbers:
        text = "linear_cross_entropy: ignore_index cannot be specified when target contains probabilities"
        raise RuntimeError(errors.message(text, got=ignore_index))
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight.reshape(-1, features) if outer else linear_weight, bias)
    if outer:
        logits = logits.reshape(input.shape[0], classes, *outer)
    ignore = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        logits, target, weight, ignore_index=ignore, reduction=reduction, label_smoothing=label_smoothing
    )


def _check(input: Tensor, weight: Tensor, bias: Tensor | None, options: Any) -> None:
    where = "linear_cross_entropy"
    if options is not None and not isinstance(options, LinearCrossEntropyOptions):
        text, got = f"{where}: options must be LinearCrossEntropyOptions", type(options).__name__
        raise AttributeError(errors.message(text, got=got))
    if input.dim() not in (1, 2):
        expected = "(N, I) or (I,)"
        got = tuple(input.shape)
        raise RuntimeError(errors.message(f"{where}: the input must be a matrix", got=got, expected=expected))
    if weight.dim() < 2:
        expected = "(C, I) or (C, d1, ..., I)"
        got = tuple(weight.shape)
        raise RuntimeError(errors.message(f"{where}: linear_weight has too few dimensions", got=got, expected=expected))
    if input.shape[-1] != weight.shape[-1]:
        got = f"{tuple(input.shape)} and {tuple(weight.shape)}"
        text = f"{where}: input and linear_weight must have the same last dimension"
        raise RuntimeError(errors.message(text, got=got))
    if weight.dim() > 2 and input.dim() == 1:
        text = f"{where}: several targets of each row need a batch"
        raise RuntimeError(errors.message(text, got=tuple(input.shape), expected=f"(N, {input.shape[0]})"))
    if bias is not None and bias.shape != weight.shape[:-1]:
        got, expected = tuple(bias.shape), tuple(weight.shape[:-1])
        raise RuntimeError(errors.message(f"{where}: linear_bias does not fit", got=got, expected=expected))
