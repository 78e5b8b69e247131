"""Instruments for tests: comparison of tensors and of derivatives."""

from .compare import assert_close as assert_close
from .gradcheck import GradcheckError as GradcheckError
from .gradcheck import gradcheck as gradcheck
from .gradcheck import gradgradcheck as gradgradcheck
