"""Programs on modules that run in two libraries and must tell the same story.

A program is a function of the library that returns plain values: texts, names, numbers, exception types, tensors.
"""

from __future__ import annotations

import warnings

import numpy as np


def told(value):
    """Tensors as lists, so that stories can be compared."""
    if hasattr(value, "detach"):
        return [
            "tensor",
            str(value.dtype),
            list(value.shape),
            bool(value.requires_grad),
            np.round(value.detach().double().numpy(), 5).tolist(),
        ]
    if isinstance(value, (list, tuple)):
        return [told(v) for v in value]
    if isinstance(value, dict):
        return [[told(k), told(v)] for k, v in value.items()]
    return value


def fails(function):
    """The class of the exception that the call raises."""
    try:
        function()
    except Exception as error:
        return type(error).__name__
    return "no error"


def net(lib, bias=True):
    class Block(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.Parameter(lib.arange(3.0))
            self.register_buffer("count", lib.zeros(1))
            self.register_buffer("scratch", lib.ones(2), persistent=False)
            self.act = lib.nn.ReLU()

        def forward(self, x):
            return self.act(x * self.scale)

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = Block()
            self.again = self.first
            self.empty = None
            self.norm = lib.nn.LayerNorm(3)
            self.list = lib.nn.ModuleList([Block(), lib.nn.Identity()])
            self.register_parameter("bias", lib.nn.Parameter(lib.ones(3)) if bias else None)

        def forward(self, x, *, twice=False):
            out = self.norm(self.first(x)) + self.bias
            return out * 2 if twice else out

    return Net()


def compare(program, ours, theirs):
    """Run the program in both libraries."""
    stories = []
    for lib in (ours, theirs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stories.append(told(program(lib)))
    assert stories[0] == stories[1]
