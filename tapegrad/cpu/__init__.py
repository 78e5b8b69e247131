"""`torch.cpu`: the CPU as a device among others."""

from . import amp as amp
from .device import current_device as current_device
from .device import device_count as device_count
from .device import is_available as is_available
from .device import is_initialized as is_initialized
from .device import set_device as set_device
from .device import synchronize as synchronize
