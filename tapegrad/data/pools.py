"""Pools: several workers that read at once, as threads or as processes, or that take turns.

All kinds answer three calls: `send(worker, task)`, `receive(seconds)` and `close()`. Tasks of one worker are done in
order; results of different workers come as they are ready. Workers take turns in the calling thread where a dataset
makes whole batches by itself: that takes less time than handing a batch from one thread to another. Whatever happens to
the caller (the loop ends or is left, Ctrl-C, an exception, the end of the program), `close` runs, and after it there is
no worker left.

Note [How workers end]: a pool refers to nothing of the iterator that uses it, so the iterator's finalizer can close
the pool when the loop is left. A thread looks at the stop sign between two samples; one that is stuck inside a sample
is not waited for, it is a daemon. A process ignores Ctrl-C, which the terminal sends to all of them: the caller gets it
and closes the pool. It ends when its pipe does, that is, also when the caller is killed.
"""

from __future__ import annotations

import contextlib
import contextvars
import multiprocessing
import multiprocessing.connection
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

from ..backends.cpu.threads import set_num_threads
from ..errors import message
from .reading import StopSign, makes_batches
from .shared import Receiver, Sender, make_folder, remove_folder
from .streams import split_by_thread, streams_here, streams_of_thread
from .worker import Job, Result, Task, Worker, serve, with_own_dataset

_PATIENCE = 5.0  # seconds that a worker is given to end by itself
_GRACE = 0.5  # seconds that a worker process gives to the sample it reads
_LOOK = 1.0  # seconds between two looks at whether workers are alive (and, on Windows, for Ctrl-C)


class ThreadPool:
    """Workers that are threads of this process."""

    def __init__(self, job: Job):
        split_by_thread()
        self._stop = StopSign()
        self._tasks: list[queue.SimpleQueue] = [queue.SimpleQueue() for _ in range(job.count)]
        self._results: queue.SimpleQueue = queue.SimpleQueue()
        self._threads = []
        for number, tasks in enumerate(self._tasks):
            run = contextvars.copy_context().run  # grad mode is the caller's, as in a forked process
            arguments = (_live, with_own_dataset(job), number, tasks.get, self._results.put, self._stop)
            self._threads.append(
                threading.Thread(target=run, args=arguments, name=f"tapegrad data worker {number}", daemon=True)
            )
        for thread in self._threads:
            thread.start()

    def send(self, worker: int, task: Task) -> None:
        """Give a task to a worker."""
        self._tasks[worker].put(task)

    def receive(self, seconds: float) -> Result:
        """The next result of any worker; TimeoutError if there is none in so many seconds (0: wait)."""
        until = time.monotonic() + seconds if seconds else None
        while True:
            left = _LOOK if until is None else min(_LOOK, until - time.monotonic())
            try:
                return self._results.get(timeout=max(left, 0))
            except queue.Empty:
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError from None

    def close(self, patience: float = _PATIENCE) -> None:
        """End the workers."""
        self._stop.up = True
        for tasks in self._tasks:
            tasks.put(None)
        until = time.monotonic() + patience
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(until - time.monotonic(), 0))


def _live(job: Job, number: int, receive: Callable, send: Callable, stop: StopSign) -> None:
    """The life of a thread."""
    serve(Worker(job, number, streams_of_thread(job.base_seed, number), stop), receive, send)


class TurnPool:
    """Workers that take turns in the calling thread, each in a context of its own."""

    def __init__(self, job: Job):
        split_by_thread()
        self._job = job
        self._contexts = [contextvars.copy_context() for _ in range(job.count)]
        self._workers = [context.run(self._hire, number) for number, context in enumerate(self._contexts)]
        self._tasks: deque[tuple[int, Task]] = deque()

    def _hire(self, number: int) -> Worker:
        streams = streams_of_thread(self._job.base_seed, number)
        return Worker(with_own_dataset(self._job), number, streams, StopSign())

    def send(self, worker: int, task: Task) -> None:
        """Give a task to a worker."""
        self._tasks.append((worker, task))

    def receive(self, seconds: float) -> Result:
        """The result of the next task that has one; there is one."""
        while True:
            number, task = self._tasks.popleft()
            result = self._contexts[number].run(self._workers[number].work, task)
            if result is not None:
                return result

    def close(self, patience: float = 0) -> None:
        """Forget the tasks."""
        self._tasks.clear()


def make_pool(job: Job, blocks: int, context: Any) -> Any:
    """A pool of the kind that fits: processes of this context, without one threads or turns."""
    if context is not None:
        return ProcessPool(job, blocks, context)
    return (TurnPool if makes_batches(job.plan) else ThreadPool)(job)


# ---- processes -----------------------------------------------------------------------------------------------------


class ProcessPool:
    """Workers that are processes, started as `context` says; arrays come back by shared memory."""

    def __init__(self, job: Job, blocks: int, context: Any):
        self._folder = make_folder()
        self._owner = os.getpid()
        self._pipes: list[Any] = []
        self._processes: list[Any] = []
        self._receivers = [Receiver(self._folder, str(number)) for number in range(job.count)]
        try:
            for number in range(job.count):
                self._start(job, number, blocks, context)
        except BaseException:
            self.close()
            raise

    def _start(self, job: Job, number: int, blocks: int, context: Any) -> None:
        here, there = context.Pipe()
        arguments = (job, number, there, self._folder, blocks, [*self._pipes, here] if _forks(context) else [])
        name = f"tapegrad data worker {number}"
        process = context.Process(target=_live_as_process, args=arguments, name=name, daemon=True)
        with warnings.catch_warnings():
            # Python warns of forking while threads run; the child uses none of their locks, it only reads data
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        there.close()
        self._pipes.append(here)
        self._processes.append(process)

    def send(self, worker: int, task: Task) -> None:
        """Give a task to a worker."""
        try:
            self._pipes[worker].send(task)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended; `receive` says how

    def receive(self, seconds: float) -> Result:
        """The next result of any worker; TimeoutError if there is none in so many seconds (0: wait).

        Raises:
            RuntimeError: a worker has ended.
        """
        until = time.monotonic() + seconds if seconds else None
        while True:
            left = None if until is None else max(until - time.monotonic(), 0)
            ready = multiprocessing.connection.wait(self._pipes, left)
            if not ready:
                raise TimeoutError
            number = self._pipes.index(ready[0])
            try:
                parcel = self._pipes[number].recv()
            except (EOFError, ConnectionResetError):
                raise RuntimeError(self._end_of(number)) from None
            return self._receivers[number].open(parcel)

    def _end_of(self, number: int) -> str:
        """How a worker has ended."""
        process = self._processes[number]
        process.join(_PATIENCE)
        code = process.exitcode
        got = f"exit code {code}"
        if code is not None and code < 0:
            got = f"killed by signal {-code} ({signal.Signals(-code).name})"
        text = f"DataLoader worker {number} (process {process.pid}) has ended unexpectedly"
        fix = "num_workers=0 shows errors directly; a killed worker often means that memory ran out"
        return message(text, got=got, fix=fix)

    def close(self, patience: float = _PATIENCE) -> None:
        """End the workers."""
        if os.getpid() != self._owner:
            return  # a copy of the pool in a forked process
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
            pipe.close()
        until = time.monotonic() + patience
        for process in self._processes:
            process.join(max(until - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._pipes, self._processes = [], []
        for receiver in self._receivers:
            receiver.close()
        remove_folder(self._folder)


def _forks(context: Any) -> bool:
    return context.get_start_method() == "fork"


def _live_as_process(job: Job, number: int, pipe: Any, folder: str, blocks: int, foreign: list[Any]) -> None:
    """The life of a process. `foreign` are the caller's ends of pipes that fork has copied here."""
    for other in foreign:
        other.close()  # while a copy is open, the end of the caller is not seen
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_num_threads(1)
    streams = streams_here()
    streams.seed(job.base_seed, number)
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    stop = StopSign()
    threading.Thread(target=_listen, args=(pipe, tasks, stop, folder), daemon=True).start()
    sender = Sender(folder, str(number), blocks)

    def send(result: Result) -> None:
        if result.kind == "error":
            result = result._replace(value=Failure(result.value))
        try:
            parcel = sender.pack(result)
        except Exception as error:  # the value cannot be pickled
            parcel = sender.pack(Result(result.epoch, result.number, "error", Failure(error)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody wants it any more
            pipe.send(parcel)

    serve(Worker(job, number, streams, stop), tasks.get, send)


def _listen(pipe: Any, tasks: queue.SimpleQueue, stop: StopSign, folder: str) -> None:
    """Take tasks off the pipe, so that neither side waits for the other to read; end the process with the pipe."""
    try:
        while (task := pipe.recv()) is not None:
            tasks.put(task)
        stop.up = True
        tasks.put(None)
        time.sleep(_GRACE)  # most often the process ends meanwhile, by itself
    except (EOFError, OSError):  # the caller has been killed
        remove_folder(folder)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(0)


class Failure:
    """An exception on its way from a process, with the text of its traceback."""

    def __init__(self, error: BaseException):
        self.text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        try:
            self.error = pickle.loads(pickle.dumps(error))
        except Exception:
            self.error = RuntimeError(f"{type(error).__name__}: {error}")
