"""Calling a module with other parameters and buffers than its own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from ... import errors
from ...core.tensor import Tensor
from ..module import Module

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The older name of `torch.func.functional_call`.

    Args:
        module: the module.
        parameters_and_buffers: the tensors to use, by their dotted names; all others stay.
        args: the positional arguments, or a single one.
        kwargs: the keyword arguments.
        tie_weights: a tensor that has several names is replaced under all of them.
        strict: demand exactly the names of the module.

    Raises:
        RuntimeError: `strict`, and a name is missing or unknown.
        ValueError: tied names are given different tensors.
    """
    what = "torch.nn.utils.stateless.functional_call is now torch.func.functional_call"
    warnings.warn(what, FutureWarning, stacklevel=2)
    return call_with(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)


def call_with(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other parameters and buffers than its own: `torch.func.functional_call`.

    Args:
        module: the module; it is not changed.
        parameter_and_buffer_dicts: the tensors to use, by their dotted names, or several such dictionaries. All other
            tensors are the module's own; tensors that no module has are ignored.
        args: the positional arguments, or a single one.
        kwargs: the keyword arguments.
        tie_weights: a tensor that has several names is replaced under all of them.
        strict: demand exactly the names of the module.

    Raises:
        RuntimeError: `strict`, and a name is missing or unknown.
        ValueError: a name is in several dictionaries, or tied names are given different tensors.
        TypeError: a value is no tensor.
        AttributeError: a name is that of a module that is not there.

    >>> import tapegrad as torch
    >>> from tapegrad.nn.utils.stateless import call_with
    >>> layer = torch.nn.Linear(1, 1)
    >>> call_with(layer, {"weight": torch.tensor([[2.0]]), "bias": torch.tensor([1.0])}, torch.tensor([3.0]))
    tensor([7.])
    """
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    chosen = _merged(parameter_and_buffer_dicts)
    places = {name: (owner, kind) for owner, kind, prefix in _owners(module) for name in _names(owner, kind, prefix)}
    if tie_weights:
        _tie(places, chosen)
    missing, unknown = places.keys() - chosen.keys(), chosen.keys() - places.keys()
    if strict and (missing or unknown):
        what = "functional_call: the names are not those of the module"
        got = f"missing {sorted(missing)}, unknown {sorted(unknown)}"
        raise RuntimeError(errors.message(what, where=type(module).__name__, got=got))
    paths = {path for path, _ in module.named_modules(remove_duplicate=False)}
    for name in unknown:
        if name.rpartition(".")[0] not in paths:
            text = errors.message(f"functional_call: there is no module for {name!r}", where=type(module).__name__)
            raise AttributeError(text)
    before = []
    try:
        for name in chosen.keys() & places.keys():
            owner, kind = places[name]
            members, own = getattr(owner, kind), name.rpartition(".")[2]
            before.append((members, own, members[own]))
            members[own] = chosen[name]
        return module(*args, **(kwargs or {}))
    finally:
        for members, own, value in reversed(before):
            members[own] = value


def _merged(dicts: Any) -> dict[str, Tensor]:
    """One dictionary of all."""
    if not isinstance(dicts, (dict, list, tuple)):
        what = "functional_call: parameters and buffers are a dictionary or a list of dictionaries"
        raise ValueError(errors.message(what, got=type(dicts).__name__))
    found: dict[str, Tensor] = {}
    for values in (dicts,) if isinstance(dicts, dict) else dicts:
        twice = found.keys() & values.keys()
        if twice:
            raise ValueError(errors.message("functional_call: a name is in several dictionaries", got=sorted(twice)))
        found.update(values)
    for name, value in found.items():
        if not isinstance(value, Tensor):
            text = errors.message(f"functional_call: {name!r} must be given a tensor", got=type(value).__name__)
            raise TypeError(text)
    return found


def _owners(module: Module) -> list[tuple[Any, str, str]]:
    """(module, which of its dictionaries, prefix of its names), every path of the tree."""
    found = module.named_modules(remove_duplicate=False)
    return [(m, kind, f"{path}." if path else "") for path, m in found for kind in ("_parameters", "_buffers")]


def _names(owner: Any, kind: str, prefix: str) -> list[str]:
    return [prefix + name for name, value in getattr(owner, kind).items() if value is not None]


def _tie(places: dict[str, tuple[Any, str]], chosen: dict[str, Tensor]) -> None:
    """Give all names of a tensor the value that one of them is given."""
    groups: dict[int, list[str]] = {}
    for name, (owner, kind) in places.items():
        groups.setdefault(id(getattr(owner, kind)[name.rpartition(".")[2]]), []).append(name)
    for names in groups.values():
        given = [name for name in names if name in chosen]
        if len({id(chosen[name]) for name in given}) > 1:
            what = "functional_call: names of one tensor are given different values"
            raise ValueError(errors.message(what, got=", ".join(given), fix="tie_weights=False"))
        if given:
            chosen.update(dict.fromkeys(names, chosen[given[0]]))
