"""All parameters of a group in one step: by one call of generated code, or in few long array calls.

`Tabled`: a table says where each parameter, its gradient and its state lie, and machine code goes through it.

`Packed`, without code generation: the state of the parameters of a group is laid side by side, a stretch for each name;
`state[p][name]` stay the same tensors and become windows onto it. A step collects the gradients of neighbours, computes
in stretches of the buffers that span several parameters, and writes each parameter where it is (`Update.parts`).

Invariant: either is used for a step only if `holds` finds every array where it was. Whatever a program does to
parameters, gradients or state between two steps, the worst is that it is set up again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from operator import attrgetter, is_, itemgetter, methodcaller
from typing import Any, NamedTuple

import numpy as np

from ..backends.cpu.axpby import WORTH
from ..backends.cpu.optimizers import PIECE, PLAIN, Parts
from ..backends.cpu.step_table import LEAST, Table
from ..core.tensor import Tensor

Array = np.ndarray
# Elements that neighbours may have together. Adam on 50 tensors of 20000, one thread, beside torch's 4.0 ms: 2.2 ms one
# by one, 2.0 with 40000 together, 1.8 with 60000, 1.7 with 100000 or 240000.
TOGETHER = PIECE
LARGEST = PIECE  # elements of one parameter; a larger one gains nothing

array_of, gradient_of, flat = attrgetter("array"), attrgetter("_grad.array"), methodcaller("reshape", -1)


class Together:
    """Parameters of one group that make their step together, and the others (`rest`).

    Args:
        program: the compiled rule.
        members: the parameters of the group that have gradients.
        states: the state of each member.
    """

    least, largest = 2, LARGEST  # parameters, and elements of one

    def __init__(self, program: Any, members: list[Tensor], states: list[dict[str, Tensor]]):
        counts, names = program.counts, program.arrays
        self.program, self.members = program, members
        self.values: list[float] = []  # of the options of the program
        self.settings: list[Any] = []  # all that the group held when they were read
        chosen = [i for i, (p, s) in enumerate(zip(members, states)) if self._fits(p, s, names)]
        if chosen:  # only those that agree with the first can share its numbers
            first = _agreement(members[chosen[0]], states[chosen[0]], counts)
            chosen = [i for i in chosen if _agreement(members[i], states[i], counts) == first]
        if len(chosen) < self.least or len(set(map(id, members))) < len(members):
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
        if chosen:
            mine = [states[i] for i in chosen]
            self.numbers = [np.array([s[n].array for s in mine]) for n in counts]
            for name, values in zip(counts, self.numbers):
                for i, s in enumerate(mine):
                    s[name].array = values[i : i + 1].reshape(())
            self._prepare(mine, names)
        self.windows = [t.array for t in self.tensors]
        self.version = [1 + max((t._version for t in self.tensors), default=0)]
        for t in self.tensors:
            t._ver = self.version  # as they share memory

    def _fits(self, p: Tensor, state: dict[str, Tensor], names: tuple[str, ...]) -> bool:
        """Whether a parameter can be one of them: plain memory, and not too large."""
        a = p.array
        if a.dtype not in PLAIN or not 0 < a.size <= self.largest or not a.flags.writeable:
            return False
        return all(_same_layout(b, a) for b in (a, *[state[n].array for n in names]))

    def _prepare(self, states: list[dict[str, Tensor]], names: tuple[str, ...]) -> None:
        """Set up what `_update` needs."""
        raise NotImplementedError

    def _update(self, numbers: list[Array]) -> None:
        """Write the new parameters and state."""
        raise NotImplementedError

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
            self._moved(arrays)
        return all(not n.size or (n[0] == n[-1] and (n == n[0]).all()) for n in self.numbers)

    def _moved(self, arrays: list[Array]) -> None:
        """Some of the parameters lie elsewhere now."""
        self.arrays = arrays

    def run(self, numbers: list[Array], new: Sequence[float]) -> None:
        """Make the step: `numbers` of the update, and the `new` values of the counts."""
        for p in self.params:  # all that concerns objects first: arrays drive them out of the caches
            p.bump()
        self.version[0] += 1
        self._update(numbers)
        for values, value in zip(self.numbers, new):
            values.fill(value)


class Tabled(Together):
    """By machine code, wherever the arrays lie."""

    least, largest = 1, 2**62

    def _prepare(self, states: list[dict[str, Tensor]], names: tuple[str, ...]) -> None:
        kernel = self.program.update.kernel(self.arrays[0].dtype)
        self.table = Table(kernel, self.arrays, [[s[n].array for s in states] for n in names])

    def _moved(self, arrays: list[Array]) -> None:
        self.arrays = arrays
        self.table.place(0, arrays)

    def _update(self, numbers: list[Array]) -> None:
        self.table.run(list(map(gradient_of, self.params)), numbers)


class Chunk(NamedTuple):
    """Neighbours that are computed together."""

    part: slice  # which of the parameters
    g: Array  # for their gradients, side by side: (n,)
    state: list[Array]  # theirs, side by side: (n,) for each name
    temporaries: list[Array]  # (n,)


class Packed(Together):
    """By NumPy, with the state side by side."""

    def _prepare(self, states: list[dict[str, Tensor]], names: tuple[str, ...]) -> None:
        """Move the state into buffers, and cut these."""
        dtype, shapes = self.arrays[0].dtype, [a.shape for a in self.arrays]
        ends = [0, *accumulate(a.size for a in self.arrays)]
        buffers = np.empty((len(names), ends[-1]), dtype)  # in one: large memory gets large pages
        for name, buffer in zip(names, buffers):
            for s, shape, start, end in zip(states, shapes, ends, ends[1:]):
                window = buffer[start:end].reshape(shape)
                np.copyto(window, s[name].array)
                s[name].array = window
        fuse = (ends[-1] >= WORTH) + (ends[-1] >= WORTH * len(shapes))
        self.parts: Parts = self.program.update.parts(fuse)
        bounds = _neighbours(ends, self.parts.middle is not None)
        longest = max(ends[last] - ends[first] for first, last in bounds)
        scratch = [np.empty(longest, dtype) for _ in range(1 + self.parts.temporaries)]  # the first for gradients
        self.chunks: list[Chunk] = []
        # of each parameter, in its shape: the place for its gradient, its state, temporaries
        self.places: list[tuple[Array, list[Array], list[Array]]] = []
        for first, last in bounds:
            low, high = ends[first], ends[last]
            for shape, start, end in zip(shapes[first:last], ends[first:last], ends[first + 1 :]):
                g, *spare = [t[start - low : end - low].reshape(shape) for t in scratch]
                self.places.append((g, [b[start:end].reshape(shape) for b in buffers], spare))
            g, *spare = [t[: high - low] for t in scratch]
            state = [b[low:high] for b in buffers]
            self.chunks.append(Chunk(slice(first, last), g, state, spare))

    def _update(self, numbers: list[Array]) -> None:
        grads = list(map(gradient_of, self.params))
        whole, _, gather, middle, scatter = self.parts
        for part, buffer, state, temporaries in self.chunks:
            first = part.start
            if first + 1 == part.stop:
                g, (_, own, spare) = grads[first], self.places[first]
                g = g if g.flags.c_contiguous else np.ascontiguousarray(g)
                whole(self.arrays[first], g, own, numbers, spare)
                continue
            np.concatenate(list(map(flat, grads[part])), out=buffer)
            mine = list(zip(self.arrays[part], self.places[part]))
            if gather is not None:
                for p_, (g, own, spare) in mine:
                    gather(p_, g, own, numbers, spare)
            middle(buffer, state, numbers, temporaries)
            for p_, (g, own, spare) in mine:
                scatter(p_, g, own, numbers, spare)


def together(program: Any, members: list[Tensor], states: list[dict[str, Tensor]]) -> Together:
    """The parameters of a group as one step can take them."""
    plain = [p.array for p in members if p.array.dtype in PLAIN]
    large = sum(a.size for a in plain) >= LEAST
    if large and all(program.update.kernel(dtype) for dtype in {a.dtype for a in plain}):
        return Tabled(program, members, states)
    return Packed(program, members, states)


def _neighbours(ends: list[int], several: bool) -> list[tuple[int, int]]:
    """Runs of parameters, which end at these elements, that are computed together: the first and the one after."""
    found, first = [], 0
    while first < len(ends) - 1:
        last = first + 1
        while several and last < len(ends) - 1 and ends[last + 1] - ends[first] <= TOGETHER:
            last += 1
        found.append((first, last))
        first = last
    return found


def _same_layout(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.flags.c_contiguous


def _agreement(p: Tensor, state: dict[str, Tensor], counts: tuple[str, ...]) -> tuple:
    return (p.array.dtype, *[(state[n].array.dtype, state[n].array.item()) for n in counts])
