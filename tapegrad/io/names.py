"""What the names in a saved file mean: a table of functions that check their arguments and return data.

    names.find("torch._utils", "_rebuild_tensor_v2").call(args)     a tensor over a storage
    names.find("os", "system")                                      UnpicklingError: it names the class

Nothing is imported to look a name up, and no function here calls what a file could have chosen. Classes that a program
declares safe (`add_safe_globals`) are rebuilt as data too: memory of the class, attributes set; none of its methods
is called (see `safe`).
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..core.tensor import Tensor, wrap
from ..errors import message
from ..ops.random.generators import Generator
from ..shapes import Size
from . import safe
from .pickled import Record, check_key, damaged
from .storage import Storage, rebuild, storage_dtype

Call = Callable[[tuple], Any]

# Subclasses of Tensor that files may hold, by the part they play: "parameter", "buffer". `tapegrad.serialization` fills
# it, since this package may not import `nn`.
TENSOR_CLASSES: dict[str, type] = {}


class Name:
    """A name in a file: `call` makes data from the arguments it is called with, `new` an object of a class."""

    __slots__ = ("call", "full", "new", "value")

    def __init__(self, full: str, call: Call | None = None, new: Call | None = None, value: Any = None):
        self.full, self.call, self.new = full, call, new
        self.value = value  # the class, where it may be an argument: defaultdict(list)


def _checked(full: str, *kinds: type | tuple) -> Callable[[Callable], Name]:
    """Declare a function under the name that files have for it; it is called with arguments of these types only."""

    def declare(function: Callable) -> Name:
        least = getattr(function, "least", len(kinds))

        def call(args: tuple) -> Any:
            if not least <= len(args) <= len(kinds):
                raise damaged(f"{full} has a wrong number of arguments", got=len(args), expected=len(kinds))
            for arg, kind in zip(args, kinds):
                if not isinstance(arg, kind) or (isinstance(arg, bool) and kind is int):
                    raise damaged(f"{full} has an argument of a wrong type", got=type(arg).__name__)
            return function(*args)

        module, _, name = full.rpartition(".")
        entry = Name(full, call)
        TABLE[module, name] = entry
        return entry

    return declare


def _optional(least: int) -> Callable:
    """Mark a function whose arguments from number `least` on may be left out."""

    def mark(function: Callable) -> Callable:
        function.least = least  # type: ignore[attr-defined]
        return function

    return mark


TABLE: dict[tuple[str, str], Any] = {}
OBJECT = (object,)

# ---- Python's own types ----------------------------------------------------------------------------------------------


@_checked("_codecs.encode", str, str)
def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):  # how protocol 2 writes bytes
        raise damaged("bytes are written in an unknown way", got=repr(encoding[:20]))
    return text.encode("latin-1")


@_checked("builtins.bytes")
def _bytes() -> bytes:
    return b""


@_checked("builtins.bytearray", (bytes, str), str)
@_optional(0)
def _bytearray(value: Any = b"", encoding: str = "latin-1") -> bytearray:
    return bytearray(_encode.call((value, encoding)) if isinstance(value, str) else value)  # type: ignore[misc]


@_checked("builtins.complex", (float, int), (float, int))
def _complex(real: float, imag: float) -> complex:
    return complex(real, imag)


def _members(values: list) -> list:
    for value in values:
        check_key(value)
    return values


@_checked("builtins.set", list)
@_optional(0)
def _set(values: list = []) -> set:  # noqa: B006  (never changed)
    return set(_members(values))


@_checked("builtins.frozenset", list)
@_optional(0)
def _frozenset(values: list = []) -> frozenset:  # noqa: B006
    return frozenset(_members(values))


@_checked("builtins.range", int, int, int)
def _range(start: int, stop: int, step: int) -> range:
    return range(start, stop, step)


@_checked("builtins.slice", OBJECT, OBJECT, OBJECT)
def _slice(start: Any, stop: Any, step: Any) -> slice:
    if not all(part is None or type(part) is int for part in (start, stop, step)):
        raise damaged("a slice in it is not made of numbers")
    return slice(start, stop, step)


@_checked("collections.OrderedDict", list)
@_optional(0)
def _ordered(pairs: list = []) -> OrderedDict:  # noqa: B006
    found: OrderedDict = OrderedDict()
    for pair in pairs:
        key, value = pair
        check_key(key)
        found[key] = value
    return found


@_checked("collections.Counter", dict)
@_optional(0)
def _counter(counts: dict = {}) -> Counter:  # noqa: B006
    found: Counter = Counter()
    dict.update(found, counts if type(counts) is dict else {})
    return found


@_checked("collections.defaultdict", (Name, type(None)))
@_optional(0)
def _defaultdict(factory: Name | None = None) -> defaultdict:
    if factory is not None and factory.value is None:
        raise UnpicklingError(_refusal(factory.full))
    return defaultdict(None if factory is None else factory.value)


for _type in (list, dict, tuple, int, float, str, bool):
    TABLE["builtins", _type.__name__] = Name(f"builtins.{_type.__name__}", value=_type)
for _type in (set, bytearray, OrderedDict, Counter):
    TABLE["builtins" if _type in (set, bytearray) else "collections", _type.__name__].value = _type
TABLE["builtins", "Ellipsis"], TABLE["builtins", "NotImplemented"] = Ellipsis, NotImplemented

# ---- PyTorch's small values ------------------------------------------------------------------------------------------

for _dtype in dtypes.ALL:
    TABLE["torch", _dtype.name] = _dtype
for _format in (devices.contiguous_format, devices.preserve_format, devices.channels_last, devices.channels_last_3d):
    TABLE["torch", _format.name] = _format


@_checked("torch.Size", (tuple, list))
@_optional(0)
def _size(sizes: Any = ()) -> Size:
    if not all(type(n) is int for n in sizes):
        raise damaged("a torch.Size in it is not made of numbers")
    return Size(sizes)


@_checked("torch.device", str, int)
@_optional(1)
def _device(kind: str, index: int | None = None) -> devices.device:
    return devices.device(kind[:100], index)


@_checked("torch.serialization._get_layout", str)
def _layout(name: str) -> devices.layout:
    if name != "torch.strided":
        raise UnpicklingError(message("load: tapegrad has no such layout", got=name[:100], expected="torch.strided"))
    return devices.strided


@_checked("torch._C.Generator", devices.device)
@_optional(0)
def _generator(device: devices.device = devices.CPU) -> Generator:
    return Generator(device)


# ---- tensors ---------------------------------------------------------------------------------------------------------

_FLAG = (bool, type(None))
_HOOKS = object  # an empty OrderedDict; hooks are never saved


@_checked("torch._utils._rebuild_tensor", Storage, int, (tuple, list), (tuple, list))
def _rebuild_v1(storage: Storage, offset: int, size: Any, stride: Any) -> Tensor:
    return rebuild(storage, storage.dtype, offset, size, stride)


@_checked("torch._utils._rebuild_tensor_v2", Storage, int, (tuple, list), (tuple, list), bool, _HOOKS, dict)
@_optional(6)
def _rebuild_v2(storage: Storage, offset: int, size: Any, stride: Any, grad: bool, hooks: Any, bits: Any = None):
    return rebuild(storage, storage.dtype, offset, size, stride, grad, bits)


@_checked(
    "torch._utils._rebuild_tensor_v3", Storage, int, (tuple, list), (tuple, list), bool, _HOOKS, dtypes.dtype, dict
)
@_optional(7)
def _rebuild_v3(
    storage: Storage, offset: int, size: Any, stride: Any, grad: bool, hooks: Any, dtype: Any, bits: Any = None
):
    return rebuild(storage, dtype, offset, size, stride, grad, bits)


def _as_class(role: str, data: Tensor, requires_grad: bool) -> Tensor:
    cls = TENSOR_CLASSES.get(role)
    if cls is None:
        raise RuntimeError(message(f"load: the file holds an nn.{role.capitalize()}", fix="load it with torch.load"))
    return cls(data, requires_grad) if role == "parameter" else cls(data)


def _set_attributes(target: Any, state: Any) -> None:
    """Put the attributes of a saved object into its `__dict__`."""
    if type(state) is not dict and not isinstance(state, OrderedDict):
        raise damaged("the attributes of an object in it are no dictionary", got=type(state).__name__)
    if not all(type(key) is str for key in state):
        raise damaged("an attribute in it has no name")
    own = object.__getattribute__(target, "__dict__")
    for key, value in state.items():
        own[key] = value


@_checked("torch._utils._rebuild_parameter", Tensor, bool, _HOOKS)
def _parameter(data: Tensor, requires_grad: bool, hooks: Any) -> Tensor:
    return _as_class("parameter", data, requires_grad)


@_checked("torch._utils._rebuild_parameter_with_state", Tensor, bool, _HOOKS, OBJECT)
def _parameter_with_state(data: Tensor, requires_grad: bool, hooks: Any, state: Any) -> Tensor:
    out = _as_class("parameter", data, requires_grad)
    _set_attributes(out, state)
    return out


@_checked("torch._tensor._rebuild_from_type_v2", Name, Name, tuple, OBJECT)
def _from_type(function: Name, cls: Name, args: tuple, state: Any) -> Tensor:
    """A tensor with attributes, or of a subclass."""
    if not function.full.startswith("torch._utils._rebuild_") or function.call is None:
        raise damaged("a tensor in it is not made as tensors are", got=function.full)
    out = function.call(args)
    if cls.full == "torch.Tensor":
        if type(state) is dict and state.get("_is_buffer") is True and "buffer" in TENSOR_CLASSES:
            state = {key: value for key, value in state.items() if key != "_is_buffer"}
            out = _as_class("buffer", out, False)
    elif cls.full != "torch.nn.parameter.Parameter":
        out = safe.retyped(out, cls.value)
    _set_attributes(out, state)
    return out


for _full in ("torch.Tensor", "torch.nn.parameter.Parameter"):
    TABLE[tuple(_full.rsplit(".", 1))] = Name(_full)

# ---- NumPy's arrays and numbers --------------------------------------------------------------------------------------

_NUMPY_TYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16")


@_checked("numpy.dtype", str, object, object)
@_optional(1)
def _numpy_dtype(code: str, align: Any = False, copy: Any = True) -> np.dtype:
    if not _NUMPY_TYPE.fullmatch(code):
        raise UnpicklingError(message("load: a NumPy array in the file is not one of numbers", got=repr(code[:20])))
    return np.dtype(code, copy=True)  # type: ignore[call-overload]


def _numpy_array(args: tuple) -> np.ndarray:
    if len(args) != 3 or getattr(args[0], "full", None) != "numpy.ndarray":
        raise damaged("a NumPy array in it is not made as arrays are")
    return np.ndarray((0,), np.uint8)


def _numpy_scalar(args: tuple) -> Any:
    if len(args) != 2 or not isinstance(args[0], np.dtype) or not isinstance(args[1], (bytes, str)):
        raise damaged("a NumPy number in it is not made as they are")
    raw = args[1].encode("latin-1") if isinstance(args[1], str) else args[1]
    if len(raw) != args[0].itemsize:
        raise damaged("a NumPy number in it has a wrong size", got=len(raw), expected=args[0].itemsize)
    return np.frombuffer(raw, args[0])[0]


TABLE["numpy", "ndarray"] = Name("numpy.ndarray")
for _core in ("numpy.core.multiarray", "numpy._core.multiarray"):
    TABLE[_core, "_reconstruct"] = Name(f"{_core}._reconstruct", _numpy_array)
    TABLE[_core, "scalar"] = Name(f"{_core}.scalar", _numpy_scalar)


def _build_array(target: np.ndarray, state: Any) -> None:
    if type(state) is not tuple or len(state) != 5 or target.shape != (0,):
        raise damaged("a NumPy array in it is not described as arrays are")
    _, shape, dtype, fortran, raw = state
    if isinstance(raw, str):
        raw = raw.encode("latin-1")
    if type(shape) is not tuple or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 64:
        raise damaged("a NumPy array in it has no shape")
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biufc" or type(raw) is not bytes:
        raise damaged("a NumPy array in it is not one of numbers")
    count = 1
    for n in shape:
        count *= n
    if count * dtype.itemsize != len(raw):
        got = f"{len(raw)} bytes for shape {shape} of {dtype}"
        raise damaged("a NumPy array in it has a wrong size", got=got)
    target.__setstate__((1, shape, dtype, bool(fortran), raw))  # type: ignore[attr-defined]  # copies `raw`, no more


def _build_dtype(target: np.dtype, state: Any) -> None:
    order = state[1] if type(state) is tuple and len(state) in (8, 9) else None
    order = order.decode("latin-1") if isinstance(order, bytes) else order
    if order not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
        raise damaged("the type of a NumPy array in it is not one of numbers")
    target.__setstate__((3, order, None, None, None, -1, -1, 0))  # type: ignore[attr-defined]


def _build_generator(target: Generator, state: Any) -> None:
    if type(state) is tuple and len(state) == 3:  # seed, offset, state: PyTorch's
        state = state[2]
    if not isinstance(state, Tensor):
        raise damaged("the state of a generator in it is no tensor")
    target.set_state(wrap(state.array.copy()))


# ---- the table in use ------------------------------------------------------------------------------------------------

_SECOND_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_SECOND_TYPES = {"xrange": "range", "unicode": "str", "long": "int"}


class Table:
    """The names of one file.

    Args:
        storage: the storage that a reference in the file stands for.
        lenient: unknown classes become `Record` objects; their names are collected in `unknown`.
    """

    def __init__(self, storage: Callable[[Any], Storage], lenient: bool = False):
        self.persistent = storage
        self.lenient = lenient
        self.unknown: dict[str, None] = {}  # in the order in which they come

    def find(self, module: str, name: str) -> Any:
        """The meaning of a name; UnpicklingError if it has none."""
        if module in _SECOND_NAMES:
            module, name = _SECOND_NAMES[module], _SECOND_TYPES.get(name, name)
        found = TABLE.get((module, name))
        if found is not None:
            return found
        full = f"{module}.{name}"
        dtype = storage_dtype(module, name)
        if dtype is not None:
            return Name(full, value=dtype)
        cls = safe.REGISTERED.get(full)
        if cls is not None:
            return Name(full, lambda args: safe.called(cls, full, args), lambda args: safe.made(cls, args), cls)
        if not self.lenient:
            raise UnpicklingError(_refusal(full))
        self.unknown[full] = None
        make = lambda args: Record(full, args)
        return Name(full, make, make)

    def build(self, target: Any, state: Any) -> None:
        """Give an object its state."""
        kind = type(target)
        if kind is OrderedDict:
            _set_attributes(target, state)
        elif kind is np.ndarray:
            _build_array(target, state)
        elif isinstance(target, np.dtype):
            _build_dtype(target, state)
        elif kind is Generator:
            _build_generator(target, state)
        elif safe.is_registered(kind):
            safe.build(target, state)
        else:
            raise damaged("something in it gets a state and has none", got=kind.__name__)


class Outline(Table):
    """The names of a file whose storages are not read yet: tensors become records of what they are made from."""

    def find(self, module: str, name: str) -> Any:
        """The meaning of a name, or a maker of records."""
        if module not in ("torch._utils", "torch._tensor", "torch._C"):
            return super().find(module, name)
        make = lambda args: Record(name, args)
        return Name(f"{module}.{name}", make, make)


_PLANNED = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantized tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor of the device 'meta'",
}


def _refusal(full: str) -> str:
    """Why a name cannot be read, and the way out."""
    if full in _PLANNED:
        return message(f"load: the file holds {_PLANNED[full]}, which tapegrad does not have", got=full)
    if full.startswith("torch.") and full.count(".") == 1 and (full[6:].islower() or full.endswith("Storage")):
        return message("load: tapegrad has nothing of this name", got=full, fix="save a tensor of another dtype")
    fix = (
        "save model.state_dict() and plain values instead of objects; tapegrad.io.load_weights(file) reads the tensors "
        "of a whole saved model; torch.serialization.add_safe_globals([...]) admits a class of yours"
    )
    return message(f"load: the file holds an object of {full}, and loading reads data only", fix=fix)


def refuse_parts(value: Any) -> None:
    """Refuse a result that contains names or storages themselves, which only parts of tensors refer to."""
    pending, seen = [value], set()
    while pending:
        part = pending.pop()
        kind = part.__class__
        if kind in (str, int, float, bool, type(None)) or id(part) in seen:
            continue
        seen.add(id(part))
        if kind is Name:
            raise UnpicklingError(_refusal(part.full))
        if kind is Storage:
            what = "load: the file holds the bare storage of a tensor"
            raise UnpicklingError(message(what, fix="save the tensor instead of tensor.storage()"))
        if isinstance(part, dict):
            pending.extend(part.values())
        elif isinstance(part, (list, tuple, set, frozenset)):
            pending.extend(part)
        if kind is OrderedDict or isinstance(part, Tensor) or safe.is_registered(kind):
            pending.append(getattr(part, "__dict__", None))
