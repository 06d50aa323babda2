"""Who computes: NumPy by hand, PyTorch with one run at a time or many, the compiled engine, a user's estimator, loop or
network. Importing this package registers them."""

from paribus.backends.base import BACKENDS, register
from paribus.backends.estimator import EstimatorBackend
from paribus.backends.fused_backend import FusedBackend
from paribus.backends.loop import LoopBackend
from paribus.backends.network import NetworkBackend
from paribus.backends.numpy_backend import NumpyBackend
from paribus.backends.stacked import StackedBackend
from paribus.backends.torch import TorchBackend

for _backend in (
    NumpyBackend(),
    StackedBackend(),
    TorchBackend(),
    FusedBackend(),
    EstimatorBackend(),
    LoopBackend(),
    NetworkBackend(),
):
    register(_backend)

BUILT_IN = tuple(BACKENDS)
"""The names that no other package can give a backend."""
