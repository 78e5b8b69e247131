"""Random tensors against PyTorch: the same numbers after the same seed, and the generators in step afterwards."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

NUMBERS = """\
rand(3)
rand(2, 3, dtype=float64)
rand((2,))
rand(())
rand(size=(2,))
rand(2, dtype=bfloat16)
rand(2, dtype=float16)
rand(2, dtype=complex64)
rand(2, requires_grad=True)
rand(2, out=ones(2))
rand(40)
rand(2, generator=Generator().manual_seed(1))
randn(3)
randn(2, dtype=complex64)
randn(7, 3, dtype=float64)
randint(5, (3,))
randint(2, 5, (3,))
randint(5, (3,), dtype=float32)
randint(0, 5, size=(3,))
randint(high=5, size=(3,))
randint(low=2, high=5, size=(3,))
randint(5, (3,), generator=Generator())
randint(3, (2,), dtype=uint8)
randint(2**40, (2,))
randint(2, (3,), dtype=T.bool)
randint_like(ones(3), 5)
randint_like(ones(3), 2, 5)
randint_like(ones(3, dtype=int32), high=5)
randperm(50)
randperm(5, dtype=int32)
randperm(5, dtype=float32)
randperm(0)
randperm(5, out=zeros(5, dtype=int64))
rand_like(ones(2, dtype=int32), dtype=float32)
rand_like(ones(5, 8).t())
rand_like(ones(4, 5, 8).permute(2, 0, 1)[::2])
randn_like(ones(5, 8, dtype=float64).t())
normal(0.0, 1.0, (3,))
normal(0, 1, (3,))
normal(zeros(3), 1.0)
normal(zeros(3))
normal(0.0, ones(3))
normal(zeros(3), ones(3))
normal(zeros(3, 1), ones(2))
normal(mean=0.0, std=1.0, size=(2,))
normal(zeros(3, requires_grad=True), ones(3))
normal(zeros(2), ones(2), out=zeros(2))
bernoulli(tensor([0.2, 0.8, 0.5]))
bernoulli(tensor([0.2, 0.8, 0.5]), 0.5)
bernoulli(tensor([0.2, 0.8, 0.5]), p=0.5)
bernoulli(full((4, 6), 0.5).t())
tensor([0.2, 0.8, 0.5]).bernoulli()
tensor([0.2, 0.8, 0.5]).bernoulli(0.9)
bernoulli(tensor([0.5, 0], requires_grad=True))
empty(3).bernoulli_()
empty(3, dtype=int32).bernoulli_(0.5)
empty(3).bernoulli_(tensor([0.1, 0.5, 0.9]))
empty(3).bernoulli_(tensor([0.1, 0.5, 0.9], dtype=float64))
empty(3, 2).bernoulli_(tensor([0.1, 0.5]))
empty(6, 4).t().bernoulli_(full((4, 6), 0.5))
multinomial(tensor([0.1, 0.5, 0.4]), 2)
multinomial(tensor([0.1, 0.5, 0.4]), 5, replacement=True)
multinomial(tensor([[0.1, 0.5, 0.4], [1, 0, 0]]), 1)
poisson(tensor([0.0, 1.0, 5.0, 20.0, 1000.0]))
poisson(ones(3, requires_grad=True))
binomial(tensor([10.0, 5.0, 1000.0]), tensor([0.5, 0.3, 0.9]))
empty(3).uniform_(1, 2)
empty(3).uniform_(to=5.0)
empty(3).uniform_(**{"from": 1.0, "to": 2.0})
empty(8, 5).t().uniform_()
empty(8, 10)[:, ::2].uniform_()
empty(3).normal_(1, 2)
empty(3).normal_(mean=1, std=2)
empty(8, 5, dtype=float64).t().normal_()
empty(40, 2, dtype=float64)[:, 0].normal_()
empty(3).random_()
empty(3).random_(5)
empty(3).random_(2, 5)
empty(3, dtype=int64).random_()
empty(3, dtype=int64).random_(2, None)
empty(3, dtype=T.bool).random_()
empty(8, 5).t().random_()
empty(3).exponential_()
empty(3).exponential_(lambd=2.0)
empty(8, 5).t().exponential_()
empty(3).geometric_(0.3)
empty(3, dtype=int32).geometric_(0.3)
empty(3).cauchy_(median=1, sigma=2)
empty(3).log_normal_(mean=1, std=2)
(ones(3, requires_grad=True) * 1).uniform_()
(ones(3, requires_grad=True) * 1).normal_()
(ones(3, requires_grad=True) * 1).bernoulli_()
(ones(3, requires_grad=True) * 1).bernoulli_(ones(3))
(ones(3, requires_grad=True) * 1).exponential_()
(ones(3, requires_grad=True) * 1).random_()
(ones(3, requires_grad=True) * 1).random_(5)
(ones(3, requires_grad=True) * 1).random_(2, 5)
(ones(3, requires_grad=True) * 1).geometric_(0.5)
(ones(3, requires_grad=True) * 1).cauchy_()
(ones(3, requires_grad=True) * 1).log_normal_()"""

ERRORS = """\
rand()
rand(-1)
rand(2, dtype=int32)
randn(2, dtype=int32)
randint(5, 3)
randint(5, 5, (3,))
randint(5.5, (3,))
randint(300, (2,), dtype=uint8)
randperm(-1)
randperm(5.0)
rand_like(ones(2, dtype=int32))
normal(zeros(3), -1.0)
normal(zeros(3), -ones(3))
normal(zeros(3, dtype=int32), 1.0)
normal(1.0, 1.0)
bernoulli(tensor([1, 0]))
bernoulli(tensor([1.5, 0]))
empty(3).bernoulli_(tensor([0.1, 0.5]))
empty(3).bernoulli_(2.0)
multinomial(tensor([0.1, 0.5, 0.4]), 5)
multinomial(tensor([-0.1, 0.5, 0.4]), 1)
multinomial(tensor([1, 2]), 1)
multinomial(tensor([0.1, 0.5]), 1, out=zeros(1))
poisson(tensor([-1.0]))
empty(3).uniform_(2, 1)
empty(3).uniform_(from_=1)
empty(3, dtype=int32).uniform_()
empty(3).normal_(0, -1)
empty(3, dtype=int32).normal_()
empty(3, dtype=int64).random_(from_=2)
empty(3, dtype=int64).random_(5, 2)
empty(3).exponential_(0.0)
empty(3).geometric_(2.0)
ones(3, requires_grad=True).uniform_()
manual_seed("a")
set_rng_state(zeros(3))
Generator().set_state(zeros(5056))"""


def scope(module) -> dict:
    names = {n: getattr(module, n) for n in dir(module) if not n.startswith("_") and n not in ("range", "float", "int")}
    return {**names, "T": module, "np": np}


def evaluated(module, text):
    """The value of an expression after `manual_seed(0)`, and the numbers drawn next."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.manual_seed(0)
        found = eval(text, scope(module))
        return found, module.rand(3).tolist(), module.randn(1).tolist()


@pytest.mark.parametrize("text", NUMBERS.splitlines())
def test_numbers(text):
    (ours, *next_ours), (theirs, *next_theirs) = evaluated(tapegrad, text), evaluated(torch, text)
    assert ours.tolist() == theirs.tolist()
    assert str(ours.dtype) == str(theirs.dtype) and ours.stride() == theirs.stride()
    assert repr(ours) == repr(theirs)
    assert next_ours == next_theirs


@pytest.mark.parametrize("text", ERRORS.splitlines())
def test_errors(text):
    with pytest.raises(Exception) as theirs:
        evaluated(torch, text)
    with pytest.raises(theirs.type):
        evaluated(tapegrad, text)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_many_normal_numbers(dtype):
    exact = torch.backends.cpu.get_cpu_capability() == "AVX2"  # PyTorch's own numbers depend on the CPU
    for shape in ((16,), (37,), (1000,), (64, 33), (200_000,)):
        ours, theirs = (
            lib.randn(shape, generator=lib.Generator().manual_seed(4), dtype=getattr(lib, dtype)).double().numpy()
            for lib in (tapegrad, torch)
        )
        if exact and not dtype.endswith("16"):
            assert (ours == theirs).all()
        np.testing.assert_allclose(ours, theirs, rtol=2e-2 if dtype.endswith("16") else 1e-5, atol=1e-6)


def test_states_are_exchanged():
    torch.manual_seed(5)
    torch.randn(3)
    tapegrad.set_rng_state(tapegrad.from_numpy(torch.get_rng_state().numpy()))
    assert tapegrad.randn(5).tolist() == torch.randn(5).tolist()
    torch.set_rng_state(torch.from_numpy(tapegrad.get_rng_state().numpy()))
    assert tapegrad.rand(700).tolist() == torch.rand(700).tolist()
    assert tapegrad.initial_seed() == torch.initial_seed()


def test_fork_rng():
    for lib in (tapegrad, torch):
        lib.manual_seed(0)
        with lib.random.fork_rng():
            lib.rand(100)
        with lib.random.fork_rng(enabled=False):
            lib.rand(1)
    assert tapegrad.rand(3).tolist() == torch.rand(3).tolist()


@pytest.mark.parametrize("shape", [(3,), (40,), (5, 8)])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_dropout_masks(shape, p):
    for transposed in (False, True):
        torch.manual_seed(1)
        tapegrad.manual_seed(1)
        x = torch.ones(shape).t() if transposed and len(shape) == 2 else torch.ones(shape)
        theirs = torch.nn.functional.dropout(x, p) != 0
        from_ours = tapegrad.ops.random.draws.dropout_mask(x.numpy(), p)
        assert from_ours.tolist() == theirs.tolist()
        assert tapegrad.rand(2).tolist() == torch.rand(2).tolist()
