"""`torch.nn.modules.batchnorm`: PyTorch's name for `tapegrad.nn.normalization`."""

from ..normalization import BatchNorm1d as BatchNorm1d
from ..normalization import BatchNorm2d as BatchNorm2d
from ..normalization import BatchNorm3d as BatchNorm3d
from ..normalization import _BatchNorm as _BatchNorm
from ..normalization import _NormBase as _NormBase
