"""Linear algebra against PyTorch: values, gradients, second gradients, names of nodes and results, kinds of errors.

Factors that are determined only up to signs or phases enter by what does not depend on them.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's: older names are deprecated

# ---- both sides ----------------------------------------------------------------------------------------------------


def draw(*shape, kind="real", seed=0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    numbers = rng.normal(size=shape)
    return numbers + 1j * rng.normal(size=shape) if kind == "complex" else numbers


def regular(*shape, kind="real", seed=0) -> np.ndarray:
    return draw(*shape, kind=kind, seed=seed) / 2 + 2 * np.eye(*shape[-2:])


def taken(t) -> np.ndarray:
    """Its numbers (PyTorch's may be a conjugate that is not taken yet, or zeros without memory)."""
    return (t.detach() + 0).resolve_conj().numpy()


def everything(lib, function, arrays, order=2) -> list[np.ndarray | None]:
    """The result, its gradients, and the gradients of a function of these."""
    inputs = [lib.tensor(a).requires_grad_() for a in arrays]
    out = function(lib, *inputs)
    found = [taken(out)]
    if not order:
        return found
    weights = np.random.default_rng(5).normal(size=tuple(out.shape))
    weights = lib.tensor(weights * (1 + 0.3j) if out.is_complex() else weights)
    first = lib.autograd.grad(out, inputs, weights.to(out.dtype), create_graph=order > 1)
    found += [taken(g) for g in first]
    if order > 1:
        total = sum((g * g.conj()).real.sum() for g in first)
        if total.requires_grad:
            second = lib.autograd.grad(total, inputs, allow_unused=True)
            found += [None if g is None else taken(g) for g in second]
    return found


def agree(function, *arrays, order=2, rtol=1e-8) -> None:
    ours, theirs = everything(tapegrad, function, arrays, order), everything(torch, function, arrays, order)
    for a, b in itertools.zip_longest(ours, theirs):
        if a is None or b is None:  # one side may know that a gradient is zero
            assert (a is None or not a.any()) and (b is None or not b.any())
            continue
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1.0, np.abs(b).max(initial=0)))


def hermitian(x):
    return (x + x.mH) / 2


def positive(x):
    return x @ x.mH + 1


def projector(v):
    """What does not depend on the phases of the columns."""
    return v[..., :, None, :] * v.conj()[..., None, :, :]


def both_factors(u, s, vh):
    """U S V^H, of other functions of S too, does not depend on the phases."""
    return (u * s.sin()[..., None, :]) @ vh


# ---- values and gradients ------------------------------------------------------------------------------------------

B3, B4 = (2, 3, 3), (2, 4, 3)
EITHER = {  # real and complex
    "inv": (lambda lib, a: lib.linalg.inv(a), B3),
    "inverse": (lambda lib, a: a.inverse(), B3),
    "inv_ex": (lambda lib, a: lib.linalg.inv_ex(a)[0], B3),
    "solve": (lambda lib, a, b: lib.linalg.solve(a, b), B3, (2, 3, 2)),
    "solve right": (lambda lib, a, b: lib.linalg.solve(a, b, left=False), (3, 3), (2, 2, 3)),
    "solve one vector": (lambda lib, a, b: lib.linalg.solve(a, b), B3, (3,)),
    "solve vectors": (lambda lib, a, b: lib.linalg.solve(a, b), B3, (2, 3)),
    "solve_ex": (lambda lib, a, b: lib.linalg.solve_ex(a, b).result, B3, (3, 2)),
    "solve_triangular": (lambda lib, a, b: lib.linalg.solve_triangular(a, b, upper=True), B3, (3, 2)),
    "solve_triangular unit": (
        lambda lib, a, b: lib.linalg.solve_triangular(a, b, upper=False, unitriangular=True), B3, (2, 3, 2),
    ),
    "solve_triangular right": (
        lambda lib, a, b: lib.linalg.solve_triangular(a, b, upper=False, left=False), (3, 3), (2, 2, 3),
    ),
    "triangular_solve": (lambda lib, a, b: lib.triangular_solve(b, a, transpose=True)[0].sin(), (3, 3), (3, 2)),
    "tensorinv": (lambda lib, a: lib.linalg.tensorinv(a.reshape(2, 3, 6), ind=2), (6, 6)),
    "tensorsolve": (lambda lib, a, b: lib.linalg.tensorsolve(a.reshape(2, 6, 3), b, dims=(0,)), (6, 6), (6,)),
    "cholesky": (lambda lib, a: lib.linalg.cholesky(positive(a)), B3),
    "cholesky upper": (lambda lib, a: lib.linalg.cholesky(positive(a), upper=True), B3),
    "cholesky_ex": (lambda lib, a: lib.linalg.cholesky_ex(positive(a)).L, B3),
    "older cholesky": (lambda lib, a: lib.cholesky(positive(a)), (3, 3)),
    "cholesky_inverse": (lambda lib, a: lib.cholesky_inverse(lib.linalg.cholesky(positive(a))), B3),
    "cholesky_solve": (lambda lib, b, a: lib.cholesky_solve(b, a.tril()), (2, 3, 3), B3),
    "cholesky_solve upper": (lambda lib, b, a: b.cholesky_solve(a.triu(), True), (3, 3), (3, 3)),
    "qr": (lambda lib, a: projector(lib.linalg.qr(a)[0]), B4),
    "qr R": (lambda lib, a: lib.linalg.qr(a).R.abs(), B4),
    "qr wide": (lambda lib, a: projector(lib.linalg.qr(a)[0]), (2, 3, 4)),
    "qr wide R": (lambda lib, a: lib.linalg.qr(a)[1].abs(), (3, 5)),
    "older qr": (lambda lib, a: a.qr().R.abs(), (3, 3)),
    "householder_product": (lambda lib, a, t: lib.linalg.householder_product(a, t), B4, (2, 3)),
    "orgqr of fewer": (lambda lib, a, t: lib.orgqr(a, t), B4, (2, 2)),
    "ormqr": (lambda lib, a, t, c: lib.ormqr(a, t, c), B4, (2, 3), (2, 4, 2)),
    "ormqr right": (lambda lib, a, t, c: lib.ormqr(a, t, c, False, True), (4, 3), (3,), (2, 4)),
    "lu_factor": (lambda lib, a: lib.linalg.lu_factor(a)[0], B3),
    "lu_factor tall": (lambda lib, a: lib.linalg.lu_factor_ex(a).LU, B4),
    "lu_factor wide": (lambda lib, a: lib.lu(a)[0], (2, 3, 5)),
    "lu": (lambda lib, a: (lambda f: f.P @ f.L.sin() @ f.U.sin())(lib.linalg.lu(a)), B3),
    "lu tall": (lambda lib, a: (lambda f: f.P @ f.L.sin() @ f.U.sin())(lib.linalg.lu(a)), B4),
    "lu wide": (lambda lib, a: (lambda f: f.P @ f.L.sin() @ f.U.sin())(lib.linalg.lu(a)), (3, 4)),
    "lu_unpack": (lambda lib, a: lib.lu_unpack(*lib.linalg.lu_factor(a.detach()))[1] @ a.sin(), B3),
    "lu_solve": (lambda lib, a, b: lib.linalg.lu_solve(*lib.linalg.lu_factor(a), b), B3, (3, 2)),
    "lu_solve adjoint": (
        lambda lib, a, b: lib.linalg.lu_solve(*lib.linalg.lu_factor(a), b, adjoint=True), B3, (2, 3, 2),
    ),
    "lu_solve right": (
        lambda lib, a, b: lib.linalg.lu_solve(*lib.linalg.lu_factor(a), b, left=False), (3, 3), (2, 1, 3),
    ),
    "older lu_solve": (lambda lib, b, a: b.lu_solve(*a.lu()), (3, 2), (3, 3)),
    "svd": (lambda lib, a: both_factors(*lib.linalg.svd(a, full_matrices=False)), B3),
    "svd tall": (lambda lib, a: both_factors(*lib.linalg.svd(a, full_matrices=False)), B4),
    "svd wide": (lambda lib, a: both_factors(*lib.linalg.svd(a, full_matrices=False)), (2, 3, 4)),
    "svd full": (lambda lib, a: lib.linalg.svd(a)[2][..., :3, :].abs(), (3, 4)),
    "older svd": (lambda lib, a: projector(a.svd().V), (4, 3)),
    "svdvals": (lambda lib, a: lib.linalg.svdvals(a), B4),
    "nuclear norm": (lambda lib, a: a.norm("nuc"), (4, 3)),
    "eigh": (lambda lib, a: projector(lib.linalg.eigh(hermitian(a))[1]), B3),
    "eigh upper": (lambda lib, a: lib.linalg.eigh(hermitian(a), UPLO="U")[0].sin(), B3),
    "eigvalsh": (lambda lib, a: lib.linalg.eigvalsh(hermitian(a)), B3),
    "eig": (lambda lib, a: (lambda w, v: (v * w[..., None, :].sin()) @ lib.linalg.inv(v))(*lib.linalg.eig(a)), B3),
    "eig vectors": (lambda lib, a: projector(lib.linalg.eig(a)[1]).sum(-1), (3, 3)),
    "eigvals": (lambda lib, a: lib.linalg.eigvals(a).sin().sum(-1), B3),
    "det": (lambda lib, a: lib.linalg.det(a), B3),
    "det of one": (lambda lib, a: a.det(), (1, 1)),
    "slogdet": (lambda lib, a: lib.linalg.slogdet(a)[1], B3),
    "sign": (lambda lib, a: lib.slogdet(a)[0] * a.sum((-2, -1)), B3),
    "logdet": (lambda lib, a: lib.logdet(positive(a)), B3),
    "pinv": (lambda lib, a: lib.linalg.pinv(a), B4),
    "pinv wide": (lambda lib, a: a.pinverse(), (3, 4)),
    "pinv of low rank": (lambda lib, a, b: lib.linalg.pinv(a @ b, rtol=1e-6), (4, 2), (2, 3)),
    "pinv hermitian": (lambda lib, a: lib.linalg.pinv(hermitian(a), hermitian=True), B3),
    "lstsq": (lambda lib, a, b: lib.linalg.lstsq(a, b).solution, B4, (2, 4, 2)),
    "lstsq vectors": (lambda lib, a, b: lib.linalg.lstsq(a, b, driver="gelsd")[0], B4, (2, 4)),
    "lstsq wide": (lambda lib, a, b: lib.linalg.lstsq(a, b, driver="gels")[0], (3, 5), (3, 2)),
    "matrix_exp": (lambda lib, a: lib.matrix_exp(a), B3),
    "matrix_power": (lambda lib, a: a.matrix_power(-3), B3),
    "vander": (lambda lib, a: lib.linalg.vander(a, N=4), (2, 3)),
    "diagonal": (lambda lib, a: lib.linalg.diagonal(a, offset=1).sin(), B4),
    "cond": (lambda lib, a: lib.linalg.cond(a), B4),
    "cond -2": (lambda lib, a: lib.linalg.cond(a, -2), B3),
    **{
        f"cond {p}": (lambda lib, a, p=p: lib.linalg.cond(a, p), B3) for p in ("fro", "nuc", 1, -1, np.inf, -np.inf)
    },
    **{
        f"matrix_norm {p}": (lambda lib, a, p=p: lib.linalg.matrix_norm(a, p, dim=(0, 2), keepdim=True), (3, 2, 4))
        for p in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    },
    "norm of a matrix": (lambda lib, a: lib.linalg.norm(a, 2), (3, 4)),
    "norm of all": (lambda lib, a: lib.linalg.norm(a), B4),
    "norm of vectors": (lambda lib, a: lib.linalg.norm(a, 3, dim=1), B4),
    "svd_lowrank": (lambda lib, a, b: both_factors(*[f if i < 2 else f.mH for i, f in enumerate(
        lib.svd_lowrank(a @ b, q=2))]), (5, 2), (2, 4)),
    "pca_lowrank": (lambda lib, a: lib.pca_lowrank(a, q=3)[1], (5, 3)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("name", EITHER)
def test_gradients(name, kind):
    function, *shapes = EITHER[name]
    arrays = [(regular if len(s) > 1 else draw)(*s, kind=kind, seed=n) for n, s in enumerate(shapes)]
    order = 0 if name.startswith("cond") and name[-1] not in "d2c" else 2  # PyTorch's derivative fails there
    agree(function, *arrays, order=order, rtol=1e-7)


def test_sum_of_squares_that_lstsq_leaves():
    agree(lambda lib, a, b: lib.linalg.lstsq(a, b, driver="gels").residuals, regular(2, 4, 3), draw(2, 4, 2))
    agree(lambda lib, a, b: lib.linalg.lstsq(a, b, driver="gelsd")[1], regular(2, 4, 3), draw(2, 4))


def test_lobpcg():
    for largest in (True, False):

        def vectors(lib, a, largest=largest):
            return projector(lib.lobpcg(positive(a), 2, largest=largest)[1])

        agree(vectors, regular(9, 9), order=1, rtol=1e-5)


def test_bits_of_a_random_basis_do_not_matter_but_the_stream_does():
    for lib in (tapegrad, torch):
        lib.manual_seed(3)
        lib.svd_lowrank(lib.ones(4, 5), q=2)
    assert tapegrad.rand(1).item() == torch.rand(1).item()


# ---- what LAPACK determines to the last sign -------------------------------------------------------------------------

SHAPES = [(3, 3), (5, 3), (3, 5), (2, 20, 20), (40, 17), (17, 40), (0, 3), (3, 0), (2, 0, 3), (0, 3, 3)]


def same(ours, theirs, rtol=1e-7) -> None:
    assert type(ours).__name__ == type(theirs).__name__
    if not isinstance(theirs, torch.Tensor):
        for name in getattr(ours, "_fields", ()):
            assert hasattr(theirs, name)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            same(a, b, rtol)
        return
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("shape", SHAPES)
def test_factors(shape, kind):
    x = draw(*shape, kind=kind)
    functions = [
        lambda lib, a: lib.linalg.lu_factor_ex(a),
        lambda lib, a: lib.linalg.lu(a),
        lambda lib, a: lib.lu_unpack(*lib.linalg.lu_factor(a)),
        lambda lib, a: lib.geqrf(a),
        lambda lib, a: lib.linalg.qr(a, mode="complete"),
        lambda lib, a: lib.linalg.qr(a, mode="r"),
        lambda lib, a: lib.linalg.svdvals(a),
        lambda lib, a: lib.linalg.matrix_rank(a),
        lambda lib, a: lib.linalg.pinv(a),
    ]
    for function in functions:
        same(function(tapegrad, tapegrad.tensor(x)), function(torch, torch.tensor(x)))


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("turned", [False, True])
def test_ldl(kind, turned):
    for n in (0, 1, 2, 3, 5, 8, 30):
        for seed in range(3):
            x = draw(2, n, n, kind=kind, seed=seed)
            x = x + (np.swapaxes(x, -1, -2).conj() if turned else np.swapaxes(x, -1, -2))
            b, found = draw(2, n, 2, kind=kind), []
            for lib in (tapegrad, torch):
                LD, pivots, info = lib.linalg.ldl_factor_ex(lib.tensor(x), hermitian=turned)
                solution = lib.linalg.ldl_solve(LD, pivots, lib.tensor(b), hermitian=turned)
                found.append((LD.tril(), pivots, info, solution))
            same(*found, rtol=1e-6)


def test_singular_matrices_are_reported():
    for x in (np.zeros((2, 2)), np.array([[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [2.0, 4.0]]]), -np.eye(3)):
        for function in (
            lambda lib, a: lib.linalg.lu_factor_ex(a),
            lambda lib, a: lib.linalg.lu(a),
            lambda lib, a: lib.linalg.inv_ex(a).info,
            lambda lib, a: lib.linalg.solve_ex(a, lib.ones(a.shape[-1], dtype=lib.float64)).info,
            lambda lib, a: lib.linalg.cholesky_ex(a),
            lambda lib, a: lib.linalg.det(a),
            lambda lib, a: lib.linalg.slogdet(a),
            lambda lib, a: lib.logdet(a),
            lambda lib, a: lib.linalg.matrix_rank(a),
            lambda lib, a: lib.linalg.cond(a, 1),
        ):
            same(function(tapegrad, tapegrad.tensor(x)), function(torch, torch.tensor(x)))


@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss"])
def test_lstsq(driver):
    cases = [
        ((4, 3), (4, 2)),
        ((2, 4, 3), (2, 4)),
        ((3, 5), (3, 2)),
        ((3, 3), (3, 1)),
        ((4, 3), (4,)),
        ((0, 3), (0, 2)),
    ]
    for a, b in cases:
        x, y = draw(*a), draw(*b, seed=1)
        ours, theirs = (lib.linalg.lstsq(lib.tensor(x), lib.tensor(y), driver=driver) for lib in (tapegrad, torch))
        same(ours, theirs)
    if driver != "gels":
        x = draw(4, 2) @ draw(2, 3)
        ours, theirs = (
            lib.linalg.lstsq(lib.tensor(x), lib.tensor(draw(4, 3, seed=1)), 1e-6, driver=driver)
            for lib in (tapegrad, torch)
        )
        same(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_single_precision(dtype):
    x = regular(2, 4, 4, kind="complex" if dtype == "complex64" else "real").astype(dtype)
    for name in ("inv", "det", "slogdet", "svdvals", "eigvalsh", "pinv", "matrix_exp", "lu_factor", "qr", "cond"):
        same(*(getattr(lib.linalg, name)(lib.tensor(x)) for lib in (tapegrad, torch)), rtol=1e-3)
    for name in ("eig", "eigh", "svd"):
        ours, theirs = (getattr(lib.linalg, name)(lib.tensor(x)) for lib in (tapegrad, torch))
        assert [str(t.dtype) for t in ours] == [str(t.dtype) for t in theirs]


# ---- names and errors ------------------------------------------------------------------------------------------------

SQUARE = "inv det svdvals eigvalsh eigvals pinv matrix_exp matrix_norm norm cond diagonal".split()
SEVERAL = "svd eigh eig slogdet inv_ex cholesky_ex qr lu lu_factor lu_factor_ex".split()
NODES = [
    *(f"T.linalg.{name}(a)" for name in [*SQUARE, "cholesky"]),
    *(f"T.linalg.{name}(a)[0]" for name in SEVERAL if name != "lu"),
    "T.linalg.lu(a)[1]",
    "T.linalg.solve(a, a)",
    "T.linalg.solve(a, a[0])",
    "T.linalg.solve_triangular(a, a, upper=True)",
    "T.linalg.lstsq(a, a)[0]",
    "T.linalg.householder_product(a, a[0])",
    "T.linalg.lu_solve(*T.linalg.lu_factor(a), a)",
    "T.cholesky(a)",
    "T.cholesky_inverse(a)",
    "T.cholesky_solve(a, a)",
    "T.logdet(a)",
    "T.pinverse(a)",
    "T.geqrf(a)[0]",
    "T.ormqr(a, a[0], a)",
    "T.lu_unpack(*T.linalg.lu_factor(a))[1]",
    "T.qr(a)[0]",
    "T.svd(a)[1]",
    "T.svd(a)[2]",
    "T.inverse(a)",
]
RESULTS = [
    *(f"T.linalg.{name}(a)" for name in [*SEVERAL, "ldl_factor", "ldl_factor_ex"]),
    "T.linalg.solve_ex(a, a)",
    "T.linalg.lstsq(a, a)",
    "T.svd(a)",
    "T.svd(a, compute_uv=False)",
    "T.qr(a)",
    "T.slogdet(a)",
    "T.lu(a)",
    "T.lu(a, get_infos=True)",
    "T.lu_unpack(*T.lu(a), unpack_data=False)",
    "T.lu_unpack(*T.lu(a), unpack_pivots=False)",
    "T.geqrf(a)",
    "T.triangular_solve(a, a)",
]
ERRORS = [
    *(f"T.linalg.{name}(v)" for name in [*SQUARE, *SEVERAL, "cholesky", "ldl_factor", "matrix_rank"] if name != "norm"),
    *(
        f"T.linalg.{name}(w)"
        for name in ("inv", "det", "eigh", "eig", "cholesky", "slogdet", "matrix_exp", "ldl_factor")
    ),
    *(f"T.linalg.{name}(i)" for name in [*SQUARE, *SEVERAL, "cholesky", "matrix_rank"] if name != "diagonal"),
    *(f"T.linalg.{name}(a.half())" for name in ("inv", "svd", "eigh", "qr")),
    "T.linalg.inv(z)",
    "T.linalg.inv_ex(z, check_errors=True)",
    "T.linalg.solve(z, a)",
    "T.linalg.cholesky(-a)",
    "T.linalg.lu_factor(z)",
    "T.linalg.ldl_factor(z)",
    "T.linalg.lu(a, pivot=False)",
    "T.linalg.solve(a, w)",
    "T.linalg.solve(a, a.double())",
    "T.linalg.solve(a, v, left=False)",
    "T.linalg.solve_triangular(a, v, upper=True)",
    "T.linalg.solve_triangular(a, a)",
    "T.linalg.solve_triangular(a, w, upper=True)",
    "T.linalg.lu_solve(a, T.ones(3, dtype=T.int64), a)",
    "T.linalg.eigh(a, 'X')",
    "T.linalg.qr(a, 'x')",
    "T.linalg.svd(a, driver='gesvd')",
    "T.linalg.qr(g.expand(4, 3), 'complete')[0].sum().backward()",
    "T.linalg.qr(g, 'r')[1].sum().backward()",
    "T.geqrf(g)[0].sum().backward()",
    "T.linalg.householder_product(w, v)",
    "T.linalg.householder_product(a, T.ones(4))",
    "T.ormqr(a, v, w)",
    "T.lu_unpack(a, T.tensor([1, 2, 3]))",
    "T.lu_unpack(a, T.tensor([1, 2, 9], dtype=T.int32))",
    "T.linalg.tensorinv(w, ind=0)",
    "T.linalg.tensorinv(w, ind=1)",
    "T.linalg.tensorsolve(T.ones(2, 3, 6), T.ones(2, 2))",
    "T.linalg.vander(v, N=1)",
    "T.linalg.matrix_norm(a, 3)",
    "T.linalg.matrix_norm(a, 'x')",
    "T.linalg.matrix_norm(a, 2, dim=(0, 0))",
    "T.linalg.matrix_norm(a, dim=(0,))",
    "T.linalg.matrix_norm(a, dim=(0, 5))",
    "T.linalg.norm(v, 'nuc')",
    "T.linalg.norm(T.ones(2, 2, 2), 2)",
    "T.linalg.norm(T.ones(2, 2, 2), 1, dim=(0, 1, 2))",
    "T.linalg.cond(w, 1)",
    "T.linalg.cond(a, 3)",
    "T.linalg.lstsq(v, v)",
    "T.linalg.lstsq(a, w)",
    "T.linalg.lstsq(a, a, driver='x')",
    "T.linalg.pinv(w, hermitian=True)",
    "T.cholesky_solve(v, a)",
    "T.cholesky_inverse(w)",
    "T.linalg.ldl_solve(a, T.ones(3, dtype=T.int32), v)",
    "T.linalg.inv(a, out=T.empty(0, dtype=T.int64))",
    "T.linalg.inv(T.ones(3, 3, requires_grad=True), out=T.empty(0))",
    "T.linalg.eig(a * float('nan'))",
    "T.linalg.svd(a * float('nan'))",
    "T.pca_lowrank(a, q=7)",
    "T.lobpcg(a, 3)",
    "T.linalg.det()",
    "T.linalg.inv([1.0])",
]


def evaluated(lib, text, grad=False):
    a = lib.tensor([[4.0, 1.0, 0.5], [1.0, 5.0, 1.5], [0.5, 1.5, 6.0]], requires_grad=grad)
    names = {"a": a, "w": lib.ones(2, 3), "v": lib.ones(3), "z": lib.zeros(3, 3), "i": lib.eye(3).long()}
    return eval(text, {"T": lib, "g": lib.ones(1, 3, requires_grad=True), **names})


@pytest.mark.parametrize("text", NODES)
def test_node_names(text):
    assert evaluated(tapegrad, text, True).grad_fn.name() == evaluated(torch, text, True).grad_fn.name()


@pytest.mark.parametrize("text", RESULTS)
def test_names_of_results(text):
    ours, theirs = evaluated(tapegrad, text), evaluated(torch, text)
    assert type(ours).__name__ == type(theirs).__name__ and len(ours) == len(theirs)
    for k, b in enumerate(theirs):
        assert str(ours[k].dtype) == str(b.dtype) and tuple(ours[k].shape) == tuple(b.shape)
    for name in getattr(ours, "_fields", ()):
        assert hasattr(theirs, name)


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    with pytest.raises(Exception) as theirs:
        evaluated(torch, text)
    kind = next(c for c in theirs.type.__mro__ if c.__module__ == "builtins")
    with pytest.raises(kind) as ours:
        evaluated(tapegrad, text)
    assert theirs.type.__name__ != "_LinAlgError" or ours.type is tapegrad.linalg.LinAlgError


def test_there_is_all_that_torch_has():
    assert {n for n in dir(torch.linalg) if n[0] != "_" and n != "common_notes"} <= set(dir(tapegrad.linalg))
    for (
        name
    ) in "cholesky_inverse geqrf orgqr ormqr pinverse lu_solve matrix_exp logdet slogdet triangular_solve".split():
        assert hasattr(tapegrad, name) and hasattr(tapegrad.Tensor, name)


def test_out():
    x = regular(2, 3, 3)
    for lib in (tapegrad, torch):
        a = lib.tensor(x)
        for name in ("inv", "det", "svdvals", "pinv", "cond", "matrix_rank", "cholesky"):
            value = getattr(lib.linalg, name)(a @ a.mT)
            out = lib.empty(0, dtype=value.dtype)
            assert getattr(lib.linalg, name)(a @ a.mT, out=out) is out and lib.equal(out, value)
        for name in ("svd", "qr", "lu", "eigh", "slogdet", "lu_factor", "inv_ex", "ldl_factor"):
            values = getattr(lib.linalg, name)(a)
            outs = tuple(lib.empty(0, dtype=t.dtype) for t in values)
            getattr(lib.linalg, name)(a, out=outs)
            assert all(lib.equal(o, t) for o, t in zip(outs, values))
