"""docs/API.md is what tools/api_table.py writes, and says what the project promises."""

from __future__ import annotations

import fnmatch
import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    if not (ROOT / "tools" / "api_table.py").exists():
        pytest.skip("the tests run without the tools")
    spec = importlib.util.spec_from_file_location("api_table", ROOT / "tools" / "api_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found(tool):
    entries = {}
    text = tool.table(lambda path, rows: entries.__setitem__(path, rows))
    return text, entries


pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # looking at a name may warn
    pytest.mark.skipif(not torch.__version__.startswith("2.13.0"), reason="the table is about PyTorch 2.13.0"),
]


def test_the_committed_table_is_up_to_date(tool, found):
    committed = tool.TABLE.read_text(encoding="utf-8").splitlines()
    changed = sorted(set(committed) ^ set(found[0].splitlines()))
    assert not changed, "run: python tools/api_table.py"


def test_nearly_all_names_of_layers_and_optimizers_are_the_same(tool, found):
    main = [row for path in tool.MAIN for row in found[1][path]]
    assert sum(row.status == "same" for row in main) >= 0.97 * len(main)
    assert all(row.reason not in ("", "not yet") for row in main if row.status != "same")


def test_every_note_is_about_a_name(tool):
    names = []
    for path, _ in tool.SECTIONS:
        names += [f"{path}.{name}" for name in tool.public_names(path, tool.resolve(path))]
    for note in tool.read_notes(tool.NOTES.read_text(encoding="utf-8")):
        assert any(fnmatch.fnmatchcase(name, note.pattern) for name in names), note


def test_differences_of_signatures(tool):
    def theirs(input, other, *, alpha=1, out=None):
        pass

    def same(input, other, *, alpha=1, out=None):
        pass

    def other(other, input, *, alpha=2, beta=1):
        pass

    assert tool.difference(theirs, same) == ""
    expected = "no `out`; also `beta`; another order of parameters; `alpha=2`, not `1`"
    assert tool.difference(theirs, other) == expected
    assert tool.difference(torch.add, same) == ""  # what cannot be read counts as the same


def test_bad_notes_are_refused(tool):
    with pytest.raises(ValueError, match="unknown status 'maybe'"):
        tool.read_notes("torch.nn.Linear | maybe | who knows")
