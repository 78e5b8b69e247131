"""`torch.serialization`: saving and loading, and the classes that files may hold."""

from __future__ import annotations

from typing import Any

from .io.checkpoint import Checkpoint as Checkpoint
from .io.files import load as load
from .io.files import opened as _opened
from .io.files import read as _read
from .io.files import save as save
from .io.names import TENSOR_CLASSES as _TENSOR_CLASSES
from .io.safe import add_safe_globals as add_safe_globals
from .io.safe import clear_safe_globals as clear_safe_globals
from .io.safe import get_safe_globals as get_safe_globals
from .io.safe import safe_globals as safe_globals
from .io.wrong import described as _described
from .nn.parameter import Buffer as _Buffer
from .nn.parameter import Parameter as _Parameter

_TENSOR_CLASSES.update(parameter=_Parameter, buffer=_Buffer)


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names of classes and functions in a file because of which `torch.load` refuses it; none of them is imported.

    >>> import argparse, io, warnings
    >>> import tapegrad as torch
    >>> file = io.BytesIO()
    >>> with warnings.catch_warnings():  # of what torch.load will refuse
    ...     warnings.simplefilter("ignore")
    ...     torch.save(argparse.Namespace(lr=0.1), file)
    >>> _ = file.seek(0)
    >>> torch.serialization.get_unsafe_globals_in_checkpoint(file)
    ['argparse.Namespace']
    """
    return _opened(f, False, lambda source: _read(source, _described(f), lenient=True))[1]
