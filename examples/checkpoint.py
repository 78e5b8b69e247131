"""A training run that is stopped in the middle, and goes on from a file as if it had not been.

    tapegrad run examples/checkpoint.py        python examples/checkpoint.py

Prints, with tapegrad and with PyTorch:

    epoch 2  loss 0.8299
    stopped, and saved model, optimizer, scheduler, random
    epoch 4  loss 0.5131
    epoch 6  loss 0.5338
    the same as without the stop: True
"""

import tempfile
from pathlib import Path

import torch
from torch import nn


class Run:
    """Everything that a training run consists of."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=2, gamma=0.5)
        self.epoch = 0

    def train(self, until, show=False):
        while self.epoch < until:
            x = torch.randn(256, 2)
            target = (x[:, :1] * x[:, 1:]).sign()
            total = 0.0
            for batch in torch.randperm(256).split(32):
                loss = nn.functional.mse_loss(self.model(x[batch]), target[batch])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                total += loss.item() / 8
            self.scheduler.step()
            self.epoch += 1
            if show and self.epoch % 2 == 0:
                print(f"epoch {self.epoch}  loss {total:.4f}")

    def save(self, path):
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "scheduler")}
        torch.save({**parts, "random": torch.get_rng_state(), "epoch": self.epoch}, path)
        return [*parts, "random"]

    def load(self, path):
        state = torch.load(path, weights_only=True)  # data only: no file can run code here
        for name in ("model", "optimizer", "scheduler"):
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["random"])
        self.epoch = state["epoch"]


with tempfile.TemporaryDirectory() as folder:
    first = Run()
    first.train(until=3, show=True)
    print("stopped, and saved", ", ".join(first.save(Path(folder, "run.pt"))))

    second = Run()  # another process, another day
    second.load(Path(folder, "run.pt"))
    second.train(until=6, show=True)

whole = Run()
whole.train(until=6)
same = all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), second.model.parameters()))
print("the same as without the stop:", same)

# tapegrad has this ready-made, and it survives a kill at any moment: several files, the damaged ones left out, with the
# random numbers of Python and NumPy too.
if hasattr(torch, "Checkpoint"):
    with tempfile.TemporaryDirectory() as folder:
        run = Run()
        checkpoint = torch.Checkpoint(folder, model=run.model, optimizer=run.optimizer, scheduler=run.scheduler, keep=2)
        run.epoch = checkpoint.load() or 0  # nothing to continue: from the start
        while run.epoch < 3:
            run.train(until=run.epoch + 1)
            checkpoint.save(run.epoch)

        run = Run()
        checkpoint = torch.Checkpoint(folder, model=run.model, optimizer=run.optimizer, scheduler=run.scheduler, keep=2)
        run.epoch = checkpoint.load() or 0
        run.train(until=6)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), run.model.parameters()))
