"""`torch.fft`: discrete Fourier transforms (re-exports)."""

from .ops.fft import fft as fft
from .ops.fft import fftfreq as fftfreq
from .ops.fft import fftshift as fftshift
from .ops.fft import hfft as hfft
from .ops.fft import ifft as ifft
from .ops.fft import ifftshift as ifftshift
from .ops.fft import ihfft as ihfft
from .ops.fft import irfft as irfft
from .ops.fft import rfft as rfft
from .ops.fft import rfftfreq as rfftfreq
from .ops.fftn import fft2 as fft2
from .ops.fftn import fftn as fftn
from .ops.fftn import hfft2 as hfft2
from .ops.fftn import hfftn as hfftn
from .ops.fftn import ifft2 as ifft2
from .ops.fftn import ifftn as ifftn
from .ops.fftn import ihfft2 as ihfft2
from .ops.fftn import ihfftn as ihfftn
from .ops.fftn import irfft2 as irfft2
from .ops.fftn import irfftn as irfftn
from .ops.fftn import rfft2 as rfft2
from .ops.fftn import rfftn as rfftn
