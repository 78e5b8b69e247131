"""autocast and GradScaler against PyTorch: the types of all results, gradients, and the factor's life."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tapegrad

torch = pytest.importorskip("torch")

LONG = np.zeros(4, np.int64)


def image(x, n):
    """`x` with n dimensions of size 1 in front."""
    return x.reshape(*[1] * n, *x.shape)


# name -> an operation on a square matrix of numbers between 0 and 1
CASES = {
    "mm": lambda T, x: T.mm(x, x),
    "operator": lambda T, x: x @ x,
    "matmul of vectors": lambda T, x: T.matmul(x[0], x[0]),
    "mv": lambda T, x: T.mv(x, x[0]),
    "dot": lambda T, x: T.dot(x[0], x[0]),
    "outer": lambda T, x: T.outer(x[0], x[0]),
    "bmm": lambda T, x: T.bmm(x[None], x[None]),
    "addmm": lambda T, x: T.addmm(x, x, x),
    "addmv": lambda T, x: T.addmv(x[0], x, x[0]),
    "addbmm": lambda T, x: T.addbmm(x, x[None], x[None]),
    "baddbmm": lambda T, x: T.baddbmm(x[None], x[None], x[None]),
    "linear": lambda T, x: T.nn.functional.linear(x, x, x[0]),
    "bilinear": lambda T, x: T.nn.functional.bilinear(x, x, x[None]),
    "einsum": lambda T, x: T.einsum("ij,jk->ik", x, x),
    "tensordot": lambda T, x: T.tensordot(x, x, 1),
    "inner": lambda T, x: T.inner(x, x),
    "multi_dot": lambda T, x: T.linalg.multi_dot([x, x, x]),
    "vecdot": lambda T, x: T.linalg.vecdot(x, x),
    "matrix_power": lambda T, x: T.linalg.matrix_power(x, 2),
    "conv1d": lambda T, x: T.nn.functional.conv1d(x[None], x[:, :, None]),
    "conv2d": lambda T, x: T.nn.functional.conv2d(image(x, 2), image(x, 2)),
    "conv3d": lambda T, x: T.nn.functional.conv3d(image(x, 3), image(x, 3)),
    "conv_transpose1d": lambda T, x: T.nn.functional.conv_transpose1d(x[None], x[:, :, None]),
    "conv_transpose2d": lambda T, x: T.nn.functional.conv_transpose2d(image(x, 2), image(x, 2)),
    "attention": lambda T, x: T.nn.functional.scaled_dot_product_attention(image(x, 2), image(x, 2), image(x, 2)),
    "softmax": lambda T, x: T.nn.functional.softmax(x, 1),
    "layer_norm": lambda T, x: T.nn.functional.layer_norm(x, (4,)),
    "gelu": lambda T, x: T.nn.functional.gelu(x),
    "prelu": lambda T, x: T.nn.functional.prelu(x, x[0, :1]),
    "exp": lambda T, x: x.exp(),
    "pow": lambda T, x: x**2.5,
    "sum": lambda T, x: x.sum(),
    "mean": lambda T, x: x.mean(),
    "cumsum": lambda T, x: x.cumsum(0),
    "norm": lambda T, x: x.norm(),
    "prod": lambda T, x: x.prod(),
    "trace": lambda T, x: x.trace(),
    "quantile": lambda T, x: x.quantile(0.5),
    "nanquantile": lambda T, x: x.nanquantile(0.5),
    "cdist": lambda T, x: T.cdist(x, x),
    "mse_loss": lambda T, x: T.nn.functional.mse_loss(x, x),
    "l1_loss": lambda T, x: T.nn.functional.l1_loss(x, x),
    "smooth_l1_loss": lambda T, x: T.nn.functional.smooth_l1_loss(x, x),
    "huber_loss": lambda T, x: T.nn.functional.huber_loss(x, x),
    "nll_loss": lambda T, x: T.nn.functional.nll_loss(x, T.tensor(LONG)),
    "cross_entropy": lambda T, x: T.nn.functional.cross_entropy(x, T.tensor(LONG)),
    "binary_cross_entropy": lambda T, x: T.nn.functional.binary_cross_entropy(x, x),
    "binary_cross_entropy_with_logits": lambda T, x: T.nn.functional.binary_cross_entropy_with_logits(x, x),
    "kl_div": lambda T, x: T.nn.functional.kl_div(x, x, reduction="sum"),
    "poisson_nll_loss": lambda T, x: T.nn.functional.poisson_nll_loss(x, x),
    "cosine_embedding_loss": lambda T, x: T.nn.functional.cosine_embedding_loss(x, x, T.ones(4)),
    "hinge_embedding_loss": lambda T, x: T.nn.functional.hinge_embedding_loss(x, x),
    "margin_ranking_loss": lambda T, x: T.nn.functional.margin_ranking_loss(x, x, x),
    "soft_margin_loss": lambda T, x: T.nn.functional.soft_margin_loss(x, x),
    "triplet_margin_loss": lambda T, x: T.nn.functional.triplet_margin_loss(x, x, x),
    "multi_margin_loss": lambda T, x: T.nn.functional.multi_margin_loss(x, T.tensor(LONG)),
    "multilabel_margin_loss": lambda T, x: T.nn.functional.multilabel_margin_loss(x, T.tensor(np.zeros((4, 4), int))),
    "avg_pool2d": lambda T, x: T.nn.functional.avg_pool2d(image(x, 2), 2),
    "avg_pool3d": lambda T, x: T.nn.functional.avg_pool3d(image(x, 3), 1),
    "max_pool2d": lambda T, x: T.nn.functional.max_pool2d(image(x, 2), 2),
    "max_pool3d": lambda T, x: T.nn.functional.max_pool3d(image(x, 3), 1),
    "adaptive_avg_pool3d": lambda T, x: T.nn.functional.adaptive_avg_pool3d(image(x, 3), 1),
    "adaptive_max_pool3d": lambda T, x: T.nn.functional.adaptive_max_pool3d(image(x, 3), 1),
    "inverse": lambda T, x: x.inverse(),
    "solve": lambda T, x: T.linalg.solve(x, x),
    "svdvals": lambda T, x: T.linalg.svdvals(x),
    "qr": lambda T, x: T.linalg.qr(x)[0],
    "eigh": lambda T, x: T.linalg.eigh(x)[0],
    "eig": lambda T, x: T.linalg.eig(x)[0],
    "lstsq": lambda T, x: T.linalg.lstsq(x, x)[0],
    "cond": lambda T, x: T.linalg.cond(x),
    "matrix_rank": lambda T, x: T.linalg.matrix_rank(x),
    "fft": lambda T, x: T.fft.fft(x),
    "rfft2": lambda T, x: T.fft.rfft2(x),
    "polar": lambda T, x: T.polar(x, x),
    "cat": lambda T, x: T.cat([x, T.ones(4, 4)]),
    "stack": lambda T, x: T.stack([x, T.ones(4, 4)]),
    "index_copy": lambda T, x: T.index_copy(T.ones(4, 4), 0, T.tensor(LONG[:1]), x[:1]),
    "add": lambda T, x: x + T.ones(4, 4),
    "where": lambda T, x: T.where(x > 0, x, T.ones(4, 4)),
    "addcmul": lambda T, x: T.addcmul(x, x, T.ones(4, 4)),
}
START = np.random.default_rng(0).random((4, 4)).astype(np.float32) + np.eye(4, dtype=np.float32)
START /= START.max()


TYPES = [("float32", "bfloat16"), ("bfloat16", "bfloat16"), ("float64", "bfloat16"), ("float32", "float16")]
REFUSED = {("index_copy", "float64", "bfloat16")}  # by PyTorch


@pytest.mark.parametrize(("name", "given", "lower"), [(n, *t) for n in CASES for t in TYPES if (n, *t) not in REFUSED])
def test_types_of_results(name, given, lower):
    """The type, and the value within the rounding of the lower type."""
    found = []
    for T in (torch, tapegrad):
        x = T.tensor(START).to(getattr(T, given))
        with T.autocast("cpu", dtype=getattr(T, lower)):
            y = CASES[name](T, x)
        found.append((str(y.dtype), y))
    assert found[0][0] == found[1][0]
    if name in ("inverse", "solve", "qr", "eig", "lstsq", "cond"):  # badly conditioned, or free in sign and order
        return
    expected, ours = (
        y.to(T.complex64 if y.is_complex() else T.float32).numpy() for T, (_, y) in zip((torch, tapegrad), found)
    )
    np.testing.assert_allclose(ours, expected, 0.03, 0.03)


def test_every_public_name():
    assert set(torch.amp.__all__) == set(tapegrad.amp.__all__)
    for name in torch.amp.__all__:
        ours, theirs = (inspect.signature(getattr(T.amp, name)) for T in (tapegrad, torch))
        assert [(p.name, p.default, p.kind) for p in ours.parameters.values()] == [
            (p.name, p.default, p.kind) for p in theirs.parameters.values()
        ]
    methods = {n for n in dir(torch.amp.GradScaler) if not n.startswith("_")}
    assert methods <= set(dir(tapegrad.amp.GradScaler))


def network(T):
    T.manual_seed(0)
    nn = T.nn
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)
    )


def test_training():
    """The same types everywhere, losses within bfloat16's rounding, the same factors."""
    found = []
    rng = np.random.default_rng(0)
    images, classes = rng.random((12, 1, 4, 4)).astype(np.float32), rng.integers(0, 3, 12)
    for T in (torch, tapegrad):
        model = network(T)
        optimizer, scaler = T.optim.SGD(model.parameters(), lr=0.1), T.amp.GradScaler("cpu", 64.0, growth_interval=3)
        x, y = T.tensor(images), T.tensor(classes)
        kinds: list[str] = []

        def note(module, args, out, kinds=kinds):
            kinds.append(str(out.dtype))

        hooks = [m.register_forward_hook(note) for m in model]
        losses, factors = [], []
        for i in range(8):
            optimizer.zero_grad()
            with T.autocast("cpu"):
                loss = T.nn.functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            if i == 4:
                model[0].weight.grad[0] = float("inf")
            scaler.unscale_(optimizer)
            T.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
            factors.append(scaler.get_scale())
        for hook in hooks:
            hook.remove()
        found.append((kinds, factors, scaler.state_dict(), [str(p.grad.dtype) for p in model.parameters()], losses))
    assert found[0][:4] == found[1][:4]
    np.testing.assert_allclose(found[1][4], found[0][4], 0.03)


def test_graph():
    """Nodes of the conversions, shared between uses of a parameter."""
    found = []
    for T in (torch, tapegrad):
        x, w = T.ones(2, 2), T.ones(2, 2, requires_grad=True)
        with T.autocast("cpu"):
            y, z = x @ w, w @ w
            loss = T.nn.functional.l1_loss(y, x)
        nodes = [y.grad_fn.next_functions[1][0], *(f for f, _ in z.grad_fn.next_functions)]
        found.append(([n.name() for n in nodes], len({id(n) for n in nodes}), loss.grad_fn.name()))
    assert found[0] == found[1]
