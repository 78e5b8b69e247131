"""One training step from end to end: a network of nine numbers begins to learn exclusive or.

    python docs/one_step.py

Everything printed is what the package really does. `one_op.py` follows a single operation further down, to its kernel.
"""

import tapegrad as torch
from tapegrad import nn

torch.manual_seed(0)
x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])  # (4, 2)
target = torch.tensor([[0.0], [1.0], [1.0], [0.0]])  # (4, 1)

model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
names = {id(p): name for name, p in model.named_parameters()}


def section(title, *lines):
    """Print a heading and what belongs to it, indented."""
    print(f"\n{title}")
    for line in lines:
        print(("    " + str(line).rstrip().replace("\n", "\n    ")).rstrip())


def edge_text(function):
    """Where a gradient goes: a node's number, a parameter's name, or nowhere."""
    if function is None:
        return "-"
    return names[id(function.variable)] if function.name() == "AccumulateGrad" else f"#{function.number}"


def nodes_of(loss):
    """All nodes from which `loss` was computed, in the order in which they were made."""
    found, stack = {}, [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node.name() != "AccumulateGrad" and node.number not in found:
            found[node.number] = node
            stack += [function for function, _ in node.next_functions]
    return [found[number] for number in sorted(found)]


# ---- 1. Forward: ops/ compute, core/tape.py records ----
# Nodes are numbered as they are made. Each knows its formula and where its gradients go; parameters are the ends.

loss = ((model(x) - target) ** 2).mean()
nodes = nodes_of(loss)
section("1. forward: the nodes in the order of the computation")
for node in nodes:
    to = ", ".join(edge_text(function) for function, _ in node.next_functions)
    section(f"   #{node.number} {node.name()} {tuple(node.shape)}", f"gradients to {to}", node.formula)
section("   the last one is the loss", loss)

# ---- 2. Backward: core/engine.py ----
# The pending node with the highest number runs next, so a node runs after all its readers. A hook on each writes down
# when it ran and with which gradient.

ran = []
for node in nodes:
    node.register_prehook(lambda gradients, node=node: ran.append((node, gradients[0])))
optimizer.zero_grad()
loss.backward()
order = (f"#{node.number} {node.name():<18} gets {tuple(g.shape)}" for node, g in ran)
section("2. backward: the order of the engine", *order)
assert [node for node, _ in ran] == nodes[::-1]
section("   gradients of the parameters", *(f"{name:<9} {p.grad.flatten()}" for name, p in model.named_parameters()))

# ---- 3. The optimizer: optim/sgd.py declares the rule, optim/rule.py compiles it ----
# A rule is one expression for each value that changes; a prime marks the new one. From it follows a function that
# writes the arrays of a parameter in place, one NumPy call for each operator, on pieces that fit the cache. n0, n1, ...
# are the numbers of the formula, here the momentum and the rate; t... is memory for temporaries. (From 16,384 elements
# on, with llvmlite, the same expressions become machine code: codegen/updates.py.)

rule = optimizer.rule
on = tuple(name in ("lr", "momentum") for name in rule.options)  # the parts that these settings need
source = rule.program(on).update.source
section("3. the optimizer's rule, from the second step on", rule.formula(momentum=True), "", source)

weight = model[2].weight
before = weight.detach().clone()
by_hand = before - 0.5 * weight.grad  # at the first step the momentum buffer is the gradient itself
optimizer.step()
section(f"   {names[id(weight)]}", f"before  {before}", f"after   {weight.detach()}", f"by hand {by_hand}")
assert torch.equal(weight, by_hand)

# ---- 4. What came of it ----

with torch.no_grad():  # nothing is recorded: the result has no node
    after = ((model(x) - target) ** 2).mean()
section("4. the loss", f"before  {loss.item():.4f}", f"after   {after.item():.4f}, node {after.grad_fn}")
