"""`import tapegrad` reads little: no heavy module, no kernel, nothing of what users build with; it costs what it must.

bench/imports.py measures the time; here is what can be said without a clock.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest

import tapegrad as torch
from tapegrad import codegen
from tapegrad.codegen import vecmath

# Each takes from 0.5 to 50 ms. What NumPy loads itself (other modules in other versions) costs tapegrad nothing.
HEAVY = """
    asyncio concurrent.futures dataclasses decimal email.message fractions gzip hashlib http.client inspect ipaddress
    json logging multiprocessing pathlib pickle queue random shutil socket statistics subprocess tempfile threading
    unittest urllib.parse urllib.request zipfile
    IPython PIL graphviz llvmlite matplotlib pandas scipy torch tqdm
""".split()
PROGRAM = """
import sys, numpy, ml_dtypes
before = set(sys.modules)
import tapegrad
after = set(sys.modules) - before
from types import ModuleType
from tapegrad.core.op import registry
read = [m for m in after if type(sys.modules[m]) is ModuleType]
recorded = [name for name, op in registry.items() if "expression" in vars(op)]
import json
print(json.dumps([read, recorded]))
"""


@pytest.fixture(scope="module")
def imported() -> tuple[set[str], list[str]]:
    """In a fresh process: the modules that `import tapegrad` reads, and the operations whose body it has recorded."""
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    read, recorded = json.loads(found.stdout)
    return set(read), recorded


def test_no_heavy_module(imported):
    assert imported[0] & set(HEAVY) == set()


def test_nothing_of_what_users_build_with(imported):
    families = {name.split(".")[1] for name in imported[0] if name.startswith("tapegrad.")}
    assert families <= {"backends", "codegen", "core", "devices", "dtypes", "errors", "ir", "modes", "ops", "shapes"}


def test_no_kernel_and_no_code_generator(imported):
    parts = ("tapegrad.backends.cpu.", "tapegrad.codegen.")
    read = {name.rpartition(".")[2] for name in imported[0] if name.startswith(parts)}
    assert read == {"generator", "halves", "memory", "threads"}  # a stream, what arrays are, `set_num_threads`


def test_no_body_is_recorded(imported):
    assert imported[1] == []
    assert torch.tanh.op.expression.op == "tanh"  # but when it is asked for


def test_the_names_of_the_functions_that_can_be_generated():
    assert {name for name, _ in vecmath.FUNCTIONS} == codegen.FUNCTIONS


# ---- names of the package that are loaded late ----


def test_the_table_of_late_names_is_what_type_checkers_see():
    tree = ast.parse(Path(torch.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    seen = {alias.asname for line in block.body if isinstance(line, ast.ImportFrom) for alias in line.names}
    assert seen == set(torch._LATE)


@pytest.mark.parametrize("name", torch._LATE)
def test_late_names(name):
    found = getattr(torch, name)
    module = sys.modules[f"tapegrad.{torch._LATE[name]}"]
    assert found is (sys.modules[f"tapegrad.{name}"] if isinstance(found, types.ModuleType) else getattr(module, name))
    assert name in dir(torch)


def test_unknown_names():
    with pytest.raises(AttributeError, match=r"module 'tapegrad' has no attribute 'no_such'"):
        torch.no_such  # noqa: B018


# ---- kernels that are read late: the mechanism of backends/cpu/__init__.py, on a folder of its own ----

SLOW = """
import time
from . import other
time.sleep(0.05)
def last():
    return other.value
"""
BROKEN_ONCE = """
import pathlib
tried = pathlib.Path(__file__).with_suffix(".tried")
if not tried.exists():
    tried.touch()
    raise OSError("the first time")
value = 3
"""


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    folder = tmp_path / "late_kernels"
    folder.mkdir()
    mechanism = Path(torch.__file__).parent / "backends" / "cpu" / "__init__.py"
    files = {"__init__.py": mechanism.read_text("utf-8"), "slow.py": SLOW, "other.py": "value = 2"}
    for name, text in {**files, "broken.py": BROKEN_ONCE, "third.py": "from .other import value"}.items():
        (folder / name).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import late_kernels

    yield late_kernels
    for name in [name for name in sys.modules if name.partition(".")[0] == "late_kernels"]:
        del sys.modules[name]


def is_read(name: str) -> bool:
    return type(sys.modules[f"late_kernels.{name}"]) is types.ModuleType


def test_a_kernel_is_read_when_a_name_is_asked_for(kernels):
    from late_kernels import other, slow

    assert not is_read("slow") and not is_read("other")
    assert slow.last() == 2
    assert is_read("slow") and is_read("other")
    assert kernels.slow is slow is sys.modules["late_kernels.slow"]
    assert other.__file__ == str(Path(kernels.__file__).with_name("other.py"))


def test_names_imported_from_a_kernel_are_those_of_the_late_module(kernels):
    from late_kernels import other
    from late_kernels.third import value

    assert value is other.value and kernels.third.value == 2


def test_threads_that_ask_at_once_wait_for_the_whole_kernel(kernels):
    from late_kernels import slow

    found, together = [], threading.Barrier(4)

    def ask():
        together.wait()
        found.append(slow.last())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 4


def test_a_kernel_that_could_not_be_read_is_tried_again(kernels):
    from late_kernels import broken

    with pytest.raises(OSError, match="the first time"):
        broken.value  # noqa: B018
    assert broken.value == 3


def test_a_kernel_that_is_not_there(kernels):
    with pytest.raises(AttributeError, match=r"module 'late_kernels' has no attribute 'nothing'"):
        kernels.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from late_kernels import nothing  # noqa: F401
