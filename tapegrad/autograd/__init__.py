"""`torch.autograd`: derivatives as functions, `Function`, and their checks."""

from ..core.engine import backward as backward
from ..core.engine import grad as grad
from ..core.function import Function as Function
from ..core.tensor import Tensor as Variable
from ..modes import detect_anomaly as detect_anomaly
from ..modes import enable_grad as enable_grad
from ..modes import inference_mode as inference_mode
from ..modes import no_grad as no_grad
from ..modes import set_detect_anomaly as set_detect_anomaly
from ..modes import set_grad_enabled as set_grad_enabled
from ..testing.gradcheck import gradcheck as gradcheck
from ..testing.gradcheck import gradgradcheck as gradgradcheck
from . import function as function
from . import functional as functional
from . import graph as graph
