"""Linear algebra where no reference is needed: definitions, large and degenerate matrices, what is reported."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.backends.cpu import lapack, ldl
from tapegrad.backends.cpu import linalg as kernels


def draw(*shape, kind="f8", seed=0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    numbers = rng.normal(size=shape)
    return (numbers + 1j * rng.normal(size=shape) if kind[0] == "c" else numbers).astype(kind)


def near(a, b, rtol=1e-9) -> None:
    a, b = (x.detach().numpy() if isinstance(x, torch.Tensor) else x for x in (a, b))
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1.0, np.abs(b).max(initial=0)))


# ---- the kernels, beyond the size of their blocks --------------------------------------------------------------------


@pytest.fixture(params=["lapack", "numpy"])
def worker(request, monkeypatch):
    """Who eliminates: the LAPACK in NumPy's wheels, or NumPy, which has to do it where that is not found."""
    if request.param == "numpy":
        monkeypatch.setattr(lapack, "_worthwhile", lambda a: False)


@pytest.mark.parametrize("shape", [(70, 70), (2, 90, 33), (33, 90), (3, 16, 17), (100, 4, 5), (100, 5, 3)])
@pytest.mark.parametrize("kind", ["f4", "f8", "c8", "c16"])
def test_elimination(shape, kind, worker):
    a = draw(*shape, kind=kind)
    a[..., -1, 0] *= 10  # the first pivot is far off
    LU, pivots, info = kernels.lu(a)
    perm, k = kernels.permutation(pivots, shape[-2]), min(shape[-2:])
    low, up = np.tril(LU, -1)[..., :k] + np.eye(shape[-2], k), np.triu(LU)[..., :k, :]
    near(low @ up, np.take_along_axis(a, perm[..., None], -2), 1e-9 if kind in ("f8", "c16") else 1e-4)
    assert not info.any()
    bound = np.sqrt(2) if kind[0] == "c" else 1  # the pivot has the largest |re| + |im| of its column
    assert np.abs(low).max() <= bound + 1e-6
    a[..., :, 1] = 0
    assert (kernels.lu(a)[2] == 2).all()  # the number of the zero


@pytest.mark.parametrize("lower", [True, False])
def test_substitution(lower):
    a, b = draw(2, 40, 40) + 10 * np.eye(40), draw(40, 3, seed=1)
    triangle = np.tril(a) if lower else np.triu(a)
    near(triangle @ kernels.solve_triangular(a, b, lower), np.broadcast_to(b, (2, 40, 3)))
    triangle[..., range(40), range(40)] = 1
    near(triangle @ kernels.solve_triangular(a, b, lower, True), np.broadcast_to(b, (2, 40, 3)), 1e-6)


@pytest.mark.parametrize("hermitian", [True, False])
@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_symmetric_elimination(kind, hermitian, worker):
    a = draw(3, 41, 41, kind=kind)
    a = a + (np.swapaxes(a, -1, -2).conj() if hermitian else np.swapaxes(a, -1, -2))
    a[1] *= 1 - np.eye(41)  # a diagonal of zeros needs blocks of two
    LD, pivots, info = ldl.factor(a, hermitian)
    assert (pivots[1] < 0).sum() > 10 and not info.any()
    b = draw(41, 2, kind=kind, seed=1)
    near(a @ ldl.solve(LD, pivots, b, hermitian), np.broadcast_to(b, (3, 41, 2)), 1e-7)


def test_exponential():
    x = draw(3, 3)
    near(torch.matrix_exp(torch.tensor([[0.0, -np.pi], [np.pi, 0.0]], dtype=torch.float64)), -np.eye(2))
    big = torch.matrix_exp(torch.tensor(np.stack([x * 20, x * 0, x / 100])))
    half = torch.matrix_exp(torch.tensor(x * 10)).numpy()
    near(big[0], half @ half)
    assert big[1].tolist() == np.eye(3).tolist()
    nan = torch.matrix_exp(torch.tensor([[np.inf, 0.0], [0.0, 0.0]]))
    assert nan.isnan().all() and torch.matrix_exp(torch.eye(2).half()).dtype is torch.float16


# ---- derivatives where formulas divide by zero -----------------------------------------------------------------------


def test_equal_singular_values_and_eigenvalues():
    """The sum of the squares of all of them is `|A|**2`: its gradient is 2 A, whatever the vectors."""
    for values in (torch.linalg.svdvals, lambda a: torch.linalg.svd(a).S, torch.linalg.eigvalsh):
        a = torch.eye(3, dtype=torch.float64, requires_grad=True)
        (values(a) ** 2).sum().backward()
        near(a.grad, 2 * np.eye(3))
    a = torch.eye(3, dtype=torch.float64, requires_grad=True)
    w, V = torch.linalg.eigh(a)
    ((V * w.exp()[..., None, :]) @ V.mT).sum().backward()  # the exponential, through vectors that are not determined
    near(torch.diagonal(a.grad), np.full(3, np.e))


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_determinants_of_singular_matrices(rank):
    x = draw(4, rank) @ draw(rank, 4, seed=1)
    assert torch.autograd.gradcheck(torch.linalg.det, torch.tensor(x, requires_grad=True))
    assert torch.autograd.gradgradcheck(torch.linalg.det, torch.tensor(x, requires_grad=True))


def test_a_singular_matrix_in_a_stack():
    x = np.stack([np.eye(2), np.array([[1.0, 2.0], [2.0, 4.0]]), 2 * np.eye(2)])
    with pytest.raises(torch.linalg.LinAlgError, match="matrix 1: the matrix is singular: pivot 2"):
        torch.linalg.inv(torch.tensor(x))
    inverse, info = torch.linalg.inv_ex(torch.tensor(x))
    assert info.tolist() == [0, 2, 0] and info.dtype is torch.int32
    near(inverse[0], np.eye(2))
    near(inverse[2], np.eye(2) / 2)
    with pytest.raises(torch.linalg.LinAlgError, match=r"matrix 2: .* minor of order 1"):
        torch.linalg.cholesky(torch.tensor(x - 3 * np.stack([x[0] * 0, x[1] * 0, x[2]])) + 5e-1 * torch.eye(2))
    assert torch.linalg.cholesky_ex(torch.tensor(x)).info.tolist() == [0, 2, 0]


def test_nothing():
    for n in (0, 3):
        x = torch.zeros(0, n, n, requires_grad=True)
        total = torch.linalg.inv(x).sum() + torch.linalg.det(x).sum() + torch.linalg.svd(x).S.sum()
        total = total + torch.linalg.qr(x).R.sum() + torch.matrix_exp(x).sum() + torch.linalg.eigh(x)[0].sum()
        total.backward()
        assert x.grad.shape == (0, n, n)
    assert torch.linalg.det(torch.zeros(0, 0)).item() == 1


# ---- compositions ----------------------------------------------------------------------------------------------------


def test_eigenvalues_of_large_matrices():
    torch.manual_seed(0)
    n = 60
    a = np.diag(np.arange(1.0, n + 1)) + 0.1 * (lambda x: x + x.T)(draw(n, n))
    b = np.eye(n) + 0.01 * (lambda x: x @ x.T)(draw(n, n, seed=1))
    root = np.linalg.inv(np.linalg.cholesky(b))
    exact = np.linalg.eigvalsh(root @ a @ root.T)
    A, B = torch.tensor(a), torch.tensor(b)
    for options in ({}, {"iK": torch.linalg.inv(A)}, {"n": 5}):
        E, V = torch.lobpcg(A, 3, B, largest=False, **options)
        near(E, exact[:3], 1e-6)
        near(V.mT @ B @ V, np.eye(3), 1e-8)
        near(A @ V, (B @ V * E).numpy(), 1e-5)
    E, V = torch.lobpcg(torch.stack([A, 2 * A]), X=torch.tensor(draw(2, n, 3)))
    near(E, np.outer([1, 2], np.linalg.eigvalsh(a)[:-4:-1]), 1e-6)


def test_low_rank():
    torch.manual_seed(0)
    a = draw(2, 30, 3) @ draw(2, 3, 20, seed=1)
    for x in (a, np.swapaxes(a, -1, -2)):
        U, S, V = torch.svd_lowrank(torch.tensor(x), q=4)
        near((U * S[..., None, :]) @ V.mT, x)
        U, S, V = torch.svd_lowrank(torch.tensor(x + 1), q=3, M=torch.ones(x.shape[-1], dtype=torch.float64))
        near((U * S[..., None, :]) @ V.mT, x)
    points = draw(50, 2) @ draw(2, 5, seed=1) + 7
    _, S, _ = torch.pca_lowrank(torch.tensor(points), q=3)
    near(S**2 / 49, np.append(np.linalg.eigvalsh(np.cov(points.T))[::-1][:2], 0), 1e-8)


def test_norms_are_those_of_the_definition():
    x = draw(2, 3, 4)
    t = torch.tensor(x)
    for p in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        near(torch.linalg.matrix_norm(t, p), np.array([np.linalg.norm(m, p) for m in x]))
        near(torch.linalg.cond(t[:, :, :3], p), np.array([np.linalg.cond(m, p) for m in x[:, :, :3]]))
    assert torch.linalg.cond(torch.ones(2, 2), 1).item() == np.inf
    assert torch.linalg.matrix_norm(torch.zeros(0, 3), 2).item() == 0
