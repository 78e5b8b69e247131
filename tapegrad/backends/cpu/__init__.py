"""The CPU device: NumPy arrays in, NumPy arrays out.

`from ..backends.cpu import conv` gives a module that is read when a name of it is first asked for: a program uses the
kernels of a few families, and reading all forty files would take an eighth of `import tapegrad`.
"""

from _thread import RLock as _RLock  # `threading` would take 0.6 ms
from importlib.util import find_spec as _find_spec
from importlib.util import module_from_spec as _module_from_spec
from sys import modules as _modules
from types import ModuleType as _ModuleType
from typing import Any as _Any


class _Late(_ModuleType):
    """A module that has not been read; when a name is asked for it is read and becomes an ordinary one.

    Another thread that asks meanwhile waits until all of it is there. Each module has a lock of its own and modules
    import each other without cycles, so no two threads wait for one another.
    """

    def __getattribute__(self, name: str) -> _Any:
        spec = _ModuleType.__getattribute__(self, "__spec__")
        with spec.loader_state["lock"]:
            if not spec.loader_state["begun"]:
                spec.loader_state["begun"] = True  # what follows asks for names itself
                try:
                    spec.loader.exec_module(self)
                except BaseException:
                    spec.loader_state["begun"] = False
                    raise
                self.__class__ = _ModuleType
        return _ModuleType.__getattribute__(self, name)


def __getattr__(name: str) -> _ModuleType:
    full = f"{__name__}.{name}"
    if full not in _modules:
        spec = None if name.startswith("__") else _find_spec(full)
        if spec is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _module_from_spec(spec)
        spec.loader_state = {"lock": _RLock(), "begun": False}
        module.__class__ = _Late
        _modules.setdefault(full, module)  # of two threads that are here at once, one makes the module
    return globals().setdefault(name, _modules[full])
