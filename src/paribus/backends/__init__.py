"""Who computes: NumPy by hand, PyTorch, the compiled engine. Importing this package registers them."""

from paribus.backends.base import register
from paribus.backends.fused_backend import FusedBackend
from paribus.backends.numpy_backend import NumpyBackend
from paribus.backends.torch import TorchBackend

for _backend in (NumpyBackend(), TorchBackend(), FusedBackend()):
    register(_backend)
