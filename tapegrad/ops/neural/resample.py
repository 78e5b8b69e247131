"""Linear maps along dimensions: what resizing, padding and averages of uneven windows have in common.

`resample` is linear in x; its derivative is the same operation with `adjoint` turned around.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...backends.cpu import resample as kernels
from ...core.op import Array, op

_NODES = {
    "nearest": "UpsampleNearest{}DBackward0",
    "nearest-exact": "UpsampleNearestExact{}DBackward0",
    "linear": "Upsample{}Backward0",
    "cubic": "UpsampleBicubic2DBackward0",
    "linear-antialiased": "UpsampleBilinear2DAaBackward0",
    "cubic-antialiased": "UpsampleBicubic2DAaBackward0",
    "average": "AdaptiveAvgPool{}DBackward0",
    "reflect": "ReflectionPad{}DBackward0",
    "replicate": "ReplicationPad{}DBackward0",
    "circular": "CopySlices",
}
_LINEAR = ("", "Linear1D", "Bilinear2D", "Trilinear3D")


def _node(node: Any) -> str:
    lines = node.attrs[0][0]
    name = _NODES[lines[0].kind]
    if lines[0].kind == "average" and len(lines) == 1:
        return "SqueezeBackward1"
    return name.format(_LINEAR[len(lines)] if lines[0].kind == "linear" else len(lines))


@op(node=_node, linked=True)
def resample(x: Array, lines, adjoint=False):
    """Map the last dimensions of x, each by its `Line`."""
    return kernels.apply(x, lines, adjoint)


@resample.shape
def _(x, lines, adjoint=False):
    return (*x[: -len(lines)], *(line.n if adjoint else line.m for line in lines))


@resample.grad
def _(g, lines, adjoint):
    return resample(g, lines, not adjoint)


def lines_of(
    kind: str, sizes: Sequence[int], out: Sequence[int], scales: Sequence, corners: bool
) -> tuple[kernels.Line, ...]:
    """The line of each dimension, from `sizes` to `out`."""
    return tuple(kernels.Line(kind, n, m, s, corners) for n, m, s in zip(sizes, out, scales))
