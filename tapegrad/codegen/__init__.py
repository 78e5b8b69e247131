"""Programs to machine code: scalar expressions become vector loops through LLVM, registered as NumPy ufuncs.

`codegen.jit` is loaded when the first large array asks for it.
"""

from importlib import import_module as _import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "jit":
        return _import_module(f"{__name__}.jit")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
