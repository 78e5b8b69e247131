"""`torch.cpu.amp`: old names of `torch.amp` with "cpu"."""

from __future__ import annotations

import warnings

from .. import amp, dtypes

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):
    """The old form of `torch.amp.autocast("cpu", ...)`.

    >>> import tapegrad as torch
    >>> from tapegrad.cpu.amp import autocast
    >>> issubclass(autocast, torch.amp.autocast)
    True
    """

    def __init__(self, enabled: bool = True, dtype: dtypes.dtype = dtypes.bfloat16, cache_enabled: bool = True):
        warnings.warn("torch.cpu.amp.autocast(...) is now torch.amp.autocast('cpu', ...)", FutureWarning, stacklevel=2)
        super().__init__("cpu", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """The old form of `torch.amp.GradScaler("cpu", ...)`."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        what = "torch.cpu.amp.GradScaler(...) is now torch.amp.GradScaler('cpu', ...)"
        warnings.warn(what, FutureWarning, stacklevel=2)
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
