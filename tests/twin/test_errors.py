"""Wrong calls raise the same class of exception here as in PyTorch, and ours say more than Python's or NumPy's."""

from __future__ import annotations

import pytest

import tapegrad

torch = pytest.importorskip("torch")


def matrix(T, *shape):
    return T.zeros(shape or (2, 3))


def leaf(T, *shape):
    return T.ones(shape or (3,), requires_grad=True)


def assign(target, key, value):
    target[key] = value


def twice(T):
    y = (leaf(T) ** 2).sum()
    y.backward()
    y.backward()


def stale(T):
    x = leaf(T).clone()
    y = x.exp()
    y.add_(1)
    y.sum().backward()


def through_a_changed_input(T):
    x = leaf(T).clone()
    y = x * x
    x.zero_()
    y.sum().backward()


WRONG = {
    # sizes that do not fit
    "add": lambda T: matrix(T) + matrix(T, 2, 4),
    "mul": lambda T: matrix(T, 3) * matrix(T, 4),
    "add in place": lambda T: matrix(T, 3).add_(matrix(T, 2, 3)),
    "copy": lambda T: matrix(T).copy_(matrix(T, 4)),
    "matmul": lambda T: matrix(T) @ matrix(T),
    "matmul of scalars": lambda T: matrix(T) @ T.tensor(1.0),
    "mm of vectors": lambda T: T.mm(matrix(T, 3), matrix(T, 3)),
    "bmm": lambda T: T.bmm(matrix(T, 2, 3, 4), matrix(T, 3, 4, 5)),
    "dot": lambda T: T.dot(matrix(T, 2), matrix(T, 3)),
    "where": lambda T: T.where(T.tensor([True, False]), matrix(T, 3), 0.0),
    "masked_fill": lambda T: matrix(T, 3).masked_fill(T.tensor([True, False]), 0.0),
    "lerp": lambda T: T.lerp(matrix(T, 3), matrix(T, 4), 0.5),
    # other shapes
    "view of too many": lambda T: matrix(T).view(4, 2),
    "view of a transpose": lambda T: matrix(T).t().view(-1),
    "view with two unknown": lambda T: matrix(T).view(-1, -1),
    "view that does not divide": lambda T: matrix(T).view(-1, 4),
    "reshape": lambda T: matrix(T).reshape(7),
    "permute too few": lambda T: matrix(T).permute(0),
    "permute twice": lambda T: matrix(T).permute(0, 0),
    "transpose": lambda T: matrix(T).transpose(0, 2),
    "t": lambda T: matrix(T, 2, 3, 4).t(),
    "unsqueeze": lambda T: matrix(T).unsqueeze(4),
    "squeeze": lambda T: matrix(T).squeeze(5),
    "expand": lambda T: matrix(T).expand(2, 4),
    "expand to fewer": lambda T: matrix(T).expand(3),
    "repeat": lambda T: matrix(T).repeat(2),
    "flatten": lambda T: matrix(T).flatten(1, 0),
    "unfold": lambda T: matrix(T).unfold(0, 5, 1),
    "diagonal": lambda T: matrix(T).diagonal(0, 0, 0),
    "narrow": lambda T: matrix(T).narrow(0, 1, 5),
    "narrow from outside": lambda T: matrix(T).narrow(0, 7, 1),
    "split": lambda T: matrix(T).split([1, 2]),
    "chunk": lambda T: matrix(T).chunk(0),
    "cat": lambda T: T.cat([matrix(T), matrix(T, 3, 2)]),
    "cat of nothing": lambda T: T.cat([]),
    "cat of scalars": lambda T: T.cat([T.tensor(1.0), T.tensor(2.0)]),
    "stack": lambda T: T.stack([matrix(T), matrix(T, 2, 2)]),
    "stack of nothing": lambda T: T.stack([]),
    "unbind": lambda T: T.tensor(1.0).unbind(),
    # dimensions and positions
    "sum": lambda T: matrix(T).sum(2),
    "sum twice": lambda T: matrix(T).sum((0, 0)),
    "max": lambda T: matrix(T).max(5),
    "max of nothing": lambda T: matrix(T, 0).max(),
    "argmax of nothing": lambda T: matrix(T, 0).argmax(),
    "amax of nothing": lambda T: matrix(T, 0, 2).amax(0),
    "softmax": lambda T: matrix(T).softmax(3),
    "cumsum": lambda T: matrix(T).cumsum(2),
    "sort": lambda T: matrix(T).sort(2),
    "topk": lambda T: matrix(T).topk(4),
    "kthvalue": lambda T: matrix(T).kthvalue(9),
    "index": lambda T: matrix(T)[2],
    "index below": lambda T: matrix(T)[-3],
    "index of a scalar": lambda T: T.tensor(1.0)[0],
    "too many indices": lambda T: matrix(T)[0, 0, 0],
    "index list": lambda T: matrix(T)[[0, 5]],
    "index tensor of floats": lambda T: matrix(T)[T.tensor([0.5])],
    "index string": lambda T: matrix(T)["a"],
    "mask of another size": lambda T: matrix(T)[T.tensor([True, False, True])],
    "negative step": lambda T: matrix(T)[::-1],
    "assign a row that is too long": lambda T: assign(matrix(T), 0, matrix(T, 4)),
    "assign outside": lambda T: assign(matrix(T), 5, 0.0),
    "assign a string": lambda T: assign(matrix(T), 0, "a"),
    "gather": lambda T: matrix(T).gather(0, T.tensor([[5]])),
    "gather of another rank": lambda T: matrix(T).gather(0, T.tensor([0])),
    "gather by floats": lambda T: matrix(T).gather(0, matrix(T, 1, 1)),
    "index_select outside": lambda T: matrix(T).index_select(0, T.tensor([5])),
    "index_select by a matrix": lambda T: matrix(T).index_select(0, T.tensor([[0]])),
    "scatter outside": lambda T: matrix(T).scatter(0, T.tensor([[5]]), 1.0),
    "take outside": lambda T: matrix(T).take(T.tensor([9])),
    "flip": lambda T: matrix(T).flip(2),
    "roll": lambda T: matrix(T).roll((1, 2), 0),
    "size": lambda T: matrix(T).size(3),
    # types
    "integers have no mean": lambda T: T.tensor([1, 2]).mean(),
    "integers have no std": lambda T: T.tensor([1, 2]).std(),
    "bools cannot be subtracted": lambda T: T.tensor([True]) - T.tensor([True]),
    "bools have no sign": lambda T: -T.tensor([True]),
    "floats have no bits": lambda T: T.ones(1) & T.ones(1),
    "integer division by zero": lambda T: T.tensor([1]) // T.tensor([0]),
    "integer to a negative power": lambda T: T.tensor([2]) ** -1,
    "float result in an integer tensor": lambda T: T.tensor([1]).add_(0.5),
    "quotient in an integer tensor": lambda T: T.tensor([1]).div_(2),
    "products of two dtypes": lambda T: matrix(T) @ matrix(T, 3, 2).double(),
    "softmax of integers": lambda T: T.tensor([1, 2]).softmax(0),
    "mask that is no bool": lambda T: matrix(T).masked_fill(T.tensor([1, 0, 1]), 0.0),
    "requires_grad of integers": lambda T: T.tensor([1], requires_grad=True),
    "requires_grad_ of integers": lambda T: T.tensor([1]).requires_grad_(),
    "out of a lower kind": lambda T: T.add(T.ones(1), T.ones(1), out=T.zeros(1, dtype=T.int64)),
    # arguments
    "unknown keyword": lambda T: matrix(T).sum(axes=1),
    "too many arguments": lambda T: T.exp(matrix(T), matrix(T)),
    "missing argument": lambda T: T.add(matrix(T)),
    "a list for a tensor": lambda T: T.exp([1.0]),
    "a string for a tensor": lambda T: T.add(matrix(T), "a"),
    "a string added": lambda T: matrix(T) + "a",
    "None added": lambda T: matrix(T) + None,
    "a string for a dim": lambda T: matrix(T).sum("a"),
    "a float for a dim": lambda T: matrix(T).sum(0.5),
    "a float for a size": lambda T: T.zeros(2.5),
    "negative size": lambda T: T.zeros(-1),
    "clamp without bounds": lambda T: matrix(T).clamp(),
    "rounding mode": lambda T: T.div(matrix(T), 2, rounding_mode="up"),
    "arange without a step": lambda T: T.arange(0, 1, 0),
    "linspace without steps": lambda T: T.linspace(0, 1, -1),
    "ragged list": lambda T: T.tensor([[1, 2], [3]]),
    "tensor of a string": lambda T: T.tensor("a"),
    # truth, numbers, conversion
    "truth of many": lambda T: bool(matrix(T)),
    "item of many": lambda T: matrix(T).item(),
    "float of many": lambda T: float(matrix(T)),
    "len of a scalar": lambda T: len(T.tensor(1.0)),
    "iteration over a scalar": lambda T: list(T.tensor(1.0)),
    "numpy of a recorded tensor": lambda T: leaf(T).numpy(),
    "copy of a result": lambda T: __import__("copy").deepcopy(leaf(T) * 2),
    "attribute": lambda T: matrix(T).no_such_thing,
    # derivatives
    "backward without a graph": lambda T: matrix(T).sum().backward(),
    "backward of many": lambda T: leaf(T).exp().backward(),
    "backward twice": twice,
    "backward with a gradient of another shape": lambda T: leaf(T).exp().backward(T.ones(2)),
    "result changed": stale,
    "input changed": through_a_changed_input,
    "leaf in place": lambda T: leaf(T).add_(1),
    "view of a leaf in place": lambda T: leaf(T)[0].add_(1),
    "assignment to a leaf": lambda T: assign(leaf(T), 0, 1.0),
    "one of several views in place": lambda T: leaf(T).clone().unbind()[0].add_(1),
    "grad of an unused input": lambda T: T.autograd.grad(leaf(T).sum(), leaf(T)),
    "grad without a graph": lambda T: T.autograd.grad(matrix(T).sum(), matrix(T)),
    "grad of another shape": lambda T: setattr(leaf(T), "grad", T.ones(2)),
    "grad of another dtype": lambda T: setattr(leaf(T), "grad", T.ones(3, dtype=T.float64)),
    "no grad for a result": lambda T: (leaf(T) * 2).requires_grad_(False),
    "retain_grad without grad": lambda T: matrix(T).retain_grad(),
    "hook without grad": lambda T: matrix(T).register_hook(print),
    "recorded out": lambda T: T.exp(leaf(T), out=T.zeros(3)),
    "expanded in place": lambda T: T.ones(1).expand(3).add_(1),
}


def error_of(package, call) -> Exception | None:
    try:
        call(package)
    except Exception as error:
        return error
    return None


def builtin(error: Exception | None) -> type | None:
    """The class as users name it in `except`."""
    if error is None:
        return None
    return next(c for c in type(error).__mro__ if c.__module__ == "builtins")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    theirs, ours = error_of(torch, WRONG[name]), error_of(tapegrad, WRONG[name])
    assert theirs is not None, "PyTorch allows it"
    assert builtin(ours) is builtin(theirs), f"theirs: {theirs!r}\nours: {ours!r}"
    assert str(ours)
