"""Vision transformer: an image as a sequence of patches.

    image (B, 3, H, W) -> patches (B, N, D), a learned token before them, positions added -> encoder layers
    -> the token's scores (B, classes)

Parameter names are torchvision's, and so are initial weights for the same seed; the published files' older names of the
two linear layers ("mlp.linear_1") are translated when they are loaded.

Reference: A. Dosovitskiy et al., "An image is worth 16x16 words", arXiv:2010.11929.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from ... import nn
from ...core.tensor import Tensor
from ...errors import message
from ...ops.creation.filled import empty, zeros
from ...ops.shape.joining import cat
from .weights import BICUBIC, Published, build, weights_enum

Norm = Callable[[int], nn.Module]


class MLPBlock(nn.Sequential):
    """Two linear layers with GELU between them, and dropout."""

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(in_dim, mlp_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_dim, in_dim),
            nn.Dropout(dropout),
        )
        for layer in (self[0], self[3]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); x is (B, N, D)."""

    def __init__(
        self, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float, attention_dropout: float, norm_layer: Norm
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 3:
            raise RuntimeError(
                message("EncoderBlock: this is no sequence", got=tuple(input.shape), expected="(B, N, D)")
            )
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Learned positions, encoder blocks, and a norm."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Norm,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        blocks = OrderedDict(
            (
                f"encoder_layer_{i}",
                EncoderBlock(num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer),
            )
            for i in range(num_layers)
        )
        self.layers = nn.Sequential(blocks)
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 3:
            raise RuntimeError(message("Encoder: this is no sequence", got=tuple(input.shape), expected="(B, N, D)"))
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Scores (B, num_classes) of images (B, 3, image_size, image_size).

    Args:
        image_size: height and width of images.
        patch_size: height and width of patches.
        num_layers: encoder blocks.
        num_heads: of the attention.
        hidden_dim: D.
        mlp_dim: width between the two linear layers of a block.
        dropout: probability after linear layers and attention.
        attention_dropout: probability within the attention.
        num_classes: how many scores.
        representation_size: width of one more layer before the scores; None for none.
        norm_layer: makes a norm of so many numbers; `nn.LayerNorm` with eps 1e-6 by default.

    Raises:
        ValueError: patches do not fill the image; on use, an image of another size.

    >>> import tapegrad as torch
    >>> model = VisionTransformer(8, 4, num_layers=1, num_heads=2, hidden_dim=6, mlp_dim=8, num_classes=3)
    >>> model(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Norm = partial(nn.LayerNorm, eps=1e-6),
    ) -> None:
        super().__init__()
        if image_size % patch_size != 0:
            text = "VisionTransformer: patches do not fill the image"
            raise ValueError(message(text, got=f"image_size={image_size}, patch_size={patch_size}"))
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer
        )
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._initialise()

    def _initialise(self) -> None:
        conv = self.conv_proj
        nn.init.trunc_normal_(conv.weight, std=math.sqrt(1 / (3 * self.patch_size**2)))
        nn.init.zeros_(conv.bias)
        if self.representation_size is not None:
            layer = self.heads.pre_logits
            nn.init.trunc_normal_(layer.weight, std=math.sqrt(1 / layer.in_features))
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) != (self.image_size, self.image_size):
            text = "VisionTransformer: images of another size"
            raise ValueError(message(text, got=tuple(x.shape[-2:]), expected=f"{(self.image_size, self.image_size)}"))
        patches = self.conv_proj(x).flatten(2).permute(0, 2, 1)  # (B, N, D)
        token = self.class_token.expand(len(x), -1, -1)
        return self.heads(self.encoder(cat([token, patches], 1))[:, 0])


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published files' names of weights in today's form."""
    return {
        name.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3."): value
        for name, value in state.items()
    }


ViT_B_16_Weights = weights_enum(
    "ViT_B_16_Weights",
    IMAGENET1K_V1=Published("vit_b_16-c867db91.pth"),
    IMAGENET1K_SWAG_E2E_V1=Published("vit_b_16_swag-9ac1b537.pth", 384, 384, BICUBIC),
    IMAGENET1K_SWAG_LINEAR_V1=Published("vit_b_16_lc_swag-4e70ced5.pth", 224, 224, BICUBIC),
)


def vit_b_16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """ViT-B/16: 86.6 million parameters, images of 224 x 224 pixels in patches of 16 x 16.

    Args:
        weights: None, the path of a file, or a name of published weights (see `models.weights`).
        progress: accepted for compatibility.
        kwargs: `image_size` (224) and others, for `VisionTransformer`.
    """
    if weights in (ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1, "IMAGENET1K_SWAG_E2E_V1"):
        kwargs.setdefault("image_size", 384)
    options = {"image_size": 224, **kwargs}
    return build(
        lambda **rest: VisionTransformer(
            patch_size=16, num_layers=12, num_heads=12, hidden_dim=768, mlp_dim=3072, **rest
        ),
        ViT_B_16_Weights,
        weights,
        options,
        _renamed,
    )
