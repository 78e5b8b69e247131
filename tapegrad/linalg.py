"""`torch.linalg`: linear algebra (re-exports)."""

from .ops.linalg import LinAlgError as LinAlgError
from .ops.linalg import cholesky as cholesky
from .ops.linalg import inv as inv
from .ops.linalg import qr as qr
from .ops.linalg import solve as solve
from .ops.matmul import matmul as matmul
from .ops.products import linalg_cross as cross  # noqa: F401
from .ops.products import matrix_power as matrix_power
from .ops.products import multi_dot as multi_dot
from .ops.products import vecdot as vecdot
from .ops.reduce import vector_norm as vector_norm
