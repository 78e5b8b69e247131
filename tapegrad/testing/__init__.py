"""Instruments for tests: comparison of tensors, of derivatives, and of whole runs."""

from .compare import assert_close as assert_close
from .gradcheck import GradcheckError as GradcheckError
from .gradcheck import gradcheck as gradcheck
from .gradcheck import gradgradcheck as gradgradcheck
from .hashing import fingerprint as fingerprint
