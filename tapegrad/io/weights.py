"""The tensors of a whole saved model (`torch.save(model, ...)`) without its classes, which are never imported."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from . import wrong
from .files import opened, read
from .pickled import Record

MAX_DEPTH, MAX_PARTS = 100, 100_000  # of what is searched: a file may repeat a part without being longer


def load_weights(f: Any) -> OrderedDict[str, Tensor]:
    """The tensors in a file by their dotted paths, whatever objects hold them: a `state_dict` for `load_state_dict`.

    For a file that holds a whole model: the classes in it are read as names, and of their objects only parameters,
    persistent buffers and sub-modules are looked at. Dictionaries and lists around the model become parts of the paths.

    Args:
        f: a path, or a binary file object.

    Raises:
        pickle.UnpicklingError: the file is of another kind.
        ValueError: there is no tensor in it.

    >>> import io, warnings
    >>> import tapegrad as torch
    >>> file = io.BytesIO()
    >>> with warnings.catch_warnings():  # torch.load would refuse it
    ...     warnings.simplefilter("ignore")
    ...     torch.save(torch.nn.Sequential(torch.nn.Linear(2, 1)), file)
    >>> _ = file.seek(0)
    >>> list(torch.io.load_weights(file))
    ['0.weight', '0.bias']
    """
    value, _ = opened(f, False, lambda source: read(source, wrong.described(f), lenient=True))
    found: OrderedDict[str, Tensor] = OrderedDict()
    left = [MAX_PARTS]
    for path, t in _tensors("", value, (), left):
        found[path] = t.detach()
    if not found:
        raise ValueError(message("load_weights: there is no tensor in the file", got=type(value).__name__))
    return found


def _tensors(path: str, part: Any, above: tuple[int, ...], left: list[int]) -> Iterator[tuple[str, Tensor]]:
    """The tensors in a value with their paths; one that two modules share comes twice, as in `state_dict`."""
    left[0] -= 1
    if left[0] < 0 or len(above) > MAX_DEPTH:
        raise ValueError(message("load_weights: the value in the file is nested too deeply, or repeats too much"))
    if isinstance(part, Tensor):
        yield path, part
    elif id(part) not in above:
        for key, value in _parts(part):
            yield from _tensors(f"{path}.{key}" if path else str(key), value, (*above, id(part)), left)


def _parts(part: Any) -> list[tuple[Any, Any]]:
    """The named parts of a container or a module."""
    if isinstance(part, dict):
        return [(key, value) for key, value in part.items() if isinstance(key, (str, int))]
    if isinstance(part, (list, tuple)):
        return list(enumerate(part))
    state = part.state if isinstance(part, Record) else getattr(part, "__dict__", None)
    if not isinstance(state, dict):
        return []
    own: list[tuple[Any, Any]] = []
    left_out = state.get("_non_persistent_buffers_set")
    for group in ("_parameters", "_buffers", "_modules"):
        members = state.get(group)
        if isinstance(members, dict):
            skip = left_out if group == "_buffers" and isinstance(left_out, set) else ()
            own += [(key, value) for key, value in members.items() if value is not None and key not in skip]
    return own
