"""How runs are trained: one loop, one door to the implementations."""

from paribus.training.door import train
from paribus.training.run import Observer, Run

__all__ = ["Observer", "Run", "train"]
