"""Generated machine code: functions as accurate as stated, kernels that compute what NumPy does, a cache that holds.

The errors are measured in ulp of the exact result, on float32 numbers spread over all that there are, and on float64
numbers of all exponents. Everything here is skipped where no code can be generated (no llvmlite, another processor,
TAPEGRAD_FAST=0), but for what needs no machine: the text of the programs.
"""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.backends.cpu import elementwise as kernels
from tapegrad.codegen import jit, llvm, vecmath
from tapegrad.codegen.vectors import Code, polynomial
from tapegrad.ir import expr as e

SINGLE, DOUBLE, BOOL = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_)
X, Y, Z = e.Var("x"), e.Var("y"), e.Var("z")
generates = pytest.mark.skipif(not jit.available(), reason="no code is generated here")
EXTENDED = np.finfo(np.longdouble).nmant >= 63


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache of this module's own."""
    before, folder = os.environ.get("TAPEGRAD_CACHE"), tmp_path_factory.mktemp("kernels")
    os.environ["TAPEGRAD_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["TAPEGRAD_CACHE"]
    else:
        os.environ["TAPEGRAD_CACHE"] = before


def compiled(root, names="x", dtype=SINGLE, dtypes=None):
    found = jit.ufunc(root, tuple(names), dtypes or (dtype,) * len(names), dtype)
    assert found is not None, f"no code for {root}"
    return found


# ---- functions ------------------------------------------------------------------------------------------------------

TWO = ("atan2", "pow", "hypot", "logaddexp", "logaddexp2")
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh"}
NUMPY |= {"atanh": "arctanh", "atan2": "arctan2", "pow": "power"}
EDGES = [0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, math.inf, -math.inf, math.nan, 1e-45, -1e-40, 3.4e38, -3.4e38]
EDGES += [
    88.72284,
    88.8,
    -87.33655,
    -103.97,
    -104.1,
    89.415985,
    709.78,
    710.0,
    -745.13,
    -746.0,
    127.99,
    128,
    -149,
    -150,
]


def reference(op, args):
    """The function in a precision above that of the arguments."""
    if op in ("erf", "erfc"):
        return np.vectorize(getattr(math, op), otypes=[float])(args[0])
    if op == "erfinv":  # of float32 only
        return np.copysign(kernels.FUNCTIONS[op](args[0].astype(DOUBLE)), args[0])
    wide = np.float64 if args[0].dtype == SINGLE else np.longdouble
    return getattr(np, NUMPY.get(op, op))(*[a.astype(wide) for a in args])


def spread(dtype, n):
    """Numbers of all exponents and signs, and more of those that programs use."""
    rng = np.random.default_rng(0)
    if dtype == SINGLE:
        every = np.arange(0, 2**32, 2**32 // n, dtype=np.uint64).astype(np.uint32).view(SINGLE)
    else:
        every = rng.integers(0, 2**64, n, dtype=np.uint64).view(DOUBLE)
    near = [
        rng.normal(0, 3, n // 2),
        rng.uniform(-1, 1, n // 2),
        rng.normal(1, 1e-3, n // 8),
        rng.normal(0, 60, n // 8),
    ]
    return np.concatenate([every, *[a.astype(dtype) for a in near], np.array(EDGES, dtype)])


def in_ulp(found, want, scale):
    """The error in units of the last place of `scale`."""
    unit = np.spacing(np.maximum(np.abs(scale), np.finfo(found.dtype).tiny).astype(found.dtype))
    return np.abs(found.astype(want.dtype) - want) / unit.astype(want.dtype)


@generates
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("op", "type"), vecmath.FUNCTIONS)
def test_a_function_is_as_accurate_as_stated(op, type):
    dtype = SINGLE if type == "float" else DOUBLE
    if dtype == DOUBLE and not EXTENDED and not op.startswith("erf"):
        pytest.skip("no higher precision to compare with")
    slow = op.startswith("erf") or dtype == DOUBLE
    args = [spread(dtype, 2**15 if slow else 2**18)]
    if op in TWO:
        other = np.random.default_rng(1).permutation(args[0])
        other[: len(other) // 2] = np.random.default_rng(2).normal(0, 3, len(other) // 2)
        grid = np.array(list(itertools.product(EDGES, EDGES)), dtype).T
        args = [np.concatenate([args[0], grid[0]]), np.concatenate([other, grid[1]])]
    root = e.apply(op, *map(e.Var, "xy"[: len(args)]))
    found, want = compiled(root, "xy"[: len(args)], dtype)(*args), reference(op, args)
    rounded = want.astype(dtype)
    finite = np.isfinite(found) & np.isfinite(rounded)
    np.testing.assert_array_equal(found[~finite], rounded[~finite])
    scale = np.where(finite, rounded, 1)
    if op.startswith("logadd"):
        scale = np.maximum.reduce([np.abs(a, where=np.isfinite(a), out=np.ones_like(a)) for a in (scale, *args)])
    errors = np.where(finite, in_ulp(found, np.where(finite, want, 1), scale), 0)
    worst = int(errors.argmax())
    assert errors[worst] <= vecmath.BOUNDS[op][dtype == DOUBLE], [a[worst] for a in args]
    wrong = (np.signbit(found) != np.signbit(rounded)) & ~np.isnan(found) & (rounded == 0)
    assert not wrong.any(), [a[wrong][:3] for a in args]


@generates
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_angles_next_to_multiples_of_a_quarter_turn(dtype):
    high = 120 if dtype == SINGLE else 1000
    x = np.array([math.ldexp(m, k) for k in range(-3, high) for m in (1.0, 1.2345678, 1.9999999)], dtype)
    x = np.concatenate(
        [x, np.arange(1, 400) * (math.pi / 2), [6381956970095103 * 2.0**797 if high > 200 else 16367173 * 2.0**72]]
    )
    x = x.astype(dtype)
    for op, sign in itertools.product(("sin", "cos"), (1, -1)):
        want = reference(op, [sign * x])
        assert in_ulp(compiled(e.apply(op, X), "x", dtype)(sign * x), want, want).max() < 2


def test_polynomials_are_what_they_say():
    for n in range(1, 25):
        code = Code(4)
        value = polynomial(code.argument("%x", "double"), [1.0] * n)
        assert code.lines or n == 1
        assert value.type == "double"


# ---- kernels --------------------------------------------------------------------------------------------------------

EXACT = [  # the same numbers as NumPy's, to the bit
    X * Y + Z,
    (X - Y) / (Z * Z + 1),
    e.where(X > Y, X * 0.1, -Z),
    e.where((X <= 0) | (Y > Z), 0, e.abs(X)),
    e.where(~((X < Y) & (Y < Z)), X, Y) * 3,
    e.maximum(X, Y) - e.minimum(Y, Z),
    e.fmax(X, Y) + e.fmin(Y, Z),
    e.sqrt(e.abs(X)) * e.floor(Y) + e.ceil(Z),
    e.trunc(X * 3) + e.round(Y * 3) + e.sign(Z),
    e.where(e.isnan(X) | e.isinf(Y) | ~e.isfinite(Z), 1.5, X + Y + Z),
    e.copysign(X, Y) * (e.signbit(Z) * X),
    e.where(e.logical_xor(X, Y), e.logical_not(Z) * X, 2.0),
    e.where(e.logical_and(X, Y) ^ e.logical_or(Y, Z), X**2, Y),
    (X > 0) * Y + (Z >= 0) * X + (Y == Z) * 2 + (X != Y),
    X**-1 + Y**1 + e.largest(Z),
]


def numbers(n, dtype=SINGLE, seed=0):
    x = np.random.default_rng([seed, n]).normal(0, 2, n).astype(dtype)
    x[seed::17] = 0
    x[seed + 1 :: 19] = math.nan
    x[seed + 2 :: 23] = -math.inf
    x[seed + 3 :: 29] = -0.0
    return x


def by_numpy(root, names, values):
    """The same expression one array call after the other."""
    known = dict(zip(names, values))
    number = lambda v: np.array(v, values[0].dtype)

    def value(x):
        if isinstance(x, e.Var):
            return known[x.name]
        return number(x.value) if isinstance(x, e.Const) else kernels.FUNCTIONS[x.op](*map(value, x.args))

    return value(root)


@generates
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
@pytest.mark.parametrize("root", EXACT, ids=str)
def test_arithmetic_is_numpys_to_the_bit(root, dtype):
    x, y, z = (numbers(203, dtype=dtype, seed=s) for s in range(3))
    found = compiled(root, "xyz", dtype)(x, y, z)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, by_numpy(root, "xyz", (x, y, z)))


@generates
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_layouts(dtype):
    run = compiled(X * Y + 1, "xy", dtype)
    for n in (0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 200):
        x, y = np.arange(n, dtype=dtype), np.arange(n, dtype=dtype) + 0.5
        np.testing.assert_array_equal(run(x, y), x * y + 1)
        np.testing.assert_array_equal(run(x, y[:1] if n else y), x * y[:1] + 1 if n else x)
    x, y = np.arange(600, dtype=dtype).reshape(20, 30), np.arange(600, dtype=dtype).reshape(30, 20).T
    pairs = [
        (x, y),
        (y, x),
        (x[::2], x[::2]),
        (x[:, ::3], x[:, ::3]),
        (x[::-1], y),
        (x[:, :1], x),
        (x, x[:1]),
        (x, x[3, 3]),
    ]
    for a, b in pairs:
        np.testing.assert_array_equal(run(a, b), a * b + 1)
        out = np.full((*(a * b).shape, 2), 7, dtype)[..., 1]
        assert run(a, b, out=out) is out
        np.testing.assert_array_equal(out, a * b + 1)
    inplace = x.copy()
    run(inplace, y, out=inplace)
    np.testing.assert_array_equal(inplace, x * y + 1)
    line = np.arange(100, dtype=dtype)  # the result lies over the operands, one further
    run(line[:-1], line[:-1], out=line[1:])
    np.testing.assert_array_equal(line[1:], np.arange(99, dtype=dtype) ** 2 + 1)
    assert run(dtype.type(2), dtype.type(3)) == 7


@generates
def test_truth_values_as_operands():
    run = compiled(e.where(X, Y, 0) * 2, "xy", SINGLE, (BOOL, SINGLE))
    x, y = np.arange(77) % 3 == 0, np.arange(77, dtype=SINGLE)
    np.testing.assert_array_equal(run(x, y), np.where(x, y, 0) * 2)
    np.testing.assert_array_equal(run(x[::2], y[::-2]), np.where(x[::2], y[::-2], 0) * 2)
    np.testing.assert_array_equal(run(x[0], y), y * 2)


@generates
def test_nothing_is_generated_for_what_there_is_no_code_for():
    assert jit.ufunc(e.lgamma(X) * 2, ("x",), (SINGLE,), SINGLE) is None
    assert jit.ufunc(e.pow(X, Y), ("x", "y"), (DOUBLE,) * 2, DOUBLE) is None
    assert jit.ufunc(X > 0, ("x",), (SINGLE,), SINGLE) is None
    names = tuple("abcdefgh")
    assert jit.ufunc(e.where(X, X, X), names, (SINGLE,) * 8, SINGLE) is None
    for root in (X + Y, X & Y):
        with pytest.raises(llvm.Unsupported):
            llvm.lower(root, ("x", "y"), ("i1", "i1") if root.op == "add" else ("float", "float"), "float", 8)


@generates
def test_no_floating_point_warnings():
    x = np.array([-1.0, 0.0, math.inf, 1e300, 1e-310])
    with np.errstate(all="raise"):
        for root in (e.log(X), e.exp(X * X), 1 / X, e.asin(X), e.where(X > 0, e.sqrt(X), 0)):
            compiled(root, "x", DOUBLE)(x)
        with pytest.raises(FloatingPointError):
            np.divide(x, 0.0)


def test_a_program_names_nothing_of_the_machine():
    program = llvm.lower(e.sin(X) * Y, ("x", "y"), ("float", "float"), "float", 8)
    assert program.result == "float" and set(program.needs) == {"tapegrad_far_angles_8"}
    assert "triple" not in program.text and program.text.count("fmul <8 x float>") > 3
    assert llvm.lower(e.sin(X) * Y, ("x", "y"), ("float", "float"), "float", 8) == program
    assert len(llvm.lower(e.exp(X) + e.exp(X), ("x",), ("float",), "float", 8).text) < 1.1 * len(
        llvm.lower(e.exp(X) + 1, ("x",), ("float",), "float", 8).text
    )


# ---- compiling and keeping ------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache, and how often LLVM compiles."""
    monkeypatch.setenv("TAPEGRAD_CACHE", str(tmp_path / "a" / "b"))
    emitted, emit = [], jit._emit
    monkeypatch.setattr(jit, "_emit", lambda *args: emitted.append(1) or emit(*args))
    return emitted


ENDLESS = itertools.count(1000)


@generates
def test_kernels_are_kept_on_disk(fresh, tmp_path):
    code = """
import numpy as np
from tapegrad.codegen import jit
from tapegrad.ir import expr as e
x, dtype, emit, count = e.Var("x"), np.dtype(np.float32), jit._emit, []
jit._emit = lambda *args: count.append(1) or emit(*args)
run = jit.ufunc(e.tanh(x) + 1, ("x",), (dtype,), dtype)
print(len(count), run(np.zeros(3, dtype)).tolist())
"""

    def process():
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert process() == "3 [1.0, 1.0, 1.0]\n"  # the formula, the loop around it, the threads
    files = sorted((tmp_path / "a" / "b").iterdir())
    assert len(files) == 3
    assert process() == "0 [1.0, 1.0, 1.0]\n"
    content = files[0].read_bytes()
    files[0].write_bytes(content[:-1])  # cut off
    files[1].write_bytes(b"")
    assert process() == "2 [1.0, 1.0, 1.0]\n"
    assert files[0].read_bytes() == content
    files[0].write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])  # one bit
    assert process() == "1 [1.0, 1.0, 1.0]\n"
    assert sorted((tmp_path / "a" / "b").iterdir()) == files


@generates
def test_a_cache_that_cannot_be_written_is_no_error(fresh, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TAPEGRAD_CACHE", str(tmp_path / "file"))
    assert compiled(X * 3 + next(ENDLESS))(np.ones(2, SINGLE)).shape == (2,)
    assert fresh


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("TAPEGRAD_CACHE", str(tmp_path))
    assert jit.cache_folder() == tmp_path
    monkeypatch.delenv("TAPEGRAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    if sys.platform.startswith("linux"):
        assert jit.cache_folder() == tmp_path / "x" / "tapegrad" / "kernels"


@generates
def test_several_threads_compile_at_once(fresh):
    number, found = next(ENDLESS), []

    def work(k):
        run = compiled(e.exp(X) * number + k % 3)
        found.append((k % 3, float(run(np.zeros(5, SINGLE))[0]) - number))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(found) == sorted((k % 3, float(k % 3)) for k in range(12))


# ---- in tapegrad ----------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """The expressions that code was generated for."""
    found, make = [], jit.ufunc

    def ufunc(root, *args):
        made = make(root, *args)
        found.append((str(root), made is not None))
        return made

    monkeypatch.setattr(jit, "ufunc", ufunc)
    return found


@generates
def test_large_arrays_use_generated_code_and_small_ones_do_not(asked):
    run = kernels.kernel(e.tanh(X) * 2 + Y, ("x", "y"))
    for n in (10, kernels.FEW - 1):
        run(np.ones(n, SINGLE), np.ones(n, SINGLE))
    assert asked == []
    x = np.linspace(-3, 3, kernels.LARGE, dtype=SINGLE)
    found = run(x, x)
    assert asked == [("tanh(x) * 2 + y", True)]
    np.testing.assert_allclose(found, np.tanh(x) * 2 + x, rtol=1e-6, atol=1e-6)
    run(x, x)
    assert len(asked) == 1
    assert not kernels.direct(e.sin(X), ("x",))(x[:-1])[:0].size and len(asked) == 1  # NumPy has vector code for it
    direct = kernels.direct(e.tan(X), ("x",))
    np.testing.assert_allclose(direct(x), np.tan(x), rtol=1e-6)
    out = np.empty_like(x)
    assert direct(x, out=out) is out and direct(x[:5], out=out[:5]).base is out
    assert asked[1:] == [("tan(x)", True)]


@generates
def test_what_is_left_to_numpy(asked):
    run = kernels.kernel(e.exp(X) * Y, ("x", "y"))
    x = np.linspace(-3, 3, kernels.LARGE)
    np.testing.assert_allclose(run(x, x.astype(SINGLE)), np.exp(x) * x, rtol=1e-6)  # two types
    np.testing.assert_allclose(run(x + 0j, x + 0j), np.exp(x) * x)
    assert asked == []
    kernels.kernel(e.lgamma(X) + Y, ("x", "y"))(x, x)
    assert asked == [("lgamma(x) + y", False)]
    assert not kernels.worth_generating(X + Y)
    assert not kernels.worth_generating(abs(X)) and kernels.worth_generating(e.maximum(X, 0))
    assert kernels.direct(X + Y, ("x", "y")) is np.add


@generates
def test_numbers_at_run_time_and_half_precision(asked):
    run = kernels.kernel(e.exp(X * Y) + 1, ("x", "y"), frozenset("y"))
    x = np.linspace(-2, 2, 3 * kernels.LARGE).astype(SINGLE)
    np.testing.assert_allclose(run(x, 0.5), np.exp(x * SINGLE.type(0.5)) + 1, rtol=1e-6)
    half = x.astype(np.float16)
    found = run(half, 0.5)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, run(half[:100].astype(SINGLE), 0.5).tolist() + found[100:].tolist(), rtol=1e-3)
    assert len(asked) == 1


@generates
def test_gradients_of_large_arrays_are_those_of_small_ones():
    functions = "tanh sigmoid exp log1p erf sin atan".split()
    x = torch.linspace(0.1, 2, 20000, dtype=torch.float64, requires_grad=True)
    for name in functions:
        (g,) = torch.autograd.grad(getattr(torch, name)(x).sum(), x)
        few = x.detach()[:100].requires_grad_()
        (want,) = torch.autograd.grad(getattr(torch, name)(few).sum(), few)
        torch.testing.assert_close(g[:100], want, rtol=1e-14, atol=0)


@pytest.mark.parametrize("fast", ["0", pytest.param("1", marks=generates)])
def test_llvmlite_is_loaded_when_it_is_needed_and_not_turned_off(fast):
    code = """
import sys, tapegrad as torch
torch.randn(100).tanh()
print("llvmlite" in sys.modules)
y = torch.linspace(-1, 1, 50000).tan()
print("llvmlite" in sys.modules, y[:3].tolist())
"""
    env = os.environ | {"TAPEGRAD_FAST": fast}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
    small, large = out.splitlines()
    assert small == "False"
    assert large.split()[0] == str(fast == "1")
    assert float(large.split("[")[1].split(",")[0]) == pytest.approx(math.tan(-1), rel=1e-6)


@generates
@pytest.mark.parametrize("n", [kernels.FEW, llvm.PART, llvm.SEVERAL * llvm.PART - 1, llvm.SEVERAL * llvm.PART, 300_001])
def test_threads_share_large_arrays_and_change_nothing(n):
    x = torch.linspace(-3, 3, n)
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append([torch.nn.functional.silu(x), torch.lerp(x, x.flip(0), 0.3), torch.addcmul(x, x, x[:1])])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others))
    np.testing.assert_allclose(found[0][1].numpy(), x.numpy() + 0.3 * (x.numpy()[::-1] - x.numpy()), atol=1e-6)
