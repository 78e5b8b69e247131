"""Another set of parameters and state in an optimizer, for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from .optimizer import Optimizer

NAME = "swap_in_optimizer_params_and_state"


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer, swapin_parameters: dict[str, Tensor], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Let an optimizer work on other parameters, with other state and options, until the end of the `with` block.

    Args:
        optimizer: the optimizer; afterwards it has its own parameters, state and options again.
        swapin_parameters: as many tensors as the optimizer has, in its order.
        swapin_optim_state: what `state_dict` returns; its tensors are used as they are and change in place.

    Raises:
        RuntimeError: the number of parameters, of groups, or of parameters in a group is another.

    >>> import tapegrad as torch
    >>> p, other = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    >>> optimizer = torch.optim.SGD([p], lr=1.0)
    >>> other.grad = torch.ones(1)
    >>> with torch.optim.swap_in_optimizer_params_and_state(optimizer, {"p": other}, optimizer.state_dict()):
    ...     optimizer.step()
    >>> p, other
    (tensor([1.], requires_grad=True), tensor([-1.], requires_grad=True))
    """
    own_groups, own_state = optimizer.param_groups, optimizer.state
    groups = swapin_optim_state.get("param_groups")
    if not isinstance(groups, list):
        what = f"{NAME}: the state has no list of parameter groups"
        raise RuntimeError(message(what, got=type(groups).__name__, expected="what state_dict() returns"))
    sizes, expected = [len(g["params"]) for g in groups], [len(g["params"]) for g in own_groups]
    if len(sizes) != len(expected):
        what = f"{NAME}: the state has another number of parameter groups"
        raise RuntimeError(message(what, got=len(sizes), expected=len(expected)))
    if sizes != expected:
        what = f"{NAME}: a parameter group of the state has another number of parameters"
        raise RuntimeError(message(what, got=sizes, expected=expected))
    if len(swapin_parameters) != sum(expected):
        what = f"{NAME}: not as many parameters as the optimizer has"
        raise RuntimeError(message(what, got=len(swapin_parameters), expected=sum(expected)))
    owners = dict(zip((key for group in groups for key in group["params"]), swapin_parameters.values()))
    state: defaultdict[Any, Any] = defaultdict(dict)
    for key, kept in swapin_optim_state.get("state", {}).items():
        state[owners.get(key, key)] = dict(kept) if isinstance(kept, dict) else kept
    optimizer.state = state
    optimizer.param_groups = [{**group, "params": [owners[key] for key in group["params"]]} for group in groups]
    try:
        yield
    finally:
        optimizer.param_groups, optimizer.state = own_groups, own_state
