"""Collating: how a list of samples becomes a batch.

Tensors and arrays gain a first dimension, Python numbers become a tensor, strings stay a list, and containers are
collated entry by entry. `default_collate_fn_map` says which function is used for which type of sample and may be
added to.

Reference: PyTorch documentation, `torch.utils.data.default_collate`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..core.tensor import Tensor, wrap
from ..errors import message
from ..modes import is_grad_enabled
from ..ops.creation.values import as_tensor, tensor
from ..ops.shape.joining import stack

Collate = Callable[..., Any]

_PYTHON_NUMBERS = frozenset({float, int, bool})


def default_collate(batch: Sequence[Any]) -> Any:
    """Make one batch of a list of samples, each entry with a new first dimension of the list's length B.

    =============================== ==========================================================
    sample                          batch
    =============================== ==========================================================
    tensor or array of shape (...)  tensor of shape (B, ...), dtype kept
    float                           float64 tensor of shape (B,)
    int, bool                       int64 or bool tensor of shape (B,)
    str, bytes                      the list, unchanged
    mapping                         the same kind of mapping, entry by entry
    named tuple                     the same named tuple, field by field
    tuple                           list, entry by entry
    other sequence                  the same kind of sequence, entry by entry
    =============================== ==========================================================

    Args:
        batch: B samples of one kind.

    Raises:
        RuntimeError: shapes of tensors or lengths of sequences differ.
        TypeError: a sample is none of these.

    >>> import tapegrad as torch
    >>> torch.utils.data.default_collate([(torch.zeros(2), 5, "a"), (torch.ones(2), 6, "b")])
    [tensor([[0., 0.],
            [1., 1.]]), tensor([5, 6]), ('a', 'b')]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def default_convert(data: Any) -> Any:
    """Turn the NumPy arrays and numbers in one sample into tensors, inside containers too; leave the rest as it is.

    >>> import numpy as np
    >>> import tapegrad as torch
    >>> torch.utils.data.default_convert({"x": np.array([1, 2]), "name": "a"})
    {'x': tensor([1, 2]), 'name': 'a'}
    """
    if isinstance(data, Tensor):
        return data
    if type(data).__module__ == "numpy" and not isinstance(data, np.str_):
        return data if isinstance(data, np.ndarray) and _holds_text(data) else as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if _is_named_tuple(data):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(entry) for entry in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(entry) for entry in data])
    return data


def collate(batch: Sequence[Any], *, collate_fn_map: Mapping[Any, Collate] | None = None) -> Any:
    """Make one batch of a list of samples by a table from types to functions.

    Args:
        batch: samples of one kind.
        collate_fn_map: `{type: function(batch, *, collate_fn_map)}`; the sample's own type is looked up first, then
            the first entry it is an instance of. Containers without an entry are collated entry by entry.

    Raises:
        RuntimeError: lengths of sequences differ.
        TypeError: no entry fits and the sample is no container.

    >>> functions = {int: lambda batch, **_: sum(batch), str: lambda batch, **_: "".join(batch)}
    >>> collate([(1, "a"), (2, "b")], collate_fn_map=functions)
    [3, 'ab']
    """
    first = batch[0]
    function = _lookup(first, collate_fn_map) if collate_fn_map else None
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        entries = {key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map) for key in first}
        return _like_mapping(first, entries)
    if _is_named_tuple(first):
        return type(first)(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)))
    if isinstance(first, Sequence):
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in _transpose(batch)]
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise TypeError(_unknown(type(first)))


# ---- what is done for each type ------------------------------------------------------------------------------


def collate_tensors(batch: Sequence[Tensor], *, collate_fn_map: Any = None) -> Tensor:
    """`stack(batch)`, by one NumPy copy where autograd has nothing to record."""
    recording = is_grad_enabled()
    if not all(type(sample) is Tensor and not (recording and sample.requires_grad) for sample in batch):
        return stack(list(batch), 0)
    arrays = [sample.array for sample in batch]
    shape, dtype = arrays[0].shape, arrays[0].dtype
    if not all(array.shape == shape and array.dtype == dtype for array in arrays):
        return stack(list(batch), 0)
    out = np.empty((len(arrays), *shape), dtype)  # contiguous, whatever the samples are
    return wrap(np.stack(arrays, out=out))


def collate_arrays(batch: Sequence[np.ndarray], *, collate_fn_map: Any = None) -> Any:
    """Arrays become tensors, then a batch."""
    if _holds_text(batch[0]):
        raise TypeError(_unknown(f"an array of type {batch[0].dtype}"))
    return collate([as_tensor(sample) for sample in batch], collate_fn_map=collate_fn_map)


def collate_numpy_numbers(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Tensor:
    """NumPy scalars keep their type."""
    kind = type(batch[0])
    if all(type(sample) is kind for sample in batch) and np.dtype(kind) in _NUMBERS:
        return wrap(np.array(batch))
    return as_tensor(list(batch))


def collate_floats(batch: Sequence[float], *, collate_fn_map: Any = None) -> Tensor:
    """Python floats become float64."""
    if _PYTHON_NUMBERS.issuperset(map(type, batch)):
        return wrap(np.array(batch, dtype=np.float64))
    return tensor(list(batch), dtype=dtypes.float64)


def collate_ints(batch: Sequence[int], *, collate_fn_map: Any = None) -> Tensor:
    """Python ints become int64, bools bool."""
    return tensor(list(batch))


def collate_text(batch: Sequence[str], *, collate_fn_map: Any = None) -> Sequence[str]:
    """Strings stay what they are."""
    return batch


default_collate_fn_map: dict[Any, Collate] = {
    Tensor: collate_tensors,
    np.ndarray: collate_arrays,
    (np.bool_, np.number, np.object_): collate_numpy_numbers,
    float: collate_floats,
    int: collate_ints,
    str: collate_text,
    bytes: collate_text,
}

_AS_SHIPPED = dict(default_collate_fn_map)
_NUMBERS = frozenset(dtype.numpy for dtype in dtypes.ALL)


def is_default(collate_fn: Any) -> bool:
    """Whether `collate_fn` does what this file says: then a dataset may make the batch itself."""
    return collate_fn is default_collate and default_collate_fn_map == _AS_SHIPPED


# ---- containers ----------------------------------------------------------------------------------------------


def _lookup(sample: Any, functions: Mapping[Any, Collate]) -> Collate | None:
    """The function for the sample's type, or for the first type it is an instance of."""
    found = functions.get(type(sample))
    if found is not None:
        return found
    return next((function for kind, function in functions.items() if isinstance(sample, kind)), None)


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _like_mapping(sample: Mapping, entries: dict) -> Any:
    """`entries` in a mapping of the sample's kind, which may carry more than its entries; else a dict."""
    try:
        if not isinstance(sample, MutableMapping):
            return type(sample)(entries)  # type: ignore[call-arg]
        clone = copy.copy(sample)
        clone.update(entries)
        return clone
    except TypeError:
        return entries


def _like_sequence(sample: Sequence, entries: list) -> Any:
    """`entries` in a sequence of the sample's kind; else a list."""
    try:
        if not isinstance(sample, MutableSequence):
            return type(sample)(entries)  # type: ignore[call-arg]
        clone = copy.copy(sample)
        for i, entry in enumerate(entries):
            clone[i] = entry
        return clone
    except TypeError:
        return entries


def _transpose(batch: Sequence[Sequence]) -> list[tuple]:
    """The samples' first entries, their second entries, ..."""
    lengths = [len(sample) for sample in batch]
    if any(length != lengths[0] for length in lengths):
        text = "default_collate: the samples have different numbers of entries"
        raise RuntimeError(
            message(text, got=lengths, expected="one length for all", fix="pad them, or pass collate_fn=")
        )
    return list(zip(*batch))


def _holds_text(array: np.ndarray) -> bool:
    """Whether an array holds strings or objects, which no tensor can (`SaUO` are NumPy's letters for them)."""
    return array.dtype.kind in "SaUO"


def _unknown(kind: Any) -> str:
    expected = "tensors, NumPy arrays, numbers, strings, or dicts, tuples and lists of them"
    return message(
        "default_collate: samples of this type cannot be made a batch", got=kind, expected=expected, fix="collate_fn="
    )
