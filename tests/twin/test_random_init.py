"""Every function of nn.init against PyTorch: the same numbers after the same seed, and the generators in step."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

SHAPES = [(3, 5), (5, 3), (4, 4), (16,), (4, 2, 3), (6, 3, 3, 2), (2, 3, 2, 2, 2), (33, 31), (0, 3), (1, 1), ()]
CALLS: dict[str, list[dict]] = {
    "uniform_": [{}, {"a": -2.0, "b": 0.5}],
    "normal_": [{}, {"mean": 1.0, "std": 0.02}],
    "trunc_normal_": [
        {}, {"std": 0.02}, {"mean": 0.3, "std": 0.5, "a": 0.0, "b": 0.4}, {"mean": 4.0, "a": 0.5, "b": 1.5},
    ],
    "constant_": [{"val": 0.3}],
    "ones_": [{}],
    "zeros_": [{}],
    "eye_": [{}],
    "dirac_": [{}, {"groups": 2}],
    "xavier_uniform_": [{}, {"gain": 2.5}],
    "xavier_normal_": [{}, {"gain": 2.5}],
    "kaiming_uniform_": [{}, {"a": 0.2, "mode": "fan_out"}, {"nonlinearity": "relu"}],
    "kaiming_normal_": [{}, {"mode": "fan_out", "nonlinearity": "relu"}, {"mode": "both"}],
    "orthogonal_": [{}, {"gain": 2.5}],
    "sparse_": [{"sparsity": 0.3}, {"sparsity": 0.9, "std": 0.5}],
}  # fmt: skip
FUSED = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")  # else PyTorch rounds twice
NO_GENERATOR = ("constant_", "ones_", "zeros_", "eye_", "dirac_")


def run(T, name, shape, dtype, options, generator):
    T.manual_seed(5)
    x = T.empty(shape, dtype=getattr(T, dtype))
    if generator and name not in NO_GENERATOR:
        options = {**options, "generator": T.Generator().manual_seed(9)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = getattr(T.nn.init, name)(x, **options)
        except Exception as error:
            return type(error), T.rand(2).tolist()
    assert found is x and not x.requires_grad
    return x.double().numpy(), T.rand(2).tolist()


def test_every_function_is_tried():
    names = {n for n in dir(torch.nn.init) if n.endswith("_") and not n.startswith("_")}
    assert names == set(CALLS)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", CALLS)
def test_same_numbers(name, dtype):
    half = dtype.endswith("16")
    for shape in SHAPES:
        if half and (name == "orthogonal_" or len(shape) > 3):
            continue  # PyTorch has no QR for halves
        for options in CALLS[name]:
            for generator in (False, True):
                (ours, next_ours), (theirs, next_theirs) = (
                    run(T, name, shape, dtype, options, generator) for T in (tapegrad, torch)
                )
                case = f"{name} {shape} {options}"
                assert next_ours == next_theirs, case
                if isinstance(theirs, type) or isinstance(ours, type):
                    assert ours is theirs, case
                else:
                    bound = {"float32": 2e-6, "float64": 1e-12}.get(dtype, 4e-3) if name != "orthogonal_" else 1e-4
                    np.testing.assert_allclose(ours, theirs, bound, bound, err_msg=case)
                    if FUSED and "uniform" in name and name != "trunc_normal_":
                        assert (ours == theirs).all(), case
