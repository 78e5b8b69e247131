"""`torch.nn.modules.channelshuffle`: PyTorch's name for `tapegrad.nn.shape`."""

from ..shape import ChannelShuffle as ChannelShuffle
