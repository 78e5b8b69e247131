"""PyTorch's generator on the CPU: words of the Mersenne Twister, and its state in PyTorch's bytes.

Reference: Matsumoto, Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ...errors import message

# PyTorch's layout of a CPU generator's state, 5056 bytes. `left` is the number of words of `key` not used yet, plus 1,
# and `next` the position of the first of them (without meaning where there are none); `normal` is Generator.spare.
_STATE = np.dtype([
    ("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"), ("key", "<u8", 624),
    ("x", "<f8"), ("normal", "<f8"), ("rho", "<f8"), ("has_normal", "<i4"), ("rest", "V12"),
])  # fmt: skip


class Generator:
    """A stream of random 32-bit words: MT19937, seeded with the low 32 bits of the seed; "cpu" is the only device."""

    __slots__ = ("_seed", "_stream", "device", "spare")

    def __init__(self, device: object = "cpu"):
        if str(device) not in ("cpu", "cpu:0"):
            raise RuntimeError(message("Generator: there is no such device", got=device, expected="cpu"))
        self.device = "cpu"
        self._stream: np.random.MT19937 | None = None
        self.manual_seed(67280421310721)  # PyTorch's default

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed`, in [-2**63, 2**64); a negative one means 2**64 + seed. Returns itself."""
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise RuntimeError(message("manual_seed: the seed is not an int", got=f"{seed!r} ({type(seed).__name__})"))
        if not -(2**63) <= seed < 2**64:
            raise ValueError(message("manual_seed: the seed needs more than 64 bits", got=seed))
        self._seed = int(seed) % 2**64
        if self._stream is not None:
            self._restart(self._stream)
        self.spare: float | None = None  # second number of a pair of normals, not yet given out
        return self

    def _restart(self, stream: np.random.MT19937) -> None:
        np.random.RandomState(stream).seed(self._seed & 0xFFFFFFFF)

    @property
    def _bits(self) -> np.random.MT19937:
        """The twister itself, made at the first draw: `numpy.random` takes 15 ms to import."""
        if self._stream is None:
            self._stream = np.random.MT19937(0)
            self._restart(self._stream)
        return self._stream

    def seed(self) -> int:
        """Start a stream that cannot be foreseen; returns its seed."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little")).initial_seed()

    def initial_seed(self) -> int:
        """The seed that this stream started from, in [0, 2**64)."""
        return self._seed

    def words(self, n: int) -> np.ndarray:
        """The next n 32-bit words of the stream, as uint64."""
        return self._bits.random_raw(n)

    def state_in_memory(self) -> tuple[Any, int]:
        """A lock to hold while the state is used, and its address: 624 words and the position of the next."""
        stream = self._bits
        return stream.lock, stream.ctypes.state_address

    def get_state(self) -> np.ndarray:
        """The state as 5056 bytes (uint8) in PyTorch's layout: either package continues from the other's."""
        state = np.zeros((), _STATE)
        twister = self._bits.state["state"]
        state["seed"], state["seeded"], state["key"] = self._seed, 1, twister["key"]
        state["next"] = twister["pos"] % 624  # 624, all used up, has no position: 0, as after seeding
        state["left"] = 625 - twister["pos"]
        if self.spare is not None:
            state["normal"], state["has_normal"] = self.spare, 1
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def set_state(self, state: np.ndarray) -> Generator:
        """Continue from a state that `get_state` or PyTorch's has returned; returns itself.

        Raises:
            TypeError: not a uint8 array.
            RuntimeError: not such a state.
        """
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            raise TypeError(message("set_state: a state is a uint8 array", got=getattr(state, "dtype", type(state))))
        if state.size != _STATE.itemsize:
            raise RuntimeError(message("set_state: wrong size", got=f"{state.size} bytes", expected=_STATE.itemsize))
        new = np.frombuffer(state.tobytes(), _STATE)[0]
        left, position = int(new["left"]), int(new["next"])
        if new["seeded"] != 1 or not 1 <= left <= 624 or (left > 1 and left + position != 625):
            what = "set_state: these bytes are not the state of a generator"
            raise RuntimeError(message(what, got=f"seeded={new['seeded']}, left={left}, next={position}"))
        key = (new["key"] & 0xFFFFFFFF).astype(np.uint32)
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": 625 - left}}
        self._seed = int(new["seed"])
        self.spare = float(new["normal"]) if new["has_normal"] else None
        return self

    def clone_state(self) -> Generator:
        """A second generator that will draw the same numbers."""
        return Generator(self.device).set_state(self.get_state())

    def __reduce__(self):
        return Generator, (self.device,), self.get_state()

    __setstate__ = set_state
