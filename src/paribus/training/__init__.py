"""How runs are trained: one loop, one door to the implementations."""

from paribus.training.door import Observer, Run, train

__all__ = ["Observer", "Run", "train"]
