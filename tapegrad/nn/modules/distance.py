"""`torch.nn.modules.distance`: PyTorch's name for `tapegrad.nn.distance`."""

from ..distance import CosineSimilarity as CosineSimilarity
from ..distance import PairwiseDistance as PairwiseDistance
