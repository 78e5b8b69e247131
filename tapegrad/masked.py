"""`torch.masked`: reductions and normalizations of the elements that a mask selects (re-exports)."""

from .ops.reduction.masked_reductions import amax as amax
from .ops.reduction.masked_reductions import amin as amin
from .ops.reduction.masked_reductions import argmax as argmax
from .ops.reduction.masked_reductions import argmin as argmin
from .ops.reduction.masked_reductions import cumprod as cumprod
from .ops.reduction.masked_reductions import cumsum as cumsum
from .ops.reduction.masked_reductions import log_softmax as log_softmax
from .ops.reduction.masked_reductions import logaddexp as logaddexp
from .ops.reduction.masked_reductions import logsumexp as logsumexp
from .ops.reduction.masked_reductions import mean as mean
from .ops.reduction.masked_reductions import median as median
from .ops.reduction.masked_reductions import norm as norm
from .ops.reduction.masked_reductions import normalize as normalize
from .ops.reduction.masked_reductions import prod as prod
from .ops.reduction.masked_reductions import softmax as softmax
from .ops.reduction.masked_reductions import softmin as softmin
from .ops.reduction.masked_reductions import std as std
from .ops.reduction.masked_reductions import sum as sum
from .ops.reduction.masked_reductions import var as var
