"""Samples of matrix products, linear algebra, distances, complex numbers, and recorded random draws."""

from __future__ import annotations

import numpy as np
from samples import case, positive, real, whole

from tapegrad.ops.linalg import cholesky, eigen, lobpcg

M, N = real(2, 3), real(3, 4, seed=1)
B, C = real(2, 2, 3), real(2, 3, 4, seed=1)
REGULAR = real(2, 3, 3, low=-0.5, high=0.5) + 2 * np.eye(3)
COMPLEX = real(2, 3) + 1j * real(2, 3, seed=1)


def linear(x, weight, bias=0.0):
    return x @ weight.T + bias


def plus_product(product):
    """`beta * start + alpha * product(a, b)`."""
    return lambda start, a, b, beta=1, alpha=1: beta * start + alpha * product(a, b)


def distances(x, y, p, product):
    d = np.abs(x[..., :, None, :] - y[..., None, :, :])
    return d.max(-1) if np.isinf(p) else (d**p).sum(-1) ** (1 / p)


# ---- products ------------------------------------------------------------------------------------------------------

SAMPLES = {
    "matmul": [
        case(x, y, expect=np.matmul)
        for x, y in (
            (M, N),
            (B, C),
            (B, N),
            (M, C),
            (M, N[:, 0]),
            (M[0], N),
            (M[0], N[:, 0]),
            (M[0], C),
            (B, N[:, 0]),
            (real(2, 1, 2, 3), real(5, 3, 1, seed=1)),
            (real(0, 3), N),
            (real(2, 0), real(0, 4)),
        )
    ],
    "mm": [case(M, N, expect=np.matmul)],
    "bmm": [case(B, C, expect=np.matmul)],
    "mv": [case(M, N[:, 0], expect=np.matmul)],
    "dot": [case(M[0], N[:, 0], expect=np.dot)],
    "vdot": [case(M[0], N[:, 0], expect=np.vdot)],
    "linear": [
        case(M, real(4, 3, seed=1), real(4, seed=2), expect=linear),
        case(M, real(4, 3, seed=1), expect=linear),
        case(B, real(4, 3, seed=1), real(4, seed=2), expect=linear),
        case(M[0], real(4, 3, seed=1), real(4, seed=2), expect=linear),
        case(M, real(3, seed=1), expect=linear),
        case(real(0, 3), real(4, 3, seed=1), real(4, seed=2), expect=linear),
    ],
    "addmm": [
        case(real(2, 4, seed=2), M, N, expect=plus_product(np.matmul)),
        case(real(4, seed=2), M, N, beta=0.5, alpha=2.0, expect=plus_product(np.matmul)),
    ],
    "addmv": [
        case(real(2, seed=2), M, N[:, 0], expect=plus_product(np.matmul)),
        case(real(seed=2), M, N[:, 0], beta=0.5, alpha=2.0, expect=plus_product(np.matmul)),
    ],
    "baddbmm": [
        case(real(2, 2, 4, seed=2), B, C, expect=plus_product(np.matmul)),
        case(real(1, 4, seed=2), B, C, beta=0.5, alpha=2.0, expect=plus_product(np.matmul)),
    ],
    "addbmm": [
        case(real(2, 4, seed=2), B, C, expect=plus_product(lambda a, b: (a @ b).sum(0))),
        case(real(4, seed=2), B, C, beta=0.5, alpha=2.0, expect=plus_product(lambda a, b: (a @ b).sum(0))),
    ],
    "addr": [
        case(real(2, 3, seed=2), real(2), real(3, seed=1), expect=plus_product(np.outer)),
        case(real(3, seed=2), real(2), real(3, seed=1), beta=0.5, alpha=2.0, expect=plus_product(np.outer)),
    ],
    "trace": [case(M, expect=np.trace), case(real(3, 3), expect=np.trace), case(whole(2, 2), expect=np.trace)],
    "linalg_cross": [
        case(M, real(2, 3, seed=1), expect=np.cross),
        case(N, real(3, 4, seed=2), dim=0, expect=lambda x, y, dim: np.cross(x, y, axis=dim)),
    ],
    "cdist": [
        *(case(M, real(4, 3, seed=1), p, False, expect=distances) for p in (2.0, 1.0, 3.0, 1.5, np.inf)),
        case(B, real(2, 4, 3, seed=1), 2.0, True, expect=distances),
    ],
}

# ---- linear algebra ------------------------------------------------------------------------------------------------

TALL, WIDE = real(2, 4, 3) + np.eye(4, 3), real(2, 3, 4) + np.eye(3, 4)
UNITARY = REGULAR + 1j * real(2, 3, 3, low=-0.5, high=0.5, seed=1)
SINGULAR = real(3, 2) @ real(2, 3, seed=1)
PIVOTS = np.array([[1, 3, 3], [2, 2, 3]], np.int32)
COMPLEX_TALL = TALL + 1j * real(2, 4, 3, seed=3)
SPREAD = REGULAR * 0.2 + np.diag([1.0, 2.0, 4.0])  # eigenvalues that keep apart


def adjoint(x):
    return np.swapaxes(x, -1, -2).conj()


def hermitian(x):
    return (x + adjoint(x)) / 2


def of_hermitian(function, **options):
    """`function` of the Hermitian part of what it is given."""
    return lambda x: function((x + x.mH) / 2, **options)


def solved(a, b, left=True, **_):
    if left:
        return np.linalg.solve(a, b[..., None])[..., 0] if b.ndim < a.ndim else np.linalg.solve(a, b)
    return np.swapaxes(np.linalg.solve(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)


def with_info(function):
    return lambda *args, **options: (function(*args, **options), np.zeros(args[0].shape[:-2], np.int32))


def triangular(a, b, upper, left=True, unitriangular=False):
    a = np.triu(a) if upper else np.tril(a)
    return solved(a * (1 - np.eye(3)) + np.eye(3) if unitriangular else a, b, left)


def reflections(a, tau):
    """The square product, one reflection after the other."""
    m = a.shape[-2]
    q = np.eye(m) + 0 * a[..., :1, :1]
    for i in range(tau.shape[-1]):
        v = np.tril(a, -1)[..., i : i + 1] + np.eye(m)[:, i : i + 1]
        q = q @ (np.eye(m) - tau[..., i, None, None] * v @ adjoint(v))
    return q


def reflected(a, tau, c, left=True, transpose=False):
    q = reflections(a, tau)
    q = adjoint(q) if transpose else q
    return q @ c if left else c @ q


def compact_lu(a):
    """L and U in one, for matrices that need no exchange of rows, with their pivots."""
    x = a.copy()
    for j in range(min(a.shape[-2:])):
        x[..., j + 1 :, j] /= x[..., j, j, None]
        x[..., j + 1 :, j + 1 :] -= x[..., j + 1 :, j, None] * x[..., j, None, j + 1 :]
    order = np.arange(1, min(a.shape[-2:]) + 1, dtype=np.int32)
    return x, np.broadcast_to(order, (*a.shape[:-2], len(order)))


def triangles(lu):
    k = min(lu.shape[-2:])
    return np.tril(lu, -1)[..., :k] + np.eye(lu.shape[-2], k), np.triu(lu)[..., :k, :]


def permuted(pivots, m):
    """What exchanging rows one after the other makes of 0, 1, ... m - 1."""
    found = []
    for row in pivots.reshape(-1, pivots.shape[-1]):
        order = list(range(m))
        for i, p in enumerate(row):
            order[i], order[p - 1] = order[p - 1], order[i]
        found.append(order)
    return np.array(found).reshape(*pivots.shape[:-1], m)


def lu_solved(lu, pivots, b, left=True, adjoint=False):
    low, up = triangles(lu)
    a = np.take_along_axis(low @ up, np.argsort(permuted(pivots, 3))[..., None], -2)
    return solved(np.swapaxes(a, -1, -2).conj() if adjoint else a, b, left)


def power_series(a):
    found = term = np.eye(a.shape[-1]) + 0 * a
    for k in range(1, 60):
        term = term @ a / k
        found = found + term
    return found


def least(a, b, *_):
    found = [np.linalg.lstsq(x, y, None) for x, y in zip(a, b)]
    return tuple(np.array([f[k] for f in found]) for k in range(4))


FACTORS = real(2, 3, 3) + 2 * np.eye(3)

SAMPLES |= {
    "inv": [case(REGULAR, expect=np.linalg.inv), case(UNITARY, expect=np.linalg.inv), case(np.zeros((0, 0)))],
    "linalg_inv_ex": [case(REGULAR, expect=with_info(np.linalg.inv))],
    "linalg_solve_ex": [
        case(REGULAR, C, expect=with_info(solved)),
        case(REGULAR[0], real(3, 2), expect=with_info(solved)),
        case(REGULAR, real(2, 3), expect=with_info(solved)),
        case(REGULAR[0], real(2, 3), left=False, expect=with_info(solved)),
        case(UNITARY, C + 1j * C[:, ::-1], expect=with_info(solved)),
        case(UNITARY[0], real(3) + 1j, expect=with_info(solved)),
    ],
    "linalg_solve_triangular": [
        *(case(FACTORS, C, upper=u, unitriangular=t, expect=triangular) for u in (True, False) for t in (True, False)),
        case(FACTORS[0], B, upper=True, left=False, expect=triangular),
        case(UNITARY, B + 1j, upper=False, left=False, expect=triangular),
    ],
    "linalg_cholesky_ex": [
        case(
            REGULAR,
            through=of_hermitian(cholesky.cholesky_ex),
            expect=with_info(lambda x: np.linalg.cholesky(hermitian(x))),
        ),
        case(
            UNITARY,
            through=of_hermitian(cholesky.cholesky_ex, upper=True),
            expect=with_info(lambda x: adjoint(np.linalg.cholesky(hermitian(x)))),
        ),
    ],
    "cholesky": [
        case(REGULAR, through=of_hermitian(cholesky.old_cholesky), expect=lambda x: np.linalg.cholesky(hermitian(x))),
    ],
    "cholesky_inverse": [
        case(FACTORS, expect=lambda x: np.linalg.inv(np.tril(x) @ adjoint(np.tril(x)))),
        case(UNITARY, True, expect=lambda x, _: np.linalg.inv(adjoint(np.triu(x)) @ np.triu(x))),
    ],
    "cholesky_solve": [
        case(C, FACTORS, expect=lambda b, x: np.linalg.solve(np.tril(x) @ adjoint(np.tril(x)), b)),
        case(C + 1j, UNITARY[0], True, expect=lambda b, x, _: np.linalg.solve(adjoint(np.triu(x)) @ np.triu(x), b)),
    ],
    "linalg_qr": [
        case(REGULAR, expect=np.linalg.qr),
        case(TALL, expect=np.linalg.qr),
        case(WIDE, expect=np.linalg.qr),
        case(COMPLEX_TALL, expect=np.linalg.qr),
        case(WIDE, "complete", expect=np.linalg.qr),
        case(TALL, "complete", expect=np.linalg.qr, order=0),
    ],
    "geqrf": [
        case(
            TALL,
            order=0,
            expect=lambda x: [np.swapaxes(p, -1, -2) if p.ndim > 2 else p for p in np.linalg.qr(x, "raw")],
        )
    ],
    "linalg_householder_product": [
        case(TALL, real(2, 3), expect=lambda a, tau: reflections(a, tau)[..., :3]),
        case(TALL, real(2, 2), expect=lambda a, tau: reflections(a, tau)[..., :3]),
        case(COMPLEX_TALL, real(2, 3) + 1j, expect=lambda a, tau: reflections(a, tau)[..., :3]),
    ],
    "ormqr": [
        case(TALL, real(2, 3), real(2, 4, 2), expect=reflected),
        case(TALL[0], real(3), real(4, 2), True, True, expect=reflected),
        case(COMPLEX_TALL, real(2, 3) + 1j, real(2, 2, 4) + 1j, False, expect=reflected),
        case(COMPLEX_TALL, real(2, 3) + 1j, real(2, 2, 4) + 1j, False, True, expect=reflected),
    ],
    "linalg_lu_factor_ex": [
        *(case(x, expect=lambda a: (*compact_lu(a), np.zeros(2, np.int32))) for x in (REGULAR, UNITARY)),
        case(TALL),
        case(WIDE),
    ],
    "lu_factors": [
        case(REGULAR, expect=lambda a: (*triangles(compact_lu(a)[0]), np.tile(np.arange(3), (2, 1)))),
        case(COMPLEX_TALL),
        case(WIDE[0]),
    ],
    "lu_triangles": [
        *(
            case(x, PIVOTS, expect=lambda a, p: (*triangles(a), permuted(p, a.shape[-2])))
            for x in (REGULAR, TALL, WIDE)
        ),
    ],
    "linalg_lu_solve": [
        case(FACTORS, PIVOTS, C, expect=lu_solved),
        case(FACTORS, PIVOTS, C, adjoint=True, expect=lu_solved),
        case(FACTORS[0], PIVOTS[0], B, left=False, expect=lu_solved),
        case(UNITARY, PIVOTS, B + 1j, left=False, adjoint=True, expect=lu_solved),
    ],
    "linalg_ldl_factor_ex": [case(hermitian(real(2, 3, 3)), order=0)],
    "linalg_ldl_solve": [
        case(FACTORS, PIVOTS * 0 + np.array([1, 2, 3], np.int32), C, fixed=(0,)),
        case(UNITARY, PIVOTS * 0 + np.array([-2, -2, 3], np.int32), C + 1j, fixed=(0,)),
        case(UNITARY, PIVOTS * 0 + np.array([1, -3, -3], np.int32), C + 1j, hermitian=True, fixed=(0,)),
    ],
    "linalg_svd": [
        case(REGULAR, expect=np.linalg.svd),
        *(case(x, False, expect=np.linalg.svd) for x in (TALL, WIDE)),
        case(TALL, True, expect=np.linalg.svd, order=0),
        case(np.zeros((0, 3)), expect=np.linalg.svd),
    ],
    "linalg_svdvals": [case(x, expect=lambda a: np.linalg.svd(a, compute_uv=False)) for x in (TALL, UNITARY)],
    "linalg_eigh": [
        case(SPREAD, through=of_hermitian(eigen.eigh), expect=lambda x: np.linalg.eigh(hermitian(x))),
        case(SPREAD, through=of_hermitian(eigen.eigh, UPLO="U"), expect=lambda x: np.linalg.eigh(hermitian(x), "U")),
    ],
    "linalg_eigvalsh": [
        case(SPREAD, through=of_hermitian(eigen.eigvalsh), expect=lambda x: np.linalg.eigvalsh(hermitian(x))),
        case(UNITARY, through=of_hermitian(eigen.eigvalsh), expect=lambda x: np.linalg.eigvalsh(hermitian(x))),
    ],
    "linalg_eig": [case(SPREAD, expect=lambda x: tuple(p + 0j for p in np.linalg.eig(x)))],
    "linalg_eigvals": [
        case(SPREAD, expect=lambda x: np.linalg.eigvals(x) + 0j),
        case(UNITARY, expect=np.linalg.eigvals),
    ],
    "linalg_det": [
        *(case(x, expect=np.linalg.det) for x in (REGULAR, UNITARY, SINGULAR, np.zeros((0, 0)))),
        case(np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 2.0]), expect=lambda x: 0),
    ],
    "cofactors": [
        *(
            case(x, expect=lambda a: adjoint(np.linalg.inv(a)) * np.linalg.det(a).conj()[:, None, None])
            for x in (REGULAR, UNITARY)
        ),
        case(SINGULAR, order=1),
    ],
    "cofactors_adjoint": [case(real(3, 3, seed=1), SINGULAR, fixed=(1,))],
    "linalg_slogdet": [case(x, expect=np.linalg.slogdet) for x in (REGULAR, -UNITARY)],
    "linalg_pinv": [
        *(case(x, expect=np.linalg.pinv) for x in (TALL, WIDE, COMPLEX_TALL)),
        case(SINGULAR, atol=1e-4, order=0, expect=lambda x, atol: np.linalg.pinv(x, atol)),
        case(hermitian(SPREAD), hermitian=True, order=0, expect=np.linalg.pinv),
    ],
    "linalg_matrix_rank": [
        case(TALL, expect=np.linalg.matrix_rank),
        case(SINGULAR, rtol=1e-4, expect=lambda x, rtol: 2),
    ],
    "linalg_lstsq": [
        case(TALL, real(2, 4, 2), None, "gelsd", expect=least),
        case(COMPLEX_TALL, real(2, 4) + 1j, None, "gels"),
        case(WIDE, real(2, 3, 2), None, "gelsy"),
    ],
    "lobpcg": [
        case(
            np.diag(np.arange(1.0, 8.0) ** 2) + 0.1 * hermitian(real(7, 7)),
            None,
            real(7, 2, seed=5),
            None,
            *(2, 1000, 1e-14, largest),
            fixed=(2,),
            layouts=False,
            double=True,
            through=lambda A, B, X, *rest: lobpcg._lobpcg((A + A.mT) / 2, B, X, *rest),
        )
        for largest in (True, False)
    ],
    "linalg_matrix_exp": [case(x, expect=power_series) for x in (REGULAR, UNITARY, 3 * SINGULAR)],
}

# ---- complex numbers -----------------------------------------------------------------------------------------------


def parts(x):
    return np.stack([x.real, x.imag], -1)


SAMPLES |= {
    "complex": [
        case(real(2, 3), real(2, 3, seed=1), expect=lambda a, b: a + 1j * b),
        case(real(2, 1), real(3, seed=1), expect=lambda a, b: a + 1j * b),
    ],
    "polar": [
        case(real(2, 3), real(2, 3, seed=1), expect=lambda r, a: r * np.exp(1j * a)),
        case(real(2, 1), real(3, seed=1), expect=lambda r, a: r * np.exp(1j * a)),
    ],
    "view_as_real": [case(COMPLEX, expect=parts), case(np.array(1 - 2j), expect=parts)],
    "view_as_complex": [
        case(real(2, 3, 2), expect=lambda x: x[..., 0] + 1j * x[..., 1], layouts=False),
    ],
    "conj": [case(COMPLEX, expect=np.conj)],
    "conj_physical": [case(COMPLEX, expect=np.conj), case(M, expect=np.conj)],
    "angle": [case(COMPLEX, expect=np.angle), case(M, expect=np.angle)],
}

# ---- recorded draws ------------------------------------------------------------------------------------------------

SAMPLES |= {
    "sample": [
        case(M, None, lambda x, y: np.round(x), "NormalBackward0", expect=lambda x, *_: np.round(x), order=1),
        case(
            M,
            positive(3),
            lambda x, y: np.floor(x + y),
            "NormalBackward3",
            expect=lambda x, y, *_: np.floor(x + y),
            order=1,
        ),
    ]
}
