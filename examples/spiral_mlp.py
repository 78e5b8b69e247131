"""Three interleaved spirals, told apart by a small network: Module, Adam, cross entropy, mini-batches.

    tapegrad run examples/spiral_mlp.py        python examples/spiral_mlp.py

Prints, with tapegrad and with PyTorch:

    Sequential(
      (0): Linear(in_features=2, out_features=32, bias=True)
      (1): ReLU()
      (2): Linear(in_features=32, out_features=32, bias=True)
      (3): ReLU()
      (4): Linear(in_features=32, out_features=3, bias=True)
    )
    epoch  3  loss 0.5564
    epoch  6  loss 0.2876
    epoch  9  loss 0.1210
    epoch 12  loss 0.0593
    epoch 15  loss 0.0336
    597 of 600 new points on the right arm
"""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def spirals(n, noise=0.15):
    """Points (3n, 2) on three spiral arms, and the arm of each (3n,)."""
    t = torch.linspace(0.1, 1, n)  # from the centre outwards
    points, arms = [], []
    for arm in range(3):
        angle = 4 * t + arm * 2 * math.pi / 3 + noise * torch.randn(n)
        points.append(torch.stack([t * angle.cos(), t * angle.sin()], dim=1))  # (n, 2)
        arms.append(torch.full((n,), arm))
    return torch.cat(points), torch.cat(arms)


torch.manual_seed(0)
points, arms = spirals(200)
loader = DataLoader(TensorDataset(points, arms), batch_size=50, shuffle=True)

model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_fn = nn.CrossEntropyLoss()
print(model)

for epoch in range(1, 16):
    total = 0.0
    for x, target in loader:
        loss = loss_fn(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    if epoch % 3 == 0:
        print(f"epoch {epoch:2d}  loss {total / len(points):.4f}")

with torch.no_grad():
    points, arms = spirals(200)  # new points
    right = (model(points).argmax(dim=1) == arms).sum().item()
print(f"{right} of {len(arms)} new points on the right arm")
