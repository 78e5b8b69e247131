"""Files: PyTorch's formats, safetensors, NumPy's archives, and checkpoints; loading never runs code."""

from . import safetensors as safetensors
from .checkpoint import Checkpoint
from .files import load, save
from .npz import load_npz, save_npz
from .weights import load_weights

__all__ = ["Checkpoint", "load", "load_npz", "load_weights", "safetensors", "save", "save_npz"]
