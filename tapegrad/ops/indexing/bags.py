"""Bags of embeddings: rows of a table, picked by number, summed, averaged or maximised over each bag.

A sum over bags is the product of a sparse matrix and the table, linear in the table and in the weights of the entries;
`mix_rows` and `match_rows` are each other's derivatives.
"""

from __future__ import annotations

import numpy as np

from ... import errors
from ...backends.cpu import entries
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ..pointwise.compare import where
from ..reduction.adjoints import place
from ..shape.movement import reshape
from .embedding import factors, limit_rows

MODES = ("sum", "mean", "max")

# ---- the operations --------------------------------------------------------------------------------------------------
# source, target and weight: (T, M), the entries (see backends/cpu/entries.py).


@op(name="mix_rows", node="EmbeddingBagBackward0")
def _mixed(x: Array, weight: Array | None, source: Array | None, target: Array | None, count, by_freq=False):
    return entries.mix(x, weight, source, target, count)


@_mixed.shape
def _(x, weight, source, target, count, by_freq=False):
    return (count, x[1])


@_mixed.grad("x")
def _(g, weight, source, target, by_freq, x_shape, source_shape):
    if by_freq:
        share = reshape(factors(source, -1, True), source_shape)
        weight = share if weight is None else weight * share
    return _mixed(g, weight, target, source, x_shape[0])


@_mixed.grad("weight")
def _(g, x, source, target):
    return _matched(g, x, target, source)


@op(name="match_rows")
def _matched(x: Array, y: Array, target: Array | None, source: Array | None):
    return entries.match(x, y, target, source)


@_matched.shape
def _(x, y, target, source):
    return target if source is None else source


@_matched.grad("x")
def _(g, y, target, source, x_shape):
    return _mixed(y, g, source, target, x_shape[0])


@_matched.grad("y")
def _(g, x, target, source, y_shape):
    return _mixed(x, g, target, source, y_shape[0])


@op(name="bag_maximum", node="EmbeddingBagBackward0", returns=("values", "rows"))
def _maximum(x: Array, source: Array, starts: Array, ends: Array):
    return entries.bag_maximum(x, source, starts, ends)


@_maximum.shape
def _(x, source, starts, ends):
    return (*starts, x[1])


@_maximum.grad("x")
def _(g, rows, x_shape):
    there = rows >= 0
    return place(where(there, g, 0.0), where(there, rows, 0), x_shape, 0, True, True)


# ---- the function ----------------------------------------------------------------------------------------------------


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of `weight` that each bag names: `y[b] = sum over i in b of w_i W[i]`.

    Args:
        input: row numbers, (B, L) for B bags of L, or (N,) for bags one after the other.
        weight: the table W, (V, D).
        offsets: where each bag begins in an input of (N,), (B,); the first is 0.
        max_norm: rows that are picked and longer than this are scaled down to it, in the table, unrecorded.
        norm_type: the p of that length.
        scale_grad_by_freq: divide the gradient of a row by how often it is picked.
        mode: "sum", "mean" or "max".
        sparse: accepted for compatibility; gradients are dense.
        per_sample_weights: w, of the shape of the input; for mode "sum".
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: a row that counts as absent.

    Returns:
        y, (B, D); zeros for empty bags.

    Raises:
        ValueError: numbers of dimensions, a mode or options that do not go together.
        RuntimeError: numbers that are no rows, offsets that do not fit, or wrong dtypes.
        NotImplementedError: `per_sample_weights` with another mode than "sum".

    >>> import tapegrad as torch
    >>> table = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    >>> torch.nn.functional.embedding_bag(torch.tensor([[0, 1], [2, 2]]), table)
    tensor([[1., 2.],
            [4., 5.]])
    """
    input, offsets, per_sample = _bags(input, offsets, per_sample_weights)
    _check(input, weight, offsets, mode, per_sample, scale_grad_by_freq, sparse)
    padding = _padding(padding_idx, weight.shape[0])
    numbers = input.array.astype(np.intp, copy=False)
    starts, ends = _borders(offsets.array.astype(np.intp, copy=False), len(numbers), include_last_offset)
    if max_norm is not None:
        limit_rows(weight, input, max_norm, norm_type)
    source = np.where(numbers == padding, -1, numbers) if padding >= 0 else numbers
    if mode == "max":
        return _maximum(weight, wrap(source), wrap(starts), wrap(ends))[0]
    target = np.repeat(np.arange(len(starts)), ends - starts)
    source = source[: len(target)]
    share: Tensor | None = None
    if per_sample is not None:
        share = per_sample[: len(target)].reshape(1, -1)
    elif mode == "mean":
        counts = np.bincount(target[source >= 0], minlength=len(starts))
        share = wrap((1 / np.maximum(counts, 1))[target][None].astype(weight.array.dtype))
    return _mixed(weight, share, wrap(source[None]), wrap(target[None]), len(starts), bool(scale_grad_by_freq))


def _bags(input: Tensor, offsets: Tensor | None, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The row numbers, offsets and weights of bags of any lengths, from those of bags of one length too."""
    if weights is not None and weights.shape != input.shape:
        got = f"{tuple(weights.shape)}, input {tuple(input.shape)}"
        text = "embedding_bag: per_sample_weights must have the shape of the input"
        raise ValueError(errors.message(text, got=got))
    if input.dim() == 2:
        if offsets is not None:
            text = "embedding_bag: if input is 2D, then offsets has to be None: its rows are the bags"
            raise ValueError(errors.message(text, got=f"offsets of shape {tuple(offsets.shape)}"))
        b, n = input.shape
        begins = wrap(np.arange(b, dtype=input.array.dtype) * n)
        return input.reshape(-1), begins, None if weights is None else weights.reshape(-1)
    if input.dim() != 1:
        raise ValueError(errors.message("embedding_bag: input has to be 1D or 2D", got=tuple(input.shape)))
    if offsets is None or offsets.dim() != 1:
        got = None if offsets is None else tuple(offsets.shape)
        raise ValueError(errors.message("embedding_bag: offsets has to be a 1D Tensor", got=got))
    return input, offsets, weights


def _check(
    input: Tensor, weight: Tensor, offsets: Tensor, mode: str, per_sample: Tensor | None, by_freq: bool, sparse: bool
) -> None:
    if mode not in MODES:
        expected = ", ".join(map(repr, MODES))
        raise ValueError(errors.message("embedding_bag: unknown mode", got=repr(mode), expected=expected))
    if mode == "max" and (by_freq or sparse):
        option = "scale_grad_by_freq" if by_freq else "sparse"
        raise ValueError(errors.message(f"embedding_bag: mode 'max' does not support {option}"))
    for name, t in (("input", input), ("offsets", offsets)):
        if t.array.dtype not in (np.int64, np.int32):
            expected = "torch.int64 or torch.int32"
            text = f"embedding_bag: {name} has the wrong dtype"
            raise RuntimeError(errors.message(text, got=t.dtype, expected=expected))
    if not weight.is_floating_point():
        raise RuntimeError(errors.message("embedding_bag: the table must be floating point", got=weight.dtype))
    if weight.dim() != 2:
        raise RuntimeError(errors.message("embedding_bag: the table must be 2-D", got=tuple(weight.shape)))
    if per_sample is not None:
        if mode != "sum":
            text = "embedding_bag: per_sample_weights is only supported for mode='sum'"
            raise NotImplementedError(errors.message(text, got=f"mode={mode!r}"))
        if per_sample.dtype is not weight.dtype:
            text = "embedding_bag: per_sample_weights and the table must have one dtype"
            raise RuntimeError(errors.message(text, got=f"{per_sample.dtype} and {weight.dtype}"))
    array, count = input.array, weight.shape[0]
    if array.size and (array.min() < 0 or array.max() >= count):
        wrong = array[(array < 0) | (array >= count)][0]
        raise RuntimeError(errors.message("embedding_bag: no such row", got=wrong, expected=f"0 to {count - 1}"))


def _padding(padding_idx: int | None, count: int) -> int:
    """`padding_idx` counted from the front, -1 for none."""
    if padding_idx is None:
        return -1
    if not -count <= padding_idx < count:
        text = "embedding_bag: padding_idx must be a row of the table"
        raise RuntimeError(errors.message(text, got=padding_idx, expected=f"{-count} to {count - 1}"))
    return padding_idx % count


def _borders(offsets: Array, n: int, include_last: bool) -> tuple[Array, Array]:
    """Where each bag begins and ends among n row numbers."""
    if include_last and len(offsets) < 1:
        raise RuntimeError(errors.message("embedding_bag: include_last_offset needs at least one offset"))
    if len(offsets) and offsets[0] != 0:
        raise RuntimeError(errors.message("embedding_bag: offsets[0] has to be 0", got=offsets[0]))
    if len(offsets) and offsets[-1] > n:
        text = f"embedding_bag: offsets[-1] can not be greater than the length of the input, {n}"
        raise RuntimeError(errors.message(text, got=offsets[-1]))
    if (offsets[1:] < offsets[:-1]).any():
        raise RuntimeError(errors.message("embedding_bag: offsets must not decrease", got=offsets.tolist()))
    if include_last:
        return offsets[:-1], offsets[1:]
    return offsets, np.append(offsets[1:], n) if len(offsets) else offsets
