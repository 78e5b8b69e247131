"""Lazy layers: they learn the size of their input from the first one, and then become the ordinary layer.

`LazyLinear(5)` has parameters without a shape. Its first call, or loading a state that has shapes, gives them one; the
first call also makes the module a `Linear`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import errors
from ..core.tensor import Tensor
from ..modes import no_grad
from ..ops.creation.values import tensor
from . import convolution as conv
from . import normalization as norm
from .linear import Linear
from .module import Module
from .parameter import UninitializedBuffer, UninitializedParameter, is_lazy


class LazyModuleMixin:
    """What makes a module lazy; stands before the module among the bases.

    A class defines `initialize_parameters(*args)`, which gets the arguments of the first call and gives all
    uninitialized parameters and buffers their shapes, and `cls_to_become`, the class of the module from then on (None
    to keep its own).
    """

    cls_to_become: type | None = None

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give all parameters and buffers their shapes, from the arguments of the first call."""
        what = "initialize_parameters is not implemented"
        raise NotImplementedError(errors.message(what, where=type(self).__name__))

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module has no shape yet."""
        held = (*self._parameters.values(), *self._buffers.values())  # type: ignore[attr-defined]
        return any(is_lazy(t) for t in held)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.__dict__.get("_inferred", False):
            self.initialize_parameters(*args, **kwargs)
            if self.has_uninitialized_params():
                what = "module has not been fully initialized by initialize_parameters"
                raise RuntimeError(errors.message(what, where=type(self).__name__))
            if self.cls_to_become is None:
                self.__dict__["_inferred"] = True
            else:
                self.__class__ = self.cls_to_become  # type: ignore[assignment]
        return Module.__call__(self, *args, **kwargs)  # type: ignore[arg-type]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """As every module does; what has no shape yet is saved as it is."""
        held = {**self._parameters, **self._buffers}  # type: ignore[attr-defined]
        for name, value in held.items():
            if value is not None and name not in self._non_persistent_buffers_set:  # type: ignore[attr-defined]
                destination[prefix + name] = value if is_lazy(value) or keep_vars else value.detach()

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: Any) -> None:
        """As every module does, once what has no shape has that of the state."""
        for name, value in (*self._parameters.items(), *self._buffers.items()):  # type: ignore[attr-defined]
            given = state_dict.get(prefix + name)
            if isinstance(given, Tensor) and is_lazy(value) and not is_lazy(given):
                with no_grad():
                    value.materialize(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)  # type: ignore[misc]


class _Lazy(LazyModuleMixin):
    """A lazy module that learns one size, the attribute `learned`."""

    learned: str

    def reset_parameters(self: Any) -> None:
        """Draw new initial values, if the shapes are known."""
        if not self.has_uninitialized_params() and getattr(self, self.learned) != 0:
            super().reset_parameters()  # type: ignore[misc]


# ---- linear ----------------------------------------------------------------------------------------------------------


class LazyLinear(_Lazy, Linear):
    """A `Linear` that learns `in_features` from its first input.

    Args:
        out_features: size of the last dimension of the output.
        bias: whether there is a b.
        device: where the parameters are made.
        dtype: their type.

    >>> import tapegrad as torch
    >>> layer = torch.nn.LazyLinear(5)
    >>> layer(torch.zeros(2, 3)).shape
    torch.Size([2, 5])
    >>> layer
    Linear(in_features=3, out_features=5, bias=True)
    """

    cls_to_become = Linear
    learned = "in_features"

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def initialize_parameters(self, input: Tensor) -> None:  # type: ignore[override]
        """Take `in_features` from an input."""
        fresh = self.has_uninitialized_params()
        if self.in_features == 0 or fresh:
            self.in_features = input.shape[-1]
        if fresh:
            with no_grad():
                self.weight.materialize((self.out_features, self.in_features))  # type: ignore[attr-defined]
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))  # type: ignore[attr-defined]
                self.reset_parameters()


# ---- convolution -----------------------------------------------------------------------------------------------------


class _LazyConvMixin(_Lazy):
    """A convolution that learns `in_channels` from its first input."""

    learned = "in_channels"

    def _forget_shapes(self: Any, device: Any, dtype: Any) -> None:
        for name in ("weight", "bias"):
            if getattr(self, name) is not None:
                setattr(self, name, UninitializedParameter(device=device, dtype=dtype))

    def initialize_parameters(self: Any, input: Tensor, *rest: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Take `in_channels` from an input."""
        n, name = self.rank, type(self).__name__
        if input.dim() not in (n + 1, n + 2):
            text = f"{name}: expected {n + 1}D (unbatched) or {n + 2}D (batched) input"
            raise RuntimeError(errors.message(text, got=tuple(input.shape)))
        fresh = self.has_uninitialized_params()
        if self.in_channels == 0 or fresh:
            self.in_channels = input.shape[-n - 1]
            self._check()
        if not fresh:
            return
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        with no_grad():
            self.weight.materialize((first, second // self.groups, *self.kernel_size))
            if self.bias is not None:
                self.bias.materialize((self.out_channels,))
            self.reset_parameters()


class _LazyConv(_LazyConvMixin):
    """The arguments of a lazy convolution: those of the ordinary one without `in_channels`."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        numbers = kernel_size, stride, padding, dilation, groups
        super().__init__(0, out_channels, *numbers, bias, padding_mode)  # type: ignore[call-arg]
        self._forget_shapes(device, dtype)


class LazyConv1d(_LazyConv, conv.Conv1d):
    """A `Conv1d` that learns `in_channels` from its first input; other arguments as there.

    >>> import tapegrad as torch
    >>> layer = torch.nn.LazyConv1d(4, kernel_size=3)
    >>> layer(torch.zeros(1, 2, 8)).shape
    torch.Size([1, 4, 6])
    """

    cls_to_become = conv.Conv1d


class LazyConv2d(_LazyConv, conv.Conv2d):
    """A `Conv2d` that learns `in_channels` from its first input; other arguments as there."""

    cls_to_become = conv.Conv2d


class LazyConv3d(_LazyConv, conv.Conv3d):
    """A `Conv3d` that learns `in_channels` from its first input; other arguments as there."""

    cls_to_become = conv.Conv3d


class _LazyConvTranspose(_LazyConvMixin):
    """The arguments of a lazy transposed convolution: those of the ordinary one without `in_channels`."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        numbers = kernel_size, stride, padding, output_padding, groups
        super().__init__(0, out_channels, *numbers, bias, dilation, padding_mode)  # type: ignore[call-arg]
        self._forget_shapes(device, dtype)


class LazyConvTranspose1d(_LazyConvTranspose, conv.ConvTranspose1d):
    """A `ConvTranspose1d` that learns `in_channels` from its first input; other arguments as there."""

    cls_to_become = conv.ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, conv.ConvTranspose2d):
    """A `ConvTranspose2d` that learns `in_channels` from its first input; other arguments as there."""

    cls_to_become = conv.ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, conv.ConvTranspose3d):
    """A `ConvTranspose3d` that learns `in_channels` from its first input; other arguments as there."""

    cls_to_become = conv.ConvTranspose3d


# ---- normalisation ---------------------------------------------------------------------------------------------------


class _LazyNorm(_Lazy):
    """A batch or instance norm that learns `num_features` from its first input."""

    learned = "num_features"

    def __init__(
        self: Any,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False)  # type: ignore[call-arg]
        self.__dict__.update(affine=affine, track_running_stats=track_running_stats)
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        if affine:
            self.register_parameter("weight", UninitializedParameter(**made))
            self.register_parameter("bias", UninitializedParameter(**made) if bias else None)
        if track_running_stats:
            self.register_buffer("running_mean", UninitializedBuffer(**made))
            self.register_buffer("running_var", UninitializedBuffer(**made))
            self.register_buffer("num_batches_tracked", tensor(0))

    def initialize_parameters(self: Any, input: Tensor) -> None:  # type: ignore[override]
        """Take `num_features` from an input."""
        self._check_input_dim(input)
        fresh = self.has_uninitialized_params()
        if self.num_features == 0 or fresh:
            single = input.dim() == getattr(self, "without_batch", 0)
            self.num_features = input.shape[0 if single else 1]
        if not fresh:
            return
        with no_grad():
            for held in (*self._parameters.values(), *self._buffers.values()):
                if is_lazy(held):
                    held.materialize((self.num_features,))
            self.reset_parameters()


class LazyBatchNorm1d(_LazyNorm, norm.BatchNorm1d):
    """A `BatchNorm1d` that learns `num_features` from its first input; other arguments as there.

    >>> import tapegrad as torch
    >>> layer = torch.nn.LazyBatchNorm1d()
    >>> layer(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).shape
    torch.Size([2, 2])
    >>> layer.num_features
    2
    """

    cls_to_become = norm.BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, norm.BatchNorm2d):
    """A `BatchNorm2d` that learns `num_features` from its first input; other arguments as there."""

    cls_to_become = norm.BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, norm.BatchNorm3d):
    """A `BatchNorm3d` that learns `num_features` from its first input; other arguments as there."""

    cls_to_become = norm.BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, norm.InstanceNorm1d):
    """An `InstanceNorm1d` that learns `num_features` from its first input; affine, with running statistics, unless
    asked otherwise.
    """

    cls_to_become = norm.InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, norm.InstanceNorm2d):
    """An `InstanceNorm2d` that learns `num_features` from its first input; see `LazyInstanceNorm1d`."""

    cls_to_become = norm.InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, norm.InstanceNorm3d):
    """An `InstanceNorm3d` that learns `num_features` from its first input; see `LazyInstanceNorm1d`."""

    cls_to_become = norm.InstanceNorm3d
