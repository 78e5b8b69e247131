"""`torch.autograd.functional`: Jacobians, Hessians and their products, each composed of `grad` calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.engine import grad
from ..core.tensor import Tensor
from ..errors import message
from ..modes import enable_grad
from ..ops.creation.filled import zeros_like
from ..ops.reduction.reduce import sum
from ..ops.shape.joining import stack

Tensors = Tensor | tuple[Tensor, ...]


def _prepare(inputs: Tensors, create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as fresh tensors that require grad, connected to the given ones with `create_graph`."""
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    return tuple(t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_() for t in given)


def _call(what: str, func: Callable, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], bool]:
    out = func(*inputs)
    single = isinstance(out, Tensor)
    outs = (out,) if single else tuple(out)
    if not all(isinstance(t, Tensor) for t in outs):
        raise TypeError(
            message(f"{what}: the function must return a tensor or a tuple of tensors", got=type(out).__name__)
        )
    return outs, single


def _or_zeros(grads: tuple, inputs: tuple, strict: bool, what: str) -> tuple[Tensor, ...]:
    if strict and any(g is None for g in grads):
        raise RuntimeError(
            message(f"{what}: an output does not depend on one of the inputs", fix="pass strict=False to get zeros")
        )
    return tuple(zeros_like(t) if g is None else g for g, t in zip(grads, inputs))


def _leave(results: Any, create_graph: bool) -> Any:
    if isinstance(results, tuple):
        return tuple(_leave(r, create_graph) for r in results)
    return results if create_graph else results.detach()


def _shape_as(results: tuple, single: bool) -> Any:
    return results[0] if single else results


def jacobian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The matrix of all derivatives of `func`: entry `[i..., j...]` is d out[i] / d input[j].

    Args:
        func: a function of tensors that returns a tensor or a tuple of tensors.
        inputs: a tensor or a tuple of tensors.
        create_graph: make the result differentiable.
        strict: an output that does not depend on an input is an error.
        vectorize, strategy: accepted; the result is the same.

    >>> import tapegrad as torch
    >>> torch.autograd.functional.jacobian(torch.square, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    with enable_grad():
        ins = _prepare(inputs, create_graph)
        outs, single_out = _call("jacobian", func, ins)
        rows: list[tuple[Tensor, ...]] = []
        for out in outs:
            flat = out.reshape(-1)
            found = []
            for i in range(flat.numel()):
                if flat.requires_grad:
                    grads = grad(flat[i], ins, retain_graph=True, create_graph=create_graph, allow_unused=True)
                else:
                    grads = (None,) * len(ins)
                found.append(_or_zeros(grads, ins, strict, "jacobian"))
            blocks = [stack([f[k] for f in found]).reshape((*out.shape, *t.shape)) for k, t in enumerate(ins)]
            rows.append(tuple(blocks))
    single_in = isinstance(inputs, Tensor)
    result = tuple(_shape_as(row, single_in) for row in rows)
    return _leave(_shape_as(result, single_out), create_graph)


def hessian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The matrix of second derivatives of a scalar function.

    >>> import tapegrad as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """

    def gradient(*ins: Tensor) -> Any:
        out = func(*ins)
        if not isinstance(out, Tensor) or out.numel() != 1:
            raise RuntimeError(
                message("hessian: the function must return one number", got=f"shape {tuple(getattr(out, 'shape', ()))}")
            )
        grads = _or_zeros(grad(out, ins, create_graph=True, allow_unused=True), ins, strict, "hessian")
        return _shape_as(grads, isinstance(inputs, Tensor))

    return jacobian(gradient, inputs, create_graph, strict)


def vjp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The outputs, and the product `v^T J` of a vector with the Jacobian.

    Args:
        v: like the outputs; may be left out for a single number.
    """
    with enable_grad():
        ins = _prepare(inputs, create_graph)
        outs, single = _call("vjp", func, ins)
        given = (None,) * len(outs) if v is None else (v,) if isinstance(v, Tensor) else tuple(v)
        grads = grad(outs, ins, given, create_graph=create_graph, allow_unused=True)
    products = _or_zeros(grads, ins, strict, "vjp")
    return _leave(_shape_as(outs, single), create_graph), _leave(
        _shape_as(products, isinstance(inputs, Tensor)), create_graph
    )


def jvp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The outputs, and the product `J v` of the Jacobian with a vector, by differentiating `u -> u^T J` once more.

    Args:
        v: like the inputs; may be left out for a single number.
    """
    with enable_grad():
        ins = _prepare(inputs, create_graph)
        outs, single = _call("jvp", func, ins)
        given = tuple(zeros_like(t) + 1 for t in ins) if v is None else (v,) if isinstance(v, Tensor) else tuple(v)
        dummies = tuple(zeros_like(t).requires_grad_() for t in outs)
        rows = _or_zeros(grad(outs, ins, dummies, create_graph=True, allow_unused=True), ins, strict, "jvp")
        found = (
            grad(rows, dummies, given, create_graph=create_graph, allow_unused=True)
            if any(r.requires_grad for r in rows)
            else (None,) * len(outs)
        )
    products = _or_zeros(found, outs, strict, "jvp")
    return _leave(_shape_as(outs, single), create_graph), _leave(_shape_as(products, single), create_graph)


def vhp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a scalar function, and the product `v^T H` of a vector with its Hessian."""
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(
    func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a scalar function, and the product `H v` of its Hessian (which is symmetric) with a vector."""
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(
    what: str, func: Callable, inputs: Tensors, v: Any, create_graph: bool, strict: bool
) -> tuple[Any, Any]:
    with enable_grad():
        ins = _prepare(inputs, create_graph)
        outs, _ = _call(what, func, ins)
        if len(outs) != 1 or outs[0].numel() != 1:
            raise RuntimeError(
                message(f"{what}: the function must return one number", got=[tuple(t.shape) for t in outs])
            )
        given = tuple(zeros_like(t) + 1 for t in ins) if v is None else (v,) if isinstance(v, Tensor) else tuple(v)
        slopes = _or_zeros(grad(outs, ins, create_graph=True, allow_unused=True), ins, strict, what)
        along = sum(stack([sum(s * u) for s, u in zip(slopes, given)]))
        grads = (
            grad(along, ins, create_graph=create_graph, allow_unused=True)
            if along.requires_grad
            else (None,) * len(ins)
        )
    products = _or_zeros(grads, ins, strict, what)
    return _leave(outs[0], create_graph), _leave(_shape_as(products, isinstance(inputs, Tensor)), create_graph)
