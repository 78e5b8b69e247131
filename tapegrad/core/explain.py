"""What went wrong, in words: the errors of operations that failed.

The straight path lets a kernel fail; only then are shapes and dtypes looked at, and the shape rule of the operation
asked what would have fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import shapes
from ..errors import is_explained, message
from .tensor import Tensor

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<required>"})()  # the default of a required parameter

_KEYWORDS = {"x": "input", "y": "other"}  # PyTorch's names for the first operands


def keyword(name: str) -> str:
    """The name under which users know a parameter."""
    return _KEYWORDS.get(name, name)


def signature(op: Any) -> str:
    """The call as text: ``clamp(input, min=None, max=None)``."""
    parts = [keyword(n) if d is MISSING else f"{n}={d!r}" for n, d in zip(op.names, op.defaults)]
    if op.npos < len(parts):
        parts.insert(op.npos, "*")
    return f"{op.name}({', '.join(parts)})"


def describe(values: Any) -> str:
    """Operands in a few words: ``float32 (2, 3), 5``."""
    parts = []
    for v in values:
        if isinstance(v, Tensor):
            parts.append(f"{v.dtype.name} {tuple(v.array.shape)}")
        elif isinstance(v, (list, tuple)) and any(isinstance(x, Tensor) for x in v):
            parts.append(f"[{describe(v)}]")
        else:
            parts.append(repr(v)[:60])
    return ", ".join(parts)


def explain(op: Any, values: list, error: Exception) -> Exception:
    """The error to raise for a kernel that failed: what, with which shapes and dtypes."""
    if is_explained(error):
        return error
    dims = [_shapes_only(v) for v in values]
    try:
        if op.elementwise:
            shapes.broadcast(op.name, *(d for d in dims[: len(op.tensors)] if isinstance(d, tuple)))
        elif op.shape_rule is not None:
            shape_of(op, dims)
    except (RuntimeError, IndexError, ValueError, TypeError) as better:
        if is_explained(better):
            return better
    kind: Callable = (
        IndexError if isinstance(error, IndexError) else TypeError if _is_call_error(error) else RuntimeError
    )
    return kind(message(f"{op.name}: {error}", got=describe(values), expected=signature(op)))


def shape_of(op: Any, values: list) -> tuple[int, ...]:
    """The shape that is declared for the result; `values` are all parameters, with shapes in place of tensors."""
    return op.shape_rule(*values[: op.npos], **dict(zip(op.names[op.npos :], values[op.npos :])))


def _is_call_error(error: Exception) -> bool:
    return isinstance(error, TypeError) and ("argument" in str(error) or "must be" in str(error))


def _shapes_only(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.array.shape
    if isinstance(value, (list, tuple)) and any(isinstance(x, Tensor) for x in value):
        return [_shapes_only(x) for x in value]
    return value
