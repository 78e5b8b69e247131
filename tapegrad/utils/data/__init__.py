"""`torch.utils.data`: the names of `tapegrad.data`."""

from ...data import *
from ...data import __all__ as __all__
