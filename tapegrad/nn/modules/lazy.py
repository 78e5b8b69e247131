"""`torch.nn.modules.lazy`: PyTorch's name for `tapegrad.nn.lazy`."""

from ..lazy import LazyModuleMixin as LazyModuleMixin
