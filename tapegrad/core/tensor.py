"""The `Tensor`: an array, the edge to the operation that made it, and its gradient. No maths here.

Operations attach themselves as methods where they are declared (`ops/`); conversion, Python protocols and
printing are below. See Note [Edges] in `tape` and Note [Versions] in `views`.
"""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import devices, dtypes, modes
from ..backends.cpu.memory import address, deep_copy, owner_of
from ..errors import message
from ..shapes import Size, strides
from . import printing
from .hooks import RemovableHandle
from .tape import Node

_new = object.__new__


class Tensor:
    """A multi-dimensional array of one dtype that can record what is computed with it.

    `tapegrad.tensor(data)` makes one from data; `Tensor(2, 3)` is uninitialised float storage, as in PyTorch.

    >>> import tapegrad as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_grad",
        "_hooks",  # of a leaf: on its gradient; ("post", ...) after accumulation
        "_requires_grad",  # of a leaf; a tensor with a node requires grad anyway
        "_ver",  # None or [number of in-place changes], shared with views: Note [Versions]
        "_view",  # the views.View that says what this is a view of
        "array",  # the numpy.ndarray
        "node",  # edge to the operation that made it: Note [Edges]
    )
    __array_priority__ = 1000  # ndarray * tensor is ours

    def __new__(cls, *args: Any, **kwargs: Any) -> Tensor:
        self = _new(cls)
        self.node = self._grad = self._ver = self._view = self._hooks = None
        self._requires_grad = False
        return self

    def __init__(self, *data: Any, device: Any = None):
        devices.check_device("Tensor", device)
        if len(data) == 1 and isinstance(data[0], Tensor):
            self.array = data[0].array
        elif len(data) == 1 and not isinstance(data[0], int):
            self.array = np.array(data[0], modes.defaults.numpy)
        else:
            self.array = np.zeros(data if data else 0, modes.defaults.numpy)

    # ---- facts ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self.array.shape)

    def size(self, dim: int | None = None) -> Size | int:
        """The sizes of the dimensions, or of one of them."""
        if dim is None:
            return Size(self.array.shape)
        try:
            return self.array.shape[dim]
        except IndexError:
            n = max(self.array.ndim, 1)
            text = message(
                "size: dim is out of range", got=f"dim={dim} of shape {self.array.shape}", expected=f"{-n} to {n - 1}"
            )
            raise IndexError(text) from None

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    nelement = numel

    @property
    def dtype(self) -> dtypes.dtype:
        """The element type."""
        return dtypes.of(self.array.dtype)

    @property
    def device(self) -> devices.device:
        """Where the tensor lives: always the CPU."""
        return devices.CPU

    @property
    def layout(self) -> devices.layout:
        """How the elements are stored: always `torch.strided`."""
        return devices.strided

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.array.nbytes

    def element_size(self) -> int:
        """Bytes per element."""
        return self.array.itemsize

    def stride(self, dim: int | None = None) -> tuple[int, ...] | int:
        """Steps between neighbours along each dimension, in elements."""
        array = self.array
        if array.size == 0 or array.itemsize == 0:
            from_shape = strides(array.shape)
            return from_shape if dim is None else from_shape[dim]
        found = tuple(s // array.itemsize for s in array.strides)
        return found if dim is None else found[dim]

    def storage_offset(self) -> int:
        """Where the first element lies in the memory that the tensor shares with its views, in elements."""
        return (address(self.array) - address(owner_of(self.array))) // self.array.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return address(self.array)

    def is_contiguous(self, memory_format: Any = devices.contiguous_format) -> bool:
        """Whether the elements lie in memory in row-major order."""
        if memory_format in (devices.channels_last, devices.channels_last_3d):
            return self.array.ndim == (4 if memory_format is devices.channels_last else 5) and bool(
                np.moveaxis(self.array, 1, -1).flags.c_contiguous
            )
        return self.array.flags.c_contiguous

    def is_same_size(self, other: Tensor) -> bool:
        """Whether `other` has the same shape."""
        return self.array.shape == other.array.shape

    def is_nonzero(self) -> bool:
        """Whether the only element is not zero; RuntimeError if there are none or several."""
        return bool(self)

    def get_device(self) -> int:
        """The number of the device: -1, which stands for the CPU."""
        return -1

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating-point type."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.array.dtype.kind == "c"

    def is_signed(self) -> bool:
        """Whether the dtype can hold negative numbers."""
        return self.dtype.is_signed

    is_cuda = is_sparse = is_quantized = is_meta = is_mps = is_nested = is_mkldnn = False
    names = property(lambda self: (None,) * self.array.ndim)

    # ---- autograd facts -----------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor."""
        if self._view is not None:
            self._view.refresh(self)
        return self.node is not None or self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Start (or stop) recording what is computed with this leaf.

        Raises:
            RuntimeError: the dtype is not floating point or complex, or a recorded operation made the tensor.
        """
        if requires_grad and self.array.dtype.kind in "biu":
            text = message(
                "requires_grad: only floating-point and complex tensors can require gradients",
                got=f"dtype {self.dtype}",
                fix="convert with .float() first",
            )
            raise RuntimeError(text)
        if self.node is not None:
            if not requires_grad:
                text = message(
                    "requires_grad: the flag can only be cleared on leaf tensors",
                    got=f"the result of {self.grad_fn.name()}",
                    fix="use .detach() for a tensor that does not require grad",
                )
                raise RuntimeError(text)
            return self
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient of a leaf (of any tensor after `retain_grad`)."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(message("grad: must be a tensor or None", got=type(value).__name__))
            if value.array.shape != self.array.shape or value.array.dtype != self.array.dtype:
                text = message(
                    "grad: must have the shape and dtype of its tensor",
                    got=f"{tuple(value.shape)} {value.dtype}",
                    expected=f"{tuple(self.shape)} {self.dtype}",
                )
                raise RuntimeError(text)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def grad_fn(self) -> Node | None:
        """The recorded operation that made this tensor; None for a leaf."""
        if self._view is not None:
            self._view.refresh(self)
        return self.node[0] if self.node.__class__ is tuple else self.node

    @property
    def output_nr(self) -> int:
        """Which output of its operation this tensor is."""
        return self.node[1] if self.node.__class__ is tuple else 0

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user and not by a recorded operation."""
        return self.grad_fn is None

    @property
    def _version(self) -> int:
        return 0 if self._ver is None else self._ver[0]

    def bump(self) -> None:
        """Count an in-place change of `array`; every library write to it is followed by this call."""
        if self._ver is None:
            self._ver = [1]
        else:
            self._ver[0] += 1

    def _is_view(self) -> bool:
        return self._view is not None

    @property
    def _base(self) -> Tensor | None:
        return None if self._view is None else self._view.base

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on this result."""
        node, k = self.grad_fn, self.output_nr
        return node is not None and node.hooks is not None and k in node.hooks.retain

    def retain_grad(self) -> None:
        """Keep the gradient of a non-leaf tensor in `.grad` when `backward` passes it."""
        if not self.requires_grad:
            raise RuntimeError(message("retain_grad: the tensor does not require grad", fix="set requires_grad=True"))
        node = self.grad_fn
        if node is not None:
            node._attach().retain[self.output_nr] = weakref.ref(self)

    def register_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(grad)` when the gradient of this tensor is known; a returned tensor replaces it."""
        if not self.requires_grad:
            raise RuntimeError(message("register_hook: the tensor does not require grad", fix="set requires_grad=True"))
        node = self.grad_fn
        if node is not None:
            handle = RemovableHandle(node._attach().pre)
            node.hooks.pre[handle.id] = (hook, self.output_nr)
            return handle
        return self._register("grad", hook)

    def register_post_accumulate_grad_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(tensor)` after a gradient was added to `.grad` of this leaf."""
        if self.grad_fn is not None or not self._requires_grad:
            raise RuntimeError(message("register_post_accumulate_grad_hook: only for leaves that require grad"))
        return self._register("post", hook)

    def _register(self, kind: str, hook: Callable) -> RemovableHandle:
        if self._hooks is None:
            self._hooks = {"grad": OrderedDict(), "post": OrderedDict()}
        handle = RemovableHandle(self._hooks[kind])
        self._hooks[kind][handle.id] = hook
        return handle

    # ---- the same memory without history ---------------------------------------------------------------------

    def detach(self) -> Tensor:
        """A tensor that shares this one's memory and is not recorded.

        >>> import tapegrad as torch
        >>> torch.ones(2, requires_grad=True).detach().requires_grad
        False
        """
        out = wrap(self.array)
        if self._ver is None:
            self._ver = [0]
        out._ver = self._ver
        return out

    def detach_(self) -> Tensor:
        """Forget how this tensor was computed, in place."""
        if self._view is not None:
            text = message("detach_: a view cannot be detached in place", fix="use .detach()")
            raise RuntimeError(text)
        self.node, self._requires_grad = None, False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory as a tensor whose changes autograd does not notice; assigning replaces the memory."""
        return wrap(self.array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(message("data: must be a tensor", got=type(value).__name__))
        self.array = value.array

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The tensor as a NumPy array that shares its memory.

        Raises:
            RuntimeError: the tensor requires grad (use ``.detach().numpy()`` or ``force=True``).
            TypeError: NumPy has no such dtype (bfloat16).
        """
        if self.requires_grad and not force:
            text = message("numpy: the tensor requires grad", fix="use tensor.detach().numpy()")
            raise RuntimeError(text)
        if self.array.dtype == dtypes.bfloat16.numpy:
            raise TypeError(message("numpy: NumPy has no bfloat16", fix="convert with .float() first"))
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def item(self) -> int | float | bool | complex:
        """The only element as a Python number.

        >>> import tapegrad as torch
        >>> torch.tensor([2.5]).item()
        2.5

        Raises:
            RuntimeError: there is not exactly one element.
        """
        if self.array.size != 1:
            text = message(
                f"a tensor with {self.array.size} elements cannot be converted to a number",
                got=f"shape {tuple(self.array.shape)}",
            )
            raise RuntimeError(text)
        found = self.array.item()
        return float(found) if self.array.dtype == dtypes.bfloat16.numpy else found

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers (a number for a 0-d tensor)."""
        array = self.array
        return (array.astype(np.float32) if array.dtype == dtypes.bfloat16.numpy else array).tolist()

    # ---- Python's protocols -----------------------------------------------------------------------------------

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError(message("len() of a 0-d tensor", fix="use .numel()"))
        return self.array.shape[0]

    def __bool__(self) -> bool:
        if self.array.size != 1:
            text = message(
                f"the truth value of a tensor with {self.array.size} elements is ambiguous",
                got=f"shape {tuple(self.array.shape)}",
                fix="use .any() or .all()",
            )
            raise RuntimeError(text)
        return bool(self.array.item())

    def __float__(self) -> float:
        return float(self._only())  # type: ignore[arg-type]

    def __int__(self) -> int:
        return int(self._only())  # type: ignore[arg-type]

    def __complex__(self) -> complex:
        return complex(self._only())

    def _only(self) -> int | float | bool | complex:
        if self.array.size != 1:
            text = message("only a tensor with one element can become a number", got=f"shape {tuple(self.array.shape)}")
            raise ValueError(text)
        return self.item()

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iub" or self.array.size != 1:
            text = message(
                "only integer tensors with one element can be an index", got=f"{self.dtype}, shape {tuple(self.shape)}"
            )
            raise TypeError(text)
        return int(self.array.item())

    def __hash__(self) -> int:
        return id(self)

    def __contains__(self, element: Any) -> bool:
        value = element.array if isinstance(element, Tensor) else element
        return bool((self.array == value).any())

    def __iter__(self):
        if self.array.ndim == 0:
            raise TypeError(message("iteration over a 0-d tensor", fix="use .item()"))
        return iter(self.unbind(0))

    def __reversed__(self) -> Tensor:
        return self if self.array.ndim == 0 else self.flip(0)

    def __dir__(self):
        return [*object.__dir__(self), *self.__dict__]

    def __deepcopy__(self, memo: dict) -> Tensor:
        if self.node is not None:
            text = message(
                "only leaf tensors can be deep-copied",
                got=f"the result of {self.grad_fn.name()}",
                fix="copy tensor.detach() instead",
            )
            raise RuntimeError(text)
        if id(self) in memo:
            return memo[id(self)]
        out = type(self).__new__(type(self))
        memo[id(self)] = out
        out.array = deep_copy(self.array, memo)
        out._requires_grad = self._requires_grad
        out._grad = copy.deepcopy(self._grad, memo)
        out.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return out

    def __reduce_ex__(self, protocol: int):
        if self.node is not None:
            text = message(
                "only leaf tensors can be pickled", got=f"the result of {self.grad_fn.name()}", fix="use .detach()"
            )
            raise RuntimeError(text)
        return _rebuild, (type(self), self.array, self._requires_grad, dict(self.__dict__))

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return to_text(self)

    def __format__(self, spec: str) -> str:
        if self.array.ndim == 0 and not self.requires_grad and spec:
            return format(self.item(), spec)
        if spec:
            if self.array.ndim == 0:
                return format(self.item(), spec)
            raise TypeError(message("unsupported format string for a tensor with dimensions", got=repr(spec)))
        return str(self.item()) if self.array.ndim == 0 and self._is_plain() else to_text(self)

    def _is_plain(self) -> bool:
        return type(self) is Tensor


def to_text(t: Tensor, prefix: str = "tensor(") -> str:
    """PyTorch's text of a tensor."""
    suffixes = []
    if t.grad_fn is not None:
        suffixes.append(f"grad_fn=<{t.grad_fn.name()}>")
    elif t.requires_grad:
        suffixes.append("requires_grad=True")
    default = modes.defaults.dtype.name
    return printing.format_tensor(
        t.array, dtype_name=t.dtype.name, default_dtype_name=default, suffixes=suffixes, prefix=prefix
    )


def wrap(array: np.ndarray) -> Tensor:
    """A tensor over `array`, without copying it."""
    t = _new(Tensor)
    t.array = array
    t.node = t._grad = t._ver = t._view = t._hooks = None
    t._requires_grad = False
    return t


def edge(t: Tensor) -> Any:
    """Where the gradient of `t` goes: Note [Edges] in `tape`."""
    if t._view is not None:
        t._view.refresh(t)
    node = t.node
    return t if node is None and t._requires_grad else node


def _rebuild(cls: type, array: np.ndarray, requires_grad: bool, attributes: dict) -> Tensor:
    out = cls.__new__(cls)
    out.array, out._requires_grad = array, requires_grad
    out.__dict__.update(attributes)
    return out
