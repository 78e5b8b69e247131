"""`torch.special`: special functions under their mathematical names (re-exports)."""

from .ops.functions import digamma as digamma
from .ops.functions import digamma as psi
from .ops.functions import erf as erf
from .ops.functions import erfc as erfc
from .ops.functions import erfinv as erfinv
from .ops.functions import exp2 as exp2
from .ops.functions import expm1 as expm1
from .ops.functions import lgamma as gammaln
from .ops.functions import log1p as log1p
from .ops.functions import logit as logit
from .ops.functions import round as round
from .ops.functions import sigmoid as expit
from .ops.powers import xlogy as xlogy
from .ops.reduce import logsumexp as logsumexp
from .ops.softmax import log_softmax as log_softmax
from .ops.softmax import softmax as softmax
from .ops.trigonometry import sinc as sinc
