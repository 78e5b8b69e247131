"""`torch.signal.windows`: window functions, symmetric by default (re-exports)."""

from ..ops.creation.window_functions import bartlett as bartlett
from ..ops.creation.window_functions import blackman as blackman
from ..ops.creation.window_functions import cosine as cosine
from ..ops.creation.window_functions import exponential as exponential
from ..ops.creation.window_functions import gaussian as gaussian
from ..ops.creation.window_functions import general_cosine as general_cosine
from ..ops.creation.window_functions import general_hamming as general_hamming
from ..ops.creation.window_functions import hamming as hamming
from ..ops.creation.window_functions import hann as hann
from ..ops.creation.window_functions import kaiser as kaiser
from ..ops.creation.window_functions import nuttall as nuttall
