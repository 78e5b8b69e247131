"""Values written as a pickle stream (protocol 2) that PyTorch's `torch.load` and ours read.

    stream, regions = pickled(obj)

Numbers, strings, containers and tensors get opcodes here, with PyTorch's names for what is PyTorch's. Any other object
is asked for its parts (`__reduce_ex__`) and written by the name of its class, as Python's pickler does; since
`torch.load` reads data only, such a class is noted in `foreign`.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from pickle import PicklingError
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from .. import devices, dtypes
from ..core.tensor import Tensor
from ..errors import message
from ..ops.random.generators import Generator
from ..shapes import Size
from .names import TABLE, TENSOR_CLASSES
from .safe import REGISTERED
from .storage import Region, Regions

Part = bytes | Callable[[], bytes]
BATCH = 1000  # elements that one APPENDS or SETITEMS takes


def pickled(obj: Any, legacy: bool = False) -> tuple[bytes, list[Region], list[str]]:
    """The stream that describes `obj`, the storages it refers to, and the names of classes that loading will refuse.

    Args:
        obj: any value.
        legacy: whether references to storages are those of PyTorch's older format, which have one more field.

    Raises:
        PicklingError: a class or function in it cannot be found by its name.
    """
    emitter = _Emitter(legacy)
    emitter.parts.append(b"\x80\x02")
    try:
        emitter.save(obj)
    except RecursionError:
        raise PicklingError(message("save: the value is nested too deeply, or a tuple contains itself")) from None
    emitter.parts.append(b".")
    stream = b"".join(part if isinstance(part, bytes) else part() for part in emitter.parts)
    return stream, list(emitter.regions.of.values()), emitter.foreign


# ---- opcodes of simple values ----------------------------------------------------------------------------------------


def integer(n: int) -> bytes:
    """An int."""
    if 0 <= n < 256:
        return struct.pack("<cB", b"K", n)
    if 0 <= n < 65536:
        return struct.pack("<cH", b"M", n)
    if -(2**31) <= n < 2**31:
        return struct.pack("<ci", b"J", n)
    raw = n.to_bytes((n.bit_length() + 8) // 8, "little", signed=True)
    return (
        struct.pack("<cB", b"\x8a", len(raw)) + raw if len(raw) < 256 else struct.pack("<cI", b"\x8b", len(raw)) + raw
    )


def text(s: str) -> bytes:
    """A str."""
    raw = s.encode("utf-8", "surrogatepass")
    return struct.pack("<cI", b"X", len(raw)) + raw


def integers(numbers: Iterable[int]) -> bytes:
    """A tuple of ints."""
    parts = [integer(n) for n in numbers]
    if len(parts) <= 3:
        return b"".join(parts) + (b")", b"\x85", b"\x86", b"\x87")[len(parts)]
    return b"(" + b"".join(parts) + b"t"


def name(module: str, name: str) -> bytes:
    """A global name."""
    return f"c{module}\n{name}\n".encode()


_EMPTY = name("collections", "OrderedDict") + b")R"
_OLD_MODULES = {"builtins": "__builtin__", "copyreg": "copy_reg"}  # Python 3's own pickler writes them so in protocol 2


class _Emitter:
    """The stream so far; a part that is a function is called at the end, when the storages are known."""

    def __init__(self, legacy: bool):
        self.legacy = legacy
        self.parts: list[Part] = []
        self.memo: dict[int, int] = {}
        self.kept: list[Any] = []  # alive, so that no id is used twice
        self.regions = Regions()
        self.foreign: list[str] = []

    def save(self, obj: Any) -> None:
        """Write a value, or a reference to it if it was written before."""
        write = _WRITERS.get(type(obj))
        if write is None:
            write = _Emitter.write_tensor if isinstance(obj, Tensor) else _Emitter.write_object
        elif write in _SIMPLE:
            self.parts.append(write(obj))
            return
        number = self.memo.get(id(obj))
        if number is None:
            write(self, obj)
        elif number < 256:
            self.parts.append(struct.pack("<cB", b"h", number))
        else:
            self.parts.append(struct.pack("<cI", b"j", number))

    def remember(self, obj: Any) -> None:
        """Number the value on top of the stack, so that later uses refer to it."""
        number = self.memo[id(obj)] = len(self.memo)
        self.kept.append(obj)
        self.parts.append(struct.pack("<cB", b"q", number) if number < 256 else struct.pack("<cI", b"r", number))

    def call(self, module: str, function: str, *args: Any) -> None:
        """A call of a named function."""
        self.parts.append(name(module, function))
        self.arguments(args)
        self.parts.append(b"R")

    def arguments(self, args: tuple) -> None:
        self.parts.append(b"(")
        for arg in args:
            self.save(arg)
        self.parts.append(b"t")

    # ---- containers ----

    def write_tuple(self, obj: tuple) -> None:
        if not obj:
            self.parts.append(b")")
            return
        self.parts.append(b"(")
        for value in obj:
            self.save(value)
        self.parts.append(b"t")
        if id(obj) not in self.memo:
            self.remember(obj)

    def write_list(self, obj: list) -> None:
        self.parts.append(b"]")
        self.remember(obj)
        self.elements(obj)

    def elements(self, obj: Iterable[Any]) -> None:
        values = list(obj)
        for start in range(0, len(values), BATCH):
            self.parts.append(b"(")
            for value in values[start : start + BATCH]:
                self.save(value)
            self.parts.append(b"e")

    def write_dict(self, obj: dict) -> None:
        self.parts.append(b"}")
        self.remember(obj)
        self.entries(obj.items())

    def entries(self, items: Iterable[tuple[Any, Any]]) -> None:
        pairs = list(items)
        for start in range(0, len(pairs), BATCH):
            self.parts.append(b"(")
            for key, value in pairs[start : start + BATCH]:
                self.save(key)
                self.save(value)
            self.parts.append(b"u")

    def write_ordered(self, obj: OrderedDict) -> None:
        self.parts.append(_EMPTY)
        self.remember(obj)
        self.entries(obj.items())
        if obj.__dict__:  # `_metadata` of a module's state
            self.save(dict(obj.__dict__))
            self.parts.append(b"b")

    def write_counter(self, obj: Counter) -> None:
        self.call("collections", "Counter", dict(obj))
        self.remember(obj)

    def write_defaultdict(self, obj: defaultdict) -> None:
        self.call("collections", "defaultdict", obj.default_factory)
        self.remember(obj)
        self.entries(obj.items())

    def write_set(self, obj: Any) -> None:
        self.call("__builtin__", type(obj).__name__, list(obj))
        self.remember(obj)

    def write_bytearray(self, obj: bytearray) -> None:
        self.call("__builtin__", "bytearray", bytes(obj))
        self.remember(obj)

    # ---- tensors ----

    def write_tensor(self, t: Tensor) -> None:
        """A tensor as PyTorch writes it: a window onto a storage, with the class and the attributes around it."""
        role = next((role for role, cls in TENSOR_CLASSES.items() if type(t) is cls), "")
        attributes = dict(t.__dict__)
        if role == "parameter":
            self.parts.append(name("torch._utils", f"_rebuild_parameter{'_with_state' if attributes else ''}") + b"(")
            self.window(t, False)
            self.parts.append((b"\x88" if t.requires_grad else b"\x89") + _EMPTY)
            if attributes:
                self.save(attributes)
            self.parts.append(b"tR")
        elif role == "buffer" or attributes or type(t) is not Tensor:
            if role == "buffer":
                attributes["_is_buffer"] = True
            self.parts.append(name("torch._tensor", "_rebuild_from_type_v2") + b"(")
            self.window(t, t.requires_grad, bare=True)
            self.save(attributes)
            self.parts.append(b"tR")
        else:
            self.window(t, t.requires_grad)
        self.remember(t)

    def window(self, t: Tensor, grad: bool, bare: bool = False) -> None:
        """The call that makes the tensor, or with `bare` its function, the class, and its arguments."""
        region, start, steps = self.regions.window(t)
        dtype, shape = t.dtype, tuple(t.array.shape)
        plain = type(t) is Tensor or type(t) in TENSOR_CLASSES.values()

        def render() -> bytes:
            untyped = region.class_name == "UntypedStorage"
            storage = name("torch", region.class_name)
            if untyped:  # PyTorch cannot read untyped storages in its older format
                storage = name("torch", "ByteStorage") if self.legacy else name("torch.storage", "UntypedStorage")
            reference = text("storage") + storage + text(region.key) + text("cpu") + integer(region.count)
            offset = (start - region.start) // dtype.itemsize if t.array.size else 0
            reference += b"N" if self.legacy else b""
            window = integer(offset) + integers(shape) + integers(steps) + (b"\x88" if grad else b"\x89") + _EMPTY
            return b"((" + reference + b"tQ" + window + (name("torch", dtype.name) if untyped else b"") + b"t"

        def function() -> bytes:
            return name("torch._utils", f"_rebuild_tensor_v{3 if region.class_name == 'UntypedStorage' else 2}")

        self.parts.append(function)
        if bare:
            if plain:
                self.parts.append(name("torch", "Tensor"))
            else:
                self.reference(type(t))
        self.parts.append(render)
        if not bare:
            self.parts.append(b"R")

    def write_generator(self, obj: Generator) -> None:
        self.call("torch._C", "Generator", devices.CPU)
        self.remember(obj)
        self.write_tuple((obj.initial_seed(), None, obj.get_state()))
        self.parts.append(b"b")

    # ---- everything else, by name ----

    def reference(self, obj: Any) -> None:
        """A class or function, by its name."""
        module, qualname = getattr(obj, "__module__", None), getattr(obj, "__qualname__", "<no name>")
        found = sys.modules.get(str(module))
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if found is not obj:
            what = f"save: {module}.{qualname} is not found under its own name"
            raise PicklingError(message(what, fix="save plain values and tensors, such as model.state_dict()"))
        self.reference_by_name(str(module), qualname)

    def reference_by_name(self, module: str, qualname: str) -> None:
        """The name of a class or function; `save` tells the user of those that `load` will refuse."""
        full = f"{module}.{qualname}"
        if (module, qualname) not in TABLE and full not in REGISTERED and full not in self.foreign:
            self.foreign.append(full)
        self.parts.append(name(_OLD_MODULES.get(module, module), qualname))

    def write_object(self, obj: Any) -> None:
        """An object of any class: the function that makes it, its arguments, its state."""
        if isinstance(obj, (type, FunctionType, BuiltinFunctionType)):
            self.reference(obj)
            return
        if isinstance(obj, (np.ndarray, np.generic)) and obj.dtype.kind not in "biufc":
            self.foreign.append(f"{type(obj).__name__} of {obj.dtype}")
        if isinstance(obj, tuple) and type(obj).__module__ == "torch.return_types":
            self.reference_by_name("torch.return_types", type(obj).__name__)
            self.arguments((tuple(obj), {}))
            self.parts.append(b"R")
            self.remember(obj)
            return
        reduced: Any = obj.__reduce_ex__(2)
        if isinstance(reduced, str):
            self.reference(obj)
            return
        function, args, state, elements, entries = [*reduced, None, None, None][:5]
        if getattr(function, "__name__", "") == "__newobj__":
            self.reference(args[0])
            self.arguments(args[1:])
            self.parts.append(b"\x81")
        else:
            self.reference(function)
            self.arguments(args)
            self.parts.append(b"R")
        if id(obj) not in self.memo:
            self.remember(obj)
        if elements is not None:
            self.elements(elements)
        if entries is not None:
            self.entries(entries)
        if state is not None:
            self.save(state)
            self.parts.append(b"b")


def _small(*args: Any) -> bytes:
    """A call with strings and numbers."""
    return b"(" + b"".join(_SMALL[type(arg)](arg) for arg in args) + b"tR"


_SMALL: dict[type, Callable[[Any], bytes]] = {
    str: text,
    int: integer,
    float: lambda x: struct.pack(">cd", b"G", x),
    bool: lambda x: b"\x88" if x else b"\x89",
    type(None): lambda x: b"N",
}
_WRITERS: dict[type, Any] = {
    **_SMALL,
    bytes: lambda x: name("_codecs", "encode") + _small(x.decode("latin-1"), "latin1"),
    complex: lambda x: name("__builtin__", "complex") + _small(x.real, x.imag),
    range: lambda x: name("__builtin__", "xrange") + _small(x.start, x.stop, x.step),
    type(...): lambda x: name("__builtin__", "Ellipsis"),
    dtypes.dtype: lambda x: name("torch", x.name),
    devices.memory_format: lambda x: name("torch", x.name),
    devices.layout: lambda x: name("torch.serialization", "_get_layout") + _small(f"torch.{x.name}"),
    devices.device: lambda x: (
        name("torch", "device") + (_small(x.type) if x.index is None else _small(x.type, x.index))
    ),
    Size: lambda x: name("torch", "Size") + integers(x) + b"\x85R",
}  # fmt: skip
_SIMPLE = frozenset(_WRITERS.values())  # these give bytes; the ones below write them
_WRITERS |= {
    list: _Emitter.write_list,
    tuple: _Emitter.write_tuple,
    dict: _Emitter.write_dict,
    set: _Emitter.write_set,
    frozenset: _Emitter.write_set,
    bytearray: _Emitter.write_bytearray,
    OrderedDict: _Emitter.write_ordered,
    Counter: _Emitter.write_counter,
    defaultdict: _Emitter.write_defaultdict,
    Generator: _Emitter.write_generator,
}
