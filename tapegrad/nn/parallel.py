"""`DataParallel`: one module on several devices; tapegrad has one device, so the module alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .module import Module


class DataParallel(Module):
    """Calls `module`; on machines with several GPUs PyTorch would cut the batch among them.

    Args:
        module: the module.
        device_ids: accepted for compatibility.
        output_device: accepted for compatibility.
        dim: accepted for compatibility.

    Attributes:
        module: the module, whose state is saved under "module.".

    >>> import tapegrad as torch
    >>> net = torch.nn.DataParallel(torch.nn.Linear(2, 3))
    >>> list(net.state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
