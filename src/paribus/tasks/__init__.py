"""What is learned. A task is a contract: splits, classes, fingerprint, source, overlap."""

from paribus.tasks.task import POOLS, Split, Task, load

__all__ = ["POOLS", "Split", "Task", "load"]
