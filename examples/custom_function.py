"""A derivative of one's own: `log(cosh(x))`, a loss that does not mind outliers, as an `autograd.Function`.

    tapegrad run examples/custom_function.py        python examples/custom_function.py

Prints, with tapegrad and with PyTorch:

    value      tensor([199.3069,   0.4338,   0.0000,   0.4338, 199.3069])
    derivative tensor([-1.0000, -0.7616,  0.0000,  0.7616,  1.0000])
    recorded as LogCoshBackward
    gradcheck     True
    gradgradcheck True
    truth         2.00 t + 1.00
    squared error -0.61 t + 4.30
    log cosh      1.85 t + 1.19
"""

import math

import torch


class LogCosh(torch.autograd.Function):
    """`log(cosh(x))`, elementwise: x**2 / 2 near 0 and |x| - log(2) far away. Derivative: tanh(x)."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        size = x.abs()  # cosh(x) overflows from x = 89 on in float32; this form does not
        return size + torch.log1p(torch.exp(-2 * size)) - math.log(2)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * torch.tanh(x)


x = torch.tensor([-200.0, -1.0, 0.0, 1.0, 200.0], requires_grad=True)
y = LogCosh.apply(x)
y.sum().backward()
print("value     ", y.detach())
print("derivative", x.grad)
print("recorded as", y.grad_fn.name())

# against differences of function values, first and second derivative
probe = torch.linspace(-2, 2, 7, dtype=torch.float64, requires_grad=True)
print("gradcheck    ", torch.autograd.gradcheck(LogCosh.apply, probe))
print("gradgradcheck", torch.autograd.gradgradcheck(LogCosh.apply, probe))

# a line through 40 points, 4 of them far off
torch.manual_seed(0)
t = torch.linspace(0, 1, 40)
data = 2 * t + 1 + 0.05 * torch.randn(40)
data[::10] += 20


def fit(loss_fn, lr):
    """Slope and intercept after 500 steps of gradient descent."""
    line = torch.zeros(2, requires_grad=True)
    for _ in range(500):
        (slope,) = torch.autograd.grad(loss_fn(line[0] * t + line[1] - data).mean(), line)
        with torch.no_grad():
            line -= lr * slope
    return line.tolist()


print("truth         2.00 t + 1.00")
print("squared error {:.2f} t + {:.2f}".format(*fit(lambda r: r**2 / 2, 0.5)))
print("log cosh      {:.2f} t + {:.2f}".format(*fit(LogCosh.apply, 0.5)))
