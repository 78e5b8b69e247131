"""Pruning: parts of a parameter are held at zero by a mask.

`apply` of a method renames the parameter `weight` to `weight_orig`, keeps the mask in the buffer `weight_mask`, and
puts a hook on the module that sets `weight` to their product before every call. A method is a subclass of
`BasePruningMethod` that computes masks; applied again, masks combine in a `PruningContainer`.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ... import errors
from ...core.tensor import Tensor
from ...ops.creation.filled import ones_like, zeros_like
from ...ops.random.draws import rand, rand_like
from ...ops.shape.joining import cat
from ..module import Module


class BasePruningMethod(ABC):
    """A way to choose what is pruned; a subclass defines `compute_mask` and says what it may prune.

    `PRUNING_TYPE` is "unstructured" (single elements), "structured" (all of an index of one dimension), or "global"
    (the mask is taken as it is).

    >>> import tapegrad as torch
    >>> class EverySecond(torch.nn.utils.prune.BasePruningMethod):
    ...     PRUNING_TYPE = "unstructured"
    ...     def compute_mask(self, t, default_mask):
    ...         mask = default_mask.clone()
    ...         mask.view(-1)[::2] = 0
    ...         return mask
    >>> layer = torch.nn.Linear(4, 1)
    >>> _ = EverySecond.apply(layer, "weight")
    >>> layer.weight_mask
    tensor([[0., 1., 0., 1.]])
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for a tensor: `default_mask` with more zeros.

        Args:
            t: the tensor, or scores of importance in its shape.
            default_mask: the mask so far, in the same shape.
        """

    def apply_mask(self, module: Any) -> Tensor:
        """The product of the mask and the original parameter of a module."""
        original = getattr(module, f"{self._tensor_name}_orig")
        return getattr(module, f"{self._tensor_name}_mask").to(original.dtype) * original

    @classmethod
    def apply(
        cls, module: Any, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune a parameter of a module, and keep it pruned.

        Args:
            module: the module.
            name: the parameter.
            args, kwargs: what the method is made with.
            importance_scores: the tensor that decides, in the shape of the parameter; by default the parameter.

        Raises:
            AssertionError: the scores have another shape, or several methods prune the parameter.
        """
        hooks = {k: h for k, h in module._forward_pre_hooks.items() if _prunes(h, name)}
        if len(hooks) > 1:
            what = f"{name!r} is pruned by several hooks, which should have been combined"
            raise AssertionError(errors.message(what, where=type(module).__name__, got=len(hooks)))
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        for key, old in hooks.items():
            del module._forward_pre_hooks[key]
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            container.add_pruning_method(method)
            method = container
        current = getattr(module, name)
        if importance_scores is not None and importance_scores.shape != current.shape:
            what = "the scores of importance must have the shape of the parameter"
            got, expected = tuple(importance_scores.shape), tuple(current.shape)
            raise AssertionError(errors.message(what, where=name, got=got, expected=expected))
        scores = current if importance_scores is None else importance_scores
        mask = getattr(module, f"{name}_mask").detach().clone() if hooks else ones_like(current.detach())
        mask = method.compute_mask(scores, default_mask=mask)
        if not hooks:
            original = module._parameters.pop(name)
            module.register_parameter(f"{name}_orig", original)
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A pruned copy of a tensor.

        Args:
            t: the tensor.
            default_mask: the mask so far; by default all ones.
            importance_scores: the tensor that decides; by default `t`.

        Raises:
            AssertionError: the scores have another shape.
        """
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            what, got = "the scores of importance must have the shape of the tensor", tuple(scores.shape)
            raise AssertionError(errors.message(what, got=got, expected=tuple(t.shape)))
        default_mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=default_mask)

    def remove(self, module: Any) -> None:
        """Make the parameter a plain one again: what was pruned stays zero, but nothing holds it there."""
        name = self._tensor_name
        value = self.apply_mask(module)
        original = module._parameters.pop(f"{name}_orig")
        original.data = value.data
        del module._buffers[f"{name}_mask"]
        delattr(module, name)
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Pruning methods that were applied to one parameter, one after the other.

    Args:
        args: the methods; all of one parameter.

    Raises:
        TypeError: one is no pruning method.
        ValueError: one is of another parameter.
    """

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if len(args) == 1 and isinstance(args[0], BasePruningMethod):
            self._tensor_name = args[0]._tensor_name
        for method in args[0] if len(args) == 1 and isinstance(args[0], Iterable) else args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Add a method, which prunes what the others left."""
        if method is not None and not isinstance(method, BasePruningMethod):
            raise TypeError(errors.message("not a pruning method", got=type(method).__name__))
        if method is not None and self._tensor_name != method._tensor_name:
            what = "a container holds pruning methods of one parameter"
            raise ValueError(errors.message(what, got=method._tensor_name, expected=self._tensor_name))
        self._pruning_methods += (method,)  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask so far, with what the last method prunes of the rest."""
        method: Any = self._pruning_methods[-1]
        mask = default_mask.to(t.dtype).clone()
        part: Any = slice(None)
        if method.PRUNING_TYPE == "unstructured":
            part = default_mask == 1
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim + (t.ndim if method.dim < 0 else 0)
            alive = default_mask.sum(tuple(i for i in range(t.ndim) if i != dim)) != 0
            part = (*[slice(None)] * dim, alive)
        elif method.PRUNING_TYPE != "global":
            text = errors.message("unknown PRUNING_TYPE", where=type(method).__name__, got=repr(method.PRUNING_TYPE))
            raise ValueError(text)
        mask[part] = method.compute_mask(t[part], default_mask=default_mask[part]).to(mask.dtype)
        return mask


# ---- the methods ---------------------------------------------------------------------------------------------------


class Identity(BasePruningMethod):
    """Prunes nothing, and prepares a parameter for it."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask so far."""
        return default_mask


class _Amount(BasePruningMethod):
    """A method that prunes a number, or a part, of what there is.

    Args:
        amount: an int, or a float from 0 to 1.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, or a part above 1.
    """

    def __init__(self, amount: int | float) -> None:
        if not isinstance(amount, numbers.Real):
            raise TypeError(errors.message("the amount to prune is an int or a float", got=repr(amount)))
        if amount < 0 or (not isinstance(amount, numbers.Integral) and amount > 1):
            expected = "a positive int, or a float from 0 to 1"
            raise ValueError(errors.message("the amount to prune is out of range", got=amount, expected=expected))
        self.amount = amount

    def _count(self, size: int) -> int:
        """How many of `size` to prune."""
        if not isinstance(self.amount, numbers.Integral):
            return round(self.amount * size)
        if self.amount > size:
            what = "the amount to prune is more than there is"
            raise ValueError(errors.message(what, got=self.amount, expected=f"at most {size}"))
        return int(self.amount)


class RandomUnstructured(_Amount):
    """Prunes elements by chance.

    Args:
        amount: how many: a number, or a part from 0 to 1.
    """

    def compute_mask(self, t: Any, default_mask: Tensor) -> Tensor:
        """The mask with more zeros."""
        return _without(default_mask, rand_like, t, self._count(t.numel()), largest=True)


class L1Unstructured(_Amount):
    """Prunes the elements of least magnitude.

    Args:
        amount: how many: a number, or a part from 0 to 1.
    """

    def compute_mask(self, t: Any, default_mask: Tensor) -> Tensor:
        """The mask with more zeros."""
        return _without(default_mask, abs, t, self._count(t.numel()), largest=False)


def _without(mask: Any, score: Callable, t: Any, count: int, largest: bool) -> Any:
    """The mask less the elements with the greatest or the least scores."""
    mask = mask.clone()
    if count:
        mask.view(-1)[score(t.detach()).reshape(-1).topk(count, largest=largest).indices] = 0
    return mask


class _Structured(_Amount):
    """A method that prunes all of an index of one dimension."""

    PRUNING_TYPE = "structured"
    dim: int

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask with more zeros.

        Raises:
            ValueError: the tensor has one dimension only.
            IndexError: it does not have `dim`.
        """
        if t.ndim <= 1:
            what = "structured pruning needs more than one dimension"
            raise ValueError(
                errors.message(what, got=f"a tensor of shape {tuple(t.shape)}", fix="prune single elements")
            )
        if self.dim >= t.ndim:
            text = errors.message("the dimension to prune is out of range", got=self.dim, expected=f"below {t.ndim}")
            raise IndexError(text)
        channels = t.shape[self.dim]
        count = self._count(channels)
        if not count:
            return default_mask
        dim = self.dim % t.ndim
        mask = zeros_like(t.detach())
        mask[(*[slice(None)] * dim, self._kept(t.detach(), dim, channels, count))] = 1
        return mask * default_mask.to(mask.dtype)

    def _kept(self, t: Any, dim: int, channels: int, count: int) -> Any:
        """The indices that stay, as numbers or as a mask."""
        raise NotImplementedError


class RandomStructured(_Structured):
    """Prunes indices of a dimension by chance.

    Args:
        amount: how many: a number, or a part from 0 to 1.
        dim: the dimension.
    """

    def __init__(self, amount: int | float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _kept(self, t: Any, dim: int, channels: int, count: int) -> Any:
        chances = rand(channels)
        return chances > chances.kthvalue(count).values


class LnStructured(_Structured):
    """Prunes the indices of a dimension whose elements have the least norm.

    Args:
        amount: how many: a number, or a part from 0 to 1.
        n: the order of the norm: a number, "fro" or "nuc".
        dim: the dimension.
    """

    def __init__(self, amount: int | float, n: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.n, self.dim = n, dim

    def _kept(self, t: Any, dim: int, channels: int, count: int) -> Any:
        norms = t.norm(p=self.n, dim=[i for i in range(t.ndim) if i != dim])
        return norms.topk(channels - count, largest=True).indices


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask says.

    Args:
        mask: zeros where to prune.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask so far times the given one."""
        if default_mask.shape != self.mask.shape:
            what = "the mask must have the shape of what it prunes"
            got, expected = tuple(self.mask.shape), tuple(default_mask.shape)
            raise AssertionError(errors.message(what, got=got, expected=expected))
        return default_mask * self.mask.to(default_mask.dtype)


# ---- functions -----------------------------------------------------------------------------------------------------


def identity(module: Any, name: str) -> Any:
    """Prepare a parameter for pruning without pruning anything; returns the module.

    >>> import tapegrad as torch
    >>> list(torch.nn.utils.prune.identity(torch.nn.Linear(1, 1), "weight").state_dict())
    ['bias', 'weight_orig', 'weight_mask']
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: int | float) -> Any:
    """Prune elements of a parameter by chance; returns the module.

    Args:
        module: the module.
        name: the parameter.
        amount: how many: a number, or a part from 0 to 1.
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: int | float, importance_scores: Tensor | None = None) -> Any:
    """Prune the elements of a parameter that have the least magnitude; returns the module.

    Args:
        module: the module.
        name: the parameter.
        amount: how many: a number, or a part from 0 to 1.
        importance_scores: the tensor that decides instead, in the same shape.

    >>> import tapegrad as torch
    >>> layer = torch.nn.Linear(3, 1)
    >>> layer.weight.data = torch.tensor([[3.0, -1.0, 2.0]])
    >>> torch.nn.utils.prune.l1_unstructured(layer, "weight", amount=1).weight
    tensor([[3., -0., 2.]], grad_fn=<MulBackward0>)
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: int | float, dim: int) -> Any:
    """Prune indices of a dimension of a parameter by chance; returns the module.

    Args:
        module: the module.
        name: the parameter.
        amount: how many: a number, or a part from 0 to 1.
        dim: the dimension.
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Any, name: str, amount: int | float, n: Any, dim: int, importance_scores: Tensor | None = None
) -> Any:
    """Prune the indices of a dimension of a parameter that have the least norm; returns the module.

    Args:
        module: the module.
        name: the parameter.
        amount: how many: a number, or a part from 0 to 1.
        n: the order of the norm: a number, "fro" or "nuc".
        dim: the dimension.
        importance_scores: the tensor that decides instead, in the same shape.
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Any, pruning_method: type[BasePruningMethod], importance_scores: dict | None = None, **kwargs: Any
) -> None:
    """Prune elements of several parameters, compared with each other.

    Args:
        parameters: pairs of module and name.
        pruning_method: the class of the method; an unstructured one.
        importance_scores: for some of the pairs, the tensor that decides instead.
        kwargs: what the method is made with.

    Raises:
        TypeError: `parameters` are no pairs, `importance_scores` no dictionary, or the method is not unstructured.

    >>> import tapegrad as torch
    >>> from tapegrad.nn.utils import prune
    >>> a, b = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    >>> a.weight.data, b.weight.data = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    >>> prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=0.5)
    >>> a.weight_mask, b.weight_mask
    (tensor([[0., 0.]]), tensor([[1., 1.]]))
    """
    if not isinstance(parameters, Iterable):
        raise TypeError(errors.message("global_unstructured: expected pairs (module, name)", got=repr(parameters)))
    pairs = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        what = "global_unstructured: the scores of importance are a dictionary"
        raise TypeError(errors.message(what, got=type(scores).__name__))
    method: Any = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        what = "global_unstructured: only methods that prune elements can compare parameters"
        raise TypeError(errors.message(what, got=f"{pruning_method.__name__}, {method.PRUNING_TYPE}"))
    values = [getattr(m, n) for m, n in pairs]
    masks = [getattr(m, f"{n}_mask", ones_like(v.detach())) for (m, n), v in zip(pairs, values)]
    container = PruningContainer()
    container._tensor_name = "temp"
    container.add_pruning_method(method)
    flat = cat([scores.get(pair, value).detach().reshape(-1) for pair, value in zip(pairs, values)])
    mask: Any = container.compute_mask(flat, cat([m.reshape(-1) for m in masks]))
    start = 0
    for (module, name), value in zip(pairs, values):
        end = start + value.numel()
        custom_from_mask(module, name, mask[start:end].view_as(value))
        start = end


def custom_from_mask(module: Any, name: str, mask: Tensor) -> Any:
    """Prune what a mask says; returns the module.

    Args:
        module: the module.
        name: the parameter.
        mask: zeros where to prune, in the shape of the parameter.
    """
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Any, name: str) -> Any:
    """Make a pruned parameter a plain one again, with its zeros; returns the module.

    Raises:
        ValueError: it is not pruned.

    >>> import tapegrad as torch
    >>> from tapegrad.nn.utils import prune
    >>> list(prune.remove(prune.identity(torch.nn.Linear(1, 1), "weight"), "weight").state_dict())
    ['bias', 'weight']
    """
    for key, hook in module._forward_pre_hooks.items():
        if _prunes(hook, name):
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    what = f"{name!r} is not pruned"
    raise ValueError(errors.message(what, where=repr(module), fix="only what was pruned can be made permanent"))


def is_pruned(module: Module) -> bool:
    """Whether a parameter of a module, or of one inside it, is pruned."""
    hooks = (hook for m in module.modules() for hook in m._forward_pre_hooks.values())
    return any(isinstance(hook, BasePruningMethod) for hook in hooks)


def _prunes(hook: Any, name: str) -> bool:
    return isinstance(hook, BasePruningMethod) and hook._tensor_name == name
