"""The study documents' programs print under `tapegrad run` what PyTorch printed: numbers, and names of nodes.

`python ../shared/seeds/run_seeds.py check` makes the same comparison. It leaves out numbers that PyTorch itself does
not reproduce with other CPU kernels (`loose` in expected/numbers.json). One more is of that kind, see CHAOTIC, and is
left out here: that command reports it, these tests do not fail for it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tapegrad.codegen import jit

# the comparison with torch installed (.ci/run) takes all 60,000 images; otherwise 6,400 of them show the same
FULL = bool(os.environ.get("TAPEGRAD_REQUIRE_TORCH"))
TEXTS = re.compile(r"grad_fn=<\w+>|<\w+Backward\d object|requires_grad=True|torch\.Size\([^)]*\)|Parameter containing:")

# A loss that 350 steps shrink from 1e7 to 8e-4, where float32 rounding is all that is left of it. PyTorch 2.13 prints
# 0.00079795 as recorded, 0.00080062 with MKL_CBWR=AVX2 (0.33 % off, three times the tolerance) and 0.00079891 with
# ATEN_CPU_CAPABILITY=default; the same program with products in float64 gives 0.00079990. Generated products are
# PyTorch's to the bit, and so is this loss with them.
CHAOTIC = {} if jit.available() else {"seed_002": {53}}


def _run_seeds(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_seeds", shared / "seeds" / "run_seeds.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(seeds: ModuleType, name: str, small: bool) -> str:
    code, out, err, _ = seeds.run(name, [sys.executable, "-m", "tapegrad", "run"], small)
    assert code == 0, err
    return out


@pytest.mark.parametrize("name", ["seed_000", "seed_001", "seed_002", "seed_003", "seed_004"])
def test_a_document_prints_pytorchs_numbers(shared: Path, name: str):
    seeds = _run_seeds(shared)
    small = name == "seed_000" and not FULL
    key = f"{name}.small" if small else name
    expected = seeds.NUMBER.findall((seeds.EXPECTED / f"{key}.txt").read_text(encoding="utf-8"))
    loose = set(json.loads((seeds.EXPECTED / "numbers.json").read_text())[key]["loose"]) | CHAOTIC.get(name, set())
    got = seeds.NUMBER.findall(_run(seeds, name, small))
    assert len(got) == len(expected)
    wrong = {i: (e, g) for i, (e, g) in enumerate(zip(expected, got)) if i not in loose and not seeds.close(e, g)}
    assert not wrong, f"number: (PyTorch's, ours): {wrong}"


@pytest.mark.parametrize("name", ["seed_001", "seed_003", "seed_004"])
def test_a_document_prints_pytorchs_texts(shared: Path, name: str):
    seeds = _run_seeds(shared)
    expected = TEXTS.findall((seeds.EXPECTED / f"{name}.txt").read_text(encoding="utf-8"))
    assert expected
    assert TEXTS.findall(_run(seeds, name, True)) == expected
