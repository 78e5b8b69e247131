"""The types of named results: `torch.return_types.max` is the type of `torch.max(x, 0)`.

>>> import tapegrad as torch
>>> values, indices = torch.max(torch.eye(2), 0)
>>> isinstance(torch.max(torch.eye(2), 0), torch.return_types.max)
True
"""

from __future__ import annotations

from .core.op import registry
from .core.results import known_result_types, result_type_of


def __getattr__(name: str) -> type:
    op = registry.get(name)
    if op is not None and len(op.returns) - op.hidden > 1:
        return result_type_of(name, op.returns[: len(op.returns) - op.hidden])
    if name in known_result_types:
        return known_result_types[name]
    raise AttributeError(f"module 'torch.return_types' has no attribute {name!r}")
