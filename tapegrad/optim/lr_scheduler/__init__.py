"""Learning-rate schedules: `torch.optim.lr_scheduler`.

A schedule sets `group["lr"]` of its optimizer's groups when it is made and at each of its steps, which follow the
optimizer's. Most multiply the current rate by a factor that depends on the number of steps, so that several of them,
and changes by hand, combine.
"""

from .base import LRScheduler as LRScheduler
from .base import _LRScheduler as _LRScheduler
from .combined import ChainedScheduler as ChainedScheduler
from .combined import SequentialLR as SequentialLR
from .cosine import CosineAnnealingLR as CosineAnnealingLR
from .cosine import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from .cyclic import CyclicLR as CyclicLR
from .cyclic import OneCycleLR as OneCycleLR
from .factor import ConstantLR as ConstantLR
from .factor import ExponentialLR as ExponentialLR
from .factor import LambdaLR as LambdaLR
from .factor import LinearLR as LinearLR
from .factor import MultiplicativeLR as MultiplicativeLR
from .factor import MultiStepLR as MultiStepLR
from .factor import PolynomialLR as PolynomialLR
from .factor import StepLR as StepLR
from .plateau import ReduceLROnPlateau as ReduceLROnPlateau

__all__ = [
    "LRScheduler",
    "LambdaLR",
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "OneCycleLR",
    "SequentialLR",
    "ChainedScheduler",
    "ReduceLROnPlateau",
]
