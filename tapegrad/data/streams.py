"""The random streams a program draws from, and a set of them for each worker.

There are three: tapegrad's default one, Python's `random` and `numpy.random`. PyTorch's worker w begins with

    the default stream and `random` seeded with base_seed + w,
    `numpy.random` seeded with the four words of SeedSequence([w, base_seed mod 2**32, base_seed // 2**32, 0]),

and so does every worker here, whether it is a process or a thread.

Note [Streams by thread]: threads share the modules `random` and `numpy.random`, and a worker that drew from them would
move the streams of the program. So before the first worker thread starts, the functions of both modules that draw from
the shared stream (`random.random`, `numpy.random.rand`, ...) are wrapped once and for all: in a worker's thread they
draw from the worker's own stream, anywhere else they are what they were (0.1 us later). tapegrad's own functions ask
`ops.generators.own`. What no wrapper can reach is a name that was bound before: `from random import shuffle` at the
head of a module; it draws from the shared stream. Processes (`multiprocessing_context="fork"`) have no such case.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from ..core.tensor import Tensor
from ..errors import message
from ..ops.creation.values import tensor
from ..ops.random.generators import Generator, current, own

State = tuple[Any, Any, Any]


class Streams:
    """Three streams: a `Generator`, the module `random` or a `random.Random`, `numpy.random` or a `RandomState`."""

    def __init__(self, generator: Generator, python: Any, numpy: Any):
        self.generator, self.python, self.numpy = generator, python, numpy

    def seed(self, base_seed: int, number: int) -> None:
        """Begin as worker `number` does."""
        self.generator.manual_seed(base_seed + number)
        self.python.seed(base_seed + number)
        words = np.random.SeedSequence([number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0])
        self.numpy.seed(words.generate_state(4))

    def state(self) -> State:
        """Where the streams are."""
        return self.generator.get_state(), self.python.getstate(), self.numpy.get_state()

    def set_state(self, state: State) -> None:
        """Continue from there; a part that is None stays where it is."""
        for stream, part in zip((self.generator.set_state, self.python.setstate, self.numpy.set_state), state):
            if part is not None:
                stream(part)

    def mark(self) -> Any:
        """What `resolved` makes a state of, if it is ever needed; taken after every batch."""
        return self.state()


class ThreadStreams(Streams):
    """Streams of which only marks are taken: a state takes 0.25 ms to read, a mark 1 us where nothing was drawn."""

    generator: CountedGenerator
    used = False  # whether `random` or `numpy.random` have been asked since the last mark

    def __init__(self) -> None:
        super().__init__(CountedGenerator(), random.Random(), np.random.RandomState())
        self._kept: tuple[Any, Any] | None = None

    def mark(self) -> Any:
        if self.used or self._kept is None:
            self._kept, self.used = (self.python.getstate(), self.numpy.get_state()), False
        return (self.generator.mark(), *self._kept)


def resolved(mark: Any) -> State | None:
    """The state at a mark."""
    if mark is None or isinstance(mark[0], Tensor):
        return mark
    return mark[0].state(), mark[1], mark[2]


def streams_here() -> Streams:
    """The streams that functions draw from in this thread."""
    return _here.get() or Streams(current(), random, np.random)


def streams_of_thread(base_seed: int, number: int) -> Streams:
    """Give the calling thread streams of its own, those of worker `number`."""
    streams = ThreadStreams()
    streams.seed(base_seed, number)
    own.set(streams.generator)
    _here.set(streams)
    return streams


class Mark(NamedTuple):
    """A place in the stream of a generator: so many words after a state."""

    base: Tensor
    drawn: int
    spare: float | None

    def state(self) -> Tensor:
        """The generator's state there."""
        generator = Generator().set_state(self.base)
        for _ in range(self.drawn // _STEP):
            generator.words(_STEP)
        generator.words(self.drawn % _STEP)
        generator.spare = self.spare
        return generator.get_state()


class CountedGenerator(Generator):
    """A generator that knows how many words it has given."""

    __slots__ = ("_base", "_drawn")

    def manual_seed(self, seed: int) -> Generator:
        self._base: Tensor | None = None
        super().manual_seed(seed)
        return self

    def set_state(self, state: Tensor) -> Generator:  # type: ignore[override]
        self._base = None
        return super().set_state(state)

    def words(self, n: int) -> np.ndarray:
        if self._base is not None:
            self._drawn += n
        return super().words(n)

    def mark(self) -> Mark:
        """Where the stream is."""
        if self._base is None or self._drawn > 100 * _STEP:
            self._base, self._drawn = self.get_state(), 0
        return Mark(self._base, self._drawn, self.spare)


_STEP = 1 << 16


# ---- states as plain values, for `state_dict` ----------------------------------------------------------------------


def packed(state: State | None) -> dict[str, Any] | None:
    """A state as tensors and numbers."""
    if state is None:
        return None
    values: dict[str, Any] = {"default": state[0], "python": None, "numpy": None}
    if state[1] is not None:
        version, words, gauss = state[1]
        values["python"] = [version, tensor(list(words)), gauss]
    if state[2] is not None:
        _, key, position, has_gauss, cached = state[2]
        values["numpy"] = [tensor(key.astype(np.int64)), int(position), int(has_gauss), float(cached)]
    return values


def unpacked(values: Any) -> State | None:
    """The state that `packed` made these values of.

    Raises:
        TypeError, KeyError: they are something else.
    """
    if values is None:
        return None
    default, python, numpy = values["default"], values["python"], values["numpy"]
    if not isinstance(default, Tensor):
        raise TypeError(message("this is not the state of a random stream", got=type(default).__name__))
    if python is not None:
        version, words, gauss = python
        python = (version, tuple(words.tolist()), gauss)
    if numpy is not None:
        key, *rest = numpy
        numpy = ("MT19937", key.array.astype(np.uint32), *rest)
    return default, python, numpy


# ---- Note [Streams by thread] --------------------------------------------------------------------------------------

_here: ContextVar[ThreadStreams | None] = ContextVar("tapegrad_streams", default=None)

_OTHER_NAMES = {"seed": "seed", "sample": "random_sample", "ranf": "random_sample"}  # plain functions in numpy.random


def split_by_thread() -> None:
    """Wrap the functions of `random` and `numpy.random`; a second call changes nothing."""
    if hasattr(random.random, "__wrapped__"):
        return
    _wrap(random, "python", getattr(random.random, "__self__", None))
    _wrap(np.random, "numpy", getattr(np.random.rand, "__self__", None))
    for name, method in _OTHER_NAMES.items():
        setattr(np.random, name, _by_thread(getattr(np.random, name), "numpy", method))


def _wrap(module: Any, which: str, shared: Any) -> None:
    """Wrap the functions of `module` that are methods of its `shared` stream."""
    for name, function in list(vars(module).items()):
        if shared is not None and getattr(function, "__self__", None) is shared:
            setattr(module, name, _by_thread(function, which, name))


def _by_thread(function: Callable, which: str, name: str) -> Callable:
    @functools.wraps(function)
    def draw(*args: Any, **kwargs: Any) -> Any:
        streams = _here.get()
        if streams is None:
            return function(*args, **kwargs)
        streams.used = True
        return getattr(getattr(streams, which), name)(*args, **kwargs)

    draw.__module__, draw.__qualname__ = {"python": "random", "numpy": "numpy.random"}[which], name
    return draw
