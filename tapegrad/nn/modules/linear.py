"""`torch.nn.modules.linear`: PyTorch's name for `tapegrad.nn.linear`."""

from ..lazy import LazyLinear as LazyLinear
from ..linear import Bilinear as Bilinear
from ..linear import Linear as Linear
from ..multihead import NonDynamicallyQuantizableLinear as NonDynamicallyQuantizableLinear
from ..shape import Identity as Identity
