"""`torch.nn.modules.instancenorm`: PyTorch's name for `tapegrad.nn.normalization`."""

from ..normalization import InstanceNorm1d as InstanceNorm1d
from ..normalization import InstanceNorm2d as InstanceNorm2d
from ..normalization import InstanceNorm3d as InstanceNorm3d
from ..normalization import _InstanceNorm as _InstanceNorm
