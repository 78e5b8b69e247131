"""`gradcheck`: are the derivatives right? The recorded ones are compared with finite differences.

The numeric Jacobian is computed entry by entry with central differences in double precision,
`(f(x + eps) - f(x - eps)) / (2 eps)`; the recorded one by a backward pass for each output element. With `fast_mode`
only the inner products `<v, J u>` with random `u, v` are compared: three evaluations, however large the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import engine
from ..core.tensor import Tensor, wrap
from ..errors import message
from ..modes import no_grad


class GradcheckError(RuntimeError):
    """A derivative disagrees with its finite difference."""


def gradcheck(
    func: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    fast_mode: bool = False,
    **unused: Any,
) -> bool:
    """Check recorded derivatives of `func` against finite differences.

    Args:
        func: a function of tensors that returns a tensor or several.
        inputs: its arguments; those that require grad (in float64) are checked.
        eps: the step of the differences.
        atol, rtol: the tolerances, as in `torch.allclose`.
        raise_exception: raise instead of returning False.
        nondet_tol: how much two backward passes may differ.
        fast_mode: compare random directions instead of every entry.

    Raises:
        GradcheckError: a derivative is wrong; the text names the input, the output and the entry.
        ValueError: no input requires grad.

    >>> import tapegrad as torch
    >>> x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.tanh, (x,))
    True
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [(i, t) for i, t in enumerate(args) if isinstance(t, Tensor) and t.requires_grad]
    if not checked:
        raise ValueError(
            message(
                "gradcheck: no input requires grad", fix="create inputs with requires_grad=True and dtype=torch.float64"
            )
        )
    compare = _compare_directions if fast_mode else _compare_entries
    try:
        for k, out in enumerate(_outputs(func, args)):
            for i, x in checked:
                compare(func, args, k, out, i, x, eps, atol, rtol)
                _check_repeats(func, args, k, i, x, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    gen_non_contig_grad_outputs: bool = False,
    **options: Any,
) -> bool:
    """Check second derivatives: `gradcheck` of the gradient as a function of the inputs and of the incoming gradients.

    Args:
        func, inputs, options: as in `gradcheck`.
        grad_outputs: the incoming gradients; random ones if left out.
        gen_non_contig_grad_outputs: make the random ones non-contiguous.

    >>> import tapegrad as torch
    >>> x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(torch.sin, (x,))
    True
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        given = [_random_like(rng, out, gen_non_contig_grad_outputs) for out in _outputs(func, args)]
    else:
        given = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    n = len(args)

    def gradient(*values: Any) -> tuple[Tensor, ...]:
        inner, incoming = values[:n], values[n:]
        wanted = [t for t in inner if isinstance(t, Tensor) and t.requires_grad]
        found = engine.grad(_outputs(func, inner), wanted, incoming, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and g.requires_grad)

    return gradcheck(gradient, (*args, *given), **options)


def _outputs(func: Callable, args: tuple) -> list[Tensor]:
    """The differentiable results of a call."""
    out = func(*args)
    several = [out] if isinstance(out, Tensor) else list(out)
    return [t for t in several if isinstance(t, Tensor) and t.requires_grad]


def _random_like(rng: np.random.Generator, t: Tensor, spread: bool) -> Tensor:
    values = rng.standard_normal((*t.shape, 2))
    return wrap(values[..., 0] if spread else values[..., 0].copy()).requires_grad_()


def _evaluate(func: Callable, args: tuple, i: int, value: np.ndarray, k: int) -> np.ndarray:
    """Output `k` with argument `i` replaced by other numbers."""
    with no_grad():
        changed = wrap(value).requires_grad_(False)
    replaced = (*args[:i], changed.requires_grad_(), *args[i + 1 :])
    return _outputs(func, replaced)[k].array


def _compare_entries(func, args, k, out, i, x, eps, atol, rtol) -> None:
    numeric = np.zeros((x.array.size, out.array.size))
    for j in range(x.array.size):
        up, down = x.array.copy(), x.array.copy()
        up.reshape(-1)[j] += eps
        down.reshape(-1)[j] -= eps
        numeric[j] = ((_evaluate(func, args, i, up, k) - _evaluate(func, args, i, down, k)) / (2 * eps)).reshape(-1)
    recorded = np.zeros_like(numeric)
    for j in range(out.array.size):
        one = np.zeros(out.array.shape, out.array.dtype)
        one.reshape(-1)[j] = 1
        recorded[:, j] = _pull(out, x, one).reshape(-1)
    if not np.allclose(recorded, numeric, rtol, atol, equal_nan=True):
        worst = np.unravel_index(np.nanargmax(np.abs(recorded - numeric)), numeric.shape)
        text = message(
            f"gradcheck: the derivative of output {k} with respect to input {i} is wrong",
            got=f"{recorded[worst]:.8g} for input element {worst[0]}, output element {worst[1]}",
            expected=f"{numeric[worst]:.8g} (finite difference, eps={eps})",
        )
        raise GradcheckError(text)


def _compare_directions(func, args, k, out, i, x, eps, atol, rtol) -> None:
    rng = np.random.default_rng(k * 1000 + i)
    u, v = rng.standard_normal(x.array.shape), rng.standard_normal(out.array.shape)
    up, down = _evaluate(func, args, i, x.array + eps * u, k), _evaluate(func, args, i, x.array - eps * u, k)
    numeric = float(((up - down) / (2 * eps) * v).sum())
    recorded = float((_pull(out, x, v) * u).sum())
    if not np.isclose(recorded, numeric, rtol, atol * max(1.0, np.sqrt(x.array.size * out.array.size)), equal_nan=True):
        text = message(
            f"gradcheck: the derivative of output {k} with respect to input {i} is wrong along a random direction",
            got=f"{recorded:.8g}",
            expected=f"{numeric:.8g} (finite difference, eps={eps})",
        )
        raise GradcheckError(text)


def _pull(out: Tensor, x: Tensor, v: np.ndarray) -> np.ndarray:
    """The recorded gradient of `<v, out>` with respect to `x`."""
    (g,) = engine.grad(out, x, wrap(v.astype(out.array.dtype)), retain_graph=True, allow_unused=True)
    return np.zeros(x.array.shape) if g is None else g.array


def _check_repeats(func, args, k, i, x, tolerance: float) -> None:
    """Two backward passes over the same graph give the same numbers."""
    out = _outputs(func, args)[k]
    ones = np.ones(out.array.shape, out.array.dtype)
    first, second = _pull(out, x, ones), _pull(out, x, ones)
    if not np.allclose(first, second, 0, tolerance, equal_nan=True):
        raise GradcheckError(message(f"gradcheck: the gradient of input {i} differs between two passes"))
