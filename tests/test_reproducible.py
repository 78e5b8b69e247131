"""The same run gives the same bits: again, for any number of threads, for any number of DataLoader workers."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as torch
from tapegrad import nn
from tapegrad.testing import fingerprint

F = nn.functional


class Noisy(torch.utils.data.Dataset):
    """Images with labels; reading one takes no random numbers, so that workers cannot change them."""

    def __init__(self, n: int = 96):
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(n, 1, 14, 14, generator=generator)
        self.y = torch.randint(0, 10, (n,), generator=generator)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int):
        return self.x[i] * 2 - 1, self.y[i]


def train(workers: int = 0, epochs: int = 2) -> str:
    """The fingerprint of a small training with everything that draws: shuffling, initial weights, dropout."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(288, 257), nn.Tanh(), nn.Linear(257, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(Noisy(), batch_size=32, shuffle=True, num_workers=workers)
    losses = []
    for _ in range(epochs):
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return fingerprint(losses, model, optimizer)


@pytest.fixture
def threads_given_back():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_again():
    assert train() == train()


def test_threads(threads_given_back):
    found = set()
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        assert torch.get_num_threads() == n
        found.add(train())
    assert len(found) == 1


def test_products_do_not_depend_on_threads(threads_given_back):
    rng = np.random.default_rng(0)
    for m, k, n in ((64, 784, 128), (257, 1000, 500), (1, 4096, 500), (100, 4096, 33), (257, 4096, 1)):
        a, b = (torch.from_numpy(rng.standard_normal(s).astype("f4")) for s in ((m, k), (k, n)))
        found = set()
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.add(fingerprint(a @ b, F.linear(a, b.t()), torch.einsum("ik,kj->ij", a, b)))
        assert len(found) == 1


def test_the_switch_gives_the_threads_back():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    assert torch.get_num_threads() == 2 and torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_workers():
    assert train(workers=0) == train(workers=2)


# ---- the fingerprint -------------------------------------------------------------------------------------------------


def test_what_counts():
    x = torch.arange(6.0).reshape(2, 3)
    assert fingerprint(x) == fingerprint(x.clone()) == fingerprint(x.t().contiguous().t()) == fingerprint(x.numpy())
    assert fingerprint(x) == fingerprint(x.clone().requires_grad_())
    tensors = [x, x + 1e-7, x.double(), x.t(), x.reshape(-1), x.int(), x[:0], x[:, :0], -torch.zeros(2), torch.zeros(2)]
    others = [
        torch.tensor(1.0),
        torch.tensor([1.0]),
        [x],
        {"x": x},
        1,
        1.0,
        "1",
        None,
        True,
        [1, 2],
        [[1], 2],
        [1, [2]],
    ]
    different = tensors + others
    assert len({fingerprint(thing) for thing in different}) == len(different)
    assert fingerprint(1, 2) != fingerprint([1, 2]) and fingerprint(1, 2) != fingerprint(12)
    assert fingerprint(float("nan")) == fingerprint(-float("nan"))
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(np.float32(0.5)) == fingerprint(0.5) and fingerprint(np.int64(3)) == fingerprint(3)
    assert len(fingerprint()) == 32


def test_modules_and_optimizers():
    torch.manual_seed(0)
    model = nn.Linear(2, 3)
    same = nn.Linear(2, 3)
    same.load_state_dict(model.state_dict())
    assert fingerprint(model) == fingerprint(same) == fingerprint(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters())
    before = fingerprint(optimizer)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert fingerprint(optimizer) != before and fingerprint(model) != fingerprint(same)


def test_what_is_refused():
    with pytest.raises(TypeError, match="not hashed\n  got: object"):
        fingerprint(object())
    with pytest.raises(TypeError, match="not hashed"):
        fingerprint([lambda: None])
