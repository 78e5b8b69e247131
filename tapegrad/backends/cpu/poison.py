"""Memory that shows its misuse: `TAPEGRAD_DEBUG=poison` fills what NumPy's arrays get and what they give back.

A kernel that reads what it should have written, or writes what nobody reads, passes its tests as long as the memory
happens to hold zeros or the numbers of the call before. In this mode all bytes of new and of freed arrays are 0xFF: NaN
in every floating type, -1 in integers; so is the memory that generated routines have of their own (`Routine.room`).
Only what is asked for as zeros is zero. It costs a pass over all memory.

The functions that allocate are generated code, since an array that outlives the interpreter's modules is freed too; so
it needs llvmlite. NumPy asks the handler of the thread's context: arrays that other Python threads make are as usual.

Reference: NumPy C-API, "Memory management in NumPy" (NEP 49).
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ...codegen import jit
from ...codegen.routine import FILL
from ...errors import message

_FILL = f'call {{ ptr, i64 }} asm sideeffect "{FILL}"'
_PLACES = ("malloc", "calloc", "realloc", "free")  # of the C library, whose addresses are in the context
_MODULES = {
    "tapegrad_new": f"""
define ptr @tapegrad_new(ptr %context, i64 %size) {{
  %malloc = load ptr, ptr %context
  %given = call ptr %malloc(i64 %size)
  %none = icmp eq ptr %given, null
  br i1 %none, label %end, label %fill
fill:
  %filled = {_FILL}(i8 -1, ptr %given, i64 %size)
  br label %end
end:
  ret ptr %given
}}
""",
    "tapegrad_zeros": """
define ptr @tapegrad_zeros(ptr %context, i64 %count, i64 %size) {
  %place = getelementptr ptr, ptr %context, i64 1
  %calloc = load ptr, ptr %place
  %given = call ptr %calloc(i64 %count, i64 %size)
  ret ptr %given
}
""",
    "tapegrad_more": """
define ptr @tapegrad_more(ptr %context, ptr %old, i64 %size) {
  %place = getelementptr ptr, ptr %context, i64 2
  %realloc = load ptr, ptr %place
  %given = call ptr %realloc(ptr %old, i64 %size)
  ret ptr %given
}
""",
    "tapegrad_free": f"""
define void @tapegrad_free(ptr %context, ptr %old, i64 %size) {{
  %none = icmp eq ptr %old, null
  br i1 %none, label %end, label %fill
fill:
  %filled = {_FILL}(i8 -1, ptr %old, i64 %size)
  %place = getelementptr ptr, ptr %context, i64 3
  %free = load ptr, ptr %place
  call void %free(ptr %old)
  br label %end
end:
  ret void
}}
""",
}
SET_HANDLER = 304  # of NumPy's C interface


class _Handler(ctypes.Structure):
    """NumPy's `PyDataMem_Handler`."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("malloc", "calloc", "realloc", "free")),
    ]


_installed: list[Any] = []  # what NumPy points to


def poison() -> None:
    """Have all arrays that this thread makes from now on filled with NaN, at first and when they are freed.

    Raises:
        RuntimeError: there is no code generation here.

    >>> import numpy as np
    >>> from tapegrad.backends.cpu import poison
    >>> poison.poison()  # doctest: +SKIP
    >>> np.empty(2)  # doctest: +SKIP
    array([nan, nan])
    """
    if _installed:
        return
    if not jit.available():
        what = "TAPEGRAD_DEBUG=poison needs generated code"
        raise RuntimeError(message(what, fix="pip install tapegrad[fast], and leave TAPEGRAD_FAST alone"))
    functions = [jit.compile_module(text, name, name) for name, text in _MODULES.items()]
    library = ctypes.CDLL(None)
    context = (ctypes.c_void_p * 4)(*(ctypes.cast(getattr(library, f), ctypes.c_void_p).value for f in _PLACES))
    handler = _Handler(b"tapegrad poison", 1, ctypes.addressof(context), *functions)
    name = ctypes.c_char_p(b"mem_handler")
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    read = ctypes.pythonapi.PyCapsule_GetPointer
    read.restype, read.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    interface = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    table = ctypes.cast(read(interface, None), ctypes.POINTER(ctypes.c_void_p))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_HANDLER])
    before = set_handler(capsule(ctypes.addressof(handler), name, None))
    _installed.append(before)
    for kept in (handler, context, name, jit._machine()):  # arrays are freed after modules are
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
