"""Optimizers and learning-rate schedules: `torch.optim`."""

from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD
