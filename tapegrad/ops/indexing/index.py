"""Indexing: `x[...]`, `x[...] = v`, and the functions that say the same by name.

An index is read in two parts, as PyTorch does: integers, slices, None and `...` make a view; what remains, arrays of
integers and boolean masks, picks elements of that view. Arrays of integers are broadcast together; the dimensions
they make stand where the arrays stood if these are neighbours, else in front (NumPy's rule, but for integers, which
do not count as arrays here).
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ... import modes
from ...backends.cpu import index as kernels
from ...core import dispatch
from ...core.op import Array, op
from ...core.tensor import Tensor, edge, wrap
from ...core.views import check_inplace, refuse_repeated
from ...errors import message
from ..shape.windows import select

__all__ = ["index_put"]

_ALL = slice(None)
_PLAIN = (int, type(None))
_BASIC = frozenset((int, slice, type(None), type(Ellipsis)))


# ---- views: integers, slices, None and ... ---------------------------------------------------------------------------


def _basic_name(node: Any) -> str:
    """PyTorch records one operation for each part; the last of them that changes something gives the name."""
    key = node.op.attributes(*node.attrs)[0]
    if key.__class__ is slice:
        return "SliceBackward0"
    (shape,) = node.shapes
    parts = _fill_ellipsis(key, len(shape) - sum(1 for p in key if p is not None and p is not Ellipsis))
    sizes, found = iter(shape), "AliasBackward0"
    for part in parts:
        if part is None:
            found = "UnsqueezeBackward0"
        elif part.__class__ is int:
            next(sizes)
            found = "SelectBackward0"
        else:
            n = next(sizes)
            if part.start or (part.stop is not None and not part.stop >= n) or part.step not in (None, 1):
                found = "SliceBackward0"
    return found


@op(view=True, node=_basic_name)
def basic_index(x: Array, key):
    """The window of `x` that integers, slices, None and `...` name."""
    found = x[key]
    return found if found.__class__ is Array else x[(*key, ...)]


@basic_index.shape
def _(x, key):
    parts = key if key.__class__ is tuple else (key,)
    used = sum(1 for p in parts if p is not None and p is not Ellipsis)
    if used > len(x):
        raise IndexError(
            message(f"too many indices for a tensor of {len(x)} dimensions", got=f"{used} indices, shape {tuple(x)}")
        )
    found, dim = [], 0
    for part in _fill_ellipsis(parts, len(x) - used):
        if part is None:
            found.append(1)
            continue
        if part.__class__ is slice:
            found.append(len(range(*part.indices(x[dim]))))
        elif not -x[dim] <= part < x[dim]:
            text = f"index {part} is out of bounds for dimension {dim} with size {x[dim]}"
            raise IndexError(message(text, got=f"shape {tuple(x)}"))
        dim += 1
    return (*found, *x[dim:])


def _fill_ellipsis(parts: tuple, missing: int) -> tuple:
    """The parts with `...` written out as full slices."""
    places = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(places) > 1:
        raise IndexError(message("an index can hold one ... only", got=parts))
    return (*parts[: places[0]], *(_ALL,) * missing, *parts[places[0] + 1 :]) if places else parts


@basic_index.grad
def _(g, x_shape, key):
    return basic_index_backward(g, x_shape, key)


@op
def basic_index_backward(g: Array, shape, key):
    """Zeros of `shape` with `g` in the window that `key` names."""
    out = np.zeros(shape, g.dtype)
    out[key] = g
    return out


@basic_index_backward.shape
def _(g, shape, key):
    return tuple(shape)


@basic_index_backward.grad
def _(g, key):
    return basic_index(g, key)


# ---- copies: arrays of integers and masks ----------------------------------------------------------------------------


@op(name="index", node="IndexBackward0")
def take_index(x: Array, key, owners=()):
    """The elements that arrays of integers and masks pick; `key` holds them, and full slices."""
    try:
        return kernels.take(x, key)
    except IndexError as error:
        picks = ", ".join(":" if k.__class__ is slice else f"{k.dtype} {k.shape}" for k in key)
        raise IndexError(message(str(error), got=f"a tensor of shape {x.shape}, index {picks}")) from None


@take_index.grad
def _(g, x_shape, key, owners):
    check_owners(owners)
    return take_index_backward(g, x_shape, key)


@op
def take_index_backward(g: Array, shape, key):
    """Zeros of `shape` to which `g` is added at the places that `key` picks."""
    return kernels.add_at(shape, key, g)


@take_index_backward.shape
def _(g, shape, key):
    return tuple(shape)


@take_index_backward.grad
def _(g, key):
    return take_index(g, key)


def check_owners(owners: tuple) -> None:
    """Refuse to use an index tensor that was changed in place after it was used."""
    for t, version in owners:
        if t._version != version:
            raise RuntimeError(
                message(
                    "backward: a tensor needed for the gradient was modified by an in-place operation",
                    got=f"an index of shape {tuple(t.shape)} is at version {t._version}",
                    expected=f"version {version}",
                    fix="index with a .clone()",
                )
            )


@op(name="index_put", node="IndexPutBackward0")
def put_index(x: Array, y: Array, key, accumulate=False, owners=()):
    """`x` with `y` written, or added, at the places that `key` picks."""
    out = x.copy()
    kernels.put(out, key, y, accumulate)
    return out


put_index.op.fills = True  # into elements that share memory too, as PyTorch does


@put_index.shape
def _(x, y, key, accumulate=False, owners=()):
    return x


@put_index.grad("x")
def _(g, key, accumulate, owners):
    if accumulate:
        return g
    check_owners(owners)
    return clear_index(g, key)


@put_index.grad("y")
def _(g, key, owners):
    check_owners(owners)
    return take_index(g, key)


@op
def clear_index(x: Array, key):
    """`x` with zeros at the places that `key` picks."""
    out = x.copy()
    out[key] = 0
    return out


@clear_index.shape
def _(x, key):
    return x


@clear_index.grad
def _(g, key):
    return clear_index(g, key)


# ---- reading an index ------------------------------------------------------------------------------------------------


def _plain_slice(part: slice) -> slice:
    """A slice of integers; ValueError for a step that is not positive."""
    start, stop, step = part.start, part.stop, part.step
    if step is not None:
        step = operator.index(step)
        if step <= 0:
            raise ValueError(
                message(
                    "a slice must have a positive step", got=f"step {step}", fix="use .flip(dim) and a positive step"
                )
            )
    try:
        start = start if start.__class__ in _PLAIN else operator.index(start)
        stop = stop if stop.__class__ in _PLAIN else operator.index(stop)
    except TypeError:
        raise TypeError(message("slice bounds must be integers or None", got=repr(part))) from None
    return slice(start, stop, step)


def _read(part: Any) -> Any:
    """One part of an index as an integer, a slice, None, `...`, or an array of integers or booleans."""
    if part.__class__ in _BASIC:
        return _plain_slice(part) if part.__class__ is slice else part
    if isinstance(part, bool | np.bool_):
        return np.array(bool(part))
    if isinstance(part, Tensor):
        part = part.array
    elif isinstance(part, range):
        part = np.arange(part.start, part.stop, part.step)
    elif isinstance(part, list | tuple):
        part = _from_sequence(part)
    elif not isinstance(part, Array):
        try:
            return operator.index(part)
        except TypeError:
            kind = TypeError if isinstance(part, str) else IndexError
            expected = "integers, slices, None, ..., booleans, and tensors or lists of integers or booleans"
            raise kind(message("this cannot be an index", got=repr(part)[:80], expected=expected)) from None
    kind = part.dtype.kind
    if kind == "u" and part.itemsize == 1:
        part, kind = part.astype(bool), "b"
    if kind not in "iub":
        text = message(
            "tensors used as indices must hold integers or booleans", got=str(part.dtype), fix="convert with .long()"
        )
        raise IndexError(text)
    return part.item() if part.ndim == 0 and kind != "b" else part


def _from_sequence(items: Any) -> Array:
    """A list of numbers, or nested lists, tensors and arrays of them."""
    plain = [
        x.array if isinstance(x, Tensor) else _from_sequence(x) if isinstance(x, list | tuple) else x for x in items
    ]
    if not plain:
        return np.empty(0, np.intp)
    try:
        return np.array(plain)
    except ValueError:
        raise ValueError(message("an index list must hold lists of one length", got=repr(items)[:80])) from None


def _split_key(x: tuple[int, ...], parts: tuple) -> tuple[tuple, tuple]:
    """The part of an index that makes a view, and the part that picks from this view."""
    used = sum(0 if p is None or p is Ellipsis else p.ndim if _is_mask(p) else 1 for p in parts)
    if used > len(x):
        raise IndexError(
            message(f"too many indices for a tensor of {len(x)} dimensions", got=f"{used} indices, shape {tuple(x)}")
        )
    basic: list = []
    picks: list = []
    for part in _fill_ellipsis(parts, len(x) - used):
        if part.__class__ is not Array:
            basic.append(part)
            if part.__class__ is not int:
                picks.append(_ALL)
        elif part.ndim == 0:  # True or False: a new dimension of size 1 or 0
            basic.append(None)
            picks.append(np.zeros(int(part), np.intp))
        else:
            basic += [_ALL] * (part.ndim if _is_mask(part) else 1)
            picks.append(part)
    while picks and picks[-1].__class__ is slice:
        picks.pop()
    return tuple(basic), tuple(picks)


def _is_mask(part: Any) -> bool:
    return part.__class__ is Array and part.dtype.kind == "b"


def read_key(shape: tuple[int, ...], index: Any) -> tuple[Any, tuple | None]:
    """Any index as the key of a view (None: the whole) and the key that picks from it (None: nothing to pick)."""
    if index.__class__ is list and any(p.__class__ is slice or p is Ellipsis or p is None for p in index):
        index = tuple(index)
    parts = tuple(map(_read, index)) if isinstance(index, tuple) else (_read(index),)
    if not any(p.__class__ is Array for p in parts):
        return parts[0] if not isinstance(index, tuple) and parts[0].__class__ is slice else parts, None
    basic, picks = _split_key(shape, parts)
    if all(p.__class__ is slice and p == _ALL for p in basic):
        return None, picks
    return basic, picks


def owners_of(index: Any) -> tuple:
    """The index tensors with their versions: what `check_owners` looks at."""
    parts = index if isinstance(index, tuple | list) else (index,)
    return tuple((t, t._version) for t in parts if isinstance(t, Tensor))


# ---- x[...] ----------------------------------------------------------------------------------------------------------


def getitem(self: Tensor, index: Any) -> Tensor:
    """`x[index]`: a view for integers, slices, None and `...`; a copy for arrays of integers and masks.

    Raises:
        IndexError: too many indices, an index out of range, or a mask of another shape.
        ValueError: a slice with a step that is not positive.

    >>> import tapegrad as torch
    >>> x = torch.tensor([[1, 2, 3], [4, 5, 6]])
    >>> x[0], x[:, 1:], x[[1, 0], [0, 2]]
    (tensor([1, 2, 3]), tensor([[2, 3],
            [5, 6]]), tensor([4, 3]))
    """
    kind = index.__class__
    if kind is int:
        return select(self, 0, index)
    if kind is Tensor and index.array.ndim and index.array.dtype.kind in "ib":
        return take_index(self, (index.array,), owners_of(index) if modes.mode() is None else ())
    if kind is slice and index.step is None and index.start.__class__ in _PLAIN and index.stop.__class__ in _PLAIN:
        return basic_index(self, index)
    if kind is tuple:
        for part in index:
            if part.__class__ not in _BASIC or (part.__class__ is slice and not _is_simple(part)):
                break
        else:
            return basic_index(self, index)
        arrays = _only_arrays(index)
        if arrays is not None:
            return take_index(self, arrays, owners_of(index) if modes.mode() is None else ())
    basic, picks = read_key(self.array.shape, index)
    if picks is None:
        return basic_index(self, basic)
    if basic is not None:
        self = basic_index(self, basic)
    return take_index(self, picks, owners_of(index) if modes.mode() is None else ())


def _only_arrays(parts: tuple) -> tuple | None:
    """Index tensors of integers (or ranges) as arrays; None if anything else is among them."""
    found = []
    for part in parts:
        if part.__class__ is Tensor and part.array.ndim and part.array.dtype.kind == "i":
            found.append(part.array)
        elif part.__class__ is range:
            found.append(np.arange(part.start, part.stop, part.step))
        else:
            return None
    return tuple(found)


def _is_simple(part: slice) -> bool:
    return part.step is None and part.start.__class__ in _PLAIN and part.stop.__class__ in _PLAIN


# ---- x[...] = value --------------------------------------------------------------------------------------------------


def _value(self: Tensor, value: Any) -> Tensor:
    """What is to be written, as a tensor of this tensor's dtype."""
    if isinstance(value, Tensor):
        return value
    try:
        return wrap(np.asarray(value).astype(self.array.dtype))
    except (ValueError, TypeError):
        text = message(
            "a tensor can be set to a tensor or a number", got=repr(value)[:80], fix="torch.tensor(...) makes a tensor"
        )
        raise TypeError(text) from None


def setitem(self: Tensor, index: Any, value: Any) -> None:
    """`x[index] = value`: the value is broadcast and converted to the dtype of `x`.

    Raises:
        RuntimeError: the value does not broadcast, or `x` is a leaf that requires grad.
        IndexError: as for `x[index]`.

    >>> import tapegrad as torch
    >>> x = torch.zeros(2, 2)
    >>> x[0] = torch.tensor([1.0, 2.0])
    >>> x[x > 1] = 9
    >>> x
    tensor([[1., 9.],
            [0., 0.]])
    """
    value = _value(self, value)
    basic, picks = read_key(self.array.shape, index)
    if modes.mode() is None and (edge(self) is not None or edge(value) is not None) and self.array.dtype.kind in "fcV":
        _set_recorded(self, index, basic, picks, value)
        return
    array = self.array
    try:
        if picks is None:
            if self._view is not None and value.array.ndim:
                refuse_repeated("__setitem__", array[basic])
            array[basic] = _fitting(array[basic].shape, value.array)
        elif basic is None:
            kernels.put(array, picks, value.array, False)
        else:
            kernels.put(array[basic], picks, value.array, False)
    except (ValueError, IndexError) as error:
        raise _set_error(error, self, index, value) from None
    self.bump()


def _fitting(shape: tuple[int, ...], value: Array) -> Array:
    """The value without leading dimensions of size 1 that the place does not have."""
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = value[0]
    return value


def _set_recorded(self: Tensor, index: Any, basic: Any, picks: tuple | None, value: Tensor) -> None:
    if self.array.dtype != value.array.dtype:
        value = value.to(self.dtype)
    place = self if basic is None else basic_index(self, basic)
    check_inplace("__setitem__", self, recorded=True)
    if place.array.shape == self.array.shape and _cuts_nothing_off(basic):
        place = self
    if picks is None:
        place.copy_(value.reshape(_fitting(place.array.shape, value.array).shape))
    else:
        dispatch.call_inplace(put_index.op, "__setitem__", place, (value, picks, False, owners_of(index)), {})


def _cuts_nothing_off(basic: Any) -> bool:
    """Whether a key that gives the shape of the tensor names all of it: it has slices and `...` only."""
    return basic.__class__ is slice or (basic is not None and all(p is Ellipsis or p.__class__ is slice for p in basic))


def _set_error(error: Exception, self: Tensor, index: Any, value: Tensor) -> Exception:
    text = str(error)
    if isinstance(error, ValueError):
        text = f"a value of shape {tuple(value.array.shape)} does not fit into the indexed part"
        return RuntimeError(message(text, got=f"a tensor of shape {tuple(self.array.shape)}, index {index!r}"[:200]))
    if not isinstance(index, tuple):
        index = (index,)
    return IndexError(message(text, got=f"a tensor of shape {tuple(self.array.shape)}, index {index!r}"[:200]))


# ---- by name ---------------------------------------------------------------------------------------------------------


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of `input` with `values` written (or added, with `accumulate`) at `input[indices]`.

    Args:
        indices: a tuple of index tensors, one for each leading dimension (None: all of a dimension).
        values: broadcast to the shape of `input[indices]`; must have the dtype of `input`.

    >>> import tapegrad as torch
    >>> torch.zeros(3).index_put((torch.tensor([0, 0]),), torch.tensor([1.0, 2.0]), accumulate=True)
    tensor([3., 0., 0.])
    """
    key, owners = _put_key(input, indices, values)
    return put_index(input, values, key, accumulate, owners)


def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of `index_put`.

    >>> import tapegrad as torch
    >>> torch.zeros(3).index_put_((torch.tensor([0, 2]),), torch.tensor(1.0))
    tensor([1., 0., 1.])
    """
    key, owners = _put_key(self, indices, values)
    if modes.mode() is None and (edge(self) is not None or edge(values) is not None):
        return dispatch.call_inplace(put_index.op, "index_put_", self, (values, key, accumulate, owners), {})
    try:
        kernels.put(self.array, key, values.array, accumulate)
    except (ValueError, IndexError) as error:
        raise _set_error(error, self, tuple(indices), values) from None
    self.bump()
    return self


def _put_key(x: Tensor, indices: Any, values: Tensor) -> tuple[tuple, tuple]:
    if values.array.dtype != x.array.dtype:
        text = message(
            "index_put: the dtypes differ", got=f"{x.dtype} and {values.dtype}", fix="convert the values with .to(...)"
        )
        raise RuntimeError(text)
    if isinstance(indices, Tensor):
        raise TypeError(
            message("index_put: the indices must be a tuple of tensors", got="a tensor", fix="write (index,)")
        )
    key = _split_key(x.array.shape, tuple(map(_read_tensor, indices)))[1]
    return key, owners_of(tuple(indices))


def _read_tensor(part: Any) -> Any:
    found = _ALL if part is None else _read(part)
    return np.array([found]) if found.__class__ is int else found


Tensor.__getitem__ = getitem  # type: ignore[misc]
Tensor.__setitem__ = setitem
Tensor.index_put = index_put
Tensor.index_put_ = index_put_
