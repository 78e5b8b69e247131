"""Bad input: the exception type is PyTorch's, and the text says what, where, got, expected and how to fix it."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

import tapegrad as torch
from tapegrad.vision import datasets

# what is wrong: (the program, the type of the exception, its text)
CASES = {
    "sizes that do not broadcast": (
        lambda: torch.ones(2, 3) + torch.ones(4),
        RuntimeError,
        (
            "add: sizes 3 and 4 do not broadcast at dimension 1\n"
            "  got: (2, 3) and (4,)\n"
            "  expected: equal sizes, or 1, in every dimension counted from the last\n"
            "  fix: reshape, unsqueeze or expand one of them"
        ),
    ),
    "an operand that is no number": (
        lambda: torch.add(torch.ones(2), "a"),
        TypeError,
        (
            "add: the argument 'other' must be a tensor or a number\n"
            "  got: str\n"
            "  fix: torch.tensor(...) makes a tensor of a list"
        ),
    ),
    "a dtype the operation refuses": (
        lambda: torch.tensor([True]) - torch.tensor([False]),
        RuntimeError,
        ("sub: not defined for bools\n  got: bool (1,), bool (1,)\n  fix: convert with .to(...)"),
    ),
    "an in-place result of another shape": (
        lambda: torch.ones(3).add_(torch.ones(2, 3)),
        RuntimeError,
        (
            "add_: the result does not have the shape of the tensor it is written into\n"
            "  got: a result of shape (2, 3)\n"
            "  expected: (3,)"
        ),
    ),
    "an in-place result of another kind": (
        lambda: torch.ones(2, dtype=torch.int64).mul_(1.5),
        RuntimeError,
        ("mul_: a torch.float32 result does not fit in place\n  got: a torch.int64 tensor\n  fix: use mul"),
    ),
    "an unknown keyword": (
        lambda: torch.add(torch.ones(2), 1, beta=2),
        TypeError,
        ("add() has no argument 'beta'\n  got: beta=2\n  expected: add(input, other, *, alpha=1)"),
    ),
    "a view that does not fit": (
        lambda: torch.ones(2, 3).view(4, 2),
        RuntimeError,
        ("view: shape [4, 2] is invalid for an input of size 6\n  got: 6 elements\n  expected: 8 elements"),
    ),
    "an index out of range": (
        lambda: torch.ones(3)[5],
        IndexError,
        ("select: index 5 is out of range for dimension 0 with size 3\n  got: shape (3,)\n  expected: -3 to 2"),
    ),
    "a dim out of range": (
        lambda: torch.ones(2, 3).sum(dim=2),
        IndexError,
        ("sum: dim is out of range for 2 dimensions\n  got: dim=2\n  expected: -2 to 1"),
    ),
    "backward of a tensor with dimensions": (
        lambda: (torch.ones(2, requires_grad=True) * 2).backward(),
        RuntimeError,
        (
            "backward: a gradient can be created for scalar outputs only\n"
            "  got: shape (2,)\n"
            "  fix: reduce it first, e.g. .sum() or .mean(), or pass the gradient"
        ),
    ),
    "backward without a graph": (
        lambda: torch.ones(()).backward(),
        RuntimeError,
        (
            "backward: the tensor does not require grad and has no graph\n"
            "  got: shape ()\n"
            "  fix: give a parameter requires_grad=True and compute outside torch.no_grad()"
        ),
    ),
    "numpy of a tensor that requires grad": (
        lambda: torch.ones(2, requires_grad=True).numpy(),
        RuntimeError,
        ("numpy: the tensor requires grad\n  fix: use tensor.detach().numpy()"),
    ),
    "integers that require grad": (
        lambda: torch.tensor([1], requires_grad=True),
        RuntimeError,
        (
            "requires_grad: only floating-point and complex tensors can require gradients\n"
            "  got: dtype torch.int64\n"
            "  fix: convert with .float() first"
        ),
    ),
    "the truth of several elements": (
        lambda: bool(torch.ones(2)),
        RuntimeError,
        ("the truth value of a tensor with 2 elements is ambiguous\n  got: shape (2,)\n  fix: use .any() or .all()"),
    ),
    "item of several elements": (
        lambda: torch.ones(2).item(),
        RuntimeError,
        ("a tensor with 2 elements cannot be converted to a number\n  got: shape (2,)"),
    ),
    "a negative integer power": (
        lambda: torch.tensor([2]) ** -1,
        RuntimeError,
        ("pow: integers have no negative integer powers\n  fix: convert the base with .float()"),
    ),
    "integer division by zero": (
        lambda: torch.tensor([2]) // 0,
        RuntimeError,
        ("ZeroDivisionError: integer division by zero\n  fix: convert to a floating-point dtype"),
    ),
    "ragged lists": (
        lambda: torch.tensor([[1, 2], [3]]),
        ValueError,
        ("tensor: sequences of unequal length at dimension 1\n  got: lengths [1, 2]\n  expected: a rectangular table"),
    ),
    "cat of unequal sizes": (
        lambda: torch.cat([torch.ones(2, 3), torch.ones(2, 4)]),
        RuntimeError,
        ("cat: the sizes differ in a dimension other than 0\n  got: (2, 3), (2, 4)\n  expected: equal sizes"),
    ),
    "a device that is not there": (
        lambda: torch.ones(2, device="cuda"),
        RuntimeError,
        ("ones: tapegrad computes on the CPU only\n  got: device 'cuda'\n  fix: use device='cpu'"),
    ),
    "a slice that runs backwards": (
        lambda: torch.ones(3)[::-1],
        ValueError,
        ("a slice must have a positive step\n  got: step -1\n  fix: use .flip(dim) and a positive step"),
    ),
    "an expansion that does not fit": (
        lambda: torch.ones(3).expand(2, 4),
        RuntimeError,
        (
            "expand: size 4 does not fit at dimension 1\n"
            "  got: (2, 4) for a tensor of shape (3,)\n"
            "  expected: equal sizes, -1, or a dimension of size 1 to stretch"
        ),
    ),
    "matrices that do not fit": (
        lambda: torch.ones(2, 3) @ torch.ones(4, 5),
        RuntimeError,
        (
            "matmul: the inner sizes 3 and 4 differ\n"
            "  got: (2, 3) @ (4, 5)\n"
            "  expected: (..., n, k) @ (..., k, m)\n"
            "  fix: transpose one operand (x.mT), or check the layer's in_features"
        ),
    ),
    "matrices of unequal dtypes": (
        lambda: torch.ones(2, 3) @ torch.ones(3, 5, dtype=torch.float64),
        RuntimeError,
        ("matmul: the operands must have one dtype\n  got: float32 and float64\n  fix: x.to(y.dtype)"),
    ),
    "a leaf changed in place": (
        lambda: torch.ones(2, requires_grad=True).add_(1),
        RuntimeError,
        (
            "add_: a leaf that requires grad cannot be changed in place\n"
            "  got: shape (2,)\n"
            "  fix: do it inside torch.no_grad(), or on a .clone()"
        ),
    ),
    "an index for gather out of range": (
        lambda: torch.ones(3).gather(0, torch.tensor([5])),
        RuntimeError,
        ("gather: index 5 is out of bounds for a dimension of size 3\n  expected: 0 to 2"),
    ),
    "features that do not fit the layer": (
        lambda: torch.nn.Linear(3, 4)(torch.ones(2, 5)),
        RuntimeError,
        (
            "linear: the input's last size must be the weight's in_features, 3\n"
            "  got: input (2, 5) and weight (4, 3)\n"
            "  expected: (..., in) and (out, in)"
        ),
    ),
    "a class that is out of range": (
        lambda: torch.nn.CrossEntropyLoss()(torch.ones(2, 3), torch.tensor([0, 5])),
        IndexError,
        ("cross_entropy: Target 5 is out of bounds\n  expected: 0 to 2"),
    ),
    "an unknown reduction": (
        lambda: torch.nn.MSELoss(reduction="total")(torch.ones(2), torch.ones(2)),
        ValueError,
        ("mse_loss: total is not a valid value for reduction\n  expected: 'none' or 'mean' or 'sum'"),
    ),
    "a negative learning rate": (
        lambda: torch.optim.SGD([torch.ones(2, requires_grad=True)], lr=-1.0),
        ValueError,
        ("SGD: lr is negative or not a number\n  got: lr=-1.0\n  expected: lr >= 0"),
    ),
    "nothing to optimise": (
        lambda: torch.optim.Adam([]),
        ValueError,
        (
            "Adam: there is nothing to optimise\n"
            "  got: an empty list of parameters\n"
            "  fix: a generator can be used only once"
        ),
    ),
    "a state_dict that does not fit": (
        lambda: torch.nn.Linear(2, 2).load_state_dict({"weight": torch.ones(3, 2)}),
        RuntimeError,
        (
            "Error(s) in loading state_dict for Linear:\n"
            '\tMissing key(s) in state_dict: "bias". \n'
            "\tsize mismatch for weight: the checkpoint holds torch.Size([3, 2]), "
            "the current model needs torch.Size([2, 2])."
        ),
    ),
    "a batch size of zero": (
        lambda: torch.utils.data.DataLoader([1], batch_size=0),
        ValueError,
        ("batch_size must be a positive integer\n  got: 0"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_exact_text(name: str):
    program, kind, text = CASES[name]
    with pytest.raises(kind) as caught:
        program()
    assert type(caught.value) is kind
    assert str(caught.value) == text


def test_a_second_backward_names_the_node_and_the_line():
    loss = (torch.ones(2, requires_grad=True) ** 2).sum()
    loss.backward()
    with pytest.raises(RuntimeError) as caught:
        loss.backward()
    lines = str(caught.value).split("\n")
    assert lines[0] == "backward: the graph was already used, and its saved values are freed"
    assert lines[1].startswith("  where: PowBackward0, recorded at ")
    assert lines[1].endswith("in test_a_second_backward_names_the_node_and_the_line")
    assert lines[2] == "  fix: call the first backward with retain_graph=True, or compute the loss again"


def test_a_saved_tensor_changed_in_place_names_versions_and_line():
    y = torch.ones(2, requires_grad=True) * 2
    loss = (y * y).sum()
    y.add_(1)
    with pytest.raises(RuntimeError) as caught:
        loss.backward()
    lines = str(caught.value).split("\n")
    assert lines[0] == "backward: a tensor needed for the gradient was modified by an in-place operation"
    assert lines[1].startswith("  where: MulBackward0, recorded at ")
    assert lines[2:] == [
        "  got: the input 'x' of shape (2,) is at version 1",
        "  expected: version 0",
        "  fix: use the out-of-place form of the later operation, or change a .clone()",
    ]


# ---- data files ------------------------------------------------------------------------------------------------------


def _mnist(folder: Path, images: bytes, suffix: str = "") -> Path:
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / f"train-images-idx3-ubyte{suffix}").write_bytes(images)
    (raw / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 10) + bytes(10))
    return raw


def _refused(folder: Path) -> str:
    before = sorted(folder.rglob("*"))
    with pytest.raises(RuntimeError) as caught:
        datasets.MNIST(folder)
    assert sorted(folder.rglob("*")) == before  # nothing half-written is left behind
    return str(caught.value)


def test_missing_files_are_named(tmp_path: Path):
    text = _refused(tmp_path)
    assert text.startswith("MNIST: the data is not there\n")
    assert str(tmp_path / "MNIST" / "raw") in text and "train-images-idx3-ubyte" in text and "download=True" in text


def test_a_truncated_file_is_named_with_both_sizes(tmp_path: Path):
    raw = _mnist(tmp_path, struct.pack(">IIII", 0x803, 10, 28, 28) + bytes(100))
    assert _refused(tmp_path) == (
        "this IDX file is cut or damaged\n"
        f"  where: {raw / 'train-images-idx3-ubyte'}\n"
        "  got: 116 bytes\n"
        "  expected: 7856 bytes for shape (10, 28, 28)\n"
        "  fix: delete the file and get it again"
    )


def test_a_file_of_another_kind_is_named(tmp_path: Path):
    raw = _mnist(tmp_path, b"<html>not found</html>")
    assert _refused(tmp_path) == (
        "this is not an IDX file\n"
        f"  where: {raw / 'train-images-idx3-ubyte'}\n"
        "  got: 22 bytes that begin with 3c 68 74 6d\n"
        "  expected: 00 00, the element type, the number of dimensions\n"
        "  fix: delete the file and get it again"
    )


def test_a_damaged_gzip_file_is_named(tmp_path: Path):
    whole = gzip.compress(struct.pack(">IIII", 0x803, 10, 28, 28) + bytes(7840))
    raw = _mnist(tmp_path, whole[: len(whole) // 2], ".gz")
    assert str(raw / "train-images-idx3-ubyte.gz") in _refused(tmp_path)
