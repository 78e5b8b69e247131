"""`Checkpoint`: a folder of files, each with everything that a training run needs to go on as if it had never stopped.

A file is written whole or not at all (`atomic`), carries a checksum for each of its parts, and is read back before an
older one is removed. So whatever happens at whatever moment, the folder holds a file that can be read, and a run that
continues from it computes the same bits as one that was never stopped: the states of random generators are kept too.
"""

from __future__ import annotations

import errno
import os
import random
import re
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from ..core.tensor import Tensor, wrap
from ..errors import message
from ..ops.random.generators import default_generator
from .archive import Source, ZipReader
from .atomic import remove_leftovers, replacing, sync_folder
from .emit import pickled
from .files import load, write_zip

FORMAT = "tapegrad checkpoint 1"
RESERVED = ("format", "step", "random", "extra")
_NAME = re.compile(r"step-(\d+)\.pt")
_DAMAGE = (UnpicklingError, EOFError, RuntimeError)  # what `load` says of a file that it cannot read


class Checkpoint:
    """Saves a training run every now and then, and resumes it, bit for bit, after it was stopped.

    Each file holds the state of all parts, the step, and the states of the default generator, Python's `random` and
    NumPy's. It is a file of `torch.save`: `torch.load(path)["model"]` is the model's state, here and in PyTorch.

    Args:
        directory: the folder of the files; it is made when the first is saved.
        keep: how many files to keep; None keeps all.
        parts: what to save, by name (`model=`, `optimizer=`, `scheduler=`, `loader=`, ...): anything that has
            `state_dict` and `load_state_dict`, or `get_state` and `set_state` as generators have.

    Raises:
        TypeError: a part has neither pair of methods.
        ValueError: `keep` is less than 1, or a part has a name that is used by the file itself.

    >>> import tapegrad as torch, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> model = torch.nn.Linear(2, 1)
    >>> checkpoint = torch.Checkpoint(folder.name, model=model)
    >>> checkpoint.load() is None  # nothing to continue
    True
    >>> _ = checkpoint.save(1)
    >>> torch.Checkpoint(folder.name, model=torch.nn.Linear(2, 1)).load()
    1
    >>> folder.cleanup()
    """

    def __init__(self, directory: str | os.PathLike, *, keep: int | None = 3, **parts: Any):
        if keep is not None and (not isinstance(keep, int) or keep < 1):
            raise ValueError(message("Checkpoint: keep must be a number of files, or None for all", got=repr(keep)))
        for name, part in parts.items():
            if name in RESERVED:
                raise ValueError(message("Checkpoint: a part cannot have this name", got=name))
            if _methods(part) is None:
                what = f"Checkpoint: {name} cannot be saved: it has neither state_dict nor get_state"
                raise TypeError(message(what, got=type(part).__name__))
        self.directory = Path(directory)
        self.keep = keep
        self.parts = parts
        self.extra: Any = None  # what the last loaded file holds beside the parts
        self._at: int | None = None  # the step of the last file that was saved or loaded
        self._looked = False  # whether `load` was called

    # ---- the folder ----

    def path(self, step: int) -> Path:
        """The file of a step."""
        return self.directory / f"step-{step:08d}.pt"

    def steps(self) -> list[int]:
        """The steps of which there is a file, in rising order."""
        names = [path.name for path in self.directory.glob("step-*.pt")]
        return sorted(int(found[1]) for found in map(_NAME.fullmatch, names) if found)

    # ---- saving ----

    def save(self, step: int, extra: Any = None) -> Path:
        """Save the run at a step; returns the path of the file.

        Then files older than the newest `keep` are removed, and those of later steps: a run that went back to an
        earlier step, or over damaged files, leaves them behind.

        Args:
            step: a number that grows from one call to the next.
            extra: any other data to keep, such as the best loss so far; `load` puts it into the attribute `extra`.

        Raises:
            ValueError: the step is less than that of the last file.
            RuntimeError: the folder holds files of another run, which `load` was not asked to continue.
            TypeError: a state holds objects that are not data, so the file could not be loaded.
            OSError: the disk is full, ...: the files that were there are untouched.
        """
        step = self._checked(step)
        content: dict[str, Any] = {"format": FORMAT, "step": step}
        content |= {name: _methods(part)[0]() for name, part in self.parts.items()}  # type: ignore[index]
        content |= {"random": random_state(), "extra": extra}
        stream, regions, foreign = pickled(content)
        if foreign:
            what = "Checkpoint: the state holds objects that are not data, so it could not be loaded again"
            raise TypeError(message(what, got=", ".join(foreign[:5])))
        if not self.directory.is_dir():
            self.directory.mkdir(parents=True)
            sync_folder(self.directory.parent)
        if self._at is None:
            remove_leftovers(self.directory, "step-")
        path = self.path(step)
        with replacing(path) as file:
            write_zip(file, stream, regions)
        self._at = step
        self._remove_old(step)
        return path

    def _checked(self, step: Any) -> int:
        if isinstance(step, bool) or not hasattr(step, "__index__") or step < 0:
            raise ValueError(message("Checkpoint: the step is no number from 0 on", got=repr(step)))
        step = int(step)
        if self._at is not None and step < self._at:
            what = "Checkpoint: the step is less than that of the last file"
            raise ValueError(message(what, got=step, expected=f"{self._at} or more"))
        if not self._looked and self._at is None and self.steps():
            what = "Checkpoint: the folder holds files of another run"
            fix = "call .load() before training to continue that run, or use another folder"
            raise RuntimeError(message(what, where=self.directory, got=f"steps up to {self.steps()[-1]}", fix=fix))
        return step

    def _remove_old(self, step: int) -> None:
        """Remove what is not to be kept, once the file of this step is known to be good."""
        steps = self.steps()
        kept = [each for each in steps if each <= step]
        kept = kept if self.keep is None else kept[-self.keep :]
        old = [each for each in steps if each not in kept]
        if old:
            with open(self.path(step), "rb") as file:
                ZipReader(Source(file)).verify()
            for each in old:
                self.path(each).unlink(missing_ok=True)

    # ---- loading ----

    def load(self, step: int | None = None) -> int | None:
        """Put the run back to where the newest file that can be read was saved.

        A damaged file is left out, with a warning, in favour of the one before it. Without any file nothing changes.

        Args:
            step: load the file of this step instead.

        Returns:
            The step, or None if there is no file.

        Raises:
            RuntimeError: there are files, and none can be read; or the state does not fit a part.
            FileNotFoundError: there is no file of the given step.
            KeyError: the file has no state of one of the parts.
        """
        found = self._content(self.path(step)) if step is not None else self._newest()
        self._looked = True
        if found is None:
            return None
        missing = [name for name in self.parts if name not in found]
        if missing:
            got = ", ".join(name for name in found if name not in RESERVED)
            raise KeyError(message("Checkpoint: the file has no state of " + ", ".join(missing), got=got))
        for name, part in self.parts.items():
            _methods(part)[1](found[name])  # type: ignore[index]
        set_random_state(found["random"])
        self.extra, self._at = found["extra"], found["step"]
        return self._at

    restore = load

    def _newest(self) -> dict[str, Any] | None:
        steps = self.steps()
        for step in reversed(steps):
            try:
                return self._content(self.path(step))
            except FileNotFoundError:
                continue  # another process removed it
            except (*_DAMAGE, OSError) as error:
                if isinstance(error, OSError) and error.errno != errno.EIO:
                    raise
                text = message(f"Checkpoint: {self.path(step)} cannot be read and is left out", got=error)
                warnings.warn(text, UserWarning, stacklevel=3)
        if steps:
            what = "Checkpoint: none of the files can be read"
            raise RuntimeError(message(what, where=self.directory, got=f"steps {', '.join(map(str, steps))}"))
        return None

    def _content(self, path: Path) -> dict[str, Any]:
        """What a file holds; RuntimeError if it is no file of a Checkpoint."""
        found = load(path)
        if not isinstance(found, dict) or found.get("format") != FORMAT or not {*RESERVED} <= {*found}:
            raise RuntimeError(message(f"Checkpoint: {path} is not a file of a Checkpoint"))
        return found


def _methods(part: Any) -> tuple[Any, Any] | None:
    """The method that gives the state of a part, and the one that takes it."""
    for give, take in (("state_dict", "load_state_dict"), ("get_state", "set_state")):
        if callable(getattr(part, give, None)) and callable(getattr(part, take, None)):
            return getattr(part, give), getattr(part, take)
    return None


# ---- random generators -----------------------------------------------------------------------------------------------


def _numbers(values: Any) -> Tensor:
    return wrap(np.array(values, np.int64))


def random_state() -> dict[str, Any]:
    """The states of the default generator, of Python's `random`, and of NumPy's, as data."""
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "torch": default_generator.get_state(),
        "python": {"version": version, "words": _numbers(words), "gauss": gauss},
    }
    numpy: Any = np.random.get_state(legacy=False)
    if numpy["bit_generator"] == "MT19937":
        state["numpy"] = {
            "words": _numbers(numpy["state"]["key"]),
            "position": int(numpy["state"]["pos"]),
            "has_gauss": int(numpy["has_gauss"]),
            "gauss": float(numpy["gauss"]),
        }
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Continue all three generators from a state that `random_state` gave."""
    default_generator.set_state(state["torch"])
    python = state["python"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    if "numpy" in state:
        numpy = state["numpy"]
        key = numpy["words"].array.astype(np.uint32)
        np.random.set_state(("MT19937", key, numpy["position"], numpy["has_gauss"], numpy["gauss"]))
