"""Recurrent layers on generated kernels (`codegen.recurrent`): what NumPy does before and after them.

Here features lie side by side and sequences one below the other (Note [Rows] there), not as in `recurrent`, whose
functions hand over to these where `plan` finds a kernel; it looks at shapes and element types alone, so that forward
and backward choose alike.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...codegen import jit
from ...codegen import recurrent as codegen
from . import gemm
from .elementwise import FLOAT32

Array = np.ndarray
TYPES = {FLOAT32: "float", np.dtype(np.float64): "double"}
KERNEL_TYPES = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64}
ROWS = 8  # sequences of a part, or more: they share a panel of weights that comes from the second cache
MOST = 16  # parts
WORK = 1 << 21  # multiplications of a part at least: about 30 us


class Plan(NamedTuple):
    """The kernels for one kind of layer and element type, and the layout that they want."""

    kind: str
    lanes: int
    width: int  # vectors of a panel, backward and for one gate
    units: int  # padded: P
    forward: Callable[..., None]
    backward: Callable[..., None]


@functools.cache
def plan(kind: str, dtype: np.dtype, hidden: int) -> Plan | None:
    """The kernels for a layer with `hidden` units; None if there are none."""
    if dtype not in TYPES or not jit.available():
        return None
    lanes = jit.lanes(TYPES[dtype])
    vectors = -(-hidden // lanes)
    width = min((4, 3, 2, 1), key=lambda w: (-(-vectors // w) * (2 * w + 1), -w))
    made = _kernels(kind, TYPES[dtype], lanes, width)
    if made is None:
        return None
    return Plan(kind, lanes, width, -(-vectors // width) * width * lanes, *made)


@functools.cache
def _kernels(kind: str, type: str, lanes: int, width: int) -> tuple[Callable, Callable] | None:
    found = []
    for make, parameters in ((codegen.forward, codegen.FORWARD), (codegen.backward, codegen.BACKWARD)):
        one = codegen.GATES[kind] == 1 or make is codegen.backward
        routines = make(kind, type, lanes, width if one else 1)
        kernel = jit.function(routines, [KERNEL_TYPES[t] for t in parameters.values()])
        if kernel is None:
            return None
        found.append(kernel)
    return found[0], found[1]


def _each(steps: Any, terms: int) -> int:
    """How many sequences a part takes."""
    parts = max(1, min(MOST, steps.batch // ROWS or steps.batch // 2, steps.steps * steps.batch * terms // WORK))
    return max(1, -(-steps.batch // parts))


def _at(a: Array | None) -> int:
    return 0 if a is None else a.__array_interface__["data"][0]


# ---- layouts ---------------------------------------------------------------------------------------------------------


def _spread(steps: Any, x: Array, out: Array) -> None:
    """Write the data x, (T, B, F) or (N, F), into `out`, (T, B, F) in the order of the steps."""
    if steps.sizes is None:
        np.copyto(out, x[::-1] if steps.reverse else x)
        return
    for block, rows, n in zip(out, steps.rows, steps.counts):
        block[:n] = x[rows]


def _data(steps: Any, found: Array) -> Array:
    """The inverse of `_spread`, a new array or `found` itself."""
    if steps.sizes is None:
        return np.ascontiguousarray(found[::-1] if steps.reverse else found)
    return np.concatenate([found[s, :n] for s, n in _in_order(steps)])


def _in_order(steps: Any) -> list[tuple[int, int]]:
    """(step, number of sequences) in the order of the data."""
    pairs = list(enumerate(steps.counts))
    return pairs[::-1] if steps.reverse else pairs


def _padded(w: Array, gates: int, units: int, columns: int) -> Array:
    """(gates * H, F) as (gates, units, columns), with zeros."""
    hidden = w.shape[0] // gates
    split = w.reshape(gates, hidden, w.shape[1])
    if hidden == units and w.shape[1] == columns:
        return split
    found = np.zeros((gates, units, columns), w.dtype)
    found[:, :hidden, : w.shape[1]] = split
    return found


def _panels(p: Plan, gates: int, w_hh: Array, w_ih: Array) -> Array:
    """Note [Panels]: (blocks, P + J, gates, lanes or width * lanes)."""
    units, inputs = p.units, _rounded(w_ih.shape[1])
    block = p.lanes if gates > 1 else p.lanes * p.width
    found = np.empty((units // block, units + inputs, gates, block), w_hh.dtype)
    place = found.transpose(2, 0, 3, 1)  # (gates, blocks, block, P + J)
    place[..., :units] = _padded(w_hh, gates, units, units).reshape(gates, -1, block, units)
    place[..., units:] = _padded(w_ih, gates, units, inputs).reshape(gates, -1, block, inputs)
    return found


def _rounded(inputs: int) -> int:
    """J for I: Note [Rows]."""
    return -(-inputs // codegen.UNROLL) * codegen.UNROLL


def _bias(p: Plan, gates: int, b_ih: Array | None, b_hh: Array | None, dtype: np.dtype) -> Array:
    """What sums start from, in the order of panels: for a GRU the candidate's two biases apart."""
    found = np.zeros((4 if p.kind == "gru" else gates, p.units), dtype)
    for b, last in ((b_hh, 2), (b_ih, 3)):
        if b is not None:
            split = b.reshape(gates, -1)
            if p.kind == "gru":
                found[:2, : split.shape[1]] += split[:2]
                found[last, : split.shape[1]] = split[2]
            else:
                found[:, : split.shape[1]] += split
    block = p.lanes if gates > 1 else p.lanes * p.width
    return np.ascontiguousarray(found.reshape(len(found), -1, block).transpose(1, 0, 2))


# ---- a layer ---------------------------------------------------------------------------------------------------------


def forward(
    p: Plan, steps: Any, x: Array, h0: Array, c0: Array | None, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any
) -> tuple[Any, ...]:
    """(out, h_n, c_n, z, gates, cells, tanh of the cells): what a kind does not have is None."""
    count, batch, units, hidden, inputs = steps.steps, steps.batch, p.units, w_hh.shape[1], _rounded(x.shape[-1])
    gates = w_hh.shape[0] // hidden
    saved = codegen.SAVED[p.kind]
    z = (np.empty if steps.sizes is None else np.zeros)((count + 1, batch, units + inputs), x.dtype)
    _spread(steps, x, z[:-1, :, units : units + x.shape[-1]])
    z[:-1, :, units + x.shape[-1] :] = 0
    kept = np.empty((count, batch, saved, units), x.dtype) if saved else None
    cells = squashed = None
    if c0 is not None:
        cells, squashed = np.empty((count + 1, batch, units), x.dtype), np.empty((count, batch, units), x.dtype)
    for first, state in ((z, h0), (cells, c0)):
        if state is None:
            continue
        first[0, :, hidden:units] = 0
        for s, (low, high) in steps.starts.items():
            first[s, low:high, :hidden] = state[low:high]
            first[s, low:high, hidden:units] = 0
    panels, bias = _panels(p, gates, w_hh, w_ih), _bias(p, gates, b_ih, b_hh, x.dtype)
    counts = np.array(steps.counts, np.int64)
    each = _each(steps, gates * units * (units + inputs))
    p.forward(*map(_at, (z, kept, cells, squashed, panels, bias, counts)), count, batch, units, inputs, each)
    hn, cn = _last(steps, z, hidden), None if cells is None else _last(steps, cells, hidden)
    return _data(steps, z[1:, :, :hidden]), hn, cn, z, kept, cells, squashed


def _last(steps: Any, states: Array, hidden: int) -> Array:
    """(B, H): the states of (T + 1, B, *) after the last step of each sequence."""
    found = np.empty((steps.batch, hidden), states.dtype)
    for s, (low, high) in steps.ends.items():
        found[low:high] = states[s + 1, low:high, :hidden]
    return found


def backward(
    p: Plan, steps: Any, gs: list, w_ih: Array, w_hh: Array, z: Array, kept: Any, cells: Any, squashed: Any, data: bool
) -> tuple[Any, ...]:
    """Gradients of (x, h0, c0, w_ih, w_hh, b_ih, b_hh); that of x only with `data`."""
    count, batch, units, hidden, inputs = steps.steps, steps.batch, p.units, w_hh.shape[1], w_ih.shape[1]
    gates, dtype = w_hh.shape[0] // hidden, z.dtype
    g = gs[0]
    if units != hidden or steps.sizes is not None or steps.reverse or not g.flags.c_contiguous:
        g = np.zeros((count, batch, units), dtype)
        _spread(steps, gs[0], g[:, :, :hidden])
    states = [np.zeros((batch, units), dtype) for _ in gs[1:]]
    for state, given in zip(states, gs[1:]):
        state[:, :hidden] = given
    dh, dc = (*states, None)[:2]
    across = codegen.SLOPES[p.kind]
    slopes = (np.empty if steps.sizes is None else np.zeros)((count * batch, across * units), dtype)
    down = _padded(w_hh, gates, units, units)
    if p.kind == "gru":
        down = down[[2, 0, 1]]
    block = p.lanes * p.width
    panels = np.ascontiguousarray(down.reshape(gates * units, -1, block).transpose(1, 0, 2))
    counts = np.array(steps.counts, np.int64)
    each = _each(steps, gates * units * units)
    p.backward(
        *map(_at, (z, kept, cells, squashed, panels, g, slopes, dh, dc, counts)),
        count,
        batch,
        units,
        z.shape[-1] - units,
        each,
    )
    flat = z[:-1].reshape(count * batch, -1)
    if p.kind == "gru":
        product = gemm.matmul(slopes[:, : 3 * units].T, flat[:, :hidden])
        dw_hh = np.concatenate([product[units:], product[:units]])
        dw_ih = gemm.matmul(slopes[:, units:].T, flat[:, units : units + inputs])
    else:
        both = gemm.matmul(slopes.T, flat)
        dw_hh, dw_ih = both[:, :hidden], both[:, units : units + inputs]
    db = slopes.sum(0).reshape(across, units)[:, :hidden]
    db_ih, db_hh = (db[1:], db[[1, 2, 0]]) if p.kind == "gru" else (db, db)
    dx = None
    if data:
        of_input = slopes[:, units:] if p.kind == "gru" else slopes
        dx = gemm.matmul(of_input, _padded(w_ih, gates, units, inputs).reshape(gates * units, inputs))
        dx = _data(steps, dx.reshape(count, batch, inputs))
    firsts = [s[:, :hidden] for s in states]
    return (dx, *firsts, _unpadded(dw_ih, gates, hidden), _unpadded(dw_hh, gates, hidden), db_ih.reshape(-1), db_hh.reshape(-1))


def _unpadded(dw: Array, gates: int, hidden: int) -> Array:
    """(gates * P, F) to (gates * H, F), row by row."""
    units = len(dw) // gates
    if units != hidden:
        dw = dw.reshape(gates, units, -1)[:, :hidden].reshape(gates * hidden, -1)
    return np.ascontiguousarray(dw)
