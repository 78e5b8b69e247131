"""Derivatives inside a loss: a network learns to solve u'' = -u, u(0) = 0, u'(0) = 1, whose solution is sin(t).

    tapegrad run examples/double_backward.py        python examples/double_backward.py

The loss contains the second derivative of the network with respect to its input, so training takes a third one.

Reference: I. Lagaris, A. Likas, D. Fotiadis, "Artificial Neural Networks for Solving Ordinary and Partial Differential
Equations", IEEE Trans. Neural Networks 9 (1998).

Prints, with tapegrad and with PyTorch:

    step   0  residual 1.1e+01  largest error 4.9e+00
    step 100  residual 1.1e-02  largest error 1.1e-01
    step 200  residual 2.1e-03  largest error 2.7e-02
    step 300  residual 8.3e-04  largest error 8.5e-03
    step 400  residual 5.6e-04  largest error 5.3e-03
"""

import torch
from torch import nn

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

network = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
t = torch.linspace(0, 3, 31).reshape(-1, 1).requires_grad_()  # (31, 1)


def u(t):
    """The trial solution: it fulfils the conditions at t = 0 whatever the network says."""
    return t + t**2 * network(t)


def derivative(y, t):
    """dy/dt at every point, itself differentiable."""
    return torch.autograd.grad(y.sum(), t, create_graph=True)[0]


for step in range(401):
    y = u(t)
    loss = ((derivative(derivative(y, t), t) + y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    if step % 100 == 0:
        error = (y - t.sin()).abs().max().item()
        print(f"step {step:3d}  residual {loss.item():.1e}  largest error {error:.1e}")
    optimizer.step()
