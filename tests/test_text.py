"""Text as data: characters to numbers and back, pieces, whole batches, cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as torch
from tapegrad.data import CharDataset, DataLoader, Subset, random_split
from tapegrad.data.dataset import batch_reader

TEXT = "Shall I compare thee to a summer's day?\n" * 3
texts = st.text(st.characters(codec=None), min_size=1, max_size=30)


@given(texts)
def test_characters_to_numbers_and_back(text):
    data = CharDataset(text, 1)
    letters = sorted(set(text))
    assert data.vocabulary == "".join(letters) and data.vocab_size == len(letters)
    assert data.data.tolist() == [letters.index(letter) for letter in text]
    assert data.data.dtype == torch.int64
    assert data.decode(data.encode(text)) == text == data.decode(data.data.tolist())


@given(st.integers(1, 12), st.integers(1, 12))
def test_pieces(n, block_size):
    data = CharDataset("".join(chr(97 + i) for i in range(n)), block_size)
    assert len(data) == len(list(data)) == max(n - block_size, 0)
    for i, (x, y) in enumerate(data):
        assert x.tolist() == list(range(i, i + block_size)) and y.tolist() == list(range(i + 1, i + block_size + 1))
        assert data[i - len(data)][0].tolist() == x.tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_batches_are_those_of_samples(workers):
    data = CharDataset(TEXT, 7)
    assert batch_reader(data) is not None
    for source in (data, Subset(data, [5, 3, 3, 0]), random_split(data, [30, len(data) - 30])[0]):
        torch.manual_seed(1)
        quick = list(DataLoader(source, 8, shuffle=True, num_workers=workers))
        torch.manual_seed(1)
        plain = list(DataLoader(source, 8, shuffle=True, collate_fn=lambda s: torch.utils.data.default_collate(s)))
        assert len(quick) == len(plain)
        for (x, y), (a, b) in zip(quick, plain):
            assert torch.equal(x, a) and torch.equal(y, b) and x.is_contiguous() and y.is_contiguous()


def test_a_batch_does_not_share_memory_with_the_text():
    data = CharDataset("abcd", 2)
    x, y = next(iter(DataLoader(data, 2)))
    x.zero_()
    assert y.tolist() == [[1, 2], [2, 3]] and data.data.tolist() == [0, 1, 2, 3]


def test_split_cuts_the_text():
    data = CharDataset(TEXT, 4)
    parts = data.split([0.8, 0.1, 0.1])
    assert "".join(part.decode(part.data) for part in parts) == TEXT
    assert all(type(part) is CharDataset and part.vocabulary == data.vocabulary for part in parts)
    assert [len(part.data) for part in parts] == [96, 12, 12] and [len(part) for part in parts] == [92, 8, 8]
    assert [len(part.data) for part in data.split([20, 100])] == [20, 100]


def test_a_vocabulary_of_ones_own():
    data = CharDataset("abba", 1, vocabulary=["b", "a", "!"])
    assert data.data.tolist() == [1, 0, 0, 1] and data.vocab_size == 3
    assert data.encode("!").tolist() == [2] and data.encode("").tolist() == []
    assert np.shares_memory(data[0][0].array, data.data.array)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: CharDataset("ab", 0), ValueError, "at least one character\n  got: block_size=0"),
        (lambda: CharDataset("abc", 1, "ab"), ValueError, "not in the vocabulary\n  got: 'c' at place 2\n  expected: "),
        (lambda: CharDataset("a", 1, ""), ValueError, "not in the vocabulary\n  got: 'a' at place 0"),
        (lambda: CharDataset("a", 1, "aba"), ValueError, "in the vocabulary twice\n  got: 'a'"),
        (lambda: CharDataset("ab", 1).encode("az"), ValueError, "encode: a character is not .*\n  got: 'z' at place 1"),
        (lambda: CharDataset("ab", 1).decode([2]), IndexError, "out of range"),
        (lambda: CharDataset("ab", 1)[1], IndexError, "no such piece\n  got: 1 of 1"),
        (lambda: CharDataset("ab", 1).split([1, 2]), ValueError, "split: the lengths do not add up"),
        (lambda: next(iter(DataLoader(CharDataset("ab", 1), sampler=[3]))), IndexError, "no such piece\n  got: 3 of 1"),
    ],
)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()
