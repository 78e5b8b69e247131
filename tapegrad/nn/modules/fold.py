"""`torch.nn.modules.fold`: PyTorch's name for `tapegrad.nn.upsampling`."""

from ..upsampling import Fold as Fold
from ..upsampling import Unfold as Unfold
