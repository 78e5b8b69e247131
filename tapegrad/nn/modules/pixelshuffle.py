"""`torch.nn.modules.pixelshuffle`: PyTorch's name for `tapegrad.nn.shape`."""

from ..shape import PixelShuffle as PixelShuffle
from ..shape import PixelUnshuffle as PixelUnshuffle
