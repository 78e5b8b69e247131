"""Sequences of unequal lengths in one tensor: padded, or packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import dtypes, errors
from ...core.tensor import Tensor, wrap
from ...ops.shape.packing import pack, pad


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


# ---- packed ----------------------------------------------------------------------------------------------------------


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


_Fields.__name__ = "PackedSequence_"


class PackedSequence(_Fields):
    """Sequences of unequal lengths, step after step without padding, as recurrent layers take and return them.

    Made by `pack_padded_sequence` and `pack_sequence`; the sequences are sorted by falling length.

    Args:
        data: (N, *), the rows of all steps.
        batch_sizes: (T,), how many sequences are that long, int64.
        sorted_indices: (B,), the places of the sorted sequences in the batch; None if it was sorted.
        unsorted_indices: its inverse.

    >>> import tapegrad as torch
    >>> torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]).data
    tensor([1, 3, 2])
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                text = "PackedSequence: without batch_sizes, data must be a pair (data, batch_sizes)"
                raise AssertionError(errors.message(text, got=type(data).__name__))
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def __repr__(self) -> str:
        return "PackedSequence(" + ", ".join(f"{n}={v!r}" for n, v in zip(self._fields, self)) + ")"

    def __reduce__(self) -> tuple:
        return PackedSequence, tuple(self)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data moved or converted by `Tensor.to`; itself if nothing changes."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else type(self)(data, *self[1:])

    def double(self) -> PackedSequence:
        """With data of float64."""
        return self.to(dtypes.float64)

    def float(self) -> PackedSequence:
        """With data of float32."""
        return self.to(dtypes.float32)

    def half(self) -> PackedSequence:
        """With data of float16."""
        return self.to(dtypes.float16)

    def long(self) -> PackedSequence:
        """With data of int64."""
        return self.to(dtypes.int64)

    def int(self) -> PackedSequence:
        """With data of int32."""
        return self.to(dtypes.int32)

    def short(self) -> PackedSequence:
        """With data of int16."""
        return self.to(dtypes.int16)

    def char(self) -> PackedSequence:
        """With data of int8."""
        return self.to(dtypes.int8)

    def byte(self) -> PackedSequence:
        """With data of uint8."""
        return self.to(dtypes.uint8)

    def cpu(self) -> PackedSequence:
        """With the data on the CPU."""
        return self.to("cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data on a CUDA device."""
        return self.to("cuda", *args, **kwargs)

    def pin_memory(self) -> PackedSequence:
        """Accepted for compatibility: returns itself."""
        return self

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory: no."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The order that undoes a permutation.

    >>> import tapegrad as torch
    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else permutation.argsort()


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | list[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Sequences in one padded tensor as a `PackedSequence`.

    Args:
        input: (T, B, *), or (B, T, *) with `batch_first`.
        lengths: the B lengths.
        batch_first: see above.
        enforce_sorted: the lengths must fall; otherwise the sequences are sorted first.

    Raises:
        RuntimeError: lengths that are not positive, do not fall, or do not fit the input.

    >>> import tapegrad as torch
    >>> padded = torch.tensor([[1, 4], [2, 5], [3, 0]])
    >>> torch.nn.utils.rnn.pack_padded_sequence(padded, [3, 2])[:2]
    (tensor([1, 4, 2, 5, 3]), tensor([2, 2, 1]))
    """
    counts = np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths)
    if counts.ndim != 1:
        raise RuntimeError(errors.message("'lengths' argument should be 1D", got=f"{counts.ndim}D"))
    counts = counts.astype(np.int64)
    if input.dim() < 2:
        text = "pack_padded_sequence: the input must have two dimensions or more"
        raise IndexError(errors.message(text, got=tuple(input.shape)))
    order = None
    if not enforce_sorted:
        order = wrap(np.argsort(-counts, kind="stable"))
        counts = counts[order.array]
        input = input.index_select(0 if batch_first else 1, order)
    if batch_first:
        input = input.transpose(0, 1)
    _check_lengths(counts, input.shape[0], input.shape[1])
    sizes = (counts[None] > np.arange(counts[0])[:, None]).sum(1)
    return PackedSequence(pack(input, tuple(sizes.tolist())), wrap(sizes), order)


def _check_lengths(counts: np.ndarray, steps: int, batch: int) -> None:
    problem, fix = "", None
    if batch == 0 or steps == 0:
        problem = "Cannot pack empty tensors"
    elif len(counts) != batch:
        problem = f"Expected `len(lengths)` to be equal to batch_size, {batch}"
    elif counts.min() <= 0:
        problem = "Length of all samples has to be greater than 0"
    elif (counts[1:] > counts[:-1]).any():
        problem = "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True"
        fix = "enforce_sorted=False"
    elif counts[0] > steps:
        problem = f"a length is greater than that of the input, {steps}"
    if problem:
        raise RuntimeError(errors.message(problem, got=counts.tolist(), fix=fix))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`: the padded tensor (T, B, *) and the lengths (B,).

    Args:
        sequence: packed sequences.
        batch_first: return (B, T, *).
        padding_value: what fills the places after the end.
        total_length: T, if greater than the longest sequence.

    Raises:
        ValueError: `total_length` is less than the longest sequence.
    """
    sizes = tuple(sequence.batch_sizes.tolist())
    if total_length is not None and total_length < len(sizes):
        text = "Expected total_length to be at least the length of the longest sequence in input"
        raise ValueError(errors.message(text, got=total_length, expected=f">= {len(sizes)}"))
    padded = pad(sequence.data, sizes, total_length or len(sizes), padding_value)  # (T, B, *)
    lengths = wrap((np.asarray(sizes)[:, None] > np.arange(sizes[0])).sum(0))
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (L_i, *) as a `PackedSequence`.

    Args:
        sequences: B tensors whose sizes differ at most in dimension 0.
        enforce_sorted: the lengths must fall; otherwise the sequences are sorted first.

    Raises:
        RuntimeError: lengths that do not fall.
    """
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`.

    >>> import tapegrad as torch
    >>> from tapegrad.nn.utils.rnn import pack_sequence, unpack_sequence
    >>> unpack_sequence(pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]))
    [tensor([1, 2]), tensor([3])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
