"""Products of matrices against PyTorch: values, gradients, second gradients, names of nodes, kinds of errors."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import tapegrad  # noqa: E402

# ---- both sides ---------------------------------------------------------------------------------------------------


def draw(*shape, dtype="float64", seed=0) -> np.ndarray:
    numbers = np.random.default_rng([seed, *shape]).normal(size=shape) * 3
    return numbers.astype(dtype)


def everything(lib, function, arrays, order=2) -> list[np.ndarray]:
    """The result, its gradients, and the gradients of a function of these."""
    inputs = [lib.tensor(a).requires_grad_() for a in arrays]
    out = function(lib, *inputs)
    found = [out.detach().numpy()]
    weights = lib.tensor(np.random.default_rng(5).normal(size=tuple(out.shape)))
    first = lib.autograd.grad((out * weights).sum(), inputs, create_graph=order > 1)
    found += [g.detach().numpy() for g in first]
    if order > 1:
        total = sum((g * g).sum() for g in first)
        if total.requires_grad:
            second = lib.autograd.grad(total, inputs, allow_unused=True)
            found += [None if g is None else g.numpy() for g in second]
    return found


def agree(function, *arrays, order=2, rtol=1e-10) -> None:
    ours, theirs = everything(tapegrad, function, arrays, order), everything(torch, function, arrays, order)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        if a is None or b is None:  # one side may know that a gradient is zero
            assert (a is None or not a.any()) and (b is None or not b.any())
            continue
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-10)


# ---- matmul of every rank -----------------------------------------------------------------------------------------

SHAPES = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((6, 5, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (1, 5, 3, 4)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((5, 2, 0), (0, 4)),
    ((1, 1), (1, 1)),
]


@pytest.mark.parametrize("x, y", SHAPES)
def test_matmul(x, y):
    agree(lambda lib, a, b: a @ b, draw(*x), draw(*y, seed=1))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.lists(st.sampled_from((1, 2)), max_size=2))
@settings(max_examples=25)
def test_matmul_broadcasts(n, k, m, batch):
    agree(lambda lib, a, b: lib.matmul(a, b), draw(2, *batch, n, k), draw(*(1,) * len(batch), k, m, seed=1))


def test_strides_do_not_matter():
    x, y = draw(6, 8, 5), draw(6, 5, 7, seed=1)
    agree(lambda lib, a, b: a.permute(2, 1, 0)[:, ::2] @ b.permute(1, 0, 2), x, y)
    agree(lambda lib, a, b: a.transpose(1, 2) @ b[..., ::2], draw(6, 5, 8), y)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64", "int32", "uint8"])
def test_dtypes(dtype):
    x, y = (draw(17, 40) * 4).round(), (draw(40, 9, seed=1) * 4).round()
    ours, theirs = (
        (lib.tensor(x).to(getattr(lib, dtype)) @ lib.tensor(y).to(getattr(lib, dtype))) for lib in (tapegrad, torch)
    )
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.double().numpy(), theirs.double().numpy(), rtol=1e-2 if "16" in dtype else 1e-6)


# ---- the other products -------------------------------------------------------------------------------------------

PRODUCTS = {
    "mm": (lambda lib, a, b: lib.mm(a, b), (2, 3), (3, 4)),
    "bmm": (lambda lib, a, b: lib.bmm(a, b), (5, 2, 3), (5, 3, 4)),
    "mv": (lambda lib, a, b: lib.mv(a, b), (2, 3), (3,)),
    "dot": (lambda lib, a, b: lib.dot(a, b), (3,), (3,)),
    "vdot": (lambda lib, a, b: lib.vdot(a, b), (3,), (3,)),
    "inner": (lambda lib, a, b: lib.inner(a, b), (5, 2, 3), (4, 3)),
    "inner of numbers": (lambda lib, a, b: lib.inner(a, b), (), (4, 3)),
    "outer": (lambda lib, a, b: lib.outer(a, b), (3,), (4,)),
    "addmm": (lambda lib, a, b, c: lib.addmm(a, b, c, beta=0.5, alpha=2), (4,), (2, 3), (3, 4)),
    "addmm without input": (lambda lib, a, b, c: lib.addmm(a, b, c, beta=0), (2, 4), (2, 3), (3, 4)),
    "addmv": (lambda lib, a, b, c: lib.addmv(a, b, c, alpha=3), (2,), (2, 3), (3,)),
    "addbmm": (lambda lib, a, b, c: lib.addbmm(a, b, c, beta=2, alpha=3), (2, 4), (5, 2, 3), (5, 3, 4)),
    "baddbmm": (lambda lib, a, b, c: lib.baddbmm(a, b, c, beta=2, alpha=3), (1, 4), (5, 2, 3), (5, 3, 4)),
    "addr": (lambda lib, a, b, c: lib.addr(a, b, c, beta=2, alpha=3), (2, 3), (2,), (3,)),
    "addmm_": (lambda lib, a, b, c: (a * 1).addmm_(b, c, beta=2), (2, 4), (2, 3), (3, 4)),
    "tensordot": (lambda lib, a, b: lib.tensordot(a, b, ([0, 2], [1, 0])), (2, 3, 4), (4, 2, 5)),
    "tensordot of 2": (lambda lib, a, b: lib.tensordot(a, b), (3, 2, 4), (2, 4, 5)),
    "tensordot stretched": (lambda lib, a, b: lib.tensordot(a, b, ([1], [0])), (2, 1), (3, 4)),
    "kron": (lambda lib, a, b: lib.kron(a, b), (2, 3), (4, 2, 2)),
    "chain_matmul": (lambda lib, a, b, c: lib.chain_matmul(a, b, c), (2, 6), (6, 3), (3, 5)),
    "multi_dot": (lambda lib, a, b, c: lib.linalg.multi_dot([a, b, c]), (6,), (6, 3), (3,)),
    "vecdot": (lambda lib, a, b: lib.linalg.vecdot(a, b, dim=0), (3, 4), (3, 1)),
    "trace": (lambda lib, a: lib.trace(a) ** 2, (3, 4)),
    "cross": (lambda lib, a, b: lib.cross(a, b), (3, 4), (3, 4)),
    "linalg.cross": (lambda lib, a, b: lib.linalg.cross(a, b), (1, 3), (4, 3)),
    "matrix_power": (lambda lib, a: lib.matrix_power(a, 5), (3, 3)),
    "matrix_power -2": (lambda lib, a: lib.matrix_power(a, -2), (3, 3)),
    "matrix_power 0": (lambda lib, a: lib.matrix_power(a, 0) * a, (3, 3)),
    "linear": (lambda lib, a, b, c: lib.nn.functional.linear(a, b, c), (2, 3), (4, 3), (4,)),
    "linear 3-d": (lambda lib, a, b, c: lib.nn.functional.linear(a, b, c), (5, 2, 3), (4, 3), (4,)),
    "linear 1-d": (lambda lib, a, b, c: lib.nn.functional.linear(a, b, c), (3,), (4, 3), (4,)),
    "linear without bias": (lambda lib, a, b: lib.nn.functional.linear(a, b), (5, 2, 3), (4, 3)),
    "linear by a vector": (lambda lib, a, b: lib.nn.functional.linear(a, b), (5, 2, 3), (3,)),
    "linear of nothing": (lambda lib, a, b, c: lib.nn.functional.linear(a, b, c), (0, 3), (4, 3), (4,)),
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's: chain_matmul, and cross without dim, are deprecated
def test_product(name):
    function, *shapes = PRODUCTS[name]
    arrays = [draw(*shape, seed=n) for n, shape in enumerate(shapes)]
    agree(function, *arrays, rtol=1e-8)


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, float("inf")])
@pytest.mark.parametrize("rows", [3, 30])
def test_cdist(p, rows):
    agree(lambda lib, a, b: lib.cdist(a, b, p), draw(rows, 3), draw(4, 3, seed=1), order=1)
    x = draw(2, 3, 4)
    agree(lambda lib, a, b: lib.cdist(a, b, p), x, x[:1, :2], order=1)  # distances of 0


@pytest.mark.parametrize("p", [1, 2, 3])
def test_pdist(p):
    agree(lambda lib, a: lib.pdist(a, p), draw(5, 3), order=1)


# ---- einsum -------------------------------------------------------------------------------------------------------

EQUATIONS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "ij,jk": ((2, 3), (3, 4)),
    "ij , jk -> k i": ((2, 3), (3, 4)),
    "ij,jk->": ((2, 3), (3, 4)),
    "ij->ji": ((2, 3),),
    "ij->": ((2, 3),),
    "ij->j": ((2, 3),),
    "bA": ((2, 3),),
    "ii": ((3, 3),),
    "ii->i": ((3, 3),),
    "iji->j": ((3, 4, 3),),
    "i,i": ((3,), (3,)),
    "i,j->ij": ((3,), (4,)),
    "i,j": ((3,), (4,)),
    "bij,bjk->bik": ((5, 2, 3), (5, 3, 4)),
    "bhid,bhjd->bhij": ((2, 3, 4, 5), (2, 3, 6, 5)),
    "ij,ij->ij": ((2, 3), (2, 3)),
    "ijk,jil->kl": ((2, 3, 4), (3, 2, 5)),
    "...ij,...jk->...ik": ((5, 2, 3), (3, 4)),
    "i...,j...->ij...": ((2, 3), (4, 3)),
    "...i,...i->...": ((2, 3), (2, 3)),
    "...i->i": ((2, 4, 3),),
    "...ii->...i": ((2, 3, 3),),
    "...": ((2, 3),),
    "...,...": ((2, 3), (2, 3)),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 5)),
    "ij,ij,ij->j": ((2, 3), (2, 3), (2, 3)),
    "i,i->i": ((3,), (1,)),
    "ij,jk->ik ": ((2, 3), (1, 4)),
    "": ((),),
    ",": ((), ()),
    "ik,jkl,il->ij": ((2, 3), (4, 3, 5), (2, 5)),
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation):
    arrays = [draw(*shape, seed=n) for n, shape in enumerate(EQUATIONS[equation])]
    agree(lambda lib, *x: lib.einsum(equation, *x), *arrays)
    if arrays[0].ndim:
        agree(lambda lib, *x: lib.einsum(equation, list(x)), *arrays, order=1)


def test_einsum_by_lists():
    x, y = draw(2, 3), draw(3, 4, seed=1)
    agree(lambda lib, a, b: lib.einsum(a, [0, 1], b, [1, 2], [2, 0]), x, y)
    agree(lambda lib, a, b: lib.einsum(a, [0, 1], b, [1, 2]), x, y)
    agree(lambda lib, a, b: lib.einsum(a, [..., 30], b, [30, 2], [..., 2]), x, y)


# ---- names and errors ----------------------------------------------------------------------------------------------

NODES = [
    *(f"{x}@{y}" for x, y in [("r(2, 3)", "r(3, 4)"), ("r(3)", "r(3)"), ("r(2, 3)", "r(3)"), ("r(3)", "r(3, 4)")]),
    "r(5, 2, 3) @ r(5, 3, 4)",
    "r(5, 2, 3) @ r(3, 4)",
    "r(2, 3) @ r(5, 3, 4)",
    "r(5, 2, 3) @ r(3)",
    "r(3) @ r(5, 3, 4)",
    "T.mm(r(2, 3), r(3, 4))",
    "T.mv(r(2, 3), r(3))",
    "T.dot(r(3), r(3))",
    "T.vdot(r(3), r(3))",
    "T.bmm(r(5, 2, 3), r(5, 3, 4))",
    "T.outer(r(3), r(4))",
    "T.addmm(r(2, 4), r(2, 3), r(3, 4))",
    "T.addmv(r(2), r(2, 3), r(3))",
    "T.addbmm(r(2, 4), r(5, 2, 3), r(5, 3, 4))",
    "T.baddbmm(r(5, 2, 4), r(5, 2, 3), r(5, 3, 4))",
    "T.addr(r(2, 3), r(2), r(3))",
    "F.linear(r(2, 3), r(4, 3), r(4))",
    "F.linear(r(2, 3), r(4, 3))",
    "F.linear(r(5, 2, 3), r(4, 3), r(4))",
    "F.linear(r(5, 2, 3), r(4, 3))",
    "F.linear(r(3), r(4, 3), r(4))",
    "F.linear(r(3), r(4, 3))",
    "F.linear(r(2, 3), r(3))",
    "F.linear(r(3), r(3))",
    "T.trace(r(3, 3))",
    "T.cross(r(2, 3), r(2, 3), dim=1)",
    "T.cdist(r(2, 3), r(4, 3))",
    "T.matrix_power(r(3, 3), 3)",
    "T.tensordot(r(2, 3), r(3, 4), 1)",
    "T.einsum('ij,jk->ik', r(2, 3), r(3, 4))",
    "T.einsum('i,j->ij', r(2), r(3))",
]

ERRORS = [
    "r(2, 3) @ r(3, 4).double()",
    "r(2, 3) @ T.ones(3, 4, dtype=T.int32)",
    "T.ones(2, 3, dtype=T.bool) @ T.ones(3, 4, dtype=T.bool)",
    "r(2, 3) @ r(4, 3)",
    "r(2, 3) @ 2",
    "2 @ r(2, 3)",
    "T.mm(r(2, 3), r(3))",
    "T.mm(r(2, 3), r(4, 5))",
    "T.bmm(r(5, 2, 3), r(4, 3, 4))",
    "T.bmm(r(2, 3), r(3, 4))",
    "T.dot(r(2, 3), r(3))",
    "T.dot(r(3), r(4))",
    "T.mv(r(3), r(3))",
    "T.matmul(r(()), r(3))",
    "r(5, 2, 3) @ r(4, 3, 4)",
    "F.linear(r(2, 3), r(4, 5), r(4))",
    "F.linear(r(2, 3), r(4, 3), r(5))",
    "F.linear(r(2, 3), r(3), r(1))",
    "T.addmm(r(5), r(2, 3), r(3, 4))",
    "T.cross(r(2, 3), r(3))",
    "T.cross(r(2, 4), r(2, 4))",
    "T.linalg.cross(r(2, 3), r(2, 3), dim=5)",
    "T.trace(r(2, 3, 4))",
    "T.outer(r(2, 3), r(2))",
    "T.inner(r(2, 3), r(2, 4))",
    "T.cdist(r(2, 3), r(4, 2))",
    "T.cdist(r(3), r(4, 3))",
    "T.cdist(r(2, 3), r(4, 3), p=-1)",
    "T.cdist(r(2, 3), r(4, 3), compute_mode='x')",
    "T.matrix_power(r(2, 3), 2)",
    "T.matrix_power(r(2, 2), 2.0)",
    "T.linalg.multi_dot([r(3)])",
    "T.chain_matmul()",
    "T.tensordot(r(2, 3), r(4, 5), dims=1)",
    "T.tensordot(r(2, 3), r(3, 4), dims=5)",
    "T.tensordot(r(2, 3), r(3, 4), dims=(1, 0))",
    "T.einsum()",
    "T.einsum('ij')",
    *(f"T.einsum('{e}', r(2, 3))" for e in ("ijk", "i", "i1", "i.j", "i..j", "ij->i->j", "ij->k", "ij->ii", "ii")),
    "T.einsum('ij,jk', r(2, 3))",
    "T.einsum('ij', r(2, 3), r(1, 2))",
    "T.einsum('ij,jk->ik', r(2, 3), r(4, 2))",
    "T.einsum(r(2, 3), [0, 60])",
]


def evaluated(lib, text):
    return eval(text, {"T": lib, "F": lib.nn.functional, "r": lambda *shape: lib.ones(*shape, requires_grad=True)})


@pytest.mark.parametrize("text", NODES)
def test_node_names(text):
    assert evaluated(tapegrad, text).grad_fn.name() == evaluated(torch, text).grad_fn.name()


@pytest.mark.parametrize("text", ERRORS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_errors(text):
    with pytest.raises(Exception) as theirs:
        evaluated(torch, text)
    with pytest.raises(theirs.type):
        evaluated(tapegrad, text)


def test_out_and_inplace():
    for lib in (tapegrad, torch):
        out, x = lib.zeros(2, 2), lib.full((2, 2), 2.0)
        lib.mm(x, x, out=out)
        lib.addmm(out, x, x, alpha=2, out=out)
        assert out.tolist() == [[24, 24], [24, 24]]
        assert out.baddbmm_ and out.addr_(lib.ones(2), lib.ones(2)).tolist() == [[25, 25], [25, 25]]
