"""`MultiheadAttention`: attention with several heads and its projections.

Reference: Vaswani et al. 2017.
"""

from __future__ import annotations

from typing import Any

from .. import errors
from ..core.tensor import Tensor
from ..ops.creation.filled import empty
from . import functional as F
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """A `Linear` under the name that PyTorch gives the output projection of attention."""


class MultiheadAttention(Module):
    r"""Attention with H heads: `out_proj(concat_h softmax(q_h k_h^T / sqrt(D)) v_h)`.

    Args:
        embed_dim: E, the size of queries and of the output.
        num_heads: H; divides E, and D = E / H.
        dropout: probability with which a weight becomes zero in training.
        bias: whether the projections have a bias.
        add_bias_kv: put a trained key and value after all others.
        add_zero_attn: put a key and a value of zeros after all others.
        kdim: the size of keys, E if None.
        vdim: the size of values, E if None.
        batch_first: tensors are (N, L, E), not (L, N, E).
        device: where the parameters are made.
        dtype: their type.

    Attributes:
        in_proj_weight: (3 E, E), the projections of queries, keys and values one below the other; where kdim or vdim
            differ from E there are `q_proj_weight`, `k_proj_weight` and `v_proj_weight` instead.
        in_proj_bias: (3 E,), zero at first.
        bias_k: (1, 1, E).
        bias_v: (1, 1, E).

    Raises:
        ValueError: `embed_dim` or `num_heads` is not positive.
        AssertionError: `num_heads` does not divide `embed_dim`.

    >>> import tapegrad as torch
    >>> attention, x = torch.nn.MultiheadAttention(8, 2), torch.zeros(5, 1, 8)
    >>> out, weights = attention(x, x, x)
    >>> out.shape, weights.shape
    (torch.Size([5, 1, 8]), torch.Size([1, 5, 5]))
    """

    __constants__ = ["batch_first"]
    bias_k: Tensor | None
    bias_v: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            got = f"embed_dim={embed_dim} and num_heads={num_heads}"
            raise ValueError(errors.message("embed_dim and num_heads must be greater than 0", got=got))
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            got = f"{embed_dim} and {num_heads}"
            raise AssertionError(errors.message("embed_dim must be divisible by num_heads", got=got))

        def made(*shape: int) -> Parameter:
            return Parameter(empty(shape, device=device, dtype=dtype))

        if self._qkv_same_embed_dim:
            self.in_proj_weight = made(3 * embed_dim, embed_dim)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            self.q_proj_weight = made(embed_dim, embed_dim)
            self.k_proj_weight = made(embed_dim, self.kdim)
            self.v_proj_weight = made(embed_dim, self.vdim)
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = made(3 * embed_dim)
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.bias_k = made(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = made(1, 1, embed_dim) if add_bias_kv else None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight = getattr(self, name)
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def __setstate__(self, state: dict) -> None:
        state.setdefault("_qkv_same_embed_dim", True)  # states of older versions
        super().__setstate__(state)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        batched = query.dim() == 3
        if self.batch_first and batched:
            query, key, value = _length_first(query, key, value)
        out, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (out.transpose(1, 0) if self.batch_first and batched else out), weights

    def merge_masks(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, query: Tensor
    ) -> tuple[Tensor | None, int | None]:
        """Both masks as one of (N, H, L, S), and its kind.

        Args:
            attn_mask: (L, S), or anything that broadcasts to (N * H, L, S).
            key_padding_mask: (N, S).
            query: (N, L, E).

        Returns:
            The mask, and 0 if it is `attn_mask` alone, 1 if it is `key_padding_mask` alone, 2 if it is made of
            `attn_mask` and maybe the other; (None, None) without masks.
        """
        mask, kind = key_padding_mask, None if key_padding_mask is None else 1
        if attn_mask is not None:
            batch, length, _ = query.shape
            if attn_mask.dim() == 3:
                mask = attn_mask.view(batch, -1, length, length)
            else:
                mask = attn_mask.view(1, 1, length, length).expand(batch, self.num_heads, -1, -1)
            kind = 2
            if key_padding_mask is not None:
                mask = mask + key_padding_mask.view(batch, 1, 1, length).expand(-1, self.num_heads, -1, -1)
        return mask, kind


def _length_first(query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
    """(N, L, E) to (L, N, E); operands that are one tensor stay one tensor, for the sake of one projection."""
    turned = {id(t): t.transpose(1, 0) for t in (query, key, value)}
    return [turned[id(t)] for t in (query, key, value)]
