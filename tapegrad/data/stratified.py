"""Splitting a dataset so that every part has the same share of each class."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.tensor import Tensor
from ..errors import message
from ..ops.random.draws import Generator, default_generator, randperm
from .dataset import ConcatDataset, Subset, TensorDataset, lengths_of


def stratified_split(
    dataset: Any,
    lengths: Sequence[int | float],
    labels: Any = None,
    generator: Generator | None = default_generator,
) -> list[Subset]:
    """`random_split` with the same share of each class in every part.

    The samples of a class of m, shuffled, are given the places 0.5/m, 1.5/m, ...; all samples in the order of their
    places are cut into the parts. A part then has, of every class, its share up to rounding; lengths are exact. The
    samples of a part are in random order.

    Args:
        dataset: a map dataset of n samples.
        lengths: numbers of samples that add up to n, or fractions that add up to 1.
        labels: the n classes; if None, what the dataset says: `targets` (of `ImageFolder`, MNIST, ...), the last tensor
            of a `TensorDataset`, or of the dataset that it is a `Subset` or `ConcatDataset` of.
        generator: source of the one permutation that is drawn.

    Raises:
        ValueError: the lengths or the labels do not fit, or the dataset does not say its labels.

    >>> import tapegrad as torch
    >>> data = torch.utils.data.TensorDataset(torch.arange(12), torch.tensor([0] * 8 + [1] * 4))
    >>> parts = stratified_split(data, [0.75, 0.25], generator=torch.Generator().manual_seed(0))
    >>> [sorted(data[i][1].item() for i in part.indices) for part in parts]
    [[0, 0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 1]]
    """
    n = len(dataset)
    lengths = lengths_of("stratified_split", lengths, n)
    classes = labels_of(dataset) if labels is None else labels
    if classes is None:
        text = "stratified_split: this dataset does not say its labels"
        raise ValueError(message(text, got=type(dataset).__name__, fix="pass labels=, one for each sample"))
    array = classes.array if isinstance(classes, Tensor) else np.asarray(classes)
    if array.shape != (n,):
        raise ValueError(message("stratified_split: give one label for each sample", got=array.shape, expected=(n,)))
    order = randperm(n, generator=generator).array
    _, number = np.unique(array[order], return_inverse=True)  # of each sample's class
    sizes = np.bincount(number)
    by_class = np.argsort(number, kind="stable")
    place = np.empty(n)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place[by_class] = (np.arange(n) - starts + 0.5) / np.repeat(sizes, sizes)
    mixed = np.argsort(place, kind="stable")
    ends = itertools.accumulate(lengths)
    parts = [np.sort(mixed[end - length : end]) for end, length in zip(ends, lengths)]
    return [Subset(dataset, order[part].tolist()) for part in parts]


def labels_of(dataset: Any) -> Any:
    """The classes of a dataset's samples, where it says them; else None."""
    if isinstance(dataset, Subset):
        inner = labels_of(dataset.dataset)
        return None if inner is None else _array(inner)[list(dataset.indices)]
    if isinstance(dataset, ConcatDataset):
        parts = [labels_of(part) for part in dataset.datasets]
        return None if any(part is None for part in parts) else np.concatenate([_array(part) for part in parts])
    if isinstance(dataset, TensorDataset):
        last = dataset.tensors[-1]
        return last if last.ndim == 1 else None
    return getattr(dataset, "targets", None)


def _array(labels: Any) -> np.ndarray:
    return labels.array if isinstance(labels, Tensor) else np.asarray(labels)
