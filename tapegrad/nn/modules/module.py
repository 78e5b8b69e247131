"""`torch.nn.modules.module`: PyTorch's name for `tapegrad.nn.module`."""

from ..hooks import register_module_forward_hook as register_module_forward_hook
from ..hooks import register_module_forward_pre_hook as register_module_forward_pre_hook
from ..hooks import register_module_full_backward_hook as register_module_full_backward_hook
from ..hooks import register_module_full_backward_pre_hook as register_module_full_backward_pre_hook
from ..module import Module as Module
from ..registry import register_module_buffer_registration_hook as register_module_buffer_registration_hook
from ..registry import register_module_module_registration_hook as register_module_module_registration_hook
from ..registry import register_module_parameter_registration_hook as register_module_parameter_registration_hook
from ..state import _EXTRA_STATE_KEY_SUFFIX as _EXTRA_STATE_KEY_SUFFIX
from ..state import _IncompatibleKeys as _IncompatibleKeys
