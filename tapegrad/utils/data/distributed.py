"""`torch.utils.data.distributed`: names of `tapegrad.data`."""

from ...data import DistributedSampler

__all__ = ["DistributedSampler"]
