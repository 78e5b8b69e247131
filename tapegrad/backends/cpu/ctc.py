"""Connectionist temporal classification on the CPU: sums over all alignments, in logarithms.

The states of a target of S labels are its labels with blanks around them, L = 2 S + 1. A path may stay, go to the next
state, or jump over a blank between different labels. `forward` adds up what leads to each state at each time; the loop
is over time only, all samples and states are one array. Sequences shorter than the longest are masked by their lengths.

Reference: Graves et al. 2006.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .index import scatter_rows

Array = np.ndarray


class Lattice(NamedTuple):
    """The states of the targets of a batch."""

    labels: Array  # (N, L)
    jumps: Array  # (N, L): whether a path may come from two states before
    last: Array  # (N,): 2 * target length, the last state
    steps: Array  # (N,): input length


def lattice(targets: Array, steps: Array, lengths: Array, blank: int) -> Lattice:
    """From targets (N, S), input lengths and target lengths (N,)."""
    n, s = targets.shape
    labels = np.full((n, 2 * s + 1), blank, np.intp)
    labels[:, 1::2] = targets
    jumps = np.zeros(labels.shape, bool)
    jumps[:, 2:] = (labels[:, 2:] != labels[:, :-2]) & (np.arange(2, 2 * s + 1) % 2 == 1)
    return Lattice(labels, jumps, 2 * lengths, steps)


def _emissions(x: Array, states: Lattice) -> Array:
    """(T, N, L): the log-probability of the label of each state."""
    return x[:, np.arange(x.shape[1])[:, None], states.labels]


def _log_add(*terms: Array) -> Array:
    """log(exp(a) + exp(b) + ...), -inf for none."""
    peak = np.maximum.reduce(terms)
    peak[np.isneginf(peak)] = 0
    total = np.exp(terms[0] - peak)
    for term in terms[1:]:
        total += np.exp(term - peak)
    np.log(total, out=total)
    total += peak
    return total


def forward(x: Array, states: Lattice) -> tuple[Array, Array]:
    """(losses (N,), log of the sum over paths to each state (T, N, L)) of log-probabilities x, (T, N, C)."""
    emissions = _emissions(x, states)
    time, n, length = emissions.shape
    barred = np.where(states.jumps, x.dtype.type(0), x.dtype.type(-np.inf))
    alpha = np.full((time, n, length + 2), -np.inf, x.dtype)  # two states that no path reaches come first
    alpha[0, :, 2] = emissions[0, :, 0]
    if length > 1:
        alpha[0, :, 3] = np.where(states.last > 0, emissions[0, :, 1], -np.inf)
    for t in range(1, time):
        before = alpha[t - 1]
        found = _log_add(before[:, 2:], before[:, 1:-1], before[:, :-2] + barred)
        np.add(found, emissions[t], out=alpha[t, :, 2:])
    each = np.arange(n)
    end = alpha[np.maximum(states.steps - 1, 0), each]  # (N, L + 2)
    before_last = np.where(states.last > 0, end[each, states.last + 1], -np.inf)
    losses = -_log_add(end[each, states.last + 2], before_last.astype(x.dtype))
    nothing = np.where(states.last == 0, x.dtype.type(0), x.dtype.type(np.inf))
    return np.where(states.steps == 0, nothing, losses), alpha[:, :, 2:]


def backward(g: Array, x: Array, losses: Array, alpha: Array, states: Lattice, skip_infinite: bool) -> Array:
    """`g (exp(x) - how likely each label is at each time, given the target)`, 0 after the end of a sequence.

    That is the gradient of the logits behind x; for x = log_softmax(logits) it is as good as that of x.
    """
    emissions = _emissions(x, states)
    time, n, length = emissions.shape
    barred = np.where(states.jumps, x.dtype.type(0), x.dtype.type(-np.inf))
    place = np.arange(length)
    final = (place == states.last[:, None]) | (place == states.last[:, None] - 1)
    start = np.where(final, x.dtype.type(0), x.dtype.type(-np.inf))
    likely = np.empty_like(emissions)
    ahead = np.full((n, length + 2), -np.inf, x.dtype)  # log of the sum over paths from each state to the end
    leap = np.full_like(ahead, -np.inf)
    for t in range(time - 1, -1, -1):
        ends = (states.steps == t + 1)[:, None]
        if t + 1 < time:
            ahead[:, :length] += emissions[t + 1]
            np.add(ahead[:, :length], barred, out=leap[:, :length])
            found = _log_add(ahead[:, :length], ahead[:, 1:-1], leap[:, 2:])
            ahead[:, :length] = np.where(ends, start, found)
        else:
            ahead[:, :length] = np.where(ends, start, ahead[:, :length])
        np.add(alpha[t], ahead[:, :length], out=likely[t])
    likely += losses[:, None]
    np.exp(likely, out=likely)
    total = np.zeros((n * x.shape[2], time), x.dtype)
    targets = (states.labels + np.arange(n)[:, None] * x.shape[2]).reshape(-1)
    scatter_rows(total, targets, likely.reshape(time, -1).T)
    out = np.exp(x)
    out -= total.T.reshape(x.shape)
    out *= np.where(np.isinf(losses), x.dtype.type(np.nan), g)[:, None]
    used = np.arange(time)[:, None] < states.steps
    if skip_infinite:
        used &= np.isfinite(losses)
    return np.where(used[:, :, None], out, x.dtype.type(0))
