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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import modes
from ..ir import expr
from . import llvm, pool
from .routine import Routine, entry, module

VERSION = 2  # of what follows from a program's text: raise it when the machine code would differ
MAGIC = b"tapegrad kernel\n"
_TYPES: dict[str, np.dtype] = {"float": np.dtype(np.float32), "double": np.dtype(np.float64), "i1": np.dtype(np.bool_)}
NAMES = {dtype: name for name, dtype in _TYPES.items()}
_lock = threading.RLock()
_kept: list[Any] = []  # what NumPy points into: the ufuncs live as long as the process


def _forget() -> None:
    """In a forked process nobody is left to give the lock back, or to help: kernels run on one thread."""
    global _lock
    _lock = threading.RLock()
    _helpers.clear()
    if _pool_at:
        ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int)(_pool_at[pool.LIMIT])(0, 1)


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
        binding.initialize_native_asmparser()
        self.binding = binding
        self.triple = binding.get_process_triple()
        target = binding.Target.from_triple(self.triple)
        self.target = target.create_target_machine(cpu=name, features=features, opt=2, reloc="pic", codemodel="small")
        # With `use_lmm` code and constants lie side by side, as the small code model takes for granted.
        self.engine = binding.create_mcjit_compiler(binding.parse_assembly(""), self.target, use_lmm=True)
        self.lanes = {"float": 16 if wide else 8, "double": 8 if wide else 4}
        self.tuning = binding.create_pipeline_tuning_options()
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


def lanes(type: str) -> int:
    """How many numbers ("float" or "double") a vector of this machine has, which must be `available`."""
    machine = _machine()
    assert machine is not None
    return machine.lanes[type]


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


def compile_module(text: str, function: str, symbol: str = "", passes: bool = False) -> int:
    """The address of a function of a module, from the cache or newly compiled.

    Args:
        text: the module.
        function: its name there.
        symbol: its name among all that is loaded, where other modules call it.
        passes: whether LLVM is to improve the text first: variables to registers, fewer branches and instructions.
    """
    machine = _machine()
    assert machine is not None
    name = hashlib.sha256(f"{machine.key} {passes}\n{text}".encode()).hexdigest()[:40]
    symbol = symbol or f"tapegrad_{name}"
    with _lock:
        if symbol in machine.loaded:
            return machine.loaded[symbol]
        code = _read(name)
        if code is None:
            code = _emit(machine, text.replace(f"@{function}(", f"@{symbol}("), passes)
            _write(name, code)
        machine.engine.add_object_file(machine.binding.ObjectFileRef.from_data(code))
        machine.engine.finalize_object()
        machine.loaded[symbol] = machine.engine.get_function_address(symbol)
        return machine.loaded[symbol]


def _emit(machine: _Machine, text: str, passes: bool) -> bytes:
    module = machine.binding.parse_assembly(f'target triple = "{machine.triple}"\n{text}')
    module.data_layout = str(machine.target.target_data)
    module.verify()
    if passes:  # these three: all that LLVM would do takes ten times as long, and no step of a network is faster for it
        improve = machine.binding.create_new_module_pass_manager()
        improve.add_sroa_pass()
        improve.add_simplify_cfg_pass()
        improve.add_instruction_combine_pass()
        improve.run(module, machine.binding.create_pass_builder(machine.target, machine.tuning))
    return machine.target.emit_object(module)


def compile_routine(text: str, needs: Mapping[str, str], function: str) -> int | None:
    """The address of the public function of a `routine.module`; None if this machine cannot have it."""
    if not available():
        return None
    with _lock:
        try:
            for name, needed in needs.items():
                if name == pool.SYMBOL:
                    _start_pool()
                else:
                    compile_module(needed, name, name)
            return compile_module(text, function, passes=True)
        except (RuntimeError, OSError):  # LLVM does not know what is asked of it here
            return None


def function(routines: Sequence[Routine], kinds: Sequence[Any]) -> Callable[..., None] | None:
    """The first of some routines as a Python function of addresses and numbers; it runs without the interpreter's lock.

    Args:
        routines: a public one, then those that it calls.
        kinds: the `ctypes` type of each of its parameters.
    """
    text, needs = module(*routines)
    address = compile_routine(text, needs, routines[0].symbol)
    return None if address is None else ctypes.CFUNCTYPE(None, *kinds)(address)


def gufunc(
    routines: Sequence[Routine], signature: str, dtypes: Sequence[Any], results: int = 1, name: str = "kernel"
) -> np.ufunc | None:
    """A generalised ufunc whose inner loop is the first of some routines; None if this machine cannot have it.

    Args:
        routines: a public one of (args, dims, steps), as NumPy passes them, then those that it calls.
        signature: of the dimensions, such as "(n),()->(n)". Sizes are `dims[1:]` (`dims[0]` counts the outer loop);
            `steps` are first each operand's step of the outer loop, then those of its own dimensions.
        dtypes: of the operands, then of the results. An operand of another dtype is converted if that loses nothing.
        results: how many of them are results.
        name: the name it shows.
    """
    wrapped = entry(routines[0])
    text, needs = module(wrapped, *routines)
    address = compile_routine(text, needs, wrapped.symbol)
    if address is None:
        return None
    return _register(address, None, [np.dtype(d) for d in dtypes], name, signature, results, signature)


# ---- threads that help -----------------------------------------------------------------------------------------------

_helpers: list[threading.Thread] = []
_pool_at: dict[str, int] = {}  # the addresses of the pool's functions, once it is there


def set_helpers() -> None:
    """Have as many threads help with shared work as `modes.num_threads` says; the first such kernel starts them."""
    with _lock:
        if _pool_at:
            _run_pool()


def _start_pool() -> None:
    """Load the pool, the first time; called with the lock held."""
    machine = _machine()
    assert machine is not None
    if pool.SYMBOL not in _pool_at:
        _pool_at[pool.SYMBOL] = compile_module(pool.TEXT, pool.SYMBOL, pool.SYMBOL, passes=True)
        for name in (pool.WORKER, pool.LIMIT):
            _pool_at[name] = machine.engine.get_function_address(name)
        _run_pool()


def _run_pool() -> None:
    """Tell the helpers how many there are to be, and start those that are missing."""
    wanted = modes.num_threads() - 1
    limit = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int)(_pool_at[pool.LIMIT])
    limit(wanted, 0)
    for thread in _helpers[wanted:]:
        thread.join()
    del _helpers[wanted:]
    work = ctypes.CFUNCTYPE(None, ctypes.c_int)(_pool_at[pool.WORKER])
    while len(_helpers) < wanted:
        thread = threading.Thread(target=work, args=(len(_helpers),), name="tapegrad helper", daemon=True)
        thread.start()
        _helpers.append(thread)


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
            _start_pool()
            loop = compile_module(llvm.driver([*types, program.result], machine.lanes[NAMES[real]]), "kernel")
        except (RuntimeError, OSError):  # LLVM does not know what is asked of it here
            return None
    return _register(loop, body, [*dtypes, _TYPES[program.result]], f"kernel({', '.join(parameters)})", expr.show(root))


@functools.cache
def _constructors() -> tuple[Any, Any]:
    """`PyUFunc_FromFuncAndData` and `PyUFunc_FromFuncAndDataAndSignature`: entries 1 and 31 of NumPy's C interface."""
    capsule = np._core._multiarray_umath._UFUNC_API  # type: ignore[attr-defined]
    read = ctypes.pythonapi.PyCapsule_GetPointer
    read.restype, read.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(read(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    arguments = (pointer, pointer, pointer, number, number, number, number, text, text, number)
    plain = ctypes.PYFUNCTYPE(ctypes.py_object, *arguments)(table[1])
    return plain, ctypes.PYFUNCTYPE(ctypes.py_object, *arguments, text)(table[31])


def _register(
    loop: int, body: int | None, dtypes: list[np.dtype], name: str, doc: str, results: int = 1, signature: str = ""
) -> np.ufunc:
    """A ufunc with one loop, of operands, then results; with a signature, of arrays rather than of elements."""
    loops, data = (ctypes.c_void_p * 1)(loop), (ctypes.c_void_p * 1)(body)
    types = (ctypes.c_char * len(dtypes))(*[bytes([d.num]) for d in dtypes])
    words = [ctypes.c_char_p(text.encode()) for text in (name, doc, signature)]
    counts = 1, len(dtypes) - results, results, -1  # loops, operands, results, no identity
    plain, general = _constructors()
    addresses = [ctypes.addressof(a) for a in (loops, data, types)]
    if signature:
        made = general(*addresses, *counts, *words[:2], 0, words[2])
    else:
        made = plain(*addresses, *counts, *words[:2], 0)
    _kept.append((loops, data, types, words, made))
    return made
