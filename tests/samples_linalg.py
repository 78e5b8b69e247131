"""Samples of matrix products, linear algebra, distances, complex numbers, and recorded random draws."""

from __future__ import annotations

import numpy as np
from samples import case, positive, real, whole

from tapegrad.ops import linalg

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

SAMPLES |= {
    "inv": [case(REGULAR, expect=np.linalg.inv), case(REGULAR[0], expect=np.linalg.inv)],
    "linalg_solve": [case(REGULAR, C, expect=np.linalg.solve), case(REGULAR[0], real(3, 2), expect=np.linalg.solve)],
    "cholesky": [
        case(
            REGULAR,
            through=lambda x: linalg.cholesky((x + x.mT) / 2),
            expect=lambda x: np.linalg.cholesky((x + np.swapaxes(x, -1, -2)) / 2),
        ),
        case(
            REGULAR[0],
            through=lambda x: linalg.cholesky((x + x.mT) / 2, upper=True),
            expect=lambda x: np.linalg.cholesky((x + x.T) / 2).T,
        ),
    ],
    "linalg_qr": [case(REGULAR, expect=np.linalg.qr), case(real(4, 2) + np.eye(4, 2), expect=np.linalg.qr)],
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
