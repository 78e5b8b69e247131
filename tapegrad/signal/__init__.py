"""`torch.signal`: the functions of signal processing; `windows` are the only ones."""

from . import windows as windows
