"""Views, joining, rearranging and in-place changes step by step beside PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad

torch = pytest.importorskip("torch")

LIBRARIES = (torch, tapegrad)

# ---- random programs -------------------------------------------------------------------------------------------------
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

INDEXED = (4, 5, 6)

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


def overlaps(x):
    """Whether elements of a PyTorch tensor share memory with each other."""
    cells = torch.arange(x.untyped_storage().nbytes() // x.itemsize)
    return cells.as_strided(x.shape, x.stride(), x.storage_offset()).unique().numel() < x.numel()


def perform(lib, pool, step):
    """Run one instruction; the tensor it makes joins the pool."""
    kind, which, at, a, b, c = step
    if pool[at % len(pool)].numel() == 0:
        return
    x, y = pool[at % len(pool)], pool[(at + 1 + c) % len(pool)]
    if kind == "change":
        if which in RESHAPES and any(t._base is x for t in pool):
            return  # views of a tensor that changes its shape: not supported
        if lib is torch and (
            overlaps(x) or (x is not y and x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr())
        ):
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


def compare_pools(theirs, mine, laid_out):
    for t, m in zip(theirs, mine):
        same_values(m, t)
        if outcome(name, t):  # one of several outputs, whose base was changed: PyTorch refuses to say more
            continue
        assert m.requires_grad == t.requires_grad
        if t.numel() and laid_out:
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
    indexed = False  # what an index tensor picks may lie in memory in another order
    for step in program:
        expected = outcome(perform, torch, pools[0], step)
        if expected == "refused":
            return
        assert outcome(perform, tapegrad, pools[1], step) == expected, (step, expected)
        indexed |= step[:1] == ("copy",) and step[1] in INDEXED
        compare_pools(*pools, not indexed)
    totals = []
    for pool in pools:
        parts = [
            (t * t).sum() * (i + 1) for i, t in enumerate(pool) if not outcome(name, pools[0][i]) and t.requires_grad
        ]
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


# ---- one function at a time ------------------------------------------------------------------------------------------

CASES = {
    "view": lambda lib, x: x.view(3, -1),
    "view by keyword": lambda lib, x: x.view(size=(4, 3)),
    "reshape": lambda lib, x: lib.reshape(x, (2, 6)),
    "reshape of a view": lambda lib, x: x.transpose(0, 1).reshape(4, 3),
    "reshape that stays a view": lambda lib, x: x[:, :1].reshape(-1),
    "flatten": lambda lib, x: x.flatten(1),
    "unflatten": lambda lib, x: x.unflatten(1, (1, -1)),
    "ravel": lambda lib, x: x.mT.ravel(),
    "permute": lambda lib, x: lib.permute(x, (2, 0, 1)),
    "transpose": lambda lib, x: x.transpose(-1, 0),
    "T": lambda lib, x: x[0].T,
    "t": lambda lib, x: x[0].t(),
    "H": lambda lib, x: x[0].H,
    "mT": lambda lib, x: x.mT,
    "movedim": lambda lib, x: lib.movedim(x, (0, 1), (2, 0)),
    "swapaxes": lambda lib, x: x.swapaxes(0, 1),
    "squeeze": lambda lib, x: x[:1].squeeze(),
    "squeeze a dim": lambda lib, x: x[:1].squeeze(0),
    "squeeze dims": lambda lib, x: x[:1, :1].squeeze((0, 1)),
    "unsqueeze": lambda lib, x: x.unsqueeze(-2),
    "expand": lambda lib, x: x[:, :1].expand(-1, 4, 2),
    "broadcast_to": lambda lib, x: lib.broadcast_to(x, (2, 2, 3, 2)),
    "select": lambda lib, x: x.select(-1, -1),
    "narrow": lambda lib, x: x.narrow(1, -2, 2),
    "narrow_copy": lambda lib, x: x.narrow_copy(1, 1, 2),
    "diagonal": lambda lib, x: x.diagonal(1, 1, 2),
    "unfold": lambda lib, x: x.unfold(1, 2, 1),
    "unfold with gaps": lambda lib, x: x.unfold(0, 1, 2),
    "as_strided": lambda lib, x: x.as_strided((3, 2), (2, 3), 1),
    "as_strided that overlaps": lambda lib, x: x.as_strided((4, 4), (1, 1)),
    "as_strided of a view": lambda lib, x: x.transpose(0, 1)[1:].as_strided((2, 2), (6, 1)),
    "clone": lambda lib, x: x.clone(),
    "contiguous": lambda lib, x: x.mT.contiguous(),
    "unbind": lambda lib, x: x.unbind(1),
    "split": lambda lib, x: x.split(2, 1),
    "split by sizes": lambda lib, x: lib.split(x, [1, 2], dim=1),
    "chunk": lambda lib, x: x.chunk(2, 1),
    "tensor_split": lambda lib, x: x.tensor_split(2, 1),
    "tensor_split at": lambda lib, x: x.tensor_split((1, 2), dim=1),
    "hsplit": lambda lib, x: x.hsplit(3),
    "vsplit": lambda lib, x: x.vsplit([1]),
    "dsplit": lambda lib, x: x.dsplit(2),
    "unsafe_chunk": lambda lib, x: x.unsafe_chunk(2),
    "cat": lambda lib, x: lib.cat([x, x * x], -1),
    "cat with nothing": lambda lib, x: lib.cat([x, lib.zeros(0), x]),
    "stack": lambda lib, x: lib.stack([x, x * x], 1),
    "hstack": lambda lib, x: lib.hstack((x, x)),
    "vstack": lambda lib, x: lib.vstack((x[0, 0], x[0])),
    "dstack": lambda lib, x: lib.dstack((x[0], x[1])),
    "column_stack": lambda lib, x: lib.column_stack((x[0, :, 0], x[1])),
    "block_diag": lambda lib, x: lib.block_diag(x[0], x[1, 0], x[0, 0, 0]),
    "meshgrid": lambda lib, x: lib.meshgrid(x[0, :, 0], x[0, 0], indexing="xy"),
    "cartesian_prod": lambda lib, x: lib.cartesian_prod(x[0, :, 0], x[0, 0]),
    "combinations": lambda lib, x: lib.combinations(x.view(-1)[:4], 3, with_replacement=True),
    "repeat": lambda lib, x: x.repeat(2, 1, 1, 3),
    "tile": lambda lib, x: x.tile((2,)),
    "repeat_interleave": lambda lib, x: x.repeat_interleave(2, dim=1),
    "repeat_interleave by tensor": lambda lib, x: x.repeat_interleave(lib.tensor([2, 0, 1]), 1),
    "flip": lambda lib, x: x.flip(0, -1),
    "fliplr": lambda lib, x: lib.fliplr(x),
    "roll": lambda lib, x: x.roll((1, -1), (0, 1)),
    "roll all": lambda lib, x: x.roll(4),
    "rot90": lambda lib, x: x.rot90(3, (1, 2)),
    "tril": lambda lib, x: x.tril(-1),
    "triu": lambda lib, x: x.triu(1),
    "diag": lambda lib, x: lib.diag(x[0, 0], 1),
    "diag of a matrix": lambda lib, x: lib.diag(x[0], -1),
    "diag_embed": lambda lib, x: lib.diag_embed(x, 1, 0, 2),
    "diagflat": lambda lib, x: lib.diagflat(x),
    "sum_to_size": lambda lib, x: x.sum_to_size(1, 2),
    "atleast_3d": lambda lib, x: lib.atleast_3d(x[0]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", CASES)
def test_values_names_and_derivatives(what):
    data = np.random.default_rng(0).standard_normal((2, 3, 2))
    found = []
    for lib in LIBRARIES:
        x = lib.from_numpy(data.copy()).requires_grad_()
        outs = CASES[what](lib, x)
        outs = list(outs) if isinstance(outs, (tuple, list)) else [outs]
        total = sum((out * out * out).sum() * (k + 1) for k, out in enumerate(outs))
        (first,) = lib.autograd.grad(total, x, create_graph=True)
        (second,) = lib.autograd.grad((first * first).sum(), x)
        found.append((outs, first, second))
    for theirs, mine in zip(found[0][0], found[1][0]):
        same_values(mine, theirs)
        assert name(mine) == name(theirs)
        assert mine._is_view() == theirs._is_view()
    same_values(found[1][1], found[0][1])
    same_values(found[1][2], found[0][2])


REFUSALS = {
    "view: another number": lambda lib, x: x.view(5),
    "view: negative": lambda lib, x: x.view(-2, -6),
    "view: two unknown": lambda lib, x: x.view(-1, -1),
    "view: strides": lambda lib, x: x.mT.view(-1),
    "reshape: another number": lambda lib, x: x.reshape(7, -1),
    "permute: too few": lambda lib, x: x.permute(0, 1),
    "permute: twice": lambda lib, x: x.permute(0, 1, 1),
    "transpose: out of range": lambda lib, x: x.transpose(0, 3),
    "t: three dimensions": lambda lib, x: x.t(),
    "flatten: backwards": lambda lib, x: x.flatten(2, 0),
    "unflatten: another product": lambda lib, x: x.unflatten(1, (2, 2)),
    "squeeze: out of range": lambda lib, x: x.squeeze(4),
    "unsqueeze: out of range": lambda lib, x: x.unsqueeze(5),
    "expand: another size": lambda lib, x: x.expand(2, 4, 2),
    "expand: fewer": lambda lib, x: x.expand(2),
    "select: out of range": lambda lib, x: x.select(1, 3),
    "narrow: too long": lambda lib, x: x.narrow(1, 2, 2),
    "narrow: start": lambda lib, x: x.narrow(1, 4, 1),
    "diagonal: one dimension": lambda lib, x: x.diagonal(0, 1, 1),
    "unfold: too long": lambda lib, x: x.unfold(1, 4, 1),
    "as_strided: beyond the memory": lambda lib, x: x.as_strided((5,), (4,)),
    "unbind: out of range": lambda lib, x: x.unbind(3),
    "split: another sum": lambda lib, x: x.split([1, 1], 1),
    "split: negative": lambda lib, x: x.split(-1),
    "chunk: none": lambda lib, x: x.chunk(0),
    "hsplit: not a multiple": lambda lib, x: x.hsplit(2),
    "cat: nothing": lambda lib, x: lib.cat([]),
    "cat: another size": lambda lib, x: lib.cat([x, x[0]]),
    "cat: out of range": lambda lib, x: lib.cat([x, x], 3),
    "cat: a tensor": lambda lib, x: lib.cat(x, 0),
    "stack: nothing": lambda lib, x: lib.stack([]),
    "stack: another shape": lambda lib, x: lib.stack([x, x[0]]),
    "repeat: too few": lambda lib, x: x.repeat(2),
    "repeat_interleave: negative": lambda lib, x: x.repeat_interleave(-1),
    "flip: twice": lambda lib, x: x.flip(0, 0),
    "roll: without dims": lambda lib, x: x.roll((1, 2)),
    "rot90: one dimension": lambda lib, x: x.rot90(1, (0,)),
    "tril: a vector": lambda lib, x: x[0, 0].tril(),
    "diag: three dimensions": lambda lib, x: lib.diag(x),
    "select_scatter: another shape": lambda lib, x: x.select_scatter(x, 0, 0),
    "sum_to_size: another size": lambda lib, x: x.sum_to_size(3),
    "meshgrid: a matrix": lambda lib, x: lib.meshgrid(x, x),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", REFUSALS)
def test_kinds_of_errors(what):
    kinds = [outcome(REFUSALS[what], lib, lib.arange(12.0).reshape(2, 3, 2)) for lib in LIBRARIES]
    assert kinds[0] is not None
    assert kinds[1] is kinds[0]


@pytest.mark.parametrize(
    "dtypes", [("int64", "float32"), ("bool", "int32"), ("float32", "float64"), ("float16", "bfloat16")]
)
def test_joining_promotes(dtypes):
    found = [lib.cat([lib.ones(2, dtype=getattr(lib, d)) for d in dtypes]).dtype for lib in LIBRARIES]
    assert str(found[0]) == str(found[1])
    found = [lib.stack([lib.ones(2, dtype=getattr(lib, d)) for d in dtypes]).dtype for lib in LIBRARIES]
    assert str(found[0]) == str(found[1])
