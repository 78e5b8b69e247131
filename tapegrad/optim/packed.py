"""The state of many parameters in one buffer: a step is then few long array calls instead of many short ones.

The state of the parameters of a group is laid side by side, a stretch for each name; `state[p][name]` stay the same
tensors and become windows onto it. A step reads each gradient and writes each parameter where they are, and computes
everything between in stretches of the buffer that span several small parameters (`Update.parts`).

Invariant: a `Packed` is used for a step only if `holds` finds every array where the packing left it. Whatever a program
does to parameters, gradients or state between two steps, the worst is that they are packed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from operator import attrgetter, is_, itemgetter
from typing import Any, NamedTuple

import numpy as np

from ..backends.cpu.optimizers import PLAIN, Parts
from ..core.tensor import Tensor

Array = np.ndarray
# Elements that neighbours may have together: with their state and temporaries they stay in a cache of 512 KiB.
TOGETHER = 16384
LARGEST = 4 * TOGETHER  # elements of one parameter; a larger one gains nothing

array_of, gradient_of = attrgetter("array"), attrgetter("_grad.array")


class Chunk(NamedTuple):
    """Neighbours that are computed together."""

    part: slice  # which of the parameters
    state: list[Array]  # theirs, side by side: (n,) for each name
    temporaries: list[Array]  # (n,)


class Packed:
    """Parameters of one group whose state lies side by side, and the others (`rest`).

    Args:
        program: the compiled rule.
        members: the parameters of the group that have gradients.
        states: the state of each member.
    """

    def __init__(self, program: Any, members: list[Tensor], states: list[dict[str, Tensor]]):
        counts, names = program.counts, program.arrays
        self.program, self.members = program, members
        self.parts: Parts = program.update.parts
        self.values: list[float] = []  # of the options of the program
        self.settings: list[Any] = []  # all that the group held when they were read
        chosen = [i for i, (p, s) in enumerate(zip(members, states)) if _fits(p, s, names)]
        if chosen:  # only those that agree with the first can share its numbers
            first = _agreement(members[chosen[0]], states[chosen[0]], counts)
            chosen = [i for i in chosen if _agreement(members[i], states[i], counts) == first]
        if len(chosen) < 2 or len(set(map(id, members))) < len(members):
            chosen = []
        self.params = [members[i] for i in chosen]
        self.rest = [p for i, p in enumerate(members) if i not in set(chosen)]
        self.names = counts + names
        if self.names:
            get = itemgetter(*self.names)
            self.entries = get if len(self.names) > 1 else lambda state: (get(state),)
        self.tensors = [states[i][n] for i in chosen for n in self.names]
        self.arrays = [p.array for p in self.params]
        self.numbers: list[Array] = []  # the counts: (params,) for each name
        self.states: list[list[Array]] = []  # for each parameter, the windows in its shape
        self.temporaries: list[list[Array]] = []  # likewise
        self.chunks: list[Chunk] = []
        if chosen:
            self._pack([states[i] for i in chosen], counts, names)
        self.windows = [t.array for t in self.tensors]
        self.version = [1 + max((t._version for t in self.tensors), default=0)]
        for t in self.tensors:
            t._ver = self.version  # as they share memory

    def _pack(self, states: list[dict[str, Tensor]], counts: tuple[str, ...], names: tuple[str, ...]) -> None:
        """Move the state into buffers, and cut these."""
        dtype, shapes = self.arrays[0].dtype, [a.shape for a in self.arrays]
        ends = [0, *accumulate(a.size for a in self.arrays)]
        self.numbers = [np.array([s[n].array for s in states]) for n in counts]
        for name, values in zip(counts, self.numbers):
            for i, s in enumerate(states):
                s[name].array = values[i : i + 1].reshape(())
        buffers = np.empty((len(names), ends[-1]), dtype)  # in one: large memory gets large pages
        for name, buffer in zip(names, buffers):
            for s, shape, start, end in zip(states, shapes, ends, ends[1:]):
                window = buffer[start:end].reshape(shape)
                np.copyto(window, s[name].array)
                s[name].array = window
        self.states = [[s[n].array for n in names] for s in states]
        scratch = [
            np.empty(max(TOGETHER, *(a.size for a in self.arrays)), dtype) for _ in range(self.parts.temporaries)
        ]
        together, first = self.parts.middle is not None, 0
        while first < len(shapes):
            low, last = ends[first], first + 1
            while together and last < len(shapes) and ends[last + 1] - low <= TOGETHER:
                last += 1
            for shape, start, end in zip(shapes[first:last], ends[first:last], ends[first + 1 :]):
                self.temporaries.append([t[start - low : end - low].reshape(shape) for t in scratch])
            high = ends[last]
            self.chunks.append(
                Chunk(slice(first, last), [b[low:high] for b in buffers], [t[: high - low] for t in scratch])
            )
            first = last

    def follows(self, group: dict[str, Any]) -> bool:
        """Whether no option of the group was changed since `values` were read."""
        settings = self.settings
        return len(group) == len(settings) and all(map(is_, group.values(), settings))

    def holds(self, members: list[Tensor], states: Mapping[Tensor, dict[str, Tensor]]) -> bool:
        """Whether these are the members, with every piece of state where it was put."""
        if len(members) != len(self.members) or not all(map(is_, members, self.members)):
            return False
        if self.names:
            try:
                if len(states) == len(self.params) and all(map(is_, states, self.params)):
                    own: Iterable = states.values()  # without looking up each parameter
                else:
                    own = [states[p] for p in self.params]
                tensors = list(chain.from_iterable(map(self.entries, own)))
            except (KeyError, TypeError):
                return False
            if not (all(map(is_, tensors, self.tensors)) and all(map(is_, map(array_of, tensors), self.windows))):
                return False
        arrays = list(map(array_of, self.params))
        if not all(map(is_, arrays, self.arrays)):  # p.data = ...
            if not all(map(_same_layout, arrays, self.arrays)):
                return False
            self.arrays = arrays
        return all(not n.size or (n[0] == n[-1] and (n == n[0]).all()) for n in self.numbers)

    def run(self, numbers: Sequence[Array], new: Sequence[float]) -> None:
        """Make the step: `numbers` of the update, and the `new` values of the counts."""
        # all that concerns objects first: arrays drive them out of the caches
        grads = [g if g.flags.c_contiguous else np.ascontiguousarray(g) for g in map(gradient_of, self.params)]
        for p in self.params:
            p.bump()
        self.version[0] += 1
        whole, _, gather, middle, scatter = self.parts
        for part, buffers, scratch in self.chunks:
            mine = list(zip(self.arrays[part], grads[part], self.states[part], self.temporaries[part]))
            if len(mine) == 1:
                ((p_, g, state, temporaries),) = mine
                whole(p_, g, state, numbers, temporaries)
                continue
            for p_, g, state, temporaries in mine:
                gather(p_, g, state, numbers, temporaries)
            middle(buffers, numbers, scratch)
            for p_, g, state, temporaries in mine:
                scatter(p_, g, state, numbers, temporaries)
        for values, value in zip(self.numbers, new):
            values.fill(value)


def _fits(p: Tensor, state: dict[str, Tensor], names: tuple[str, ...]) -> bool:
    """Whether a parameter can be packed: plain memory, and not so large that it fills pieces alone."""
    a = p.array
    if a.dtype not in PLAIN or not a.ndim or not 0 < a.size <= LARGEST:
        return False
    return all(_same_layout(b, a) for b in (a, *[state[n].array for n in names]))


def _same_layout(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.flags.c_contiguous


def _agreement(p: Tensor, state: dict[str, Tensor], counts: tuple[str, ...]) -> tuple:
    return (p.array.dtype, *[(state[n].array.dtype, state[n].array.item()) for n in counts])
