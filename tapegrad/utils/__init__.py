"""`torch.utils`: re-exports."""

from . import data as data
