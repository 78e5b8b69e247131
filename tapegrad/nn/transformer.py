"""The transformer: encoder and decoder layers, stacks of them, and both together.

Reference: Vaswani et al. 2017; `norm_first` is the order of Xiong et al. 2020.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import errors
from ..core.tensor import Tensor
from ..dtypes import bool_
from ..modes import is_grad_enabled
from ..ops.creation.filled import full
from ..ops.shape.rearrange import triu
from . import functional as F
from . import init
from .activation import GELU, ReLU
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .multihead import MultiheadAttention
from .normalization import LayerNorm

Activation = str | Callable[[Tensor], Tensor]
Mask = Tensor | None


def _activation(activation: Activation) -> Callable[[Tensor], Tensor]:
    if not isinstance(activation, str):
        return activation
    functions: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}
    if activation not in functions:
        raise RuntimeError(errors.message("activation should be relu/gelu", got=repr(activation)))
    return functions[activation]


def _numbers(name: str, mask: Mask, like: Tensor) -> Mask:
    """A mask as numbers that are added to scores: -inf where it is true.

    Raises:
        AssertionError: neither bool nor floating point.
    """
    if mask is None or mask.is_floating_point():
        return mask
    if mask.dtype is not bool_:
        text = f"only bool and floating types of {name} are supported"
        raise AssertionError(errors.message(text, got=mask.dtype))
    return like.new_zeros(mask.shape).masked_fill_(mask, -math.inf)


def _warn_if_mixed(mask: Mask, padding: Mask, names: str) -> None:
    if mask is not None and padding is not None and mask.dtype is not padding.dtype:
        warnings.warn(f"{names} should have the same dtype; mixing is deprecated", stacklevel=3)


def _is_causal(mask: Mask, is_causal: bool | None, length: int) -> bool:
    """Whether the mask hides exactly what comes later; None asks to look."""
    if is_causal is not None or mask is None:
        return is_causal is True
    causal = np.triu(np.full((length, length), -np.inf), 1)
    return mask.array.shape == causal.shape and bool((mask.array == causal).all())


def _clones(module: Module, n: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(n)])


class _Layer(Module):
    """What encoder and decoder layers have in common: all but what they attend to.

    Around each block stand a norm, a dropout and a residual connection: `norm1` and `dropout1`, ...
    """

    __constants__ = ["norm_first"]
    blocks: int  # 2: self-attention and linear layers; 3: between them attention to a memory

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention
    norm1: LayerNorm
    norm2: LayerNorm
    norm3: LayerNorm
    dropout1: Dropout
    dropout2: Dropout
    dropout3: Dropout

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **made)
        if self.blocks == 3:
            self.multihead_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **made)
        self.linear1 = Linear(d_model, dim_feedforward, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **made)
        self.norm_first = norm_first
        for k in range(self.blocks):
            setattr(self, f"norm{k + 1}", LayerNorm(d_model, layer_norm_eps, **made))
        for k in range(self.blocks):
            setattr(self, f"dropout{k + 1}", Dropout(dropout))
        self.activation = _activation(activation)

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if not hasattr(self, "activation"):  # states of older versions
            self.activation = F.relu

    def _attend(
        self, attention: MultiheadAttention, x: Tensor, memory: Tensor, mask: Mask, padding: Mask, causal: bool
    ) -> Tensor:
        return attention(
            x, memory, memory, attn_mask=mask, key_padding_mask=padding, is_causal=causal, need_weights=False
        )[0]

    def _around(self, norm: Module, block: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """`x + block(norm(x))` or `norm(x + block(x))`."""
        return x + block(norm(x)) if self.norm_first else norm(x + block(x))

    def _sa_block(self, x: Tensor, attn_mask: Mask, key_padding_mask: Mask, is_causal: bool = False) -> Tensor:
        return self.dropout1(self._attend(self.self_attn, x, x, attn_mask, key_padding_mask, is_causal))

    def _ff_block(self, x: Tensor) -> Tensor:
        last = self.dropout2 if self.blocks == 2 else self.dropout3
        return last(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoderLayer(_Layer):
    r"""Self-attention and two linear layers, each with a residual connection and a layer norm.

    Args:
        d_model: E, features of the input.
        nhead: heads of the attention.
        dim_feedforward: features between the linear layers.
        dropout: probability with which elements become zero in training.
        activation: "relu", "gelu" or a function, between the linear layers.
        layer_norm_eps: added to variances.
        batch_first: tensors are (N, T, E), not (T, N, E).
        norm_first: `x + f(norm(x))` in place of `norm(x + f(x))`.
        bias: whether linear layers and norms have biases.
        device: where the parameters are made.
        dtype: their type.

    Raises:
        RuntimeError: an unknown activation.

    >>> import tapegrad as torch
    >>> torch.nn.TransformerEncoderLayer(d_model=8, nhead=2)(torch.zeros(5, 1, 8)).shape
    torch.Size([5, 1, 8])
    """

    blocks = 2

    def forward(
        self, src: Tensor, src_mask: Mask = None, src_key_padding_mask: Mask = None, is_causal: bool = False
    ) -> Tensor:
        _warn_if_mixed(src_mask, src_key_padding_mask, "src_key_padding_mask and src_mask")
        padding = _numbers("src_key_padding_mask", src_key_padding_mask, src)
        mask = _numbers("src_mask", src_mask, src)
        x = self._around(self.norm1, lambda t: self._sa_block(t, mask, padding, is_causal), src)
        return self._around(self.norm2, self._ff_block, x)


class TransformerDecoderLayer(_Layer):
    r"""Self-attention, attention to a memory, and two linear layers, each with a residual connection and a layer norm.

    Args:
        d_model: E, features of the input.
        nhead: heads of the attentions.
        dim_feedforward: features between the linear layers.
        dropout: probability with which elements become zero in training.
        activation: "relu", "gelu" or a function, between the linear layers.
        layer_norm_eps: added to variances.
        batch_first: tensors are (N, T, E), not (T, N, E).
        norm_first: `x + f(norm(x))` in place of `norm(x + f(x))`.
        bias: whether linear layers and norms have biases.
        device: where the parameters are made.
        dtype: their type.

    Raises:
        RuntimeError: an unknown activation.

    >>> import tapegrad as torch
    >>> torch.nn.TransformerDecoderLayer(d_model=8, nhead=2)(torch.zeros(3, 1, 8), torch.zeros(5, 1, 8)).shape
    torch.Size([3, 1, 8])
    """

    blocks = 3

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        x = self._around(self.norm1, lambda t: self._sa_block(t, *own), tgt)
        x = self._around(self.norm2, lambda t: self._mha_block(t, memory, *other), x)
        return self._around(self.norm3, self._ff_block, x)

    def _mha_block(
        self, x: Tensor, mem: Tensor, attn_mask: Mask, key_padding_mask: Mask, is_causal: bool = False
    ) -> Tensor:
        return self.dropout2(self._attend(self.multihead_attn, x, mem, attn_mask, key_padding_mask, is_causal))


class TransformerEncoder(Module):
    r"""Encoder layers one after the other.

    Args:
        encoder_layer: the layer of which copies are made.
        num_layers: how many.
        norm: a layer for the last result.
        enable_nested_tensor: accepted for compatibility. As in PyTorch, it makes results at padded places zero in
            evaluation without gradients.
        mask_check: accepted for compatibility.

    >>> import tapegrad as torch
    >>> layer = torch.nn.TransformerEncoderLayer(d_model=8, nhead=2)
    >>> torch.nn.TransformerEncoder(layer, num_layers=2)(torch.zeros(5, 1, 8)).shape
    torch.Size([5, 1, 8])
    """

    __constants__ = ["norm"]

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor and _fits_nested(encoder_layer)
        self.mask_check = mask_check

    def forward(
        self, src: Tensor, mask: Mask = None, src_key_padding_mask: Mask = None, is_causal: bool | None = None
    ) -> Tensor:
        _warn_if_mixed(mask, src_key_padding_mask, "src_key_padding_mask and mask")
        padding = _numbers("src_key_padding_mask", src_key_padding_mask, src)
        added = _numbers("mask", mask, src)
        causal = _is_causal(added, is_causal, _length(src, self.layers[0].self_attn.batch_first))
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=added, is_causal=causal, src_key_padding_mask=padding)
        if padding is not None and self._nests(src, mask, padding):
            x = x.masked_fill((padding == -math.inf).unsqueeze(-1), 0.0)
        return x if self.norm is None else self.norm(x)

    def _nests(self, src: Tensor, mask: Mask, padding: Tensor) -> bool:
        """Whether PyTorch would leave padded places out here; they are zero afterwards."""
        if not self.use_nested_tensor or self.training or src.dim() != 3 or mask is not None:
            return False
        if is_grad_enabled() and (src.requires_grad or any(p.requires_grad for p in self.layers.parameters())):
            return False
        hidden = padding.array == -np.inf
        return bool((hidden[:, 1:] >= hidden[:, :-1]).all())  # the padding is at the end


def _fits_nested(layer: Module) -> bool:
    """Whether PyTorch could leave padded places out in such layers."""
    if not isinstance(layer, TransformerEncoderLayer) or layer.norm_first:
        return False
    attention = layer.self_attn
    plain = attention.batch_first and attention.in_proj_bias is not None and attention._qkv_same_embed_dim
    simple = layer.activation in (F.relu, F.gelu) or isinstance(layer.activation, (ReLU, GELU))
    return bool(plain and simple and layer.norm1.eps == layer.norm2.eps and attention.num_heads % 2 == 0)


def _length(x: Tensor, batch_first: bool) -> int:
    return x.shape[1 if batch_first and x.dim() == 3 else 0]


class TransformerDecoder(Module):
    r"""Decoder layers one after the other.

    Args:
        decoder_layer: the layer of which copies are made.
        num_layers: how many.
        norm: a layer for the last result.

    >>> import tapegrad as torch
    >>> layer = torch.nn.TransformerDecoderLayer(d_model=8, nhead=2)
    >>> torch.nn.TransformerDecoder(layer, num_layers=2)(torch.zeros(3, 1, 8), torch.zeros(5, 1, 8)).shape
    torch.Size([3, 1, 8])
    """

    __constants__ = ["norm"]

    def __init__(self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        causal = _is_causal(tgt_mask, tgt_is_causal, _length(tgt, self.layers[0].self_attn.batch_first))
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    r"""Encoder and decoder: the decoder attends to what the encoder made of the source.

    Args:
        d_model: E, features of source and target.
        nhead: heads of the attentions.
        num_encoder_layers: layers of the encoder.
        num_decoder_layers: layers of the decoder.
        dim_feedforward: features between the linear layers.
        dropout: probability with which elements become zero in training.
        activation: "relu", "gelu" or a function.
        custom_encoder: in place of the encoder.
        custom_decoder: in place of the decoder.
        layer_norm_eps: added to variances.
        batch_first: tensors are (N, T, E), not (T, N, E).
        norm_first: norms before the blocks, not after.
        bias: whether linear layers and norms have biases.
        device: where the parameters are made.
        dtype: their type.

    >>> import tapegrad as torch
    >>> model = torch.nn.Transformer(8, 2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=16)
    >>> model(torch.zeros(5, 1, 8), torch.zeros(3, 1, 8)).shape
    torch.Size([3, 1, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            layer = TransformerEncoderLayer(*sizes, **made)
            norm = LayerNorm(d_model, layer_norm_eps, **made)
            self.encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            other = TransformerDecoderLayer(*sizes, **made)
            norm = LayerNorm(d_model, layer_norm_eps, **made)
            self.decoder = TransformerDecoder(other, num_decoder_layers, norm)
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for p in self.parameters():
            if p.dim() > 1:
                init.xavier_uniform_(p)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Mask = None,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        got = f"{tuple(src.shape)} and {tuple(tgt.shape)}"
        dim = 0 if self.batch_first else 1
        if src.dim() == 3 and src.shape[dim] != tgt.shape[dim]:
            raise RuntimeError(errors.message("the batch number of src and tgt must be equal", got=got))
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            text = "the feature number of src and tgt must be equal to d_model"
            raise RuntimeError(errors.message(text, got=got, expected=f"(..., {self.d_model})"))
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The mask (T, T) that hides what comes later: -inf above the diagonal, 0 elsewhere.

        >>> import tapegrad as torch
        >>> torch.nn.Transformer.generate_square_subsequent_mask(3)
        tensor([[0., -inf, -inf],
                [0., 0., -inf],
                [0., 0., 0.]])
        """
        return triu(full((sz, sz), -math.inf, dtype=dtype, device=device), diagonal=1)
