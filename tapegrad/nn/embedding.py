"""`Embedding` and `EmbeddingBag`: tables whose rows are looked up by number."""

from __future__ import annotations

from typing import Any

from .. import errors
from ..core.tensor import Tensor
from ..modes import no_grad
from ..ops.creation.filled import empty
from ..ops.indexing.embedding import padding_row
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """Turns numbers into rows of a trained table.

    Args:
        num_embeddings: rows V of the table.
        embedding_dim: columns D of the table.
        padding_idx: a row that is zero at first and gets no gradient.
        max_norm: rows that are looked up and longer than this are scaled down to it.
        norm_type: the p of that length.
        scale_grad_by_freq: divide the gradient of a row by how often it is looked up.
        sparse: accepted for compatibility; gradients are dense.
        device: where the table is made.
        dtype: its type.

    Attributes:
        weight: the table, (V, D), first drawn from N(0, 1).

    Raises:
        AssertionError: `padding_idx` is no row.

    >>> import tapegrad as torch
    >>> torch.nn.Embedding(10, 3)(torch.tensor([[1, 2, 4, 5], [4, 3, 2, 9]])).shape
    torch.Size([2, 4, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_row(padding_idx, num_embeddings)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            table = empty((num_embeddings, embedding_dim), device=device, dtype=dtype)
            self.weight = Parameter(table, requires_grad=not _freeze)
            self.reset_parameters()
        else:
            _check_table("Embedding", _weight, num_embeddings, embedding_dim)
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        _draw(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for name, plain in (("padding_idx", None), ("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
            if (value := getattr(self, name)) is not plain and value != plain:
                parts.append(f"{name}={value}")
        return ", ".join([*parts, "sparse=True"] if self.sparse else parts)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer over a given table.

        Args:
            embeddings: the table, (V, D), whose memory is shared.
            freeze: do not train it.
            padding_idx: see the class.
            max_norm: see the class.
            norm_type: see the class.
            scale_grad_by_freq: see the class.
            sparse: see the class.

        Raises:
            AssertionError: the table is no matrix.
        """
        _require_matrix("Embedding", embeddings)
        rows, columns = embeddings.shape
        return cls(
            num_embeddings=rows,
            embedding_dim=columns,
            _weight=embeddings,
            _freeze=freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )


class EmbeddingBag(Module):
    """The sums, means or maxima of bags of rows of a trained table; see `nn.functional.embedding_bag`.

    Args:
        num_embeddings: rows V of the table.
        embedding_dim: columns D of the table.
        max_norm: rows that are looked up and longer than this are scaled down to it.
        norm_type: the p of that length.
        scale_grad_by_freq: divide the gradient of a row by how often it is looked up.
        mode: "sum", "mean" or "max".
        sparse: accepted for compatibility; gradients are dense.
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: a row that counts as absent, zero at first.
        device: where the table is made.
        dtype: its type.

    Attributes:
        weight: the table, (V, D), first drawn from N(0, 1).

    Raises:
        AssertionError: `padding_idx` is no row.

    >>> import tapegrad as torch
    >>> torch.nn.EmbeddingBag(10, 3)(torch.tensor([[1, 2, 4, 5], [4, 3, 2, 9]])).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = None if padding_idx is None else padding_row(padding_idx, num_embeddings)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        if _weight is None:
            self.weight = Parameter(empty((num_embeddings, embedding_dim), device=device, dtype=dtype))
            self.reset_parameters()
        else:
            _check_table("EmbeddingBag", _weight, num_embeddings, embedding_dim)
            self.weight = Parameter(_weight)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        _draw(self)

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for name, plain in (("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
            if (value := getattr(self, name)) is not plain and value != plain:
                parts.append(f"{name}={value}")
        parts.append(f"mode={self.mode!r}")
        return ", ".join(parts if self.padding_idx is None else [*parts, f"padding_idx={self.padding_idx}"])

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer over a given table, (V, D), whose memory is shared; `freeze`: do not train it.

        Raises:
            AssertionError: the table is no matrix.
        """
        _require_matrix("EmbeddingBag", embeddings)
        rows, columns = embeddings.shape
        layer = cls(
            num_embeddings=rows,
            embedding_dim=columns,
            _weight=embeddings,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        layer.weight.requires_grad = not freeze
        return layer


def _draw(layer: Embedding | EmbeddingBag) -> None:
    """New initial values: N(0, 1), and zeros in the row for padding."""
    init.normal_(layer.weight)
    if layer.padding_idx is not None:
        with no_grad():
            layer.weight[layer.padding_idx].fill_(0)


def _check_table(name: str, table: Tensor, rows: int, columns: int) -> None:
    if tuple(table.shape) != (rows, columns):
        what = f"{name}: the shape of weight does not match num_embeddings and embedding_dim"
        raise AssertionError(errors.message(what, got=tuple(table.shape), expected=(rows, columns)))


def _require_matrix(name: str, table: Tensor) -> None:
    if table.dim() != 2:
        what = f"{name}: the table is expected to be 2-dimensional"
        raise AssertionError(errors.message(what, got=tuple(table.shape)))
