"""`torch.utils.data`: the names of `tapegrad.data`."""

from ...data import *
from ...data import __all__ as __all__
from . import dataloader as dataloader
from . import dataset as dataset
from . import distributed as distributed
from . import sampler as sampler
