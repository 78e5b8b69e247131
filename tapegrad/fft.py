"""`torch.fft`: discrete Fourier transforms (re-exports)."""

from .ops.spectral.fft import fft as fft
from .ops.spectral.fft import fftfreq as fftfreq
from .ops.spectral.fft import fftshift as fftshift
from .ops.spectral.fft import hfft as hfft
from .ops.spectral.fft import ifft as ifft
from .ops.spectral.fft import ifftshift as ifftshift
from .ops.spectral.fft import ihfft as ihfft
from .ops.spectral.fft import irfft as irfft
from .ops.spectral.fft import rfft as rfft
from .ops.spectral.fft import rfftfreq as rfftfreq
from .ops.spectral.fftn import fft2 as fft2
from .ops.spectral.fftn import fftn as fftn
from .ops.spectral.fftn import hfft2 as hfft2
from .ops.spectral.fftn import hfftn as hfftn
from .ops.spectral.fftn import ifft2 as ifft2
from .ops.spectral.fftn import ifftn as ifftn
from .ops.spectral.fftn import ihfft2 as ihfft2
from .ops.spectral.fftn import ihfftn as ihfftn
from .ops.spectral.fftn import irfft2 as irfft2
from .ops.spectral.fftn import irfftn as irfftn
from .ops.spectral.fftn import rfft2 as rfft2
from .ops.spectral.fftn import rfftn as rfftn
