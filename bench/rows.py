"""Row kernels beside PyTorch and NumPy: softmax, losses, norms, attention, GELU, dropout, random numbers, sums.

    python bench/rows.py                          one thread
    python bench/rows.py --only norm --threads 2
    python bench/rows.py --sizes 1000,100000

Shapes are those of the training steps of `steps.py`, and rows of 100 with 1,000, 100,000 and 10,000,000 elements
together (`--sizes`). Printed are the median times of forward, and of forward with backward, and how many times as long
PyTorch and tapegrad on NumPy alone take. Results must agree; the exit code is 1 if one does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from _common import libraries, options
from kernels import compare

Call = Callable[[Any, list], Any]  # of the library and its tensors


class Case(NamedTuple):
    """An operation and the shapes of its operands; the first `own` of them get gradients."""

    name: str
    call: Call
    shapes: tuple[tuple[int, ...], ...]
    classes: int = 0  # if there are, the last operand is a target of as many rows as the first has
    drawn: bool = False  # no gradient, and another stream of random numbers than on some processors


def softmax(name: str, *shape: int) -> Case:
    return Case(f"{name} {shape}", lambda T, t: getattr(T.nn.functional, name)(t[0], -1), (shape,))


def cross_entropy(n: int, classes: int) -> Case:
    return Case(f"cross_entropy {n, classes}", lambda T, t: T.nn.functional.cross_entropy(*t), ((n, classes),), classes)


def layer_norm(n: int, width: int, name: str = "layer_norm") -> Case:
    shapes = ((n, width), (width,), (width,))[: 3 if name == "layer_norm" else 2]
    return Case(f"{name} {n, width}", lambda T, t: getattr(T.nn.functional, name)(t[0], (width,), *t[1:]), shapes)


def batch_norm(*shape: int) -> Case:
    channels = shape[1:2]
    call = lambda T, t: T.nn.functional.batch_norm(t[0], None, None, *t[1:], training=True)
    return Case(f"batch_norm {shape}", call, (shape, channels, channels))


def group_norm(groups: int, *shape: int) -> Case:
    call = lambda T, t: T.nn.functional.group_norm(t[0], groups, *t[1:])
    return Case(f"group_norm {groups}: {shape}", call, (shape, shape[1:2], shape[1:2]))


def attention(causal: bool, *shape: int) -> Case:
    call = lambda T, t: T.nn.functional.scaled_dot_product_attention(*t, is_causal=causal)
    return Case(f"attention{' causal' * causal} {shape}", call, (shape,) * 3)


def of(name: str, call: Call, *shape: int, drawn: bool = False) -> Case:
    return Case(f"{name} {shape}", call, (shape,), drawn=drawn)


STEPS = [
    cross_entropy(64, 10),
    cross_entropy(768, 65),
    layer_norm(768, 128),
    layer_norm(768, 128, "rms_norm"),
    batch_norm(32, 16, 32, 32),
    batch_norm(32, 64, 8, 8),
    group_norm(4, 32, 16, 32, 32),
    attention(True, 12, 4, 64, 32),
    attention(False, 12, 4, 64, 32),
    of("gelu", lambda T, t: T.nn.functional.gelu(t[0]), 768, 512),
    of("dropout", lambda T, t: T.nn.functional.dropout(t[0], 0.25), 64, 9216, drawn=True),
    of("sum of rows", lambda T, t: t[0].sum(0), 768, 512),
]


def of_size(n: int) -> list[Case]:
    """All kinds of operations with `n` elements."""
    shape = (n // 100, 100)
    return [
        *(softmax(name, *shape) for name in ("softmax", "log_softmax")),
        cross_entropy(*shape),
        layer_norm(*shape),
        layer_norm(*shape, name="rms_norm"),
        batch_norm(n // 1000, 10, 100),
        of("gelu", lambda T, t: T.nn.functional.gelu(t[0]), n),
        of("sum", lambda T, t: t[0].sum(), n),
        of("sum(0)", lambda T, t: t[0].sum(0), *shape),
        of("sum(1)", lambda T, t: t[0].sum(1), *shape),
        of("dropout", lambda T, t: T.nn.functional.dropout(t[0], 0.5), n, drawn=True),
        of("rand", lambda T, t: T.rand(n), n, drawn=True),
        of("randn", lambda T, t: T.randn(n), n, drawn=True),
    ]


def prepared(T: Any, case: Case, backward: bool) -> Callable[[], Any]:
    """A call of the case with operands of the library."""
    rng = np.random.default_rng(0)
    tensors = [T.tensor(rng.standard_normal(s).astype(np.float32), requires_grad=backward) for s in case.shapes]
    inputs = list(tensors)
    if case.classes:
        tensors.append(T.tensor(rng.integers(0, case.classes, case.shapes[0][0])))
    out = case.call(T, tensors)
    g = T.tensor(rng.standard_normal(tuple(out.shape)).astype(np.float32))
    if not backward:
        return lambda: case.call(T, tensors)
    return lambda: T.autograd.grad(case.call(T, tensors), inputs, g)


def without_kernels(call: Callable[[], Any]) -> Callable[[], Any]:
    """The same on NumPy alone."""
    from tapegrad.backends.cpu import drawing, fused, reduce
    from tapegrad.codegen import jit

    def run() -> Any:
        available, small, few, large, summed = jit.available, fused.SMALL, drawing.FEW, drawing.LARGE, reduce.FUSED
        jit.available = lambda: False
        fused.SMALL = drawing.FEW = drawing.LARGE = reduce.FUSED = 1 << 60
        try:
            return call()
        finally:
            jit.available, fused.SMALL, drawing.FEW, drawing.LARGE, reduce.FUSED = available, small, few, large, summed

    return run


def numbers(found: Any) -> list[np.ndarray]:
    """Results as arrays of float64."""
    return [t.detach().double().numpy() for t in (found if isinstance(found, (tuple, list)) else (found,))]


def agree(mine: Any, theirs: Any) -> bool:
    """Whether results are equal up to the rounding of long sums."""
    for a, b in zip(numbers(mine), numbers(theirs)):
        if a.shape != b.shape or abs(a - b).max(initial=0) > 1e-4 * max(1.0, abs(b).max(initial=0)):
            return False
    return True


def main() -> int:
    """Run the cases; 1 if a result disagrees."""
    parser = options(__doc__, rounds=11)
    parser.add_argument("--sizes", default="1000,100000,10000000", help="elements, of the cases that come in any size")
    args = parser.parse_args()
    ours, torch = libraries(args.threads)
    cases = STEPS + [case for size in args.sizes.split(",") if size for case in of_size(int(size))]
    head = f"{'ours us':>10s} {'torch':>6s} {'NumPy':>6s}"
    print(f"{'case':40s} {head}     {head.replace('ours us', 'backward')}", flush=True)
    wrong = 0
    for case in cases:
        if args.only.lower() not in case.name.lower():
            continue
        text = f"{case.name:40s}"
        for backward in (False, True)[: 1 if case.drawn else 2]:
            mine, theirs = prepared(ours, case, backward), prepared(torch, case, backward)
            ok = case.drawn or agree(mine(), theirs())
            sides = {"ours": mine, "torch": theirs, "NumPy": without_kernels(mine)}
            times = compare(sides, args.rounds if max(map(np.prod, case.shapes)) < 1e6 else 3)
            pair = times["torch"] / times["ours"], times["NumPy"] / times["ours"]
            text += f" {times['ours']:10.1f} {pair[0]:6.2f} {pair[1]:6.1f}" + "     " * (not backward)
            if not ok:
                text, wrong = text + "  DIFFERENT", 1
        print(text, flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
