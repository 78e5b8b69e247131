"""Convolutions by generated kernels: from the numbers of a convolution to the tables that `codegen.conv` runs through.

Everything here follows from shapes and strides and is kept for the next call. A plan is an array of whole numbers, in
the order of the kernel's names, among them the addresses of its tables.

An input is read in place if it is contiguous and has neither padding nor stride; else from a copy in which each spatial
dimension is cut into `stride` phases (only those that a tap meets): the cell i of phase f is the input at
`i * stride + f - low`. A tap t then reads phase `t * dilation % stride`, `t * dilation // stride` cells on.

The gradient of the input with a stride of s is s convolutions without one, for its elements `u * s + f`: the tap t
meets them if `f + low - t * dilation` is a multiple of s, and reads the gradient at u + that multiple.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import codegen

Array = np.ndarray
Sizes = tuple[int, ...]
REALS = {"f": "float", "d": "double"}
TURN = 3e6  # multiply-adds that are worth a turn of a thread: about 60 us
PARTS = 16  # into which a convolution of a few images is cut
PLANES = 1 << 17  # cells of a copy that are worth a turn
LEAST = 1 << 14  # multiply-adds from which calls take as long as those of NumPy, 25 us, or less
SLACK = 16  # cells before and after a copy that vectors may touch
FEW = 4  # input channels with which the gradient of the input is left to NumPy
NEAR = 128  # pieces of rows that are read in place, for a tile after the other: with lines of 64 bytes, 20 KB
MANY = 4  # in shorter rows than this, a vector would lie in too many pieces


class Shape(NamedTuple):
    """A convolution, with two numbers for each of the two spatial dimensions.

    `channels` and `rows` are the input and output channels of one of `groups`; `reach` is how far in the input each tap
    is from the first cell of a window, `taps` where it lies in the kernel.
    """

    images: int
    groups: int
    channels: int
    rows: int
    sizes: Sizes
    out: Sizes
    stride: Sizes
    low: Sizes
    reach: tuple[Sizes, Sizes]
    taps: tuple[Sizes, Sizes]

    @property
    def depth(self) -> int:
        return self.channels * len(self.taps[0]) * len(self.taps[1])

    @property
    def positions(self) -> int:
        return self.out[0] * self.out[1]


class Source(NamedTuple):
    """How an input lies: cells from one image, channel, row to the next; rows; the phases that are kept; if copied."""

    image: int
    channel: int
    row: int
    height: int
    phases: tuple[Sizes, Sizes]
    copied: bool


def address(a: Array) -> int:
    return a.__array_interface__["data"][0]


def kind(x: Array, *others: Array) -> str | None:
    """ "float" or "double" if there are kernels for such arrays."""
    real = REALS.get(x.dtype.char)
    if real is None or any(a.dtype.char != x.dtype.char for a in others) or not codegen.jit.available():
        return None
    return real


def plan_of(names: Sequence[str], **numbers: Any) -> tuple[Array, list[Array]]:
    """The plan, and the arrays that it points to."""
    values = [numbers[name] for name in names]
    line = [address(v) if isinstance(v, np.ndarray) else int(v) for v in values]
    return np.array(line, np.int64), [v for v in values if isinstance(v, np.ndarray)]


# ---- the input -------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def source_of(s: Shape, plain: bool) -> Source:
    """How the input of a convolution is to lie; `plain`: it is contiguous."""
    extent = [(m - 1) * a + max(r) + 1 for m, a, r in zip(s.out, s.stride, s.reach)]
    if plain and s.stride == (1, 1) and s.low == (0, 0) and all(e <= n for e, n in zip(extent, s.sizes)):
        (height, width), phases, copied = s.sizes, ((0,), (0,)), False
    else:
        phases = tuple(tuple(sorted({t % a for t in r})) for r, a in zip(s.reach, s.stride))
        height, width = (m + max(t // a for t in r) for m, a, r in zip(s.out, s.stride, s.reach))
        # What is read beyond the end of a row may be the zeros at the beginning of the next one.
        low, n, a = s.low[1], s.sizes[1], s.stride[1]
        zeros, end = min(max(0, -((f - low) // a)) for f in phases[1]), max(-((f - low - n) // a) for f in phases[1])
        width = max(width - zeros, end, s.out[1])
        copied = True
    channel = len(phases[0]) * len(phases[1]) * height * width
    return Source(s.channels * s.groups * channel, channel, width, height, phases, copied)


@functools.lru_cache(maxsize=1024)
def _copy_plan(s: Shape, source: Source, steps: Sizes) -> tuple[Array, list[Array]]:
    """The plan of the copy of an input whose elements are `steps` apart."""
    tables = []
    for n, a, low, m, phases in zip(s.sizes, s.stride, s.low, (source.height, source.row), source.phases):
        lines = [(min(max(0, -((f - low) // a)), m), min(m, -((f - low - n) // a)), f - low, a) for f in phases]
        tables.append(np.array([(x, max(x, y), z, a) for x, y, z, a in lines], np.int64))
    planes = s.images * s.groups * s.channels
    return plan_of(
        codegen.conv_weight.COPY,
        planes=planes, turn=max(1, PLANES // source.channel), channels=s.groups * s.channels, plane=source.channel,
        n_step=steps[0], c_step=steps[1], h_step=steps[2], w_step=steps[3], height=source.height, width=source.row,
        h_phases=len(source.phases[0]), w_phases=len(source.phases[1]), plain=steps[3] * s.stride[1],
        h_table=tables[0], w_table=tables[1],
    )  # fmt: skip


def _read(x: Array, s: Shape, real: str) -> tuple[int, Array, Source]:
    """The address of an input that lies as it should, what keeps it alive, and how it lies."""
    source = source_of(s, x.flags.c_contiguous)
    if not source.copied:
        return address(x), x, source
    size = x.itemsize
    plan, _ = _copy_plan(s, source, tuple(a // size for a in x.strides))
    room = np.empty(s.images * source.image + 2 * SLACK, x.dtype)
    room[-SLACK:] = 0  # the zeros that follow the last row
    at = address(room) + SLACK * size
    codegen.conv_weight.copy(real, codegen.jit.lanes(real))(address(x), at, address(plan))
    return at, room, source


def _offsets(s: Shape, source: Source, by_rows: bool = False) -> Array:
    """How far the input of each tap is from that of the first; the order of taps is that of `_ordered`."""
    (sh, sw), (fh, fw), area = s.stride, source.phases, source.height * source.row
    rows = np.array([fh.index(t % sh) * len(fw) * area + t // sh * source.row for t in s.reach[0]])
    columns = np.array([fw.index(t % sw) * area + t // sw for t in s.reach[1]])
    channels = np.arange(s.channels) * source.channel
    return _ordered(channels[:, None, None] + rows[:, None] + columns, by_rows)


def _ordered(taps: Array, by_rows: bool) -> Array:
    """Numbers of the taps (channel, row, column) one after the other, or by rows first."""
    return (taps.swapaxes(0, 1) if by_rows else taps).astype(np.int64).reshape(-1)


# ---- the output ------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _together(images: int, positions: int, high: int) -> int:
    """How many images are numbered through, so that few lanes of the last tile of `high` positions are idle."""
    best, most = 1, 0.0
    for g in (g for g in range(1, 9) if images % g == 0 and (g == 1 or positions >= high)):
        used = g * positions / (-(-g * positions // high) * high)
        if used > most + 0.02:
            best, most = g, used
    return best


def _runs(numbers: Array) -> Array:
    """In which run of neighbours each lane is, counted in each row."""
    found = np.zeros(numbers.shape, np.int64)
    found[:, 1:] = np.cumsum(np.diff(numbers, axis=1) != 1, 1)
    return found


def _at(numbers: Array, lane: Array) -> Array:
    """Of each row the number in one lane."""
    return np.take_along_axis(numbers, np.minimum(lane, numbers.shape[1] - 1)[:, None], 1)[:, 0]


def _entries(s: Shape, source: Source, together: int, lanes: int, high: int, gaps: bool) -> tuple[Array, int]:
    """The table of vectors of positions (`codegen.conv`), and of how many pieces they are at most.

    With `gaps` positions are counted through the rows of the input, so that all vectors are of one piece; what lies
    between the rows of the output is computed and thrown away.
    """
    width = source.row if gaps else s.out[1]
    total = together * s.out[0] * width
    image, place = np.divmod(np.arange(total), s.out[0] * width)
    row, column = np.divmod(place, width)
    read = image * source.image + row * source.row + column
    write = image * (s.groups * s.rows * s.positions) + row * s.out[1] + column
    valid = column < s.out[1]
    vectors = -(-total // lanes)
    spare = np.arange(vectors * lanes - total) + 1
    read = np.concatenate([read, read[-1] + spare]).reshape(vectors, lanes)
    write = np.concatenate([write, spare]).reshape(vectors, lanes)
    valid = np.concatenate([valid, spare < 0]).reshape(vectors, lanes)
    lane = np.arange(lanes)
    piece = _runs(read)
    pieces = int(piece.max()) + 1
    # Lanes that are written: some from the first on, then others from `resume` on, the last of which is `count` - 1.
    count = ((lane + 1) * valid).max(1)
    start = write - lane
    first_lane = valid.argmax(1)
    same = valid & (start == _at(start, first_lane)[:, None])
    split = np.where(first_lane == 0, ((lane + 1) * same).max(1), 0)
    rest = valid & (lane >= split[:, None])
    resume = np.where(rest.any(1), rest.argmax(1), lanes)
    if (rest != ((lane >= resume[:, None]) & (lane < count[:, None]) & (start == _at(start, resume)[:, None]))).any():
        raise ValueError("a vector of positions goes to more than two places")
    head = codegen.conv.ENTRY
    table = np.zeros((-(-vectors * lanes // high) * high // lanes, head + 2 * pieces), np.int64)
    first = table[:vectors]
    first[:, :5] = np.stack([count, split, write[:, 0], _at(start, resume), resume], 1)
    for q in range(pieces):
        begin = (piece < np.minimum(q, piece[:, -1:])).sum(1)
        first[:, head + 2 * q] = _at(read, begin) - begin
        first[:, head + 2 * q + 1] = np.minimum(
            (piece <= q).sum(1), lanes - len(spare) * (np.arange(vectors) == vectors - 1)
        )
    table[:, 6] = s.depth
    return table, pieces


def _skip_zeros(s: Shape, table: Array, row: Array, high: int) -> bool:
    """Leave out the taps of rows above and below the image; whether that is worth another order of the taps.

    Args:
        s: the convolution.
        table: of `_entries`, to be completed.
        row: of each position, -1 where it is none.
        high: positions of a tile.
    """
    row = np.concatenate([row, np.full(-len(row) % high, -1)]).reshape(-1, high)
    each, lines = s.depth // len(s.reach[0]), []
    for reach in s.reach[0]:
        place = row * s.stride[0] + reach - s.low[0]
        lines.append(((place >= 0) & (place < s.sizes[0]) & (row >= 0)).any(1))
    seen = np.stack(lines, 1)  # (tiles, rows of the kernel)
    begin, end = seen.argmax(1), len(lines) - seen[:, ::-1].argmax(1)
    end = np.where(seen.any(1), end, begin + 1)
    if (end - begin).sum() > 0.97 * seen.size:
        return False
    vectors = len(table) // len(seen)
    table[::vectors, 5], table[::vectors, 6] = begin * each, end * each
    return True


def _manner(s: Shape, source: Source, lanes: int) -> tuple[bool, bool]:
    """(in place, with gaps): how inputs are read, by the time that was measured.

    A panel costs 12 cycles for a tap and 3 vectors, a tile 6 cycles for a tap. Gaps between rows cost what is computed
    there; vectors may then reach beyond the input, which only a copy allows.
    """
    if s.out[1] % lanes == 0:
        return True, False
    if not source.copied or s.out[1] < lanes:
        return False, False
    if s.out[0] == 1:
        return True, False
    tiles = -(-s.rows // codegen.conv.ROWS)
    return (True, True) if source.row / s.out[1] < 1 + 2 / tiles else (False, False)


@functools.lru_cache(maxsize=256)
def _output_plan(s: Shape, source: Source, steps: Sizes, real: str) -> tuple[Callable, Array, list[Array]] | None:
    """The kernel of a convolution and its plan; None where it would leave most of its lanes idle.

    Args:
        s: the convolution.
        source: of its input.
        steps: elements of the weight from one output channel, input channel, row, column, group to the next.
        real: "float" or "double".
    """
    if s.channels == 1 and (found := _planes_plan(s, source, steps, real)) is not None:
        return found
    conv, lanes = codegen.conv, codegen.jit.lanes(real)
    high = conv.VECTORS * lanes
    rows, width = s.out
    if width == source.row:  # rows without a gap
        s = s._replace(out=(1, s.positions))
    in_place, gaps = _manner(s, source, lanes)
    each = s.out[0] * (source.row if gaps else s.out[1])
    together = 1 if in_place and each % lanes else _together(s.images, each, high)
    used = together * s.positions / (-(-together * s.positions // high) * high)
    if used < 0.4 or s.out[1] < MANY:
        return None
    table, pieces = _entries(s, source, together, lanes, high, gaps)
    row = np.arange(together * rows * (source.row if gaps else width)) // (source.row if gaps else width) % rows
    by_rows = _skip_zeros(s, table, row, high)
    groups, taps, panels = s.images // together, s.depth, len(table) // conv.VECTORS
    safe = groups if source.copied else groups - 1 if source.row >= lanes else 0
    heights = tuple(h for h in (conv.ROWS, 2, 1) if (s.rows >= h if h == conv.ROWS else s.rows & h))
    pieces = 0 if in_place else pieces
    kernel = conv.output(real, lanes, pieces, pieces > 0 and safe < groups, heights)
    if kernel is None:
        return None
    work = together * s.positions * s.rows * taps
    chunks = min(max(1, -(-PARTS // (groups * s.groups))), max(1, int(work // TURN)), panels)
    per = -(-panels // chunks)
    chunks = -(-panels // per)
    most = NEAR * len(s.taps[1]) if in_place else conv.depth(lanes, 4 if real == "float" else 8)
    plan = plan_of(
        conv.OUTPUT,
        items=groups * s.groups * chunks, turn=max(1, int(TURN // (work / chunks))), chunks=chunks, panels=panels,
        per=per, groups=s.groups, taps=taps, depth=-(-taps // -(-taps // most)), rows=s.rows,
        image_step=together * source.image, x_group=s.channels * source.channel, w_group=steps[4], w_row=steps[0],
        out_image=together * s.groups * s.rows * s.positions, out_group=s.rows * s.positions, out_row=s.positions,
        entry=table.shape[1], safe=safe, offsets=_offsets(s, source, by_rows),
        places=_places(s, steps, by_rows), entries=table,
    )  # fmt: skip
    return kernel, *plan


def _places(s: Shape, steps: Sizes, by_rows: bool = False) -> Array:
    """How far the weight of each tap is from that of the first, in the same order."""
    found = np.arange(s.channels)[:, None, None] * steps[1] + np.array(s.taps[0])[:, None] * steps[2]
    return _ordered(found + np.array(s.taps[1]) * steps[3], by_rows)


def _planes_plan(s: Shape, source: Source, steps: Sizes, real: str) -> tuple[Callable, Array, list[Array]] | None:
    """The same for groups of a single channel; None for planes that are too small, or where channels can share.

    A tile of the general kernel has 4 output channels: from there on it is faster.
    """
    high, lanes = s.out[0], codegen.jit.lanes(real)
    if s.rows >= codegen.conv.ROWS or s.depth > codegen.depthwise.MOST:
        return None
    if s.out[1] < lanes:
        lanes //= 2
    if s.out[1] >= 2 * lanes and high >= 4:
        tile = 4, 2
    elif s.out[1] >= lanes and high >= 4:
        tile = (8 if high >= 8 else 4), 1
    else:
        return None
    kernel = codegen.depthwise.output(real, lanes, *tile)
    return None if kernel is None else (kernel, *_planes(s, source, steps))


def _planes(s: Shape, source: Source, steps: Sizes) -> tuple[Array, list[Array]]:
    """A plan for `codegen.depthwise`."""
    return plan_of(
        codegen.depthwise.NAMES,
        planes=s.images * s.groups * s.rows, turn=max(1, int(TURN / 4 / (s.positions * s.depth))),
        channels=s.groups * s.rows, multiple=s.rows, taps=s.depth, height=s.out[0], width=s.out[1],
        x_image=source.image, x_channel=source.channel, x_row=source.row, w_group=steps[4], w_row=steps[0],
        offsets=_offsets(s, source), places=_places(s, steps),
    )  # fmt: skip


@functools.lru_cache(maxsize=256)
def _zeros(n: int, kind: str) -> Array:
    return np.zeros(n, kind)


def _multiply(at: int, source: Source, w: Array, bias: Array, s: Shape, steps: Sizes, real: str, out: Array) -> bool:
    """Write a convolution of the input at an address into `out`; False if there is no kernel for it."""
    found = _output_plan(s, source, steps, real)
    if found is None:
        return False
    kernel, plan, _ = found
    if s.channels == 1 and len(plan) == len(codegen.depthwise.NAMES):
        kernel(at, address(w), address(bias), address(out), address(plan))
        return True
    room = np.empty(s.rows * s.groups * s.depth, out.dtype)
    kernel(at, address(w), address(room), address(bias), address(out), address(plan))
    return True


# ---- the three maps --------------------------------------------------------------------------------------------------


def _suits(n: int, work: float, *arrays: Array) -> str | None:
    """ "float" or "double" if generated kernels can take it and it is worth it."""
    return kind(*arrays) if 1 <= n <= 2 and work >= LEAST else None


def _two(*arrays: Array) -> list[Array]:
    """With one spatial dimension, a row of height 1."""
    return [a[:, :, None] if a.ndim == 3 else a for a in arrays]


def _pairs(stride: Sizes, low: Sizes, dilation: Sizes, size: Sizes) -> tuple[Sizes, ...]:
    """The same for its numbers."""
    if len(stride) == 2:
        return stride, low, dilation, size
    return (1, *stride), (0, *low), (1, *dilation), (1, *size)


@functools.lru_cache(maxsize=1024)
def _forward(x: Sizes, w: Sizes, stride: Sizes, low: Sizes, dilation: Sizes, size: Sizes, groups: int) -> Shape:
    """The convolution of an input of shape x with a weight of shape w."""
    taps = tuple(range(w[2])), tuple(range(w[3]))
    reach = tuple(tuple(t * d for t in ts) for ts, d in zip(taps, dilation))
    return Shape(x[0], groups, w[1], w[0] // groups, x[2:], size, stride, low, reach, taps)


def convolve(
    x: Array, w: Array, bias: Array | None, stride: Sizes, low: Sizes, dilation: Sizes, groups: int, size: Sizes
) -> Array | None:
    """`conv.convolve` by a generated kernel; None if there is none for these numbers."""
    real = _suits(len(size), float(x.shape[0] * w.size * math.prod(size)), x, w)
    if real is None:
        return None
    out = np.empty((x.shape[0], w.shape[0], *size), x.dtype)
    x, w = _two(x, w)
    s = _forward(x.shape, w.shape, *_pairs(stride, low, dilation, size), groups)
    o, *rest = (a // w.itemsize for a in w.strides)
    steps = (o, *rest, o * s.rows)
    bias = _zeros(len(w), x.dtype.char) if bias is None else np.ascontiguousarray(bias)
    if _output_plan(s, source_of(s, x.flags.c_contiguous), steps, real) is None:
        return None
    at, _kept, source = _read(x, s, real)
    _multiply(at, source, w, bias, s, steps, real, out)
    return out


@functools.lru_cache(maxsize=1024)
def _phases(
    y: Sizes, w: Sizes, stride: Sizes, low: Sizes, dilation: Sizes, size: Sizes, groups: int
) -> tuple[Shape, list[tuple[tuple[slice, slice], Shape | None]]]:
    """The gradient of the input as convolutions of y, of shape y: what they read together, and each with its place."""
    axes = []
    for k, a, before, d, n in zip(w[2:], stride, low, dilation, size):
        meets = [[(t, (f + before - t * d) // a) for t in range(k) if (f + before - t * d) % a == 0] for f in range(a)]
        least = min(e for line in meets for _, e in line)
        axes.append((-least, [(tuple(t for t, _ in m), tuple(e - least for _, e in m), -(-(n - f) // a))
                              for f, m in enumerate(meets)]))  # fmt: skip
    before = tuple(axis[0] for axis in axes)
    most = tuple(axis[1][0][2] for axis in axes)
    reach = tuple(tuple(sorted({e for _, es, _ in lines for e in es})) for _, lines in axes)
    whole = Shape(y[0], groups, w[0] // groups, w[1], y[2:], most, (1, 1), before, reach, reach)
    found: list[tuple[tuple[slice, slice], Shape | None]] = []
    for f, (ts, es, n) in enumerate(axes[0][1]):
        for g, (us, ds, m) in enumerate(axes[1][1]):
            place = slice(f, None, stride[0]), slice(g, None, stride[1])
            some = n > 0 and m > 0 and ts and us
            found.append((place, whole._replace(out=(n, m), reach=(es, ds), taps=(ts, us)) if some else None))
    return whole, found


def convolve_input(
    y: Array, w: Array, bias: Array | None, stride: Sizes, low: Sizes, dilation: Sizes, groups: int, size: Sizes
) -> Array | None:
    """`conv.convolve_input` by a generated kernel; None if there is none for these numbers.

    For the input of a first layer, of few channels, NumPy is up to 1.6 times as fast: one product for all taps reads
    each gradient once.
    """
    if w.shape[1] < FEW and w.shape[0] >= 32 * groups:
        return None
    real = _suits(len(size), float(y.size * w[0].size), y, w) if len(w) else None
    if real is None:
        return None
    out = np.empty((y.shape[0], w.shape[1] * groups, *size), y.dtype)
    target, (y, w) = _two(out)[0], _two(y, w)
    whole, parts = _phases(y.shape, w.shape, *_pairs(stride, low, dilation, size), groups)
    o, c, *rest = (a // w.itemsize for a in w.strides)
    steps = (c, o, *rest, o * whole.channels)
    source = source_of(whole, y.flags.c_contiguous)
    if any(s is not None and _output_plan(s, source, steps, real) is None for _, s in parts):
        return None
    bias = _zeros(out.shape[1], y.dtype.char) if bias is None else np.ascontiguousarray(bias)
    at, _kept, _ = _read(y, whole, real)
    if len(parts) == 1 and parts[0][1] is not None:
        _multiply(at, source, w, bias, parts[0][1], steps, real, out)
        return out
    rooms = []
    for place, s in parts:
        room = np.empty(target[(..., *place)].shape, out.dtype)
        if s is None:
            room[...] = bias.reshape(-1, 1, 1)
        else:
            _multiply(at, source, w, bias, s, steps, real, room)
        rooms.append(room)
    _put_together([place for place, _ in parts], rooms, target, real)
    return out


def _put_together(places: list[tuple[slice, slice]], rooms: list[Array], out: Array, real: str) -> None:
    """Write each room to its rows and columns of `out`: two columns in turn by a kernel, three or more by NumPy."""
    kernel = codegen.conv_weight.zipped(real, codegen.jit.lanes(real)) if places[0][1].step == 2 else None
    if kernel is None:
        for place, room in zip(places, rooms):
            out[(..., *place)] = room
        return
    n, c, height, width = out.shape
    turn = max(1, PLANES // (height * width))
    for (rows, _), x, y in zip(places[::2], rooms[::2], rooms[1::2]):
        to = address(out) + rows.start * width * out.itemsize
        kernel(address(x), address(y), to, n * c, x.shape[2], width, height * width, rows.step * width, turn)


@functools.lru_cache(maxsize=1024)
def _weight_plan(s: Shape, source: Source, real: str) -> tuple[Callable, Array, list[Array], int] | None:
    """The kernel of a weight's gradient, its plan, and how many numbers it needs room for."""
    lanes, depth, (height, width), block = codegen.jit.lanes(real), s.depth, s.out, codegen.conv_weight.BLOCK
    if s.channels == 1 and s.rows < codegen.conv.ROWS and s.out[1] >= lanes // 2:
        planes = codegen.depthwise.weight(real, lanes if s.out[1] >= lanes else lanes // 2)
        return None if planes is None else (planes, *_planes(s, source, (0,) * 5), 0)
    wide = 1 if s.rows <= lanes else 2
    taps = 8 if wide == 1 else min((6, 5), key=lambda t: -(-depth // t) * t)  # 12 sums; 10 for 9 taps
    kernel = codegen.conv_weight.weight(real, lanes, wide, taps)
    if kernel is None:
        return None
    if width == source.row:  # rows without a gap
        height, width = 1, s.positions
    lines = max(1, min(height, block // width))
    blocks = -(-s.rows // (wide * lanes))
    work = float(s.images * s.positions * depth * s.rows * s.groups)
    parts = min(-(-PARTS // (s.groups * blocks)), max(1, int(work / (s.groups * blocks) / TURN)), s.images)
    per = -(-s.images // parts)
    parts = -(-s.images // per)
    items, padded = parts * s.groups * blocks, -(-depth // taps) * taps
    offsets = _offsets(s, source)
    plan = plan_of(
        codegen.conv_weight.WEIGHT,
        items=items, turn=max(1, int(TURN / (work / items))), parts=parts, per=per, images=s.images, groups=s.groups,
        blocks=blocks, taps=depth, padded=padded, rows=s.rows, height=height, width=width, lines=lines,
        columns=min(width, block), x_image=source.image, x_group=s.channels * source.channel, x_row=source.row,
        g_image=s.groups * s.rows * s.positions, g_group=s.rows * s.positions, g_channel=s.positions,
        together=max(1, block // s.positions), offsets=np.concatenate([offsets, offsets[-1:].repeat(padded - depth)]),
    )  # fmt: skip
    return kernel, *plan, items * padded * wide * lanes


def convolve_weight(
    x: Array, y: Array, stride: Sizes, low: Sizes, dilation: Sizes, groups: int, size: Sizes
) -> Array | None:
    """`conv.convolve_weight` by a generated kernel; None if there is none for these numbers."""
    real = _suits(len(size), float(y.size * (x.shape[1] // groups) * math.prod(size)), x, y)
    if real is None:
        return None
    out = np.empty((y.shape[1], x.shape[1] // groups, *size), x.dtype)
    x, y, target = _two(x, np.ascontiguousarray(y), out)
    stride, low, dilation, _ = _pairs(stride, low, dilation, size)
    s = _forward(x.shape, target.shape, stride, low, dilation, y.shape[2:], groups)
    at, _kept, source = _read(x, s, real)
    found = _weight_plan(s, source, real)
    if found is None:
        return None
    kernel, plan, _, count = found
    if not count:  # the sums of each plane
        sums = np.empty((s.images, out.size), x.dtype)
        kernel(at, address(y), address(sums), address(plan))
        return sums.sum(0).reshape(out.shape)
    room = np.empty(count, x.dtype)
    kernel(at, address(y), address(room), address(out), address(plan))
    return out
