"""The documents that are programs, and the examples: they run, and print what they are said to print."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tapegrad as torch
from tapegrad.core.op import Array, elementwise, op, registry

ROOT = Path(torch.__file__).resolve().parent.parent
# PyTorch has no CharDataset: there the example that uses it is given one, so that its numbers can be compared
WITH_CHARACTERS = """
import runpy, sys, torch
from torch.utils import data

class CharDataset(data.Dataset):
    def __init__(self, text, block_size):
        self.vocabulary, self.block_size = "".join(sorted(set(text))), block_size
        self.vocab_size, self.data = len(self.vocabulary), self.encode(text)
    def encode(self, text):
        return torch.tensor([self.vocabulary.index(letter) for letter in text])
    def decode(self, numbers):
        return "".join(self.vocabulary[i] for i in numbers.tolist())
    def __len__(self):
        return len(self.data) - self.block_size
    def __getitem__(self, i):
        return self.data[i : i + self.block_size], self.data[i + 1 : i + self.block_size + 1]

data.CharDataset = CharDataset
program = sys.argv.pop(1)
runpy.run_path(program, run_name="__main__")
"""
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def output(*command: str) -> str:
    """What `python command...` prints; it must end well and say nothing on stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def promised(name: str) -> str:
    """The output that the head of an example shows."""
    head = ast.get_docstring(ast.parse((ROOT / "examples" / name).read_text(encoding="utf-8")))
    _, _, shown = head.partition("with tapegrad and with PyTorch:\n\n")
    assert shown, f"{name}: its head must end with what it prints"
    return "\n".join(line.removeprefix("    ") for line in shown.splitlines())


def assert_same(printed: str, expected: str) -> None:
    """Equal words, in which numbers may differ by 2 percent or 2 units of the last digit: machines round."""
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", expected).split()
    for got, wanted in zip(NUMBER.findall(printed), NUMBER.findall(expected)):
        mantissa, _, exponent = wanted.partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        near = pytest.approx(float(wanted), rel=0.02, abs=2.5 * unit)
        assert float(got) == near, f"{got} for {wanted} in:\n{printed}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_prints_what_its_head_says(name):
    assert_same(output("-m", "tapegrad", "run", f"examples/{name}"), promised(name))


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_prints_the_same_with_torch(name):
    pytest.importorskip("torch")
    text = (ROOT / "examples" / name).read_text(encoding="utf-8")
    if "torchvision" in text:
        pytest.importorskip("torchvision")
    command = ["-c", WITH_CHARACTERS] if "CharDataset" in text else []
    assert_same(output(*command, f"examples/{name}"), promised(name))


def test_examples_are_found_and_the_comparison_can_fail():
    assert len(EXAMPLES) >= 6
    assert_same("loss 0.1234 of 360", "loss 0.1233 of 361")
    for wrong in ("loss 0.2000 of 360", "lost 0.1234 of 360", "loss 0.1234", "loss nan of 360"):
        with pytest.raises(AssertionError):
            assert_same(wrong, "loss 0.1234 of 360")


# ---- docs/one_op.py -------------------------------------------------------------------------------------------------

ONE_OP = [
    r"d/dx    = g \* \(1 - out \* out\)",  # the formula
    r"return tanh\(x_, out=out\)",  # the kernel
    r"node           TanhBackward0, number \d+",
    r"your line      .*one_op\.py:(\d+) in <module>",
    r"saved inputs   \[\]",
    r"saved result   .*the memory of y itself: True",
    r"def backward\(node, g\):",  # the adaptor
    r"return \(f0\(g, out\) if e0 is not None else None,\)",
    r"t0 = mul\(out_, out_\)",  # the fused derivative: one temporary
    r"return mul\(g_, t0, out=t0 if out is None else out\)",
    r"by the engine  tensor\(\[1\.0000, 0\.7864, 0\.0707\]\)",
    r"recorded       TanhBackward0, MulBackward0, RsubBackward1, MulBackward0",
    r"by the engine  tensor\(\[-?0\.0000, -0\.7269, -0\.1362\]\)",
]


def assert_in_order(patterns: list[str], text: str) -> list[str]:
    """Each pattern is found after the one before; the groups that matched."""
    place, groups = 0, []
    for pattern in patterns:
        found = re.compile(pattern).search(text, place)
        assert found, f"no {pattern!r} from here on:\n{text[place:]}"
        place = found.end()
        groups += found.groups()
    return groups


def test_one_op():
    (line,) = assert_in_order(ONE_OP, output("docs/one_op.py"))
    source = (ROOT / "docs" / "one_op.py").read_text(encoding="utf-8").splitlines()
    assert source[int(line) - 1] == "y = torch.tanh(x)"


# ---- docs/one_step.py -----------------------------------------------------------------------------------------------


ONE_STEP = [  # the numbers are PyTorch's
    r"#(\d+) AddmmBackward0 \(4, 2\)\n +gradients to -, 0\.weight, 0\.bias",
    r"#(\d+) TanhBackward0 \(4, 2\)\n +gradients to #(\d+)\n +tanh\(x\) = tanh\(x\)\n +d/dx: g \* \(1 - out \* out\)",
    r"#(\d+) AddmmBackward0 \(4, 1\)\n +gradients to #(\d+), 2\.weight, 2\.bias",
    r"#(\d+) SubBackward0 \(4, 1\)",
    r"#(\d+) PowBackward0 \(4, 1\)",
    r"#(\d+) MeanBackward0 \(\)",
    r"tensor\(0\.8441, grad_fn=<MeanBackward0>\)",
    r"2\. backward: the order of the engine\n +#(\d+) Mean.*\n +#(\d+) Pow.*\n +#(\d+) Sub.*\n",
    r" +#(\d+) Addmm.*\n +#(\d+) Tanh.*\n +#(\d+) Addmm",
    r"2\.weight  tensor\(\[0\.0755, 0\.6090\]\)\n +2\.bias    tensor\(\[-1\.4674\]\)",
    r"momentum_buffer' = momentum \* momentum_buffer \+ g\n +p' = p - lr \* momentum_buffer'",
    r"def piece\(.*\n(?: +[a-z].*\n)* +sub\(p_, \w+, p_\)",
    r"before  tensor\(\[\[-0\.0140,  0\.5607\]\]\)\n +after   tensor\(\[\[-0\.0518,  0\.2561\]\]\)",
    r"before  0\.8441\n +after   0\.2981, node None",
]


def test_one_step():
    groups = list(map(int, assert_in_order(ONE_STEP, output("docs/one_step.py"))))
    first, tanh, tanh_to, second, second_to, sub, power, mean = groups[:8]
    assert (tanh_to, second_to) == (first, tanh)
    assert first < tanh < second < sub < power < mean
    assert groups[8:] == [mean, power, sub, second, tanh, first]


@pytest.mark.parametrize("name", ["one_op.py", "one_step.py"])
def test_programs_to_read_are_short(name):
    assert len((ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()) < 120


# ---- docs/ARCHITECTURE.md -------------------------------------------------------------------------------------------


def test_the_map_is_true():
    """Every file it names is there, every note is where it says, and no note of the core is left out."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = ROOT / "tapegrad"
    files = re.findall(r"`((?:core|ops|ir)/[a-z_]+)(?:\.py)?`", text)
    assert len(files) > 10
    for name in files:
        assert (package / f"{name}.py").is_file(), name
    notes = dict(re.findall(r"^\| ([\w ]+) \| `(\S+\.py)` \|", text, re.MULTILINE))
    written = {}
    for path in package.joinpath("core").glob("*.py"):
        for title in re.findall(r"^Note \[([^]]+)\]\.", path.read_text(encoding="utf-8"), re.MULTILINE):
            written[title] = f"core/{path.name}"
    assert notes == written


def declared(code: str) -> dict:
    """Run a block of the map as a file of `ops/` would be, then take its operations out of the registry again."""
    before, names = dict(registry), set(dir(torch.Tensor))
    scope: dict = {"elementwise": elementwise, "op": op, "Array": Array, "np": np, "matmul": torch.matmul}
    try:
        exec(compile(code, "docs/ARCHITECTURE.md", "exec"), scope)  # inherits the future import above, as in `ops/`
    finally:
        added = registry.keys() - before.keys()
        registry.clear()
        registry.update(before)
        for name in set(dir(torch.Tensor)) - names:
            delattr(torch.Tensor, name)
    assert len(added) == 1, "an example must not take the name of an operation that exists"
    return scope


def test_the_operations_declared_in_the_map_work():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    x = torch.rand(3, dtype=torch.float64, requires_grad=True)
    y = torch.rand(2, dtype=torch.float64, requires_grad=True)
    softsquare, pair_products = declared(first)["softsquare"], declared(second)["pair_products"]
    assert softsquare(torch.tensor([3.0]), scale=2).item() == pytest.approx(9 / 11)
    assert pair_products(x, y).tolist() == (x[:, None] * y).tolist()
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda x: softsquare(x, 2), x)
        assert check(pair_products, (x, y))
    assert pair_products.op.shape_rule((3,), (2,)) == (3, 2)
