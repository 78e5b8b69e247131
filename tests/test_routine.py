"""Routines with loops and branches, threads that share them, generalised ufuncs."""

import ctypes
import os
import threading

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.codegen import jit
from tapegrad.codegen.routine import Routine, larger, least, part_of

pytestmark = pytest.mark.skipif(not jit.available(), reason="no code generation on this machine")
FLOAT = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def inner(name, body, lanes=8):
    """A gufunc's routine: `body(r, row pointers of x and out, n)` for each row, four rows a part."""
    row = Routine("row", {"x": "ptr", "out": "ptr", "n": "i64"}, lanes)
    body(row, *row.arguments)
    part = part_of("rows", {"x": "ptr", "out": "ptr", "n": "i64", "sx": "i64", "so": "i64", "rows": "i64"}, lanes)
    x, out, n, sx, so, rows, k = part.arguments
    with part.loop(k * 4, least(k * 4 + 4, rows)) as i:
        part.invoke(row, part.bytes_on(x, i * sx), part.bytes_on(out, i * so), n)
    main = Routine(name, {"args": "ptr", "dims": "ptr", "steps": "ptr"}, lanes)
    args, dims, steps = main.arguments

    def read(p, k, type="i64"):
        return main.load(main.at(p, k, type), type, 0)

    rows = read(dims, 0)
    main.parallel(part, (rows + 3) // 4, read(args, 0, "ptr"), read(args, 1, "ptr"), read(dims, 1), *(
        read(steps, k) for k in (0, 1)), rows)  # fmt: skip
    return [main, part, row]


def total(r, x, out, n):
    """The sum of a row: vectors first, then what is left."""
    lanes = r.lanes
    whole = n // lanes * lanes
    zero = r.lift(0.0, "float")
    found = r.variable(zero)
    with r.loop(0, whole, lanes) as i:
        found.value = found.value + r.load(r.at(x, i))
    with r.when(whole < n):
        found.value = found.value + r.load_first(r.at(x, whole), r.first(n - whole), zero)
    r.store(r.total(found.value), out)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 100])
def test_gufunc_of_rows(n, lanes):
    compute = jit.gufunc(inner("total", total, lanes), "(n)->()", [FLOAT, FLOAT])
    x = np.random.default_rng(0).integers(-9, 9, (13, n)).astype(FLOAT)
    assert (compute(x) == x.sum(1)).all()
    assert (compute(x[::2]) == x[::2].sum(1)).all()
    assert compute(np.empty((0, n), FLOAT)).shape == (0,)


def test_threads_give_the_same_bits():
    compute = jit.gufunc(inner("total", total), "(n)->()", [FLOAT, FLOAT])
    x = np.random.default_rng(0).standard_normal((1000, 77)).astype(FLOAT)
    found = []
    for n in (1, 2, 5, 1, 3):
        torch.set_num_threads(n)
        found += [compute(x) for _ in range(50)]
    assert all((f == found[0]).all() for f in found)


def test_many_threads_call_at_once():
    compute = jit.gufunc(inner("total", total), "(n)->()", [FLOAT, FLOAT])
    torch.set_num_threads(3)
    x = np.random.default_rng(0).standard_normal((200, 64)).astype(FLOAT)
    expected, wrong = compute(x), []

    def call():
        wrong.extend(None for _ in range(300) if not (compute(x) == expected).all())

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for n in (2, 1, 4, 2):  # others may ask for another number of threads meanwhile
        torch.set_num_threads(n)
    for caller in callers:
        caller.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_computes():
    compute = jit.gufunc(inner("total", total), "(n)->()", [FLOAT, FLOAT])
    torch.set_num_threads(2)
    x = np.random.default_rng(0).standard_normal((500, 64)).astype(FLOAT)
    expected = compute(x)
    child = os.fork()
    if not child:
        same = (compute(x) == expected).all()
        torch.set_num_threads(2)
        os._exit(0 if same and (compute(x) == expected).all() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_largest_keeps_nan():
    def body(r, x, out, n):
        found = r.variable(r.load(x))
        with r.loop(8, n, 8) as i:
            found.value = larger(r.load(r.at(x, i)), found.value)
        r.store(r.largest(found.value), out)

    compute = jit.gufunc(inner("largest", body), "(n)->()", [FLOAT, FLOAT])
    x = np.arange(32, dtype=FLOAT)
    assert compute(x) == 31
    for k in range(32):
        x[k] = np.nan
        assert np.isnan(compute(x))
        x[k] = k


def test_choice_and_values_known_before():
    """What is computed in one branch is not taken for known in the other, or after it."""
    r = Routine("pick", {"x": "ptr", "n": "i64"}, 0)
    x, n = r.arguments
    with r.choice(n > 2) as (yes, no):
        with yes:
            r.store((n * 3).to("float"), x)
        with no:
            r.store((n * 3).to("float") + 0.5, x)
    r.store((n * 3).to("float"), r.at(x, 1))
    call = jit.function([r], [ctypes.c_void_p, ctypes.c_int64])
    found = np.zeros(2, FLOAT)
    call(found.ctypes.data, 3)
    assert found.tolist() == [9, 9]
    call(found.ctypes.data, 2)
    assert found.tolist() == [6.5, 6]


def test_no_warnings_from_compiled_loops():
    def body(r, x, out, n):
        r.store(r.load(x, lanes=0) / 0.0, out)

    compute = jit.gufunc(inner("inverse", body), "(n)->()", [FLOAT, FLOAT])
    with np.errstate(all="raise"):
        assert np.isinf(compute(np.ones(1, FLOAT)))
