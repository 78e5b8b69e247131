"""`torch.nn`: modules and what they are made of.

Read `module` first, then one family of layers, e.g. `linear`.
"""

from . import functional as functional
from . import init as init
from . import utils as utils
from . import modules as modules  # isort: skip
from .activation import CELU as CELU
