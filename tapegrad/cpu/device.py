"""Questions that programs for several kinds of devices ask."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Whether there is a CPU: always."""
    return True


def is_initialized() -> bool:
    """Whether the device is ready: always."""
    return True


def device_count() -> int:
    """How many CPU devices there are: one, however many cores it has."""
    return 1


def current_device() -> str:
    """The device in use: "cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """Accepted for compatibility: there is one device."""


def synchronize(device: Any = None) -> None:
    """Accepted for compatibility: operations are complete when they return."""
