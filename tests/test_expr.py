"""Scalar expressions: how they are recorded, printed, typed, and computed by NumPy."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from tapegrad.backends.cpu import elementwise as kernels
from tapegrad.ir import expr as e

X, Y, Z = map(e.Var, "xyz")
FLOAT64 = np.dtype(np.float64)

# ---- recording -----------------------------------------------------------------------------------------------------


def test_operators_and_functions_record_what_they_do():
    found = e.where(X > 0, X * 2 + 1, e.exp(-X))
    assert found.op == "where" and [a.op for a in found.args] == ["gt", "add", "exp"]
    assert found.variables == {"x"}


def test_every_operator_has_a_recorder_and_a_numpy_function():
    for name, rule in e.OPERATORS.items():
        found = getattr(e, name)(*[X, Y, Z][: rule.arity])
        assert found.op == name and len(found.args) == rule.arity
        assert callable(kernels.FUNCTIONS[name])


def test_multiplying_by_the_integer_one_leaves_no_trace():
    assert X * 1 is X and 1 * X is X
    assert (X * 1.0).op == "mul" and (X * True).op == "mul"


def test_an_expression_has_no_truth_value():
    with pytest.raises(TypeError, match="where"):
        bool(X > 0)
    with pytest.raises(TypeError, match="truth value"):
        _ = 1 if X else 2


def test_an_unknown_operator_is_an_attribute_error():
    with pytest.raises(AttributeError, match="sine"):
        e.sine(X)


def test_walk_gives_every_node_once_and_operands_first():
    shared = X + Y
    order = e.walk(shared * shared + X)
    assert len(order) == len({id(n) for n in order}) == 5
    place = {id(n): i for i, n in enumerate(order)}
    assert all(place[id(a)] < place[id(n)] for n in order for a in n.args)


def test_a_deep_expression_needs_no_recursion():
    deep = X
    for _ in range(5000):
        deep = deep + 1
    assert len(e.walk(deep)) == 10001
    assert e.result_kind(deep) == "same"
    assert compiled(deep, ("x",))(np.zeros(2)).tolist() == [5000.0, 5000.0]


# ---- printing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (1 / (1 + e.exp(-X)), "1 / (1 + exp(-x))"),
        ((X + Y) * Z, "(x + y) * z"),
        (X + Y * Z, "x + y * z"),
        (X - (Y - Z), "x - (y - z)"),
        (X - Y - Z, "x - y - z"),
        (X / (Y * Z), "x / (y * z)"),
        (X / Y * Z, "x / y * z"),
        (-(X + Y), "-(x + y)"),
        (-X + Y, "-x + y"),
        (-(X * Y), "-(x * y)"),
        ((-X) ** 2, "(-x) ** 2"),
        (-(X**2), "-x ** 2"),
        (2**X, "2 ** x"),
        ((X**Y) ** Z, "(x ** y) ** z"),
        (X ** (Y**Z), "x ** y ** z"),
        (X ** (-Y), "x ** -y"),
        (e.pow(-2.0, X), "(-2.0) ** x"),
        (X % 3 // 2, "x % 3 // 2"),
        (~(X & Y) | Z, "~(x & y) | z"),
        (e.where(X > 0, X, 0.5), "where(x > 0, x, 0.5)"),
        ((X > 0) & (Y < 1), "(x > 0) & (y < 1)"),
        (e.eq(X < Y, Z), "(x < y) == z"),
        ((X == Y) + 1, "(x == y) + 1"),
        (e.maximum(X + 1, -2.5), "maximum(x + 1, -2.5)"),
        (X + -2.5, "x + -2.5"),
        (abs(X) + e.hypot(X, Y), "abs(x) + hypot(x, y)"),
    ],
)
def test_printing_uses_no_more_parentheses_than_needed(expression, text):
    assert e.show(expression) == repr(expression) == text


INFIX = {name: rule for name, rule in e.OPERATORS.items() if rule.infix}


def grown(operators: list[str], leaves: list, size: int = 8) -> st.SearchStrategy[e.Expr]:
    """Random expressions; operands may be shared."""

    def apply(name: str, *operands: e.Expr) -> e.Expr:
        return e.Expr(name, *operands[: e.OPERATORS[name].arity])

    def grow(children):
        return st.builds(apply, st.sampled_from(operators), children, children, children)

    return st.recursive(st.sampled_from([e.lift(x) for x in leaves]), grow, max_leaves=size)


def tree_of(x: e.Expr) -> ast.expr:
    """Python's syntax tree of the expression."""
    if isinstance(x, e.Var):
        return ast.Name(x.name, ast.Load())
    if isinstance(x, e.Const):
        return ast.parse(repr(x.value), mode="eval").body
    sign, operands = INFIX[x.op].infix, [tree_of(a) for a in x.args]
    pattern = ast.parse(f"a {sign} b" if len(operands) == 2 else f"{sign}a", mode="eval").body
    if isinstance(pattern, ast.UnaryOp):
        return ast.UnaryOp(pattern.op, *operands)
    if isinstance(pattern, ast.Compare):
        return ast.Compare(operands[0], pattern.ops, operands[1:])
    return ast.BinOp(operands[0], pattern.op, operands[1])


@given(grown(sorted(INFIX), [X, Y, Z, 2, 0.5, -1.5]))
def test_python_reads_the_printed_text_as_the_same_expression(x):
    assert ast.dump(ast.parse(e.show(x), mode="eval").body) == ast.dump(tree_of(x))


# ---- types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        (X + Y, "same"),
        (X + 1, "same"),
        (X + 1.0, "float"),
        (X / 2, "float"),
        (e.exp(X), "float"),
        (-e.sqrt(X) * Y, "float"),
        (X > 0.5, "bool"),
        (e.isnan(X / 2), "bool"),
        (e.where(X > 0.5, X, Y), "same"),
        (e.where(X, 1.0, Y), "float"),
        (e.floor(X), "same"),
        (e.atan2(X, Y), "float"),
        (X, "same"),
        (e.lift(2.0), "float"),
        (e.lift(2), "same"),
    ],
)
def test_result_kind(expression, kind):
    assert e.result_kind(expression) == kind


def test_conditions_are_variables_that_only_choose():
    assert e.conditions(e.where(X, Y, Z)) == {"x"}
    assert e.conditions(e.where(X, X, Z)) == set()
    assert e.conditions(e.where(X > 0, Y, Z)) == set()


# ---- computing -----------------------------------------------------------------------------------------------------


def compiled(root: e.Expr, parameters: tuple[str, ...], **options) -> Callable:
    return e.to_numpy(root, parameters, kernels.FUNCTIONS, lambda v: np.array(v, FLOAT64), **options)


def naive(x: e.Expr, values: dict):
    """The value of an expression, operator by operator, every result in new memory."""
    if isinstance(x, e.Var):
        return values[x.name]
    if isinstance(x, e.Const):
        return np.array(x.value, FLOAT64)
    return kernels.FUNCTIONS[x.op](*(naive(a, values) for a in x.args))


NOT_FOR_FLOATS = {n for n in e.OPERATORS if n.startswith(("bit_", "shift_"))} | {"gcd", "lcm"}
ON_FLOATS = sorted(set(e.OPERATORS) - NOT_FOR_FLOATS)
floats = grown(ON_FLOATS, [X, Y, Z, 2, 0.5, -1.5])


def shares(x: e.Expr) -> e.Expr:
    """An expression in which the given one occurs several times, as one object."""
    return e.maximum(x * x + e.abs(x), x - Y)


def can_be_computed(x: e.Expr) -> bool:
    """Whether NumPy does not refuse it, as it does some arithmetic of bools (`True - True`)."""
    try:
        naive(x, dict.fromkeys("xyz", np.ones(2)))
    except (TypeError, ValueError):
        return False
    return True


def evaluate_both(root: e.Expr, values: dict[str, np.ndarray], **options) -> None:
    before = {name: v.copy() for name, v in values.items()}
    want = np.asarray(naive(root, values))
    found = np.asarray(compiled(root, ("x", "y", "z"), **options)(*values.values()))
    np.testing.assert_array_equal(found, np.broadcast_to(want, found.shape))
    for name, v in values.items():
        np.testing.assert_array_equal(v, before[name], f"{name} was written to")
    if found.shape == (2, 3) and found.dtype == FLOAT64 and root.args and root.op != "where":
        out = np.full((2, 3), 7.0)
        assert compiled(root, ("x", "y", "z"), **options)(*values.values(), out=out) is out
        np.testing.assert_array_equal(out, found)
        x = values["x"].copy()  # `out` may be one of the operands: it is written last
        compiled(root, ("x", "y", "z"), **options)(x, values["y"], values["z"], out=x)
        np.testing.assert_array_equal(x, found)


def test_numbers_made_of_truth_values_are_not_written_over():
    """NumPy's acos of truth values is of half precision: no place for a difference of float64 numbers."""
    values = {n: np.random.default_rng(0).standard_normal((2, 3)) for n in "xyz"}
    evaluate_both(shares(e.acos(X >= X)), values, full=frozenset("xyz"))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(floats, st.booleans(), st.integers(0, 9))
def test_random_expressions_are_what_their_operators_give(root, shared, seed):
    root = shares(root) if shared else root
    assume(can_be_computed(root))
    rng = np.random.default_rng(seed)
    values = {name: rng.standard_normal((2, 3)) for name in "xyz"}
    values["y"][0, 0] = math.nan
    evaluate_both(root, values)
    evaluate_both(root, values, full=frozenset("xyz"))
    row = values | {"z": values["z"][0]}
    evaluate_both(root, row, full=frozenset("xy"))


ON_INTEGERS = "abs add bit_and bit_not bit_or bit_xor div floordiv gcd gt maximum mul neg remainder sub where".split()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(grown(ON_INTEGERS, [X, Y, 2, 3]), st.integers(0, 9))
def test_random_expressions_of_integers(root, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(1, 9, (2, 2, 3))
    try:
        want = evaluate_integers(root, {"x": x, "y": y})
    except (TypeError, AttributeError):
        reject()  # there is no such operation on what a division or a comparison gave, or on numbers alone
    run = kernels.kernel(root, ("x", "y"), full=frozenset("xy"))
    found = np.asarray(run(x, y))
    np.testing.assert_array_equal(found, np.broadcast_to(want, found.shape))


def evaluate_integers(x: e.Expr, values: dict):
    if isinstance(x, e.Var):
        return values[x.name]
    if isinstance(x, e.Const):
        return x.value
    return kernels.FUNCTIONS[x.op](*(evaluate_integers(a, values) for a in x.args))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float16", "float32", "float64", "complex64"])
def test_where_is_numpys_on_large_arrays(dtype):
    rng = np.random.default_rng(0)
    where, condition = kernels.FUNCTIONS["where"], rng.random((50, 60)) < 0.5
    x, y = (rng.standard_normal((2, 50, 60)) * 50).astype(dtype)
    if x.dtype.kind in "fc":
        x[0, :4] = math.nan, math.inf, -math.inf, -0.0
        y[:, 0] = math.inf
    zero = np.zeros((), dtype)
    for a, b in ((x, y), (y, x), (x, zero), (zero, x), (x[:1], y), (x, y[:, :1]), (x[:, ::-1], y), (x.T.copy().T, y)):
        found, want = where(condition, a, b), np.where(condition, a, b)
        assert found.dtype == want.dtype
        np.testing.assert_array_equal(found, want)
        np.testing.assert_array_equal(np.signbit(found.real), np.signbit(want.real)) if x.dtype.kind in "fc" else None
    np.testing.assert_array_equal(where(condition[:1], x, y), np.where(condition[:1], x, y))
    np.testing.assert_array_equal(where(condition[:, ::2], x[:, ::2], y[:, ::2]), np.where(condition, x, y)[:, ::2])


def test_temporaries_are_written_over_and_inputs_are_not():
    source = e.to_source(e.exp(X * 2 + 1), ("x",), frozenset(), frozenset("x"))
    assert source.count("out=t0") == 2 and "out=x_" not in source
    assert "out=t" not in e.to_source(e.exp(X * 2 + 1), ("x",), frozenset(), None)


def test_a_temporary_that_is_smaller_than_the_result_is_not_written_over():
    source = e.to_source((Y * 2) + X, ("x", "y"), frozenset(), frozenset("x"))
    assert "out=t" not in source
    source = e.to_source(e.largest(X) * 0.5 + X, ("x",), frozenset(), frozenset("x"))
    assert "mul(t0, c0, out=t0)" not in source


def test_scalars_are_turned_into_numbers_of_the_type_of_the_arrays():
    run = kernels.kernel(X + Y, ("x", "y"), frozenset("y"))
    found = run(np.ones(2, np.float32), 1e-3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32(1) + np.float32(1e-3))


def test_constants_take_the_type_of_the_arrays():
    for dtype in (np.float32, np.float64):
        assert kernels.kernel(X * 0.1 + 1, ("x",))(np.ones(3, dtype)).dtype == dtype
    assert kernels.kernel(X * 2 + 1, ("x",))(np.ones(3, np.int16)).dtype == np.int16
    assert e.constants(X * 0.1 + 1) == [0.1, 1]


def test_an_operand_may_be_called_out_or_number():
    root = e.Var("out") * 2 + e.Var("number")
    found = compiled(root, ("out", "number"), full=frozenset(("out", "number")))(np.ones(2), np.ones(2))
    assert found.tolist() == [3.0, 3.0]


def test_direct_ufuncs_are_found():
    assert kernels.direct(X + Y, ("x", "y")) is np.add
    assert kernels.direct(e.sqrt(X), ("x",)) is np.sqrt
    assert kernels.direct(Y + X, ("x", "y")) is None
    assert kernels.direct(e.tanh(X) * 2, ("x",)) is None


def test_half_precision_is_rounded_once():
    x = np.linspace(0.1, 3, 50).astype(np.float16)
    found = kernels.kernel(e.exp(X) / 3 + 1, ("x",))(x)
    wide = np.exp(x.astype(np.float32)) / np.float32(3) + np.float32(1)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, wide.astype(np.float16))
    out = np.empty_like(x)
    assert kernels.kernel(e.exp(X) / 3 + 1, ("x",))(x, out=out) is out
    np.testing.assert_array_equal(out, found)


def test_zero_dimensional_arrays():
    run = kernels.kernel(e.exp(X * 2) + X, ("x",))
    assert float(run(np.array(0.5))) == pytest.approx(math.exp(1) + 0.5)
    assert run(np.full((2, 0), 0.5)).shape == (2, 0)
