"""`einsum`: sums of products of tensors, by names of dimensions.

Two operands at a time, from the left. Dimensions that only one of them has and nobody needs later are summed first; the
rest is one (batched) product of matrices, or, where nothing is summed, an elementwise product.

Labels: a letter for a named dimension, a negative number for one covered by an ellipsis, -1 for its last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ...core.tensor import Tensor
from ...errors import message
from ..pointwise.arithmetic import mul
from ..reduction.reduce import sum
from ..shape.movement import permute, reshape
from ..shape.windows import diagonal
from .matmul import bmm, mm

__all__ = ["einsum"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
Label = Any  # a letter, a negative number, or Ellipsis before it is expanded


def einsum(*args: Any) -> Tensor:
    """Sum products of the operands' elements over the dimensions that the output does not name.

    `einsum("ik,kj->ij", x, y)[i, j] = sum over k of x[i, k] * y[k, j]`

    Args:
        args: an equation and the operands; or each operand followed by a list of integers, its labels, and last the
            labels of the result. A letter that is repeated in one operand takes the diagonal; `...` stands for all
            other dimensions, which broadcast. Without `->` the result has the dimensions of the ellipsis and then, in
            alphabetical order, the letters that occur once.

    Raises:
        RuntimeError: the equation does not fit the operands.
        ValueError: nothing given, or a label that is not in 0 ... 51.

    >>> import tapegrad as torch
    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> torch.einsum("ij,kj->ik", x, x)
    tensor([[ 5., 11.],
            [11., 25.]])
    >>> torch.einsum("ii", x)
    tensor(5.)
    """
    inputs, output, operands = _read_lists(args) if args and isinstance(args[0], Tensor) else _read_equation(args)
    if len(operands) != len(inputs):
        _fail("the number of operands differs from the equation's", f"{len(operands)}, {len(inputs)} in the equation")
    inputs = [_expand(labels, x, n) for n, (labels, x) in enumerate(zip(inputs, operands))]
    result = _result_labels(inputs, output)
    sizes = _sizes(inputs, operands)
    terms = [_distinct(x, labels, sizes) for x, labels in zip(operands, inputs)]
    (x, labels), *rest = terms
    for k, (y, other) in enumerate(rest, 1):
        later = {*result, *(label for _, names in terms[k + 1 :] for label in names)}
        x, labels = _contract(x, labels, y, other, later)
    x, labels = _sum_out(x, labels, result)
    return permute(x, tuple(range(x.ndim))) if x is operands[0] and labels == result else _ordered(x, labels, result)


def _fail(what: str, got: Any = None) -> None:
    raise RuntimeError(message(f"einsum: {what}", got=got))


# ---- reading ------------------------------------------------------------------------------------------------------


def _read_equation(args: tuple) -> tuple[list[list[Label]], list[Label] | None, list[Tensor]]:
    if not args or not isinstance(args[0], str) or len(args) == 1:
        raise ValueError(message("einsum: an equation and operands are needed", expected="einsum('ij,jk->ik', x, y)"))
    equation, operands = args[0], list(args[1:])
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = list(operands[0])
    for x in operands:
        if not isinstance(x, Tensor):
            raise TypeError(message("einsum: the operands must be tensors", got=type(x).__name__))
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = [_read_term(term, equation) for term in left.split(",")]
    return inputs, _read_term(right, equation) if arrow else None, operands


def _read_term(text: str, equation: str) -> list[Label]:
    before, dots, after = text.partition("...")
    for letter in before + after:
        if letter not in LETTERS:
            _fail(f"{letter!r} is not a subscript (a letter, or one '...' in each term)", equation)
    return [*before, *([Ellipsis] if dots else ()), *after]


def _read_lists(args: tuple) -> tuple[list[list[Label]], list[Label] | None, list[Tensor]]:
    if len(args) < 2:
        raise ValueError(message("einsum: each operand needs its list of labels"))
    output = _letters(args[-1]) if len(args) % 2 else None
    return [_letters(names) for names in args[1::2]], output, list(args[: len(args) // 2 * 2 : 2])


def _letters(names: Sequence) -> list[Label]:
    found: list[Label] = []
    for name in names:
        if name is not Ellipsis and not 0 <= name < len(LETTERS):
            raise ValueError(message("einsum: labels are integers in [0, 52)", got=name))
        found.append(name if name is Ellipsis else LETTERS[name])
    return found


def _expand(labels: list[Label], x: Tensor, n: int) -> list[Label]:
    """The labels of operand `n`, one for each dimension."""
    spare = x.ndim - len(labels) + (Ellipsis in labels)
    if spare < 0 or (spare and Ellipsis not in labels):
        text = "".join("..." if label is Ellipsis else label for label in labels)
        _fail(f"operand {n} does not have the dimensions of {text!r}", f"shape {tuple(x.shape)}")
    return [e for label in labels for e in (range(-spare, 0) if label is Ellipsis else (label,))]


def _result_labels(inputs: list[list[Label]], output: list[Label] | None) -> list[Label]:
    everything = [label for labels in inputs for label in labels]
    dots = sorted({label for label in everything if isinstance(label, int)})
    if output is None:
        return dots + sorted(n for n in {*everything} if not isinstance(n, int) and everything.count(n) == 1)
    found = [e for label in output for e in (dots if label is Ellipsis else (label,))]
    for label in found:
        if label not in everything:
            _fail(f"the output subscript {label!r} is in no operand")
        if found.count(label) > 1:
            _fail(f"the output subscript {label!r} is repeated")
    return found


def _sizes(inputs: list[list[Label]], operands: list[Tensor]) -> dict[Label, int]:
    """The size of each named dimension; those of 1 are stretched."""
    sizes: dict[Label, int] = {}
    for labels, x in zip(inputs, operands):
        own: dict[Label, int] = {}
        for label, n in zip(labels, x.shape):
            if own.setdefault(label, n) != n:
                _fail(f"the repeated subscript {label!r} names unequal sizes", f"{own[label]} and {n}")
            known = sizes.get(label, 1)
            if known != 1 and n not in (1, known):
                _fail(f"the subscript {label!r} names sizes that do not broadcast", f"{known} and {n}")
            sizes[label] = max(known, n) if n else 0
    return sizes


# ---- computing ----------------------------------------------------------------------------------------------------


def _distinct(x: Tensor, labels: list[Label], sizes: dict[Label, int]) -> tuple[Tensor, list[Label]]:
    """An operand with every label once (diagonals taken), and without those that it only stretches."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            x = diagonal(x, 0, first, second)
            labels = [n for i, n in enumerate(labels) if i not in (first, second)] + [label]
    kept = [label for label, n in zip(labels, x.shape) if n == sizes[label]]
    if len(kept) < len(labels):
        x = reshape(x, tuple(sizes[label] for label in kept))
    return x, kept


def _ordered(x: Tensor, labels: list[Label], wanted: Iterable[Label]) -> Tensor:
    wanted = list(wanted)
    return x if labels == wanted else permute(x, tuple(labels.index(label) for label in wanted))


def _sum_out(x: Tensor, labels: list[Label], needed: Iterable[Label]) -> tuple[Tensor, list[Label]]:
    """Sum over the dimensions that are not needed."""
    dims = tuple(i for i, label in enumerate(labels) if label not in needed)
    if not dims:
        return x, labels
    return sum(x, dims), [label for label in labels if label in needed]


def _contract(
    x: Tensor, labels: list[Label], y: Tensor, other: list[Label], later: set[Label]
) -> tuple[Tensor, list[Label]]:
    """The product of two operands, summed over what is not needed later."""
    x, labels = _sum_out(x, labels, {*other, *later})
    y, other = _sum_out(y, other, {*labels, *later})
    batch = [n for n in labels if n in other and n in later]
    inner = [n for n in labels if n in other and n not in later]
    rows, columns = [n for n in labels if n not in other], [n for n in other if n not in labels]
    left, right = _ordered(x, labels, batch + rows + inner), _ordered(y, other, batch + inner + columns)
    b, r, i = len(batch), len(rows), len(inner)
    lead, height, width = left.shape[:b], left.shape[b : b + r], right.shape[b + i :]
    if not inner:
        if columns:
            left = reshape(left, (*lead, *height, *(1,) * len(columns)))
        if rows:
            right = reshape(right, (*lead, *(1,) * r, *width))
        return mul(left, right), batch + rows + columns
    n, m, k = math.prod(height), math.prod(width), math.prod(left.shape[b + r :])
    if batch:
        stack = math.prod(lead)
        found = bmm(_shaped(left, (stack, n, k)), _shaped(right, (stack, k, m)))
    else:
        found = mm(_shaped(left, (n, k)), _shaped(right, (k, m)))
    return reshape(found, (*lead, *height, *width)), batch + rows + columns


def _shaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return x if x.array.shape == shape else reshape(x, shape)
