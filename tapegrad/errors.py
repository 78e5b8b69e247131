"""How tapegrad speaks when something is wrong: what, where, got, expected, fix.

The exception classes are PyTorch's own choice of builtin ones, so that `except RuntimeError` in an existing
program keeps working; this file only builds their text. A message is one line that says what happened,
followed by the parts that are known, each on its own line:

    matmul: the inner sizes differ
      got: (2, 3) @ (4, 5)
      expected: x.shape[-1] == y.shape[-2]
      fix: transpose one operand, e.g. y.mT
"""

from __future__ import annotations


class OutOfMemoryError(RuntimeError):
    """Memory for a tensor could not be had (the name that `torch.OutOfMemoryError` has)."""


class Explained(str):
    """A text built by `message`: an error that carries one needs no further explanation."""

    __slots__ = ()


def is_explained(error: BaseException) -> bool:
    """Whether the error already says what, where, got, expected, fix."""
    return bool(error.args) and isinstance(error.args[0], Explained)


def message(
    what: str, *, where: object = None, got: object = None, expected: object = None, fix: object = None
) -> Explained:
    """Build the text of an error from its parts.

    >>> print(message("sizes differ", got=(2, 3), expected=(2, 4)))
    sizes differ
      got: (2, 3)
      expected: (2, 4)
    """
    parts = [what]
    for label, value in (("where", where), ("got", got), ("expected", expected), ("fix", fix)):
        if value is not None:
            parts.append(f"\n  {label}: {value}")
    return Explained("".join(parts))
