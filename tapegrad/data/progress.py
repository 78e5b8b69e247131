"""Where a pass over a loader is, and how to go there again.

Note [Where a pass is]: a state holds the streams of the caller when the pass began, the number of batches that were
given, and where the workers' streams were after their last batch that was given. To continue, the caller's streams are
put where they began; the sampler gives its keys once more, and those of batches that were given are skipped, nothing is
read for them; then all streams are put where they were when the state was taken. Only an iterable dataset without
`state_dict` and `load_state_dict` of its own has to be read again from its start, its first batches being dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import message
from ..ops.random.generators import Generator
from .sampler import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .streams import packed, resolved, streams_here, unpacked

_OURS = frozenset({
    BatchSampler, DistributedSampler, RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler,
})  # fmt: skip
_VERSION = 1


class Draws:
    """What the caller's side of a loader draws from: the three streams, and the generators it was given."""

    def __init__(self, generator: Generator | None, samplers: Iterable[Any], is_stream: bool):
        chain = [s for first in samplers for s in (first, getattr(first, "sampler", None)) if s is not None]
        found = [generator, *(getattr(sampler, "generator", None) for sampler in chain)]
        self._generators = list({id(g): g for g in found if isinstance(g, Generator)}.values())
        self._only_default = not is_stream and all(type(sampler) in _OURS for sampler in chain)

    def start(self) -> list[Any]:
        """Where all of it is that decides the order of samples."""
        streams = streams_here()
        caller = (streams.generator.get_state(), None, None) if self._only_default else streams.state()
        return [caller, *(g.get_state() for g in self._generators)]

    def now(self) -> list[Any]:
        """Where all of it is."""
        return [streams_here().state(), *(g.get_state() for g in self._generators)]

    def go(self, place: list[Any]) -> None:
        """Go back to what `start` or `now` gave."""
        if len(place) != 1 + len(self._generators):
            text = "DataLoader: this state belongs to a loader with other generators"
            raise ValueError(message(text, got=len(place) - 1, expected=len(self._generators)))
        streams_here().set_state(place[0])
        for generator, state in zip(self._generators, place[1:]):
            generator.set_state(state)


@dataclass
class Progress:
    """A pass. Lists have an entry for each worker; numbers of batches begin at 0 in each pass."""

    start: list[Any] | None = None  # of Draws
    drew_seed: bool = True  # False for the later passes of persistent workers
    base_seed: int = 0
    given: int = 0  # batches
    ahead: set[int] = field(default_factory=set)  # numbers of those given before their turn (in_order=False)
    finished: bool = False
    first_marks: list[Any] = field(default_factory=list)  # streams when the pass began; None: just seeded
    marks: list[Any] = field(default_factory=list)  # after the last batch that was given
    datasets: list[Any] = field(default_factory=list)  # what `state_dict` of the workers' datasets gave then
    ended: set[int] = field(default_factory=set)  # workers whose part of an iterable dataset is read
    last: int = -1  # worker that was asked for the last batch that was given

    def for_workers(self, count: int) -> None:
        """Make room for so many workers, unless a pass with as many is continued."""
        if len(self.marks) != count:
            self.first_marks, self.marks = [None] * count, [None] * count
        if len(self.datasets) != count:
            self.datasets = [None] * count

    def state(self, now: list[Any], dataset: Any) -> dict[str, Any]:
        """This as plain values; `dataset` is the state of an iterable dataset that is read without workers."""
        return {
            "version": _VERSION,
            "now": _pack(now),
            "start": None if self.start is None else _pack(self.start),
            "drew_seed": self.drew_seed,
            "base_seed": self.base_seed,
            "given": self.given,
            "ahead": sorted(self.ahead),
            "finished": self.finished,
            "first_marks": [packed(resolved(mark)) for mark in self.first_marks],
            "marks": [packed(resolved(mark)) for mark in self.marks],
            "datasets": list(self.datasets) if self.datasets else [dataset],
            "ended": sorted(self.ended),
            "last": self.last,
        }


def from_state(state: Any) -> tuple[Progress, list[Any]]:
    """The pass that a state describes, and where the streams were.

    Raises:
        ValueError: it is not the state of a loader.
    """
    try:
        plain = {name: state[name] for name in ("drew_seed", "base_seed", "given", "finished", "last")}
        if state["version"] != _VERSION or not all(isinstance(value, int) for value in plain.values()):
            raise TypeError
        progress = Progress(
            start=None if state["start"] is None else _unpack(state["start"]),
            ahead=set(state["ahead"]),
            first_marks=[unpacked(mark) for mark in state["first_marks"]],
            marks=[unpacked(mark) for mark in state["marks"]],
            datasets=list(state["datasets"]),
            ended=set(state["ended"]),
            **plain,
        )
        return progress, _unpack(state["now"])
    except (KeyError, TypeError) as error:
        text = "DataLoader.load_state_dict: this is not the state of a DataLoader"
        got = sorted(state) if isinstance(state, dict) else type(state).__name__
        raise ValueError(message(text, got=got, expected="what state_dict() returned")) from error


def _pack(place: list[Any]) -> list[Any]:
    return [packed(place[0]), *place[1:]]


def _unpack(values: list[Any]) -> list[Any]:
    return [unpacked(values[0]), *values[1:]]
