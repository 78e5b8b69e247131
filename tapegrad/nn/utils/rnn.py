"""Sequences of unequal lengths in one tensor."""

from __future__ import annotations

from collections.abc import Sequence

from ... import errors
from ...core.tensor import Tensor


def pad_sequence(
    sequences: Sequence[Tensor] | Tensor,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (L_i, *) as one tensor (T, B, *) with `T = max L_i`.

    Args:
        sequences: B tensors whose sizes differ at most in dimension 0.
        batch_first: return (B, T, *).
        padding_value: what fills the places after the end.
        padding_side: "right", or "left" to fill the places before the start.

    Raises:
        RuntimeError: no sequences, other sizes differ, or an unknown side.

    >>> import tapegrad as torch
    >>> torch.nn.utils.rnn.pad_sequence([torch.ones(1), torch.ones(3)], batch_first=True)
    tensor([[1., 0., 0.],
            [1., 1., 1.]])
    """
    if not isinstance(sequences, (list, tuple, Tensor)):
        raise RuntimeError(
            errors.message("pad_sequence: expected an iterable of Tensors", got=type(sequences).__name__)
        )
    if padding_side not in ("right", "left"):
        raise RuntimeError(
            errors.message("pad_sequence: unknown padding_side", got=repr(padding_side), expected="'left' or 'right'")
        )
    items = list(sequences.unbind(0)) if isinstance(sequences, Tensor) else list(sequences)
    if not items:
        raise RuntimeError(errors.message("pad_sequence: received an empty list of sequences"))
    if any(s.shape[1:] != items[0].shape[1:] for s in items):
        got = ", ".join(str(tuple(s.shape)) for s in items)
        raise RuntimeError(errors.message("pad_sequence: sizes after dimension 0 must be equal", got=got))
    longest = max(s.shape[0] for s in items)
    out = items[0].new_full((len(items), longest, *items[0].shape[1:]), padding_value)  # (B, T, *)
    for row, s in enumerate(items):
        start = longest - s.shape[0] if padding_side == "left" else 0
        out[row, start : start + s.shape[0]] = s
    return out if batch_first else out.transpose(0, 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences that `pad_sequence` put together.

    Args:
        padded_sequences: (T, B, *), or (B, T, *) with `batch_first`.
        lengths: the B lengths.
        batch_first: see above.
    """
    padded = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(n)] for row, n in zip(padded, lengths, strict=True)]
