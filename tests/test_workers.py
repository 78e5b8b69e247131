"""Work shared between threads: every part is done, errors come back, and a forked process has threads of its own."""

from __future__ import annotations

import os
import threading
import warnings

import pytest

from tapegrad.backends.cpu import workers


def test_every_part_is_done_by_its_own_thread():
    barrier = threading.Barrier(3, timeout=60)  # nobody goes on before all three are at work
    done = []

    def work(part):
        barrier.wait()
        done.append((part, threading.get_ident()))

    for _ in range(3):
        done.clear()
        workers.share(work, [0, 1, 2])
        assert sorted(part for part, _ in done) == [0, 1, 2]
        assert len({thread for _, thread in done}) == 3
        assert dict(done)[0] == threading.get_ident()


@pytest.mark.parametrize("bad", [0, 1])
def test_errors_come_back_when_all_are_done(bad):
    done = []

    def work(part):
        if part == bad:
            raise ZeroDivisionError(part)
        done.append(part)

    with pytest.raises(ZeroDivisionError):
        workers.share(work, [0, 1])
    assert done == [1 - bad]
    workers.share(done.append, ["again", "and again"])
    assert sorted(done[1:]) == ["again", "and again"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_makes_its_own_threads():
    workers.share(lambda part: None, [0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads
        child = os.fork()
    if child == 0:
        done = []
        workers.share(done.append, [0, 1])
        os._exit(0 if sorted(done) == [0, 1] else 1)
    assert os.waitpid(child, 0)[1] == 0
