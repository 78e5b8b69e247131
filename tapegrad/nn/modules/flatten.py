"""`torch.nn.modules.flatten`: PyTorch's name for `tapegrad.nn.shape`."""

from ..shape import Flatten as Flatten
from ..shape import Unflatten as Unflatten
