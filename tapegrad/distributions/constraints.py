"""Sets of values: what the parameters of a distribution and its samples may be, checked elementwise.

A constraint has `check(value)`, which gives a bool tensor without the last `event_dim` dimensions, and says whether its
values are discrete.

    real positive nonnegative boolean integer_interval(a, b) nonnegative_integer positive_integer interval(a, b)
    half_open_interval(a, b) unit_interval greater_than(a) greater_than_eq(a) less_than(b) real_vector simplex one_hot
    multinomial(n) lower_triangular lower_cholesky corr_cholesky square symmetric positive_semidefinite
    positive_definite independent(c, n) cat(cs, dim) stack(cs, dim) dependent dependent_property

>>> import tapegrad as torch
>>> from tapegrad.distributions import constraints
>>> constraints.unit_interval.check(torch.tensor([0.5, 1.5]))
tensor([ True, False])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.tensor import Tensor
from ..dtypes import bool_
from ..errors import message
from ..ops.creation.types import finfo
from ..ops.linalg.cholesky import cholesky_ex
from ..ops.linalg.eigen import eigvalsh
from ..ops.reduction.statistics import isclose
from ..ops.shape import joining

__all__ = [
    "Constraint", "boolean", "cat", "corr_cholesky", "dependent", "dependent_property", "greater_than",
    "greater_than_eq", "independent", "integer_interval", "interval", "half_open_interval", "is_dependent",
    "less_than", "lower_cholesky", "lower_triangular", "MixtureSameFamilyConstraint", "multinomial", "nonnegative",
    "nonnegative_integer", "one_hot", "positive", "positive_semidefinite", "positive_definite", "positive_integer",
    "real", "real_vector", "simplex", "square", "stack", "symmetric", "unit_interval",
]  # fmt: skip


class Constraint:
    """A set of values. Subclasses define `check` and, where they differ, `is_discrete` and `event_dim`."""

    is_discrete: Any = False  # dependent ones may not know these before they have an instance
    event_dim: Any = 0

    def check(self, value: Tensor) -> Tensor:
        """Whether each event of `value` belongs to the set: a bool tensor of shape (batch...)."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return type(self).__name__.lstrip("_") + "()"


# ---- constraints that depend on other parameters ---------------------------------------------------------------------


class _Dependent(Constraint):
    """A set that depends on other parameters, so that it cannot be checked on its own."""

    def __init__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented):
        self._is_discrete, self._event_dim = is_discrete, event_dim

    def _known(self, name: str) -> Any:
        value = getattr(self, "_" + name)
        if value is NotImplemented:
            raise NotImplementedError(message(f"{name} of this constraint depends on the instance"))
        return value

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Whether the values are discrete, if that does not depend on anything."""
        return self._known("is_discrete")

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The number of dimensions of an event, if that does not depend on anything."""
        return self._known("event_dim")

    def __call__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> _Dependent:
        return _Dependent(
            is_discrete=self._is_discrete if is_discrete is NotImplemented else is_discrete,
            event_dim=self._event_dim if event_dim is NotImplemented else event_dim,
        )

    def check(self, value: Tensor) -> Tensor:
        """Raises ValueError."""
        raise ValueError(message("a dependent constraint cannot be checked", fix="read it from an instance"))


class _DependentProperty(property, _Dependent):
    """A property whose value is a constraint; read from the class it is a dependent constraint."""

    def __init__(
        self, fn: Callable | None = None, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented
    ):
        super().__init__(fn)
        self._is_discrete, self._event_dim = is_discrete, event_dim

    def __call__(self, fn: Any = None, **facts: Any) -> Any:  # type: ignore[override]
        facts = {"is_discrete": self._is_discrete, "event_dim": self._event_dim, **facts}
        return _DependentProperty(fn, **facts) if fn is not None else _Dependent(**facts)


def dependent_property(fn: Callable | None = None, **facts: Any) -> Any:
    """A property that computes a constraint from the instance: `@dependent_property(is_discrete=..., event_dim=...)`.

    Read from the class, it is a dependent constraint.
    """
    return _DependentProperty(fn, **facts)


def is_dependent(constraint: Any) -> bool:
    """Whether this is a constraint that cannot be checked on its own."""
    return isinstance(constraint, _Dependent)


# ---- numbers ---------------------------------------------------------------------------------------------------------


class _Real(Constraint):
    def check(self, value: Tensor) -> Tensor:
        return value == value  # all but NaN


class _Boolean(Constraint):
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


class _Bounded(Constraint):
    """A set between two bounds, numbers or tensors; either may be missing."""

    _names: tuple[str, ...] = ("lower_bound", "upper_bound")

    def __init__(self, *bounds: Any):
        for name, bound in zip(self._names, bounds, strict=True):
            setattr(self, name, bound)

    def __repr__(self) -> str:
        return f"{type(self).__name__.lstrip('_')}({', '.join(f'{n}={getattr(self, n)}' for n in self._names)})"


class _Interval(_Bounded):
    lower_bound: Any
    upper_bound: Any

    def check(self, value: Tensor) -> Tensor:
        return (self.lower_bound <= value) & (value <= self.upper_bound)


class _HalfOpenInterval(_Interval):
    def check(self, value: Tensor) -> Tensor:
        return (self.lower_bound <= value) & (value < self.upper_bound)


class _IntegerInterval(_Interval):
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & (self.lower_bound <= value) & (value <= self.upper_bound)


class _GreaterThan(_Bounded):
    _names = ("lower_bound",)
    lower_bound: Any

    def check(self, value: Tensor) -> Tensor:
        return self.lower_bound < value


class _GreaterThanEq(_GreaterThan):
    def check(self, value: Tensor) -> Tensor:
        return self.lower_bound <= value


class _IntegerGreaterThan(_GreaterThan):
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & (value >= self.lower_bound)


class _LessThan(_Bounded):
    _names = ("upper_bound",)
    upper_bound: Any

    def check(self, value: Tensor) -> Tensor:
        return value < self.upper_bound


class _IntegerLessThan(_LessThan):
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & (value <= self.upper_bound)


# ---- vectors and matrices --------------------------------------------------------------------------------------------


class _OneHot(Constraint):
    is_discrete, event_dim = True, 1

    def check(self, value: Tensor) -> Tensor:
        return ((value == 0) | (value == 1)).all(-1) & value.sum(-1).eq(1)


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _Multinomial(Constraint):
    """Counts that sum to at most an upper bound."""

    is_discrete, event_dim = True, 1

    def __init__(self, upper_bound: Any):
        self.upper_bound = upper_bound

    def check(self, x: Tensor) -> Tensor:
        return (x >= 0).all(-1) & (x.sum(-1) <= self.upper_bound)


class _Matrix(Constraint):
    event_dim = 2


class _LowerTriangular(_Matrix):
    def check(self, value: Tensor) -> Tensor:
        return (value.tril() == value).flatten(-2).all(-1)


class _LowerCholesky(_LowerTriangular):
    def check(self, value: Tensor) -> Tensor:
        return super().check(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    def check(self, value: Tensor) -> Tensor:
        tolerance = finfo(value.dtype).eps * value.size(-1) * 10
        rows = ((value * value.detach()).sum(-1) - 1).abs() <= tolerance
        return super().check(value) & rows.all(-1)


class _Square(_Matrix):
    def check(self, value: Tensor) -> Tensor:
        return value.new_full(value.shape[:-2], value.shape[-2] == value.shape[-1], dtype=bool_)


class _Symmetric(_Square):
    def check(self, value: Tensor) -> Tensor:
        square = super().check(value)
        return isclose(value, value.mT, atol=1e-6).all(-2).all(-1) if square.all() else square


class _PositiveSemidefinite(_Symmetric):
    def check(self, value: Tensor) -> Tensor:
        symmetric = super().check(value)
        return eigvalsh(value).ge(0).all(-1) if symmetric.all() else symmetric


class _PositiveDefinite(_Symmetric):
    def check(self, value: Tensor) -> Tensor:
        symmetric = super().check(value)
        return cholesky_ex(value).info.eq(0) if symmetric.all() else symmetric


# ---- constraints made of others --------------------------------------------------------------------------------------


class _IndependentConstraint(Constraint):
    """The last dimensions belong to the event: all of their elements must be right."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int):
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        found, n = self.base_constraint.check(value), self.reinterpreted_batch_ndims
        if found.dim() < n:
            what = "the value has too few dimensions for this constraint"
            raise ValueError(message(what, got=value.dim(), expected=f"{self.base_constraint.event_dim + n} or more"))
        return found.flatten(-n).all(-1) if n else found

    def __repr__(self) -> str:
        return f"{type(self).__name__[1:]}({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The set of a mixture's samples: those of its components, for every component."""

    def __init__(self, base_constraint: Constraint):
        self.base_constraint = base_constraint

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self.base_constraint.event_dim

    def check(self, value: Tensor) -> Tensor:
        found = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        if value.dim() < self.event_dim:
            what = "the value has too few dimensions for this constraint"
            raise ValueError(message(what, got=value.dim(), expected=f"{self.event_dim} or more"))
        return found.reshape(value.shape[: value.dim() - self.event_dim] + (-1,)).all(-1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_constraint!r})"


class _Parts(Constraint):
    """Different constraints along one dimension."""

    def __init__(self, cseq: Any, dim: int = 0):
        self.cseq, self.dim = list(cseq), dim

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return any(c.is_discrete for c in self.cseq)

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return max(c.event_dim for c in self.cseq)


class _Cat(_Parts):
    def __init__(self, cseq: Any, dim: int = 0, lengths: Any = None):
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)

    def check(self, value: Tensor) -> Tensor:
        parts = value.split(self.lengths, self.dim)
        return joining.cat([c.check(v) for c, v in zip(self.cseq, parts, strict=True)], self.dim)


class _Stack(_Parts):
    @property
    def event_dim(self) -> int:  # type: ignore[override]
        inner = super().event_dim
        return inner + (self.dim + inner < 0)

    def check(self, value: Tensor) -> Tensor:
        parts = value.unbind(self.dim)
        return joining.stack([c.check(v) for c, v in zip(self.cseq, parts, strict=True)], self.dim)


# ---- the names -------------------------------------------------------------------------------------------------------

dependent = _Dependent()
independent = _IndependentConstraint
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Real()
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
cat = _Cat
stack = _Stack
