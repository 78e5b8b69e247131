"""Random tensors: PyTorch's numbers after `manual_seed`, from the streams in `backends/cpu/random.py`.

Tensors that are not contiguous are filled in the order of their memory, as PyTorch does. A random result does not
depend on the values it replaces, so its gradient is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import dtypes, shapes
from ...backends.cpu import counts, memory
from ...backends.cpu import random as streams
from ...core import dispatch
from ...core.op import Array, op
from ...core.tensor import Tensor, wrap
from ...core.views import refuse_repeated
from ...errors import message
from ..creation.cast import as_dtype
from ..creation.filled import size_of, type_of, zeros_like
from ..creation.values import finish
from .generators import (
    Generator,
    chosen,
    default_generator,
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__all__ = [
    "Generator", "default_generator", "manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state",
    "fork_rng", "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like",
    "normal", "bernoulli", "multinomial", "poisson", "binomial",
]  # fmt: skip

INT64 = dtypes.int64.numpy
Draw = Callable[[tuple[int, ...]], np.ndarray]

# ---- of a given shape --------------------------------------------------------------------------------------------


def in_memory_order(like: np.ndarray, draw: Draw) -> np.ndarray:
    """What `draw(shape)` gives, laid out so that consecutive numbers are neighbours in the memory of `like`."""
    if like.flags.c_contiguous:
        return draw(like.shape)
    order = sorted(range(like.ndim), key=lambda d: -like.strides[d])
    return draw(tuple(like.shape[d] for d in order)).transpose(np.argsort(order))


def _for_out(out: Tensor | None, shape: tuple, dtype: np.dtype, draw: Callable) -> np.ndarray:
    """`draw(shape, False)`; in the memory order of `out`, where that has this shape and gaps: `draw(shape, True)`."""
    if out is None or out.array.shape != shape or out.array.flags.c_contiguous:
        return draw(shape, False).reshape(shape)
    refuse_repeated("out", out.array)
    return in_memory_order(out.array, lambda shape: draw(shape, True))


def rand(
    *sizes: Any, size: Any = None, generator: Any = None, out: Tensor | None = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False, names: Any = None,
) -> Tensor:  # fmt: skip
    """Numbers drawn uniformly from [0, 1).

    Args:
        sizes: the shape, as integers or as one tuple.
        size: the shape by name.
        generator: the stream to draw from (the default generator, if not given).
        out: a tensor to write the result into.
        dtype: a floating-point or complex type (the default dtype, if not given).
        layout, device, pin_memory: accepted: strided, on the CPU, not pinned.
        requires_grad: whether to record what is computed with it.

    Raises:
        RuntimeError: a negative size.
        NotImplementedError: an integer dtype.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2, 2)
    tensor([[0.4963, 0.7682],
            [0.0885, 0.1320]])
    """
    shape, d, gen = size_of("rand", sizes, size), type_of("rand", dtype, out), chosen(generator)
    array = _for_out(out, shape, d, lambda n, pairs: streams.uniform(gen, n, d))
    return finish("rand", array, device, requires_grad, out, layout)


def randn(
    *sizes: Any, size: Any = None, generator: Any = None, out: Tensor | None = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False, names: Any = None,
) -> Tensor:  # fmt: skip
    """Numbers drawn from the normal distribution N(0, 1); arguments as of `rand`.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randn(3)
    tensor([ 1.5410, -0.2934, -2.1788])
    """
    shape, d, gen = size_of("randn", sizes, size), type_of("randn", dtype, out), chosen(generator)
    array = _for_out(out, shape, d, lambda n, pairs: streams.normal(gen, n, d, 0.0, 1.0, pairs))
    return finish("randn", array, device, requires_grad, out, layout)


def _integer(where: str, name: str, value: Any) -> int:
    if isinstance(value, Tensor):
        value = value.item()
    if not isinstance(value, int | np.integer):
        raise TypeError(message(f"{where}: {name} must be an integer", got=repr(value)))
    return int(value)


def _interval(where: str, args: tuple, low: Any, high: Any) -> tuple[int, int, tuple]:
    """The bounds given as (high) or (low, high), and the arguments after them."""
    numbers = 0
    while numbers < min(2, len(args)) and (isinstance(args[numbers], int | np.integer | Tensor | float)):
        numbers += 1
    given, rest = args[:numbers], args[numbers:]
    if len(given) == 2:
        low, high = given
    elif given and high is not None:
        low = given[0]
    elif given:
        high = given[0]
    if high is None:
        raise TypeError(message(f"{where}: no upper bound given", expected=f"{where}(high, size)"))
    return _integer(where, "low", low), _integer(where, "high", high), rest


def randint(
    *args: Any, low: Any = 0, high: Any = None, size: Any = None, generator: Any = None, out: Tensor | None = None,
    dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Integers drawn uniformly from [low, high): `randint(high, size)` or `randint(low, high, size)`.

    Args:
        args: the bounds and the shape (a tuple).
        low, high, size: the same by name.
        generator, out, layout, device, requires_grad, pin_memory: as of `rand`.
        dtype: int64, if not given.

    Raises:
        RuntimeError: the interval is empty, or the dtype cannot hold it.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randint(10, (4,))
    tensor([4, 9, 3, 0])
    """
    low, high, rest = _interval("randint", args, low, high)
    if len(rest) > 1 or (rest and size is not None):
        raise TypeError(message("randint: too many arguments", got=rest, expected="randint(low, high, size)"))
    size = rest[0] if rest else size
    if size is None or isinstance(size, int):
        raise TypeError(message("randint: the size must be a tuple", got=size))
    shape = size_of("randint", (), size)
    d = INT64 if dtype is None and out is None else type_of("randint", dtype, out)
    gen = chosen(generator)
    array = _for_out(out, shape, d, lambda n, pairs: np.ascontiguousarray(streams.integers(gen, n, d, low, high)))
    return finish("randint", array, device, requires_grad, out, layout)


def randperm(
    n: int, *, generator: Any = None, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """The integers 0 ... n - 1 in random order.

    Raises:
        RuntimeError: n is negative, or the dtype cannot hold n - 1.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randperm(4)
    tensor([0, 1, 3, 2])
    """
    d = INT64 if dtype is None and out is None else type_of("randperm", dtype, out)
    array = streams.permutation(chosen(generator), _integer("randperm", "n", n), d)
    return finish("randperm", array, device, requires_grad, out, layout)


# ---- like another tensor ------------------------------------------------------------------------------------------


def _like(
    name: str, input: Any, draw: Callable, dtype: Any, layout: Any, device: Any, requires_grad: bool, memory_format: Any
) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(message(f"{name}: the argument must be a tensor", got=type(input).__name__))
    d = input.array.dtype if dtype is None else as_dtype(name, dtype).numpy
    like = memory.empty_like(input.array, d, memory_format)
    contiguous = like.flags.c_contiguous
    array = in_memory_order(like, lambda shape: draw(shape, d, contiguous))
    return finish(name, array, device, requires_grad, None, layout)


def rand_like(
    input: Tensor, *, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers drawn uniformly from [0, 1) in the shape and dtype of `input`, unless given otherwise."""
    gen = chosen(generator)

    def draw(shape: tuple, d: np.dtype, contiguous: bool) -> np.ndarray:
        return streams.uniform(gen, shape, d)

    return _like("rand_like", input, draw, dtype, layout, device, requires_grad, memory_format)


def randn_like(
    input: Tensor, *, generator: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers drawn from N(0, 1) in the shape and dtype of `input`, unless given otherwise."""
    gen = chosen(generator)

    def draw(shape: tuple, d: np.dtype, contiguous: bool) -> np.ndarray:
        return streams.normal(gen, shape, d, 0.0, 1.0, not contiguous)

    return _like("randn_like", input, draw, dtype, layout, device, requires_grad, memory_format)


def randint_like(
    input: Tensor, *args: Any, low: Any = 0, high: Any = None, generator: Any = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, memory_format: Any = None,
    pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Integers drawn uniformly from [low, high) in the shape and dtype of `input`, unless given otherwise."""
    low, high, rest = _interval("randint_like", args, low, high)
    if rest:
        raise TypeError(message("randint_like: too many arguments", got=rest))
    gen = chosen(generator)

    def draw(shape: tuple, d: np.dtype, contiguous: bool) -> np.ndarray:
        return streams.integers(gen, shape, d, low, high)

    return _like("randint_like", input, draw, dtype, layout, device, requires_grad, memory_format)


# ---- recorded samples ---------------------------------------------------------------------------------------------


def _label(node: Any) -> str:
    return _sample.op.attributes(*node.attrs)[1]


@op(name="sample", node=_label)
def _sample(x: Array, y: Array | None, draw, label):
    return draw(x, y)


@_sample.grad("x")
def _(g):
    return zeros_like(g)


@_sample.grad("y")
def _(g):
    return zeros_like(g)


@_sample.shape
def _(x, y, draw, label):
    return x if y is None else shapes.broadcast("sample", x, y)


def _probabilities(where: str, p: Any) -> None:
    if p.size and p.dtype.kind != "f" and p.dtype != dtypes.bfloat16.numpy:
        text = message(f"{where}: probabilities are floating-point numbers", got=dtypes.of(p.dtype), fix="p.float()")
        raise NotImplementedError(text)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None, out: Tensor | None = None) -> Tensor:
    """1 with the probability that `input` holds (or with probability `p`), else 0, in the shape of `input`.

    Raises:
        RuntimeError: a probability outside [0, 1].

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.bernoulli(torch.tensor([0.0, 1.0, 0.5]))
    tensor([0., 1., 1.])
    """
    gen = chosen(generator)

    def draw(x: np.ndarray, y: None) -> np.ndarray:
        if p is not None:
            return streams.bernoulli(gen, p, x.shape, x.dtype)
        _probabilities("bernoulli", x)
        return streams.bernoulli(gen, x, x.shape, x.dtype)

    if out is not None:
        refuse_repeated("bernoulli", out.array)
    options = {} if out is None else {"out": out}
    return _sample(input, None, draw, "BernoulliBackward0", **options)


def _compare(gen: streams.Generator, like: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Draws below the probabilities in `p`, made in the order of the memory of `like`."""
    order = sorted(range(like.ndim), key=lambda d: -like.strides[d])
    p = np.broadcast_to(p, like.shape).transpose(order)
    return streams.bernoulli(gen, p, p.shape, like.dtype).transpose(np.argsort(order))


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, out: Tensor | None = None, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Numbers drawn from N(mean, std**2).

    Args:
        mean: a tensor of means, or one mean for all.
        std: a tensor of standard deviations, or one for all; broadcast with `mean`.
        size: the shape, if both are numbers.
        generator, out, dtype, layout, device, requires_grad, pin_memory: as of `rand`.

    Raises:
        RuntimeError: a negative standard deviation.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.normal(10.0, 2.0, (3,))
    tensor([13.0820,  9.4131,  5.6424])
    """
    gen = chosen(generator)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if size is None:
            raise TypeError(message("normal: no size given", expected="normal(mean, std, size), or tensors"))
        shape, d = size_of("normal", (), size), type_of("normal", dtype, out)
        array = _for_out(out, shape, d, lambda n, pairs: streams.normal(gen, n, d, float(mean), float(std), pairs))
        return finish("normal", array, device, requires_grad, out, layout)
    if not isinstance(mean, Tensor):
        first, second, label = std, None, "NormalBackward2"
    else:
        first, second = mean, std if isinstance(std, Tensor) else None
        label = "NormalBackward1" if second is None else "NormalBackward3"

    def draw(x: np.ndarray, y: np.ndarray | None) -> np.ndarray:
        m, s = (mean, x) if first is std else (x, std if y is None else y)
        shape = np.broadcast_shapes(np.shape(m), np.shape(s))
        gaps = out is not None and out.array.shape == shape and not out.array.flags.c_contiguous
        if not gaps or np.iscomplexobj(s):
            return streams.normal(gen, shape, x.dtype, m, s)
        z = in_memory_order(out.array, lambda n: streams.normal(gen, n, x.dtype, 0.0, 1.0, True))
        return z * s + m

    options = {} if out is None else {"out": out}
    return _sample(first, second, draw, label, **options)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None, out: Tensor | None = None
) -> Tensor:
    """Indices drawn with probabilities proportional to the weights in `input`, (m,) or (rows, m) -> int64 (..., k).

    Args:
        input: weights of 0 or more, floating point; they need not sum to 1.
        num_samples: how many indices to draw from each row.
        replacement: whether one may be drawn more than once.
        generator: the stream to draw from.
        out: a tensor to write the result into.

    Raises:
        RuntimeError: negative or all-zero weights, or more samples than weights without replacement.

    >>> import tapegrad as torch
    >>> torch.multinomial(torch.tensor([0.0, 1.0, 0.0]), 1)
    tensor([1])
    """
    if out is not None and out.dtype is not dtypes.int64:
        raise RuntimeError(message("multinomial: out must be int64", got=out.dtype))
    array = streams.multinomial(chosen(generator), input.array, _integer("multinomial", "k", num_samples), replacement)
    return finish("multinomial", array.astype(INT64, copy=False), None, False, out)


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson numbers whose means are the elements of `input`.

    Raises:
        RuntimeError: a negative mean.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.poisson(torch.tensor([1.0, 5.0, 20.0]))
    tensor([ 2.,  6., 19.])
    """
    gen = chosen(generator)
    return _sample(input, None, lambda x, y: counts.poisson(gen, x), "PoissonBackward0")


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Numbers of successes in `count` trials, each of probability `prob`; both floating point.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.binomial(torch.tensor([10.0, 5.0]), torch.tensor([0.5, 0.3]))
    tensor([7., 1.])
    """
    gen = chosen(generator)
    return _sample(count, prob, lambda x, y: counts.binomial(gen, x, y), "BinomialBackward0")


def gumbel_noise(like: Tensor) -> Tensor:
    """Numbers of the standard Gumbel distribution in the shape and type of `like`, as `gumbel_softmax` draws them."""
    return wrap(streams.gumbel(chosen(None), like.array.shape, like.array.dtype))


def drawn_slopes(below: Tensor, dtype: dtypes.dtype, lower: float, upper: float) -> Tensor:
    """The slopes of `rrelu`: 1, but numbers drawn from U(lower, upper) where the bools of `below` are true."""
    out = np.ones(below.array.shape, dtype.numpy)
    out[below.array] = streams.slopes(chosen(None), int(below.array.sum()), dtype.numpy, lower, upper)
    return wrap(out)


def dropout_mask(like: np.ndarray, p: float, generator: Any = None) -> np.ndarray:
    """What dropout with probability `p` keeps of an array like this (bool), drawn as PyTorch draws it."""
    gen = chosen(generator)
    return in_memory_order(np.empty_like(like, np.bool_), lambda shape: streams.dropout_mask(gen, p, shape))


# ---- in place -------------------------------------------------------------------------------------------------------


def _arguments(where: str, args: tuple, named: dict, **defaults: Any) -> list:
    """Arguments whose names are not all Python's (`from`), in order."""
    if len(args) > len(defaults):
        raise TypeError(message(f"{where}: too many arguments", got=len(args), expected=", ".join(defaults)))
    values = dict(defaults)
    values.update(zip(defaults, args))
    for name, value in named.items():
        if name not in values:
            raise TypeError(message(f"{where}: no argument {name!r}", expected=", ".join(defaults)))
        values[name] = value
    return list(values.values())


def _overwrite(t: Tensor, name: str, label: str, draw: Callable, source: Tensor | None = None) -> Tensor:
    """Fill `t` with `draw(shape, dtype)`, in the order of its memory."""

    def fill(x: np.ndarray, y: np.ndarray | None) -> np.ndarray:
        return in_memory_order(x, lambda shape: draw(shape, x.dtype))

    return dispatch.call_inplace(_sample.op, name, t, (source, fill, label), {})


def _uniform_(self: Tensor, *args: Any, generator: Any = None, **named: Any) -> Tensor:
    """Fill with numbers drawn uniformly from [from, to): `x.uniform_(from=0, to=1, *, generator=None)`.

    Raises:
        RuntimeError: `from` is above `to`.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.zeros(2).uniform_(1, 2)
    tensor([1.4963, 1.7682])
    """
    low, high = _arguments("uniform_", args, named, **{"from": 0.0, "to": 1.0})
    gen = chosen(generator)
    return _overwrite(self, "uniform_", "UniformBackward0", lambda shape, d: streams.uniform(gen, shape, d, low, high))


def _normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with numbers drawn from N(mean, std**2).

    Raises:
        RuntimeError: the standard deviation is negative.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.zeros(2).normal_()
    tensor([ 1.5410, -0.2934])
    """
    gen, pairs = chosen(generator), not self.array.flags.c_contiguous

    def draw(shape: tuple, d: np.dtype) -> np.ndarray:
        return streams.normal(gen, shape, d, mean, std, pairs)

    return _overwrite(self, "normal_", "NormalBackward0", draw)


def _random_(self: Tensor, *args: Any, generator: Any = None, **named: Any) -> Tensor:
    """Fill with integers: `random_()` up to what the dtype holds, `random_(to)` below `to`, `random_(from, to)`.

    Raises:
        RuntimeError: the interval is empty, or the dtype cannot hold it.

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.zeros(4).random_(10)
    tensor([4., 9., 3., 0.])
    """
    gen = chosen(generator)
    if len(args) == 1 and not named:
        low, high, label = 0, args[0], "RandomBackward1"
    else:
        low, high = _arguments("random_", args, named, **{"from": None, "to": None})
        low = 0 if low is None and high is not None else low
        label = "RandomBackward2" if low is None else "RandomBackward0"

    def draw(shape: tuple, d: np.dtype) -> np.ndarray:
        return streams.integers(gen, shape, d, low, high)

    return _overwrite(self, "random_", label, draw)


def _bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fill with 1 (with probability `p`, a number or a tensor) and 0.

    Raises:
        RuntimeError: a probability outside [0, 1].

    >>> import tapegrad as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.zeros(4).bernoulli_(0.5)
    tensor([0., 0., 1., 0.])
    """
    gen = chosen(generator)
    if not isinstance(p, Tensor):
        return _overwrite(
            self, "bernoulli_", "BernoulliBackward2", lambda shape, d: streams.bernoulli(gen, float(p), shape, d)
        )

    def fill(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        _probabilities("bernoulli_", y)
        if np.broadcast_shapes(x.shape, y.shape) != x.shape:
            text = message("bernoulli_: p does not broadcast to the tensor", got=f"{y.shape} into {x.shape}")
            raise RuntimeError(text)
        return _compare(gen, x, y)

    return dispatch.call_inplace(_sample.op, "bernoulli_", self, (p, fill, "BernoulliBackward1"), {})


def _exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with waiting times of density `lambd * exp(-lambd * x)`."""
    gen = chosen(generator)
    return _overwrite(
        self, "exponential_", "ExponentialBackward0", lambda shape, d: streams.exponential(gen, shape, d, lambd)
    )


def _geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fill with numbers of trials up to the first success, each of which has probability `p`."""
    gen = chosen(generator)
    return _overwrite(self, "geometric_", "GeometricBackward0", lambda shape, d: streams.geometric(gen, shape, d, p))


def _cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fill with numbers of the Cauchy distribution of this median and half width at half maximum."""
    gen = chosen(generator)
    return _overwrite(self, "cauchy_", "CauchyBackward0", lambda shape, d: streams.cauchy(gen, shape, d, median, sigma))


def _log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Tensor:
    """Fill with exponentials of numbers drawn from N(mean, std**2)."""
    gen = chosen(generator)
    return _overwrite(
        self, "log_normal_", "LogNormalBackward0", lambda shape, d: streams.log_normal(gen, shape, d, mean, std)
    )


Tensor.uniform_ = _uniform_
Tensor.normal_ = _normal_
Tensor.random_ = _random_
Tensor.bernoulli_ = _bernoulli_
Tensor.exponential_ = _exponential_
Tensor.geometric_ = _geometric_
Tensor.cauchy_ = _cauchy_
Tensor.log_normal_ = _log_normal_
Tensor.bernoulli = bernoulli
Tensor.multinomial = multinomial
