"""Handles: what registering a hook returns, so that the hook can be taken off again.

A holder of hooks (tensor, graph node, module) keeps them in an ordered dictionary from handle id to callable. The
handle only refers weakly to that dictionary: a forgotten handle keeps nothing alive, and removing twice is harmless.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

_ids = itertools.count()


class RemovableHandle:
    """The receipt of a registered hook; ``remove()`` takes the hook off, leaving a ``with`` block does too.

    Args:
        hooks_dict: the ordered dictionary that holds, or will hold, the hook under ``handle.id``.
        extra_dict: a dictionary or list of dictionaries with notes about hooks (kept under the same id), cleaned
            together with it.

    >>> hooks = OrderedDict()
    >>> handle = RemovableHandle(hooks)
    >>> hooks[handle.id] = print
    >>> handle.remove()
    >>> len(hooks)
    0
    """

    __slots__ = ("__weakref__", "extra_dict_ref", "hooks_dict_ref", "id")

    def __init__(self, hooks_dict: OrderedDict, *, extra_dict: Any = None) -> None:
        self.id = next(_ids)
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        extras = [] if extra_dict is None else extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extras)

    def remove(self) -> None:
        """Take the hook off; nothing happens if it is off already or its holder is gone."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    def __getstate__(self) -> tuple:
        return self.id, self.hooks_dict_ref(), tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state: tuple) -> None:
        self.id, hooks, extras = state
        # A handle whose holder was gone when it was saved points at a dictionary nobody else has.
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if d is None else d) for d in extras)


def add_hook(
    hooks: OrderedDict, hook: Callable, prepend: bool = False, notes: list[OrderedDict] | None = None
) -> RemovableHandle:
    """Put ``hook`` into ``hooks`` (first in line with ``prepend``) and mark its id in each dictionary of ``notes``."""
    handle = RemovableHandle(hooks, extra_dict=notes)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    for note in notes or ():
        note[handle.id] = True
    return handle
