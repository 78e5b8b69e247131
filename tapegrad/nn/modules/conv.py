"""`torch.nn.modules.conv`: PyTorch's name for `tapegrad.nn.convolution`."""

from ..convolution import Conv1d as Conv1d
from ..convolution import Conv2d as Conv2d
from ..convolution import Conv3d as Conv3d
from ..convolution import ConvTranspose1d as ConvTranspose1d
from ..convolution import ConvTranspose2d as ConvTranspose2d
from ..convolution import ConvTranspose3d as ConvTranspose3d
from ..convolution import _ConvNd as _ConvNd
from ..convolution import _ConvTransposeNd as _ConvTransposeNd
from ..lazy import LazyConv1d as LazyConv1d
from ..lazy import LazyConv2d as LazyConv2d
from ..lazy import LazyConv3d as LazyConv3d
from ..lazy import LazyConvTranspose1d as LazyConvTranspose1d
from ..lazy import LazyConvTranspose2d as LazyConvTranspose2d
from ..lazy import LazyConvTranspose3d as LazyConvTranspose3d
