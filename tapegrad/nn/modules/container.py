"""`torch.nn.modules.container`: PyTorch's name for `tapegrad.nn.containers`."""

from ..containers import Container as Container
from ..containers import ModuleDict as ModuleDict
from ..containers import ModuleList as ModuleList
from ..containers import ParameterDict as ParameterDict
from ..containers import ParameterList as ParameterList
from ..containers import Sequential as Sequential
