"""tapegrad: PyTorch's API as a small, fast, readable Python package.

    import tapegrad as torch

The names follow the layers of the package, lowest first. A family of operations lists its public names in its own
`__all__`, so that adding an operation touches one file.
"""

import warnings as _warnings
from importlib import import_module as _import_module
from os import environ as _environ
from typing import TYPE_CHECKING as _TYPE_CHECKING

__version__ = "0.1.0"

# dividing by zero gives inf and nan without a word, as in PyTorch; NumPy's warnings in the user's own code stay
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tapegrad")

# words
from .devices import channels_last as channels_last
from .devices import channels_last_3d as channels_last_3d
from .devices import contiguous_format as contiguous_format
from .devices import device as device
from .devices import layout as layout
from .devices import memory_format as memory_format
from .devices import preserve_format as preserve_format
from .devices import sparse_coo as sparse_coo
from .devices import strided as strided
from .dtypes import bfloat16 as bfloat16
from .dtypes import bool_ as bool
from .dtypes import complex64 as cfloat
from .dtypes import complex64 as complex64
from .dtypes import complex128 as cdouble
from .dtypes import complex128 as complex128
from .dtypes import dtype as dtype
from .dtypes import float16 as float16
from .dtypes import float16 as half
from .dtypes import float32 as float
from .dtypes import float32 as float32
from .dtypes import float64 as double
from .dtypes import float64 as float64
from .dtypes import int8 as int8
from .dtypes import int16 as int16
from .dtypes import int16 as short
from .dtypes import int32 as int
from .dtypes import int32 as int32
from .dtypes import int64 as int64
from .dtypes import int64 as long
from .dtypes import uint8 as uint8
from .dtypes import uint16 as uint16
from .dtypes import uint32 as uint32
from .dtypes import uint64 as uint64
from .errors import OutOfMemoryError as OutOfMemoryError
from .modes import are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled
from .modes import enable_grad as enable_grad
from .modes import get_default_dtype as get_default_dtype
from .modes import inference_mode as inference_mode
from .modes import is_grad_enabled as is_grad_enabled
from .modes import is_inference_mode_enabled as is_inference_mode_enabled
from .modes import no_grad as no_grad
from .modes import set_default_dtype as set_default_dtype
from .modes import set_grad_enabled as set_grad_enabled
from .shapes import Size as Size

# the device
from .backends.cpu import poison as _poison
from .backends.cpu.memory import keep_freed_memory as _keep_freed_memory
from .backends.cpu.threads import get_num_threads as get_num_threads
from .backends.cpu.threads import set_num_threads as set_num_threads
from .backends.cpu.threads import use_deterministic_algorithms as use_deterministic_algorithms

_keep_freed_memory()
if _environ.get("TAPEGRAD_DEBUG") == "poison":
    _poison.poison()

# the tape
from .core import engine as _engine
from .core.printing import get_printoptions as get_printoptions
from .core.printing import set_printoptions as set_printoptions
from .core.tensor import Tensor as Tensor
from .core.tensor import wrap as wrap

# operations, a family a line
from .ops.pointwise.compare import *
from .ops.pointwise.functions import *
from .ops.pointwise.trigonometry import *
from .ops.pointwise.arithmetic import *
from .ops.pointwise.powers import *
from .ops.pointwise.special import *
from .ops.pointwise.bounds import *
from .ops.pointwise import operators as _operators
from .ops.creation.values import *
from .ops.creation.filled import *
from .ops.creation.ranges import *
from .ops.creation.window_functions import *
from .ops.creation.types import *
from .ops.creation.cast import *
from .ops.pointwise.gammas import *
from .ops.shape.movement import *
from .ops.creation.memory import *
from .ops.shape.windows import *
from .ops.shape.joining import *
from .ops.shape.splitting import *
from .ops.shape.rearrange import *
from .ops.pointwise.complex import *
from .ops.indexing.index import *
from .ops.indexing.scatter import *
from .ops.indexing.slices import *
from .ops.shape.overlay import *
from .ops.indexing.masked import *
from .ops.reduction.reduce import *
from .ops.reduction.extremes import *
from .ops.reduction.statistics import *
from .ops.reduction.differences import *
from .ops.reduction.hashing import *
from .ops.reduction.scan import *
from .ops.reduction.sort import *
from .ops.linalg.matmul import *
from .ops.linalg.products import *
from .ops.linalg.einsum import *
from .ops.linalg.distance import *
from .ops.linalg.solve import *
from .ops.linalg.cholesky import *
from .ops.linalg.orthogonal import *
from .ops.linalg.lu import *
from .ops.linalg.determinants import *
from .ops.linalg.least_squares import *
from .ops.linalg.matrix_functions import *
from .ops.linalg.older import *
from .ops.random.draws import *
from .ops.linalg.low_rank import *
from .ops.linalg.lobpcg import *
from .ops.neural.activation import *
from .ops.neural.softmax import *
from .ops.neural.dropout import *
from .ops.neural.norm import *
from .ops.neural.recurrent import *
from .ops.neural.conv import *
from .ops.neural.pool import *
from .ops.neural.adaptive import *
from .ops.shape.padding import *
from .ops.spectral.spectrum import *
from .ops.neural.margin import *
from .ops.shape.shuffle import *
from .ops.neural.grid import *
from .ops.neural.toplevel import *

# what users build with, and faces: loaded when first named, which halves the time of `import tapegrad`
if _TYPE_CHECKING:
    from . import amp as amp
    from . import autograd as autograd
    from . import cpu as cpu
    from . import distributions as distributions
    from . import fft as fft
    from . import func as func
    from . import io as io
    from . import linalg as linalg
    from . import masked as masked
    from . import nn as nn
    from . import optim as optim
    from . import random as random
    from . import return_types as return_types
    from . import serialization as serialization
    from . import signal as signal
    from . import special as special
    from . import testing as testing
    from . import utils as utils
    from . import vision as vision
    from .amp.autocast_mode import autocast as autocast
    from .amp.autocast_mode import clear_autocast_cache as clear_autocast_cache
    from .amp.autocast_mode import get_autocast_dtype as get_autocast_dtype
    from .amp.autocast_mode import is_autocast_cache_enabled as is_autocast_cache_enabled
    from .amp.autocast_mode import is_autocast_enabled as is_autocast_enabled
    from .amp.autocast_mode import set_autocast_cache_enabled as set_autocast_cache_enabled
    from .amp.autocast_mode import set_autocast_dtype as set_autocast_dtype
    from .amp.autocast_mode import set_autocast_enabled as set_autocast_enabled
    from .amp.grad_scaler import GradScaler as GradScaler
    from .ops.methods import get_default_device as get_default_device
    from .ops.methods import get_float32_matmul_precision as get_float32_matmul_precision
    from .ops.methods import set_default_device as set_default_device
    from .ops.methods import set_float32_matmul_precision as set_float32_matmul_precision
    from .ops.methods import vander as vander
    from .serialization import Checkpoint as Checkpoint
    from .serialization import load as load
    from .serialization import save as save

_LATE = {  # name: the module to import for it
    **{name: name for name in "amp autograd cpu distributions fft func linalg masked nn optim random".split()},
    **{name: name for name in "return_types serialization signal special testing utils vision".split()},
    **dict.fromkeys(
        (
            "autocast clear_autocast_cache get_autocast_dtype is_autocast_cache_enabled is_autocast_enabled "
            "set_autocast_cache_enabled set_autocast_dtype set_autocast_enabled"
        ).split(),
        "amp.autocast_mode",
    ),
    "GradScaler": "amp",
    **dict.fromkeys(
        (
            "get_default_device set_default_device get_float32_matmul_precision set_float32_matmul_precision vander"
        ).split(),
        "ops.methods",
    ),
    **dict.fromkeys(("Checkpoint", "load", "save", "io"), "serialization"),  # which tells `io` what a Parameter is
}

_METHODS = (  # functions that call the method of their name
    "abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ as_strided_ asin_ asinh_ atan_ atanh_ "
    "ceil_ clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ cos_ cosh_ deg2rad_ detach detach_ erf_ erfc_ exp2_ exp_ "
    "expm1_ fill_ fix_ floor_ frac_ gcd_ get_device i0_ index_put_ is_nonzero is_same_size is_signed lcm_ ldexp_ "
    "log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ negative_ rad2deg_ reciprocal_ resize_as_ round_ rsqrt_ sigmoid_ "
    "sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_ trunc_ xlogy_"
).split()


def __getattr__(name: str) -> object:
    if name not in _LATE and name not in _METHODS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(f"{__name__}.{_LATE.get(name, 'ops.methods')}")
    return globals()[name] if name in globals() else getattr(module, name)  # importing a module names it here


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE, *_METHODS})
