"""Views, joining, rearranging and in-place changes step by step beside PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad

torch = pytest.importorskip("torch")

LIBRARIES = (torch, tapegrad)

# ---- random programs ----------------------------------------------------------------------------------------------------
# A program is a list of instructions (operation, tensor, three small numbers). Both libraries run it on the same data;
# after every step values, strides, histories and errors must agree, and so must the gradients at the end.

VIEWS = [
    lambda lib, x, a, b, c: x[a],
    lambda lib, x, a, b, c: x[a : b + 1],
    lambda lib, x, a, b, c: x[..., a, None],
    lambda lib, x, a, b, c: x[:, a : a + 2],
    lambda lib, x, a, b, c: x[::2],
    lambda lib, x, a, b, c: x.select(a - 1, b),
    lambda lib, x, a, b, c: x.narrow(a, b, 1),
    lambda lib, x, a, b, c: x.transpose(a, b),
    lambda lib, x, a, b, c: x.t(),
    lambda lib, x, a, b, c: x.permute(*range(x.ndim)[::-1]),
    lambda lib, x, a, b, c: x.reshape(-1),
    lambda lib, x, a, b, c: x.view(-1),
    lambda lib, x, a, b, c: x.view(2, -1),
    lambda lib, x, a, b, c: x.reshape(3, -1),
    lambda lib, x, a, b, c: x.flatten(a),
    lambda lib, x, a, b, c: x.unsqueeze(a),
    lambda lib, x, a, b, c: x.squeeze(),
    lambda lib, x, a, b, c: x.squeeze(a),
    lambda lib, x, a, b, c: x.expand(2, *x.shape),
    lambda lib, x, a, b, c: x.diagonal(a - 1),
    lambda lib, x, a, b, c: x.unfold(a, 2, 1 + b),
    lambda lib, x, a, b, c: x.split(a + 1)[0],
    lambda lib, x, a, b, c: x.unbind(0)[a],
    lambda lib, x, a, b, c: x.chunk(2, a)[-1],
    lambda lib, x, a, b, c: x.detach(),
    lambda lib, x, a, b, c: x.mT,
    lambda lib, x, a, b, c: x.movedim(0, -1),
    lambda lib, x, a, b, c: x.view_as(x),
]

COPIES = [
    lambda lib, x, a, b, c: x * 2,
    lambda lib, x, a, b, c: x * x,
    lambda lib, x, a, b, c: x.clone(),
    lambda lib, x, a, b, c: x.contiguous(),
    lambda lib, x, a, b, c: x[lib.tensor([a, 0])],
    lambda lib, x, a, b, c: x[:, lib.tensor([a, a])],
    lambda lib, x, a, b, c: x[x > 0],
    lambda lib, x, a, b, c: lib.cat([x, x], a),
    lambda lib, x, a, b, c: lib.stack([x, x], a),
    lambda lib, x, a, b, c: x.repeat(1, 2),
    lambda lib, x, a, b, c: x.flip(a),
    lambda lib, x, a, b, c: x.roll(1, a),
    lambda lib, x, a, b, c: x.tril(),
]

CHANGES = [
    lambda lib, x, y, a, b, c: x.mul_(a + 2),
    lambda lib, x, y, a, b, c: x.add_(y),
    lambda lib, x, y, a, b, c: x.mul_(y),
    lambda lib, x, y, a, b, c: x.zero_(),
    lambda lib, x, y, a, b, c: x.copy_(y),
    lambda lib, x, y, a, b, c: x.fill_(float(a)),
    lambda lib, x, y, a, b, c: x.__setitem__(a, 3.0),
    lambda lib, x, y, a, b, c: x.__setitem__(slice(a, b + 1), y),
    lambda lib, x, y, a, b, c: x.__setitem__((Ellipsis, a), y),
    lambda lib, x, y, a, b, c: x.__setitem__(lib.tensor([a % len(x), b % len(x)]), 5.0),
    lambda lib, x, y, a, b, c: x.__setitem__((lib.tensor([b % len(x)]),), y),
    lambda lib, x, y, a, b, c: x.__setitem__(x > 1, 0.5),
    lambda lib, x, y, a, b, c: x.masked_fill_(x > 0, 0.25),
    lambda lib, x, y, a, b, c: x.unsqueeze_(a),
    lambda lib, x, y, a, b, c: x.squeeze_(),
    lambda lib, x, y, a, b, c: x.index_fill_(a, lib.tensor([b % x.shape[a]]), 2.0),
]

RESHAPES = (13, 14)

small = st.integers(0, 2)
instruction = st.one_of(
    st.tuples(st.just("view"), st.integers(0, len(VIEWS) - 1), st.integers(0, 7), small, small, small),
    st.tuples(st.just("copy"), st.integers(0, len(COPIES) - 1), st.integers(0, 7), small, small, small),
    st.tuples(st.just("change"), st.integers(0, len(CHANGES) - 1), st.integers(0, 7), small, small, small),
)
shapes = st.sampled_from([(3,), (2, 3), (4, 3), (2, 1, 3), (2, 3, 2)])


def perform(lib, pool, step):
    """Run one instruction; the tensor it makes joins the pool."""
    kind, which, at, a, b, c = step
    if pool[at % len(pool)].numel() == 0:
        return
    x, y = pool[at % len(pool)], pool[(at + 1 + c) % len(pool)]
    if kind == "change":
        if which in RESHAPES and any(t._base is x for t in pool):
            return  # views of a tensor that changes its shape: not supported
        same_memory = x is not y and x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr() if lib is torch else False
        if same_memory or (0 in x.stride() and lib is torch):
            raise RuntimeError(REFUSED[0])  # PyTorch refuses some of these, and leaves the others undefined
        CHANGES[which](lib, x, y, a, b, c)
    else:
        pool.append((VIEWS if kind == "view" else COPIES)[which](lib, x, a, b, c))


REFUSED = ("refer to a single memory location", "refers to a single memory location", "returns multiple views")


def outcome(f, *args):
    """None, or the builtin class of the exception; "refused" where tapegrad does what PyTorch cannot."""
    try:
        f(*args)
    except Exception as error:
        if any(text in str(error) for text in REFUSED):
            return "refused"
        return next(c for c in type(error).__mro__ if c.__module__ == "builtins")


def name(t):
    found = None if t.grad_fn is None else t.grad_fn.name().split("::")[-1]
    return "CopyBackwards" if found == "FillBackward3" else found  # how PyTorch writes a tensor without dimensions


def same_values(mine, theirs):
    assert tuple(mine.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-9)


def strides(t):
    """The strides that matter."""
    return [s for n, s in zip(t.shape, t.stride()) if n > 1]


def compare_pools(theirs, mine):
    for t, m in zip(theirs, mine):
        same_values(m, t)
        if outcome(name, t):  # one of several outputs, whose base was changed: PyTorch refuses to say more
            continue
        assert m.requires_grad == t.requires_grad
        if t.numel() and name(m) != "IndexBackward0":
            assert strides(m) == strides(t)
        assert m._is_view() == t._is_view()
        assert name(m) == name(t) or name(t) == "AsStridedBackward0"  # how PyTorch takes a view again after a change
        assert m.is_leaf == t.is_leaf


def check_program(shape, program, shared):
    data = np.random.default_rng(0).standard_normal(shape)
    leaves = [lib.tensor(data.tolist(), dtype=lib.float64, requires_grad=True) for lib in LIBRARIES]
    pools = [[leaf * 1.5] for leaf in leaves]
    if shared:  # something that does not require grad takes part
        for lib, pool in zip(LIBRARIES, pools):
            pool.append(lib.ones(shape, dtype=lib.float64))
    for step in program:
        expected = outcome(perform, torch, pools[0], step)
        if expected == "refused":
            return
        assert outcome(perform, tapegrad, pools[1], step) == expected, (step, expected)
        compare_pools(*pools)
    totals = []
    for pool in pools:
        parts = [(t * t).sum() * (i + 1) for i, t in enumerate(pool) if not outcome(name, pools[0][i]) and t.requires_grad]
        total = parts[0] if parts else None
        for part in parts[1:]:
            total = total + part
        totals.append(total)
    if totals[0] is None:
        return
    errors = [outcome(total.backward) for total in totals]
    assert errors[1] == errors[0]
    if errors[0] is None and leaves[0].grad is not None:
        same_values(leaves[1].grad, leaves[0].grad)


@settings(max_examples=150)
@given(shapes, st.lists(instruction, min_size=1, max_size=10), st.booleans())
def test_programs_of_views_and_changes(shape, program, shared):
    check_program(shape, program, shared)
