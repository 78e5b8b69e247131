"""The design's layers hold: imports go down only, without cycles; files and functions stay short.

The checker takes a package as {path of a file: its text}, so it is tested too, on small made-up ones.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tapegrad

PACKAGE = "tapegrad"
ROOT = Path(tapegrad.__file__).resolve().parent

# A module belongs to the entry that is the longest prefix of its name. It may import lower layers and its own entry.
LAYERS = {
    **dict.fromkeys(("errors", "dtypes", "shapes", "modes", "devices"), 0),
    "ir": 1,
    "codegen": 2,
    "backends": 3,
    "core": 4,
    "ops": 5,
    **dict.fromkeys(("nn", "optim", "amp", "data", "vision", "io", "compile", "distributed", "distributions"), 6),
    **dict.fromkeys(("testing", "debug"), 7),
    # Faces: PyTorch's other names for what is below, and the package itself.
    **dict.fromkeys(("", "autograd", "cpu", "func", "utils", "linalg", "return_types", "serialization"), 8),
    # Programs: written against the public names, so above them.
    **dict.fromkeys(("cli", "run", "demo", "__main__"), 9),
}
FACES = 8
OPEN = {0, 7, 8, 9}  # layers whose entries may import each other, as long as there is no cycle
ALLOWED_SIBLINGS = {
    ("vision", "data"),  # a vision dataset is a Dataset
    ("vision", "nn"),  # its models are Modules
    ("vision", "io"),  # and load weights from files
    ("optim", "nn"),  # an averaged model is a Module
}

# Heavy or optional packages: imported where they are needed, so that tapegrad imports fast and without them.
LAZY = {"IPython", "PIL", "cupy", "graphviz", "llvmlite", "matplotlib", "scipy", "tqdm"}

DEVICE_FREE = ("ops", "core")  # and these know no device by name
DEVICE_NAMES = {"cuda", "cupy"}

MAX_FILE, MAX_FUNCTION = 600, 80
MAX_FILES = {"core/op.py": 420}  # "the clever file; past 420 lines the design is wrong"


class Import(NamedTuple):
    """One imported module, by its name within the package ("" is the package itself, None outside of it)."""

    target: str | None
    shown: str
    line: int
    local: bool  # inside a function


# ---- the checker; a package is {path of a file: its text}, a module is named without the package: "nn.linear" ----


def module_of(path: str) -> str:
    """The module in a file: "nn.linear" for "nn/linear.py", "nn" for "nn/__init__.py", "" for "__init__.py"."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def entry_of(module: str) -> str | None:
    """The entry of LAYERS that a module belongs to: "nn" for "nn.modules.linear"; None if there is none."""
    parts = module.split(".")
    return next((".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in LAYERS), None)


def is_face(tree: ast.Module) -> bool:
    """Whether a module only gives other names to what is elsewhere: docstring, imports, `__all__`."""
    return all(
        isinstance(node, (ast.Import, ast.ImportFrom))
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"])
        for node in tree.body
    )


def imports(path: str, tree: ast.Module, modules: set[str]) -> Iterator[Import]:
    """The imports of a file, without those for type checkers only.

    `from package import x` is an import of `package.x` where that is a module, and of `package` else.
    """

    def make(full: str, node: ast.AST, local: bool) -> Import:
        inside = full == PACKAGE or full.startswith(PACKAGE + ".")
        return Import(full.removeprefix(PACKAGE).lstrip(".") if inside else None, full, node.lineno, local)

    def walk(node: ast.AST, local: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (make(alias.name, child, local) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    above = [PACKAGE, *path.split("/")][: -child.level]
                    base = ".".join(filter(None, (*above, base)))
                for alias in child.names:
                    full = f"{base}.{alias.name}"
                    yield make(full if full.removeprefix(PACKAGE + ".") in modules else base, child, local)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                yield from walk(ast.Module(child.orelse, []), local)
            else:
                inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from walk(child, local or inside)

    yield from walk(tree, False)


def check_imports(files: dict[str, str]) -> list[str]:
    """One line for each import that breaks a rule."""
    found: list[str] = []
    modules = {module_of(path) for path in files}
    for path, text in files.items():
        tree, module = ast.parse(text), module_of(path)
        here = entry_of(module)
        if here is None and not is_face(tree):
            found.append(f"{path}: is in no layer; add it to LAYERS")
            continue
        for target, shown, line, local in imports(path, tree, modules):
            if local and shown.partition(".")[0] not in LAZY:
                found.append(f"{path}:{line}: imports {shown} inside a function")
            problem = "" if target is None else _direction(here, entry_of(target))
            if problem:
                found.append(f"{path}:{line}: imports {shown}, {problem}")
        found += [f"{path}:{line}: hides an import in a call" for line in _hidden_imports(tree, here)]
    return found + [" -> ".join(cycle) + ": a cycle" for cycle in cycles(files)]


def _direction(here: str | None, there: str | None) -> str:
    """What is wrong with an import of entry `there` in entry `here`; None is a face that is not listed."""
    importing, imported = (FACES if entry is None else LAYERS[entry] for entry in (here, there))
    if importing > imported or (importing == imported and (importing in OPEN or here == there)):
        return ""
    if importing == imported:
        return "" if (here, there) in ALLOWED_SIBLINGS else "its sibling"
    return "which is above it"


def _hidden_imports(tree: ast.Module, entry: str | None) -> list[int]:
    """Lines below the faces that import by a call: `__import__("x")`, `importlib.import_module("x")`."""
    if entry is None or LAYERS[entry] >= FACES:
        return []
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [c.lineno for c in calls if ast.unparse(c.func).rpartition(".")[2] in ("__import__", "import_module")]


def cycles(files: dict[str, str]) -> list[list[str]]:
    """The cycles that a depth-first walk along module-level imports meets, each as [a, b, ..., a]."""
    modules = {module_of(path) for path in files}
    edges: dict[str, list[str]] = {}
    for path, text in files.items():
        module = module_of(path)
        targets = {i.target for i in imports(path, ast.parse(text), modules) if not i.local}
        edges[module] = sorted(targets & modules - {module})
    found, done = [], set[str]()

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            found.append([m or PACKAGE for m in (*trail[trail.index(module) :], module)])
        elif module not in done:
            for target in edges[module]:
                visit(target, [*trail, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return found


def check_devices(files: dict[str, str]) -> list[str]:
    """One line for each use of a device's name in the layers that must not know any; `Tensor.cuda = f` defines one."""
    found = []
    for path, text in files.items():
        if module_of(path).partition(".")[0] not in DEVICE_FREE:
            continue
        for node in ast.walk(ast.parse(text)):
            names = {getattr(node, "id", None), getattr(node, "attr", None)}
            if isinstance(getattr(node, "ctx", None), ast.Store):
                continue
            if isinstance(node, ast.Import):
                names = {part for alias in node.names for part in alias.name.split(".")}
            if isinstance(node, ast.ImportFrom):
                names = {*(node.module or "").split("."), *(alias.name for alias in node.names)}
            found += [f"{path}:{node.lineno}: names {name}" for name in sorted(DEVICE_NAMES & names)]
    return found


def check_lengths(files: dict[str, str]) -> list[str]:
    """One line for each file and function that is too long; a function's docstring does not count."""
    found = []
    for path, text in files.items():
        lines, limit = len(text.splitlines()), MAX_FILES.get(path, MAX_FILE)
        if lines > limit:
            found.append(f"{path}: {lines} lines, more than {limit}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    length -= node.body[0].end_lineno - node.body[0].lineno + 1
                if length > MAX_FUNCTION:
                    found.append(f"{path}:{node.lineno}: {node.name} has {length} lines, more than {MAX_FUNCTION}")
    return found


def check_packages(files: dict[str, str]) -> list[str]:
    """One line for each folder that is no package: it would be left out of the wheel."""
    folders = {path.rpartition("/")[0] for path in files} - {""}
    return [f"{folder}: has no __init__.py" for folder in sorted(folders) if f"{folder}/__init__.py" not in files]


def read_package(root: Path) -> dict[str, str]:
    """A package's files: {path: text}."""
    return {file.relative_to(root).as_posix(): file.read_text("utf-8") for file in sorted(root.rglob("*.py"))}


# ---- the package ----


@pytest.fixture(scope="module")
def package() -> dict[str, str]:
    return read_package(ROOT)


@pytest.mark.parametrize("check", [check_imports, check_devices, check_lengths, check_packages])
def test_package(package, check):
    assert len(package) > 5
    problems = check(package)
    assert not problems, "\n" + "\n".join(problems)


# ---- the checker itself ----


@pytest.mark.parametrize(
    "files",
    [
        {"core/op.py": "from ..errors import message\nfrom .. import errors", "errors.py": "message = 1"},
        {"ops/reduce.py": "from ..core import op\nimport tapegrad.shapes", "core/op.py": "", "shapes.py": ""},
        {"nn/linear.py": "from . import functional", "nn/functional.py": ""},
        {
            "nn/__init__.py": "from .linear import Linear",
            "nn/linear.py": "from .module import Module",
            "nn/module.py": "",
        },
        {
            "nn/__init__.py": "from ..core import op",
            "nn/modules/linear.py": "from ...core.op import x",
            "core/op.py": "",
        },
        {"vision/digits.py": "from ..data import Dataset", "data/__init__.py": ""},
        {"dtypes.py": "from . import errors", "errors.py": ""},
        {"__init__.py": "from .utils import data", "utils/__init__.py": "from .. import data", "data.py": ""},
        {
            "demo.py": "import tapegrad as torch\nfrom tapegrad import nn",
            "__init__.py": "from . import nn",
            "nn.py": "",
        },
        {"special.py": "'Other names.'\nfrom .ops import *\n__all__ = ['a']", "ops/__init__.py": "a = 1"},
        {"io/png.py": "def f():\n    from PIL import Image\n    import matplotlib.pyplot as plt"},
        {"core/t.py": "if TYPE_CHECKING:\n    from ..ops import a", "ops/a.py": "from ..core import t"},
        {"cli.py": "import importlib\nimportlib.import_module('tapegrad.demo')"},
        {"ops/reduce.py": "import numpy as np\nimport math\nimport tapegradual"},
    ],
)
def test_good_imports(files):
    assert check_imports(files) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"core/op.py": "from ..ops import reduce", "ops/reduce.py": ""},
            "core/op.py:1: imports tapegrad.ops.reduce, which is above it",
        ),
        ({"errors.py": "import tapegrad.ir.expr"}, "errors.py:1: imports tapegrad.ir.expr, which is above it"),
        ({"nn/linear.py": "from .. import Tensor"}, "nn/linear.py:1: imports tapegrad, which is above it"),
        ({"ops/a.py": "from .. import special"}, "ops/a.py:1: imports tapegrad, which is above it"),
        (
            {"ops/a.py": "from .. import special", "special.py": "import math"},
            "ops/a.py:1: imports tapegrad.special, which is above it",
        ),
        (
            {"nn/__init__.py": "\nfrom ..testing import x"},
            "nn/__init__.py:2: imports tapegrad.testing, which is above it",
        ),
        ({"optim/sgd.py": "\nfrom ..data import x"}, "optim/sgd.py:2: imports tapegrad.data, its sibling"),
        ({"data/__init__.py": "from ..vision import x"}, "data/__init__.py:1: imports tapegrad.vision, its sibling"),
        (
            {"core/op.py": "try:\n    import tapegrad.compile\nexcept ImportError:\n    pass"},
            "core/op.py:2: imports tapegrad.compile, which is above it",
        ),
        (
            {"ops/a.py": "def f():\n    from ..core import op", "core/op.py": ""},
            "ops/a.py:2: imports tapegrad.core.op inside a function",
        ),
        ({"ops/a.py": "class A:\n  def f():\n    import math"}, "ops/a.py:3: imports math inside a function"),
        (
            {"core/op.py": "import importlib\nimportlib.import_module('tapegrad.ops')"},
            "core/op.py:2: hides an import in a call",
        ),
        ({"core/op.py": "__import__('tapegrad.ops')"}, "core/op.py:1: hides an import in a call"),
        ({"mystery.py": "x = 1"}, "mystery.py: is in no layer; add it to LAYERS"),
        (
            {"nn/a.py": "from .b import x", "nn/b.py": "from .c import x", "nn/c.py": "from . import a"},
            "nn.a -> nn.b -> nn.c -> nn.a: a cycle",
        ),
        (
            {"nn/__init__.py": "from . import a", "nn/a.py": "from . import x"},
            "nn -> nn.a -> nn: a cycle",
        ),
        (
            {"dtypes.py": "from . import errors", "errors.py": "from . import dtypes"},
            "dtypes -> errors -> dtypes: a cycle",
        ),
    ],
)
def test_bad_imports(files, expected):
    assert check_imports(files) == [expected]


def test_device_names():
    good = {
        "ops/a.py": "x = 'cuda'",
        "core/t.py": "def cuda(self): pass\nT.cuda = f",
        "backends/cuda/gemm.py": "import cupy\ncupy.dot",
    }
    assert check_devices(good) == []
    bad = {"ops/a.py": "import cupy", "core/t.py": "y = 1\nx.cuda", "ops/b.py": "from ..backends import cuda"}
    assert check_devices(bad) == ["ops/a.py:1: names cupy", "core/t.py:2: names cuda", "ops/b.py:1: names cuda"]
    assert check_devices({"ops/c.py": "def f():\n    return cuda"}) == ["ops/c.py:2: names cuda"]


def test_lengths():
    body, doc = "\n    x = 1", '\n    """Says\n\n    what.\n    """'
    assert check_lengths({"a.py": "def f():" + doc + body * (MAX_FUNCTION - 1)}) == []
    assert check_lengths({"a.py": "\ndef f():" + doc + body * MAX_FUNCTION}) == ["a.py:2: f has 81 lines, more than 80"]
    assert check_lengths({"ops/a.py": "\n" * 600, "core/op.py": "\n" * 420}) == []
    assert check_lengths({"ops/a.py": "\n" * 601}) == ["ops/a.py: 601 lines, more than 600"]
    assert check_lengths({"core/op.py": "\n" * 421}) == ["core/op.py: 421 lines, more than 420"]


def test_packages():
    assert check_packages({"__init__.py": "", "nn/__init__.py": "", "nn/a.py": ""}) == []
    assert check_packages({"nn/__init__.py": "", "nn/modules/a.py": ""}) == ["nn/modules: has no __init__.py"]


def test_read_package(tmp_path):
    (tmp_path / "nn").mkdir()
    for path in ("nn/__init__.py", "nn/linear.py", "__init__.py", "nn/note.txt"):
        (tmp_path / path).write_text(f"# {path}", "utf-8")
    files = read_package(tmp_path)
    assert files == {path: f"# {path}" for path in ("nn/__init__.py", "nn/linear.py", "__init__.py")}
    assert [module_of(path) for path in sorted(files)] == ["", "nn", "nn.linear"]
