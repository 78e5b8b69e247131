"""Runs an existing PyTorch program unmodified: `import torch` and `import torchvision` are answered with tapegrad.

    install()                          sys.modules["torch"] is tapegrad, from now on
    run_script("train.py", ["--lr", "0.1"])

The one invariant: a module is executed once, whatever name it is imported by; `torch.nn` and `tapegrad.nn` are the
same object. In everything else a program behaves as under `python train.py`: `sys.argv`, `__main__`, `sys.path[0]`,
exit codes, worker processes. Tracebacks begin in the program and end in its last line: the frames of this launcher
and those inside tapegrad below that line are left out (`TAPEGRAD_FULL_TRACEBACK=1` shows them).
"""

from __future__ import annotations

import builtins
import importlib
import io
import linecache
import os
import pkgutil
import runpy
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

ALIASES = {"torch": "tapegrad", "torchvision": "tapegrad.vision"}
FULL_TRACEBACK = "TAPEGRAD_FULL_TRACEBACK"

# ---- `import torch` -------------------------------------------------------------------------------------------------


class _AliasLoader:
    """Hands out a module that exists already, under a second name."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import system has put the alias's in its place


class AliasFinder:
    """A `sys.meta_path` entry that answers imports of `alias` and `alias.x.y` with the modules of its target.

    A module that the target lacks is a ModuleNotFoundError here and now: nothing falls through to an installed
    package of the alias's name.
    """

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self.aliases = dict(aliases)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The import system's question; None for names that are not ours."""
        if name.startswith("multiprocessing.popen_"):
            _follow_into_workers(self.aliases)
        top, owner = name.partition(".")[0], self.aliases.get(name.partition(".")[0])
        if owner is None:
            return None
        above, _, leaf = name.rpartition(".")
        parent = importlib.import_module(above) if above else None  # imported already, under both names
        real = f"{parent.__name__}.{leaf}" if parent else owner
        module = _find(real, parent, leaf)
        if module is None:
            # importlib.util.find_spec("torch.x") asks whether there is such a module: the answer is no, not an error.
            if name != top and sys._getframe(2).f_globals.get("__name__") == "importlib.util":
                return None
            text = f"No module named {name!r}: {owner.partition('.')[0]} does not have it ({real})"
            raise ModuleNotFoundError(text, name=name)
        # Always a package: then the import system asks for what is below it too, and a plain module that is an
        # attribute of a plain module (`import torch.linalg.x`) is found, or missed with our message.
        spec = ModuleSpec(name, _AliasLoader(module), is_package=True)  # type: ignore[arg-type]
        spec.origin = getattr(module, "__file__", None)
        return spec


def _find(real: str, parent: ModuleType | None, leaf: str) -> ModuleType | None:
    """The module called `real`: a file of that name, or a module of ours that `parent` has as an attribute."""
    try:
        return importlib.import_module(real)
    except ModuleNotFoundError as error:
        if error.name is None or not (real + ".").startswith(error.name + "."):
            raise  # the module is there, and misses another one
    found = getattr(parent, leaf, None)
    ours = isinstance(found, ModuleType) and found.__name__.partition(".")[0] == real.partition(".")[0]
    return found if ours else None


def install(aliases: Mapping[str, str] = ALIASES) -> AliasFinder:
    """Answer imports of the names in `aliases` with their targets from now on, in worker processes too."""
    for finder in sys.meta_path:
        if isinstance(finder, AliasFinder) and finder.aliases == dict(aliases):
            return finder
    for name in [n for n in sys.modules if n.partition(".")[0] in aliases]:
        del sys.modules[name]  # a really installed package of that name, imported before us
    finder = AliasFinder(aliases)
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    for alias, target in aliases.items():
        if "." not in target:
            sys.modules[alias] = importlib.import_module(target)
    if any(name.startswith("multiprocessing.popen_") for name in sys.modules):
        _follow_into_workers(finder.aliases)
    return finder


class _Install:
    """Unpickling it installs the aliases: the one thing a worker process does before it imports the program."""

    def __init__(self, aliases: dict[str, str]) -> None:
        self.aliases = aliases

    def __reduce__(self) -> tuple[Callable[..., object], tuple[dict[str, str]]]:
        return install, (self.aliases,)


def _follow_into_workers(aliases: dict[str, str]) -> None:
    """Make processes that multiprocessing starts afresh ("spawn", "forkserver") install the aliases too.

    Called when the first `multiprocessing.popen_*` is imported, which is when the first process starts.
    """
    spawn: Any = importlib.import_module("multiprocessing.spawn")
    original = spawn.get_preparation_data
    if getattr(original, "aliases", None) == aliases:
        return

    def get_preparation_data(name: str) -> dict[str, Any]:
        data = original(name)
        if name == "ignore":  # the fork server asks what to import ahead; the program needs the aliases first
            data.pop("init_main_from_path", None)
            return data
        return {"tapegrad": _Install(aliases), **data}

    get_preparation_data.aliases = aliases  # type: ignore[attr-defined]
    spawn.get_preparation_data = get_preparation_data


# ---- the program ----------------------------------------------------------------------------------------------------


def run_script(path: str, args: Sequence[str] = ()) -> None:
    """Run the file `path` (or a folder or zip file with a `__main__.py`) as `python path args` would.

    Raises FileNotFoundError and other OSErrors if the file cannot be read, and whatever the program raises.
    """
    install()
    if path == "-":
        _start("-", args, "")
        _execute(lambda: compile(sys.stdin.read(), "<stdin>", "exec", dont_inherit=True), __file__="<stdin>")
        return
    full = absolute(path)
    if pkgutil.get_importer(full) is not None:  # a folder or a zip file
        _start(path, args, full)
        _guard(lambda: runpy._run_module_as_main("__main__", False))  # type: ignore[attr-defined]
        return
    with io.open_code(full) as file:
        source = file.read()
    _start(path, args, os.path.dirname(os.path.realpath(full)))
    loader = SourceFileLoader("__main__", full)
    _execute(
        lambda: compile(source, full, "exec", dont_inherit=True), __file__=full, __loader__=loader, __cached__=None
    )


def absolute(path: str) -> str:
    """The absolute path as Python writes it in `__file__` and messages: on POSIX `.` and `..` stay."""
    return os.path.abspath(path) if os.name == "nt" else os.path.join(os.getcwd(), path)


def run_module(name: str, args: Sequence[str] = ()) -> None:
    """Run the module `name` as `python -m name args` would."""
    install()
    _start("-m", args, os.getcwd())
    _guard(lambda: runpy._run_module_as_main(name))  # type: ignore[attr-defined]


def run_command(source: str, args: Sequence[str] = ()) -> None:
    """Run `source` as `python -c source args` would."""
    install()
    _start("-c", args, "")
    if sys.version_info >= (3, 13):  # from here on Python shows these lines in tracebacks
        linecache.cache["<string>"] = (len(source), None, source.splitlines(True), "<string>")
    _execute(lambda: compile(source, "<string>", "exec", dont_inherit=True))


def _start(argv0: str, args: Sequence[str], folder: str) -> None:
    """Give the program its own `__main__`, `sys.argv` and first entry of `sys.path`."""
    sys.argv = [argv0, *args]
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = folder
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = main


def _execute(compiled: Callable[[], CodeType], **names: object) -> None:
    """Run code in `__main__`, which gets `names` first."""
    namespace = sys.modules["__main__"].__dict__
    namespace.update(names)
    _guard(lambda: exec(compiled(), namespace))


def _guard(body: Callable[[], object]) -> None:
    """Run `body`; an exception that leaves it will be shown with the program's part of the traceback only."""
    try:
        body()
    except BaseException as error:
        # The exception goes on to the interpreter, which alone knows how to end: exit codes, Ctrl-C, -i, atexit.
        # Only what it shows is ours, and it shows it through the program's own sys.excepthook.
        if not os.environ.get(FULL_TRACEBACK):
            sys.excepthook = _shortened(sys.excepthook, error, _fold(error))
        raise


def _shortened(hook: Callable[..., object], error: BaseException, frames: TracebackType | None) -> Callable[..., None]:
    """A sys.excepthook that shows `error` with the traceback `frames`, by means of `hook`."""

    def show(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if value is error:
            sys.last_traceback = trace = frames
            value.with_traceback(frames)
        hook(kind, value, trace)

    return show


# ---- tracebacks -----------------------------------------------------------------------------------------------------

_STDLIB = os.path.join(os.path.dirname(os.__file__), "")
_MACHINERY = {"numpy", "ml_dtypes", "tqdm", "llvmlite", "PIL"}
_PACKAGE = __name__.partition(".")[0]


def _fold(error: BaseException) -> TracebackType | None:
    """The program's part of an exception's traceback; those of its causes and contexts are cut in place."""
    entries = list(_entries(error.__traceback__))
    while entries and entries[0].tb_frame.f_code.co_filename == __file__:
        del entries[0]
    seen = {id(error)}
    _fold_chain(error, seen)
    return _relink(entries[: _visible(entries)])


def _fold_chain(error: BaseException, seen: set[int]) -> None:
    """Cut the tracebacks of what `error` was raised from, during or for, and drop contexts inside tapegrad."""
    while error.__context__ is not None and error.__context__ is not error.__cause__:
        entries = list(_entries(error.__context__.__traceback__))
        if not entries or _visible(entries):
            break
        error.__context__ = error.__context__.__context__
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        if isinstance(other, BaseException) and id(other) not in seen:
            seen.add(id(other))
            entries = list(_entries(other.__traceback__))
            other.__traceback__ = _relink(entries[: _visible(entries)])
            _fold_chain(other, seen)


def _visible(entries: Sequence[TracebackType]) -> int:
    """How many leading entries to show: without the last run of frames that tapegrad's own code begins."""
    owners = [_owner(entry) for entry in entries]
    outside = max((i for i, owner in enumerate(owners) if owner == "program"), default=-1)
    return next((i for i in range(outside + 1, len(owners)) if owners[i] == "tapegrad"), len(owners))


def _owner(entry: TracebackType) -> str:
    """Whose code a frame runs: "tapegrad", "machinery" (the standard library, NumPy ...) or "program"."""
    frame = entry.tb_frame
    file = frame.f_code.co_filename
    top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if top == _PACKAGE:
        return "tapegrad"
    stdlib = file.startswith("<frozen ") or (file.startswith(_STDLIB) and "site-packages" not in file)
    generated = file.startswith("<") and "__name__" not in frame.f_globals
    return "machinery" if stdlib or generated or top in _MACHINERY else "program"


def _entries(trace: TracebackType | None) -> Iterable[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _relink(entries: Sequence[TracebackType]) -> TracebackType | None:
    """A traceback of exactly these entries."""
    trace = None
    for entry in reversed(entries):
        trace = TracebackType(trace, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return trace
