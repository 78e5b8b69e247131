"""`python tools/api_table.py`: writes docs/API.md, every public name of PyTorch beside tapegrad's.

Names and signatures are read from both packages. A name is "same" if it is there and, where PyTorch's signature can be
read, has the same parameters in the same order with the same defaults; else it "differs", and how is written beside it.
Reasons are kept in tools/api_notes.txt. With --check nothing is written, and the exit code says whether the file is up
to date; with --summary only the counts are printed.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import inspect
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
NOTES, TABLE = HERE / "api_notes.txt", HERE.parent / "docs" / "API.md"

SECTIONS = [
    ("torch.nn", "Modules and their parts"),
    ("torch.nn.functional", "Functions of modules"),
    ("torch.nn.init", "Initial values"),
    ("torch.nn.utils", "Around modules"),
    ("torch.nn.utils.parametrize", ""),
    ("torch.nn.utils.parametrizations", ""),
    ("torch.nn.utils.prune", ""),
    ("torch.nn.utils.rnn", ""),
    ("torch.optim", "Optimizers"),
    ("torch.optim.lr_scheduler", "Schedules of learning rates"),
    ("torch.optim.swa_utils", "Averaged models"),
    ("torch.amp", "Mixed precision"),
    ("torch", "Operations and settings"),
    ("torch.Tensor", "Methods and attributes of tensors"),
    ("torch.linalg", "Linear algebra"),
    ("torch.fft", "Fourier transforms"),
    ("torch.special", "Special functions"),
    ("torch.autograd", "Differentiation"),
    ("torch.func", "Transformations of functions"),
    ("torch.utils.data", "Data"),
    ("torch.distributions", "Distributions"),
]
MAIN = ("torch.nn", "torch.nn.functional", "torch.optim", "torch.optim.lr_scheduler")  # what the goal of 97 % is about


class Note(NamedTuple):
    """A line of the notes: what to say of the names that fit a pattern."""

    pattern: str
    status: str  # "same", "differs", "missing", or "internal" (no public name)
    reason: str


class Row(NamedTuple):
    """A public name."""

    name: str
    status: str
    reason: str


def read_notes(text: str) -> list[Note]:
    """The notes: `pattern | status | reason`, a line each."""
    found = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, status, reason = (part.strip() for part in line.split("|", 2))
            if status not in ("same", "differs", "missing", "internal"):
                raise ValueError(f"api_notes.txt: unknown status {status!r} in {line!r}")
            found.append(Note(pattern, status, reason))
    return found


def resolve(path: str) -> Any:
    """The object of a dotted path; None if there is none."""
    parts = path.split(".")
    try:
        found: Any = importlib.import_module(parts[0])
    except ImportError:
        return None
    for i, part in enumerate(parts[1:], 2):
        following = getattr(found, part, None)
        if following is None:
            try:
                following = importlib.import_module(".".join(parts[:i]))
            except ImportError:
                return None
        found = following
    return found


def public_names(path: str, owner: Any) -> list[str]:
    """The public names of a module or class of PyTorch."""
    listed = getattr(owner, "__all__", None)
    if listed is not None and path != "torch":
        return sorted(set(listed))
    return sorted(
        name for name in dir(owner) if not name.startswith("_") and is_public(path, getattr(owner, name, None))
    )


def is_public(path: str, value: Any) -> bool:
    """Whether a value is part of PyTorch's interface: no module, no borrowed name, no type annotation."""
    if isinstance(value, types.ModuleType) or value is None:
        return False
    if path == "torch.Tensor":
        return True
    home = getattr(value, "__module__", None)
    if home is None:  # built-in functions
        return callable(value)
    if not str(home).startswith("torch") or re.search(
        r"\._jit_internal|\.overrides|torch\.storage|_utils_internal", str(home)
    ):
        return False
    return inspect.isroutine(value) or inspect.isclass(value)


# ---- signatures ----------------------------------------------------------------------------------------------------


def parameters(value: Any) -> list[tuple[str, str, str]] | None:
    """(name, kind, default) of each parameter; None if the signature cannot be read or says nothing."""
    target: Any = value.__init__ if inspect.isclass(value) else value
    if isinstance(target, (property, types.GetSetDescriptorType)):
        return None
    try:
        found = list(inspect.signature(target).parameters.values())
    except (ValueError, TypeError):
        return None
    if inspect.isclass(value):
        found = found[1:]
    if found and all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in found):
        return None
    return [(p.name, p.kind.name, shown(p.default)) for p in found]


def shown(default: Any) -> str:
    """A default as text, the same for both packages."""
    if default is inspect.Parameter.empty:
        return ""
    if inspect.isfunction(default) or inspect.isclass(default) or inspect.ismodule(default):
        return default.__name__
    return re.sub(r"\btapegrad\b", "torch", re.sub(r" at 0x[0-9a-f]+", "", repr(default)))


def difference(theirs: Any, ours: Any, method: bool = False) -> str:
    """How our signature differs, as text; empty if it does not, or if PyTorch's cannot be read."""
    expected, found = parameters(theirs), parameters(ours)
    if expected is None or found is None:
        return ""
    if method:  # the tensor itself
        expected, found = expected[1:], found[1:]
    names, own = [n for n, _, _ in expected], [n for n, _, _ in found]
    said = []
    if lacking := [n for n in names if n not in own]:
        said.append(f"no {', '.join(f'`{n}`' for n in lacking)}")
    if extra := [n for n in own if n not in names]:
        said.append(f"also {', '.join(f'`{n}`' for n in extra)}")
    common = [n for n in names if n in own]
    if common != [n for n in own if n in names]:
        said.append("another order of parameters")
    before, now = ({n: (k, d) for n, k, d in entries} for entries in (expected, found))
    for n in common:
        (kind, default), (own_kind, own_default) = before[n], now[n]
        if default != own_default:
            said.append(f"`{n}={own_default}`, not `{default}`" if own_default and default else f"the default of `{n}`")
        elif kind != own_kind and "VAR" not in kind + own_kind and kind != "POSITIONAL_ONLY":
            said.append(f"`{n}` is {own_kind.lower().replace('_', ' ')}")
    return "; ".join(said)


# ---- the table -----------------------------------------------------------------------------------------------------


def rows(path: str, notes: list[Note]) -> list[Row]:
    """The names of one section, each with its status."""
    theirs, ours = resolve(path), resolve("tapegrad" + path.removeprefix("torch"))
    found = []
    for name in public_names(path, theirs):
        full = f"{path}.{name}"
        note = next((n for n in notes if fnmatch.fnmatchcase(full, n.pattern)), None)
        if note is not None and note.status == "internal":
            continue
        missing = object()
        own = getattr(ours, name, missing)
        if own is missing:
            found.append(Row(name, "missing", note.reason if note and note.status == "missing" else "not yet"))
        elif note is not None and note.status in ("differs", "same"):
            found.append(Row(name, note.status, note.reason))
        else:
            how = difference(getattr(theirs, name, None), own, method=path == "torch.Tensor")
            found.append(Row(name, "differs" if how else "same", how))
    return found


def section(path: str, title: str, found: list[Row]) -> str:
    """A section of the file."""
    same = [row for row in found if row.status == "same"]
    lines = [f"## `{path}`" + (f": {title.lower()}" if title else ""), ""]
    lines += [f"{len(same)} of {len(found)} names are the same ({100 * len(same) / max(1, len(found)):.1f} %).", ""]
    others = [row for row in found if row.status != "same"]
    if others:
        lines += ["| name | | how, or why |", "| --- | --- | --- |"]
        lines += [f"| `{row.name}` | {row.status} | {row.reason} |" for row in others] + [""]
    remarks = [row for row in same if row.reason]
    if same:
        lines += ["Same: " + ", ".join(f"`{row.name}`" for row in same) + ".", ""]
    if remarks:
        lines += [f"* `{row.name}`: {row.reason}" for row in remarks] + [""]
    return "\n".join(lines)


def table(counted: Callable[[str, list[Row]], None] = lambda path, found: None) -> str:
    """The whole file."""
    torch, ours = importlib.import_module("torch"), importlib.import_module("tapegrad")
    notes = read_notes(NOTES.read_text(encoding="utf-8"))
    version = torch.__version__.partition("+")[0]
    found = {path: rows(path, notes) for path, _ in SECTIONS}
    for path, entries in found.items():
        counted(path, entries)
    main = [row for path in MAIN for row in found[path]]
    same = sum(row.status == "same" for row in main)
    head = f"""# PyTorch's names, and what tapegrad makes of them

Written by `tools/api_table.py` from PyTorch {version} and tapegrad {ours.__version__}; a test checks that it is up to
date. "Same" is a name that is there and, where PyTorch's signature can be read, has the same parameters in the same
order with the same defaults. What functions compute is the matter of the conformance samples and of `tests/twin`.

In `torch.nn`, `torch.nn.functional`, `torch.optim` and `torch.optim.lr_scheduler` together {same} of {len(main)} names
are the same ({100 * same / len(main):.1f} %).
"""
    return "\n".join([head, *(section(path, title, found[path]) for path, title in SECTIONS)]).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether docs/API.md is up to date")
    parser.add_argument("--summary", action="store_true", help="only print the counts")
    args = parser.parse_args()

    def counted(path: str, found: list[Row]) -> None:
        if args.summary:
            same = sum(row.status == "same" for row in found)
            print(f"{path:36s} {same:5d} of {len(found):5d}  {100 * same / max(1, len(found)):5.1f} %")

    text = table(counted)
    if args.summary:
        return 0
    if args.check:
        return 0 if TABLE.exists() and TABLE.read_text(encoding="utf-8") == text else 1
    TABLE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    sys.exit(main())
