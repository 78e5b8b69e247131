"""Recurrent layers and cells: `RNN`, `LSTM`, `GRU`, and one step of each.

References: Elman 1990 (RNN), Hochreiter & Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU).
"""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

from .. import errors
from ..core.tensor import Tensor
from ..ops.creation.filled import empty, zeros
from ..ops.neural import recurrent
from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` have in common: layers in one or two directions, their weights and their checks.

    Args:
        mode: "LSTM", "GRU", "RNN_TANH" or "RNN_RELU".
        input_size: I, features of the input.
        hidden_size: H, features of the state.
        num_layers: L, each reads the outputs of the one before.
        bias: whether there are biases.
        batch_first: inputs and outputs are (B, T, *), not (T, B, *); states are not concerned.
        dropout: probability with which outputs between layers become zero in training.
        bidirectional: a second set of layers reads backwards, and outputs are put side by side.
        proj_size: R, the size that an LSTM's outputs are projected to; 0 for none.
        device: where the parameters are made.
        dtype: their type.

    Attributes:
        weight_ih_l[k]: weights of layer k for its input, the gates one below the other; `_reverse` for the second set.
        weight_hh_l[k]: for the state.
        bias_ih_l[k]: the first bias.
        bias_hh_l[k]: the second bias.
        weight_hr_l[k]: the projection. All are first drawn from U(-k, k) with `k = 1 / sqrt(hidden_size)`.

    Raises:
        ValueError: sizes that are not positive, a probability outside [0, 1], an unknown mode.
        TypeError: `hidden_size` is no int.
    """

    __constants__: ClassVar[list[str]] = [
        "mode", "input_size", "hidden_size", "num_layers", "bias",
        "batch_first", "dropout", "bidirectional", "proj_size",
    ]  # fmt: skip

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        _check_arguments(self, dropout)
        self._all_weights: list[list[str]] = []
        rows, out = GATES[mode] * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            size = input_size if layer == 0 else out * self._directions
            for end in ("", "_reverse")[: self._directions]:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, size), "weight_hh": (rows, out)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = []
                for name, shape in shapes.items():
                    names.append(f"{name}_l{layer}{end}")
                    setattr(self, names[-1], Parameter(empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(names)
        self._flat_weights_names = [name for names in self._all_weights for name in names]
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _flat_weights(self) -> list[Any]:
        """All weights, layer after layer; None for a name that is no attribute any more."""
        own = self._parameters
        return [own[name] if name in own else getattr(self, name, None) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Accepted for compatibility: how the weights lie in memory makes no difference here."""

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # ---- checks ----------------------------------------------------------------------------------------------------

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Refuse an input that does not fit the weights.

        Raises:
            ValueError: another dtype.
            RuntimeError: another number of dimensions or of features.
        """
        weight = self._flat_weights[0]
        if weight is not None and input.dtype is not weight.dtype:
            text = "RNN input dtype does not match weight dtype"
            raise ValueError(errors.message(text, got=input.dtype, expected=weight.dtype, fix=f"x.to({weight.dtype})"))
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError(errors.message(f"input must have {expected} dimensions", got=input.dim()))
        if input.shape[-1] != self.input_size:
            text = "input.size(-1) must be equal to input_size"
            raise RuntimeError(errors.message(text, got=input.shape[-1], expected=self.input_size))

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape of h_0: (L * D, B, R or H)."""
        return self._state_shape(input, batch_sizes, self.proj_size or self.hidden_size)

    def _state_shape(self, input: Tensor, batch_sizes: Tensor | None, size: int) -> tuple[int, int, int]:
        batch = int(batch_sizes[0]) if batch_sizes is not None else input.shape[0 if self.batch_first else 1]
        return self.num_layers * self._directions, batch, size

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: tuple[int, int, int], msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """Refuse a state of another shape.

        Raises:
            RuntimeError: the shape is another.
        """
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """`check_input`, and `check_hidden_size` of all states."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The states with the sequences in another order."""
        return hx if permutation is None else hx.index_select(1, permutation)

    # ---- the call --------------------------------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> Any:
        packed = isinstance(input, PackedSequence)
        data, batch_sizes, order, back = input if packed else (input, None, None, None)
        single = not packed and data.dim() == 2
        if not packed:
            self._check_dims(data, hx)
        if single:
            data = data.unsqueeze(0 if self.batch_first else 1)
            hx = None if hx is None else self._each(hx, lambda h: h.unsqueeze(1))
        elif hx is not None:
            hx = self.permute_hidden(hx, order)
        if hx is None:
            self.check_input(data, batch_sizes)
        else:
            self.check_forward_args(data, hx, batch_sizes)
        options = (self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)
        sizes = tuple(batch_sizes.tolist()) if packed else None
        first = self.batch_first and not packed
        out, *last = recurrent.layers(self.mode, data, sizes, hx, self._flat_weights, *options, first)
        last = tuple(last) if self.mode == "LSTM" else last[0]
        if packed:
            return PackedSequence(out, batch_sizes, order, back), self.permute_hidden(last, back)
        if single:
            return out.squeeze(0 if self.batch_first else 1), self._each(last, lambda h: h.squeeze(1))
        return out, last

    def _each(self, hx: Any, function: Any) -> Any:
        return tuple(map(function, hx)) if self.mode == "LSTM" else function(hx)

    def _check_dims(self, data: Tensor, hx: Any) -> None:
        """Refuse inputs and states with and without a batch together."""
        if data.dim() not in (2, 3):
            text = f"{type(self).__name__}: Expected input to be 2D or 3D"
            raise ValueError(errors.message(text, got=f"{data.dim()}D", expected="(T, B, I) or (T, I)"))
        if hx is None:
            return
        states = (hx[0], hx[1]) if self.mode == "LSTM" else (hx,)
        if any(h.dim() != data.dim() for h in states):
            kind = "batched 3-D" if data.dim() == 3 else "unbatched 2-D"
            text = f"For {kind} input, hx should also be {data.dim()}-D"
            raise RuntimeError(errors.message(text, got=", ".join(f"{h.dim()}-D" for h in states)))

    def extra_repr(self) -> str:
        usual = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0}
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, value in {**usual, "bidirectional": False}.items():
            if getattr(self, name) != value:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


def _check_arguments(layer: RNNBase, dropout: Any) -> None:
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        text = "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
        raise ValueError(errors.message(text, got=repr(dropout)))
    if dropout > 0 and layer.num_layers == 1:
        text = f"dropout is between layers: dropout={dropout} has no effect with num_layers=1"
        warnings.warn(text, stacklevel=4)
    if not isinstance(layer.hidden_size, int):
        raise TypeError(errors.message("hidden_size should be of type int", got=type(layer.hidden_size).__name__))
    for name in ("input_size", "hidden_size", "num_layers"):
        if getattr(layer, name) <= 0:
            raise ValueError(errors.message(f"{name} must be greater than zero", got=getattr(layer, name)))
    if layer.proj_size < 0:
        raise ValueError(errors.message("proj_size should be a positive integer or zero", got=layer.proj_size))
    if layer.proj_size >= layer.hidden_size:
        text = "proj_size has to be smaller than hidden_size"
        raise ValueError(errors.message(text, got=f"{layer.proj_size} and {layer.hidden_size}"))
    if layer.mode not in GATES:
        text = f"Unrecognized RNN mode: {layer.mode}"
        raise ValueError(errors.message(text, expected=", ".join(GATES)))
    if layer.proj_size and layer.mode != "LSTM":
        raise ValueError(errors.message("proj_size argument is only supported for LSTM, not RNN or GRU"))


class RNN(RNNBase):
    r"""Plain recurrent layers: `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`.

    Args:
        *args: input_size, hidden_size, num_layers=1, nonlinearity="tanh" (or "relu"), bias=True, batch_first=False,
            dropout=0.0, bidirectional=False; see `RNNBase`.
        **kwargs: the same by name.

    The call takes an input (T, B, I), (T, I) or packed, and maybe h_0 (L * D, B, H); it returns the outputs of the last
    layer (T, B, D * H), and h_n (L * D, B, H).

    Raises:
        ValueError: an unknown nonlinearity.

    >>> import tapegrad as torch
    >>> out, h = torch.nn.RNN(10, 20, num_layers=2)(torch.zeros(5, 3, 10))
    >>> out.shape, h.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        if len(args) > 3:
            self.__dict__["nonlinearity"] = args[3]
            args = (*args[:3], *args[4:])
        else:
            self.__dict__["nonlinearity"] = kwargs.pop("nonlinearity", "tanh")
        if self.nonlinearity not in ("tanh", "relu"):
            text = f"Unknown nonlinearity {self.nonlinearity!r}"
            raise ValueError(errors.message(text, expected="'tanh' or 'relu'"))
        super().__init__(f"RNN_{self.nonlinearity.upper()}", *args, **kwargs)

    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(input, hx)


class LSTM(RNNBase):
    r"""LSTM layers: `c' = f c + i g`, `h' = o tanh(c')` with i, f, o = sigmoid and g = tanh of
    `W_ih x + b_ih + W_hh h + b_hh`.

    Args:
        *args: input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
            proj_size=0; see `RNNBase`.
        **kwargs: the same by name.

    The call takes an input (T, B, I), (T, I) or packed, and maybe (h_0, c_0); it returns the outputs of the last layer
    (T, B, D * H), and (h_n, c_n), each (L * D, B, H). With projections h has R features.

    >>> import tapegrad as torch
    >>> out, (h, c) = torch.nn.LSTM(10, 20, bidirectional=True)(torch.zeros(5, 3, 10))
    >>> out.shape, h.shape, c.shape
    (torch.Size([5, 3, 40]), torch.Size([2, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape of c_0: (L * D, B, H)."""
        return self._state_shape(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """`check_input`, and `check_hidden_size` of h and c."""
        self.check_input(input, batch_sizes)
        h, c = self.get_expected_hidden_size(input, batch_sizes), self.get_expected_cell_size(input, batch_sizes)
        self.check_hidden_size(hidden[0], h, "Expected hidden[0] size {}, got {}")
        self.check_hidden_size(hidden[1], c, "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """(h, c) with the sequences in another order."""
        return hx if permutation is None else tuple(h.index_select(1, permutation) for h in hx)

    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(input, hx)


class GRU(RNNBase):
    r"""GRU layers: `h' = (1 - z) n + z h` with `r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh)` and
    `n = tanh(W_in x + b_in + r (W_hn h + b_hn))`.

    Args:
        *args: input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False;
            see `RNNBase`.
        **kwargs: the same by name.

    The call takes and returns what that of `RNN` does.

    >>> import tapegrad as torch
    >>> out, h = torch.nn.GRU(10, 20, batch_first=True)(torch.zeros(3, 5, 10))
    >>> out.shape, h.shape
    (torch.Size([3, 5, 20]), torch.Size([1, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(input, hx)


def _refuse_projection(kwargs: dict) -> None:
    if "proj_size" in kwargs:
        raise ValueError(errors.message("proj_size argument is only supported for LSTM, not RNN or GRU"))


# ---- one step --------------------------------------------------------------------------------------------------------


class RNNCellBase(Module):
    """What `RNNCell`, `LSTMCell` and `GRUCell` have in common: the weights of one step and the checks.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether there are biases.
        num_chunks: how many gates there are.
        device: where the parameters are made.
        dtype: their type.

    Attributes:
        weight_ih: (num_chunks * H, I); all are first drawn from U(-k, k) with `k = 1 / sqrt(hidden_size)`.
        weight_hh: (num_chunks * H, H).
        bias_ih: (num_chunks * H,).
        bias_hh: (num_chunks * H,).
    """

    __constants__ = ["input_size", "hidden_size", "bias"]

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _function(self) -> Any:
        """The function that computes the step."""
        raise NotImplementedError(errors.message(f"{type(self).__name__} does not say what a step computes"))

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        states = self._states(input, hx)
        single = input.dim() == 1
        if single:
            input, states = input.unsqueeze(0), [s.unsqueeze(0) if s.dim() == 1 else s for s in states]
        _check_step(input, states, self.input_size, self.hidden_size)
        several = isinstance(self, LSTMCell)
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        out = self._function()(input, tuple(states) if several else states[0], *weights)
        if not single:
            return out
        return tuple(s.squeeze(0) for s in out) if several else out.squeeze(0)

    def _states(self, input: Tensor, hx: Any) -> list[Tensor]:
        """The states as a list, zeros if there are none."""
        name, several = type(self).__name__, isinstance(self, LSTMCell)
        if input.dim() not in (1, 2):
            text = f"{name}: Expected input to be 1D or 2D"
            raise ValueError(errors.message(text, got=f"{input.dim()}D", expected="(B, I) or (I,)"))
        if hx is None:
            return [zeros((*input.shape[:-1], self.hidden_size), dtype=input.dtype)] * (2 if several else 1)
        states = list(hx) if several else [hx]
        for i, s in enumerate(states):
            if s.dim() not in (1, 2):
                what = f"hx[{i}]" if several else "hidden"
                raise ValueError(errors.message(f"{name}: Expected {what} to be 1D or 2D", got=f"{s.dim()}D"))
        return states

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"


def _check_step(input: Tensor, states: list[Tensor], input_size: int, hidden_size: int) -> None:
    problem = ""
    if input.shape[1] != input_size:
        problem = f"input has inconsistent input_size: got {input.shape[1]} expected {input_size}"
    for i, s in enumerate(states):
        if not problem and (s.dim() != 2 or s.shape[0] != input.shape[0]):
            problem = f"Input batch size {input.shape[0]} doesn't match hidden{i} batch size {s.shape[0]}"
        if not problem and s.shape[1] != hidden_size:
            problem = f"hidden{i} has inconsistent hidden_size: got {s.shape[1]}, expected {hidden_size}"
    if problem:
        raise RuntimeError(errors.message(problem, expected=f"(B, {input_size}) and (B, {hidden_size})"))


class RNNCell(RNNCellBase):
    r"""One step of `RNN`: `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether there are biases.
        nonlinearity: "tanh" or "relu".
        device: where the parameters are made.
        dtype: their type.

    The call takes an input (B, I) or (I,), and maybe h (B, H) or (H,); it returns h' of the shape of h.

    >>> import tapegrad as torch
    >>> torch.nn.RNNCell(10, 20)(torch.zeros(3, 10)).shape
    torch.Size([3, 20])
    """

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def _function(self) -> Any:
        functions = {"tanh": recurrent.rnn_tanh_cell, "relu": recurrent.rnn_relu_cell}
        if self.nonlinearity not in functions:
            text = f"Unknown nonlinearity: {self.nonlinearity}"
            raise RuntimeError(errors.message(text, expected="'tanh' or 'relu'"))
        return functions[self.nonlinearity]


class LSTMCell(RNNCellBase):
    r"""One step of `LSTM`.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: their type.

    The call takes an input (B, I) or (I,), and maybe (h, c), each (B, H) or (H,); it returns (h', c').

    >>> import tapegrad as torch
    >>> h, c = torch.nn.LSTMCell(10, 20)(torch.zeros(3, 10))
    >>> h.shape, c.shape
    (torch.Size([3, 20]), torch.Size([3, 20]))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def _function(self) -> Any:
        return recurrent.lstm_cell


class GRUCell(RNNCellBase):
    r"""One step of `GRU`.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether there are biases.
        device: where the parameters are made.
        dtype: their type.

    The call takes and returns what that of `RNNCell` does.

    >>> import tapegrad as torch
    >>> torch.nn.GRUCell(10, 20)(torch.zeros(3, 10)).shape
    torch.Size([3, 20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def _function(self) -> Any:
        return recurrent.gru_cell
