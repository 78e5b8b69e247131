"""`torch.nn.modules.sparse`: PyTorch's name for `tapegrad.nn.embedding`."""

from ..embedding import Embedding as Embedding
from ..embedding import EmbeddingBag as EmbeddingBag
