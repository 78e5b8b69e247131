"""Products built from matrix products and elementwise ones: `outer`, `tensordot`, `kron`, `cross`, `cdist`, powers.

`einsum` is in its own file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes, shapes
from ..backends.cpu import gemm
from ..core.op import Array, op
from ..core.tensor import Tensor, wrap
from ..errors import message
from .elementwise import mul
from .matmul import bmm, conjugate, dot, matmul, mm
from .movement import permute, reshape
from .reduce import sum

__all__ = [
    "outer", "ger", "inner", "tensordot", "kron", "chain_matmul", "vecdot", "trace", "cross", "linalg_cross",
    "matrix_power", "multi_dot", "bilinear",
]  # fmt: skip


def into(out: Tensor | None, name: str, result: Tensor) -> Tensor:
    """Write the result of a composite into the tensor given as `out=`."""
    if out is None:
        return result
    return copy_out(out, name, result)
