"""Expressions to NumPy ufuncs: compile, keep on disk, register. The only place that imports llvmlite, when first asked.

A generated loop becomes a real ufunc through NumPy's C interface, so a call costs what `np.add` costs, and
broadcasting, `out=` and the release of the interpreter's lock come with it.

Compiled kernels are kept in a folder of the user's (`TAPEGRAD_CACHE`, else the platform's cache folder), each under a
hash of its program, the processor, LLVM and this code's version, beside a checksum. A file that is damaged is made
again; a folder that cannot be written is ignored; writers do not disturb each other, as files appear by renaming.

`TAPEGRAD_FAST=0` turns all this off. So does a machine other than a Linux x86-64 with AVX2 and FMA, the only kind this
was tried on; NumPy serves there.

References: NumPy C-API, "PyUFunc_FromFuncAndData"; llvmlite's documentation of `llvmlite.binding`.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import platform
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..ir import expr
from . import llvm

VERSION = 1  # of what follows from a program's text: raise it when the machine code would differ
MAGIC = b"tapegrad kernel\n"
_TYPES: dict[str, np.dtype] = {"float": np.dtype(np.float32), "double": np.dtype(np.float64), "i1": np.dtype(np.bool_)}
NAMES = {dtype: name for name, dtype in _TYPES.items()}
_lock = threading.RLock()
_kept: list[Any] = []  # what NumPy points into: the ufuncs live as long as the process


def _forget() -> None:
    """In a forked process nobody is left to give the lock back."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


# ---- what this machine has -------------------------------------------------------------------------------------------


@functools.cache
def available() -> bool:
    """Whether kernels can be generated: llvmlite is installed, the machine is known, and they are not turned off."""
    if os.environ.get("TAPEGRAD_FAST", "1") == "0":
        return False
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64" or sys.maxsize < 2**32:
        return False
    if sys.implementation.name != "cpython" or importlib.util.find_spec("llvmlite") is None:
        return False
    try:
        with _lock:
            return _machine() is not None
    except Exception:  # an llvmlite that cannot be loaded, or knows less of LLVM than is asked for here
        return False


class _Machine:
    """LLVM for the processor at hand."""

    def __init__(self, binding: Any, name: str, features: str, wide: bool):
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        self.binding = binding
        self.triple = binding.get_process_triple()
        target = binding.Target.from_triple(self.triple)
        self.target = target.create_target_machine(cpu=name, features=features, opt=2, reloc="pic", codemodel="small")
        # With `use_lmm` code and constants lie side by side, as the small code model takes for granted.
        self.engine = binding.create_mcjit_compiler(binding.parse_assembly(""), self.target, use_lmm=True)
        self.lanes = {"float": 16 if wide else 8, "double": 8 if wide else 4}
        self.loaded: dict[str, int] = {}
        version = ".".join(map(str, binding.llvm_version_info))
        self.key = f"{VERSION} {self.triple} {name} {features} {version} {np.__version__}"


@functools.cache
def _machine() -> _Machine | None:
    import llvmlite.binding as binding

    name, found = binding.get_host_cpu_name(), binding.get_host_cpu_features()
    if not (found.get("avx2") and found.get("fma")):
        return None
    return _Machine(binding, name, found.flatten(), wide=bool(found.get("avx512f") and found.get("avx512dq")))


# ---- the cache -------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    given = os.environ.get("TAPEGRAD_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tapegrad" / "kernels"


def _read(name: str) -> bytes | None:
    """A kernel from the cache; None if there is none, or what is there is not whole."""
    try:
        content = (cache_folder() / name).read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    head = len(MAGIC) + 32
    if content[: len(MAGIC)] != MAGIC or hashlib.sha256(content[head:]).digest() != content[len(MAGIC) : head]:
        return None
    return content[head:]


def _write(name: str, code: bytes) -> None:
    """Keep a kernel, if that is possible."""
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = folder / f"{name}.{os.getpid()}.{threading.get_ident()}"
        try:
            temporary.write_bytes(MAGIC + hashlib.sha256(code).digest() + code)
            os.replace(temporary, folder / name)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError):
        pass


# ---- compiling -------------------------------------------------------------------------------------------------------


def compile_module(text: str, function: str, symbol: str = "") -> int:
    """The address of a function of a module, from the cache or newly compiled.

    Args:
        text: the module.
        function: its name there.
        symbol: its name among all that is loaded, where other modules call it.
    """
    machine = _machine()
    assert machine is not None
    name = hashlib.sha256(f"{machine.key}\n{text}".encode()).hexdigest()[:40]
    symbol = symbol or f"tapegrad_{name}"
    with _lock:
        if symbol in machine.loaded:
            return machine.loaded[symbol]
        code = _read(name)
        if code is None:
            code = _emit(machine, text.replace(f"@{function}(", f"@{symbol}("))
            _write(name, code)
        machine.engine.add_object_file(machine.binding.ObjectFileRef.from_data(code))
        machine.engine.finalize_object()
        machine.loaded[symbol] = machine.engine.get_function_address(symbol)
        return machine.loaded[symbol]


def _emit(machine: _Machine, text: str) -> bytes:
    module = machine.binding.parse_assembly(f'target triple = "{machine.triple}"\n{text}')
    module.data_layout = str(machine.target.target_data)
    module.verify()
    return machine.target.emit_object(module)


def ufunc(root: expr.Expr, parameters: Sequence[str], dtypes: Sequence[np.dtype], real: np.dtype) -> np.ufunc | None:
    """The ufunc that computes an expression; None where there is no code for it.

    Args:
        root: the expression.
        parameters: its variables, in the order of the operands.
        dtypes: of the operands; float32, float64 or bool.
        real: of the numbers of the formula: float32 or float64.
    """
    if len(parameters) > llvm.MOST or not available():
        return None
    machine = _machine()
    assert machine is not None
    types = [NAMES[d] for d in dtypes]
    try:
        program = llvm.lower(root, parameters, types, NAMES[real], machine.lanes[NAMES[real]])
    except llvm.Unsupported:
        return None
    if program.result != NAMES[real]:
        return None  # truth values: NumPy is as fast
    with _lock:
        try:
            for name, text in program.needs.items():
                compile_module(text, name, name)
            body = compile_module(program.text, "body")
            loop = compile_module(llvm.driver([*types, program.result], machine.lanes[NAMES[real]]), "kernel")
        except (RuntimeError, OSError):  # LLVM does not know what is asked of it here
            return None
    return _register(loop, body, [*dtypes, _TYPES[program.result]], f"kernel({', '.join(parameters)})", expr.show(root))


@functools.cache
def _constructor() -> Any:
    """`PyUFunc_FromFuncAndData` of NumPy's C interface: the second entry of its table."""
    capsule = np._core._multiarray_umath._UFUNC_API  # type: ignore[attr-defined]
    read = ctypes.pythonapi.PyCapsule_GetPointer
    read.restype, read.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(read(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    arguments = (pointer, pointer, pointer, number, number, number, number, text, text, number)
    return ctypes.PYFUNCTYPE(ctypes.py_object, *arguments)(table[1])


def _register(loop: int, body: int, dtypes: list[np.dtype], name: str, doc: str) -> np.ufunc:
    """A ufunc with one loop: its operands, then its result."""
    loops, data = (ctypes.c_void_p * 1)(loop), (ctypes.c_void_p * 1)(body)
    types = (ctypes.c_char * len(dtypes))(*[bytes([d.num]) for d in dtypes])
    words = ctypes.c_char_p(name.encode()), ctypes.c_char_p(doc.encode())
    no_identity = -1
    made = _constructor()(
        *(ctypes.addressof(a) for a in (loops, data, types)), 1, len(dtypes) - 1, 1, no_identity, *words, 0
    )
    _kept.append((loops, data, types, words, made))
    return made
