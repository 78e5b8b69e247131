"""Samples of what picks and sums: grids, bags of embeddings, alignments, windows at random places, shuffles."""

from __future__ import annotations

import itertools

import numpy as np
from samples import case, positive, real

from tapegrad.ops.indexing.bags import embedding_bag
from tapegrad.ops.neural import ctc, grid

IMAGES = real(2, 3, 3, 4)
TAPS = np.array([[0, 5, -1, 11, 12, 23], [1, 5, 2, -1, 14, 20]])  # two taps of three points in each of two images
POINTS = real(2, 2, 2, 2, low=-1.4, high=1.4, seed=1)
VOLUME = real(1, 2, 2, 3, 2)
TABLE, SHARES = real(5, 3), positive(1, 6)
SOURCE, TARGET = np.array([[1, 4, -1, 2, 2, 0]]), np.array([[0, 0, 1, 1, 3, 3]])
LABELS, STEPS, LENGTHS = np.array([[1, 2], [3, 0]]), np.array([4, 3]), np.array([2, 1])


# ---- entries ---------------------------------------------------------------------------------------------------------


def mixed(x, weight, source, target, count):
    out = np.zeros((count, x.shape[1]))
    for t, m in np.ndindex((source if source is not None else target).shape):
        i = m if source is None else source[t, m]
        o = m if target is None else target[t, m]
        if i >= 0 and o >= 0:
            out[o] += x[i] * (1 if weight is None else weight[t, m])
    return out


def matched(x, y, target, source):
    out = np.zeros((target if source is None else source).shape)
    for t, m in np.ndindex(out.shape):
        i = m if source is None else source[t, m]
        o = m if target is None else target[t, m]
        out[t, m] = x[o] @ y[i] if i >= 0 and o >= 0 else 0
    return out


def rows(x):
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def channels(flat, n, sizes):
    return np.moveaxis(flat.reshape(n, *sizes, flat.shape[1]), -1, 1)


def bag_maximum(x, source, starts, ends):
    values, found = np.zeros((len(starts), x.shape[1])), np.full((len(starts), x.shape[1]), -1)
    for b, (first, end) in enumerate(zip(starts, ends)):
        held = [i for i in source[first:end] if i >= 0]
        if held:
            values[b], found[b] = x[held].max(0), np.array(held)[x[held].argmax(0)]
    return values, found


BAGS = {
    "mix_rows": [
        case(TABLE, None, SOURCE, TARGET, 4, expect=mixed),
        case(TABLE, SHARES, SOURCE, TARGET, 4, expect=mixed),
        case(real(6, 20), SHARES, None, np.array([[0, 0, 0, 0, 0, 2]]), 3, expect=mixed),
        case(real(6, 20), None, np.array([[0, 1, 2, 3, 4, 5]]), np.array([[0, 0, 0, 0, 0, 2]]), 4, expect=mixed),
        case(TABLE, positive(2, 3), np.array([[0, 4, 2], [3, -1, 1]]), None, 3, expect=mixed),
        case(real(7, 3), np.array([0, 3, 3]), through=lambda w, o: embedding_bag(o, w, o[:2], mode="mean"), order=2),
    ],
    "match_rows": [
        case(real(4, 3), TABLE, TARGET, SOURCE, expect=matched),
        case(real(3, 3), TABLE, None, np.array([[0, 4, 2], [3, -1, 1]]), expect=matched),
    ],
    "bag_maximum": [
        case(TABLE, np.array([1, 4, -1, 2, 0, 3]), np.array([0, 2, 3, 3]), np.array([2, 3, 3, 6]), expect=bag_maximum)
    ],
}

# ---- grids -----------------------------------------------------------------------------------------------------------


def bilinear(x, points):
    """Bilinear samples with zeros around, the ends of [-1, 1] being the outer sides of pixels."""
    n, c, h, w = x.shape
    out = np.zeros((n, c, *points.shape[1:3]))
    for b, i, j in np.ndindex(points.shape[:3]):
        px, py = ((points[b, i, j] + 1) * (w, h) - 1) / 2
        for ky, kx in itertools.product((0, 1), (0, 1)):
            y, z = int(np.floor(py)) + ky, int(np.floor(px)) + kx
            if 0 <= y < h and 0 <= z < w:
                out[b, :, i, j] += x[b, :, y, z] * (1 - abs(py - y)) * (1 - abs(px - z))
    return out


def mirrored(x, low, high):
    """A triangle wave through (low, low) and (high, high)."""
    phase = (x - low) % (2 * (high - low))
    return low + np.minimum(phase, 2 * (high - low) - phase)


def affine(theta, points, sizes):
    return (points @ theta.swapaxes(1, 2)).reshape(len(theta), *sizes, -1)


def through(mode, padding, corners):
    return lambda x, points: grid.grid_sample(x, points, mode, padding, corners)


GRIDS = {
    "grid_sample": [
        case(IMAGES, POINTS, through=through("bilinear", "zeros", False), expect=bilinear),
        case(IMAGES, POINTS, through=through("bilinear", "reflection", True)),
        case(IMAGES, POINTS, through=through("bicubic", "border", False)),
        case(IMAGES, POINTS, through=through("nearest", "border", True)),
        case(VOLUME, real(1, 2, 2, 1, 3, low=-1.4, high=1.4), through=through("bilinear", "border", False)),
        case(real(2, 17, 3, 4), POINTS, through=through("bilinear", "zeros", False), expect=bilinear),
        case(
            IMAGES,
            positive(2, 6),
            TAPS,
            (1, 3),
            expect=lambda x, w, at, size: channels(mixed(rows(x), w, at, None, 6), 2, size),
        ),
    ],
    "grid_sample_backward": [
        case(
            real(2, 3, 1, 3),
            positive(2, 6),
            TAPS,
            (3, 4),
            expect=lambda g, w, at, sizes: channels(mixed(rows(g), w, None, at, 24), 2, sizes),
        )
    ],
    "grid_sample_weights": [
        case(real(2, 3, 1, 3), IMAGES, TAPS, expect=lambda g, x, at: matched(rows(g), rows(x), None, at))
    ],
    "grid_pixels": [
        case(real(3, 4), 5, expect=lambda x, n: ((x + 1) * n - 1) / 2),
        case(real(3, 4), 5, True, expect=lambda x, n, corners: (x + 1) / 2 * (n - 1)),
    ],
    "grid_mirrored": [case(real(3, 4, low=-7, high=9), -0.5, 2.5, expect=mirrored)],
    "affine_grid_generator": [case(real(2, 2, 3), real(6, 3), (2, 3), expect=affine)],
}

# ---- alignments ------------------------------------------------------------------------------------------------------


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def alignments(x, targets, steps, lengths, blank, zero_infinity):
    """Minus the logarithm of the sum over all paths that collapse to the target."""
    losses = np.zeros(x.shape[1])
    for b, (time, length) in enumerate(zip(steps, lengths)):
        total = 0.0
        for path in itertools.product(range(x.shape[2]), repeat=int(time)):
            kept = [k for i, k in enumerate(path) if (i == 0 or path[i - 1] != k) and k != blank]
            if kept == list(targets[b][:length]):
                total += np.exp(sum(x[t, b, k] for t, k in enumerate(path)))
        losses[b] = -np.log(total)
    return losses


def loss_of_logits(x, *rest):
    return ctc._ctc_loss(x.log_softmax(-1), *rest)


def gradient_of(dy, x):
    """The operation with operands that belong together."""
    losses, alpha = ctc._ctc_loss.op.body(x.array, LABELS, STEPS, LENGTHS, 0, False)
    lost = [x.new_tensor(losses), x.new_tensor(alpha)]
    sizes = [x.new_tensor(a, dtype=None) for a in (LABELS, STEPS, LENGTHS)]
    return ctc._ctc_loss_backward(dy, x.detach(), *lost, *sizes, 0, False)


ALIGNMENTS = {
    "_ctc_loss": [
        case(
            real(4, 2, 4),
            LABELS,
            STEPS,
            LENGTHS,
            0,
            False,
            through=loss_of_logits,
            expect=lambda x, *rest: alignments(log_softmax(x), *rest),
            order=1,
        )
    ],
    "_ctc_loss_backward": [
        case(positive(2), log_softmax(real(4, 2, 4)), through=gradient_of, fixed=(1,), layouts=False),
    ],
}

# ---- windows and shuffles --------------------------------------------------------------------------------------------


def fractional(x, samples, kernel, size):
    out, found = np.zeros((*x.shape[:2], *size)), np.zeros((*x.shape[:2], *size), int)
    sizes = x.shape[2:]
    order = (1, 0) if len(size) == 2 else (0, 1, 2)
    for b, c in np.ndindex(x.shape[:2]):
        starts = []
        for axis, (n, m, k) in enumerate(zip(sizes, size, kernel)):
            u, a = samples[b, c, order[axis]], (n - k) / max(m - 1, 1)
            starts.append([int((i + u) * a) - int(u * a) for i in range(m - 1)] + [n - k])
        for j in np.ndindex(*size):
            window = [range(s[i], s[i] + k) for s, i, k in zip(starts, j, kernel)]
            at = max(itertools.product(*window), key=lambda i: x[(b, c, *i)])
            out[(b, c, *j)], found[(b, c, *j)] = x[(b, c, *at)], np.ravel_multi_index(at, sizes)
    return out, found


def pixel_shuffle(x, r):
    *lead, c, h, w = x.shape
    out = np.zeros((*lead, c // r**2, h * r, w * r))
    for k, i, j in np.ndindex(*out.shape[-3:]):
        out[..., k, i, j] = x[..., k * r * r + i % r * r + j % r, i // r, j // r]
    return out


def pixel_unshuffle(x, r):
    *lead, c, h, w = x.shape
    out = np.zeros((*lead, c * r**2, h // r, w // r))
    for k, i, j in np.ndindex(c, h, w):
        out[..., k * r * r + i % r * r + j % r, i // r, j // r] = x[..., k, i, j]
    return out


def channel_shuffle(x, groups):
    each = x.shape[1] // groups
    return x[:, [g * each + k for k in range(each) for g in range(groups)]]


def pdist(x, p):
    d = [np.abs(x[i] - x[j]) for i, j in itertools.combinations(range(len(x)), 2)]
    return np.array([v.max() if p == np.inf else (v**p).sum() ** (1 / p) for v in d])


WINDOWS = {
    "fractional_max_pool": [
        case(real(2, 2, 6, 5), positive(2, 2, 2, low=0.1, high=0.9), (2, 1), (3, 2), fixed=(1,), expect=fractional),
        case(
            real(1, 2, 4, 5, 4),
            positive(1, 2, 3, low=0.1, high=0.9),
            (1, 2, 2),
            (2, 1, 2),
            fixed=(1,),
            expect=fractional,
        ),
    ],
    "pixel_shuffle": [case(real(2, 8, 2, 3), 2, expect=pixel_shuffle), case(real(9, 1, 2), 3, expect=pixel_shuffle)],
    "pixel_unshuffle": [case(real(2, 1, 4, 6), 2, expect=pixel_unshuffle)],
    "channel_shuffle": [case(real(2, 6, 2), 3, expect=channel_shuffle)],
    "pdist": [case(real(5, 3), p, expect=pdist) for p in (2.0, 1.0, 3.0, np.inf)],
    "_listed_classes": [
        case(
            real(2, 4),
            np.array([[3, 0, -1, 1], [-1, 0, 1, 2]]),
            2,
            expect=lambda x, t, most: (np.array([[3, 0], [0, 0]]), np.array([[1.0, 1.0], [0.0, 0.0]])),
        )
    ],
    "_other_classes": [
        case(
            real(2, 4),
            np.array([[3, 0], [0, 0]]),
            np.array([[1.0, 1.0], [0.0, 0.0]]),
            expect=lambda x, listed, there: np.array([[0.0, 1, 1, 0], [1, 1, 1, 1]]),
        )
    ],
}

SAMPLES = {**BAGS, **GRIDS, **ALIGNMENTS, **WINDOWS}
