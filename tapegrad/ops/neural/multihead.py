"""Multi-head attention with its projections, as `nn.MultiheadAttention` computes it: a composition.

Reference: Vaswani et al. 2017, section 3.2.2.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from ... import errors
from ...core.tensor import Tensor
from ...dtypes import bool_
from ..linalg.matmul import baddbmm, bmm, linear
from ..reduction.reduce import mean
from ..shape.joining import cat
from .attention import scaled_dot_product_attention
from .dropout import dropout
from .softmax import softmax


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of H heads: `out_proj(concat_h softmax(q_h k_h^T / sqrt(D)) v_h)` with q, k, v = linear(query), ...

    Args:
        query: (L, N, E), or (L, E) without a batch.
        key: (S, N, Ek), or (S, Ek).
        value: (S, N, Ev), or (S, Ev).
        embed_dim_to_check: E.
        num_heads: H; divides E, and D = E / H.
        in_proj_weight: (3 E, E), the three projections one below the other.
        in_proj_bias: (3 E,).
        bias_k: (1, 1, E), a key that is put after all others.
        bias_v: (1, 1, E), its value.
        add_zero_attn: put a key and a value of zeros after all others.
        dropout_p: probability with which a weight becomes zero in training.
        out_proj_weight: (E, E).
        out_proj_bias: (E,).
        training: whether dropout is on.
        key_padding_mask: (N, S) or (S,): true for keys to leave out, or numbers to add to their scores.
        need_weights: return the weights too.
        attn_mask: (L, S) or (N * H, L, S): true for keys that a query does not see, or numbers to add.
        use_separate_proj_weight: take the three weights below in place of `in_proj_weight`.
        q_proj_weight: (E, E).
        k_proj_weight: (E, Ek).
        v_proj_weight: (E, Ev).
        static_k: (N * H, S, D), in place of the projected key.
        static_v: (N * H, S, D), in place of the projected value.
        average_attn_weights: return the mean of the weights over the heads.
        is_causal: `attn_mask` is the causal mask, so that it need not be read.

    Returns:
        The result (L, N, E), and the weights (N, L, S), (N, H, L, S) if not averaged, None if not needed.

    Raises:
        AssertionError: dimensions that do not fit.
        RuntimeError: masks that do not fit.
    """
    batched = _check_dims(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = (t.unsqueeze(1) for t in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, size = query.shape
    padding, mask, is_causal = _masks(key_padding_mask, attn_mask, query, is_causal, need_weights)
    _check_sizes(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias, separate)
    mask = _mask_of_heads(mask, length, key.shape[0], batch * num_heads)
    k, v, mask, padding = _with_biases(k, v, bias_k, bias_v, static_k, static_v, mask, padding)
    q = q.reshape(length, batch * num_heads, size // num_heads).transpose(0, 1)  # (N H, L, D)
    k = _of_heads("static_k", k, static_k, batch, num_heads, size)  # (N H, S, D)
    v = _of_heads("static_v", v, static_v, batch, num_heads, size)
    if add_zero_attn:
        k, v = (cat([t, t.new_zeros((t.shape[0], 1, t.shape[2]))], 1) for t in (k, v))
        mask, padding = _one_more(mask), _one_more(padding)
    mask = _merged(mask, padding, batch, num_heads, k.shape[1])
    dropout_p = dropout_p if training else 0.0
    if need_weights:
        out, weights = _with_weights(q, k, v, mask, dropout_p)
    else:
        out, weights = _without_weights(q, k, v, mask, dropout_p, is_causal, batch), None
    out = out.transpose(0, 1).reshape(length * batch, size)
    out = linear(out, out_proj_weight, out_proj_bias).view(length, batch, -1)
    if weights is not None:
        weights = weights.view(batch, num_heads, length, k.shape[1])
        weights = mean(weights, 1) if average_attn_weights else weights
    if batched:
        return out, weights
    return out.squeeze(1), None if weights is None else weights.squeeze(0)


# ---- checks ----------------------------------------------------------------------------------------------------------


def _require(right: bool, what: str, got: Any = None, expected: Any = None) -> None:
    if not right:
        raise AssertionError(errors.message(f"multi_head_attention: {what}", got=got, expected=expected))


def _check_dims(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, mask: Any, heads: int) -> bool:
    """Whether there is a batch; AssertionError where the dimensions of the operands do not say the same."""
    n = query.dim()
    _require(n in (2, 3), "query should be unbatched 2D or batched 3D tensor", f"{n} dimensions")
    kind = "batched (3-D) `query`" if n == 3 else "unbatched (2-D) `query`"
    _require(key.dim() == value.dim() == n, f"for {kind}, key and value must be {n}-D too", (key.dim(), value.dim()))
    if padding is not None:
        _require(padding.dim() == n - 1, f"for {kind}, key_padding_mask must be None or {n - 1}-D", padding.dim())
    if mask is not None:
        _require(mask.dim() in (2, 3), f"for {kind}, attn_mask must be None, 2-D or 3-D", mask.dim())
        if n == 2 and mask.dim() == 3:
            expected = (heads, query.shape[0], key.shape[0])
            _require(tuple(mask.shape) == expected, "the shape of attn_mask", tuple(mask.shape), expected)
    return n == 3


def _check_sizes(query: Tensor, key: Tensor, value: Tensor, expected: int, heads: int, separate: bool) -> None:
    size = query.shape[2]
    _require(size == expected, f"was expecting embedding dimension of {expected}", size)
    _require(size % heads == 0, f"embed_dim {size} not divisible by num_heads {heads}")
    if separate:
        same = key.shape[:2] == value.shape[:2]
        _require(same, "key's and value's length and batch must be the same", (tuple(key.shape), tuple(value.shape)))
    else:
        same = key.shape == value.shape
        _require(same, "the shapes of key and value differ", (tuple(key.shape), tuple(value.shape)))


# ---- masks -----------------------------------------------------------------------------------------------------------


def _numbers(name: str, mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A mask as numbers that are added to scores: -inf where it is true."""
    if mask is None:
        return None
    kinds = mask.dtype is bool_ or mask.is_floating_point()
    _require(kinds, f"only bool and floating types of {name} are supported", mask.dtype)
    return like.new_zeros(mask.shape).masked_fill_(mask, -math.inf) if mask.dtype is bool_ else mask


def _masks(
    padding: Tensor | None, mask: Tensor | None, like: Tensor, is_causal: bool, need_weights: bool
) -> tuple[Tensor | None, Tensor | None, bool]:
    """Both masks as numbers, and whether the causal flag stands for the second one."""
    if padding is not None and mask is not None and padding.dtype is not mask.dtype:
        text = "multi_head_attention: key_padding_mask and attn_mask should have the same dtype; mixing is deprecated"
        warnings.warn(text, stacklevel=3)
    padding = _numbers("key_padding_mask", padding, like)
    if is_causal and mask is None:
        text = "Need attn_mask if specifying the is_causal hint"
        raise RuntimeError(errors.message(text, fix="nn.Transformer.generate_square_subsequent_mask makes one"))
    if is_causal and padding is None and not need_weights:
        return None, None, True
    return padding, _numbers("attn_mask", mask, like), False


def _mask_of_heads(mask: Tensor | None, length: int, keys: int, heads: int) -> Tensor | None:
    """A mask (L, S) or (N H, L, S), checked, as (1 or N H, L, S)."""
    if mask is None:
        return None
    expected = (length, keys) if mask.dim() == 2 else (heads, length, keys)
    if tuple(mask.shape) != expected:
        what = f"The shape of the {mask.dim()}D attn_mask is not right"
        raise RuntimeError(errors.message(what, got=tuple(mask.shape), expected=expected))
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _one_more(mask: Tensor | None) -> Tensor | None:
    """A mask with a column of zeros after the last: one more key, which is seen."""
    return None if mask is None else cat([mask, mask.new_zeros((*mask.shape[:-1], 1))], -1)


def _merged(mask: Tensor | None, padding: Tensor | None, batch: int, heads: int, keys: int) -> Tensor | None:
    """The sum of both masks, (1 or N H, L or 1, S)."""
    if padding is None:
        return mask
    _require(padding.shape[0] == batch, f"Expected key_padding_mask.shape[0] to be {batch}", padding.shape[0])
    _require(padding.shape[1] == keys, f"Expected key_padding_mask.shape[1] to be {keys}", padding.shape[1])
    padding = padding.view(batch, 1, 1, keys).expand(-1, heads, -1, -1).reshape(batch * heads, 1, keys)
    return padding if mask is None else mask + padding


# ---- projections -----------------------------------------------------------------------------------------------------


def _project(query: Tensor, key: Tensor, value: Tensor, weight: Any, bias: Any, separate: Any) -> list[Tensor]:
    """The projected query, key and value: as few products as there are different operands."""
    if separate is not None:
        for name, w in zip("qkv", separate):
            _require(w is not None, f"use_separate_proj_weight is True but {name}_proj_weight is None")
        biases = (None, None, None) if bias is None else bias.chunk(3)
        return [linear(t, w, b) for t, w, b in zip((query, key, value), separate, biases)]
    _require(weight is not None, "use_separate_proj_weight is False but in_proj_weight is None")
    if query is key and key is value:
        return list(linear(query, weight, bias).chunk(3, -1))
    size = query.shape[-1]
    if key is value:
        first, rest = weight.split([size, 2 * size])
        of_first, of_rest = (None, None) if bias is None else bias.split([size, 2 * size])
        return [linear(query, first, of_first), *linear(key, rest, of_rest).chunk(2, -1)]
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return [linear(t, w, b) for t, w, b in zip((query, key, value), weight.chunk(3), biases)]


def _with_biases(
    k: Tensor, v: Tensor, bias_k: Any, bias_v: Any, static_k: Any, static_v: Any, mask: Any, padding: Any
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Keys and values with `bias_k` and `bias_v` after the last, and masks that let them be seen."""
    if bias_k is None and bias_v is None:
        return k, v, mask, padding
    _require(bias_k is not None and bias_v is not None, "bias_k and bias_v are given both or not at all")
    _require(static_k is None and static_v is None, "a bias cannot be added to static keys or values")
    k, v = (cat([t, b.expand(1, t.shape[1], -1)]) for t, b in ((k, bias_k), (v, bias_v)))
    return k, v, _one_more(mask), _one_more(padding)


def _of_heads(name: str, t: Tensor, static: Tensor | None, batch: int, heads: int, size: int) -> Tensor:
    """(S, N, E) as (N H, S, D), or what stands in place of it."""
    if static is None:
        return t.reshape(t.shape[0], batch * heads, size // heads).transpose(0, 1)
    expected = (batch * heads, size // heads)
    got = (static.shape[0], static.shape[2])
    _require(got == expected, f"expecting {name} of (N H, S, D) with N H and D", got, expected)
    return static


# ---- attention -------------------------------------------------------------------------------------------------------


def _with_weights(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float) -> tuple[Tensor, Tensor]:
    """(out (N H, L, D), weights (N H, L, S))."""
    q = q * math.sqrt(1 / q.shape[-1])
    scores = bmm(q, k.mT) if mask is None else baddbmm(mask, q, k.mT)
    weights = softmax(scores, -1)
    if p > 0:
        weights = dropout(weights, p)
    return bmm(weights, v), weights


def _without_weights(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float, is_causal: bool, batch: int
) -> Tensor:
    """out (N H, L, D), by the operation that makes no array of weights."""
    if mask is not None:
        mask = mask.unsqueeze(0) if mask.shape[0] == 1 else mask.view(batch, -1, *mask.shape[1:])
    heads = [t.reshape(batch, -1, *t.shape[1:]) for t in (q, k, v)]  # (N, H, L or S, D)
    out = scaled_dot_product_attention(heads[0], heads[1], heads[2], mask, p, is_causal)
    return out.reshape(q.shape[0], q.shape[1], v.shape[2])
