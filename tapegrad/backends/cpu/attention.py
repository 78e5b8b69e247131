"""Scaled dot-product attention: softmax(scale q k^T + mask) v, block by block, on NumPy or, where heads are whole
vectors and keys are not too many, in machine code (`codegen.attention`).

Note [Blocks]. The scores of all queries and keys, (..., L, S), are never there at once: a block of them is made, turned
into probabilities and used up while it is in the cache. What is kept for the way back is the logarithm of each row's
sum, with which the probabilities of a block are made again (Milakov & Gimelshein 2018, Dao et al. 2022). Causal blocks
leave out the keys that none of their queries sees.

Note [Small scores]. The largest score of a row is taken off before exp, against overflow. Where the lengths of queries
and keys bound all scores by 60, which is usual, that is not needed, and saves a fifth of the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ... import codegen
from . import fused
from .halves import wide

Array = np.ndarray
BLOCK = 1 << 17  # scores in a block: half a megabyte in float32
SAFE = 60.0  # exp(60) times any number of keys is far from float32's largest number

Block = tuple[tuple[slice, slice, slice], slice]  # where the queries of a block are, and its keys


def _four(x: Array, batch: tuple[int, ...]) -> Array:
    """(..., n, m) as (B, H, n, m), stretched to the batch dimensions."""
    if x.shape[:-2] != batch:
        x = np.broadcast_to(x, batch + x.shape[-2:])
    if len(batch) == 2:
        return x
    return x[(None,) * (2 - len(batch))] if len(batch) < 2 else x.reshape(-1, *x.shape[-3:])


def _four_mask(x: Array | None, batch: tuple[int, ...]) -> Array | None:
    """A mask as (B, H, L, S), dimensions of size 1 left as they are where possible."""
    if x is None:
        return None
    return _four(x, batch) if len(batch) > 2 else x[(None,) * (4 - x.ndim)]


def _blocks(batch: int, heads: int, rows: int, keys: int, causal: bool) -> Iterator[Block]:
    """The blocks of (B, H, L, S): Note [Blocks]."""
    n = max(16, BLOCK // max(keys, 1))
    if causal:
        n = min(n, max(64, -(-rows // 4)))
    n = min(n, max(rows, 1))
    h = max(1, min(heads, BLOCK // max(n * keys, 1)))
    b = max(1, BLOCK // max(n * keys * heads, 1)) if h == heads else 1
    for i in range(0, batch, b):
        for j in range(0, heads, h):
            for k in range(0, rows, n):
                end = min(k + n, rows)
                yield (slice(i, i + b), slice(j, j + h), slice(k, end)), slice(0, min(keys, end) if causal else keys)


def _cut(mask: Array, where: tuple[slice, slice, slice], keys: slice) -> Array:
    """The part of a mask that belongs to a block."""
    return mask[tuple(slice(None) if n == 1 else s for n, s in zip(mask.shape, (*where, keys)))]


class Attention:
    """One call: the operands as (B, H, n, m), and the scores of a block."""

    def __init__(
        self, q: Array, k: Array, v: Array, mask: Array | None, keep: Array | None, causal: bool, scale: float
    ):
        shapes = [a.shape[:-2] for a in (q, k, v, mask) if a is not None]
        self.batch = np.broadcast_shapes(*shapes)
        self.q, self.k, self.v = (_four(wide(a), self.batch) for a in (q, k, v))
        self.mask, self.keep = _four_mask(mask, self.batch), _four_mask(keep, self.batch)
        self.causal, self.scale = causal, self.q.dtype.type(scale)
        if self.mask is not None and self.mask.dtype.kind != "b":
            self.mask = wide(self.mask)
        self.turned = self.k.swapaxes(-1, -2)
        self.spaces: dict[int, Array] = {}  # memory of the blocks: fresh pages would cost as much as the product

    def blocks(self) -> Iterator[Block]:
        """The blocks of this call."""
        b, h, rows, _ = self.q.shape
        return _blocks(b, h, rows, self.k.shape[2], self.causal)

    def product(self, a: Array, b: Array, space: int) -> Array:
        """`a @ b` for a block, in memory that is used again for the next; two products may be there at once."""
        shape = (*a.shape[:-1], b.shape[-1])
        size = math.prod(shape)
        held = self.spaces.get(space)
        if held is None or held.size < size:
            held = self.spaces[space] = np.empty(size, a.dtype)
        return np.matmul(a, b, out=held[:size].reshape(shape))

    def scores(self, where: tuple[slice, slice, slice], keys: slice) -> Array:
        """scale q k^T + mask, for a block."""
        s = self.product(self.q[where] * self.scale, self.turned[where[0], where[1], :, keys], 0)
        if self.mask is not None:
            mask = _cut(self.mask, where, keys)
            if mask.dtype.kind == "b":
                np.copyto(s, -np.inf, where=~mask)
            else:
                s += mask
        first = where[2].start
        if self.causal and keys.stop > first + 1:  # the keys from `first` on are hidden from some of the queries
            hidden = np.arange(first, keys.stop) > np.arange(first, where[2].stop)[:, None]
            np.copyto(s[..., first:], -np.inf, where=hidden)
        return s

    def small(self) -> bool:
        """Whether no score can be above `SAFE`: Note [Small scores]."""
        if (self.mask is not None and self.mask.dtype.kind != "b") or not self.q.size or not self.k.size:
            return False
        longest = (float(np.einsum("...i,...i->...", a, a).max()) for a in (self.q, self.k))
        return math.prod(longest) ** 0.5 * abs(float(self.scale)) < SAFE

    def drop(self, s: Array, where: tuple[slice, slice, slice], keys: slice) -> None:
        """Set what dropout drops to zero."""
        if self.keep is not None:
            np.copyto(s, 0, where=~_cut(self.keep, where, keys))


# ---- in machine code -------------------------------------------------------------------------------------------------

HEAD = "(b,h,l,e),(b,h,s,e),(b,h,s,f),"


def _lined(x: Array) -> Array:
    """`x` with its last dimension side by side."""
    return x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)


class _Fused:
    """The operands of a call for the kernels; `fits` tells whether these can have it."""

    def __init__(self, call: Attention):
        self.call = call
        self.width = 0
        q, (keys, values) = call.q, (call.k.shape[2], call.v.shape[3])
        same = q.dtype == call.k.dtype == call.v.dtype and q.dtype in (np.float32, np.float64)
        if call.keep is not None or not same or q.size < fused.SMALL or not keys or not codegen.jit.available():
            return
        real = "float" if q.dtype == np.float32 else "double"
        lanes = codegen.jit.lanes(real)
        if keys > codegen.attention.MOST_KEYS[real] or q.shape[3] % lanes or values % lanes or not q.shape[3]:
            return
        panel = lanes * codegen.attention.COLUMNS
        self.width = -(-keys // panel) * panel
        self.settings = fused.numbers(np.dtype(np.float64), float(call.scale), call.causal)

    def mask(self) -> list[Array]:
        """The mask as numbers that are added, for all heads, stretched."""
        mask, (b, h, rows, _), keys = self.call.mask, self.call.q.shape, self.call.k.shape[2]
        if mask is None:
            return []
        dtype = self.call.q.dtype.type
        if mask.dtype.kind == "b":
            mask = np.where(mask, dtype(0), dtype(-np.inf))
        mask = np.ascontiguousarray(np.broadcast_to(mask, (*mask.shape[:3], keys)), dtype)
        return [np.broadcast_to(mask, (b, h, rows, keys))]

    def space(self, columns: int) -> Array:
        """Memory for turned keys and values."""
        return np.empty((*self.call.q.shape[:2], columns * self.width), self.call.q.dtype)

    def forward(self) -> tuple[Array, Array] | None:
        """(out (B, H, L, V), logs), or None."""
        call = self.call
        mask = self.mask()
        signature = f"{HEAD}{'(b,h,l,s),' * len(mask)}(2),(b,h,w)->(b,l,h,f),(b,h,l)"
        kernel = fused.ufunc("attention", "forward", call.q, f"rrr{'r' * len(mask)}drrr", signature, 2, bool(mask))
        if kernel is None:
            return None
        operands = [_lined(a) for a in (call.q, call.k, call.v)]
        out, logs = kernel(*operands, *mask, self.settings, self.space(call.q.shape[3]))
        return out.swapaxes(1, 2), logs

    def backward(self, g: Array, out: Array, logs: Array) -> tuple[Array, Array, Array] | None:
        """(dq, dk, dv), or None."""
        call = self.call
        mask = self.mask()
        signature = (
            f"(b,h,l,f),{HEAD}{'(b,h,l,s),' * len(mask)}(b,h,l,f),(b,h,l),(2),(b,h,w),"
            "(b,h,l,e),(b,h,s,e),(b,h,s,f)->(b,h)"
        )
        types = f"rrrr{'r' * len(mask)}rrdrrrrr"
        kernel = fused.ufunc("attention", "backward", call.q, types, signature, 1, bool(mask))
        if kernel is None or g.dtype != call.q.dtype:
            return None
        operands = [_lined(a) for a in (g, call.q, call.k, call.v)]
        dq = np.empty_like(operands[1])
        dk, dv = (np.zeros_like(a) for a in operands[2:])  # keys that are seen late are added to, and some are not seen
        if dq.strides[-1] != dq.itemsize or dk.strides[-1] != dk.itemsize or dv.strides[-1] != dv.itemsize:
            dq, dk, dv = np.empty(dq.shape, dq.dtype), np.zeros(dk.shape, dk.dtype), np.zeros(dv.shape, dv.dtype)
        space = self.space(call.q.shape[3] + call.v.shape[3])
        kernel(*operands, *mask, _lined(out), logs, self.settings, space, dq, dk, dv)
        return dq, dk, dv


# ---- both ------------------------------------------------------------------------------------------------------------


def _factor(p: float) -> float:
    return 0.0 if p == 1 else 1 / (1 - p)


def attention(
    q: Array, k: Array, v: Array, mask: Array | None, keep: Array | None, p: float, causal: bool, scale: float
) -> tuple[Array, Array]:
    """(out (..., L, E), log of the sum of exp(scores) (B, H, L)), the sum infinite for queries that see no key.

    `mask` holds truth values (True: the key is seen) or numbers that are added; `keep` is what dropout keeps.
    """
    call = Attention(q, k, v, mask, keep, causal, scale)
    compiled = _Fused(call)
    found = compiled.forward() if compiled.width else None
    if found is not None:
        out, logs = found
        return out.reshape(call.batch + out.shape[2:]).astype(q.dtype, copy=False), logs
    b, h, rows, _ = call.q.shape
    out = np.empty((b, rows, h, call.v.shape[-1]), call.q.dtype).swapaxes(1, 2)  # so that joining heads copies nothing
    logs = np.empty((b, h, rows), out.dtype)
    small = call.small()
    for where, keys in call.blocks():
        s = call.scores(where, keys)
        peak = None
        if not small and s.shape[-1]:
            peak = s.max(-1, keepdims=True)
            peak[peak == -np.inf] = 0
            s -= peak
        np.exp(s, out=s)
        total = s.sum(-1, keepdims=True)
        log = np.log(total)
        if peak is not None:
            log += peak
        if mask is not None or not keys.stop:
            blind = total == 0
            total[blind], log[blind] = 1, np.inf
        logs[where] = log[..., 0]
        call.drop(s, where, keys)
        o = np.matmul(s, call.v[where[0], where[1], keys])
        np.divide(o, total, out=out[where])
    if keep is not None:
        out *= out.dtype.type(_factor(p))
    return out.reshape(call.batch + out.shape[2:]).astype(q.dtype, copy=False), logs


def attention_backward(
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    keep: Array | None,
    out: Array,
    logs: Array,
    p: float,
    causal: bool,
    scale: float,
    mask_needs: bool,
) -> tuple[Array | None, ...]:
    """Gradients of (q, k, v, mask), of the shapes stretched to all batch dimensions.

    With P the probabilities, D what dropout multiplies with and o the result: dv = (P D)^T g,
    dS = P (D (g v^T) - sum(g o)), dq = scale dS k, dk = scale dS^T q.
    """
    call = Attention(q, k, v, mask, keep, causal, scale)
    g, out = _four(wide(g), call.batch), _four(wide(out), call.batch)
    compiled = _Fused(call)
    three = compiled.backward(g, out, logs) if compiled.width and not (mask_needs and mask is not None) else None
    if three is not None:
        return (*_results(three, (q, k, v), call.batch), None)
    factor = g.dtype.type(_factor(p))
    dq, dk, dv = np.empty_like(call.q), np.zeros_like(call.k), np.zeros_like(call.v)
    dmask = np.zeros(call.mask.shape, g.dtype) if mask_needs and call.mask is not None else None
    shared = np.einsum("...i,...i->...", g, out)[..., None]  # (B, H, L, 1)
    for where, keys in call.blocks():
        seen = (where[0], where[1], keys)
        probabilities = call.scores(where, keys)
        probabilities -= logs[where][..., None]
        np.exp(probabilities, out=probabilities)
        s = call.product(g[where], call.v[seen].swapaxes(-1, -2), 1)
        if keep is None:
            dv[seen] += np.matmul(probabilities.swapaxes(-1, -2), g[where])
        else:
            dropped = probabilities * factor
            call.drop(dropped, where, keys)
            dv[seen] += np.matmul(dropped.swapaxes(-1, -2), g[where])
            s *= factor
            call.drop(s, where, keys)
        s -= shared[where]
        s *= probabilities
        if dmask is not None:
            part = _cut(dmask, where, keys)
            part += s.sum(tuple(i for i, n in enumerate(part.shape) if n == 1 and s.shape[i] != 1), keepdims=True)
        np.matmul(s, call.k[seen], out=dq[where])
        dk[seen] += np.matmul(s.swapaxes(-1, -2), call.q[where])
    dq *= call.scale
    dk *= call.scale
    if dmask is not None and mask is not None:
        dmask = dmask.reshape(mask.shape if len(call.batch) <= 2 else call.batch + dmask.shape[2:])
    return (*_results((dq, dk, dv), (q, k, v), call.batch), dmask)


def _results(found: tuple[Array, ...], like: tuple[Array, ...], batch: tuple[int, ...]) -> list[Array]:
    """(B, H, n, m) with the batch dimensions of the call, in the dtypes of the operands."""
    return [a.reshape(batch + a.shape[2:]).astype(x.dtype, copy=False) for a, x in zip(found, like)]
