"""`GradScaler`: a loss times a factor, so that gradients in float16 do not vanish."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..core.tensor import Tensor, wrap
from ..errors import message

__all__ = ["GradScaler", "OptState"]


class OptState(enum.Enum):
    """How far an optimizer has got since the last `update`."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Scale a loss before `backward`, take the factor out of the gradients again, and skip steps that overflowed.

        scaler.scale(loss).backward()
        scaler.step(optimizer)          # gradients / scale; no step if one of them is infinite or NaN
        scaler.update()                 # then scale * backoff_factor; after growth_interval good steps * growth_factor

    To clip gradients, call `unscale_(optimizer)` before. float16 needs scaling; bfloat16 does not.

    Args:
        device: "cpu". There is no other device here: "cuda", the default, warns and turns the scaler off.
        init_scale: the first factor.
        growth_factor: what the factor is multiplied by after `growth_interval` steps without overflow.
        backoff_factor: what it is multiplied by after an overflow.
        growth_interval: a number of steps.
        enabled: if False, `scale` returns its argument, `step` steps, and all else does nothing.

    Raises:
        AssertionError: `growth_factor` is not above 1, or `backoff_factor` not below.

    Source: Micikevicius et al., "Mixed Precision Training" (2018).

    >>> import tapegrad as torch
    >>> p = torch.ones(1, requires_grad=True)
    >>> optimizer, scaler = torch.optim.SGD([p], lr=0.5), torch.amp.GradScaler("cpu")
    >>> for factor in (1.0, float("inf")):
    ...     optimizer.zero_grad()
    ...     scaler.scale(p.sum() * factor).backward()
    ...     scaler.step(optimizer)
    ...     scaler.update()
    ...     print(p.item(), scaler.get_scale())
    0.5 65536.0
    0.5 32768.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = devices.device(device).type
        if enabled and self._device != "cpu":
            what = f"GradScaler does nothing: there is no device {self._device!r} here"
            warnings.warn(what, UserWarning, stacklevel=2)
            enabled = False
        self._enabled = enabled
        if enabled:
            if growth_factor <= 1:
                text = message("GradScaler: growth_factor must be above 1", got=f"growth_factor={growth_factor}")
                raise AssertionError(text)
            if backoff_factor >= 1:
                text = message("GradScaler: backoff_factor must be below 1", got=f"backoff_factor={backoff_factor}")
                raise AssertionError(text)
            self._init_scale = init_scale
            self._scale: Tensor | None = None  # made by the first `scale`
            self._growth_factor = growth_factor
            self._backoff_factor = backoff_factor
            self._growth_interval = growth_interval
            self._init_growth_tracker = 0
            self._growth_tracker: Tensor | None = None  # steps without overflow since the factor changed
            self._per_optimizer_states: dict[int, dict[str, Any]] = {}

    def scale(self, outputs: Any) -> Any:
        """The losses times the factor.

        Args:
            outputs: a tensor, or an iterable of tensors and iterables.

        Raises:
            ValueError: it is neither.
        """
        if not self._enabled:
            return outputs
        factor = self._factor()
        if isinstance(outputs, Tensor):
            return outputs * factor
        if not isinstance(outputs, Iterable):
            text = message("GradScaler.scale: expected a tensor or an iterable of tensors", got=type(outputs).__name__)
            raise ValueError(text)
        found = map(self.scale, outputs)
        return type(outputs)(found) if isinstance(outputs, (list, tuple)) else found  # type: ignore[call-arg]

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the factor, and see whether all of them are finite.

        Raises:
            RuntimeError: it was done since the last `update`, or `step` was called.
            ValueError: a gradient is float16: master parameters are float32.
            AssertionError: nothing was scaled yet.
        """
        if not self._enabled:
            return
        self._check_begun("unscale_")
        state = self._state(optimizer)
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError(message("unscale_() has already been called on this optimizer since the last update()"))
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError(message("unscale_() is called after step()", fix="call it before"))
        factor = 1.0 / float(self._factor())
        state["found_inf_per_device"] = _unscale(optimizer, factor)
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Call `optimizer.step(*args, **kwargs)` unless a gradient is infinite or NaN; `unscale_` first if need be.

        Returns:
            What the optimizer returned, or None.

        Raises:
            RuntimeError: a closure is given, or `step` was called since the last `update`.
            AssertionError: no parameter has a gradient, or nothing was scaled yet.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError(message("GradScaler.step: closures are not supported", got="closure=..."))
        self._check_begun("step")
        state = self._state(optimizer)
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError(message("step() has already been called since the last update()"))
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        found = state["found_inf_per_device"]
        if not found:
            what = "GradScaler.step: none of the optimizer's parameters has a gradient"
            raise AssertionError(message(what, fix="call scaler.scale(loss).backward() first"))
        result = None if any(value.item() for value in found.values()) else optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Set the factor for the next iteration.

        Args:
            new_scale: the factor; by default it shrinks after an overflow, and grows after enough steps without.

        Raises:
            AssertionError: nothing was unscaled since the last `update`, or `new_scale` is no single number.
        """
        if not self._enabled:
            return
        self._check_begun("update")
        scale, tracker = self._scale.array, self._growth_tracker.array  # type: ignore[union-attr]
        if new_scale is not None:
            single = not isinstance(new_scale, Tensor) or (new_scale.numel() == 1 and not new_scale.requires_grad)
            if not single or not isinstance(new_scale, (float, Tensor)):
                what = "GradScaler.update: new_scale is a float, or a tensor of one element that requires no grad"
                raise AssertionError(message(what, got=repr(new_scale)))
            scale[...] = float(new_scale)
        else:
            found = [v.item() for s in self._per_optimizer_states.values() for v in s["found_inf_per_device"].values()]
            if not found:
                what = "GradScaler.update: no gradients were looked at since the last update"
                raise AssertionError(message(what, fix="call step(optimizer) or unscale_(optimizer) first"))
            if any(found):
                scale *= self._backoff_factor
                tracker[...] = 0
            else:
                tracker += 1
                if tracker == self._growth_interval:
                    grown = np.float32(scale * self._growth_factor)
                    if np.isfinite(grown):
                        scale[...] = grown
                    tracker[...] = 0
        self._per_optimizer_states.clear()

    # ---- numbers -------------------------------------------------------------------------------------------------

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def get_scale(self) -> float:
        """The factor; 1.0 if the scaler is off."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.array)

    def get_growth_factor(self) -> float:
        """What the factor is multiplied by after enough steps without overflow."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the factor is multiplied by after enough steps without overflow."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the factor is multiplied by after an overflow."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the factor is multiplied by after an overflow."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many steps without overflow the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many steps without overflow the factor grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._growth_tracker is None else int(self._growth_tracker.array)

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The factor and how it changes, in PyTorch's layout; empty if the scaler is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            RuntimeError: it is empty: that scaler was off.
        """
        if not self._enabled:
            return
        if not state_dict:
            what = "GradScaler.load_state_dict: the state is empty"
            raise RuntimeError(message(what, got="the state of a scaler that was not enabled, perhaps"))
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._scale.array[...] = state_dict["scale"]
            self._growth_tracker.array[...] = state_dict["_growth_tracker"]  # type: ignore[union-attr]

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                what = "a GradScaler cannot be pickled between step() and update()"
                raise AssertionError(message(what, fix="pickle it after update()"))
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale"] = state["_growth_tracker"] = None
        return state

    # ---- helpers -------------------------------------------------------------------------------------------------

    def _factor(self) -> Tensor:
        if self._scale is None:
            self._scale = wrap(np.array(self._init_scale, np.float32))
            self._growth_tracker = wrap(np.array(self._init_growth_tracker, np.int32))
        return self._scale

    def _check_begun(self, name: str) -> None:
        if self._scale is None:
            what = f"GradScaler.{name}: nothing was scaled yet"
            raise AssertionError(message(what, fix="call scaler.scale(loss).backward() first"))

    def _state(self, optimizer: Any) -> dict[str, Any]:
        fresh = {"stage": OptState.READY, "found_inf_per_device": {}}
        return self._per_optimizer_states.setdefault(id(optimizer), fresh)


def _unscale(optimizer: Any, factor: float) -> dict[str, Tensor]:
    """Multiply all gradients by the factor; 1.0 by device where one is not finite, nothing if there is no gradient."""
    found: dict[str, Tensor] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            if grad.dtype is dtypes.float16:
                what = "GradScaler.unscale_: gradients in float16 cannot be unscaled"
                raise ValueError(message(what, fix="keep the parameters in float32, and compute under autocast"))
            overflow = found.setdefault("cpu", wrap(np.zeros((), np.float32)))
            if not np.isfinite(grad.array).all():
                overflow.array[...] = 1
            np.multiply(grad.array, np.asarray(factor, grad.array.dtype), out=grad.array)
            grad.bump()
    return found
