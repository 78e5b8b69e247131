"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ... import errors
from ...core.tensor import Tensor
from ...ops.shape.joining import cat


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters, one after the other.

    >>> import tapegrad as torch
    >>> torch.nn.utils.parameters_to_vector([torch.zeros(2), torch.ones(1, 1)])
    tensor([0., 0., 1.])
    """
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters windows into `vec`, the inverse of `parameters_to_vector`.

    Raises:
        TypeError: `vec` is no tensor.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(errors.message("vector_to_parameters: expected a tensor", got=type(vec).__name__))
    start = 0
    for p in parameters:
        end = start + p.numel()
        p.data = vec[start:end].view_as(p).data
        start = end
