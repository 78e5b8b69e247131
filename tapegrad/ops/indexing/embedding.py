"""Embedding: rows of a table, picked by number."""

from __future__ import annotations

import numpy as np

from ... import errors
from ...backends.cpu import index as kernels
from ...backends.cpu.halves import FLOAT32, HALVES
from ...core.op import Array, op
from ...core.tensor import Tensor
from ...modes import no_grad


@op(name="embedding", node="EmbeddingBackward0")
def _embedding(weight: Array, indices: Array, padding_idx=-1, scale_grad_by_freq=False):
    return weight.take(indices, 0) if weight.flags.c_contiguous else weight[indices]  # half the time


@_embedding.shape
def _(weight, indices, *_):
    return (*indices, *weight[1:])


@_embedding.grad("weight")
def _(g, indices, padding_idx, scale_grad_by_freq, weight_shape):
    return _embedding_backward(g, indices, weight_shape[0], padding_idx, scale_grad_by_freq)


@op(name="embedding_dense_backward")
def _embedding_backward(dy: Array, indices: Array, count, padding_idx, scale_grad_by_freq):
    flat = dy.reshape(indices.size, dy.shape[-1])  # (N, D)
    if padding_idx >= 0 or scale_grad_by_freq:
        flat = flat * factors(indices, padding_idx, scale_grad_by_freq).reshape(-1, 1).astype(dy.dtype)
    out = np.zeros((count, dy.shape[-1]), FLOAT32 if dy.dtype in HALVES else dy.dtype)
    kernels.scatter_rows(out, indices.reshape(-1), flat.astype(out.dtype, copy=False))
    return out.astype(dy.dtype, copy=False)


@_embedding_backward.shape
def _(dy, indices, count, *_):
    return (count, dy[-1])


@_embedding_backward.grad("dy")
def _(g, indices, padding_idx, scale_grad_by_freq):
    picked = _embedding(g, indices)
    if padding_idx < 0 and not scale_grad_by_freq:
        return picked
    return picked * factors(indices, padding_idx, scale_grad_by_freq)


@op(name="_embedding_factors", nondiff=True)
def factors(indices: Array, padding_idx, by_freq):
    """What the gradient of each picked row is multiplied with, (*, 1): 0 for padding, 1 / its count if asked for."""
    factor = (indices != padding_idx).astype(np.float64)
    if by_freq:
        _, inverse, counts = np.unique(indices, return_inverse=True, return_counts=True)
        factor /= counts[inverse].reshape(indices.shape)
    return factor[..., None]


factors.shape(lambda indices, *_: (*indices, 1))


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that `input` names.

    Args:
        input: row numbers, any shape, int64 or int32.
        weight: the table, (V, D).
        padding_idx: a row that gets no gradient.
        max_norm: rows that are picked and longer than this are scaled down to it, in the table, unrecorded.
        norm_type: the p of that length.
        scale_grad_by_freq: divide the gradient of a row by how often it is picked.
        sparse: accepted for compatibility; gradients are dense.

    Returns:
        A tensor of shape (*input.shape, D).

    Raises:
        IndexError: a number that is no row.
        RuntimeError: another dtype of numbers, or a table that is no matrix.
        AssertionError: `padding_idx` is no row.

    >>> import tapegrad as torch
    >>> table = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    >>> torch.nn.functional.embedding(torch.tensor([1, 0]), table)
    tensor([[1., 2.],
            [0., 0.]])
    """
    if not isinstance(input, Tensor) or not isinstance(weight, Tensor):
        got = f"{type(input).__name__} and {type(weight).__name__}"
        raise TypeError(errors.message("embedding: indices and table must be tensors", got=got))
    if weight.dim() != 2:
        raise RuntimeError(errors.message("embedding: the table 'weight' must be 2-D", got=tuple(weight.shape)))
    _check_indices(input, weight.shape[0])
    padding_idx = padding_row(padding_idx, weight.shape[0])
    if max_norm is not None:
        limit_rows(weight, input, max_norm, norm_type)
    return _embedding(weight, input, padding_idx, scale_grad_by_freq)


def padding_row(padding_idx: int | None, count: int) -> int:
    """`padding_idx` counted from the front, -1 for none.

    Raises:
        AssertionError: it is no row of a table with `count` rows.
    """
    if padding_idx is None:
        return -1
    if not -count <= padding_idx < count:
        raise AssertionError(
            errors.message(
                "Padding_idx must be within num_embeddings", got=padding_idx, expected=f"{-count} to {count - 1}"
            )
        )
    return padding_idx % count


def _check_indices(input: Tensor, count: int) -> None:
    array = input.array
    if array.dtype not in (np.int64, np.int32):
        expected = "torch.int64 or torch.int32"
        raise RuntimeError(
            errors.message(
                "embedding: indices have the wrong dtype", got=input.dtype, expected=expected, fix="input.long()"
            )
        )
    if array.size and (array.min() < 0 or array.max() >= count):
        wrong = array[(array < 0) | (array >= count)][0]
        raise IndexError(
            errors.message("embedding: index out of range in self", got=wrong, expected=f"0 to {count - 1}")
        )


def limit_rows(weight: Tensor, input: Tensor, max_norm: float, p: float) -> None:
    """Scale picked rows down to length `max_norm`."""
    with no_grad():
        picked = np.unique(input.array)
        table = weight.array
        length = (np.abs(table[picked]) ** p).sum(1) ** (1 / p)
        long = length > max_norm
        table[picked[long]] *= (max_norm / (length[long] + 1e-7))[:, None].astype(table.dtype)
        weight.bump()
