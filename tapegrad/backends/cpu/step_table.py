"""Where arrays lie, as a table for generated updates (`codegen.updates`).

A row is a stretch of the elements of one parameter: the array objects of the parameter, its gradient and its state, the
first element and how many. Machine code reads the address of the elements from the object, as C code does, so that a
step has to enter nothing but the new gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
LEAST = 16384  # elements from which generated code is asked for: LLVM takes 20 ms to start
WORK = 32768  # elements of the parts that threads share; Adam takes 20 us for them


class Table:
    """The arrays of several parameters of one type.

    Args:
        kernel: the update as machine code, a function of (table, bounds, parts, numbers).
        params: the parameters; contiguous, as are all arrays here.
        state: for each piece of state its arrays.
    """

    def __init__(self, kernel: Callable[..., None], params: Sequence[Array], state: Sequence[Sequence[Array]]):
        self.kernel = kernel
        self.dtype, self.shapes = params[0].dtype, [a.shape for a in params]
        sizes = np.array([a.size for a in params])
        pieces = -(-sizes // WORK)
        self._repeats = None if (pieces == 1).all() else pieces
        self.rows = np.empty((pieces.sum(), 4 + len(state)), np.int64)
        turn = np.arange(len(self.rows)) - np.repeat(np.cumsum(pieces) - pieces, pieces)  # 0, 1, ... for each parameter
        self.rows[:, -2] = turn * WORK
        self.rows[:, -1] = np.minimum(np.repeat(sizes, pieces) - turn * WORK, WORK)
        # rows up to WORK elements, or one row that has more: what one thread does at a time
        part = (np.cumsum(self.rows[:, -1]) - 1) // WORK
        self.bounds = np.concatenate([[0], np.flatnonzero(np.diff(part)) + 1, [len(part)]]).astype(np.int64)
        self._held: dict[int, Sequence[Array]] = {}  # the objects in the table must live
        for column, arrays in ((0, params), *enumerate(state, 2)):
            self.place(column, arrays)

    def place(self, column: int, arrays: Sequence[Array]) -> None:
        """Enter one array of each parameter: 0 the parameters, 1 the gradients, 2 and on the state."""
        self._held[column] = arrays
        objects = np.fromiter(map(id, arrays), np.int64, len(arrays))
        self.rows[:, column] = objects if self._repeats is None else np.repeat(objects, self._repeats)

    def run(self, grads: Sequence[Array], numbers: Sequence[Array]) -> None:
        """Make the step along these gradients, with the numbers of the update.

        Raises:
            ValueError: a gradient has another shape.
        """
        dtype = self.dtype
        fitting = []
        for g, shape in zip(grads, self.shapes):
            if g.shape != shape or g.dtype is not dtype or not g.flags.c_contiguous:
                g = np.ascontiguousarray(np.broadcast_to(g, shape), dtype)
            fitting.append(g)
        self.place(1, fitting)
        values = np.fromiter(numbers, dtype, len(numbers))
        self.kernel(self.rows.ctypes.data, self.bounds.ctypes.data, len(self.bounds) - 1, values.ctypes.data)
        self._held[1] = ()
