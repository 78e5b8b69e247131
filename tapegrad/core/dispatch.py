"""The general path of an operation: everything that the straight path in `op` does not do.

Binding of arguments, type promotion, numbers as operands, several results, `out=`, in-place forms, recording,
expressions as operands, and the explanation of what went wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes, modes
from ..backends.cpu import elementwise as kernels
from ..backends.cpu.memory import convert
from ..errors import is_explained, message
from ..ir.expr import Expr
from ..modes import NO_GRAD, mode
from . import tape
from .explain import MISSING, describe, explain, keyword, signature
from .results import result_type_of
from .tensor import Tensor, edge, wrap
from .views import CONSTANT, attach, check_inplace, overlapping, overlapping_copy, rebase, refuse_repeated

Array = np.ndarray
F32, F64, I64 = dtypes.float32.numpy, dtypes.float64.numpy, dtypes.int64.numpy
HALVES = (dtypes.float16, dtypes.bfloat16)
NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}  # NumPy's keywords are taken too
NUMBERS = (bool, int, float, complex, np.generic)


# ---- arguments -----------------------------------------------------------------------------------------------------


def bind(op: Any, args: tuple, kwargs: dict) -> list:
    """All parameters in order, defaults filled in; TypeError as Python's for calls that do not fit."""
    n = len(args)
    if n > op.npos:
        raise TypeError(
            message(f"{op.name}() takes {op.npos} positional arguments", got=f"{n}", expected=signature(op))
        )
    values = [*args, *op.defaults[n:]]
    for name, value in kwargs.items():
        i = op.index.get(name)
        if i is None:
            text = message(
                f"{op.name}() has no argument {name!r}", got=f"{name}={value!r}"[:80], expected=signature(op)
            )
            raise TypeError(text)
        if i < n:
            raise TypeError(message(f"{op.name}() got two values for the argument {name!r}", expected=signature(op)))
        values[i] = value
    for i, value in enumerate(values):
        if value is MISSING:
            raise TypeError(
                message(f"{op.name}() misses the argument {keyword(op.names[i])!r}", expected=signature(op))
            )
    return values


_constants: dict[np.dtype, dict[float, Tensor]] = {F32: {}, F64: {}, I64: {}}


def number(value: float, like: Any) -> Any:
    """A Python number as a 0-d tensor of the dtype of `like`, remembered: NumPy takes it twice as fast as the number.

    Where the dtype is another, or the number does not fit it, it is returned as it is, for the general path.
    """
    try:
        dtype = like.array.dtype
        table = _constants[dtype]
    except (AttributeError, KeyError):
        return value
    if dtype is I64 and (value.__class__ is not int or not -(2**63) <= value < 2**63):
        return value
    found = table.get(value)
    if found is None:
        found = wrap(np.array(value, dtype))
        if value != 0 and value == value:  # 0.0 and -0.0 are one key, NaN is none
            if len(table) > 4096:
                table.clear()
            table[value] = found
    return found


def keep(value: Any, like: Any) -> Any:
    """Leave a number as it is: the general path refuses it."""
    return value


# ---- type promotion ------------------------------------------------------------------------------------------------


def number_dtype(value: Any) -> dtypes.dtype:
    """The dtype that a Python number stands for in promotion."""
    if isinstance(value, (bool, np.bool_)):
        return dtypes.bool_
    if isinstance(value, (int, np.integer)):
        return dtypes.int64
    if isinstance(value, (float, np.floating)):
        return modes.defaults.dtype
    return modes.defaults.dtype.to_complex()


def common_dtype(operands: list) -> dtypes.dtype:
    """The dtype in which operands of unequal standing meet: tensors, 0-d tensors, numbers."""
    ranks: list[dtypes.dtype | None] = [None, None, None]
    for x in operands:
        if isinstance(x, Tensor):
            rank, found = (0 if x.array.ndim else 1), dtypes.of(x.array.dtype)
        else:
            rank, found = 2, number_dtype(x)
        held = ranks[rank]
        ranks[rank] = found if held is None else dtypes.promote(held, found)
    found = dtypes.combine(ranks[0], dtypes.combine(ranks[1], ranks[2]))
    assert found is not None
    return found


def cast(value: Any, target: dtypes.dtype) -> np.ndarray:
    """An operand as an array of the common dtype."""
    array = value.array if isinstance(value, Tensor) else np.asarray(value)
    return array if array.dtype == target.numpy else convert(array, target.numpy)


def _is_number(x: Any) -> bool:
    return isinstance(x, NUMBERS)


# ---- elementwise operations ----------------------------------------------------------------------------------------


def promoted(op: Any, operands: list) -> tuple[list[np.ndarray], dtypes.dtype, dtypes.dtype]:
    """The operands as arrays ready for the kernel, the dtype they meet in, and the dtype of the result.

    Where they meet in half precision, those that have it are left as they are: `kernels.in_single` widens them.
    """
    voting = [x for x, name in zip(operands, op.tensor_names) if name not in op.conditions]
    met = common_dtype(voting)
    if op.refuses and (met.numpy.kind in op.refuses or ("B" in op.refuses and any(map(_is_truth, operands)))):
        kind, what = (RuntimeError, "bools") if "B" in op.refuses else (NotImplementedError, met)
        raise kind(message(f"{op.name}: not defined for {what}", got=describe(operands), fix="convert with .to(...)"))
    if met.kind < op.least:
        met = modes.defaults.dtype if op.least == dtypes.FLOAT else dtypes.int64
    half = met in HALVES
    arrays = []
    for x, name in zip(operands, op.tensor_names):
        if half and isinstance(x, Tensor) and x.array.dtype == met.numpy:
            arrays.append(x.array)
        else:
            arrays.append(cast(x, dtypes.bool_ if name in op.conditions else dtypes.float32 if half else met))
    return arrays, met, dtypes.bool_ if op.gives_bool else met.to_real() if op.gives_real else met


def _is_truth(x: Any) -> bool:
    return x.array.dtype.kind == "b" if isinstance(x, Tensor) else isinstance(x, (bool, np.bool_))


def run_elementwise(op: Any, operands: list, attrs: list) -> np.ndarray:
    """The result of an elementwise operation as an array of the promoted dtype."""
    arrays, met, result = promoted(op, operands)
    if op.check is not None:
        op.check(*arrays, *attrs)
    try:
        if met in HALVES and op.fast in kernels.SIGNS:
            found = kernels.SIGNS[op.fast](arrays[0])
        elif met in HALVES:
            found = kernels.in_single(lambda *part: op.compute(part, attrs), tuple(arrays), met.numpy)
        else:
            found = op.compute(arrays, attrs)
    except (ValueError, TypeError) as error:
        if met is not dtypes.bool_ or isinstance(error, ValueError):
            raise explain(op, [*operands, *attrs], error) from None
        found = op.compute([a.view(np.int8) for a in arrays], attrs)  # some of NumPy's functions do not know bools
    found = found if found.__class__ is Array else np.array(found)
    return found if found.dtype == result.numpy else convert(found, result.numpy)


def run_in_turn(op: Any, operands: list, attrs: list) -> np.ndarray:
    """The result in place where elements of the first operand share memory: row after row, so that a number that is
    at several places is changed as many times. PyTorch goes through memory like this too.

    Each change multiplies the error of the one before, so those of float32 numbers are made in float64.
    """
    memory = overlapping_copy(operands[0].array)
    order = sorted(range(memory.ndim), key=lambda i: -memory.strides[i])  # the inner loop has the smallest step
    rest = [x if _is_number(x) else np.broadcast_to(x.array, memory.shape).transpose(order) for x in operands[1:]]
    rows = memory.transpose(order)
    for i in np.ndindex(rows.shape[:-1]):
        row = rows[i]
        given = wrap(row.astype(F64) if row.dtype == F32 else row)
        found = run_elementwise(op, [given, *(x if _is_number(x) else wrap(x[i]) for x in rest)], attrs)
        np.copyto(row, found, casting="unsafe")
    return memory


def _operands(op: Any, values: list) -> list:
    """Operands as tensors and numbers; TypeError for anything else."""
    found = []
    for x, name in zip(values, op.tensor_names):
        if isinstance(x, np.generic) and not isinstance(x, Tensor):
            x = x.item()
        elif isinstance(x, Array):
            x = wrap(x)
        last = name == op.tensor_names[-1] != op.tensor_names[0]
        allowed = op.numbers in ("all", "either") or (op.numbers == "last" and last)
        if not isinstance(x, Tensor) and not (allowed and _is_number(x)):
            text = message(
                f"{op.name}: the argument {keyword(name)!r} must be a tensor{' or a number' if allowed else ''}",
                got=type(x).__name__,
                fix="torch.tensor(...) makes a tensor of a list",
            )
            raise TypeError(text)
        found.append(x)
    if op.numbers == "either" and not any(isinstance(x, Tensor) for x in found):
        raise TypeError(message(f"{op.name}: at least one operand must be a tensor", got=describe(found)))
    return found


def _plain(op: Any, operands: list) -> list:
    """Operands of a formula as arrays; a number takes the dtype in which it meets the arrays."""
    if not any(x.__class__ in (bool, int, float, complex) for x in operands):
        return [np.asarray(x) for x in operands]
    met = np.result_type(*(x for x, name in zip(operands, op.tensor_names) if name not in op.conditions))
    return [np.array(x, met) if x.__class__ in (bool, int, float, complex) else np.asarray(x) for x in operands]


def _call_elementwise(op: Any, values: list, out: Tensor | None) -> Any:
    n = len(op.tensors)
    operands, attrs = values[:n], values[n:]
    if any(isinstance(x, Expr) for x in values):
        return op.body(*values)
    if not any(isinstance(x, Tensor) for x in operands):
        if any(isinstance(x, (Array, np.generic)) for x in operands):
            return op.compute(_plain(op, operands), attrs)
    operands = _operands(op, operands)
    array = run_elementwise(op, operands, attrs)
    if out is not None:
        return write_out(op, operands, array, out)
    t = wrap(array)
    record_operands(op, operands, attrs, t, array)
    return t


def record_operands(op: Any, operands: list, attrs: list, t: Tensor, array: np.ndarray) -> None:
    """Record an elementwise operation whose operands may be numbers."""
    now = mode()
    if now is not None:
        if now is not NO_GRAD:
            note(now, op, operands, tuple(attrs), {}, t)
        return
    edges = tuple(edge(x) if isinstance(x, Tensor) else None for x in operands)
    if not op.formulas or not any(e is not None for e in edges) or array.dtype.kind in "biu":
        return
    constant = dtypes.of(array.dtype)
    tensors = [x if isinstance(x, Tensor) else wrap(cast(x, constant)) for x in operands]
    t.node = make_node(op, edges, tensors, (tuple(attrs), {}) if attrs else None, [array], t)


def make_node(op: Any, edges: tuple, tensors: list, attrs: Any, results: list, made: Any) -> tape.Node:
    """The node of an operation on `tensors` (None where an optional operand is absent).

    `made` is the tensor of the result, or a list of those of the results.
    """
    keep, keep_out = op.plan((True,) if op.variadic else tuple(e is not None for e in edges))
    if op.variadic:
        saved = (tuple(tensors),) if keep[0] else ()
        watched = tensors if keep[0] else []
    else:
        saved = tuple([t if k else None for t, k in zip(tensors, keep)]) if True in keep else ()
        watched = saved
    shapes_ = None
    if op.wants_shapes:
        shapes_ = (
            ([t.array.shape for t in tensors],)
            if op.variadic
            else tuple(None if t is None else t.array.shape for t in tensors)
        )
    complex_ = op.holomorphic and results[0].dtype.kind == "c"
    node = tape.record(op.conjugating if complex_ else op, edges, saved, attrs, shapes_, results[0])
    if op.nout != 1:
        count = len(results) if op.nout < 0 else op.nout
        node.shape = tuple(r.shape for r in results[:count])
        node.dtype = tuple(r.dtype for r in results[:count])
    if any(t is not None and t._ver is not None for t in watched):
        node.versions = tuple(0 if t is None or t._ver is None else t._ver[0] for t in watched)
    if keep_out:
        named = [t for t, n in zip(made if made.__class__ is list else (made,), op.named_results) if n]
        for t in named:
            t._ver = t._ver or [0]
        node.outputs = (tuple(results), tuple(t._ver for t in named), tuple(t._ver[0] for t in named))
    return node


def note(now: Any, op: Any, operands: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Tell a recorder in the mode slot about an operation; `inference_mode` and `no_grad` are not recorders."""
    listener = getattr(now, "record", None)
    if listener is not None:
        listener(op, operands, args, kwargs, out)


# ---- operations on arrays ------------------------------------------------------------------------------------------


def _call_arrays(op: Any, values: list, out: Any) -> Any:
    raw, tensors, plain = list(values), [], True
    for i, kind in op.tensors:
        x = values[i]
        if isinstance(x, Tensor) and kind != "Arrays":
            raw[i], plain = x.array, False
            tensors.append(x)
        elif kind == "Arrays":
            items = list(x) if isinstance(x, (tuple, list)) else _refuse(op, i, x, "a list or tuple of tensors")
            if not all(isinstance(t, (Tensor, Array, np.generic)) for t in items):
                _refuse(
                    op, i, next(t for t in items if not isinstance(t, (Tensor, Array, np.generic))), "a list of tensors"
                )
            plain = plain and not any(isinstance(t, Tensor) for t in items)
            raw[i] = [t.array if isinstance(t, Tensor) else t for t in items]
            tensors += items
        elif x is None and kind == "Array | None":
            tensors.append(None)
        elif isinstance(x, (Array, np.generic)):
            tensors.append(wrap(np.asarray(x)))
        else:
            _refuse(op, i, x, "a tensor")
    npos = op.npos
    try:
        found = op.body(*raw) if len(raw) == npos else op.body(*raw[:npos], **dict(zip(op.names[npos:], raw[npos:])))
    except (TypeError, ValueError, IndexError) as error:
        raise explain(op, values, error) from None
    if plain:
        return found
    several = op.returns or op.nout != 1 or op.hidden
    results = [a if a.__class__ is Array else np.array(a) for a in (found if several else (found,))]
    if out is not None:
        return _write_outs(op, tensors, results, out)
    made = [wrap(a) for a in results]
    attrs = tuple([values[i] for i in op.attr_slots])
    _record_arrays(op, tensors, attrs, made, results)
    if op.view:
        kwargs = dict(zip(op.attr_names, attrs))
        for k, t in enumerate(made):
            step = op if op.nout == 1 else Output(op, k)
            attach(tensors[0], t, step, (), kwargs, None if op.nout == 1 else "multi")
    return package(op, made)


def _record_arrays(op: Any, tensors: list, attrs: tuple, made: list[Tensor], results: list[np.ndarray]) -> None:
    now = mode()
    if now is not None:
        if now is not NO_GRAD:
            note(now, op, tensors, attrs, {}, made)
        return
    if not op.formulas:
        return
    edges = tuple([edge(t) if isinstance(t, Tensor) else None for t in tensors])
    if edges.count(None) == len(edges):
        return
    if op.nout == 1:
        if results[0].dtype.kind not in "biu":
            made[0].node = make_node(op, edges, tensors, (attrs, {}), results, made)
        return
    node = make_node(op, edges, tensors, (attrs, {}), results, made)
    for k, t in enumerate(made if op.nout < 0 else made[: op.nout]):
        if t.array.dtype.kind not in "biu":
            t.node = (node, k)


class Output:
    """The step from a tensor to one of several views that one operation takes of it."""

    def __init__(self, op: Any, k: int):
        self.op, self.k = op, k

    def on_array(self, array: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
        """The view of an array."""
        return self.op.body(array, *args, **kwargs)[self.k]

    def function(self, t: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The view of a tensor, recorded."""
        return self.op.function(t, *args, **kwargs)[self.k]


def _refuse(op: Any, i: int, x: Any, expected: str) -> Any:
    text = message(
        f"{op.name}: the argument {keyword(op.names[i])!r} must be {expected}",
        got=type(x).__name__,
        expected=signature(op),
    )
    raise TypeError(text)


def package(op: Any, made: list[Tensor]) -> Any:
    """What the caller gets of the results: one, a tuple, or a named one."""
    shown = made[: len(made) - op.hidden]
    if op.returns and len(shown) > 1:
        return result_type_of(op.name, op.returns[: len(shown)])(*shown)
    return shown[0] if op.nout == 1 and len(shown) == 1 else tuple(shown)


def call(op: Any, args: tuple, kwargs: dict) -> Any:
    """Run an operation on anything that may be given to it."""
    out = None
    if "out" in kwargs:
        kwargs = dict(kwargs)
        out = kwargs.pop("out")
    values = bind(op, args, kwargs)
    return _call_elementwise(op, values, out) if op.elementwise else _call_arrays(op, values, out)


def call_operator(op: Any, args: tuple, kwargs: dict) -> Any:
    """`call` for Python's operators: NotImplemented if an operand is neither a tensor, an array nor a number."""
    if all(isinstance(a, (Tensor, Array, Expr)) or _is_number(a) for a in args):
        return call(op, args, kwargs)
    return NotImplemented


def retry(op: Any, args: tuple, kwargs: dict, error: Exception) -> Any:
    """The straight path of an array operation failed: take the general path, or explain."""
    if is_explained(error):
        raise error
    if args and isinstance(args[0], np.generic):  # what NumPy makes of arrays without dimensions
        return op.body(np.asarray(args[0]), *args[1:], **kwargs)
    if not args or not isinstance(args[0], Tensor) or not NUMPY_NAMES.keys().isdisjoint(kwargs):
        return call(op, args, kwargs)
    raise explain(op, bind(op, args, kwargs), error) from None


# ---- out= and in-place ---------------------------------------------------------------------------------------------


def write_out(op: Any, operands: list, array: np.ndarray, out: Tensor) -> Tensor:
    """Put a result into the tensor given as `out=`, which takes on its shape."""
    if not isinstance(out, Tensor):
        raise TypeError(message(f"{op.name}: out must be a tensor", got=type(out).__name__))
    if mode() is None and any(isinstance(x, Tensor) and x.requires_grad for x in [*operands, out]):
        text = message(
            f"{op.name}: out= cannot be recorded",
            got="an operand that requires grad",
            fix="use torch.no_grad() or drop out=",
        )
        raise RuntimeError(text)
    source, target = dtypes.of(array.dtype), out.dtype
    if not dtypes.can_cast(source, target):
        raise RuntimeError(message(f"{op.name}: a {source} result does not fit in out", got=f"out of dtype {target}"))
    if out.array.shape != array.shape:
        out.array = np.empty(array.shape, target.numpy)
    elif not getattr(op, "fills", False):
        refuse_repeated(op.name, out.array)
    np.copyto(out.array, array, casting="unsafe")
    out.bump()
    return out


def _write_outs(op: Any, tensors: list, results: list, out: Any) -> Any:
    shown = results[: len(results) - op.hidden]
    targets = list(out) if isinstance(out, (tuple, list)) else [out]
    if len(targets) != len(shown):
        text = message(f"{op.name}: out needs one tensor for each result", got=len(targets), expected=len(shown))
        raise TypeError(text)
    if getattr(op, "lone_out", False):
        _refuse_shared(op, tensors, shown, targets)
    for a, t in zip(shown, targets):  # one result may be converted on its way into out, several may not
        if len(shown) > 1 and isinstance(t, Tensor) and t.array.dtype != a.dtype:
            raise RuntimeError(message(f"{op.name}: out has another type", got=t.dtype, expected=dtypes.of(a.dtype)))
    return package(op, [write_out(op, tensors, a, t) for a, t in zip(results, targets)] + results[len(shown) :])


def _refuse_shared(op: Any, tensors: list, results: list, targets: list) -> None:
    """Refuse an `out` of another dtype, or that shares memory, for operations that read in no fixed order."""
    for array, out in zip(results, targets):
        if out.array.dtype != array.dtype:
            raise RuntimeError(
                message(f"{op.name}: out has another type", got=out.dtype, expected=dtypes.of(array.dtype))
            )
        steps = zip(out.array.strides, out.array.shape) if out.array.size else ()
        if any(step == 0 and n > 1 for step, n in steps) or any(
            t is not None and np.may_share_memory(t.array, out.array) for t in tensors
        ):
            text = message(
                f"{op.name}: out must not share memory with an operand or with itself", fix="give it memory of its own"
            )
            raise RuntimeError(text)


def call_inplace(op: Any, name: str, t: Tensor, args: tuple, kwargs: dict) -> Tensor:
    """Run `op` on `t` and write the result into it."""
    now = mode()
    crowded = False  # whether elements share memory
    if t.array.base is not None and not t.array.flags.c_contiguous and not op.fills:
        refuse_repeated(name, t.array)
        crowded = op.elementwise and overlapping(t.array)
    if (
        op.elementwise
        and not crowded
        and not kwargs
        and len(args) == len(op.tensors) - 1 <= 1
        and _quick_inplace(op, t, args, now)
    ):
        return t
    values = bind(op, (t, *args), kwargs)
    n = len(op.tensors)
    operands = [values[i] for i, _ in op.tensors]
    if op.elementwise:
        operands = _operands(op, operands)
    attrs = tuple(values[i] for i in op.attr_slots)
    edges = tuple(edge(x) if isinstance(x, Tensor) else None for x in operands) if now is None else (None,) * n
    if now is None:
        check_inplace(name, t, any(e is not None for e in edges))
    if op.elementwise:
        found = (run_in_turn if crowded else run_elementwise)(op, operands, list(attrs))
    else:
        found = _inplace_arrays(op, values)
    if not dtypes.can_cast(dtypes.of(found.dtype), t.dtype):
        text = message(
            f"{name}: a {dtypes.of(found.dtype)} result does not fit in place",
            got=f"a {t.dtype} tensor",
            fix=f"use {op.name}",
        )
        raise RuntimeError(text)
    recorded = any(e is not None for e in edges) and bool(op.formulas)
    before = operands[0]
    if recorded and op.plan(tuple(e is not None for e in edges))[0][0]:
        before = wrap(t.array.copy())  # the derivative needs the value that is about to be overwritten
        before.node, before._requires_grad = t.node, t._requires_grad
    versions = tuple(x._version if isinstance(x, Tensor) else 0 for x in operands)
    _fill(name, t, found)
    t.bump()
    if recorded:
        tensors = [before, *(x if x is None or isinstance(x, Tensor) else wrap(cast(x, t.dtype)) for x in operands[1:])]
        node = make_node(op, edges, tensors, (attrs, {}) if attrs else None, [t.array], t)
        if node.versions is not None:  # an operand that shares memory with `t` is not what it was
            node.versions = (node.versions[0], *versions[1:])
        rebase(t, node)
    elif edges[0] is not None:  # no derivative: the new values do not depend on the old ones
        rebase(t, tape.record(CONSTANT, edges[:1], (), None, None, t.array))
    return t


def _quick_inplace(op: Any, t: Tensor, args: tuple, now: Any) -> bool:
    """The straight path: nothing to record, one floating-point dtype; False if it is not that simple."""
    x = t.array
    d = x.dtype
    if (d is not F32 and d is not F64) or op.gives_bool or "f" in op.refuses:
        return False
    rest = [number(a, t) if a.__class__ in (float, int) else a for a in args]
    for a in (t, *rest):
        if not isinstance(a, Tensor) or a.array.dtype is not d:
            return False
        if now is not NO_GRAD and (now is not None or a._requires_grad or a.node is not None or a._view is not None):
            return False
    try:
        found = op.fast(x, *[a.array for a in rest], out=x)
    except ValueError:  # the shapes do not fit: the general path says how
        return False
    if found is not x:
        _fill(op.name + "_", t, found)
    t.bump()
    return True


def _inplace_arrays(op: Any, values: list) -> np.ndarray:
    raw = [v.array if isinstance(v, Tensor) else v for v in values]
    try:
        found = op.body(*raw[: op.npos], **dict(zip(op.names[op.npos :], raw[op.npos :])))
    except (TypeError, ValueError, IndexError) as error:
        raise explain(op, values, error) from None
    return found[0] if isinstance(found, tuple) else found


def _fill(name: str, t: Tensor, found: np.ndarray) -> None:
    if found.shape != t.array.shape:
        text = message(
            f"{name}: the result does not have the shape of the tensor it is written into",
            got=f"a result of shape {tuple(found.shape)}",
            expected=f"{tuple(t.array.shape)}",
        )
        raise RuntimeError(text)
    np.copyto(t.array, found, casting="unsafe")
