"""The programs of steps.py: each a function of the library, which gives a step, a function that gives a number.

A program is written as for PyTorch and draws all it needs from seed 0, so that both libraries start from the same
bits. `network` is where steps.py puts `torch.compile`; a program without it is measured as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Step = Callable[[], float]


class Case(NamedTuple):
    """A program, and what is asked of it."""

    name: str
    build: Callable[[Any], Step]
    required: float | None = None  # PyTorch's time / ours; those with a number make the geometric mean
    flops: float = 0.0  # of the products in one step, where they are most of the work


def network(T: Any, model: Any) -> Any:
    """The model as it is, or compiled if `T` is PyTorch under `--compile`."""
    return T.compiled(model) if hasattr(T, "compiled") else model


def gemms(*sizes: tuple[int, int, int]) -> float:
    """Operations of products (rows, in, out): forward and both gradients, without that of the first one's input."""
    return sum(6.0 * m * k * n for m, k, n in sizes) - 2.0 * sizes[0][0] * sizes[0][1] * sizes[0][2]


# ---- small tensors --------------------------------------------------------------------------------------------------


def small_mul(T: Any) -> Step:
    """`a * c` of four numbers, recorded, 100 times."""
    a, c = T.ones(4, requires_grad=True), T.ones(4, requires_grad=True)

    def step() -> float:
        for _ in range(100):
            a * c
        return (a * c).sum().item()

    return step


def small_mul_backward(T: Any) -> Step:
    """`a * c` of four numbers and its gradients, 10 times."""
    a, c, g = T.ones(4, requires_grad=True), T.ones(4, requires_grad=True), T.ones(4)

    def step() -> float:
        for _ in range(10):
            a.grad = c.grad = None
            (a * c).backward(g)
        return a.grad.sum().item()

    return step


def chain(T: Any) -> Step:
    """20 operations on four numbers, and back."""
    a = T.tensor([0.1, 0.2, 0.3, 0.4], requires_grad=True)
    c = T.tensor([0.5, 0.6, 0.7, 0.8], requires_grad=True)
    g = T.ones(4)

    def step() -> float:
        x = a
        for _ in range(5):
            x = x * c
            x = x + c
            x = x.tanh()
            x = x * 2.0
        a.grad = c.grad = None
        x.backward(g)
        return a.grad.sum().item()

    return step


# ---- by hand, as the documents have it ------------------------------------------------------------------------------

N, D_IN, H, D_OUT = 64, 1000, 100, 10


def two_layers(T: Any) -> tuple[Any, Any, Any, Any]:
    T.manual_seed(0)
    return T.randn(N, D_IN), T.randn(N, D_OUT), T.randn(D_IN, H), T.randn(H, D_OUT)


def two_layers_manual(T: Any) -> Step:
    """A two-layer network with its gradients written out."""
    x, y, w1, w2 = two_layers(T)

    def step() -> float:
        nonlocal w1, w2
        h = x.mm(w1)
        h_relu = h.clamp(min=0)
        y_pred = h_relu.mm(w2)
        loss = (y_pred - y).pow(2).sum()
        grad_y_pred = 2.0 * (y_pred - y)
        grad_w2 = h_relu.t().mm(grad_y_pred)
        grad_h_relu = grad_y_pred.mm(w2.t())
        grad_h = grad_h_relu.clone()
        grad_h[h < 0] = 0
        grad_w1 = x.t().mm(grad_h)
        w1 -= 1e-6 * grad_w1
        w2 -= 1e-6 * grad_w2
        return loss.item()

    return step


def two_layers_autograd(T: Any) -> Step:
    """The same with `backward`, and the update by hand."""
    x, y, w1, w2 = two_layers(T)
    w1.requires_grad_()
    w2.requires_grad_()

    def step() -> float:
        nonlocal w1, w2
        y_pred = x.mm(w1).clamp(min=0).mm(w2)
        loss = (y_pred - y).pow(2).sum()
        loss.backward()
        with T.no_grad():
            w1 -= 1e-6 * w1.grad
            w2 -= 1e-6 * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()
        return loss.item()

    return step


def logistic_by_hand(T: Any) -> Step:
    """The logistic regression of the documents: log-softmax, nll and the update written out, batch 64."""
    T.manual_seed(0)
    weights = T.randn(784, 10) / 28
    weights.requires_grad_()
    bias = T.zeros(10, requires_grad=True)
    xb, yb = T.rand(64, 784), T.randint(0, 10, (64,))

    def step() -> float:
        z = xb @ weights + bias
        z = z - z.exp().sum(-1).log().unsqueeze(-1)
        loss = -z[range(yb.shape[0]), yb].mean()
        loss.backward()
        with T.no_grad():
            weights.sub_(weights.grad * 0.1)
            bias.sub_(bias.grad * 0.1)
            weights.grad.zero_()
            bias.grad.zero_()
        return loss.item()

    return step


# ---- modules and optimizers -----------------------------------------------------------------------------------------


def training(model: Any, optimizer: Any, loss_fn: Callable, x: Any, y: Any) -> Step:
    """The four lines of every training loop."""

    def step() -> float:
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def mlp_model(T: Any) -> Any:
    T.manual_seed(0)
    nn = T.nn
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def mlp(optimizer: str, **options: Any) -> Callable[[Any], Step]:
    """784-512-512-10, batch 64, cross-entropy."""

    def build(T: Any) -> Step:
        model = mlp_model(T)
        stepper = getattr(T.optim, optimizer)(model.parameters(), **options)
        x, y = T.rand(64, 784), T.randint(0, 10, (64,))
        return training(network(T, model), stepper, T.nn.CrossEntropyLoss(), x, y)

    return build


def adam_step(T: Any) -> Step:
    """`Adam.step` alone on the parameters of that network."""
    model = mlp_model(T)
    optimizer = T.optim.Adam(model.parameters(), lr=1e-4)
    for p in model.parameters():
        p.grad = T.rand(*p.shape) - 0.5

    def step() -> float:
        optimizer.step()
        return next(model.parameters())[0, 0].item()

    return step


def mlp_inference(T: Any) -> Step:
    """The network on one image, not recorded."""
    model = network(T, mlp_model(T).eval())
    x = T.rand(1, 784)

    def step() -> float:
        with T.no_grad():
            return model(x)[0, 0].item()

    return step


def mnist_cnn(T: Any) -> Step:
    """Convolutions 1-32-64, pooling, dropout and two linear layers on 64 images of MNIST's size; Adam.

    On Intel's processors PyTorch draws the masks of dropout from a stream of MKL's, so that the losses differ there.
    """
    T.manual_seed(0)
    nn = T.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = T.optim.Adam(model.parameters(), lr=1e-3)
    x, y = T.rand(64, 1, 28, 28), T.randint(0, 10, (64,))
    return training(network(T, model), optimizer, nn.CrossEntropyLoss(), x, y)


def residual_net(T: Any) -> Step:
    """A first convolution and three residual blocks of two, 16-32-64 channels, with batch norm on 32 images; SGD."""
    T.manual_seed(0)
    nn, F = T.nn, T.nn.functional

    class Block(nn.Module):
        """Two convolutions, added to the input, which a 1 x 1 convolution fits where the size changes."""

        def __init__(self, before: int, after: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
            self.fit = nn.Identity()
            if stride != 1:
                self.fit = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

        def forward(self, x: Any) -> Any:
            out = F.relu(self.norm1(self.conv1(x)))
            return F.relu(self.norm2(self.conv2(out)) + self.fit(x))

    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = T.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = T.rand(32, 3, 32, 32), T.randint(0, 10, (32,))
    return training(network(T, model), optimizer, nn.CrossEntropyLoss(), x, y)


BATCH, LENGTH, WIDTH, LAYERS, HEADS, LETTERS = 12, 64, 128, 4, 4, 65


def char_gpt(T: Any) -> Step:
    """A GPT on characters: 4 layers of width 128 with 4 heads, 12 pieces of 64 characters; AdamW."""
    T.manual_seed(0)
    nn, F = T.nn, T.nn.functional

    class Block(nn.Module):
        """Causal attention and a small network, each added to its input."""

        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.three, self.joined = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.network = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x: Any) -> Any:
            b, t, c = x.shape
            q, k, v = (
                part.view(b, t, HEADS, c // HEADS).transpose(1, 2) for part in self.three(self.norm1(x)).split(c, dim=2)
            )
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.joined(out.transpose(1, 2).reshape(b, t, c))
            return x + self.network(self.norm2(x))

    class GPT(nn.Module):
        """Characters (B, T) as numbers to scores (B, T, LETTERS) of the next ones."""

        def __init__(self) -> None:
            super().__init__()
            self.letter, self.place = nn.Embedding(LETTERS, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
            self.norm, self.scores = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, LETTERS)

        def forward(self, x: Any) -> Any:
            x = self.letter(x) + self.place(T.arange(x.shape[1]))
            return self.scores(self.norm(self.blocks(x)))

    model = GPT()
    optimizer = T.optim.AdamW(model.parameters(), lr=1e-3)
    text = T.randint(0, LETTERS, (BATCH, LENGTH + 1))

    def loss_fn(scores: Any, y: Any) -> Any:
        return F.cross_entropy(scores.flatten(0, 1), y.flatten())

    return training(network(T, model), optimizer, loss_fn, text[:, :-1], text[:, 1:])


def lstm(T: Any) -> Step:
    """An LSTM 32-64 over 50 steps of 16 sequences, which its last state sorts into 10 classes; Adam."""
    T.manual_seed(0)
    nn = T.nn

    class Classifier(nn.Module):
        """Sequences (B, T, 32) to scores (B, 10)."""

        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.scores = nn.LSTM(32, 64, batch_first=True), nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            return self.scores(self.lstm(x)[0][:, -1])

    model = Classifier()
    optimizer = T.optim.Adam(model.parameters(), lr=1e-3)
    x, y = T.randn(16, 50, 32), T.randint(0, 10, (16,))
    return training(network(T, model), optimizer, nn.CrossEntropyLoss(), x, y)


# ---- all of them ----------------------------------------------------------------------------------------------------

MLP = gemms((64, 784, 512), (64, 512, 512), (64, 512, 10))
CNN = gemms((64 * 26 * 26, 9, 32), (64 * 24 * 24, 288, 64), (64, 9216, 128), (64, 128, 10))
RESIDUAL = gemms(
    (32 * 1024, 27, 16), (32 * 1024, 144, 16), (32 * 1024, 144, 16),
    (32 * 256, 144, 32), (32 * 256, 288, 32), (32 * 256, 16, 32),
    (32 * 64, 288, 64), (32 * 64, 576, 64), (32 * 64, 32, 64), (32, 64, 10),
)  # fmt: skip
ROWS = BATCH * LENGTH
LAYER = gemms(*[(ROWS, WIDTH, WIDTH * n) for n in (3, 1, 4, 4)]) + 2.0 * ROWS * WIDTH * 3 * WIDTH  # no first one here
ATTENTION = 2 * 6.0 * ROWS * LENGTH * WIDTH  # as if it were not causal: what both libraries compute
GPT = LAYERS * (LAYER + ATTENTION) + 6.0 * ROWS * WIDTH * LETTERS

CASES = [
    Case("20-operation chain and backward", chain, 1.8),
    Case("two layers, gradients by hand", two_layers_manual, 1.5, gemms((N, D_IN, H), (N, H, D_OUT))),
    Case("two layers, autograd", two_layers_autograd, 1.5, gemms((N, D_IN, H), (N, H, D_OUT))),
    Case("logistic regression by hand", logistic_by_hand, 2.5),
    Case("MLP 784-512-512-10, SGD", mlp("SGD", lr=0.01), 1.4, MLP),
    Case("MLP 784-512-512-10, Adam", mlp("Adam", lr=1e-4), 2.0, MLP),
    Case("MLP inference, batch 1", mlp_inference, 2.0),
    Case("MNIST CNN, Adam", mnist_cnn, 1.5, CNN),
    Case("residual net, batch norm", residual_net, 1.2, RESIDUAL),
    Case("character GPT, AdamW", char_gpt, 1.2, GPT),
    Case("LSTM 32-64, T=50", lstm, 2.0),
    Case("small a * c, recorded (100x)", small_mul),
    Case("small a * c and gradients (10x)", small_mul_backward),
    Case("Adam.step of that MLP", adam_step),
]
