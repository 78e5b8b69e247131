"""Reorderings of channels and pixels: `pixel_shuffle` and its inverse, `channel_shuffle`.

Each is a permutation of elements, so its derivative is the inverse one.
"""

from __future__ import annotations

from ... import errors
from ...core.op import Array, op

__all__ = ["pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle"]


def _refuse(what: str, shape: tuple[int, ...], **numbers: int) -> RuntimeError:
    got = ", ".join([f"input {tuple(shape)}", *(f"{name}={value}" for name, value in numbers.items())])
    return RuntimeError(errors.message(what, got=got))


@op
def pixel_shuffle(x: Array, upscale_factor):
    """(*, C r^2, H, W) to (*, C, H r, W r) with `r = upscale_factor` (Shi et al. 2016).

    Raises:
        RuntimeError: fewer than three dimensions, or channels that r^2 does not divide.

    >>> import tapegrad as torch
    >>> torch.pixel_shuffle(torch.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    r = upscale_factor
    if x.ndim < 3 or r <= 0 or x.shape[-3] % (r * r):
        raise _refuse("pixel_shuffle: expected channels divisible by the squared factor", x.shape, upscale_factor=r)
    *lead, c, h, w = x.shape
    n = len(lead)
    split = x.reshape(*lead, c // (r * r), r, r, h, w)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)  # (*, C, H, r, W, r)
    return split.transpose(order).reshape(*lead, c // (r * r), h * r, w * r)


@pixel_shuffle.shape
def _(x, upscale_factor):
    *lead, c, h, w = x
    return (*lead, c // upscale_factor**2, h * upscale_factor, w * upscale_factor)


@pixel_shuffle.grad
def _(g, upscale_factor):
    return pixel_unshuffle(g, upscale_factor)


@op
def pixel_unshuffle(x: Array, downscale_factor):
    """(*, C, H r, W r) to (*, C r^2, H, W) with `r = downscale_factor`: the inverse of `pixel_shuffle`.

    Raises:
        RuntimeError: fewer than three dimensions, or sizes that r does not divide.

    >>> import tapegrad as torch
    >>> torch.pixel_unshuffle(torch.zeros(1, 4, 6), 2).shape
    torch.Size([4, 2, 3])
    """
    r = downscale_factor
    if x.ndim < 3 or r <= 0 or x.shape[-2] % r or x.shape[-1] % r:
        text = "pixel_unshuffle: expected height and width divisible by the factor"
        raise _refuse(text, x.shape, downscale_factor=r)
    *lead, c, h, w = x.shape
    n = len(lead)
    split = x.reshape(*lead, c, h // r, r, w // r, r)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)  # (*, C, r, r, H, W)
    return split.transpose(order).reshape(*lead, c * r * r, h // r, w // r)


@pixel_unshuffle.shape
def _(x, downscale_factor):
    *lead, c, h, w = x
    return (*lead, c * downscale_factor**2, h // downscale_factor, w // downscale_factor)


@pixel_unshuffle.grad
def _(g, downscale_factor):
    return pixel_shuffle(g, downscale_factor)


@op
def channel_shuffle(x: Array, groups):
    """Interleaves groups of the channels of (N, C, *): channel g of n becomes channel n of g (Zhang et al. 2018).

    Raises:
        RuntimeError: fewer than three dimensions, or channels that `groups` does not divide.

    >>> import tapegrad as torch
    >>> torch.channel_shuffle(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]), 2).flatten()
    tensor([1., 3., 2., 4.])
    """
    if x.ndim < 3 or groups <= 0 or x.shape[1] % groups:
        raise _refuse("channel_shuffle: expected channels divisible by the groups", x.shape, groups=groups)
    n, c, *rest = x.shape
    return x.reshape(n, groups, c // groups, *rest).swapaxes(1, 2).reshape(x.shape)


@channel_shuffle.shape
def _(x, groups):
    return x


@channel_shuffle.grad
def _(g, x_shape, groups):
    return channel_shuffle(g, x_shape[1] // groups)


native_channel_shuffle = channel_shuffle
