"""A line through noisy points: gradient descent with nothing but tensors and `backward()`.

    tapegrad run examples/linear_regression.py        python examples/linear_regression.py

Prints, with tapegrad and with PyTorch:

    step   0  loss 7.0560  w 0.0000  b 0.0000
    step  20  loss 0.0193  w 2.8388  b -1.9962
    step  40  loss 0.0105  w 2.9912  b -1.9963
    step  60  loss 0.0105  w 2.9994  b -1.9963
    step  80  loss 0.0105  w 2.9998  b -1.9963
    step 100  loss 0.0105  w 2.9999  b -1.9963
    least squares:          w 2.9999  b -1.9963
"""

import torch

torch.manual_seed(0)

# 100 points around the line y = 3 x - 2
x = torch.linspace(-1, 1, 100)
y = 3 * x - 2 + 0.1 * torch.randn(100)

w = torch.zeros((), requires_grad=True)
b = torch.zeros((), requires_grad=True)

for step in range(101):
    loss = ((w * x + b - y) ** 2).mean()
    loss.backward()  # adds d loss / d w to w.grad and d loss / d b to b.grad
    if step % 20 == 0:
        print(f"step {step:3d}  loss {loss.item():.4f}  w {w.item():.4f}  b {b.item():.4f}")
    with torch.no_grad():  # the update itself is not to be differentiated
        w -= 0.2 * w.grad
        b -= 0.2 * b.grad
    w.grad = b.grad = None  # gradients add up: begin the next step from none

# the same line in closed form: slope = cov(x, y) / var(x), and it passes through the means
slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
print(f"least squares:          w {slope.item():.4f}  b {(y.mean() - slope * x.mean()).item():.4f}")
