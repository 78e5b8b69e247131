"""A training run that saves after each step: `test_files_checkpoint.py` kills it. resumed_training.py FOLDER OUT

Everything that could differ after a resumption is in it: dropout, momentum, a schedule, shuffled batches in the middle
of an epoch, Python's and NumPy's random numbers.
"""

import random
import sys
from pathlib import Path

import numpy as np

import tapegrad as torch

STEPS = 40


def main(folder: str, out: str) -> None:
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    x = torch.randn(50, 4)
    y = x.sum(1, keepdim=True).sin()
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=STEPS)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=True)
    checkpoint = torch.Checkpoint(folder, model=model, optimizer=optimizer, scheduler=scheduler, loader=loader, keep=2)
    step = checkpoint.load() or 0
    print(step, flush=True)
    while step < STEPS:
        for inputs, targets in loader:
            step += 1
            noise = random.random() + np.random.randn() + torch.rand(1)
            loss = (model(inputs) - targets + 0.01 * noise).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            checkpoint.save(step, extra=loss.item())
            if step == STEPS:
                break
    torch.save({"model": model.state_dict(), "next": [torch.rand(3), random.random(), np.random.rand()]}, out)
    assert Path(out).exists()


if __name__ == "__main__":
    main(*sys.argv[1:])
