"""Layers that only look at the shape: `Identity`, `Flatten`, `Unflatten`, `PixelShuffle`, `PixelUnshuffle`,
`ChannelShuffle`.
"""

from __future__ import annotations

from typing import Any

from .. import errors
from ..core.tensor import Tensor
from . import functional as F
from .module import Module


class Identity(Module):
    """Returns its input; all arguments are accepted and ignored.

    >>> import tapegrad as torch
    >>> torch.nn.Identity(54, unused=1)(torch.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """Makes one dimension of a range of them: (N, *) to (N, prod(*)) by default.

    Args:
        start_dim: first of the range.
        end_dim: last of the range.

    >>> import tapegrad as torch
    >>> torch.nn.Flatten()(torch.zeros(2, 3, 4)).shape
    torch.Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Makes several dimensions of one.

    Args:
        dim: the dimension.
        unflattened_size: the sizes it becomes; one of them may be -1.

    Raises:
        TypeError: `unflattened_size` is no tuple of integers.

    >>> import tapegrad as torch
    >>> torch.nn.Unflatten(1, (3, 4))(torch.zeros(2, 12)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)):
            got = type(unflattened_size).__name__
            raise TypeError(errors.message("Unflatten: unflattened_size must be a tuple of ints", got=got))
        for size in unflattened_size:
            if not isinstance(size, int):
                raise TypeError(
                    errors.message("Unflatten: unflattened_size must be a tuple of ints", got=repr(unflattened_size))
                )
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class PixelShuffle(Module):
    """Turns channels into pixels: (*, C r^2, H, W) to (*, C, H r, W r) (Shi et al. 2016).

    Args:
        upscale_factor: r.

    >>> import tapegrad as torch
    >>> torch.nn.PixelShuffle(2)(torch.zeros(1, 8, 3, 3)).shape
    torch.Size([1, 2, 6, 6])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Turns pixels into channels: (*, C, H r, W r) to (*, C r^2, H, W), the inverse of `PixelShuffle`.

    Args:
        downscale_factor: r.
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Interleaves groups of channels: channel g of n becomes channel n of g (Zhang et al. 2018).

    Args:
        groups: into how many groups the channels are divided.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
