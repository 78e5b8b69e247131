"""Spectra, window functions, masked reductions and rare functions against PyTorch: values, gradients, errors."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

# ---- both sides ---------------------------------------------------------------------------------------------------


def draw(*shape, seed=0, kind="float64") -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    found = rng.normal(size=shape)
    return found + 1j * rng.normal(size=shape) if kind == "complex128" else found


def resolve(lib, path):
    for part in path.split("."):
        lib = getattr(lib, part)
    return lib


def everything(lib, function, array) -> list[np.ndarray]:
    """The result, the gradient of its magnitude, and the gradient of a function of that."""
    x = lib.tensor(array).requires_grad_()
    out = function(lib, x)
    weights = lib.tensor(np.random.default_rng(5).normal(size=tuple(out.shape)))
    (g,) = lib.autograd.grad((out.abs() ** 2 * weights).sum(), x, create_graph=True)
    (h,) = lib.autograd.grad((g.abs() ** 2).sum(), x)
    return [out.grad_fn.name(), *(t.detach().resolve_conj().numpy() for t in (out, g, h))]


def agree(function, array, tolerance=1e-10) -> None:
    ours, theirs = everything(tapegrad, function, array), everything(torch, function, array)
    assert ours[0] == theirs[0]
    for a, b in zip(ours[1:], theirs[1:]):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, tolerance, tolerance)


# ---- torch.fft ----------------------------------------------------------------------------------------------------

ONE = "fft ifft rfft irfft hfft ihfft".split()
SEVERAL = [name + end for name in ONE for end in ("2", "n")]


def kinds(name):
    """What a transform takes: half a spectrum must be complex to be anything, real transforms take real numbers."""
    return ["float64"] if name.startswith(("rfft", "ihfft")) else ["float64", "complex128"]


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", ONE)
def test_one_dimension(name, norm):
    for kind in kinds(name):
        x = draw(3, 5, kind=kind)
        for options in ({}, {"n": 4}, {"n": 9}, {"dim": 0})[: None if norm is None else 1]:
            agree(lambda lib, x, o=options: getattr(lib.fft, name)(x, norm=norm, **o), x)


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", SEVERAL)
def test_several_dimensions(name, norm):
    for kind in kinds(name):
        x = draw(2, 3, 4, kind=kind)
        several = ({"s": (4, 5)}, {}, {"s": (2, -1)}, {"dim": (2, 0)}, {"s": (2, 6), "dim": (0, 1)})
        for options in several[: 1 if norm or name.endswith("2") else None]:
            agree(lambda lib, x, o=options: getattr(lib.fft, name)(x, norm=norm, **o), x)


@pytest.mark.parametrize("name", ONE + SEVERAL)
def test_dtypes_and_out(name):
    for dtype in ("float32", "int64", "bool", "float64", "complex64"):
        found = []
        for lib in (tapegrad, torch):
            x = lib.tensor(draw(4, 4) > 0).to(getattr(lib, dtype))
            try:
                out = getattr(lib.fft, name)(x)
                room = lib.empty(0, dtype=out.dtype)
                assert getattr(lib.fft, name)(x, out=room) is room and lib.equal(room, out)
                found.append((str(out.dtype), tuple(out.shape)))
            except RuntimeError:
                found.append("refused")
        assert found[0] == found[1]


@pytest.mark.parametrize("n", [1, 4, 5])
def test_frequencies(n):
    for lib_function in ("fftfreq", "rfftfreq"):
        for d in (1.0, 0.3):
            a, b = (getattr(lib.fft, lib_function)(n, d) for lib in (tapegrad, torch))
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    for name in ("fftshift", "ifftshift"):
        for dim in (None, 1, (0, -1)):
            a, b = (getattr(lib.fft, name)(lib.arange(3 * n).reshape(3, n), dim) for lib in (tapegrad, torch))
            np.testing.assert_array_equal(a.numpy(), b.numpy())


# ---- stft and istft -----------------------------------------------------------------------------------------------

SETTINGS = [
    {},
    {"hop_length": 3, "center": False},
    {"win_length": 6, "normalized": True},
    {"onesided": False, "pad_mode": "constant"},
    {"win_length": 5, "hop_length": 2, "pad_mode": "replicate"},
    {"win_length": 6, "center": False, "align_to_window": True},
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("options", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(40,), (2, 41)])
def test_short_spectra(options, shape):
    window = np.hanning(options.get("win_length", 8) + 2)[1:-1]
    for kind in ("float64", "complex128"):
        x = draw(*shape, kind=kind)
        results = []
        for lib in (tapegrad, torch):
            t = lib.tensor(x).requires_grad_()
            out = lib.stft(t, 8, window=lib.tensor(window), return_complex=True, **options)
            (out.abs() ** 2).sum().backward()
            results.append((out.detach().numpy(), t.grad.numpy()))
        for a, b in zip(*results):
            np.testing.assert_allclose(a, b, 1e-10, 1e-10)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("length", [None, 20, 60])
@pytest.mark.parametrize("return_complex", [False, True])
def test_signals_from_short_spectra(length, return_complex):
    x = draw(2, 8 if return_complex else 5, 10, kind="complex128")
    window = np.hanning(9)[:-1] + 0.1
    results = []
    for lib in (tapegrad, torch):
        t = lib.tensor(x).requires_grad_()
        out = lib.istft(t, 8, 4, window=lib.tensor(window), length=length, return_complex=return_complex)
        (out.abs() ** 2).sum().backward()
        results.append((out.detach().numpy(), t.grad.numpy()))
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, 1e-9, 1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_errors_of_short_spectra():
    def kind(call, lib):
        try:
            call(lib)
        except Exception as error:
            return type(error)
        return None

    x, z = np.zeros(40), np.zeros((5, 7), complex)
    for call in (
        lambda lib: lib.stft(lib.tensor(x), 8),
        lambda lib: lib.stft(lib.tensor(x), 0, return_complex=True),
        lambda lib: lib.stft(lib.tensor(x), 90, center=False, return_complex=True),
        lambda lib: lib.stft(lib.tensor(x), 8, win_length=9, return_complex=True),
        lambda lib: lib.stft(lib.tensor(x), 8, window=lib.ones(7), return_complex=True),
        lambda lib: lib.stft(lib.tensor(x), 8, pad_mode="none", return_complex=True),
        lambda lib: lib.stft(lib.tensor(x) + 0j, 8, onesided=True),
        lambda lib: lib.stft(lib.tensor(x), 8, align_to_window=True, return_complex=True),
        lambda lib: lib.istft(lib.tensor(x), 8),
        lambda lib: lib.istft(lib.tensor(z), 9, onesided=False),
        lambda lib: lib.istft(lib.tensor(z), 8, hop_length=9),
        lambda lib: lib.istft(lib.tensor(z), 8, window=lib.zeros(8)),
        lambda lib: lib.istft(lib.tensor(z), 8, return_complex=True),
        lambda lib: lib.istft(lib.tensor(z[0]), 8),
    ):
        ours, theirs = kind(call, tapegrad), kind(call, torch)
        assert ours is theirs and ours is not None


# ---- window functions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 7, 12])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_windows(n, dtype):
    names = "bartlett blackman cosine exponential gaussian general_hamming hamming hann kaiser nuttall".split()
    calls = [(f"signal.windows.{name}", {"sym": sym}) for name in names for sym in (True, False)]
    calls += [("signal.windows.exponential", {"center": 2.5, "tau": 0.7, "sym": False})]
    calls += [("signal.windows.general_cosine", {"a": [0.3, 0.5, 0.2]}), ("signal.windows.kaiser", {"beta": 0})]
    calls += [
        (f"{name}_window", {"periodic": periodic})
        for name in "bartlett blackman hamming hann kaiser".split()
        for periodic in (True, False)
    ]
    for path, options in calls:
        a, b = (resolve(lib, path)(n, dtype=getattr(lib, dtype), **options) for lib in (tapegrad, torch))
        assert str(a.dtype) == str(b.dtype)
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6 if dtype == "float32" else 1e-13, err_msg=path)


# ---- torch.masked -------------------------------------------------------------------------------------------------

MASKED = {
    **dict.fromkeys("sum prod amax amin argmax argmin mean logsumexp var std".split(), ()),
    **dict.fromkeys("cumsum cumprod softmax log_softmax softmin median".split(), (1,)),
    "norm": (3.0,),
    "normalize": (2.0, 1),
}


@pytest.mark.parametrize("name", MASKED)
def test_masked(name):
    x = draw(3, 4)
    some = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    options = [{}] if MASKED[name] and name != "norm" else [{}, {"dim": 1}, {"dim": 0, "keepdim": True}]
    for mask in (None, some, some[:1], some[0]):
        for dtype in ("float64", "float32", "int64"):
            for o in options:
                found = []
                for lib in (tapegrad, torch):
                    t = lib.tensor(x * 3).to(getattr(lib, dtype))
                    m = None if mask is None else lib.tensor(mask)
                    try:
                        out = getattr(lib.masked, name)(t, *MASKED[name], mask=m, **o)
                        found.append((str(out.dtype), out.numpy()))
                    except Exception as error:
                        found.append((type(error).__name__, np.zeros(0)))
                assert found[0][0] == found[1][0]
                np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-12 if dtype == "float64" else 1e-5)


# ---- special functions --------------------------------------------------------------------------------------------

POLYNOMIALS = [name for name in dir(torch.special) if "_polynomial_" in name]


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name):
    x, n = np.linspace(-2, 2, 41), np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 13.0, 2.7])
    a, b = (getattr(lib.special, name)(lib.tensor(x)[:, None], lib.tensor(n)) for lib in (tapegrad, torch))
    np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-9)
    assert not getattr(tapegrad.special, name)(tapegrad.tensor(x).requires_grad_(), 2).requires_grad


@pytest.mark.parametrize("name", [n for n in dir(torch.special) if "bessel" in n or n == "airy_ai"])
def test_rare_functions(name):
    x = np.linspace(0.1, 20, 200)
    a, b = (getattr(lib.special, name)(lib.tensor(x)).numpy() for lib in (tapegrad, torch))
    np.testing.assert_allclose(a, b, 1e-6 if "modified" not in name else 1e-13, 2e-6 if name != "airy_ai" else 1e-15)


@pytest.mark.parametrize("name", ["igamma", "igammac", "special.zeta", "special.xlog1py"])
def test_functions_of_two_variables(name):
    a, x = np.linspace(1.1, 9, 12)[:, None], np.linspace(0.2, 9, 12)
    found = []
    for lib in (tapegrad, torch):
        t = lib.tensor(x).requires_grad_()
        out = resolve(lib, name)(lib.tensor(a), t)
        (g,) = lib.autograd.grad((out * out).sum(), t, create_graph=True)
        (h,) = lib.autograd.grad(g.sum(), t)
        found.append((out.detach().numpy(), g.detach().numpy(), h.numpy()))
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, 1e-9, 1e-12)


def test_the_names_of_the_namespaces_are_there():
    own = {"Tensor", "common_args", "factory_common_args", "multi_dim_common", "torch"}
    for path in ("fft", "special", "signal.windows"):
        theirs = {n for n in dir(resolve(torch, path)) if not n.startswith("_")} - own - {"windows"}
        assert theirs <= set(dir(resolve(tapegrad, path)))


def test_signatures_of_masked_and_windows():
    for path in [f"masked.{name}" for name in MASKED] + ["masked.logaddexp", "signal.windows.exponential"]:
        ours, theirs = (inspect.signature(resolve(lib, path)).parameters for lib in (tapegrad, torch))
        assert list(ours) == list(theirs), path
        for name in ours:
            assert ours[name].kind == theirs[name].kind, (path, name)
