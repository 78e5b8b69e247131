"""Every declared operation, found in the registry, on the samples of `samples_*.py`.

For each sample: the result is NumPy's, its shape is the declared one and its dtype follows the inputs'; derivatives of
first and second order agree with finite differences along random directions; the plain and the recorded backward
pass agree; strides do not matter; nothing is written to the inputs; `name_` and `out=` give the same.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from samples import Sample, collect

import tapegrad as torch
import tapegrad.ops
from tapegrad.core import explain
from tapegrad.core.op import Op, registry
from tapegrad.core.tensor import Tensor, wrap
from tapegrad.dtypes import BOOL, FLOAT, INT, can_cast

for _module in pkgutil.walk_packages(tapegrad.ops.__path__, "tapegrad.ops."):
    importlib.import_module(_module.name)

SAMPLES = collect()
OPERATIONS = {name: op for name, op in registry.items() if op.body.__module__.startswith("tapegrad.")}
STEP = 1e-6  # of finite differences
SHAPED_BY_DATA = ("_unique", "bincount", "distinct", "index", "masked_select", "nonzero", "view_dtype")
SHARING = ("copy", "spread", "unsafe_split", "unsafe_split_with_sizes")  # are no views, but may share memory
HALF = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.complex64)}


def each(wanted: Callable[[Op, Sample], bool] = lambda op, sample: True) -> Any:
    """Run a test for every operation and sample that it can be run on."""
    cases = [
        pytest.param(op, sample, id=f"{name}-{i}")
        for name, op in OPERATIONS.items()
        for i, sample in enumerate(SAMPLES.get(name, ()))
        if wanted(op, sample)
    ]
    return pytest.mark.parametrize(("op", "sample"), cases)


# ---- calling -------------------------------------------------------------------------------------------------------


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def spread_out(args: tuple) -> list[np.ndarray]:
    """The arrays among the arguments, those of lists too, in order."""
    return [x for a in args for x in (a if isinstance(a, list) else [a]) if isinstance(x, np.ndarray)]


def with_arrays(args: tuple, arrays: list) -> tuple:
    """The arguments with other arrays in place of theirs."""
    left = iter(arrays)

    def swap(a: Any) -> Any:
        if isinstance(a, list):
            return [swap(x) for x in a]
        return next(left) if isinstance(a, np.ndarray) else a

    return tuple(map(swap, args))


def fixed_arrays(sample: Sample) -> set[int]:
    """Numbers of the arrays that are not differentiated."""
    found, k = set(), 0
    for i, a in enumerate(sample.args):
        for x in a if isinstance(a, list) else [a]:
            if isinstance(x, np.ndarray):
                if i in sample.fixed or not is_floating(x):
                    found.add(k)
                k += 1
    return found


def flat(results: Any) -> list[Tensor]:
    return list(results) if isinstance(results, (tuple, list)) else [results]


def run(op: Op, sample: Sample, tensors: list[Tensor]) -> list[Tensor]:
    """The results of the sample on other tensors."""
    function = sample.through or op.function
    return flat(function(*with_arrays(sample.args, tensors), **sample.kwargs))


def make(sample: Sample, arrays: list[np.ndarray], grad: bool = True) -> list[Tensor]:
    """Tensors, of which those that the sample differentiates require grad."""
    fixed = fixed_arrays(sample)
    return [wrap(a).requires_grad_(grad and k not in fixed) for k, a in enumerate(arrays)]


def copies(sample: Sample) -> list[np.ndarray]:
    return [a.copy() for a in spread_out(sample.args)]


def operations_of(results: list[Tensor]) -> set[Op]:
    """The operations that were recorded on the way to the results."""
    found, stack = set(), [t.grad_fn for t in results if t.grad_fn is not None]
    while stack:
        node = stack.pop()
        found.add(node.op)
        stack += [other for other, _ in node.next_functions if hasattr(other, "op")]
    return found


def differentiable(op: Op, sample: Sample) -> bool:
    return bool(op.formulas) and sample.order > 0 and len(fixed_arrays(sample)) < len(spread_out(sample.args))


def assert_equal(got: np.ndarray, expected: Any, tolerance: float, what: str = "") -> None:
    expected = np.asarray(expected)
    assert got.shape == expected.shape, what
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0) if expected.dtype.kind in "fc" else 0.0
    np.testing.assert_allclose(got, expected, tolerance, tolerance * scale, equal_nan=True, err_msg=what)


# ---- what is declared ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_samples(name):
    file = OPERATIONS[name].body.__module__
    assert SAMPLES.get(name), (
        f"no samples of {name!r}, which {file} declares: add an entry {name!r}: [case(real(2, 3), expect=function)] "
        f"to SAMPLES in a file tests/samples_*.py (see tests/samples.py)"
    )


def test_every_sample_has_an_operation():
    assert not set(SAMPLES) - set(OPERATIONS), "samples of operations that do not exist"


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_a_derivative_or_says_that_it_has_none(name):
    op = OPERATIONS[name]
    assert bool(op.formulas) != op.nondiff, f"{name}: declare a formula with @{name}.grad, or nondiff=True"


@pytest.mark.parametrize("name", [n for n, op in OPERATIONS.items() if not op.elementwise])
def test_an_operation_declares_the_shape_of_its_result(name):
    op = OPERATIONS[name]
    assert op.shape_rule or op.nout < 0 or name in SHAPED_BY_DATA, f"{name}: declare its shape with @{name}.shape"


@pytest.mark.parametrize("name", [n for n, op in OPERATIONS.items() if op.elementwise])
def test_the_formula_of_an_operation_can_be_printed(name):
    text = OPERATIONS[name].formula
    assert text.startswith(f"{OPERATIONS[name].name.lstrip('_')}(") and "Expr object" not in text


# ---- the result ----------------------------------------------------------------------------------------------------


@each()
def test_result(op, sample):
    arrays = copies(sample)
    results = run(op, sample, make(sample, arrays))
    for before, after in zip(spread_out(sample.args), arrays):
        np.testing.assert_array_equal(before, after, "an input was modified")
    assert all(type(t) is Tensor and type(t.array) is np.ndarray for t in results)
    if sample.through and op.formulas:
        assert op in operations_of(results), f"the function given as `through` does not call {op.name}"
    shared = any(np.shares_memory(t.array, a) for t in results for a in arrays)
    assert op.view or not shared or sample.through or op.name in SHARING, "the result has the memory of an input"
    if sample.expect is None:
        return
    expected = flat(sample.expect(*with_arrays(sample.args, copies(sample)), **sample.kwargs))
    assert len(results) == len(expected)
    for got, want in zip(results, expected):
        assert_equal(got.array, want, sample.tolerance)


@each(lambda op, sample: op.shape_rule is not None and sample.through is None)
def test_shape_rule(op, sample):
    shapes = with_arrays(sample.args, [a.shape for a in spread_out(sample.args)])
    shapes = [() if isinstance(x, float) and i < len(op.tensors) else x for i, x in enumerate(shapes)]
    values = op.bind(tuple(shapes), sample.kwargs)
    found = explain.shape_of(op, values)
    assert tuple(found) == tuple(run(op, sample, make(sample, copies(sample)))[0].shape)


@each(lambda op, sample: not sample.double)
def test_single_precision(op, sample):
    arrays = copies(sample)
    wide = run(op, sample, make(sample, arrays, False))
    narrow = run(op, sample, make(sample, [a.astype(HALF.get(a.dtype, a.dtype)) for a in arrays], False))
    for a, b in zip(wide, narrow):
        made_of_numbers = a.array.dtype in HALF and any(x.dtype in HALF for x in arrays)
        assert b.array.dtype == (HALF[a.array.dtype] if made_of_numbers else a.array.dtype)
        assert_equal(b.array, a.array, 2e-4)


# ---- derivatives ---------------------------------------------------------------------------------------------------


def noise(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    found = rng.standard_normal(like.shape)
    return found + 1j * rng.standard_normal(like.shape) if like.dtype.kind == "c" else found


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """The inner product of which gradients are the gradients."""
    return float(np.vdot(a, b).real)


def pull(outs: list[Tensor], inputs: list[Tensor], weights: list, create_graph: bool = False) -> list[Tensor | None]:
    """The gradients of `<weights, outs>`."""
    recorded = [(t, w) for t, w in zip(outs, weights) if t.requires_grad]
    assert recorded, "no result requires grad"
    return list(
        torch.autograd.grad(
            [t for t, _ in recorded],
            inputs,
            [w if isinstance(w, Tensor) else wrap(np.asarray(w)) for _, w in recorded],
            create_graph=create_graph,
            allow_unused=True,
        )
    )


def weighted(outs: list[Tensor], weights: list) -> float:
    return sum(dot(w, t.array) for t, w in zip(outs, weights) if t.requires_grad)


def assert_slope(numeric: float, recorded: float, scale: float, what: str) -> None:
    assert abs(numeric - recorded) <= 2e-6 * (1 + scale), (
        f"{what}: recorded {recorded:.10g}, differences {numeric:.10g}"
    )


@each(differentiable)
def test_first_derivative(op, sample):
    rng = np.random.default_rng(1)
    arrays, fixed = copies(sample), fixed_arrays(sample)
    tensors = make(sample, arrays)
    inputs = [t for k, t in enumerate(tensors) if k not in fixed]
    outs = run(op, sample, tensors)
    weights = [noise(rng, t.array) for t in outs]
    found = iter(pull(outs, inputs, weights))
    for k, a in enumerate(arrays):
        if k in fixed:
            continue
        g, u = next(found), noise(rng, a)
        assert g is not None, f"no gradient for operand {k}: if it is a constant, list it in `fixed`"
        assert g.array.shape == a.shape and g.array.dtype == a.dtype
        sides = [make(sample, [*arrays[:k], np.asarray(a + h * u), *arrays[k + 1 :]]) for h in (STEP, -STEP)]
        up, down = (weighted(run(op, sample, t), weights) for t in sides)
        assert_slope((up - down) / (2 * STEP), dot(g.array, u), dot(abs(g.array), abs(u)), f"operand {k}")


@each(lambda op, sample: differentiable(op, sample) and sample.order > 1)
def test_second_derivative(op, sample):
    """Of `<w, gradient>`, with respect to the inputs and to the incoming gradients together."""
    rng = np.random.default_rng(2)
    arrays, fixed = copies(sample), fixed_arrays(sample)
    starts = [noise(rng, t.array) for t in run(op, sample, make(sample, arrays))]
    weights = [noise(rng, a) for k, a in enumerate(arrays) if k not in fixed]

    def gradients(h: float) -> tuple[list[Tensor], list[Tensor]]:
        moved = [a if k in fixed else np.asarray(a + h * u) for k, (a, u) in enumerate(zip(arrays, directions))]
        tensors = make(sample, moved)
        gs = [wrap(np.asarray(g + h * u)).requires_grad_() for g, u in zip(starts, start_directions)]
        inputs = [t for k, t in enumerate(tensors) if k not in fixed]
        found = pull(run(op, sample, tensors), inputs, gs, create_graph=True)
        if h == 0:
            for a, b in zip(found, pull(run(op, sample, tensors), inputs, starts)):
                assert_equal(a.array, b.array, 1e-12, "plain and recorded gradients differ")
        return found, [*inputs, *gs]

    directions = [noise(rng, a) for a in arrays]
    start_directions = [noise(rng, g) for g in starts]
    up, down = (weighted(gradients(h)[0], weights) for h in (STEP, -STEP))
    found, inputs = gradients(0)
    seconds = pull(found, inputs, weights)
    along = [d for k, d in enumerate(directions) if k not in fixed] + start_directions
    pairs = [(s.array, u) for s, u in zip(seconds, along) if s is not None]
    scale = sum(dot(abs(s), abs(u)) for s, u in pairs)
    assert_slope((up - down) / (2 * STEP), sum(dot(s, u) for s, u in pairs), scale, "second derivative")


# ---- memory --------------------------------------------------------------------------------------------------------


def stepped(a: np.ndarray) -> np.ndarray:
    """The same numbers with other numbers between them."""
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), 77, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def transposed(a: np.ndarray) -> np.ndarray:
    """The same numbers, the first dimension innermost in memory."""
    return a.T.copy().T


@pytest.mark.parametrize("layout", [stepped, transposed])
@each(lambda op, sample: sample.layouts and any(a.ndim for a in spread_out(sample.args)))
def test_strides_do_not_matter(op, sample, layout):
    rng = np.random.default_rng(3)
    plain = make(sample, copies(sample))
    other = make(sample, [layout(a) if a.ndim else a for a in copies(sample)])
    outs, others = run(op, sample, plain), run(op, sample, other)
    for a, b in zip(outs, others):
        assert_equal(b.array, a.array, 1e-12)
    if differentiable(op, sample):
        weights = [noise(rng, t.array) for t in outs]
        inputs = [[t for t in tensors if t.requires_grad] for tensors in (plain, other)]
        for a, b in zip(pull(outs, inputs[0], weights), pull(others, inputs[1], weights)):
            assert_equal(b.array, a.array, 1e-12)


@each(lambda op, sample: op.elementwise)
def test_shapes_of_elementwise_operands(op, sample):
    """0-d, empty, and broadcast against each other: the same as element by element."""
    rng = np.random.default_rng(4)
    arrays = copies(sample)
    single = run(op, sample, make(sample, [np.resize(a, (1,)) for a in arrays]))[0]
    scalar = run(op, sample, make(sample, [np.resize(a, ()) for a in arrays]))[0]
    assert scalar.shape == () and type(scalar.array) is np.ndarray and scalar.dtype is single.dtype
    np.testing.assert_array_equal(scalar.array, single.array[0])
    empty = make(sample, [np.resize(a, (0, 3)) for a in arrays])
    out = run(op, sample, empty)[0]
    assert out.shape == (0, 3) and out.dtype is single.dtype
    shapes = [(3, 1), (2, 1, 4), (4,)]
    small = [np.resize(a, shapes[i % 3]) for i, a in enumerate(arrays)]
    full = [np.array(np.broadcast_to(a, np.broadcast_shapes(*(b.shape for b in small)))) for a in small]
    tensors, fulls = make(sample, small), make(sample, full)
    out, want = run(op, sample, tensors)[0], run(op, sample, fulls)[0]
    np.testing.assert_array_equal(out.array, want.array)
    if differentiable(op, sample):
        assert pull([run(op, sample, empty)[0]], [t for t in empty if t.requires_grad], [np.zeros((0, 3))])
        weights = [noise(rng, out.array)]
        inputs = [[t for t in tensors if t.requires_grad] for tensors in (tensors, fulls)]
        for a, b in zip(pull([out], inputs[0], weights), pull([want], inputs[1], weights)):
            lead = b.array.sum(tuple(range(b.ndim - a.ndim)))
            over = tuple(i for i, n in enumerate(a.shape) if n != lead.shape[i])
            assert_equal(a.array, lead.sum(over, keepdims=True), 1e-12)


# ---- other forms ---------------------------------------------------------------------------------------------------

INPLACE: dict[str, str] = {}
for _name, _method in vars(Tensor).items():
    if _name.endswith("_") and not _name.endswith("__") and isinstance(getattr(_method, "op", None), Op):
        INPLACE.setdefault(_method.op.name, _name)


def has_inplace_form(op: Op, sample: Sample) -> bool:
    return op.name in INPLACE and sample.through is None and isinstance(sample.args[0], np.ndarray)


@each(has_inplace_form)
def test_in_place_form(op, sample):
    plain, own = make(sample, copies(sample)), make(sample, copies(sample))
    want = run(op, sample, plain)[0]

    def change(target: Tensor) -> Tensor:
        method = getattr(target, INPLACE[op.name])
        return method(*with_arrays(sample.args, [target, *own[1:]])[1:], **sample.kwargs)

    if want.shape != plain[0].shape or not can_cast(want.dtype, plain[0].dtype):
        with pytest.raises(RuntimeError):
            change(own[0].clone())
        return
    with torch.no_grad():
        target = own[0].clone()
        assert change(target) is target
        assert_equal(target.array, want.array, 1e-12)
    target = change(own[0].clone())
    assert_equal(target.array, want.array, 1e-12)
    if op.nondiff and target.requires_grad:  # as a constant, whatever was there before
        assert pull([target], [own[0]], [np.ones(target.shape)]) == [None]
    elif want.requires_grad:
        weights = [noise(np.random.default_rng(5), want.array)]
        inputs = [[t for t in tensors if t.requires_grad] for tensors in (plain, own)]
        for a, b in zip(pull([target], inputs[1], weights), pull([want], inputs[0], weights)):
            assert (a is None) == (b is None) and (a is None or np.allclose(a.array, b.array, 1e-12, equal_nan=True))


def takes_out(op: Op, sample: Sample) -> bool:
    """Whether there is an `out=`: not for views, lists, and several results without names."""
    return not op.view and sample.through is None and (op.nout == 1 or (op.nout > 1 and bool(op.returns)))


@each(takes_out)
def test_out(op, sample):
    tensors = make(sample, copies(sample), False)
    want = run(op, sample, tensors)
    outs = [torch.empty(t.shape, dtype=t.dtype) for t in want]
    out = outs[0] if len(outs) == 1 else tuple(outs)
    found = flat(op.function(*with_arrays(sample.args, tensors), **sample.kwargs, out=out))
    assert all(a is b for a, b in zip(found, outs))
    for a, b in zip(outs, want):
        np.testing.assert_array_equal(a.array, b.array)
    recorded = make(sample, copies(sample))
    if any(t.requires_grad for t in recorded):
        with pytest.raises(RuntimeError, match="out"):
            op.function(*with_arrays(sample.args, recorded), **sample.kwargs, out=out)


# ---- other dtypes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, op in OPERATIONS.items() if op.elementwise and n != "nextafter"])
def test_integers_and_bools(name):
    """Small integers give what the same floating-point numbers give; refused kinds are a RuntimeError."""
    op = OPERATIONS[name]
    sample = next(s for s in SAMPLES[name] if not any(isinstance(a, float) for a in s.args[: len(op.tensors)]))
    ones = [np.resize(np.array([1, 2, 3]), a.shape) for a in spread_out(sample.args)]
    for dtype in (np.int64, np.int32, np.uint8, np.bool_):
        tensors = [wrap(a if b.dtype.kind == "b" else a.astype(dtype)) for a, b in zip(ones, spread_out(sample.args))]
        if np.dtype(dtype).kind in op.refuses.lower():
            with pytest.raises(RuntimeError, match="not defined"):
                run(op, sample, tensors)
            continue
        got = run(op, sample, tensors)[0]
        lowest = {BOOL: torch.bool, INT: torch.int64, FLOAT: torch.float32}[op.least]
        own = tensors[-1].dtype
        assert got.dtype is (torch.bool if op.gives_bool else lowest if own.kind < op.least else own)
        if dtype is np.int64 and "f" not in op.refuses:
            want = run(op, sample, [wrap(t.array.astype(np.float64)) for t in tensors])[0]
            assert_equal(got.array, want.array.astype(got.array.dtype), 1e-5)


def test_half_precision_is_computed_in_single_and_rounded_once():
    for dtype in (torch.float16, torch.bfloat16):
        x = wrap(np.linspace(0.3, 0.9, 7, dtype=np.float32)).to(dtype)
        for function in (torch.exp, torch.tanh, torch.sigmoid, lambda t: t / (t * t + 1)):
            assert function(x).dtype is dtype
        assert torch.equal(torch.sigmoid(x), torch.sigmoid(x.float()).to(dtype))


def test_directions_see_a_wrong_derivative():
    """The check itself: a derivative that is wrong by one in a thousand is noticed."""
    x = wrap(np.linspace(0.2, 1.0, 6)).requires_grad_()
    u = np.ones(6)
    slope = math.fsum((np.exp(x.array + STEP * u) - np.exp(x.array - STEP * u)) / (2 * STEP))
    recorded = dot(pull([torch.exp(x)], [x], [np.ones(6)])[0].array, u)
    assert_slope(slope, recorded, abs(recorded), "exp")
    with pytest.raises(AssertionError, match="differences"):
        assert_slope(slope, 1.001 * recorded, abs(recorded), "exp")
