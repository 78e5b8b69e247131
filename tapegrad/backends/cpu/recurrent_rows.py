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
from . import axpby, gemm
from .elementwise import FLOAT32

Array = np.ndarray
TYPES = {FLOAT32: "float", np.dtype(np.float64): "double"}
KERNEL_TYPES = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64}
ROWS = 8  # sequences of a part, or more: they share a panel of weights that comes from the second cache
FITTING = 1 << 16  # weights that stay there from step to step: 256 KiB
MORE_ROWS = 32  # sequences where they do not: 128-256, 64 sequences: 38 ms instead of 46
MOST = 16  # parts
_place = ctypes.c_void_p.from_address
WORK = 1 << 21  # multiplications of a part at least: about 30 us


# What a unit costs with that many vectors in a panel of backward: fewer sums do not hide each other's latency, and more
# may be padding (100 units: 104, 112, 120 or 128).
COSTS = {4: 2.0, 3: 2.0, 2: 2.1, 1: 2.9}


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
    width = min(COSTS, key=lambda w: -(-vectors // w) * w * COSTS[w])
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
    """How many sequences a part takes, if a sequence takes `terms` multiplications in a step."""
    wanted = max(steps.batch // (ROWS if terms <= FITTING else MORE_ROWS), min(2, steps.batch // 2))
    parts = max(1, min(MOST, wanted, steps.steps * steps.batch * terms // WORK))
    return max(1, -(-steps.batch // parts))


def _addresses(*arrays: Array) -> list[int]:
    """Where their elements are, for a kernel."""
    if axpby.reads_objects():  # 0.3 us each, and by the interface of arrays 1.6
        return [_place(id(a) + axpby.HEAD).value or 0 for a in arrays]
    return [a.__array_interface__["data"][0] for a in arrays]


def _aligned(count: int, dtype: np.dtype, zeros: bool = False) -> Array:
    """New memory that begins with a line of the cache: a vector in two of them costs twice (8 % of a layer)."""
    line = 64 // dtype.itemsize
    found = (np.zeros if zeros else np.empty)(count + line, dtype)
    start = -(_addresses(found)[0] // dtype.itemsize) % line
    return found[start : start + count]


# ---- layouts ---------------------------------------------------------------------------------------------------------


def _places(steps: Any, a: Array) -> tuple[Array, int, int]:
    """The data (T, B, F) or (N, F), a sequence's features side by side, and its bytes for a step and for a sequence."""
    if a.strides[-1] != a.itemsize:
        a = np.ascontiguousarray(a)
    return (a, a.strides[0], a.strides[1]) if steps.sizes is None else (a, a.strides[0], a.strides[0])


def _padded(w: Array, gates: int, units: int, columns: int) -> Array:
    """(gates * H, F) as (gates * units, columns), with zeros."""
    hidden = w.shape[0] // gates
    if hidden == units and w.shape[1] == columns:
        return np.ascontiguousarray(w)
    found = np.zeros((gates, units, columns), w.dtype)
    found[:, :hidden, : w.shape[1]] = w.reshape(gates, hidden, w.shape[1])
    return found.reshape(gates * units, columns)


def _spread(b: Array, gates: int, units: int) -> Array:
    """(gates * H,) as (gates * units,), with zeros."""
    return _padded(b[:, None], gates, units, 1) if len(b) < gates * units else np.ascontiguousarray(b)


def _rounded(inputs: int) -> int:
    """J for I: Note [Rows]."""
    return -(-inputs // codegen.UNROLL) * codegen.UNROLL


def _views(kind: str, steps: Any, kept: Array, units: int, inputs: int) -> tuple[Array, Array | None]:
    """z (T + 1, B, P + J) and an LSTM's cells (T + 1, B, P) in `kept`: Note [Rows]."""
    count, batch = steps.steps, steps.batch
    end = (count + 1) * batch * (units + inputs)
    z = kept[:end].reshape(count + 1, batch, units + inputs)
    if kind != "lstm":
        return z, None
    start = end + count * batch * codegen.SAVED[kind] * units
    return z, kept[start : start + (count + 1) * batch * units].reshape(count + 1, batch, units)


# ---- a layer ---------------------------------------------------------------------------------------------------------


def forward(
    p: Plan, steps: Any, x: Array, h0: Array, c0: Array | None, w_ih: Array, w_hh: Array, b_ih: Any, b_hh: Any
) -> tuple[Array, ...]:
    """(out, h_n, c_n, kept): c_n only if there is c0."""
    count, batch, units, hidden, dtype = steps.steps, steps.batch, p.units, w_hh.shape[1], x.dtype
    gates, features, inputs = w_hh.shape[0] // hidden, x.shape[-1], _rounded(x.shape[-1])
    size = (count + 1) * (units + inputs) + count * codegen.SAVED[p.kind] * units
    size += 0 if c0 is None else (2 * count + 1) * units
    kept = _aligned(batch * size, dtype, steps.sizes is not None)
    z, cells = _views(p.kind, steps, kept, units, inputs)
    for first, state in ((z, h0), (cells, c0)):
        if first is None or state is None:
            continue
        for s, (low, high) in steps.starts.items():
            first[s, low:high, :hidden] = state[low:high]
            if hidden < units:
                first[s, low:high, hidden:units] = 0
    out, panels = np.empty((*x.shape[:-1], hidden), dtype), _aligned((units + inputs + 2) * units * gates, dtype)
    w_hh, w_ih = _padded(w_hh, gates, units, units), _padded(w_ih, gates, units, features)
    b_hh, b_ih = (np.zeros(gates * units, dtype) if b is None else _spread(b, gates, units) for b in (b_hh, b_ih))
    x, xt, xb = _places(steps, x)
    _, ot, ob = _places(steps, out)
    from_x, to, *others = _addresses(x, out, kept, w_hh, w_ih, b_hh, b_ih, panels, steps.table)
    each = _each(steps, gates * units * (units + inputs))
    p.forward(from_x, xt, xb, to, ot, ob, *others, count, batch, hidden, units, features, inputs, each)
    ends = [_last(steps, a, hidden) for a in (z, cells) if a is not None]
    return (out, *ends, kept)


def _last(steps: Any, states: Array, hidden: int) -> Array:
    """(B, H): the states of (T + 1, B, *) after the last step of each sequence."""
    found = np.empty((steps.batch, hidden), states.dtype)
    for s, (low, high) in steps.ends.items():
        found[low:high] = states[s + 1, low:high, :hidden]
    return found


def backward(p: Plan, steps: Any, gs: list, w_ih: Array, w_hh: Array, kept: Array, data: bool) -> tuple[Any, ...]:
    """Gradients of (x, h0, c0, w_ih, w_hh, b_ih, b_hh); that of x only with `data`."""
    count, batch, units, hidden, inputs = steps.steps, steps.batch, p.units, w_hh.shape[1], w_ih.shape[1]
    gates, dtype = w_hh.shape[0] // hidden, kept.dtype
    g, states = gs[0], [np.zeros((batch, units), dtype) for _ in gs[1:]]
    for state, given in zip(states, gs[1:]):
        state[:, :hidden] = given
    if units != hidden:
        g = np.zeros((*g.shape[:-1], units), dtype)
        g[..., :hidden] = gs[0]
    g, *of_g = _places(steps, g)
    dh, dc = (*states, None)[:2]
    across = codegen.SLOPES[p.kind]
    slopes = _aligned(count * batch * across * units, dtype, steps.sizes is not None).reshape(-1, across * units)
    each = _each(steps, gates * units * units)
    db = np.zeros((-(-batch // each), across * units), dtype)
    down = _padded(w_hh, gates, units, units).reshape(gates, units, units)
    if p.kind == "gru":
        down = down[[2, 0, 1]]
    block = p.lanes * p.width
    panels = _aligned(gates * units * units, dtype).reshape(-1, gates * units, block)
    np.copyto(panels, down.reshape(gates * units, -1, block).transpose(1, 0, 2))
    if dc is None:
        dc = dh
    from_g, *others = _addresses(g, kept, panels, slopes, dh, dc, db, steps.table)
    p.backward(from_g, *of_g, *others, count, batch, units, _rounded(inputs), each)
    z, _ = _views(p.kind, steps, kept, units, _rounded(inputs))
    flat = z[:-1].reshape(count * batch, z.shape[-1])
    if p.kind == "gru":
        product = gemm.matmul(slopes[:, : 3 * units].T, flat[:, :hidden])
        dw_hh = np.concatenate([product[units:], product[:units]])
        dw_ih = gemm.matmul(slopes[:, units:].T, flat[:, units : units + inputs])
    else:
        both = gemm.matmul(slopes.T, flat)
        dw_hh, dw_ih = both[:, :hidden], both[:, units : units + inputs]
    whole = (db[0] if len(db) == 1 else np.add.reduce(db)).reshape(across, units)[:, :hidden]
    db_ih, db_hh = (whole[1:], whole[[1, 2, 0]]) if p.kind == "gru" else (whole, whole)
    dx = None
    if data:
        of_input = slopes[:, units:] if p.kind == "gru" else slopes
        dx = _data(steps, gemm.matmul(of_input, _padded(w_ih, gates, units, inputs)).reshape(count, batch, inputs))
    firsts = [s[:, :hidden] for s in states]
    dw = [_unpadded(w, gates, hidden) for w in (dw_ih, dw_hh)]
    return (dx, *firsts, *dw, db_ih.reshape(-1), db_hh.reshape(-1))


def _data(steps: Any, found: Array) -> Array:
    """(T, B, F) in the order of the steps as (T, B, F) or (N, F) in that of the data."""
    if steps.sizes is None:
        return np.ascontiguousarray(found[::-1]) if steps.reverse else found
    pairs = list(enumerate(steps.counts))
    return np.concatenate([found[s, :n] for s, n in (pairs[::-1] if steps.reverse else pairs)])


def _unpadded(dw: Array, gates: int, hidden: int) -> Array:
    """(gates * P, F) to (gates * H, F), row by row."""
    units = len(dw) // gates
    if units != hidden:
        dw = dw.reshape(gates, units, -1)[:, :hidden].reshape(gates * hidden, -1)
    return np.ascontiguousarray(dw)
