"""The README's example prints what its comments say, and the files and commands that it names exist."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_prints_what_it_says():
    code = re.search(r"```python\n(import tapegrad as torch\n.*?)```", README, re.S)[1]
    expected = re.findall(r"print\(.*?\)\s+# (tensor\(.*)", code)
    assert len(expected) == 2
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    assert out.getvalue().splitlines()[:2] == expected


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_named_programs_exist():
    named = set(re.findall(r"`python ((?:bench|docs)/\S+\.py)", README))
    assert {"bench/steps.py", "bench/imports.py", "docs/one_op.py"} <= named
    for program in named:
        assert (ROOT / program).is_file(), program


def test_no_number_is_left_to_be_filled_in():
    assert "@@" not in README
