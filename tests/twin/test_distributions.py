"""Every name of torch.distributions against PyTorch: draws, densities, moments, derivatives, divergences, texts."""

# ruff: noqa: B023  (functions that are made in loops are called there)

from __future__ import annotations

import contextlib
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

OURS, THEIRS = tapegrad.distributions, torch.distributions
MISSING: dict[str, str] = {}  # names that tapegrad lacks, and why

# Parameters of each distribution: tensors (given as lists, with gradients) and other arguments, by name.
M2 = [[2.0, 0.6], [0.6, 1.0]]
L2 = [[1.2, 0.0], [-0.4, 0.8]]
CASES: dict[str, list[dict[str, Any]]] = {
    "Bernoulli": [{"probs": [0.3, 0.9]}, {"logits": [[0.5], [-2.0]]}, {"probs": 0.25}],
    "Beta": [
        {"concentration1": [0.5, 2.0, 30.0], "concentration0": [1.5, 0.2, 7.0]},
        {"concentration1": 2.0, "concentration0": 3.0},
    ],
    "Binomial": [{"total_count": 5, "probs": [0.3, 0.9]}, {"total_count": 40, "logits": [0.5, -2.0]}],
    "Categorical": [{"probs": [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]}, {"logits": [0.5, -2.0, 1.0]}],
    "Cauchy": [{"loc": [0.5, -2.0], "scale": [1.0, 3.0]}, {"loc": 0.0, "scale": 1.0}],
    "Chi2": [{"df": [1.0, 2.5, 9.0]}, {"df": 3.0}],
    "ContinuousBernoulli": [{"probs": [0.3, 0.5, 0.9]}, {"logits": [0.5, -2.0]}],
    "Dirichlet": [{"concentration": [[0.5, 2.0, 5.0], [1.0, 1.0, 1.0]]}, {"concentration": [0.3, 0.4]}],
    "Exponential": [{"rate": [0.5, 2.0]}, {"rate": 1.5}],
    "FisherSnedecor": [{"df1": [3.0, 5.0], "df2": [4.5, 9.0]}, {"df1": 3.0, "df2": 7.0}],
    "Gamma": [{"concentration": [0.5, 2.0, 30.0], "rate": [1.5, 0.2, 7.0]}, {"concentration": 2.0, "rate": 3.0}],
    "GeneralizedPareto": [{"loc": [0.0, 1.0, 2.0], "scale": [1.0, 2.0, 3.0], "concentration": [0.0, 0.3, -0.4]}],
    "Geometric": [{"probs": [0.3, 0.9]}, {"logits": [0.5, -2.0]}, {"probs": 0.5}],
    "Gumbel": [{"loc": [0.5, -2.0], "scale": [1.0, 3.0]}, {"loc": 0.0, "scale": 1.0}],
    "HalfCauchy": [{"scale": [1.0, 3.0]}, {"scale": 2.0}],
    "HalfNormal": [{"scale": [1.0, 3.0]}, {"scale": 2.0}],
    "InverseGamma": [{"concentration": [2.5, 3.0], "rate": [1.5, 0.2]}, {"concentration": 2.0, "rate": 3.0}],
    "Kumaraswamy": [{"concentration1": [0.5, 2.0], "concentration0": [1.5, 3.0]}],
    "LKJCholesky": [{"dim": 3, "concentration": [0.5, 2.0]}, {"dim": 2, "concentration": 1.0}],
    "Laplace": [{"loc": [0.5, -2.0], "scale": [1.0, 3.0]}, {"loc": 0.0, "scale": 1.0}],
    "LogNormal": [{"loc": [0.5, -2.0], "scale": [1.0, 0.3]}, {"loc": 0.0, "scale": 1.0}],
    "LogisticNormal": [
        {"loc": [[0.5, -2.0], [0.0, 1.0]], "scale": [[1.0, 0.3], [0.5, 2.0]]},
        {"loc": 0.0, "scale": 1.0},
    ],
    "LowRankMultivariateNormal": [
        {"loc": [0.5, -2.0, 1.0], "cov_factor": [[1.0], [0.5], [-1.0]], "cov_diag": [1.0, 0.3, 2.0]},
        {"loc": [[0.5, -2.0], [0.0, 1.0]], "cov_factor": [[1.0], [0.5]], "cov_diag": [1.0, 0.3]},
    ],
    "Multinomial": [
        {"total_count": 6, "probs": [0.2, 0.3, 0.5]},
        {"total_count": 3, "logits": [[0.5, -2.0], [1.0, 0.0]]},
    ],
    "MultivariateNormal": [
        {"loc": [0.5, -2.0], "covariance_matrix": M2},
        {"loc": [[0.5, -2.0], [0.0, 1.0]], "precision_matrix": M2},
        {"loc": [0.5, -2.0], "scale_tril": [L2, [[1.0, 0.0], [0.5, 0.5]]]},
    ],
    "NegativeBinomial": [{"total_count": [3.0, 5.0], "probs": [0.3, 0.7]}, {"total_count": 4, "logits": [0.5, -2.0]}],
    "Normal": [
        {"loc": [0.5, -2.0], "scale": [1.0, 3.0]},
        {"loc": 0.0, "scale": 1.0},
        {"loc": [[0.0], [1.0]], "scale": [1.0, 2.0]},
    ],
    "OneHotCategorical": [{"probs": [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]}, {"logits": [0.5, -2.0, 1.0]}],
    "OneHotCategoricalStraightThrough": [{"probs": [[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]}],
    "Pareto": [{"scale": [1.0, 3.0], "alpha": [2.5, 4.0]}, {"scale": 1.0, "alpha": 3.0}],
    "Poisson": [{"rate": [0.5, 2.0, 30.0]}, {"rate": 4.0}],
    "RelaxedBernoulli": [{"temperature": [0.7], "probs": [0.3, 0.9]}, {"temperature": [0.7], "logits": [0.5, -2.0]}],
    "RelaxedOneHotCategorical": [
        {"temperature": [0.7], "probs": [0.2, 0.3, 0.5]},
        {"temperature": [2.0], "logits": [[0.5, -2.0]]},
    ],
    "StudentT": [{"df": [1.5, 2.5, 9.0]}, {"df": [3.0, 5.0], "loc": [1.0, 2.0], "scale": [0.5, 2.0]}],
    "Uniform": [{"low": [0.0, -2.0], "high": [1.0, 3.0]}, {"low": 0.0, "high": 4.0}],
    "VonMises": [{"loc": [0.5, -2.0, 3.0], "concentration": [1.0, 3.0, 0.1]}],
    "Weibull": [{"scale": [1.0, 3.0], "concentration": [0.7, 2.0]}],
    "Wishart": [
        {"df": [4.0], "covariance_matrix": M2},
        {"df": [3.5, 5.0], "scale_tril": L2},
        {"df": 3.0, "precision_matrix": M2},
    ],
}
COMPOSED: dict[str, Callable] = {
    "Independent": lambda T, D: D.Independent(D.Normal(T.zeros(2, 3), T.ones(3)), 1),
    "MixtureSameFamily": lambda T, D: D.MixtureSameFamily(
        D.Categorical(T.tensor([0.3, 0.7])), D.Normal(T.tensor([-1.0, 2.0]), T.tensor([0.5, 1.5]))
    ),
    "MixtureSameFamily of vectors": lambda T, D: D.MixtureSameFamily(
        D.Categorical(T.tensor([0.3, 0.7])),
        D.Independent(D.Normal(T.tensor([[-1.0, 0.0], [2.0, 1.0]]), T.ones(2, 2)), 1),
    ),
    "TransformedDistribution": lambda T, D: D.TransformedDistribution(
        D.Normal(T.zeros(2), T.ones(2)), [D.AffineTransform(T.tensor(1.0), -2.0), D.SigmoidTransform()]
    ),
    "TransformedDistribution of vectors": lambda T, D: D.TransformedDistribution(
        D.Independent(D.Normal(T.zeros(2, 3), T.ones(3)), 1), [D.ExpTransform()]
    ),
}
VARIANTS = [(name, i) for name, cases in CASES.items() for i in range(len(cases))] + [(name, 0) for name in COMPOSED]
SMALL = {"float32": 2e-6, "float64": 1e-12}

# Derivatives of these draws are PyTorch's approximations, up to 1e-3 off; tapegrad's are exact to 1e-9.
APPROXIMATE = "Beta Chi2 Dirichlet FisherSnedecor Gamma InverseGamma StudentT Wishart".split()


def quietly(function: Callable, *args: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def make(T: Any, name: str, i: int = 0, dtype: str = "float64", grad: bool = False) -> tuple[Any, list]:
    """The distribution in package T, and the leaves of its parameters."""
    with default(T, dtype):
        if name in COMPOSED:
            return COMPOSED[name](T, T.distributions), []
        given = {k: T.tensor(v) if isinstance(v, list) else v for k, v in CASES[name][i].items()}
        leaves = [v.requires_grad_() for v in given.values() if grad and isinstance(v, T.Tensor)]
        return quietly(lambda: getattr(T.distributions, name)(**given)), leaves


def array(t: Any) -> np.ndarray:
    return np.asarray(t.detach().numpy() if isinstance(t, (torch.Tensor, tapegrad.Tensor)) else t)


def same(ours: Any, theirs: Any, tolerance: float, what: str = "") -> None:
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert type(ours) is type(theirs) or isinstance(ours, type(theirs)), f"{what}: {ours!r} | {theirs!r}"
        return
    a, b = array(ours), array(theirs)
    assert a.shape == b.shape and a.dtype == b.dtype, f"{what}: {a.shape} {a.dtype} | {b.shape} {b.dtype}"
    np.testing.assert_allclose(a, b, tolerance, tolerance, equal_nan=True, err_msg=what)


@contextlib.contextmanager
def default(T: Any, dtype: str) -> Iterator[None]:
    T.set_default_dtype(getattr(T, dtype))
    try:
        yield
    finally:
        T.set_default_dtype(T.float32)


def attempt(function: Callable) -> Any:
    try:
        return quietly(function)
    except Exception as error:
        return error


def both(name: str, i: int, function: Callable, tolerance: float, dtype: str = "float64", what: str = "") -> None:
    found = []
    for T in (tapegrad, torch):
        d, _ = make(T, name, i, dtype)
        with default(T, dtype):
            found.append(attempt(lambda T=T, d=d: function(T, d)))
    same(*found, tolerance, f"{name} {what}")


def draws(T: Any, d: Any, shape: tuple = (5,), method: str = "sample") -> Any:
    T.manual_seed(7)
    default = T.get_default_dtype()
    found = getattr(d, method)(T.Size(shape))
    assert T.get_default_dtype() == default
    return found


# ---- what there is ---------------------------------------------------------------------------------------------------


def test_every_name_is_there():
    lacking = set(THEIRS.__all__) - set(OURS.__all__)
    assert lacking == set(MISSING)
    for module in ("constraints", "transforms", "utils", "constraint_registry", "kl"):
        ours, theirs = (getattr(D, module) for D in (OURS, THEIRS))
        names = getattr(theirs, "__all__", ())
        assert not [n for n in names if not hasattr(ours, n)], module


def test_every_distribution_is_tried():
    classes = {n for n in THEIRS.__all__ if isinstance(getattr(THEIRS, n), type)}
    kinds = {n for n in classes if issubclass(getattr(THEIRS, n), THEIRS.Distribution)}
    tried = set(CASES) | {name.split()[0] for name in COMPOSED}
    assert kinds - tried == {"Distribution", "ExponentialFamily"}


# ---- one distribution ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "i"), VARIANTS)
def test_draws(name, i, dtype):
    """The same numbers, and the generator in step afterwards."""
    tolerance = {"float32": 2e-5, "float64": 1e-11}[dtype]
    for shape in ((), (5,), (2, 17)):
        found = []
        for T in (tapegrad, torch):
            d, _ = make(T, name, i, dtype)
            with default(T, dtype):
                found.append([attempt(lambda T=T, d=d: draws(T, d, shape)), T.rand(3, dtype=T.float32).tolist()])
        same(found[0][0], found[1][0], tolerance, name)
        assert found[0][1] == found[1][1], f"{name}: the generators are not in step after {shape}"


@pytest.mark.parametrize(("name", "i"), VARIANTS)
def test_densities(name, i):
    """log_prob, cdf, icdf of drawn values; entropy, moments, mode, support, enumerate_support."""
    for dtype, tolerance in (("float64", 1e-9), ("float32", 2e-4)):
        torch.manual_seed(3)
        values = quietly(lambda: make(torch, name, i, dtype)[0].sample((6,)))
        as_theirs = {torch: values, tapegrad: tapegrad.from_numpy(values.numpy().copy())}
        for method in ("log_prob", "cdf"):
            both(name, i, lambda T, d, m=method: getattr(d, m)(as_theirs[T]), tolerance, dtype, method)
        if dtype == "float32":
            continue
        p = (
            np.linspace(0.05, 0.95, 6).reshape(6, *(1,) * values.dim())[..., 0]
            if values.dim() > 1
            else np.linspace(0.05, 0.95, 6)
        )
        both(name, i, lambda T, d: d.icdf(T.from_numpy(np.array(p))), tolerance, dtype, "icdf")
        for method in ("entropy", "perplexity"):
            both(name, i, lambda T, d, m=method: getattr(d, m)(), tolerance, dtype, method)
        for fact in ("mean", "mode", "variance", "stddev"):
            both(name, i, lambda T, d, f=fact: getattr(d, f), tolerance, dtype, fact)
        for expand in (True, False):
            both(name, i, lambda T, d, e=expand: d.enumerate_support(e), tolerance, dtype, "enumerate_support")
        both(name, i, lambda T, d: d.support.check(as_theirs[T]), 0, dtype, "support")


@pytest.mark.parametrize(("name", "i"), VARIANTS)
def test_facts(name, i):
    ours, theirs = (make(T, name, i, "float32")[0] for T in (tapegrad, torch))
    assert repr(ours) == repr(theirs)
    for fact in ("batch_shape", "event_shape", "support", "has_rsample", "has_enumerate_support"):
        assert repr(getattr(ours, fact)) == repr(getattr(theirs, fact)), fact
    assert list(ours.arg_constraints) == list(theirs.arg_constraints)
    assert {k: repr(v) for k, v in ours.arg_constraints.items()} == {
        k: repr(v) for k, v in theirs.arg_constraints.items()
    }
    for kind in (type(ours), type(theirs)):
        assert kind.__doc__ and isinstance(kind.__name__, str)
    dims = [repr(attempt(lambda c=c: type(c).support.event_dim)) for c in (ours, theirs)]
    assert dims[0].split("(")[0] == dims[1].split("(")[0]


@pytest.mark.filterwarnings("ignore:Singular sample")
@pytest.mark.parametrize(("name", "i"), VARIANTS)
def test_expand(name, i):
    results = []
    for T in (tapegrad, torch):
        d, _ = make(T, name, i, "float32")
        shape = (
            (2, 3, *d.batch_shape) if 1 not in d.batch_shape else (2, 3, *(4 if n == 1 else n for n in d.batch_shape))
        )
        wide = d.expand(T.Size(shape))
        T.manual_seed(1)
        values = wide.sample()
        results.append(
            [repr(wide.batch_shape), repr(wide), values, wide.log_prob(values), attempt(lambda w=wide: w.mean)]
        )
    (a, b, *ours), (c, d, *theirs) = results
    assert (a, b) == (c, d)
    for x, y in zip(ours, theirs):
        same(x, y, 1e-3, name)


def derivatives(T: Any, name: str, i: int, values: np.ndarray) -> list[tuple[str, Any]]:
    """Gradients of draws and of log_prob, by the parameters and by the value."""
    d, leaves = make(T, name, i, grad=True)
    found = []
    with default(T, "float64"):
        T.manual_seed(2)
        if d.has_rsample and leaves and name != "Wishart":  # where PyTorch fails: it writes into a mask it has saved
            y = quietly(lambda: d.rsample((4,)))
            (y * T.arange(1.0, y.numel() + 1).reshape(y.shape).cos()).sum().backward(retain_graph=True)
            found += [("rsample", leaf.grad) for leaf in leaves]
            for leaf in leaves:
                leaf.grad = None
        x = T.from_numpy(values).requires_grad_(d.has_rsample and name != "OneHotCategoricalStraightThrough")
        log_prob = d.log_prob(x)
        if log_prob.requires_grad:
            log_prob.sum().backward()
        return found + [("log_prob", leaf.grad) for leaf in leaves] + [("value", x.grad)]


@pytest.mark.parametrize(("name", "i"), [(n, i) for n, i in VARIANTS if n not in COMPOSED])
def test_derivatives(name, i):
    values = make_values(name, i)
    found = [derivatives(T, name, i, values.copy()) for T in (tapegrad, torch)]
    for (what, ours), (_, theirs) in zip(*found):
        assert (ours is None) == (theirs is None), f"{name} {what}"
        if ours is not None:
            tolerance = 2e-3 if what == "rsample" and name in APPROXIMATE else 1e-7
            if name == "Wishart" and ours.dim() == 2 and "scale_tril" in CASES[name][i]:
                ours, theirs = ours.tril(), theirs.tril()  # the upper triangle is not read, yet PyTorch gives it a part
            same(ours, theirs, tolerance, f"{name} {what}")


def make_values(name: str, i: int) -> np.ndarray:
    torch.manual_seed(3)
    return quietly(lambda: make(torch, name, i)[0].sample((4,))).numpy().copy()


# ---- arguments -------------------------------------------------------------------------------------------------------

BAD = """\
Normal(0.0, -1.0)
Normal(T.zeros(2), T.tensor([1.0, -1.0]))
Normal(T.tensor(float("nan")), 1.0)
Normal("a", 1.0)
Normal(0.0, 1.0).log_prob(1.0)
Normal(T.zeros(2), 1.0).log_prob(T.zeros(3))
Normal(0.0, 1.0).log_prob(T.tensor(float("nan")))
Normal(0.0, 1.0).enumerate_support()
Normal(T.zeros(2), T.ones(3))
Normal(0.0, 1.0, validate_args=False).log_prob(T.tensor(float("nan"))).isnan().item() or 1 / 0
Bernoulli()
Bernoulli(0.5, 0.5)
Bernoulli(1.5)
Bernoulli(0.5).log_prob(T.tensor(0.5))
Bernoulli(0.5).rsample()
Bernoulli(0.5).cdf(T.tensor(0.5))
Categorical()
Categorical(T.tensor(1.0))
Categorical(T.tensor([-1.0, 1.0]))
Categorical(T.ones(3)).log_prob(T.tensor(3))
OneHotCategorical(T.ones(3)).log_prob(T.ones(3))
Uniform(1.0, 0.0)
Uniform(0.0, 1.0).log_prob(T.tensor(2.0))
Gamma(0.0, 1.0)
Gamma(1.0, 1.0).log_prob(T.tensor(-1.0))
Beta(1.0, 1.0).log_prob(T.tensor(2.0))
Dirichlet(T.tensor(1.0))
Dirichlet(T.ones(3)).log_prob(T.ones(3))
Geometric(0.0)
Geometric()
Binomial(3, 0.5).log_prob(T.tensor(4.0))
Binomial(T.tensor([2.0, 3.0]), 0.5).entropy()
Multinomial(T.tensor([1, 2]), T.ones(2))
Multinomial(2, T.ones(2)).log_prob(T.tensor([3.0, 0.0]))
MultivariateNormal(T.zeros(2))
MultivariateNormal(T.zeros(2), T.eye(2), T.eye(2))
MultivariateNormal(T.zeros(2), -T.eye(2))
MultivariateNormal(T.zeros(2), T.tensor([[1.0, 0.5], [0.0, 1.0]]))
MultivariateNormal(T.tensor(0.0), T.eye(1))
MultivariateNormal(T.zeros(2), T.ones(2))
LowRankMultivariateNormal(T.zeros(2), T.ones(3, 1), T.ones(2))
LowRankMultivariateNormal(T.zeros(2), T.ones(2, 1), T.ones(3))
LKJCholesky(1)
Wishart(T.tensor(0.5), T.eye(2))
Wishart(T.tensor(3.0))
Independent(Normal(0.0, 1.0), 1)
TransformedDistribution(Normal(0.0, 1.0), 3)
TransformedDistribution(Normal(0.0, 1.0), [3])
TransformedDistribution(Normal(0.0, 1.0), StickBreakingTransform())
MixtureSameFamily(Normal(0.0, 1.0), Normal(0.0, 1.0))
MixtureSameFamily(Categorical(T.ones(3)), Normal(T.zeros(2), T.ones(2)))
Distribution.set_default_validate_args(3)
Distribution().mean
Distribution().sample()
Distribution().expand((2,))
kl_divergence(Normal(0.0, 1.0), Poisson(1.0))
kl_divergence(Independent(Normal(T.zeros(2), 1.0), 1), Independent(Normal(T.zeros(2, 2), 1.0), 2))
register_kl(3, Normal)
ExpTransform(cache_size=2)
Transform()(T.ones(2))
ReshapeTransform((2,), (3,))
biject_to(constraints.lower_cholesky)
biject_to(constraints.boolean)
biject_to.register(3, 4)
constraints.dependent.check(T.ones(2))
constraints.independent(constraints.real, 2).check(T.ones(2))"""


def scope(T: Any) -> dict:
    return {
        **{n: getattr(T.distributions, n) for n in T.distributions.__all__},
        "T": T,
        "constraints": T.distributions.constraints,
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", BAD.splitlines())
def test_errors(text):
    theirs, ours = (attempt(lambda T=T: eval(text, scope(T))) for T in (torch, tapegrad))
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception) and isinstance(ours, type(theirs)), f"{ours!r} | {theirs!r}"
    else:
        assert not isinstance(ours, Exception), repr(ours)


def test_default_validation():
    for T in (tapegrad, torch):
        T.distributions.Distribution.set_default_validate_args(False)
        try:
            assert repr(T.distributions.Normal(0.0, -1.0)) == "Normal(loc: 0.0, scale: -1.0)"
        finally:
            T.distributions.Distribution.set_default_validate_args(True)


def test_subclasses():
    for T in (tapegrad, torch):

        class Mine(T.distributions.Normal):
            def __init__(self, x):
                super().__init__(x, 1.0)

        class Plain(T.distributions.Normal):
            pass

        with pytest.raises(NotImplementedError):
            Mine(T.zeros(2)).expand((3, 2))
        assert type(Plain(0.0, 1.0).expand((2,))) is Plain
        copy = pickle.loads(pickle.dumps(T.distributions.Gamma(T.ones(2), 1.0)))
        assert repr(copy.mean) == "tensor([1., 1.])"


# ---- divergences -----------------------------------------------------------------------------------------------------


def pairs_of(kl: Any) -> dict:
    return getattr(kl, "_KL_REGISTRY", None) or kl._TABLE


def test_every_divergence_is_there():
    ours, theirs = ({(a.__name__, b.__name__) for a, b in pairs_of(D.kl)} for D in (OURS, THEIRS))
    assert theirs <= ours


PAIRS = sorted({(a.__name__, b.__name__) for a, b in pairs_of(THEIRS.kl)})


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_divergences(p, q):
    if "ExponentialFamily" in (p, q):
        p = q = "Chi2"
    if p in COMPOSED:
        variants = [(0, 0)]
    else:
        variants = [(i, j) for i in range(len(CASES[p])) for j in range(len(CASES[q]))]
    for i, j in variants:

        def value(T, i=i, j=j):
            first, leaves = make(T, p, i, grad=True)
            found = T.distributions.kl_divergence(first, make(T, q, j)[0])
            if found.requires_grad and bool(T.isfinite(found).all()):
                found.sum().backward()
                return [found.detach(), *(leaf.grad for leaf in leaves)]
            return [found.detach()]

        ours, theirs = attempt(lambda: value(tapegrad)), attempt(lambda: value(torch))
        if isinstance(theirs, Exception) or isinstance(ours, Exception):
            bug = isinstance(theirs, IndexError)  # masks that should have been broadcast
            assert bug or (isinstance(theirs, Exception) and isinstance(ours, Exception)), (
                f"{p} {q} {ours!r} | {theirs!r}"
            )
            continue
        for a, b in zip(ours, theirs):
            if a is not None and b is not None:
                same(a, b, 1e-7, f"{p} to {q}")


# ---- constraints and transforms --------------------------------------------------------------------------------------

CONSTRAINTS = """\
boolean positive real nonnegative nonnegative_integer positive_integer unit_interval simplex one_hot real_vector
lower_cholesky lower_triangular corr_cholesky square symmetric positive_semidefinite positive_definite
interval(-1.0,2.0) half_open_interval(-1.0,2.0) integer_interval(0,2) greater_than(0.5) greater_than_eq(0.5)
less_than(0.5) multinomial(3) independent(constraints.positive,1) cat([constraints.positive,constraints.real],-1)
stack([constraints.positive,constraints.real],-1) dependent MixtureSameFamilyConstraint(constraints.positive)""".split()
VALUES = [
    np.array([0.0, 1.0]), np.array([[0.5, 2.0], [1.0, 0.0]]), np.array([[-1.0, 0.0], [math.nan, 1.0]]), np.eye(2),
    np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[1.0, 0.0], [0.6, 0.8]]),
    np.array([0.3, 0.7]), np.zeros((2, 2)),
]  # fmt: skip


@pytest.mark.parametrize("text", CONSTRAINTS)
def test_constraints(text):
    found = []
    for T in (tapegrad, torch):
        c = eval(f"constraints.{text}", scope(T))
        mine = [repr(c), repr(attempt(lambda c=c: c.is_discrete))[:5], repr(attempt(lambda c=c: c.event_dim))[:5]]
        for v in VALUES:
            r = attempt(lambda c=c, v=v: c.check(T.tensor(v)).tolist())
            mine.append(type(r).__name__ if isinstance(r, Exception) else r)
        for table in ("biject_to", "transform_to"):
            t = attempt(lambda c=c, table=table: getattr(T.distributions, table)(c))
            mine.append(type(t).__name__ if isinstance(t, Exception) else repr(t))
        found.append(mine)
    assert found[0] == found[1]


TRANSFORMS = {  # text: shape of the input, what it is drawn by
    "ExpTransform()": (3,),
    "AbsTransform()": (3,),
    "SigmoidTransform()": (3,),
    "SoftplusTransform()": (3,),
    "TanhTransform()": (3,),
    "PowerTransform(T.tensor(2.0))": (3,),
    "PowerTransform(T.tensor([-1.0, 0.5, 2.0]))": (3,),
    "AffineTransform(1.0, -2.0)": (3,),
    "AffineTransform(T.tensor([1.0, 2.0]), T.tensor([3.0, -1.0]))": (4, 2),
    "AffineTransform(1.0, 2.0, event_dim=1)": (2, 3),
    "AffineTransform(T.zeros(3), T.ones(3) * 2, event_dim=1)": (2, 3),
    "SoftmaxTransform()": (2, 3),
    "StickBreakingTransform()": (2, 3),
    "LowerCholeskyTransform()": (2, 3, 3),
    "PositiveDefiniteTransform()": (2, 3, 3),
    "CorrCholeskyTransform()": (2, 6),
    "ReshapeTransform((6,), (2, 3))": (2, 6),
    "ComposeTransform([AffineTransform(1.0, 2.0), ExpTransform()])": (3,),
    "identity_transform": (3,),
    "ComposeTransform([ExpTransform(), StickBreakingTransform()])": (2, 3),
    "ComposeTransform([])": (2,),
    "IndependentTransform(ExpTransform(), 1)": (2, 3),
    "CumulativeDistributionTransform(Normal(0.0, 1.0))": (3,),
    "CatTransform([ExpTransform(), AffineTransform(0.0, 2.0)], dim=0, lengths=[1, 2])": (3,),
    "CatTransform([ExpTransform(), SigmoidTransform()], dim=-1)": (3, 2),
    "StackTransform([ExpTransform(), SigmoidTransform()], dim=0)": (2, 3),
    "ExpTransform(cache_size=1)": (3,),
    "ComposeTransform([AffineTransform(1.0, 2.0), ExpTransform()], cache_size=1)": (3,),
    "ExpTransform().inv": (3,),
    "ComposeTransform([ExpTransform(), SigmoidTransform()]).inv": (3,),
}


@pytest.mark.parametrize("text", TRANSFORMS)
def test_transforms(text):
    x = np.random.default_rng(0).uniform(0.1, 0.9, TRANSFORMS[text])
    found = []
    for T in (tapegrad, torch):
        T.set_default_dtype(T.float64)
        try:
            t = eval(text, scope(T))
            v = T.tensor(x, requires_grad=True)
            y = t(v)
            mine: list = [
                y,
                attempt(lambda t=t, y=y: t.inv(y)),
                attempt(lambda t=t, y=y, v=v: t.log_abs_det_jacobian(v, y)),
            ]
            mine.append(T.autograd.grad(y.sum(), v)[0])
            facts = [
                repr(t),
                t.bijective,
                repr(attempt(lambda t=t: t.sign)).split("(")[0],
                repr(t.domain),
                repr(t.codomain),
            ]
            facts += [
                repr(attempt(lambda t=t: t.event_dim)).split("(")[0],
                repr(attempt(lambda t=t: tuple(t.forward_shape(T.Size(x.shape))))),
            ]
            facts += [
                t == t,
                t != t.inv,
                t.inv.inv == t,
                repr(t.inv),
                repr(attempt(lambda t=t: t.with_cache(1))).split("(")[0],
            ]
            facts += [repr(attempt(lambda t=t, y=y: tuple(t.inverse_shape(y.shape)))).split("(")[0]]
            found.append((mine, facts))
        finally:
            T.set_default_dtype(T.float32)
    (ours, ours_facts), (theirs, theirs_facts) = found
    assert ours_facts == theirs_facts
    for a, b in zip(ours, theirs):
        same(a, b, 1e-9, text)


def test_caches():
    for T in (tapegrad, torch):
        t = T.distributions.ExpTransform(cache_size=1)
        x = T.ones(2)
        y = t(x)
        assert t(x) is y and t.inv(y) is x
        assert t.with_cache(1) is t and t.with_cache(0) is not t
        assert T.distributions.ExpTransform() == T.distributions.ExpTransform()
        assert T.distributions.ExpTransform() != T.distributions.AbsTransform()
        assert T.distributions.AffineTransform(1, 2) == T.distributions.AffineTransform(1, 2)
        assert T.distributions.AffineTransform(1, 2) != T.distributions.AffineTransform(1, 3)


@pytest.mark.parametrize("diag", [-1, 0, 1])
def test_triangles(diag):
    x = np.arange(16.0).reshape(4, 4)
    ours, theirs = (T.distributions.utils.tril_matrix_to_vec(T.tensor(x), diag) for T in (tapegrad, torch))
    same(ours, theirs, 0)
    if diag < 1:
        back = [T.distributions.utils.vec_to_tril_matrix(v, diag) for T, v in ((tapegrad, ours), (torch, theirs))]
        same(*back, 0)


def test_relaxed_helpers():
    """The classes that PyTorch keeps in the modules."""
    from tapegrad.distributions.relaxed_bernoulli import LogitRelaxedBernoulli
    from tapegrad.distributions.relaxed_categorical import ExpRelaxedCategorical

    p = tapegrad.tensor([0.2, 0.7])
    ours = [LogitRelaxedBernoulli(tapegrad.tensor(0.5), p), ExpRelaxedCategorical(tapegrad.tensor(0.5), p)]
    p = torch.tensor([0.2, 0.7])
    theirs = [
        torch.distributions.relaxed_bernoulli.LogitRelaxedBernoulli(torch.tensor(0.5), p),
        torch.distributions.relaxed_categorical.ExpRelaxedCategorical(torch.tensor(0.5), p),
    ]
    for a, b in zip(ours, theirs):
        tapegrad.manual_seed(0), torch.manual_seed(0)
        x, y = a.rsample((3,)), b.rsample((3,))
        same(x, y, 1e-5)
        same(a.log_prob(x), b.log_prob(y), 1e-5)
