"""`torch.utils.data`: the names of `tapegrad.data`."""

from ...data import *  # noqa: F403
from ...data import __all__ as __all__
