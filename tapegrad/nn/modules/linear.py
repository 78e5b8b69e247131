"""`torch.nn.modules.linear`: PyTorch's name for `tapegrad.nn.linear`."""

from ..linear import Bilinear as Bilinear
from ..linear import Linear as Linear
from ..shape import Identity as Identity
