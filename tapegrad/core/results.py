"""The types of named results: `torch.return_types.max` is a named tuple of `values` and `indices`."""

from __future__ import annotations

from collections import namedtuple

known_result_types: dict[str, type] = {}


def result_type_of(name: str, fields: tuple[str, ...]) -> type:
    """The named tuple of an operation with several results (`torch.return_types.max`)."""
    found = known_result_types.get(name)
    if found is None:
        base = namedtuple(name, fields)  # type: ignore[misc]

        def text(self) -> str:
            parts = ",\n".join(f"{n}={v!r}" for n, v in zip(self._fields, self))
            return f"torch.return_types.{name}(\n{parts})"

        reduced = lambda self: (named_result, (name, fields, tuple(self)))
        methods = {"__slots__": (), "__repr__": text, "__reduce__": reduced, "__module__": "torch.return_types"}
        known_result_types[name] = found = type(name, (base,), methods)
    return found


def named_result(name: str, fields: tuple[str, ...], values: tuple) -> tuple:
    """Such a named tuple: what unpickling calls."""
    return result_type_of(name, fields)(*values)
