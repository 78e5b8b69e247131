"""Threads that share the work on large arrays with the caller.

NumPy lets go of the interpreter's lock while it loops over an array, so two threads that each work through their half
of one run side by side as long as a call takes longer than handing the lock over: from about 64 Ki elements a call.
The threads are made at the first use, wait for work without spinning, and are forgotten by a forked process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

_tasks: SimpleQueue = SimpleQueue()
_threads: list[threading.Thread] = []
_growing = threading.Lock()


def share(function: Callable[[Any], None], parts: Sequence[Any]) -> None:
    """Call `function` with each part: with the first on this thread, with the others on threads of their own."""
    if len(_threads) < len(parts) - 1:
        _grow(len(parts) - 1)
    finished: SimpleQueue = SimpleQueue()
    for part in parts[1:]:
        _tasks.put((function, part, finished))
    errors = []
    try:
        function(parts[0])
    finally:  # an error here must not leave the others at work on arrays that the caller believes to be its own
        errors = [finished.get() for _ in parts[1:]]
    for error in errors:
        if error is not None:
            raise error


def _grow(count: int) -> None:
    with _growing:
        while len(_threads) < count:
            thread = threading.Thread(target=_work, args=(_tasks,), name="tapegrad worker", daemon=True)
            thread.start()
            _threads.append(thread)


def _work(tasks: SimpleQueue) -> None:
    while True:
        function, part, finished = tasks.get()
        error = None
        try:
            function(part)
        except BaseException as failure:
            error = failure
        finished.put(error)
        del function, part, finished, error  # arrays must not live until the next task


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _tasks, _growing
    _tasks, _growing = SimpleQueue(), threading.Lock()
    _threads.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
