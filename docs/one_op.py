"""One operation from end to end: `tanh`, from the call to the kernel, and back to its first and second derivative.

    python docs/one_op.py

Everything printed is what the package really runs; nothing is written for show. Beside each step stands the file to
read. `one_step.py` follows a whole training step.
"""

import inspect

import numpy as np

import tapegrad as torch
from tapegrad.backends.cpu import elementwise
from tapegrad.codegen import jit, llvm
from tapegrad.core import rules
from tapegrad.ir import expr


def section(title, *lines):
    """Print a heading and what belongs to it, indented."""
    print(f"\n{title}")
    for line in lines:
        print(("    " + str(line).rstrip().replace("\n", "\n    ")).rstrip())


op = torch.tanh.op  # every operation's function carries its declaration

# ---- 1. The declaration: ops/pointwise/trigonometry.py, and core/op.py for what the decorators do ----
# The body of an elementwise operation is called once, at import, with variables instead of numbers; what comes back
# is the operation as data. A derivative names what it needs: `g`, the gradient of the result, and `out`, the result.

((_, formula),) = op.formulas.items()
variables = [expr.Var(name) for name in rules.names_of(formula)]
derivative = formula(*variables)
section("1. the declaration, as expressions", f"tanh(x) = {op.expression}", f"d/dx    = {derivative}")
section("   the derivative as it stands in the file", inspect.getsource(formula))

# ---- 2. The kernel: ir/expr.py makes the source, backends/cpu/elementwise.py the function ----
# One array call for each operator. Where the whole expression is a single NumPy ufunc, as here, that ufunc is called
# directly. Large arrays go to machine code instead, if llvmlite is installed: codegen/llvm.py writes the text below,
# in which `tanh` is the polynomials of codegen/vecmath.py, and codegen/jit.py makes a ufunc of it.

source = expr.to_source(op.expression, op.tensor_names, frozenset(), frozenset(op.tensor_names))
section("2. the kernel made from it", source, f"for few elements: {elementwise.FUNCTIONS[op.expression.op]}")
program = llvm.lower(op.expression, op.tensor_names, ("float",), "float", lanes=8).text.splitlines()
vectors = [line for line in program if "<8 x float>" in line and "=" in line]
section(
    f"   from {elementwise.LARGE} elements on, 8 at a time ({len(vectors)} steps; here: {jit.available()})",
    *vectors[:9],
    "  ...",
    *vectors[-3:],
)

# ---- 3. The call: the function made by `_unary` in core/op.py ----
# Mode test, kernel, Tensor, and because x requires grad a Node (core/tape.py). `tanh` saves its result, not its
# input: its formula asks for `out` alone.

x = torch.tensor([0.0, 0.5, 2.0], requires_grad=True)
y = torch.tanh(x)
node = y.grad_fn
section(
    "3. the call and its node",
    f"y              {y}",
    f"node           {node.name()}, number {node.number}",
    f"your line      {node.location}",
    f"gradient to    {node.next_functions[0][0].name()} of x: {node.inputs[0] is x}",
    f"saved inputs   {[name for name, t in zip(op.tensor_names, node.saved) if t is not None]}",
    f"saved result   {node.outputs[0][0]}, the memory of y itself: {node.outputs[0][0] is y.array}",
)

# ---- 4. The derivative: core/rules.py ----
# When the first gradient is asked for, the formulas of the operation are compiled to one function of the node. In it
# `f0` is the formula: for arrays the fused kernel below, for tensors (create_graph=True) the formula as written.

section("4. the function that the engine calls", rules.source(op, graph=False))
names = tuple(variable.name for variable in variables)
fused = expr.to_source(derivative, names, frozenset(), frozenset(names))
section(f"   f0 for arrays: temporaries are written over, c0 is {expr.constants(derivative)[0]}", fused)

# ---- 5. Backward: core/engine.py ----
# The engine hands each node the gradient of its result and sends on what the function above returns. Here the same
# by hand first, then by the engine.

(by_hand,) = op.backward(node, np.ones(3, np.float32))
y.backward(torch.ones(3))
section("5. the gradient", f"by hand        {by_hand}", f"by the engine  {x.grad}")
assert np.array_equal(by_hand, x.grad.numpy())
section("   after the pass the node is empty", f"saved {node.saved}, outputs {node.outputs}")

# ---- 6. The second derivative: the same formula, run on tensors ----
# With create_graph=True the pass records itself: `g * (1 - out * out)` becomes nodes like any other, and `out` is
# joined to the node that made it, so that the second pass finds its way through it to x.

y = torch.tanh(x)
(first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
(second,) = torch.autograd.grad(first.sum(), x)
recorded, stack = {}, [first.grad_fn]
while stack:
    found = stack.pop()
    if found.name() != "AccumulateGrad":
        recorded[found.number] = found.name()
        stack += [f for f, _ in found.next_functions if f is not None]
section(
    "6. the second derivative",
    f"recorded       {', '.join(recorded[number] for number in sorted(recorded))}",
    f"by the engine  {second}",
    f"-2 y (1 - y^2) {(-2 * y * (1 - y * y)).detach()}",
)
