"""Generators of random numbers, and the default one: `manual_seed`, its state, and forks of it.

In a thread that reads data (`data/streams.py`) the default generator is that worker's own: `own` holds it there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from ... import devices
from ...backends.cpu import generator as streams
from ...core.tensor import Tensor, wrap
from ...errors import message

__all__ = [
    "Generator", "default_generator", "manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state",
]  # fmt: skip


class Generator(streams.Generator):
    """A stream of random numbers with its own state: the Mersenne Twister MT19937, as PyTorch's on the CPU.

    Args:
        device: "cpu", the only one there is.

    Raises:
        RuntimeError: any other device.

    >>> import tapegrad as torch
    >>> torch.rand(2, generator=torch.Generator().manual_seed(0))
    tensor([0.4963, 0.7682])
    """

    __slots__ = ()

    def __init__(self, device: Any = "cpu"):
        super().__init__(str(devices.check_device("Generator", device)))
        self.device = devices.CPU

    def get_state(self) -> Tensor:  # type: ignore[override]
        """The state as a uint8 tensor of 5056 bytes, in PyTorch's layout."""
        return wrap(super().get_state())

    def set_state(self, state: Tensor) -> Generator:  # type: ignore[override]
        """Continue from a state that `get_state` returned; returns itself.

        Raises:
            TypeError: not a uint8 tensor.
            RuntimeError: not such a state.
        """
        super().set_state(state.array if isinstance(state, Tensor) else state)  # type: ignore[arg-type]
        return self

    def clone_state(self) -> Generator:
        """A second generator that will draw the same numbers."""
        return Generator().set_state(self.get_state())

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {id(self):#x}>"

    def __reduce__(self):
        return Generator, (), self.get_state()

    __setstate__ = set_state


default_generator = Generator()
own: ContextVar[Generator | None] = ContextVar("tapegrad_generator", default=None)


def current() -> Generator:
    """The default generator, or the one that stands for it in this thread."""
    return own.get() or default_generator


def chosen(given: Any) -> streams.Generator:
    """The generator that was asked for, or the default one."""
    if given is None:
        return own.get() or default_generator
    if not isinstance(given, streams.Generator):
        raise TypeError(message("generator: must be a torch.Generator", got=type(given).__name__))
    return given


def manual_seed(seed: int) -> Generator:
    """Start the default generator's stream of `seed`, in [-2**63, 2**64); returns the generator.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    generator = current()
    generator.manual_seed(int(seed))
    return generator


def thread_safe_generator() -> Generator | None:
    """The generator that stands for the default one in a thread that reads data, None elsewhere."""
    return own.get()


def seed() -> int:
    """Seed the default generator with a number that cannot be foreseen, and return it."""
    return current().seed()


def initial_seed() -> int:
    """The seed that the default generator started from."""
    return current().initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator as a uint8 tensor."""
    return current().get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Continue the default generator from a state that `get_rng_state` returned.

    >>> import tapegrad as torch
    >>> state = torch.get_rng_state()
    >>> x = torch.rand(2)
    >>> torch.set_rng_state(state)
    >>> bool((torch.rand(2) == x).all())
    True
    """
    current().set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **options: Any) -> Iterator[None]:
    """Leave the default generator as it was before the `with` block.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> with torch.random.fork_rng():
    ...     _ = torch.rand(10)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    generator = current()
    before = generator.get_state() if enabled else None
    try:
        yield
    finally:
        if before is not None:
            generator.set_state(before)
