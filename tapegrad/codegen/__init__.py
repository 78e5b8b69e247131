"""Programs to machine code: scalar expressions become vector loops through LLVM, registered as NumPy ufuncs.

`codegen.jit` and the families of kernels are loaded when the first large array asks for them. Only the names of the
functions that there are for expressions are here (`vecmath.FUNCTIONS`, which a test compares): who decides whether to
ask needs no more.
"""

from importlib import import_module as _import_module
from typing import Any

FUNCTIONS = frozenset(
    "exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 sin cos tan asin acos atan atan2 sinh cosh tanh asinh "
    "acosh atanh erf erfc erfinv pow hypot".split()
)

_LATE = frozenset(  # in the order of ARCHITECTURE.md: what compiles, then the families of kernels
    "jit gemm rows norms sums attention conv conv_weight depthwise row_sums windows recurrent twister updates".split()
)


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def threads_changed() -> None:
    """Tell compiled kernels, if there are any, that another number of threads was asked for."""
    if "jit" in globals():
        globals()["jit"].set_helpers()
