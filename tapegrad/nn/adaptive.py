"""Losses that own the last layer of a classifier: `AdaptiveLogSoftmaxWithLoss`, `LinearCrossEntropyLoss`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import errors
from ..core.tensor import Tensor
from ..ops.neural.linear_cross_entropy import LinearCrossEntropyOptions
from ..ops.shape.joining import cat
from . import functional as F
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module


class _ASMoutput(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` returns."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """A softmax over many classes of which few are frequent: rare ones share an entry of the head and have smaller
    layers of their own (Grave et al. 2017).

    Args:
        in_features: I, size of the last dimension of the input.
        n_classes: number of classes, the most frequent first.
        cutoffs: where each cluster of rarer classes begins, increasing.
        div_value: by how much the layers of each cluster are narrower than those of the one before.
        head_bias: whether the head has a bias.
        device: where the parameters are made.
        dtype: their type.

    A call takes x, (N, I) or (I,), and class numbers, (N,) or (), and returns the log-probability of each target
    (`output`) and the mean of their negatives (`loss`).

    Raises:
        ValueError: cutoffs that are not increasing numbers between 1 and `n_classes - 1`.

    >>> import tapegrad as torch
    >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs=[4, 10])
    >>> layer(torch.zeros(5, 16), torch.tensor([0, 5, 11, 19, 3])).output.shape
    torch.Size([5])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        name = "AdaptiveLogSoftmaxWithLoss"
        if not cutoffs:
            raise ValueError(errors.message(f"{name}: cutoffs should not be empty"))
        if (
            cutoffs != sorted(set(cutoffs))
            or any(int(c) != c for c in cutoffs)
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
        ):
            expected = f"increasing integers between 1 and {n_classes - 1}"
            raise ValueError(errors.message(f"{name}: unsuitable cutoffs", got=cutoffs, expected=expected))
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(Linear(in_features, width, bias=False, **made), Linear(width, size, bias=False, **made))
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for first, second in self.tail:  # type: ignore[misc]
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        x, target = self._batched(input_, target_)
        output = x.new_zeros(len(target.array))
        head = F.log_softmax(self.head(x), dim=1)
        index = target.new_zeros(target.shape)
        for i, (low, high) in enumerate(zip([0, *self.cutoffs], self.cutoffs)):
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            own = target.index_select(0, rows)
            if i == 0:
                index = index.index_copy(0, rows, own)
                continue
            index = index.index_fill(0, rows, self.shortlist_size + i - 1)
            logs = F.log_softmax(self.tail[i - 1](x.index_select(0, rows)), dim=1)
            output = output.index_copy(0, rows, logs.gather(1, (own - low).unsqueeze(1)).squeeze(1))
        output = output + head.gather(1, index.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if target_.dim() == 0 else output, loss)

    def _batched(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Both with a batch dimension, checked."""
        name = "AdaptiveLogSoftmaxWithLoss"
        if target.dim() > 1:
            text = f"{name}: the target must be one class for each row"
            raise RuntimeError(errors.message(text, got=tuple(target.shape), expected="(N,) or ()"))
        if x.dim() != target.dim() + 1:
            got, expected = f"{tuple(x.shape)} and {tuple(target.shape)}", "(N, I) and (N,), or (I,) and ()"
            raise RuntimeError(errors.message(f"{name}: input and target do not fit", got=got, expected=expected))
        if target.dim() == 0:
            return x.unsqueeze(0), target.unsqueeze(0)
        if x.shape[0] != target.shape[0]:
            got = f"{x.shape[0]} and {target.shape[0]}"
            text = f"{name}: Input and target should have the same size in the batch dimension"
            raise RuntimeError(errors.message(text, got=got))
        numbers = target.array
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.n_classes):
            got = f"{numbers.min()} to {numbers.max()}"
            text = f"{name}: Target values should be in [0, {self.n_classes - 1}]"
            raise RuntimeError(errors.message(text, got=got))
        return x, target

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, (N, n_classes), of x, (N, I)."""
        return self._with_tails(input, self.head(input))

    def _with_tails(self, x: Tensor, head: Tensor) -> Tensor:
        logs = F.log_softmax(head, dim=1)
        n = self.shortlist_size
        tails = [F.log_softmax(tail(x), dim=1) + logs[:, n + i].unsqueeze(1) for i, tail in enumerate(self.tail)]
        return cat([logs[:, :n], *tails], 1)

    _get_full_log_prob = _with_tails

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row, (N,), of x, (N, I); clusters are looked into where they matter only."""
        head = self.head(input)
        best = head.argmax(1)
        rare = (best >= self.shortlist_size).nonzero().squeeze(1)
        if rare.numel() == 0:
            return best
        found = self._with_tails(input.index_select(0, rare), head.index_select(0, rare)).argmax(1)
        return best.index_copy(0, rare, found)


class LinearCrossEntropyLoss(Module):
    """A linear layer and the cross entropy of its result: `cross_entropy(x W^T + b, target)`.

    Args:
        in_features: I, size of the last dimension of the input.
        num_classes: C.
        out_features: sizes (d1, ...) if each row has several targets.
        bias: whether there is a b.
        device: where the parameters are made.
        dtype: their type.
        reduction: "none", "mean" (weighted by `weight`) or "sum".
        weight: factor of each class, (C,).
        ignore_index: targets of this class number count nothing.
        label_smoothing: the part of the target's probability that is spread over all classes.
        options: see `LinearCrossEntropyOptions`.

    The input is (N, I) or (I,), the target as for `nn.functional.linear_cross_entropy`.

    >>> import tapegrad as torch
    >>> loss = torch.nn.LinearCrossEntropyLoss(5, 10)
    >>> loss(torch.zeros(2, 5), torch.tensor([1, 2]))
    tensor(2.3026, grad_fn=<NllLossBackward0>)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        super().__init__()
        self.reduction = reduction
        self.register_buffer("weight", weight)
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        width = num_classes * math.prod(self.out_features)
        self.linear = Linear(in_features, width, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
