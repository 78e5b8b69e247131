"""From constraints to transforms whose values satisfy them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import message
from . import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """A table from types of constraints to functions that make a transform from all real numbers to the set.

    >>> from tapegrad.distributions import constraints, transform_to
    >>> transform_to(constraints.unit_interval)
    SigmoidTransform()
    """

    def __init__(self) -> None:
        self._registry: dict[type, Callable] = {}

    def register(self, constraint: Any, factory: Callable | None = None) -> Any:
        """Use `factory(constraint)` for constraints of this type; without a factory, a decorator.

        Raises:
            TypeError: not a constraint or a type of constraints.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(message("register: a constraint or a type of constraints is needed", got=repr(constraint)))
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: constraints.Constraint) -> transforms.Transform:
        """The transform to the set that `constraint` describes.

        Raises:
            NotImplementedError: none is known.
        """
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(message("no transform is known for this constraint", got=repr(constraint)))
        return factory(constraint)


biject_to = ConstraintRegistry()  # one real number for each degree of freedom
transform_to = ConstraintRegistry()  # may have more, and is then better for gradient descent


def _both(*names: str) -> Callable:
    """Register for these constraints in both tables."""

    def add(factory: Callable) -> Callable:
        for name in names:
            for table in (biject_to, transform_to):
                table.register(getattr(constraints, name), factory)
        return factory

    return add


@_both("real")
def _real(constraint: Any) -> Any:
    return transforms.identity_transform


@_both("greater_than", "greater_than_eq")
def _greater_than(constraint: Any) -> Any:
    steps = [transforms.ExpTransform(), transforms.AffineTransform(constraint.lower_bound, 1)]
    return transforms.ComposeTransform(steps)


@_both("less_than")
def _less_than(constraint: Any) -> Any:
    steps = [transforms.ExpTransform(), transforms.AffineTransform(constraint.upper_bound, -1)]
    return transforms.ComposeTransform(steps)


@_both("interval", "half_open_interval")
def _interval(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low == 0 and high == 1:
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


@transform_to.register(constraints.lower_cholesky)
def _lower_cholesky(constraint: Any) -> Any:
    return transforms.LowerCholeskyTransform()


@transform_to.register(constraints.positive_semidefinite)
@transform_to.register(constraints.positive_definite)
def _positive_definite(constraint: Any) -> Any:
    return transforms.PositiveDefiniteTransform()


@_both("corr_cholesky")
def _corr_cholesky(constraint: Any) -> Any:
    return transforms.CorrCholeskyTransform()


@biject_to.register(constraints.simplex)
def _simplex_by_stick(constraint: Any) -> Any:
    return transforms.StickBreakingTransform()


@transform_to.register(constraints.simplex)
def _simplex_by_softmax(constraint: Any) -> Any:
    return transforms.SoftmaxTransform()


def _parts(table: ConstraintRegistry) -> None:
    """Constraints made of others, each by the transforms of its own table."""

    @table.register(constraints.independent)
    def _independent(constraint: Any) -> Any:
        return transforms.IndependentTransform(table(constraint.base_constraint), constraint.reinterpreted_batch_ndims)

    @table.register(constraints.cat)
    def _cat(constraint: Any) -> Any:
        return transforms.CatTransform([table(c) for c in constraint.cseq], constraint.dim, constraint.lengths)

    @table.register(constraints.stack)
    def _stack(constraint: Any) -> Any:
        return transforms.StackTransform([table(c) for c in constraint.cseq], constraint.dim)


_parts(biject_to)
_parts(transform_to)
