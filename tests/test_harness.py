"""The rules of conftest.py hold: a required test must not be skipped, and every test starts from the same seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tapegrad

HERE = Path(__file__).resolve().parent
ROOT = Path(tapegrad.__file__).resolve().parent.parent

FILES = {
    "twin/test_module.py": 'import pytest\ntorch = pytest.importorskip("torch")\ndef test(): pass',
    "twin/test_mark.py": 'import pytest\n@pytest.mark.skip(reason="tired")\ndef test(): pass',
    "test_inside.py": 'import pytest\ndef test(): pytest.importorskip("torch")',
    "test_other.py": 'import pytest\ndef test(): pytest.skip("not here")\n@pytest.mark.xfail\ndef test_x(): assert 0',
    "test_shared.py": "def test(shared): assert shared.is_dir()",
    "test_seed.py": "import random, numpy as np\n"
    "def draw(): return random.random(), np.random.rand()\n"
    "first = []\ndef test_a(): first.append(draw())\ndef test_b(): assert draw() == first[0]",
}


def outcome(folder: Path, **env: str) -> tuple[int, str]:
    """Exit code and closing line of pytest on FILES, where torch is not installed."""
    (folder / "without" / "torch").mkdir(parents=True)
    (folder / "without" / "torch" / "__init__.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    for name, text in {**FILES, "conftest.py": (HERE / "conftest.py").read_text("utf-8")}.items():
        path = folder / "checkout" / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TAPEGRAD_", "PYTEST_"))}
    env = {**clean, "PYTHONPATH": os.pathsep.join([str(folder / "without"), str(ROOT)]), **env}
    options = ["-q", "-c", os.devnull, "--rootdir=.", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *options, "tests"]
    done = subprocess.run(command, cwd=folder / "checkout", env=env, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("env", "code", "line"),
    [
        ({}, 0, "2 passed, 5 skipped, 1 xfailed"),
        ({"TAPEGRAD_REQUIRE_TORCH": "1"}, 1, "1 failed, 2 passed, 2 skipped, 1 xfailed, 2 errors"),
        ({"TAPEGRAD_REQUIRE_SHARED": "1"}, 1, "2 passed, 4 skipped, 1 xfailed, 1 error"),
    ],
)
def test_required_tests_are_not_skipped(env, code, line, tmp_path):
    got_code, got_line = outcome(tmp_path, **env)
    assert got_line.startswith(line)
    assert got_code == code
