"""`torch.random`: the default generator (re-exports)."""

from .ops.random.generators import default_generator as default_generator
from .ops.random.generators import fork_rng as fork_rng
from .ops.random.generators import get_rng_state as get_rng_state
from .ops.random.generators import initial_seed as initial_seed
from .ops.random.generators import manual_seed as manual_seed
from .ops.random.generators import seed as seed
from .ops.random.generators import set_rng_state as set_rng_state
from .ops.random.generators import thread_safe_generator as thread_safe_generator
