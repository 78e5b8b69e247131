"""The base class of all distributions: shapes, checks of arguments, `expand`, and what every subclass may define."""

from __future__ import annotations

import warnings
from typing import Any

from ..core.tensor import Tensor
from ..errors import message
from ..modes import no_grad
from ..shapes import Size
from . import constraints
from .utils import lazy_property

__all__ = ["Distribution"]

_EMPTY = Size()


class Distribution:
    """A probability distribution over tensors, of which a batch may be held with different parameters.

    A sample has the shape sample_shape + batch_shape + event_shape; `log_prob` gives one number per event.

    Args:
        batch_shape: the shape of the parameters, without the dimensions of an event.
        event_shape: the shape of one draw from one distribution.
        validate_args: whether to check parameters and values (by default yes, unless Python runs with -O).

    Raises:
        ValueError: a parameter does not satisfy its constraint.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__
    _names: tuple[str, ...] = ()  # parameters that `expand` broadcasts: those of them that the instance holds

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Choose whether distributions check their arguments unless told otherwise.

        Raises:
            ValueError: not a bool.
        """
        if value not in (True, False):
            raise ValueError(message("set_default_validate_args: True or False is expected", got=repr(value)))
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = _EMPTY, event_shape: Any = _EMPTY, validate_args: bool | None = None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        try:
            wanted = self.arg_constraints
        except NotImplementedError:
            what = f"{type(self).__name__} does not say what its parameters may be (arg_constraints = {{}} if anything)"
            warnings.warn(what, stacklevel=4)
            return
        for name, constraint in wanted.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name, None), lazy_property):
                continue  # not given: computed from another one
            value = getattr(self, name)
            if not constraint.check(value).all():
                what = f"{type(self).__name__}: the parameter {name} does not satisfy {constraint!r}"
                raise ValueError(message(what, got=f"{type(value).__name__} of shape {tuple(value.shape)}:\n{value}"))

    # ---- shapes --------------------------------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Size:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one event, without the batch."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = _EMPTY) -> Size:
        """The shape of a sample."""
        return Size(sample_shape) + self._batch_shape + self._event_shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        """The same distributions for a larger batch, without copies of the parameters.

        Args:
            batch_shape: what the batch is broadcast to.
            _instance: an instance to fill, for subclasses.

        Raises:
            NotImplementedError: a subclass has its own `__init__`, but not its own `expand`.
        """
        owner = next(c for c in type(self).__mro__ if c.__module__.startswith(__package__))
        if not owner._names:
            raise NotImplementedError(message(f"{type(self).__name__} does not define expand"))
        new = self._get_checked_instance(owner, _instance)
        shape, dims = Size(batch_shape), len(self._batch_shape)
        for name in owner._names:
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                value = value.expand(shape + value.shape[dims:])
            if value is not None:
                new.__dict__[name] = value
        self._expand_rest(new, shape)
        Distribution.__init__(new, shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        """What a subclass holds besides the parameters in `_names`."""

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ is not cls.__init__:
            what = f"{type(self).__name__} has its own __init__"
            raise NotImplementedError(message(what, expected="its own expand as well"))
        return type(self).__new__(type(self)) if _instance is None else _instance

    # ---- what subclasses define ----------------------------------------------------------------------------------

    def _missing(self, name: str) -> NotImplementedError:
        return NotImplementedError(message(f"{type(self).__name__} does not define {name}"))

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """What each parameter may be."""
        raise self._missing("arg_constraints")

    @property
    def support(self) -> Any:
        """The constraint that samples satisfy."""
        raise self._missing("support")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise self._missing("mean")

    @property
    def mode(self) -> Tensor:
        """The value of highest density or probability."""
        raise self._missing("mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise self._missing("variance")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation, the square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = _EMPTY) -> Tensor:
        """Draw (*sample_shape, *batch_shape, *event_shape), without recording how."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = _EMPTY) -> Tensor:
        """Draw as `sample` does, as a differentiable function of the parameters."""
        raise self._missing("rsample")

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`; the old name of it."""
        warnings.warn("sample_n(n) is the old name of sample((n,))", FutureWarning, stacklevel=2)
        return self.sample(Size((n,)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density or probability of `value`, one number per event.

        Raises:
            ValueError: `value` is no tensor, of a shape that does not fit, or outside of the support.
        """
        raise self._missing("log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a sample of at most `value`."""
        raise self._missing("cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The inverse of `cdf`."""
        raise self._missing("icdf")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along a new first dimension.

        With `expand`, for the whole batch; otherwise the dimensions of the batch have size 1.
        """
        raise self._missing("enumerate_support")

    def entropy(self) -> Tensor:
        """The expected value of -log_prob, one number per distribution of the batch."""
        raise self._missing("entropy")

    def perplexity(self) -> Tensor:
        """exp(entropy)."""
        return self.entropy().exp()

    # ---- checks --------------------------------------------------------------------------------------------------

    def _validate_sample(self, value: Any) -> None:
        """Raise ValueError if `value` cannot be a sample."""
        name = type(self).__name__
        if not isinstance(value, Tensor):
            raise ValueError(message(f"{name}: the value is not a tensor", got=type(value).__name__))
        start = value.dim() - len(self._event_shape)
        if start < 0 or value.shape[start:] != self._event_shape:
            got, expected = tuple(value.shape), f"(..., {', '.join(map(str, self._event_shape))})"
            raise ValueError(
                message(f"{name}: the last dimensions are not those of an event", got=got, expected=expected)
            )
        whole = self._batch_shape + self._event_shape
        for i, j in zip(reversed(value.shape), reversed(whole)):
            if i != 1 and j != 1 and i != j:
                what = f"{name}: the shape of the value does not broadcast with that of the distribution"
                raise ValueError(message(what, got=tuple(value.shape), expected=f"(..., {whole})"))
        try:
            support = self.support
        except NotImplementedError:
            what = f"{name} does not say what its samples may be (support), so values are not checked"
            warnings.warn(what, stacklevel=3)
            return
        if not support.check(value).all():
            raise ValueError(message(f"{name}: a value is outside of the support, {support!r}", got=f"\n{value}"))

    def __repr__(self) -> str:
        shown = [name for name in self.arg_constraints if name in self.__dict__]
        values = (getattr(self, name) for name in shown)
        facts = (f"{n}: {v if v.numel() == 1 else v.size()}" for n, v in zip(shown, values))
        return f"{type(self).__name__}({', '.join(facts)})"
