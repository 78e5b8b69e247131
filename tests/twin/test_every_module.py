"""Every module of `nn`, found by introspection, side by side with PyTorch.

Each class is built with the same seed in both libraries, with the arguments in `module_cases`: its initial parameters,
keys and text, its outputs and all gradients are equal, in training and in evaluation. A class without an entry fails.
"""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from module_cases import CASES, build, to_lib  # noqa: E402

import tapegrad  # noqa: E402

# Classes of PyTorch that are not here, and why.
MISSING: dict[str, str] = {}
# The gradient's node has another name where one operation here is several there, or the other way round.
OTHER_NODES = {
    "Bilinear", "Flatten", "Unflatten", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "GroupNorm",
    "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "NLLLoss", "CrossEntropyLoss", "MultiMarginLoss",
    "MultiLabelMarginLoss", "RReLU", "PairwiseDistance", "RMSNorm", "AlphaDropout", "FeatureAlphaDropout",
    "Dropout1d", "Dropout3d", "MultiLabelSoftMarginLoss",
}  # fmt: skip
# Those of which the nodes are compared: one operation makes the output.
ONE_NODE = ("Linear", "ReLU", "Loss", "Softm", "Norm", "ELU", "Dropout", "Tanh", "Sigmoid", "Hard", "Embedding")
ALL = [(name, i) for name, cases in CASES.items() for i in range(len(cases))]


def modules(lib) -> set[str]:
    """The public classes of modules."""
    return {n for n, c in vars(lib.nn).items() if inspect.isclass(c) and issubclass(c, lib.nn.Module)}


def test_every_module_has_a_case():
    assert modules(tapegrad) == set(CASES)
    assert modules(torch) == set(CASES) | set(MISSING)


def close(ours, theirs, what, rtol=2e-5, atol=1e-6):
    assert (ours is None) == (theirs is None), f"{what}: {ours} and {theirs}"
    if ours is not None:
        assert tuple(ours.shape) == tuple(theirs.shape), what
        assert str(ours.dtype) == str(theirs.dtype), what
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol, atol, err_msg=what)


def tensors(lib, value) -> list:
    """All tensors in nested tuples, lists and named tuples."""
    if isinstance(value, lib.Tensor):
        return [value]
    return [t for v in value for t in tensors(lib, v)] if isinstance(value, (tuple, list)) else []


def step(lib, layer, inputs, seed=5):
    """One call with backward; leaves are changed by an identity first, so that in-place layers may write into them."""
    leaves = [to_lib(lib, value, grad=True) for value in inputs]
    inplace = getattr(layer, "inplace", False)
    given = [leaf * 1 if inplace and leaf.requires_grad else leaf for leaf in leaves]
    lib.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outs = tensors(lib, layer(*given))
    total = 0
    for i, out in enumerate(outs):
        if out.requires_grad:
            factors = np.random.default_rng(i + 1).standard_normal(tuple(out.shape)).astype(np.float32)
            total = total + (out * lib.tensor(factors)).sum()
    if outs and outs[0].requires_grad:
        total.backward()
    return outs, tensors(lib, leaves)


def values(module) -> dict:
    """The values of parameters and buffers that have a shape."""
    return {k: v.detach().numpy() for k, v in module.state_dict().items() if "Uninitialized" not in type(v).__name__}


def assert_same_state(ours, theirs):
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    found, expected = values(ours), values(theirs)
    assert list(found) == list(expected)
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[key], 3e-7, err_msg=key)  # normal draws may differ in the last bit


def made(name, i):
    args, kwargs, inputs = CASES[name][i]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [build(lib, name, args, kwargs) for lib in (tapegrad, torch)], inputs


@pytest.mark.parametrize("name, i", ALL, ids=lambda v: str(v))
def test_construction(name, i):
    """Initial values, keys, text, and what a checkpoint says of versions."""
    (ours, theirs), _ = made(name, i)
    assert_same_state(ours, theirs)
    own, other = ours.state_dict()._metadata, theirs.state_dict()._metadata
    assert {k: dict(v) for k, v in own.items()} == {k: dict(v) for k, v in other.items()}
    assert tapegrad.rand(1).item() == torch.rand(1).item()  # as many draws


@pytest.mark.parametrize("name, i", [(n, i) for n, i in ALL if CASES[n][i][2] is not None], ids=lambda v: str(v))
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_calls(name, i, training):
    """Outputs, gradients of inputs and parameters, and buffers, twice."""
    (ours, theirs), inputs = made(name, i)
    ours.train(training)
    theirs.train(training)
    for _ in range(2):
        (outs, leaves), (references, others) = (step(lib, m, inputs) for lib, m in ((tapegrad, ours), (torch, theirs)))
        assert len(outs) == len(references)
        for k, (out, reference) in enumerate(zip(outs, references)):
            close(out, reference, f"output {k}")
            assert out.requires_grad == reference.requires_grad
            if name not in OTHER_NODES and name.endswith(ONE_NODE) and reference.grad_fn is not None:
                assert out.grad_fn.name()[:-1] == reference.grad_fn.name()[:-1]  # the digit tells the in-place form
        for a, b in zip(leaves, others):
            close(a.grad, b.grad, "input gradient", atol=1e-5)
        for (key, a), b in zip(ours.named_parameters(), theirs.parameters()):
            close(a.grad, b.grad, f"gradient of {key}", atol=1e-5)
        for (key, a), b in zip(ours.named_buffers(), theirs.buffers()):
            close(a, b, key)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
