"""The study documents' programs print under `tapegrad run` what PyTorch printed: numbers, and names of nodes."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# the comparison with torch installed (.ci/run) takes all 60,000 images; otherwise 6,400 of them show the same
FULL = bool(os.environ.get("TAPEGRAD_REQUIRE_TORCH"))
TEXTS = re.compile(r"grad_fn=<\w+>|<\w+Backward\d object|requires_grad=True|torch\.Size\([^)]*\)|Parameter containing:")


@pytest.mark.parametrize("name", ["seed_000", "seed_001", "seed_002", "seed_003", "seed_004"])
def test_a_document_prints_pytorchs_numbers(shared: Path, name: str):
    command = [sys.executable, str(shared / "seeds" / "run_seeds.py"), "check", name]
    if not FULL:
        command.append("--small")
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0 and "seeds run 1/1 same-numbers 1/1" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["seed_001", "seed_003", "seed_004"])
def test_a_document_prints_pytorchs_texts(shared: Path, name: str):
    spec = importlib.util.spec_from_file_location("run_seeds", shared / "seeds" / "run_seeds.py")
    run_seeds = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run_seeds)
    code, out, err, _ = run_seeds.run(name, [sys.executable, "-m", "tapegrad", "run"], True)
    assert code == 0, err
    expected = (shared / "seeds" / "expected" / f"{name}.txt").read_text(encoding="utf-8")
    assert TEXTS.findall(expected)
    assert TEXTS.findall(out) == TEXTS.findall(expected)
