"""`torch.nn.modules.adaptive`: PyTorch's name for `tapegrad.nn.adaptive`."""

from ..adaptive import AdaptiveLogSoftmaxWithLoss as AdaptiveLogSoftmaxWithLoss
