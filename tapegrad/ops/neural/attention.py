"""Scaled dot-product attention: every query takes the mean of all values, weighted by how well it fits their keys.

Reference: Vaswani et al. 2017. The operation keeps no array of the size queries times keys but a boolean one where
there is dropout (Note [Blocks] in `backends/cpu/attention`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import errors, shapes
from ...backends.cpu import attention as kernels
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ...dtypes import bool_, float32
from ..casting import lower
from ..linalg.matmul import matmul
from ..pointwise.compare import where
from ..reduction.reduce import sum
from .softmax import softmax

# query: (..., L, E), key: (..., S, E), value: (..., S, V), masks: (..., L, S); leading dimensions broadcast.


def _node_name(node: Any) -> str:
    """PyTorch has one operation for four dimensions, and composes the others (shapes are kept for `key_shape`)."""
    q, k, v, _, keep = node.shapes
    if keep is None and len(q) == len(k) == len(v) == 4 and k == v and q[:2] == k[:2] and q[3] == k[3]:
        return "ScaledDotProductFlashAttentionForCpuBackward0" if node.inputs[3] is None else "UnsafeViewBackward0"
    return "MmBackward0" if len(q) == len(k) == len(v) == 2 else "UnsafeViewBackward0"


@op(name="scaled_dot_product_attention", node=_node_name, returns=("out", "logs"), hidden=1)
def _attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None,
    keep: Array | None,
    dropout_p,
    is_causal,
    scale,
):
    return kernels.attention(query, key, value, attn_mask, keep, dropout_p, is_causal, scale)


@_attention.shape
def _(query, key, value, attn_mask, keep, dropout_p, is_causal, scale):
    return _result(query, key, value, attn_mask)


def _result(query: Any, key: Any, value: Any, attn_mask: Any) -> tuple[int, ...]:
    """The shape of the result."""
    where = "scaled_dot_product_attention"
    if query[-1] != key[-1] or key[-2] != value[-2]:
        got = f"query {tuple(query)}, key {tuple(key)}, value {tuple(value)}"
        expected = "(..., L, E), (..., S, E) and (..., S, V)"
        raise RuntimeError(errors.message(f"{where}: sizes do not fit", got=got, expected=expected))
    batch = shapes.broadcast(where, query[:-2], key[:-2], value[:-2])
    if attn_mask is not None:
        scores = (*batch, query[-2], key[-2])
        if len(attn_mask) < 2:
            raise IndexError(errors.message(f"{where}: attn_mask must have 2 dimensions or more", got=tuple(attn_mask)))
        if shapes.broadcast(f"{where} (attn_mask)", scores, attn_mask) != scores:
            text = f"{where}: attn_mask does not broadcast to (..., L, S)"
            raise RuntimeError(errors.message(text, got=tuple(attn_mask), expected=scores))
    return (*batch, query[-2], value[-1])


@_attention.grad("query", "key", "value", "attn_mask")
def _(g, query, key, value, attn_mask, keep, dropout_p, is_causal, scale, out, logs, needs, key_shape):
    if g.__class__ is not Array:
        return _recorded(g, query, key, value, attn_mask, keep, dropout_p, is_causal, scale)
    return kernels.attention_backward(
        g, query, key, value, attn_mask, keep, out, logs, dropout_p, is_causal, scale, needs[3]
    )


def _recorded(
    g: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    keep: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float,
) -> tuple:
    """The gradients as recorded operations, so that they can be differentiated again."""
    scores = matmul(query * scale, key.mT)  # (..., L, S)
    if attn_mask is not None:
        scores = where(attn_mask, scores, -math.inf) if attn_mask.dtype is bool_ else scores + attn_mask
    if is_causal:
        scores = where(wrap(np.tri(*scores.shape[-2:], dtype=bool)), scores, -math.inf)
    blind = (scores == -math.inf).all(-1, True)  # queries that see no key
    p = where(blind, 0, softmax(where(blind, 0, scores), -1))
    weight = 1.0 if keep is None else keep.to(p.dtype) * (0.0 if dropout_p == 1 else 1 / (1 - dropout_p))
    dp = matmul(g, value.mT) * weight
    ds = p * (dp - sum(dp * p, -1, True))
    dmask = ds if attn_mask is not None and attn_mask.dtype is not bool_ else None
    return matmul(ds, key) * scale, matmul(ds.mT, query) * scale, matmul((p * weight).mT, g), dmask


# ---- the function ----------------------------------------------------------------------------------------------------


@lower
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`softmax(scale * query @ key^T + mask) @ value`.

    Args:
        query: (..., L, E).
        key: (..., S, E).
        value: (..., S, V). The dimensions before the last two broadcast, for all three.
        attn_mask: broadcasts to (..., L, S); booleans say which keys a query sees, numbers are added to the scores. A
            query that sees no key gets zeros.
        dropout_p: probability with which a weight becomes zero; the others are divided by `1 - dropout_p`.
        is_causal: query i sees keys 0 to i.
        scale: 1 / sqrt(E) if None.
        enable_gqa: key and value have fewer heads (dimension -3), each of which serves several heads of the query.

    Returns:
        (..., L, V).

    Raises:
        RuntimeError: sizes or dtypes that do not fit, a mask together with `is_causal` for other than four dimensions,
            or a probability outside [0, 1].

    >>> import tapegrad as torch
    >>> q, k = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> torch.nn.functional.scaled_dot_product_attention(q, k, k)
    tensor([[2., 3.]])
    """
    _check_operands(query, key, value, attn_mask, dropout_p, is_causal)
    if enable_gqa:
        key, value = _shared_heads(query, key), _shared_heads(query, value)
    *rows, _ = _result(query.shape, key.shape, value.shape, None if attn_mask is None else attn_mask.shape)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    keep = None
    if dropout_p > 0:
        keep = query.new_zeros((*rows, key.shape[-2]), dtype=bool_)
        keep = keep if dropout_p == 1 else keep.bernoulli_(1 - dropout_p)
    return _attention(query, key, value, attn_mask, keep, dropout_p, is_causal, scale)


def _check_operands(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, dropout_p: float, is_causal: bool
) -> None:
    name = "scaled_dot_product_attention"
    three = {"query": query, "key": key, "value": value}
    for what, t in three.items():
        if not isinstance(t, Tensor):
            raise TypeError(errors.message(f"{name}: argument {what!r} must be Tensor", got=type(t).__name__))
    problem, got = "", ""
    if min(t.dim() for t in three.values()) < 2:
        problem = "query, key, and value must be at least 2 dimensional"
        got = ", ".join(f"{what} of {t.dim()}" for what, t in three.items())
    elif not query.dtype is key.dtype is value.dtype:
        problem = "query, key, and value must have the same dtype"
        got = ", ".join(f"{what} {t.dtype}" for what, t in three.items())
    elif not query.is_floating_point():
        problem, got = "not implemented for this dtype", str(query.dtype)
    elif not 0 <= dropout_p <= 1:
        problem, got = "dropout probability has to be between 0 and 1", str(dropout_p)
    elif attn_mask is not None and attn_mask.dtype not in (bool_, query.dtype, float32):
        problem, got = "attn_mask must be bool, or of the query's dtype", str(attn_mask.dtype)
    elif attn_mask is not None and is_causal and query.dim() != 4:
        problem, got = "Explicit attn_mask should not be set when is_causal=True", f"{query.dim()} dimensions"
    if problem:
        raise RuntimeError(errors.message(f"{name}: {problem}", got=got))


def _shared_heads(query: Tensor, t: Tensor) -> Tensor:
    """Keys or values with every head as often as the query has heads for it: (..., Hk, S, E) to (..., H, S, E)."""
    if min(query.dim(), t.dim()) < 3:
        text = "scaled_dot_product_attention: enable_gqa needs at least three dimensions"
        raise RuntimeError(errors.message(text, got=f"{tuple(query.shape)} and {tuple(t.shape)}"))
    heads, own = query.shape[-3], t.shape[-3]
    if own == 0 or heads % own:
        text = "Number of heads in key and value must divide the number of heads in query"
        raise RuntimeError(errors.message(text, got=f"{heads} and {own}"))
    return t if own == heads else t.repeat_interleave(heads // own, -3)
