"""`torch.autograd.graph`: the recorded graph."""

from ..core.tape import Node as Node
