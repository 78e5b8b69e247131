"""The text of a tensor, the same characters that PyTorch prints, from a NumPy array and a few facts.

The path is short: keep only the values that will be seen (`_corners`), give each its text (`_cells`), put them into
nested brackets (`_brackets`), then add what is worth saying besides the values (`_with_suffixes`).

The one invariant: how a number looks depends only on the values that are seen, read as float64 (Note: number styles).
The rules here were found by experiment with torch 2.13; `tests/twin/test_printing.py` repeats the experiments.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import operator
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from ..errors import message


class PrintOptions(NamedTuple):
    """What the user can choose about printing; `sci_mode=None` lets the values decide."""

    precision: int = 4  # digits after the point
    threshold: float = 1000  # more elements than this are summarised
    edgeitems: int = 3  # elements kept at each end of a summarised dimension
    linewidth: float = 80  # characters
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}

_options = _PROFILES["default"]


def format_tensor(
    array: np.ndarray,
    *,
    dtype_name: str,
    default_dtype_name: str = "float32",
    suffixes: Sequence[str] = (),
    prefix: str = "tensor(",
) -> str:
    """Return the whole text of a tensor: `prefix`, values, `size=` and `dtype=` if not obvious, `suffixes`, `)`.

    `array` holds the values, of any shape. `dtype_name` is PyTorch's name of their type without `torch.`; it can
    differ from the array's own (`complex32` is held as complex64). `default_dtype_name` is the current default type,
    which is not printed. `suffixes` come last, in order, such as `requires_grad=True`. Continuation lines are
    indented by the length of the last line of `prefix`, so `"Parameter containing:\\ntensor("` works too.

    >>> import numpy as np
    >>> from tapegrad.core.printing import format_tensor
    >>> print(format_tensor(np.array([[1, 2.5], [-3, 4]]), dtype_name="float64", suffixes=["requires_grad=True"]))
    tensor([[ 1.0000,  2.5000],
            [-3.0000,  4.0000]], dtype=torch.float64, requires_grad=True)
    """
    options = _options
    indent = len(prefix) - (prefix.rfind("\n") + 1)
    empty = array.size == 0
    facts: list[str] = []
    if (empty and array.ndim != 1) or (not empty and options.edgeitems == 0):  # brackets alone do not tell the shape
        facts.append(f"size={array.shape}")
    if _names_dtype(dtype_name, default_dtype_name, empty):
        facts.append(f"dtype=torch.{dtype_name}")
    facts.extend(suffixes)
    return _with_suffixes(prefix + _values(array, indent, options), facts, indent, options.linewidth) + ")"


# ---- options ---------------------------------------------------------------------------------------------------------


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: float | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Choose how tensors are printed, from now on; an argument left out keeps its value, except `sci_mode`.

    `precision` is the number of digits after the point, `threshold` the number of elements above which only
    `edgeitems` elements at each end of a dimension are shown, `linewidth` the characters in a line. `profile`
    (`"default"`, `"short"`, `"full"`) sets these four before the others are applied; `"full"` never summarises.
    `sci_mode` True or False forces scientific notation on or off. As in PyTorch, a call without it lets the values
    decide again. `math.inf` is allowed as `threshold` and `linewidth`.

    Raises ValueError for an unknown profile or a value below zero, TypeError for a value that is not a number.

    >>> import tapegrad as torch
    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([0.125, 3])
    tensor([0.12, 3.00])
    >>> torch.set_printoptions(profile="default")
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        known = ", ".join(map(repr, _PROFILES))
        raise ValueError(message("set_printoptions: unknown profile", got=repr(profile), expected=f"one of {known}"))
    chosen: dict[str, Any] = {"sci_mode": None if sci_mode is None else bool(sci_mode)}
    for name, count in (("precision", precision), ("edgeitems", edgeitems)):
        if count is not None:
            chosen[name] = _count(name, count)
    for name, limit in (("threshold", threshold), ("linewidth", linewidth)):
        if limit is not None:
            chosen[name] = _limit(name, limit)
    _options = (_options if profile is None else _PROFILES[profile])._replace(**chosen)


def get_printoptions() -> dict[str, object]:
    """Return the current print options by name; the dict can be given back to `set_printoptions`.

    >>> from tapegrad.core.printing import get_printoptions
    >>> get_printoptions()["linewidth"]
    80
    """
    return _options._asdict()


@contextlib.contextmanager
def printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: float | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> Iterator[None]:
    """Use other print options inside a `with` block; takes what `set_printoptions` takes.

    >>> import numpy as np
    >>> from tapegrad.core.printing import format_tensor, printoptions
    >>> with printoptions(precision=1, sci_mode=True):
    ...     format_tensor(np.array([20.0, 350.0]), dtype_name="float64")
    'tensor([2.0e+01, 3.5e+02], dtype=torch.float64)'
    """
    global _options
    before = _options
    set_printoptions(precision, threshold, edgeitems, linewidth, profile, sci_mode)
    try:
        yield
    finally:
        _options = before


def _count(name: str, value: object) -> int:
    """`value` as an integer that is not negative."""
    text = message(f"set_printoptions: bad {name}", got=repr(value), expected="an integer, zero or more")
    try:
        count = operator.index(value)  # type: ignore[arg-type]  # asks whether it has __index__
    except TypeError:
        raise TypeError(text) from None
    if count < 0:
        raise ValueError(text)
    return count


def _limit(name: str, value: object) -> float:
    """`value` as a real number other than nan; PyTorch allows negative ones and infinity."""
    if not isinstance(value, numbers.Real):
        raise TypeError(message(f"set_printoptions: bad {name}", got=repr(value), expected="a number"))
    if math.isnan(value):
        raise ValueError(message(f"set_printoptions: bad {name}", got="nan", expected="a number"))
    return value  # type: ignore[return-value]


# ---- layout ----------------------------------------------------------------------------------------------------------


def _values(array: np.ndarray, indent: int, options: PrintOptions) -> str:
    """The values with their brackets, without what stands around them."""
    if array.size == 0:
        return "[]"
    edge = options.edgeitems
    cut = [False] * array.ndim
    if array.size > options.threshold and array.ndim:
        if edge == 0:
            return "[...]"
        cut = [n > 2 * edge for n in array.shape]
        array = _corners(array, cut, edge)
    cells, width = _cells(array, options)
    if not array.ndim:
        return cells[0]
    indent_of_rows = indent + array.ndim - 1
    # Two characters for ", ". An infinite line is as good as one that takes everything.
    room = min(options.linewidth, indent_of_rows + (width + 2) * (array.shape[-1] + 1)) - indent_of_rows
    per_line = max(1, int(room // (width + 2)))
    return _brackets(iter(cells), array.shape, cut, edge, indent + 1, per_line)


def _corners(array: np.ndarray, cut: list[bool], edge: int) -> np.ndarray:
    """The `edge` first and last entries of every dimension that is cut; touches only these."""
    if not any(cut):
        return array
    kept = (
        [*range(edge), *range(n - edge, n)] if is_cut else range(n) for n, is_cut in zip(array.shape, cut, strict=True)
    )
    return array[np.ix_(*kept)]


def _brackets(
    cells: Iterator[str], shape: tuple[int, ...], cut: Sequence[bool], edge: int, indent: int, per_line: int
) -> str:
    """Nested brackets around `cells`, which come in row-major order; `indent` is the column after the first bracket."""
    if len(shape) == 1:
        row = list(islice(cells, shape[0]))
        if cut[0]:
            row.insert(edge, " ...")
        parts = [", ".join(row[i : i + per_line]) for i in range(0, len(row), per_line)]
    else:
        parts = [_brackets(cells, shape[1:], cut[1:], edge, indent + 1, per_line) for _ in range(shape[0])]
        if cut[0]:
            parts.insert(edge, "...")
    newlines = "\n" * max(1, len(shape) - 1)  # blank lines between blocks of two and more dimensions
    return "[" + f",{newlines}{' ' * indent}".join(parts) + "]"


def _with_suffixes(text: str, suffixes: Sequence[str], indent: int, linewidth: float) -> str:
    """Append ", suffix" for each, on a new line where it would not fit (PyTorch counts two characters too many)."""
    column = len(text) - (text.rfind("\n") + 1) + 2
    for suffix in suffixes:
        if column + len(suffix) + 2 > linewidth:
            text += f",\n{' ' * indent}{suffix}"
            column = indent + len(suffix)
        else:
            text += f", {suffix}"
            column += len(suffix) + 2
    return text


def _names_dtype(name: str, default_name: str, empty: bool) -> bool:
    """Whether `dtype=` is printed: not for the default type nor, where values show it, for what literals become."""
    if name == default_name:
        return False
    default_complex = "complex128" if default_name == "float64" else "complex64"
    return empty or name not in ("int64", "bool", default_complex)


# ---- numbers ---------------------------------------------------------------------------------------------------------

# Note: number styles
# All real numbers of a tensor are written in one style. It is chosen by the magnitudes of the values that are neither
# zero nor infinite nor nan; without any of these the whole-number style is taken, whatever the options say.
#   whole       3.        if all these values are integers
#   fixed       3.1416    otherwise
#   scientific  3.14e+08  instead of both if the largest magnitude is over 1e8 or over 1000 times the smallest, and
#                         instead of fixed if the smallest is under 1e-4; `sci_mode` True or False overrules this
# The column is as wide as the widest of these values: longer texts of zeros, infinities and nans stick out, and lines
# then exceed `linewidth`, as PyTorch's do.

_LARGEST, _SPREAD, _SMALLEST = 1e8, 1000.0, 1e-4


def _cells(array: np.ndarray, options: PrintOptions) -> tuple[list[str], int]:
    """The text of each value in row-major order, aligned, and the width that lines are counted with."""
    kind = array.dtype.kind
    if kind == "c":
        return _complex_cells(array, options)
    if kind in "biu":
        texts = [str(v) for v in array.ravel().tolist()]
        width = max(map(len, texts))
    else:  # as float64, because bfloat16 and float8 scalars are not Python floats
        texts, width = _real_texts(array.astype(np.float64, copy=False).ravel().tolist(), options)
    return [t.rjust(width) for t in texts], width


def _complex_cells(array: np.ndarray, options: PrintOptions) -> tuple[list[str], int]:
    """Like `_cells`: the real and imaginary parts have their own styles, and only the real part is aligned."""
    real, real_width = _real_texts(array.real.ravel().tolist(), options)
    imag, imag_width = _real_texts(array.imag.ravel().tolist(), options)
    cells = [
        f"{re.rjust(real_width)}{im}j" if im[0] == "-" else f"{re.rjust(real_width)}+{im}j"
        for re, im in zip(real, imag, strict=True)
    ]
    return cells, real_width + imag_width + 1


def _real_texts(values: list[float], options: PrintOptions) -> tuple[list[str], int]:
    """The text of each real number, not aligned, and the width of their column (Note: number styles)."""
    judged = [v for v in values if v and math.isfinite(v)]
    if not judged:
        return [f"{v:.0f}." if v == 0 else str(v) for v in values], 1
    sizes = [abs(v) for v in judged]
    smallest, largest = min(sizes), max(sizes)
    whole = all(v.is_integer() for v in judged)
    scientific = options.sci_mode
    if scientific is None:
        scientific = largest > _LARGEST or largest / smallest > _SPREAD or (not whole and smallest < _SMALLEST)
    if scientific:
        spec, dot = f".{options.precision}e", ""
    elif whole:
        spec, dot = ".0f", "."
    else:
        spec, dot = f".{options.precision}f", ""
    texts = [format(v, spec) + dot if math.isfinite(v) else format(v, spec) for v in values]
    width = max(len(t) for t, v in zip(texts, values, strict=True) if v and math.isfinite(v))
    return texts, width
