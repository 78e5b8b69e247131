"""Words that the operations of linear algebra share: what they refuse, how they write into `out`, parts of formulas.

Every one of these operations takes stacks: the last two dimensions are matrices, the ones before count them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import dtypes, modes
from ...core.dispatch import write_out
from ...core.op import Array
from ...core.results import result_type_of
from ...core.tensor import Tensor, edge, wrap
from ...errors import message
from ..creation.values import Named
from ..pointwise.compare import where
from ..shape.rearrange import tril
from .matmul import adjoint


class LinAlgError(RuntimeError):
    """A matrix cannot be factorised or inverted (`torch.linalg.LinAlgError`)."""


# ---- what is refused -------------------------------------------------------------------------------------------------


def check_shape(where: str, shape: tuple[int, ...], square: bool = True, name: str = "A") -> tuple[int, ...]:
    """Refuse what is no (stack of) matrices."""
    if len(shape) < 2:
        text = message(f"{where}: {name} must have at least 2 dimensions", got=tuple(shape), expected="(..., m, n)")
        raise RuntimeError(text)
    if square and shape[-1] != shape[-2]:
        raise RuntimeError(message(f"{where}: {name} must hold square matrices", got=tuple(shape)))
    return tuple(shape)


def check_dtype(where: str, *arrays: Array, error: type[Exception] = RuntimeError) -> None:
    """Refuse what LAPACK does not know, and operands of unequal types."""
    first = arrays[0].dtype
    if first.kind not in "fc" or first.itemsize < 4:
        fix = "use .float()"
        if first.kind not in "biu" and not where.endswith(("inv", "inv_ex", "solve", "cholesky")):
            error = NotImplementedError
        raise error(message(f"{where}: takes float32, float64 or complex matrices", got=dtypes.of(first), fix=fix))
    for a in arrays[1:]:
        if a.dtype != first:
            got = f"{dtypes.of(first)} and {dtypes.of(a.dtype)}"
            raise RuntimeError(message(f"{where}: the operands must have one dtype", got=got))


def check(where: str, A: Array, square: bool = True, error: type[Exception] = RuntimeError) -> None:
    """Refuse what is no stack of matrices of a type that LAPACK knows."""
    check_shape(where, A.shape, square)
    check_dtype(where, A, error=error)


def lapack(where: str, function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call NumPy's LAPACK; what it refuses is a LinAlgError that names the operation."""
    try:
        return function(*args, **kwargs)
    except np.linalg.LinAlgError as error:
        text = message(f"{where}: {str(error).lower()}", got=f"shape {tuple(args[0].shape)}")
        raise LinAlgError(text) from None


def refuse(where: str, info: Array, what: str, error: type[Exception] = LinAlgError) -> None:
    """Raise if a matrix of the stack failed: `what` says of which one, and where, in its `{}`."""
    if not info.any():
        return
    first = int(info.reshape(-1).nonzero()[0][0])
    which = f"matrix {first}: " if info.ndim else ""
    raise error(message(f"{where}: {which}{what.format(int(info.reshape(-1)[first]))}"))


def tensor(where: str, *given: Any) -> None:
    """Refuse what is no tensor (composed functions; declared operations see to it themselves)."""
    for x in given:
        if not isinstance(x, Tensor):
            raise TypeError(message(f"{where}: the operands must be tensors", got=type(x).__name__))


# ---- results ---------------------------------------------------------------------------------------------------------


def recorded(*tensors: Any) -> bool:
    """Whether an operation on these would be recorded."""
    return modes.mode() is None and any(isinstance(t, Tensor) and edge(t) is not None for t in tensors)


def into(out: Any, name: str, *found: Tensor) -> Any:
    """The one result of a composed function, or `out` filled with it."""
    if out is None:
        return found[0]
    check_out(name, out, found[0])
    return write_out(Named(name), list(found), found[0].array, out)


def check_out(name: str, out: Any, found: Tensor) -> None:
    """Refuse an `out` that cannot take the result as it is."""
    if isinstance(out, Tensor) and not dtypes.can_cast(found.dtype, out.dtype):
        raise RuntimeError(message(f"{name}: out has another type", got=out.dtype, expected=found.dtype))


def named(name: str, fields: str, *found: Any, out: Any = None) -> Any:
    """Several results as the named tuple `torch.return_types.<name>`, written into those of `out` if they are given."""
    if out is not None:
        if len(out) != len(found):
            raise TypeError(message(f"{name}: out needs one tensor for each result", got=len(out)))
        found = tuple(into(o, name, t) for o, t in zip(out, found))
    return result_type_of(name, tuple(fields.split()))(*found)


# ---- parts of formulas: arrays and tensors alike ---------------------------------------------------------------------


def is_complex(x: Any) -> bool:
    """Whether an array or a tensor is complex."""
    return getattr(x, "array", x).dtype.kind == "c"


def identity(like: Any, m: int, n: int | None = None) -> Any:
    """The unit matrix (m, n), an array or a tensor as `like` is one, of its dtype."""
    unit = np.eye(m, n, dtype=getattr(like, "array", like).dtype)
    return wrap(unit) if isinstance(like, Tensor) else unit


def quotient(x: Any, y: Any) -> Any:
    """`x / y`, and 0 where y is 0."""
    none = y == 0
    return where(none, 0.0, x / where(none, 1.0, y))


def columns(x: Any, s: Any) -> Any:
    """The columns of `x` (..., m, k), each times a number of `s` (..., k)."""
    return x * s[..., None, :]


def rows(s: Any, x: Any) -> Any:
    """The rows of `x` (..., k, n), each times a number of `s` (..., k)."""
    return s[..., None] * x


def symmetric(x: Any) -> Any:
    """The Hermitian part of square matrices."""
    return (x + adjoint(x)) * 0.5


def half_diagonal(x: Any) -> Any:
    """The lower triangle with its diagonal halved."""
    return (tril(x) + tril(x, -1)) * 0.5
