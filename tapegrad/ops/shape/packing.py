"""Packed sequences: the steps of sequences of unequal length one after the other, without the padding.

With sequences sorted by falling length, step t holds the first `sizes[t]` of them. Each of both directions is the
derivative of the other.
"""

from __future__ import annotations

import numpy as np

from ...core.op import Array, op


@op(name="_pack_padded_sequence", node="PackPaddedSequenceBackward0")
def pack(x: Array, sizes):
    """(T, B, *) to (N, *): the rows of all steps."""
    return np.concatenate([step[:n] for step, n in zip(x, sizes)])


@op(name="_pad_packed_sequence", node="CopySlices")
def pad(x: Array, sizes, length, value=0.0):
    """(N, *) to (length, B, *), filled up with `value`."""
    out = np.full((length, sizes[0], *x.shape[1:]), value, x.dtype)
    start = 0
    for step, n in zip(out, sizes):
        step[:n] = x[start : start + n]
        start += n
    return out


@pack.shape
def _(x, sizes):
    return (sum(sizes), *x[2:])


@pad.shape
def _(x, sizes, length, value=0.0):
    return (length, sizes[0], *x[1:])


@pack.grad("x")
def _(g, sizes, x_shape):
    return pad(g, sizes, x_shape[0])


@pad.grad("x")
def _(g, sizes):
    return pack(g, sizes)
