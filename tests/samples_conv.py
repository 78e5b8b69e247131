"""Samples of convolution, pooling, padding and resizing, against their definitions as loops over single numbers."""

from __future__ import annotations

import itertools

import numpy as np
from samples import case, real

from tapegrad.backends.cpu.pool import Frame
from tapegrad.backends.cpu.resample import Line

X1, X2, X3 = real(2, 4, 7), real(2, 4, 6, 5, seed=1), real(1, 2, 3, 4, 3, seed=2)
W1, W2, W3 = real(6, 4, 3, seed=3), real(6, 4, 3, 2, seed=4), real(3, 2, 2, 2, 2, seed=5)
BIAS = real(6, seed=6)

# (stride, low, dilation, groups) with which 6 x 5 images and 3 x 2 windows are combined, and the number of windows
PLAIN = ((1, 1), (0, 0), (1, 1), 1), (4, 4)
WIDE = ((2, 1), (1, 2), (2, 3), 1), (2, 6)
GROUPED = ((1, 2), (2, 0), (1, 1), 2), (7, 2)


def meetings(sizes, kernel, stride, low, dilation, out):
    """Every output position, position in its window, and input position that it meets there."""
    for j in np.ndindex(*out):
        for t in np.ndindex(*kernel):
            at = tuple(a * s + b * d - p for a, b, s, d, p in zip(j, t, stride, dilation, low))
            if all(0 <= i < n for i, n in zip(at, sizes)):
                yield j, t, at


def channels(w, groups):
    """Every output channel with every input channel that it sees: (o, channel of w, channel of x)."""
    o, each = w[:2]
    return [(k, c, k // (o // groups) * each + c) for k, c in itertools.product(range(o), range(each))]


def convolution(x, w, bias, stride, low, dilation, groups, size):
    out = np.zeros((len(x), len(w), *size))
    for j, t, at in meetings(x.shape[2:], w.shape[2:], stride, low, dilation, size):
        for o, c, i in channels(w.shape, groups):
            out[(slice(None), o, *j)] += x[(slice(None), i, *at)] * w[(o, c, *t)]
    return out if bias is None else out + bias.reshape(-1, *(1,) * len(size))


def convolution_input(y, w, bias, stride, low, dilation, groups, size):
    out = np.zeros((len(y), w.shape[1] * groups, *size))
    for j, t, at in meetings(size, w.shape[2:], stride, low, dilation, y.shape[2:]):
        for o, c, i in channels(w.shape, groups):
            out[(slice(None), i, *at)] += y[(slice(None), o, *j)] * w[(o, c, *t)]
    return out if bias is None else out + bias.reshape(-1, *(1,) * len(size))


def convolution_weight(x, y, stride, low, dilation, groups, size):
    out = np.zeros((y.shape[1], x.shape[1] // groups, *size))
    for j, t, at in meetings(x.shape[2:], size, stride, low, dilation, y.shape[2:]):
        for o, c, i in channels(out.shape, groups):
            out[(o, c, *t)] += (x[(slice(None), i, *at)] * y[(slice(None), o, *j)]).sum()
    return out


def conv_case(numbers, size, bias=BIAS):
    w = real(6, 4 // numbers[3], 3, 2, seed=4)
    return case(X2, w, bias, *numbers, size, expect=convolution)


def input_case(numbers, size, bias=None):
    w = real(6, 4 // numbers[3], 3, 2, seed=4)
    return case(real(2, 6, *size, seed=7), w, bias, *numbers, (6, 5), expect=convolution_input)


def weight_case(numbers, size):
    return case(X2, real(2, 6, *size, seed=7), *numbers, (3, 2), expect=convolution_weight)


CONVOLUTION = {
    "convolution": [
        conv_case(*PLAIN),
        conv_case(*WIDE, bias=None),
        conv_case(*GROUPED),
        case(X1, W1, None, (1,), (1,), (1,), 1, (7,), expect=convolution),
        case(X3, W3, None, (1, 2, 1), (0, 1, 0), (1, 1, 1), 1, (2, 3, 2), expect=convolution),
        case(real(1, 1, 9, 9), real(1, 1, 2, 2), None, (1, 1), (0, 0), (1, 1), 1, (8, 8), expect=convolution),
    ],
    "convolution_input": [
        input_case(*PLAIN),
        input_case(*WIDE, bias=real(4, seed=8)),
        input_case(*GROUPED),
        case(real(2, 6, 7), W1, None, (1,), (1,), (1,), 1, (7,), expect=convolution_input),
        case(real(1, 1, 8, 8), real(1, 1, 2, 2), None, (1, 1), (0, 0), (1, 1), 1, (10, 9), expect=convolution_input),
    ],
    "convolution_weight": [weight_case(*PLAIN), weight_case(*WIDE), weight_case(*GROUPED)],
}

# ---- windows ---------------------------------------------------------------------------------------------------------

EVEN = Frame((2, 2), (2, 2), (0, 0), (1, 1), (3, 2))
OVERLAP = Frame((3, 2), (2, 1), (1, 1), (1, 2), (3, 5))
LINE = Frame((3,), (2,), (1,), (1,), (4,))
VOLUME = Frame((2, 2, 2), (1, 2, 1), (0, 0, 0), (1, 1, 1), (2, 2, 2))
FRAMES = [(X2, EVEN), (X2, OVERLAP), (X1, LINE), (X3, VOLUME)]


def choices(x, frame):
    """For every window where its largest element lies."""
    found = {}
    for j, _, at in meetings(x.shape[-len(frame.size) :], *frame):
        for lead in np.ndindex(x.shape[: -len(frame.size)]):
            best = found.get((*lead, *j))
            if best is None or x[(*lead, *at)] > x[best]:
                found[(*lead, *j)] = (*lead, *at)
    return found


def pooled(x, frame):
    return (*x.shape[: -len(frame.size)], *frame.size)


def max_pool_pick(h, x, frame):
    out = np.zeros(pooled(x, frame))
    for window, at in choices(x, frame).items():
        out[window] = h[at]
    return out


def placed(g, indices, sizes, apart=True):
    out = np.zeros((*g.shape[: -len(sizes)], np.prod(sizes)))
    for at in np.ndindex(g.shape):
        out[(*at[: -len(sizes)], indices[at])] += g[at]
    return out.reshape(*g.shape[: -len(sizes)], *sizes)


def picked(x, indices, rank):
    flat = x.reshape(*x.shape[:-rank], -1)
    return np.array([flat[(*at[:-rank], i)] for at, i in np.ndenumerate(indices)]).reshape(indices.shape)


def max_pool_indices(x, frame):
    n = len(frame.size)
    out = np.zeros(pooled(x, frame), np.int64)
    for window, at in choices(x, frame).items():
        out[window] = np.ravel_multi_index(at[-n:], x.shape[-n:])
    return out


def counts(sizes, frame, padded, override):
    """By what the sum of each window is divided."""
    out = np.zeros(frame.size)
    for j in np.ndindex(*frame.size):
        out[j] = override or 1
        for a, n, k, s, p in zip(j, sizes, frame.kernel, frame.stride, frame.low):
            begin, end = a * s - p, min(a * s - p + k, n + p)
            if not override:
                out[j] *= end - begin if padded else min(end, n) - max(begin, 0)
    return out


def avg_pool(x, frame, padded=True, override=None):
    out, n = np.zeros(pooled(x, frame)), len(frame.size)
    for j, _, at in meetings(x.shape[-n:], *frame):
        out[(..., *j)] += x[(..., *at)]
    return out / counts(x.shape[-n:], frame, padded, override)


def avg_pool_backward(g, sizes, frame, padded=True, override=None):
    out = np.zeros((*g.shape[: -len(sizes)], *sizes))
    g = g / counts(sizes, frame, padded, override)
    for j, _, at in meetings(sizes, *frame):
        out[(..., *at)] += g[(..., *j)]
    return out


def adaptive_max_pool(x, size):
    n = len(size)
    sizes = x.shape[-n:]
    values, indices = np.zeros((*x.shape[:-n], *size)), np.zeros((*x.shape[:-n], *size), np.int64)
    for j in np.ndindex(*size):
        begin = [a * k // m for a, k, m in zip(j, sizes, size)]
        end = [-(-(a + 1) * k // m) for a, k, m in zip(j, sizes, size)]
        for lead in np.ndindex(x.shape[:-n]):
            at = max(itertools.product(*map(range, begin, end)), key=lambda i: x[(*lead, *i)])
            values[(*lead, *j)], indices[(*lead, *j)] = x[(*lead, *at)], np.ravel_multi_index(at, sizes)
    return values, indices


def im2col(x, frame):
    out = np.zeros((*x.shape[:-2], *frame.kernel, *frame.size))
    for j, t, at in meetings(x.shape[-2:], *frame):
        out[(..., *t, *j)] = x[(..., *at)]
    return out.reshape(*x.shape[:-3], -1, np.prod(frame.size))


def col2im(columns, sizes, frame):
    columns = columns.reshape(*columns.shape[:-2], -1, *frame.kernel, *frame.size)
    out = np.zeros((*columns.shape[:-4], *sizes))
    for j, t, at in meetings(sizes, *frame):
        out[(..., *at)] += columns[(..., *t, *j)]
    return out


APART = Frame((2, 3), (1, 2), (1, 0), (1, 2), (7, 1))

POOLING = {
    "max_pool": [case(x, f, expect=lambda x, f: max_pool_pick(x, x, f)) for x, f in FRAMES],
    "max_pool_with_indices": [
        case(x, f, expect=lambda x, f: (max_pool_pick(x, x, f), max_pool_indices(x, f))) for x, f in FRAMES
    ],
    "place_in_channels": [
        case(real(*pooled(x, f), seed=9), max_pool_indices(x, f), x.shape[-len(f.size) :], apart, expect=placed)
        for (x, f), apart in zip(FRAMES, (True, False, False, False))
    ],
    "pick_in_channels": [
        case(real(*x.shape, seed=9), max_pool_indices(x, f), len(f.size), expect=picked) for x, f in FRAMES
    ],
    "max_unpool": [
        case(real(*pooled(X2, EVEN), seed=9), max_pool_indices(X2, EVEN), (6, 5), expect=placed),
    ],
    "avg_pool": [
        *(case(x, f._replace(dilation=(1,) * len(f.size)), expect=avg_pool) for x, f in FRAMES[:1] + FRAMES[2:]),
        case(X1, LINE, False, expect=avg_pool),
        case(X1, LINE, True, 5, expect=avg_pool),
        case(X1, Frame((7,), (1,), (0,), (1,), (1,)), expect=avg_pool),
    ],
    "avg_pool_backward": [
        case(real(2, 4, 4), (7,), LINE, expect=avg_pool_backward),
        case(real(2, 4, 4), (7,), LINE, False, expect=avg_pool_backward),
        case(real(2, 4, 3, 2), (6, 5), EVEN, True, 3, expect=avg_pool_backward),
    ],
    "adaptive_max_pool": [
        case(X1, (3,), expect=adaptive_max_pool),
        case(X2, (4, 3), expect=adaptive_max_pool),
        case(X3, (2, 2, 3), expect=adaptive_max_pool),
    ],
    "im2col": [case(X2, APART, expect=im2col), case(real(3, 6, 5), EVEN, expect=im2col)],
    "col2im": [
        case(real(2, 12, 7), (6, 5), APART, expect=col2im),
        case(real(8, 6), (6, 5), EVEN, expect=col2im),
    ],
}

# ---- lines -----------------------------------------------------------------------------------------------------------


def matrix(line):
    """What a line does, row by row, from its definition."""
    n, m = line.n, line.m
    out = np.zeros((m, n))
    for i in range(m):
        at = i - line.low
        centre = i * (n - 1) / (m - 1) if line.corners else (i + 0.5) * n / m - 0.5
        if line.kind == "average":
            begin, end = i * n // m, -(-(i + 1) * n // m)
            out[i, begin:end] = 1 / (end - begin)
        elif line.kind == "nearest":
            out[i, i * n // m] = 1
        elif line.kind == "linear":
            centre = max(centre, 0)
            left = int(centre)
            out[i, left] += 1 - (centre - left)
            out[i, min(left + 1, n - 1)] += centre - left
        elif line.kind == "replicate":
            out[i, min(max(at, 0), n - 1)] = 1
        elif line.kind == "reflect":
            out[i, -at if at < 0 else 2 * (n - 1) - at if at >= n else at] = 1
        else:
            out[i, at % n] = 1
    return out


def mapped(x, lines, adjoint=False):
    for axis, line in zip(range(-len(lines), 0), lines):
        a = matrix(line).T if adjoint else matrix(line)
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ a.T, -1, axis)
    return x


def padded(x, low, high, value=0):
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, x.shape[x.ndim - len(low) :]))
    around = [(0, 0)] * (x.ndim - len(low)) + [(max(a, 0), max(b, 0)) for a, b in zip(low, high)]
    return np.pad(x[(..., *cut)], around, constant_values=value)


LINES = {
    "resample": [
        case(X2, (Line("average", 6, 4), Line("average", 5, 3)), expect=mapped),
        case(X2, (Line("nearest", 6, 4), Line("nearest", 5, 10)), expect=mapped),
        case(X2, (Line("linear", 6, 4), Line("linear", 5, 11, corners=True)), expect=mapped),
        case(X2, (Line("reflect", 6, 9, low=2), Line("replicate", 5, 7, low=-1)), expect=mapped),
        case(X1, (Line("circular", 7, 12, low=2),), expect=mapped),
        case(real(2, 4), (Line("nearest", 7, 4),), True, expect=mapped),
        case(real(2, 3, 11), (Line("linear", 5, 11),), True, expect=mapped),
        case(X1, (Line("nearest-exact", 7, 5),)),
        case(X1, (Line("cubic", 7, 11),)),
        case(X1, (Line("cubic-antialiased", 7, 3),)),
        case(X1, (Line("linear-antialiased", 7, 3, 0.5),)),
    ],
    "constant_pad": [
        case(X2, (1, 2), (0, 3), 7.0, expect=padded),
        case(X1, (-2,), (1,), expect=padded),
        case(X1, (-2,), (-1,), expect=padded),
        case(X2, (), (), expect=padded),
    ],
}

SAMPLES = {**CONVOLUTION, **POOLING, **LINES}
