"""Samples of what layers are made of: softmax, losses, normalisation."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from samples import case, positive, real, whole

from tapegrad.backends.cpu import rows
from tapegrad.core.tensor import wrap
from tapegrad.nn import functional as F
from tapegrad.ops.neural import classes

X, Y = real(3, 4), real(3, 4, seed=1)
UNIT, TARGET = positive(3, 4, low=0.1, high=0.9), positive(3, 4, low=0.1, high=0.9, seed=1)
ROWS, CLASSES, VOLUME, VOLUME_CLASSES = real(4, 5), whole(4), real(2, 5, 3), whole(2, 3)
WEIGHTS = positive(5, seed=2)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, dim=-1):
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


def softmax_vjp(dy, y, dim):
    return y * (dy - (dy * y).sum(dim, keepdims=True))


def log_softmax(x, dim=-1):
    return np.log(softmax(x, dim))


def reduce(losses, reduction, total=None):
    if reduction == "none":
        return losses
    return losses.sum() / (1 if reduction == "sum" else losses.size if total is None else total)


def glu(x, dim=-1):
    a, b = np.split(x, 2, dim)
    return a * sigmoid(b)


def nll(x, target, weight=None, reduction="mean", ignore_index=-100):
    logs = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    flat = target.reshape(-1)
    w = np.ones(x.shape[1]) if weight is None else weight
    row = np.where(flat == ignore_index, 0, w[np.clip(flat, 0, None)])
    losses = -row * logs[np.arange(len(flat)), np.clip(flat, 0, None)]
    return reduce(losses.reshape(target.shape), reduction, row.sum())


def nll_vjp(g, target, w, shape, reduction, ndim):
    dx = np.zeros(shape)
    w = np.ones(target.shape) if w is None else w
    each = g * w / (w.sum() if reduction == "mean" else 1)
    for index in np.ndindex(target.shape):
        dx[(index[0], target[index], *index[1:])] = -np.broadcast_to(each, target.shape)[index]
    return dx


def cross_entropy(x, target, weight=None, reduction="mean", ignore_index=-100):
    return nll(log_softmax(x, 1), target, weight, reduction, ignore_index)


def smoothed_cross_entropy(x, target, label_smoothing):
    return (1 - label_smoothing) * cross_entropy(x, target) - label_smoothing * log_softmax(x, 1).mean()


def smooth_l1(x, target, beta=1.0):
    d = np.abs(x - target)
    return np.where(d < beta, d * d / (2 * beta), d - beta / 2)


def huber(x, target, delta=1.0):
    d = np.abs(x - target)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


def bce(x, target, weight=None, reduction="mean"):
    losses = -(target * np.log(x) + (1 - target) * np.log(1 - x))
    return reduce(losses if weight is None else losses * weight, reduction)


def bce_logits(x, target, weight=None, pos_weight=None, reduction="mean"):
    p = sigmoid(x)
    losses = -((1 if pos_weight is None else pos_weight) * target * np.log(p) + (1 - target) * np.log(1 - p))
    return reduce(losses if weight is None else losses * weight, reduction)


def moments(x, axes, eps):
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return mean, var, 1 / np.sqrt(var + eps)


def normalized(x, weight, bias, axes, shape, eps=1e-5):
    mean, _, rstd = moments(x, axes, eps)
    out = (x - mean) * rstd
    out = out if weight is None else out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def layer_norm(x, shape, weight=None, bias=None):
    return normalized(x, weight, bias, tuple(range(x.ndim - len(shape), x.ndim)), shape)


def rms_norm(x, shape, weight=None):
    out = x / np.sqrt((x * x).mean(-1, keepdims=True) + np.finfo(float).eps)
    return out if weight is None else out * weight


def batch_norm(x, mean, var, weight, bias, training=False):
    shape = (1, -1, *(1,) * (x.ndim - 2))
    if training:
        return normalized(x, weight, bias, (0, *range(2, x.ndim)), shape)
    found = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-5)
    return found * weight.reshape(shape) + bias.reshape(shape)


def group_norm(x, groups, weight, bias):
    split = x.reshape(x.shape[0], groups, -1)
    flat = normalized(split, None, None, (2,), None).reshape(x.shape)
    shape = (1, -1, *(1,) * (x.ndim - 2))
    return flat * weight.reshape(shape) + bias.reshape(shape)


SOFTMAX = {
    "glu": [case(X, expect=glu), case(real(2, 4, 3), 1, expect=glu)],
    "softmax": [
        case(X, dim=1, expect=softmax),
        case(VOLUME, dim=0, expect=softmax),
        case(real(), dim=0, expect=lambda x, dim: np.ones_like(x)),
    ],
    "_softmax_backward_data": [
        case(X, Y, dim=1, expect=softmax_vjp),
        case(VOLUME, real(2, 5, 3, seed=1), dim=0, expect=softmax_vjp),
    ],
    "log_softmax": [case(X, dim=1, expect=log_softmax), case(VOLUME, dim=-2, expect=log_softmax)],
    "_log_softmax_backward_data": [
        case(X, Y, dim=1, expect=lambda dy, y, dim: dy - np.exp(y) * dy.sum(dim, keepdims=True)),
    ],
}

LOSSES = {
    "mse_loss": [case(X, Y, r, expect=lambda x, t, r: reduce((x - t) ** 2, r)) for r in ("none", "sum", "mean")],
    "smooth_l1_loss": [
        case(X, Y, "none", 0.3, expect=lambda x, t, r, b: smooth_l1(x, t, b)),
        case(X, Y, expect=lambda x, t: smooth_l1(x, t).mean()),
    ],
    "huber_loss": [
        case(X, Y, "none", 0.3, expect=lambda x, t, r, d: huber(x, t, d)),
        case(X, Y, expect=lambda x, t: huber(x, t).mean()),
    ],
    "binary_cross_entropy": [
        case(UNIT, TARGET, expect=bce),
        case(UNIT, TARGET, positive(3, 4), "sum", expect=bce, fixed=(2,)),
    ],
    "binary_cross_entropy_with_logits": [
        case(X, TARGET, expect=bce_logits),
        case(X, TARGET, positive(3, 4), positive(4), "none", expect=bce_logits, fixed=(2, 3)),
    ],
    "soft_margin_loss": [
        case(X, np.sign(Y), r, expect=lambda x, t, r: reduce(np.log1p(np.exp(-t * x)), r), fixed=(1,))
        for r in ("none", "mean")
    ],
    "_soft_margin": [case(X, np.sign(Y), expect=lambda x, t: np.log1p(np.exp(-t * x)))],
    "_bce_logits": [case(X, TARGET, expect=lambda x, t: np.log1p(np.exp(x)) - t * x)],
    "_bce_logits_weighted": [
        case(X, TARGET, UNIT[0], expect=lambda x, t, w: (1 - t) * x + (1 + (w - 1) * t) * np.log1p(np.exp(-x)))
    ],
    "nll_loss": [
        case(ROWS, CLASSES, expect=nll, through=F.nll_loss),
        case(VOLUME, VOLUME_CLASSES, WEIGHTS, reduction="none", expect=nll, through=F.nll_loss, fixed=(2,)),
        case(ROWS, CLASSES, WEIGHTS, reduction="sum", ignore_index=1, expect=nll, through=F.nll_loss, fixed=(2,)),
    ],
    "nll_loss_backward": [
        case(real(), CLASSES, None, (4, 5), "mean", 2, expect=nll_vjp),
        case(real(2, 3), VOLUME_CLASSES, positive(2, 3), (2, 5, 3), "none", 3, expect=nll_vjp, fixed=(2,)),
    ],
    "_row_weights": [
        case(np.array([2, 0, 1]), WEIGHTS, ROWS, 0, expect=lambda t, w, like, i: (t, np.array([w[2], 0, w[1]])))
    ],
    "cross_entropy": [
        case(ROWS, CLASSES, expect=cross_entropy, through=F.cross_entropy),
        case(
            VOLUME, VOLUME_CLASSES, WEIGHTS, reduction="none", expect=cross_entropy, through=F.cross_entropy, fixed=(2,)
        ),
        case(ROWS, CLASSES, ignore_index=1, expect=cross_entropy, through=F.cross_entropy),
        case(ROWS, CLASSES, label_smoothing=0.1, expect=smoothed_cross_entropy, through=F.cross_entropy),
    ],
    "_is_class": [case(ROWS, CLASSES, expect=lambda x, t: np.eye(5)[t])],
}


def cross_entropy_backward(g, x, target):
    """The operation with operands that belong together: the parts of the softmax are made from x."""
    parts = rows.cross_entropy(x.detach().numpy(), target.numpy(), None, -100, "none", 0.0)[1]
    return classes._cross_entropy_backward(g, x, target, wrap(parts), 0.0, 2)


LOSSES["cross_entropy_backward"] = [
    case(
        real(4, seed=3),
        ROWS,
        CLASSES,
        through=cross_entropy_backward,
        expect=lambda g, x, t: g[:, None] * (softmax(x) - np.eye(5)[t]),
    )
]


def gelu_slope(x):
    share = np.vectorize(NormalDist().cdf)(x)
    return share + x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


GELU = {
    "gelu_large": [case(X, expect=lambda x: x * np.vectorize(NormalDist().cdf)(x), tolerance=4e-8)],
    "gelu_backward": [case(Y, X, expect=lambda g, x: g * gelu_slope(x))],
}

NORMS = {
    "normalize_rows": [
        case(X, (4,), real(4), real(4, seed=1), expect=layer_norm, through=F.layer_norm),
        case(VOLUME, (5, 3), expect=layer_norm, through=F.layer_norm),
        case(X, (4,), real(4), expect=rms_norm, through=F.rms_norm),
        case(real(2, 4, 3), 2, real(4), real(4, seed=1), expect=group_norm, through=F.group_norm),
        case(VOLUME, None, None, real(5), real(5, seed=1), True, expect=batch_norm, through=F.batch_norm),
        case(
            VOLUME,
            real(5),
            positive(5),
            real(5),
            real(5, seed=1),
            expect=batch_norm,
            through=F.batch_norm,
            fixed=(1, 2),
        ),
    ],
}

SAMPLES = {**SOFTMAX, **LOSSES, **GELU, **NORMS}
