"""`TAPEGRAD_DEBUG=poison`: memory that was not written is NaN, and a part of the tests passes with it."""

import os
import subprocess
import sys

import pytest

from tapegrad.codegen import jit

pytestmark = pytest.mark.skipif(not jit.available(), reason="no code generation on this machine")


def run(*command, **extra):
    return subprocess.run(
        [sys.executable, *command], env={**os.environ, **extra}, capture_output=True, text=True, cwd=os.getcwd()
    )


PROGRAM = """
import ctypes
import numpy as np, tapegrad as torch
from tapegrad.codegen import jit
from tapegrad.codegen.routine import Routine

new = np.empty(1000, np.float32)
assert np.isnan(new).all() and np.isnan(np.empty((2, 3), np.float16)).all()
assert (np.empty(5, np.int64) == -1).all() and not np.zeros(1000).any()
place = new.__array_interface__["data"][0]
new[:] = 1
del new
freed = np.frombuffer(ctypes.string_at(place + 64, 400), np.float32)
assert np.isnan(freed).all()

r = Routine("careless", {"args": "ptr", "dims": "ptr", "steps": "ptr"}, 4)  # writes half of its result
args, dims, _ = r.arguments
out, room = r.load(r.at(args, 1, "ptr"), "ptr", 0), r.room(4)
r.store(r.load(room), out)
kernel = jit.gufunc([r], "(n)->(n)", [np.float32] * 2)
assert np.isnan(kernel(np.zeros(8, np.float32))).all()  # the first half is the routine's own memory
assert torch.ones(3).sum().item() == 3
"""


def test_new_and_freed_memory_is_nan():
    done = run("-c", PROGRAM, TAPEGRAD_DEBUG="poison")
    assert done.returncode == 0, done.stderr


def test_it_needs_generated_code():
    done = run("-c", "import tapegrad", TAPEGRAD_DEBUG="poison", TAPEGRAD_FAST="0")
    assert done.returncode == 1 and "TAPEGRAD_DEBUG=poison needs generated code" in done.stderr


def test_a_part_of_the_tests_passes():
    files = ("tests/test_recurrent_kernels.py", "tests/test_routine.py")
    done = run(
        "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "not float64", *files, TAPEGRAD_DEBUG="poison"
    )
    assert done.returncode == 0, done.stdout[-3000:]
