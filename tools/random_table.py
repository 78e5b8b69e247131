"""How every random function compares with PyTorch's: the rows of docs/RANDOM.md, and the calls that measure them.

    python tools/random_table.py          writes docs/RANDOM.md
    python tools/random_table.py --check  says whether it is up to date, without PyTorch
    python tools/random_table.py --try    compares every row with PyTorch, if it is installed

`tests/twin/test_random_table.py` does the last two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "RANDOM.md"

FLOAT = ("float16", "bfloat16", "float32", "float64")
WIDE = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
SIGNED = ("uint8", "int8", "int16", "int32", "int64")
UNSIGNED = ("uint16", "uint32", "uint64")
BOOL = ("bool",)
SIZES = (0, 1, 2, 15, 16, 17, 31, 33, 1000)
LAYOUTS = ("contiguous", "every second", "transposed", "columns", "permuted")  # of the target, or of the argument

EQUAL, ULP, DIFFERS = "bit-equal", "ulp-equal", "differs"


@dataclass(frozen=True)
class Row:
    """A random function: how to call it, on which types, and how well it agrees."""

    name: str
    call: Callable[[Any, Any, Any], Any]  # package, element type, a tensor that is the target or gives the shape
    types: tuple[str, ...]
    agrees: str = EQUAL
    ulps: int = 0  # where it is ulp-equal
    why: str = ""
    stream: str = ""  # "mkl": from MKL on Intel's CPUs; "vector": PyTorch's depends on the CPU's vectors
    layouts: tuple[str, ...] = LAYOUTS
    state: bool = True  # whether the generators are in step afterwards


def target(T: Any, kind: Any, n: int, layout: str) -> Any:
    """A tensor of zeros in this layout."""
    if layout == "contiguous":
        return T.zeros(n, dtype=kind)
    if layout == "every second":
        return T.zeros(2 * n, dtype=kind)[::2]
    if layout == "transposed":
        return T.zeros(3, n, dtype=kind).t()
    if layout == "columns":
        return T.zeros(n, 4, dtype=kind)[:, 1:3]
    return T.zeros(2, 3, n, dtype=kind).permute(2, 0, 1)


def method(name: str, *args: Any) -> Callable:
    return lambda T, kind, x: getattr(x, name)(*args)


def weights(T: Any, kind: Any, n: int) -> Any:
    return (T.arange(n) % 7 + 1).to(kind)


def rows(T: Any, kind: Any, x: Any) -> Any:
    """Weights of 3 rows, one more than x has elements."""
    return weights(T, kind, 3 * len(x) + 3).reshape(3, -1)


def drop(name: str, *sizes: int) -> Callable:
    """A function of the dropout family on ones of shape (2, 3, *sizes)."""
    return lambda T, kind, x: getattr(T.nn.functional, name)(T.ones((2, 3, *sizes), dtype=kind), 0.3, True)


def elements(name: str, shift: float = 1.0, *args: Any) -> Callable:
    return lambda T, kind, x: getattr(T.nn.functional, name)(x + shift, *args)


ONE = ("contiguous",)
HALVES_RACE = (
    "equal scores of a race are common in half precision; their order in PyTorch is that of its C++ library's "
    "`nth_element` and `sort`, which the language leaves open; here the lower index goes first"
)

ROWS = [
    Row("rand", lambda T, k, x: T.rand(tuple(x.shape), dtype=k), FLOAT + COMPLEX, layouts=ONE),
    Row("rand(out=)", lambda T, k, x: T.rand(tuple(x.shape), out=x), FLOAT + COMPLEX),
    Row("rand_like", lambda T, k, x: T.rand_like(x), FLOAT + COMPLEX),
    Row("uniform_", method("uniform_", -0.3, 1.1), FLOAT + COMPLEX),
    Row("randn", lambda T, k, x: T.randn(tuple(x.shape), dtype=k), FLOAT + COMPLEX, layouts=ONE, stream="vector"),
    Row("randn(out=)", lambda T, k, x: T.randn(tuple(x.shape), out=x), FLOAT + COMPLEX, stream="vector"),
    Row("randn_like", lambda T, k, x: T.randn_like(x), FLOAT + COMPLEX, stream="vector"),
    Row("normal_", method("normal_", 0.3, 1.7), FLOAT + COMPLEX, stream="vector"),
    Row("normal(mean, std, size)", lambda T, k, x: T.normal(0.3, 1.7, tuple(x.shape), dtype=k), FLOAT + COMPLEX,
        layouts=ONE, stream="vector"),
    Row("normal(Mean, std)", lambda T, k, x: T.normal(x + 0.3, 1.7), FLOAT, stream="vector"),
    Row("normal(mean, Std)", lambda T, k, x: T.normal(0.3, x + 1.7), FLOAT, stream="vector"),
    Row("normal(Mean, Std)", lambda T, k, x: T.normal(x + 0.3, x + 1.7), FLOAT, stream="vector"),
    Row("normal(out=)", lambda T, k, x: T.normal(x + 0.3, x + 1.7, out=x), FLOAT, stream="vector"),
    Row("log_normal_", method("log_normal_", 0.3, 0.7), FLOAT, stream="library"),
    Row("exponential_", method("exponential_", 2.5), FLOAT, stream="mkl"),
    Row("cauchy_", method("cauchy_", 0.3, 1.7), FLOAT, stream="library"),
    Row("geometric_", method("geometric_", 0.3), FLOAT + SIGNED, stream="library"),
    Row("randint", lambda T, k, x: T.randint(-3 if k in (T.int64, T.float32) else 0, 100, tuple(x.shape), dtype=k),
        FLOAT + SIGNED + UNSIGNED, layouts=ONE),
    Row("randint(out=)", lambda T, k, x: T.randint(0, 100, tuple(x.shape), out=x), FLOAT + SIGNED + UNSIGNED),
    Row("randint_like", lambda T, k, x: T.randint_like(x, 2, 100), FLOAT + SIGNED + UNSIGNED),
    Row("random_()", method("random_"), FLOAT + SIGNED + BOOL),
    Row("random_(to)", method("random_", 2), FLOAT + SIGNED + UNSIGNED + BOOL),
    Row("random_(from, to)", method("random_", 5, 100), FLOAT + SIGNED + UNSIGNED),
    Row("random_(from, None)", method("random_", 5, None), FLOAT + SIGNED + ("uint16", "uint32")),
    Row("randperm", lambda T, k, x: T.randperm(x.shape[0] if k not in (T.uint8, T.int8) else x.shape[0] % 100, dtype=k),
        ("float32", "float64") + SIGNED, layouts=ONE),
    Row("bernoulli_(p)", method("bernoulli_", 0.3), FLOAT + SIGNED + BOOL, stream="mkl"),
    Row("bernoulli_(P)", lambda T, k, x: x.bernoulli_(T.full(tuple(x.shape), 0.3)), FLOAT + SIGNED + BOOL),
    Row("bernoulli(P)", lambda T, k, x: T.bernoulli(x + 0.3), FLOAT),
    Row("bernoulli(x, p)", lambda T, k, x: T.bernoulli(x, 0.3), FLOAT, stream="mkl"),
    Row("multinomial, with replacement", lambda T, k, x: T.multinomial(rows(T, k, x), 5, True), FLOAT, layouts=ONE),
    Row("multinomial, one sample", lambda T, k, x: T.multinomial(rows(T, k, x), 1), FLOAT, layouts=ONE, stream="mkl"),
    Row("multinomial, without replacement", lambda T, k, x: T.multinomial(rows(T, k, x), len(x) // 2 + 1), WIDE,
        layouts=ONE, stream="mkl"),
    Row("multinomial, without replacement", lambda T, k, x: T.multinomial(rows(T, k, x), len(x) // 2 + 1), FLOAT[:2],
         DIFFERS, why=HALVES_RACE, layouts=ONE, stream="mkl"),
    Row("poisson", lambda T, k, x: T.poisson(x + weights(T, k, x.shape[-1]) * 4), FLOAT, stream="library"),
    Row("binomial", lambda T, k, x: T.binomial(x + 20 * weights(T, k, x.shape[-1]), x + 0.3), WIDE, stream="library"),
    Row("distributions.Gamma", lambda T, k, x: T.distributions.Gamma(x + weights(T, k, x.shape[-1]) / 3, 1.0).sample(),
        WIDE, stream="library"),
    Row("distributions.Dirichlet", lambda T, k, x: T.distributions.Dirichlet(
        x.unsqueeze(-1) + weights(T, k, 7) / 3, validate_args=False).sample(), WIDE, layouts=ONE, stream="library"),
    Row("nn.functional.dropout", elements("dropout", 1.0, 0.3), FLOAT, stream="mkl"),
    Row("nn.functional.alpha_dropout", elements("alpha_dropout", 1.0, 0.3, True), FLOAT, stream="mkl"),
    Row("nn.functional.dropout1d", drop("dropout1d", 4), FLOAT, layouts=ONE, stream="mkl"),
    Row("nn.functional.dropout2d", drop("dropout2d", 4, 5), FLOAT, layouts=ONE, stream="mkl"),
    Row("nn.functional.dropout3d", drop("dropout3d", 2, 3, 4), FLOAT, layouts=ONE, stream="mkl"),
    Row("nn.functional.feature_alpha_dropout", drop("feature_alpha_dropout", 4), FLOAT, layouts=ONE, stream="mkl"),
    Row("nn.functional.rrelu", elements("rrelu", -1.0, 0.1, 0.3, True), ("bfloat16", "float32", "float64")),
    Row("nn.functional.gumbel_softmax, noise",
        lambda T, k, x: -T.empty(tuple(x.shape), dtype=k).exponential_().log() if T.__name__ == "torch"
        else T.ops.random.draws.gumbel_noise(x), FLOAT, ULP, 1,
        "PyTorch's logarithm is that of MKL's vector maths, which is not published; here it is rounded right",
        stream="mkl", layouts=ONE),
    Row("nn.functional.gumbel_softmax", elements("gumbel_softmax", 0.3, 0.7), WIDE, DIFFERS,
        why="softmax enlarges the last bit of the noise: of 17 categories in float32, by up to 14 ulp, where either "
        "result is up to 20 from the exact one",
        stream="mkl", layouts=ONE),
]  # fmt: skip


# ---- the text --------------------------------------------------------------------------------------------------------

HEAD = """\
# Random numbers

After the same `manual_seed`, tapegrad draws the numbers that PyTorch 2.13 draws on a CPU, and leaves its generator
where PyTorch leaves its own. `get_rng_state` gives PyTorch's 5056 bytes: either package continues from the other's.

* **bit-equal**: every bit, on a CPU with AVX2 and the C library's logarithms, sines, ... in NumPy.
* **ulp-equal**: within the given number of units in the last place.
* **differs**: with the reason. The generators are in step afterwards all the same.

Notes: `mkl`: on Intel's CPUs PyTorch takes this stream from MKL, another generator; tapegrad draws everywhere what
PyTorch draws elsewhere. `vector`: the last bit of 16 or more float32 numbers depends on PyTorch's vectors (compared
with AVX2). `library`: needs NumPy's float64 functions to be the C library's; where they are not, 1 or 2 ulp.

Compared are the sizes {sizes}, which surround every threshold of the streams, and targets
that are contiguous, have gaps, are transposed, are columns of a matrix, or are permuted. The formulas are beside the
code, in `tapegrad/backends/cpu/random.py`, `counts.py` and `gamma_draws.py`.

| function | types | agrees | note |
|---|---|---|---|
"""

TAIL = """
All functions of `nn.init` use these streams: uniform ones are bit-equal, `orthogonal_` agrees as far as the two QR
decompositions do. Draws of all classes of `torch.distributions` agree to the rounding of the formulas around the
streams. Derivatives of gamma, beta and Dirichlet draws (`rsample`) are exact to 1e-9 here and to 1e-3 in PyTorch, so
they differ in the fourth digit.

This file is written by `python tools/random_table.py`; `tests/twin/test_random_table.py` tries every row.
"""

GROUPS = ((FLOAT, "floats"), (COMPLEX, "complex"), (SIGNED, "uint8, int8 to int64"), (UNSIGNED, "uint16 to uint64"))


def types_text(types: tuple[str, ...]) -> str:
    """The types, groups of them by one word."""
    left, found = list(types), []
    for group, word in GROUPS:
        if set(group) <= set(left):
            found.append(word)
            left = [name for name in left if name not in group]
    return ", ".join(found + left)


def render() -> str:
    """The text of docs/RANDOM.md."""
    lines = []
    for row in ROWS:
        agrees = f"{row.agrees} ({row.ulps})" if row.agrees == ULP else row.agrees
        note = "; ".join(filter(None, (row.why, f"`{row.stream}`" if row.stream else "")))
        lines.append(f"| `{row.name}` | {types_text(row.types)} | {agrees} | {note} |\n")
    return HEAD.replace("{sizes}", ", ".join(map(str, SIZES))) + "".join(lines) + TAIL


# ---- measuring -------------------------------------------------------------------------------------------------------


def cases(row: Row) -> list[tuple[str, int, str]]:
    """What a row is tried on: (type, size, layout)."""
    found = [(name, n, "contiguous") for name in row.types for n in (SIZES if name in FLOAT else SIZES[1::3])]
    return found + [(name, 17, layout) for name in row.types for layout in row.layouts[1:]]


def draw(T: Any, row: Row, name: str, n: int, layout: str) -> tuple[Any, list]:
    """The numbers after `manual_seed`, and what the generator gives next."""
    kind = getattr(T, name)
    T.manual_seed(n)
    found = row.call(T, kind, target(T, kind, n, layout))
    return found, [*T.empty(2, dtype=T.int64).random_().tolist(), *T.randn(1).tolist()]


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        return 0 if FILE.read_text("utf-8") == render() else 1
    if arguments == ["--try"]:
        import pytest

        return int(pytest.main(["-q", str(ROOT / "tests" / "twin" / "test_random_table.py")]))
    FILE.write_text(render(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
