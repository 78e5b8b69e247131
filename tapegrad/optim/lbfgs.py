"""L-BFGS, a quasi-Newton method with a limited memory of gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ..core.tensor import Tensor, wrap
from ..errors import message
from ..modes import enable_grad
from .optimizer import Optimizer
from .rule import check_options

SUFFICIENT, FLAT = 1e-4, 0.9  # the constants c1 and c2 of the Wolfe conditions
LISTS = ("old_dirs", "old_stps", "ro", "al")


class LBFGS(Optimizer):
    """L-BFGS: Newton's direction, with the inverse Hessian estimated from the last changes of the gradient.

    p' = p + t * d with d = -H * g. H starts as (s . y / y . y) * I and is updated for each of the last `history_size`
    steps s and changes of the gradient y: H' = (I - s y^T / s . y) H (I - y s^T / s . y) + s s^T / s . y (it is never
    formed). t is `lr`, or found by a line search for the strong Wolfe conditions f(t) <= f(0) + 1e-4 * t * f'(0),
    |f'(t)| <= 0.9 * |f'(0)|. One call of `step` makes up to `max_iter` such iterations.

    Args:
        params: the tensors to optimise; there is only one parameter group.
        lr: the step size, or the first one that the line search tries.
        max_iter: the number of iterations in a call of `step`.
        max_eval: the number of calls of the closure in a call of `step` (default: max_iter * 1.25).
        tolerance_grad: stop when no element of the gradient exceeds it.
        tolerance_change: stop when loss or parameters change less.
        history_size: the number of changes that are kept.
        line_search_fn: "strong_wolfe", or None for the fixed step size.

    Raises:
        ValueError: `lr` is negative, or there are several parameter groups.
        RuntimeError: `line_search_fn` is unknown.

    Source: Nocedal, "Updating Quasi-Newton Matrices with Limited Storage" (1980); Nocedal and Wright, "Numerical
    Optimization" (2006), algorithms 3.5, 3.6, 7.4 and 7.5.

    >>> import tapegrad as torch
    >>> p = torch.tensor([3.0, -4.0], requires_grad=True)
    >>> optimizer = torch.optim.LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((p - torch.tensor([1.0, 2.0])) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)
    tensor(40., grad_fn=<SumBackward0>)
    >>> p
    tensor([1., 2.], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_options("LBFGS", lr=lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            text = message("LBFGS: there can be only one parameter group", got=len(self.param_groups))
            raise ValueError(text)

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Iterate until a tolerance or a limit is met.

        Args:
            closure: computes the loss and its gradients, and returns it; called once or more for each iteration.

        Returns:
            The loss before the first iteration.
        """
        group = self.param_groups[0]
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError(
                message("LBFGS: unknown line search", got=repr(search), expected="None or 'strong_wolfe'")
            )
        owner = group["params"][0]  # there is one state for all parameters: PyTorch keeps it under the first
        state = self.state[owner]
        kept = _unwrapped(state) if state else {"func_evals": 0, "n_iter": 0}
        with enable_grad():
            first = closure()
        kept["func_evals"] += 1
        run = _Run(group, kept, closure, float(first))
        if np.abs(run.g).max(initial=0) > group["tolerance_grad"]:
            run.iterate()
        state.update(_wrapped(kept))
        return first


class _Run:
    """The iterations of one call of `step`, on all parameters as one flat vector."""

    def __init__(self, group: dict[str, Any], kept: dict[str, Any], closure: Callable[[], Any], loss: float):
        self.group, self.kept, self.closure = group, kept, closure
        self.params: list[Tensor] = group["params"]
        self.loss, self.g = loss, self._gradient()
        self.evaluations = 1

    def iterate(self) -> None:
        """Make the iterations."""
        group, kept = self.group, self.kept
        limit, change = group["max_iter"], group["tolerance_change"]
        for i in range(1, limit + 1):
            kept["n_iter"] += 1
            d = self._direction()
            before = self.loss
            kept |= {"d": d, "prev_flat_grad": self.g, "prev_loss": before}
            rate = float(group["lr"]) if isinstance(group["lr"], Tensor) else group["lr"]
            kept["t"] = min(1.0, 1.0 / np.abs(self.g).sum()) * rate if kept["n_iter"] == 1 else rate
            slope = self.g.dot(d)
            if slope > -change:  # no way down
                return
            used = self._search(d, slope) if group["line_search_fn"] else self._fixed_step(d, i < limit)
            self.evaluations += used
            kept["func_evals"] += used
            if (
                self.evaluations >= group["max_eval"]
                or np.abs(self.g).max() <= group["tolerance_grad"]
                or np.abs(d * kept["t"]).max() <= change
                or abs(self.loss - before) < change
            ):
                return

    def _direction(self) -> np.ndarray:
        """-H * g, by the two loops over the memory, after the last step has entered it."""
        kept, g = self.kept, self.g
        if kept["n_iter"] == 1:
            kept |= {"old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1}
            return -g
        size = self.group["history_size"]
        y, s = g - kept["prev_flat_grad"], kept["d"] * kept["t"]
        changes, steps, ro = kept["old_dirs"], kept["old_stps"], kept["ro"]
        curvature = y.dot(s)
        if curvature > 1e-10:  # else the estimate would not stay positive definite
            if len(changes) == size:
                for memory in (changes, steps, ro):
                    memory.pop(0)
            changes.append(y)
            steps.append(s)
            ro.append(1.0 / curvature)
            kept["H_diag"] = curvature / y.dot(y)
        weights = kept.setdefault("al", [None] * size)
        q = -g
        for i in reversed(range(len(changes))):
            weights[i] = steps[i].dot(q) * ro[i]
            q -= weights[i] * changes[i]
        q *= kept["H_diag"]
        for i in range(len(changes)):
            q += (weights[i] - changes[i].dot(q) * ro[i]) * steps[i]
        return q

    def _fixed_step(self, d: np.ndarray, evaluate: bool) -> int:
        """Go by t * d; the last iteration does not ask for the loss there."""
        self._move(self.kept["t"], d)
        if not evaluate:
            return 0
        self.loss, self.g = self._evaluate()
        return 1

    def _search(self, d: np.ndarray, slope: Any) -> int:
        """Go along d to where the strong Wolfe conditions hold; the number of evaluations it took."""
        start = [p.array.copy() for p in self.params]

        def at(t: Any) -> Point:
            self._move(t, d)
            loss, g = self._evaluate()
            for p, array in zip(self.params, start):
                np.copyto(p.array, array)
            return Point(t, loss, g, g.dot(d))

        origin = Point(0, self.loss, self.g, slope)
        shortest = self.group["tolerance_change"] / np.abs(d).max()
        found, used = strong_wolfe(at, origin, self.kept["t"], shortest, self.group["max_eval"] - self.evaluations)
        self.kept["t"], self.loss, self.g, _ = found
        self._move(found.t, d)
        return used

    def _evaluate(self) -> tuple[float, np.ndarray]:
        with enable_grad():
            loss = float(self.closure())
        return loss, self._gradient()

    def _gradient(self) -> np.ndarray:
        """The gradients of all parameters in one vector, complex numbers as pairs, zeros where there is none."""
        found = []
        for p in self.params:
            flat = (np.zeros_like(p.array) if p.grad is None else p.grad.array).reshape(-1)
            found.append(np.ascontiguousarray(flat).view(flat.real.dtype))
        return np.concatenate(found)

    def _move(self, t: Any, d: np.ndarray) -> None:
        """p' = p + t * d."""
        start = 0
        for p in self.params:
            array = p.array
            stop = start + (2 if array.dtype.kind == "c" else 1) * array.size
            piece = (t * d[start:stop]).astype(array.real.dtype, copy=False).view(array.dtype)
            np.add(array, piece.reshape(array.shape), out=array)
            p.bump()
            start = stop


def _unwrapped(state: dict[str, Any]) -> dict[str, Any]:
    """The state with arrays and NumPy numbers for tensors."""
    bare = lambda value: value.array[()] if isinstance(value, Tensor) else value
    return {name: [bare(v) for v in value] if name in LISTS else bare(value) for name, value in state.items()}


def _wrapped(kept: dict[str, Any]) -> dict[str, Any]:
    """The state with tensors for arrays and NumPy numbers."""
    tensor = lambda value: wrap(np.asarray(value)) if isinstance(value, np.ndarray | np.generic) else value
    return {name: [tensor(v) for v in value] if name in LISTS else tensor(value) for name, value in kept.items()}


# ---- the line search ---------------------------------------------------------------------------------------------


class Point(NamedTuple):
    """A point on the line: where, the loss, its gradient, and its derivative along the line."""

    t: Any
    f: float
    g: np.ndarray
    slope: Any


def strong_wolfe(at: Callable[[Any], Point], origin: Point, t: Any, shortest: Any, limit: int) -> tuple[Point, int]:
    """A point that satisfies the strong Wolfe conditions, or the best found, and the number of evaluations.

    Args:
        at: evaluates a point.
        origin: the point 0.
        t: where to look first.
        shortest: an interval shorter than this is not divided.
        limit: the greatest number of iterations.
    """
    last, new = origin, at(t)
    count = 0
    while count < limit:
        if _too_high(new, origin) or (count > 1 and new.f >= last.f):
            break
        if abs(new.slope) <= -FLAT * origin.slope:
            return new, count + 1
        if new.slope >= 0:
            break
        t = _cubic_minimum(last, new, (new.t + 0.01 * (new.t - last.t), new.t * 10))
        last, new = new, at(t)
        count += 1
    else:
        last = origin
    return _zoom(at, origin, [last, new], shortest, count, limit)


def _zoom(
    at: Callable[[Any], Point], origin: Point, ends: list[Point], shortest: Any, count: int, limit: int
) -> tuple[Point, int]:
    """Divide the interval between `ends`, which holds a point that is looked for."""
    low = 0 if ends[0].f <= ends[1].f else 1
    near_end = False
    while count < limit and abs(ends[1].t - ends[0].t) >= shortest:
        t = _cubic_minimum(ends[0], ends[1])
        left, right = sorted((ends[0].t, ends[1].t))
        margin = 0.1 * (right - left)
        if min(right - t, t - left) >= margin:
            near_end = False
        elif near_end or t >= right or t <= left:  # the second time, the interval must shrink
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near_end = False
        else:
            near_end = True
        new = at(t)
        count += 1
        if _too_high(new, origin) or new.f >= ends[low].f:
            ends[1 - low] = new
            low = 0 if ends[0].f <= ends[1].f else 1
            continue
        if abs(new.slope) <= -FLAT * origin.slope:
            return new, count + 1
        if new.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = new
    return ends[low], count + 1


def _too_high(new: Point, origin: Point) -> bool:
    return new.f > origin.f + SUFFICIENT * new.t * origin.slope


def _cubic_minimum(a: Point, b: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """Where the cubic through two points with their slopes is least, inside `bounds` (default: between the points)."""
    if a.t > b.t:
        a, b = b, a
    left, right = bounds or (a.t, b.t)
    mean = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = mean**2 - a.slope * b.slope
    if not square >= 0:
        return (left + right) / 2.0
    root = np.sqrt(square)
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - mean) / (b.slope - a.slope + 2 * root)), left), right)
