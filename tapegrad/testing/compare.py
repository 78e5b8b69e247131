"""`assert_close`: are two results equal up to rounding, and alike in dtype, shape and strides?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..core.tensor import Tensor, wrap
from ..errors import message

# relative and absolute tolerance by dtype: PyTorch's documented defaults of torch.testing.assert_close
TOLERANCES = {
    dtypes.float16: (1e-3, 1e-5),
    dtypes.bfloat16: (1.6e-2, 1e-5),
    dtypes.float32: (1.3e-6, 1e-5),
    dtypes.float64: (1e-7, 1e-7),
    dtypes.complex64: (1.3e-6, 1e-5),
    dtypes.complex128: (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless `|actual - expected| <= atol + rtol * |expected|` everywhere.

    Args:
        actual, expected: tensors, numbers, or sequences and mappings of them.
        rtol, atol: tolerances; both or neither. The defaults depend on the dtype.
        equal_nan: whether NaN equals NaN.
        check_dtype, check_stride: whether these must agree too.
        msg: the text of the error, or a function of the built text.

    >>> import tapegrad as torch
    >>> torch.testing.assert_close(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        raise ValueError(message("assert_close: give both rtol and atol, or neither", got=f"rtol={rtol}, atol={atol}"))
    problem = _differ(actual, expected, rtol, atol, equal_nan, check_dtype, check_stride, "")
    if problem is not None:
        raise AssertionError(msg(problem) if callable(msg) else msg or problem)


def _differ(a: Any, b: Any, rtol, atol, equal_nan, check_dtype, check_stride, where: str) -> str | None:
    options = (rtol, atol, equal_nan, check_dtype, check_stride)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return message(f"the keys differ{where}", got=sorted(map(str, a)), expected=sorted(map(str, b)))
        found = (_differ(a[k], b[k], *options, f"{where} at [{k!r}]") for k in a)
        return next((f for f in found if f), None)
    if _is_sequence(a) and _is_sequence(b):
        if len(a) != len(b):
            return message(f"the lengths differ{where}", got=len(a), expected=len(b))
        found = (_differ(x, y, *options, f"{where} at [{i}]") for i, (x, y) in enumerate(zip(a, b)))
        return next((f for f in found if f), None)
    if a is None or b is None:
        return None if a is b else message(f"one side is None{where}", got=repr(a), expected=repr(b))
    return _differ_tensors(_tensor(a), _tensor(b), *options, where)


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else wrap(np.asarray(x))


def _differ_tensors(a: Tensor, b: Tensor, rtol, atol, equal_nan, check_dtype, check_stride, where: str) -> str | None:
    if a.shape != b.shape:
        return message(f"the shapes differ{where}", got=tuple(a.shape), expected=tuple(b.shape))
    if check_dtype and a.dtype is not b.dtype:
        return message(f"the dtypes differ{where}", got=a.dtype, expected=b.dtype)
    if check_stride and a.stride() != b.stride():
        return message(f"the strides differ{where}", got=a.stride(), expected=b.stride())
    if rtol is None:
        pairs = [TOLERANCES.get(t.dtype, (0.0, 0.0)) for t in (a, b)]
        rtol, atol = max(p[0] for p in pairs), max(p[1] for p in pairs)
    wide = np.complex128 if "c" in (a.array.dtype.kind, b.array.dtype.kind) else np.float64
    exact = a.array.dtype.kind in "iub" and b.array.dtype.kind in "iub"
    x, y = (a.array, b.array) if exact else (a.array.astype(wide), b.array.astype(wide))
    close = x == y if exact and not rtol and not atol else np.isclose(x, y, rtol, atol, equal_nan)
    if np.all(close):
        return None
    wrong = int(np.size(close) - np.count_nonzero(close))
    error = np.where(close, 0, np.abs(x.astype(wide) - y.astype(wide)))
    worst = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape) if error.ndim else ()
    return message(
        f"{wrong} of {np.size(close)} elements differ{where}",
        got=f"{x[worst]!r} at index {tuple(map(int, worst))}",
        expected=f"{y[worst]!r} within rtol={rtol}, atol={atol}",
    )
