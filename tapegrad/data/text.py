"""Text as data: the characters of a text as numbers, and pieces of it to learn the next character from."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..core.tensor import Tensor, wrap
from ..errors import message
from .dataset import Dataset, are_plain, lengths_of


class CharDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pieces of a text as numbers: `block_size` characters, and those that come next.

    Sample i is `(data[i : i + block_size], data[i + 1 : i + block_size + 1])`, where `data` (n,), int64, holds for each
    character its place in the vocabulary; there are n - block_size samples. A `DataLoader` gathers whole batches.

    Pieces overlap, so a `random_split` would test on what was learnt; `split` cuts the text instead.

    Args:
        text: n characters.
        block_size: T, the length of a piece.
        vocabulary: the characters by number; if None, those of the text in the order of their code points.

    Raises:
        ValueError: `block_size` is below 1, a character of the text is not in the vocabulary, or one is there twice.

    Source: A. Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks" (2015).

    >>> import tapegrad as torch
    >>> data = torch.utils.data.CharDataset("hello", block_size=3)
    >>> data.vocabulary, len(data), data[0]
    ('ehlo', 2, (tensor([1, 0, 2]), tensor([0, 2, 2])))
    >>> data.decode(data[0][1])
    'ell'
    >>> next(iter(torch.utils.data.DataLoader(data, batch_size=2)))[0].shape
    torch.Size([2, 3])
    """

    data: Tensor
    block_size: int
    vocabulary: str

    def __init__(self, text: str, block_size: int, vocabulary: Iterable[str] | None = None) -> None:
        if block_size < 1:
            raise ValueError(message("CharDataset: a piece has at least one character", got=f"block_size={block_size}"))
        points = _code_points(text)
        self.vocabulary = "".join(map(chr, np.unique(points)) if vocabulary is None else vocabulary)
        letters = _code_points(self.vocabulary)
        self._order = np.argsort(letters, kind="stable")  # the places in the vocabulary by rising code point
        self._sorted = letters[self._order]
        repeated = self._sorted[1:][self._sorted[1:] == self._sorted[:-1]]
        if repeated.size:
            text = "CharDataset: a character is in the vocabulary twice"
            raise ValueError(message(text, got=repr(chr(repeated[0]))))
        self.block_size = block_size
        self.data = self._numbers("CharDataset", points)

    @property
    def vocab_size(self) -> int:
        """The number of different characters."""
        return len(self.vocabulary)

    def encode(self, text: str) -> Tensor:
        """The characters as numbers, (n,), int64.

        Raises:
            ValueError: a character is not in the vocabulary.
        """
        return self._numbers("encode", _code_points(text))

    def _numbers(self, where: str, points: np.ndarray) -> Tensor:
        if not points.size:
            return wrap(np.empty(0, np.int64))
        found = np.searchsorted(self._sorted, points).clip(max=max(len(self._sorted) - 1, 0))
        wrong = self._sorted[found] != points if self._sorted.size else np.ones(len(points), bool)
        if wrong.any():
            text = f"{where}: a character is not in the vocabulary"
            got = f"{chr(points[wrong][0])!r} at place {int(wrong.argmax())}"
            raise ValueError(message(text, got=got, expected=f"one of {self.vocabulary!r}"))
        return wrap(self._order[found].astype(np.int64, copy=False))

    def decode(self, numbers: Tensor | Iterable[int]) -> str:
        """The text of numbers (n,).

        Raises:
            IndexError: a number is not below `vocab_size`.
        """
        return "".join(self.vocabulary[i] for i in (numbers.tolist() if isinstance(numbers, Tensor) else numbers))

    def split(self, lengths: Sequence[int | float]) -> list[CharDataset]:
        """The text cut into parts that follow each other, with the vocabulary of the whole.

        Args:
            lengths: numbers of characters that add up to n, or fractions that add up to 1.

        Raises:
            ValueError: the lengths do not add up.

        >>> import tapegrad as torch
        >>> train, test = torch.utils.data.CharDataset("abcabcabca", 2).split([0.8, 0.2])
        >>> train.decode(train.data), test.decode(test.data)
        ('abcabcab', 'ca')
        """
        sizes = lengths_of("split", lengths, len(self.data))
        ends = itertools.accumulate(sizes)
        return [self._part(self.data.array[end - size : end]) for end, size in zip(ends, sizes)]

    def _part(self, numbers: np.ndarray) -> CharDataset:
        part = type(self).__new__(type(self))
        part.__dict__.update(self.__dict__, data=wrap(numbers))
        return part

    def __len__(self) -> int:
        return max(len(self.data) - self.block_size, 0)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= index < len(self):
            got = f"{index} of {len(self)}"
            raise IndexError(message("CharDataset: there is no such piece", got=got))
        start = index % len(self)
        piece = self.data[start : start + self.block_size + 1]
        return piece[:-1], piece[1:]

    def __getbatch__(self, indices: list[int]) -> Any:
        if not are_plain(indices) or not len(self):
            return NotImplemented
        pieces = np.lib.stride_tricks.sliding_window_view(self.data.array, self.block_size + 1)  # (n - T, T + 1)
        try:
            batch = pieces[np.array(indices, np.intp)]  # (B, T + 1)
        except IndexError:
            return NotImplemented  # reading sample by sample names the wrong index
        return [wrap(batch[:, :-1].copy()), wrap(batch[:, 1:].copy())]


def _code_points(text: str) -> np.ndarray:
    """The Unicode numbers of the characters."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
