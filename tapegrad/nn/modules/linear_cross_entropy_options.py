"""`torch.nn.modules.linear_cross_entropy_options`: PyTorch's name for `tapegrad.ops.neural.linear_cross_entropy`."""

from ...ops.neural.linear_cross_entropy import LinearCrossEntropyOptions as LinearCrossEntropyOptions
