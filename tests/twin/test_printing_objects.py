"""Texts of everything a user prints, the same in both packages: tensors that the package itself made, modules,
optimizers, dtypes, sizes, devices, named tuples, generators, halves, options."""

from __future__ import annotations

import re
import warnings
import zlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

# ---- tensors ---------------------------------------------------------------------------------------------------------

TYPES = ("float32 float64 float16 bfloat16 complex64 complex128 int64 int32 int16 int8 uint8 bool").split()
SHAPES = [
    (),
    (1,),
    (3,),
    (0,),
    (30,),
    (2, 3),
    (0, 3),
    (2, 0, 2),
    (1, 1),
    (40, 30),
    (2, 3, 4),
    (1001,),
    (2, 2, 2, 2),
    (7, 1, 200),
]
KINDS = {
    "small whole": lambda r, s: r.integers(0, 5, s).astype(float),
    "normal": lambda r, s: r.standard_normal(s),
    "tiny": lambda r, s: r.standard_normal(s) * 1e-6,
    "wide": lambda r, s: 10.0 ** r.uniform(-6, 6, s),
    "special": lambda r, s: r.choice([np.nan, np.inf, -np.inf, 0.0, 1.5, -2.0], s),
}


def tensor_of(T, kind, shape, name):
    rng = np.random.default_rng(zlib.crc32(f"{kind}{shape}{name}".encode()))
    values = np.asarray(KINDS[kind](rng, shape))
    if name.startswith("complex"):
        values = values + 1j * np.asarray(KINDS[kind](rng, shape))
    elif not name.startswith(("float", "bfloat")):
        values = np.nan_to_num(values, nan=0, posinf=1, neginf=0)
        values = np.abs(values) % 120
    return T.from_numpy(np.array(values)).reshape(shape).to(getattr(T, name))


def texts(T, x):
    return [repr(x), str(x), f"{x}" if x.dim() or x.is_complex() else f"{x:}"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_tensors(name, kind):
    """840 tensors."""
    for shape in SHAPES:
        ours, theirs = (tensor_of(T, kind, shape, name) for T in (tapegrad, torch))
        assert texts(tapegrad, ours) == texts(torch, theirs)
        if name in TYPES[:6]:
            assert repr(ours.requires_grad_()) == repr(theirs.requires_grad_())
            if name not in ("float16", "bfloat16"):
                assert repr(ours * 2) == repr(theirs * 2)


FORMATS = ["", ".2f", "8.3e", "g", "05.1f", ">10", "<12.4f"]


@pytest.mark.parametrize("spec", FORMATS)
def test_formats_of_numbers(spec):
    for value in (1.5, -0.001, 123456.789, float("nan"), float("inf"), 3.0):
        for name in ("float32", "float64"):
            ours, theirs = (format(T.tensor(value, dtype=getattr(T, name)), spec) for T in (tapegrad, torch))
            assert ours == theirs


# ---- everything else -------------------------------------------------------------------------------------------------

EXPRESSIONS = """\
T.float32
T.bfloat16
T.complex64
T.bool
T.int64
[T.float16, T.uint8, T.int32]
T.Size([])
T.Size([2, 3])
T.zeros(2, 3).shape
T.zeros(2, 3).shape[:1]
T.zeros(2).size()
T.device("cpu")
T.device("cpu", 0)
T.zeros(1).device
T.strided
T.contiguous_format
T.channels_last
T.preserve_format
T.finfo(T.float32)
T.finfo(T.float16)
T.finfo(T.bfloat16)
T.finfo(T.float64)
T.iinfo(T.int8)
T.iinfo(T.int64)
T.Generator
T.tensor([1.0, 2.0]).max(0)
T.tensor([[3.0, 1.0]]).sort()
T.tensor([3.0, 1.0]).topk(1)
T.tensor([3.0, 1.0]).median(0)
T.tensor([3.0, 1.0]).mode()
T.tensor([3.0, 1.0]).kthvalue(1)
T.tensor([3.0, 1.0]).cummax(0)
T.aminmax(T.tensor([3.0, 1.0]))
T.linalg.qr(T.eye(2))
T.linalg.slogdet(T.eye(2))
T.tensor([3.0, 1.0]).unique(return_counts=True)
T.tensor([1.0, 2.0]).chunk(2)
T.tensor([1.0, 2.0]).unbind()
[T.tensor(1.0), T.tensor([2])]
{"a": T.zeros(2), "b": T.tensor(True)}
T.nn.Parameter(T.zeros(2))
T.nn.Parameter(T.zeros(2), requires_grad=False)
T.nn.Parameter(T.zeros(2, 2))
T.nn.ParameterList([T.nn.Parameter(T.zeros(2)), T.nn.Parameter(T.zeros(2, 3))])
T.nn.ParameterDict({"a": T.nn.Parameter(T.zeros(2))})
T.nn.Linear(2, 3)
T.nn.Linear(2, 3, bias=False)
T.nn.Sequential(T.nn.Linear(2, 3), T.nn.ReLU(), T.nn.Dropout(0.1))
T.nn.Sequential(T.nn.Sequential(T.nn.Conv2d(1, 2, 3, padding=1), T.nn.BatchNorm2d(2)), T.nn.Flatten())
T.nn.ModuleList([T.nn.Linear(1, 1), T.nn.Linear(1, 1), T.nn.ReLU()])
T.nn.ModuleDict({"a": T.nn.Tanh(), "b": T.nn.GELU(approximate="tanh")})
T.nn.Embedding(3, 4, padding_idx=0)
T.nn.LayerNorm(4, eps=1e-6)
T.nn.GroupNorm(2, 4)
T.nn.BatchNorm1d(3, affine=False)
T.nn.Conv1d(1, 2, 3, stride=2, dilation=2, groups=1, bias=False)
T.nn.ConvTranspose2d(1, 2, 3, output_padding=1, stride=2)
T.nn.MaxPool2d(2, stride=1, padding=1)
T.nn.AvgPool2d(2)
T.nn.AdaptiveAvgPool2d((None, 2))
T.nn.LeakyReLU(0.2, inplace=True)
T.nn.Softmax(dim=1)
T.nn.CrossEntropyLoss()
T.nn.MSELoss(reduction="sum")
T.nn.Identity()
T.nn.Upsample(scale_factor=2)
T.nn.PixelShuffle(2)
T.nn.Unflatten(1, (2, 3))
T.nn.LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True)
T.nn.GRU(3, 4, bias=False, dropout=0.0)
T.nn.RNN(3, 4, nonlinearity="relu")
T.nn.MultiheadAttention(4, 2)
T.nn.TransformerEncoderLayer(4, 2, 8)
T.optim.SGD([T.nn.Parameter(T.zeros(2))], lr=0.1)
T.optim.SGD([T.nn.Parameter(T.zeros(2))], lr=0.1, momentum=0.9, nesterov=True)
T.optim.Adam([{"params": [T.nn.Parameter(T.zeros(2))], "lr": 0.5}, {"params": [T.nn.Parameter(T.zeros(2))]}])
T.optim.AdamW([T.nn.Parameter(T.zeros(2))])
T.optim.RMSprop([T.nn.Parameter(T.zeros(2))])
T.optim.Adagrad([T.nn.Parameter(T.zeros(2))])
T.nn.Linear(2, 1).state_dict().keys()
list(T.nn.Linear(2, 1).state_dict())
T.zeros(3, requires_grad=True).sum().grad_fn.name()
type(T.zeros(2)).__name__
T.zeros(2).type()
T.zeros(2, dtype=T.int64).type()
T.get_default_dtype()
T.eye(3)[1:].t()
T.zeros(2).double().half()
T.ones(2, 2, requires_grad=True) @ T.ones(2, 2)
T.zeros(1200, requires_grad=True) + 1
T.tensor([1e10, 1.0])
T.tensor(1e-10)
T.tensor([[1e-5, 1.0], [2.0, 3e4]])
T.tensor([True, False])
T.tensor([1 + 2j, -0.5j])
T.tensor(float("nan"))
T.zeros(2, 3).new_full((2,), 7)
T.arange(12).reshape(3, 4).float().softmax(-1)
T.ones(3).cumsum(0).type(T.int32)
T.distributions.Normal(0.0, 1.0)
T.distributions.Normal(T.zeros(3), 1.0)
T.distributions.Categorical(logits=T.zeros(3))"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", EXPRESSIONS.splitlines())
def test_expressions(text):
    found = []
    for T in (tapegrad, torch):
        T.manual_seed(0)
        x = eval(text, {"T": T})
        found.append([repr(x).replace("tapegrad.", "torch."), str(x).replace("tapegrad.", "torch.")])
    assert found[0] == found[1] if "Generator" not in text else True


GRAD_FNS = """\
x + x
x - 1
x * 2
x / 3
-x
x ** 2
x @ x
x.exp()
x.log()
x.sqrt()
x.abs()
x.sin()
x.tanh()
x.sigmoid()
x.relu()
x.sum()
x.sum(0)
x.mean()
x.mean(1)
x.max()
x.max(0)[0]
x.min(1)[0]
x.prod()
x.std()
x.var(0)
x.norm()
x.cumsum(0)
x.t()
x.T
x.reshape(-1)
x.view(4)
x.flatten()
x.squeeze()
x.unsqueeze(0)
x.expand(3, 2, 2)
x.permute(1, 0)
x[0]
x[:, 1]
x[1:]
x[[0, 1]]
x[x > 0]
x.clone()
x.contiguous().clone()
x.double()
x.clamp(0, 1)
x.where(x > 0, x)
x.repeat(2, 1)
x.gather(0, T.zeros(1, 2, dtype=T.int64))
x.index_select(0, T.tensor([0]))
x.masked_fill(x > 0, 0.0)
x.tril()
x.diagonal()
T.cat([x, x])
T.stack([x, x])
x.chunk(2)[0]
x.split(1)[1]
x.unbind()[0]
x.softmax(0)
x.log_softmax(1)
T.nn.functional.linear(x, x)
T.nn.functional.mse_loss(x, x.detach())
T.nn.functional.cross_entropy(x, T.tensor([0, 1]))
T.nn.functional.gelu(x)
T.nn.functional.layer_norm(x, (2,))
T.nn.functional.dropout(x, 0.5)
T.einsum('ij,jk->ik', x, x)
x.clone().add_(1)
x.clone().mul_(2)
x.detach().requires_grad_()
T.addmm(x, x, x)
x.mm(x)""".splitlines()


@pytest.mark.parametrize("text", GRAD_FNS)
def test_tensors_with_grad_fn(text):
    found = []
    for T in (tapegrad, torch):
        T.manual_seed(0)
        x = T.tensor([[0.5, 1.25], [2.0, 0.125]], requires_grad=True)
        y = eval(text, {"T": T, "x": x})
        found.append([repr(y), str(y.grad_fn).split(" object")[0].lstrip("<")])
    assert found[0] == found[1]


def test_generators():
    ours, theirs = (re.sub("0x[0-9a-f]+", "", repr(T.Generator())) for T in (tapegrad, torch))
    assert ours == theirs
    assert repr(tapegrad.Generator().device) == repr(torch.Generator().device)


OPTIONS = [
    {"precision": 2}, {"sci_mode": True}, {"edgeitems": 1, "threshold": 5}, {"linewidth": 40}, {"profile": "short"},
    {"profile": "full"}, {"precision": 8, "sci_mode": False},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
def test_options(options):
    for T in (tapegrad, torch):
        T.set_printoptions(**options)
    try:
        for name in ("float32", "float64", "bfloat16", "complex64", "int64"):
            for shape in ((), (7,), (40, 3), (2, 2, 30)):
                for kind in ("normal", "wide", "small whole"):
                    ours, theirs = (repr(tensor_of(T, kind, shape, name)) for T in (tapegrad, torch))
                    assert ours == theirs
    finally:
        for T in (tapegrad, torch):
            T.set_printoptions(profile="default")


@pytest.mark.parametrize("name", ["float64", "float16", "bfloat16"])
@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_default_dtype(name):
    found = []
    for T in (tapegrad, torch):
        T.set_default_dtype(getattr(T, name))
        try:
            kinds = [
                getattr(T, kind)
                for kind in ("float32", "float64", "float16", "bfloat16", "complex64", "complex128", "int64")
            ]
            found.append([repr(T.ones(2, dtype=kind)) for kind in kinds] + [repr(T.ones(()))])
        finally:
            T.set_default_dtype(T.float32)
    assert found[0] == found[1]


def test_printing_inside_a_program(capsys):
    """What `print` writes, arguments of all kinds together."""
    written = []
    for T in (tapegrad, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            x = T.arange(6.0).reshape(2, 3)
            print("x:", x, x.shape, x.dtype, x.sum(), x.mean().item(), [x[0]], {"k": x[:, 0]}, x.max(1), sep="\n")
            print(f"{x.sum():.3f} {x.sum()} {x[0, 0]!r} {x[0]!s}", str(x.tolist()))
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]
