"""`torch.linalg`: linear algebra (re-exports)."""

from .ops.linalg import LinAlgError as LinAlgError
from .ops.linalg import cholesky as cholesky
from .ops.linalg import inv as inv
from .ops.linalg import qr as qr
from .ops.linalg import solve as solve
from .ops.matmul import matmul as matmul
