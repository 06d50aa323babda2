"""What every contestant of many runs does, as plain numbers and arrays: the network, the optimizer, the batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.models import Rnn
from paribus.config.optimizers import RmsProp
from paribus.config.settings import Settings, steps_in_epoch
from paribus.tasks import Task

Array = NDArray[Any]
Values = list[Array]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A network, how it is trained, and how long from one evaluation to the next.

    `sizes`: inputs, hidden layers, classes; `recurrent`: the report's cell in place of the perceptron, `sizes` being
    inputs of a step, hidden, classes. `n`: training examples; `taken`: examples of an epoch, in batches of `batch`, the
    last one short; `repeats`: they are drawn with repeats. `smoothing`: RMSprop's (alpha, eps); None is plain SGD.
    """

    sizes: tuple[int, ...]
    recurrent: bool
    n: int
    taken: int
    batch: int
    repeats: bool
    every: int
    lr: float
    smoothing: tuple[float, float] | None
    clip: float | None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the parameters. Perceptron: W (out, in) and b (out,) of each layer. Recurrent: W_hx (hidden, inputs), W_hh
        (hidden, hidden), b_h, W_ph (classes, hidden), b_o."""
        if self.recurrent:
            inputs, hidden, classes = self.sizes
            return [(hidden, inputs), (hidden, hidden), (hidden,), (classes, hidden), (classes,)]
        return [shape for n_in, n_out in pairwise(self.sizes) for shape in ((n_out, n_in), (n_out,))]

    def initial(self, seed: int) -> Values:
        """Uniform in +-1 / sqrt(inputs of the layer), as PyTorch's layers; of the recurrent ones +-1 / sqrt(hidden)."""
        rng = np.random.default_rng(seed)
        found, bound = [], 0.0
        for shape in self.shapes:
            if self.recurrent:
                bound = 1 / math.sqrt(self.sizes[1])
            elif len(shape) == 2:
                bound = 1 / math.sqrt(shape[1])  # and of the bias after it
            found.append(rng.uniform(-bound, bound, shape).astype(np.float32))
        return found

    def orders(self, seed: int, evaluation: int) -> Array:
        """The examples of each epoch up to an evaluation, as they come: int32 (every, taken), each run's its own.

        A permutation is the order of random words whose low bits are the example's number: NumPy sorts whole words with
        vector instructions, which takes a quarter of the time of `Generator.permuted`. Words whose random bits are
        equal stay in the examples' order; up to 4,096 examples they have at least 20 random bits, above 43 or more.
        """
        rng = np.random.default_rng([seed, evaluation])
        if self.repeats:
            return rng.integers(0, self.n, (self.every, self.taken), dtype=np.int32)
        kind = np.uint32 if self.n <= 4096 else np.uint64
        low = kind((1 << (self.n - 1).bit_length()) - 1)
        words = rng.integers(0, np.iinfo(kind).max, (self.every, self.n), dtype=kind, endpoint=True)
        words &= ~low
        words |= np.arange(self.n).astype(kind)
        words.sort(axis=1)
        return (words & low).astype(np.int32)


@dataclass(frozen=True)
class Data:
    """Both splits: inputs float32 (examples, inputs) or (examples, T, inputs), classes int64 (examples,)."""

    x: Array
    y: Array
    test_x: Array
    test_y: Array

    @property
    def splits(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Training and test."""
        return (self.x, self.y), (self.test_x, self.test_y)


def job_of(settings: Settings, task: Task) -> Job:
    """The job that settings ask for."""
    n, optimizer = len(task.train), settings.optimizer
    recurrent = isinstance(settings.model, Rnn)
    repeats = settings.sampler == "replacement"
    batch = settings.batch_size if repeats else min(settings.batch_size, n)
    hidden: tuple[int, ...] = (settings.model.hidden,) if isinstance(settings.model, Rnn) else settings.mlp.hidden
    inputs = task.sequence[1] if recurrent and task.sequence else math.prod(task.info.input_shape)
    assert optimizer.lr is not None
    return Job(
        sizes=(inputs, *hidden, task.info.classes),
        recurrent=recurrent,
        n=n,
        taken=steps_in_epoch(settings, n) * batch if repeats else n,
        batch=batch,
        repeats=repeats,
        every=min(settings.eval_every.count, settings.epochs),
        lr=optimizer.lr,
        smoothing=(optimizer.alpha, optimizer.eps) if isinstance(optimizer, RmsProp) else None,
        clip=settings.clip,
    )


def data_of(task: Task, job: Job) -> Data:
    """The task's arrays, as the job takes them."""
    found = []
    for split in (task.train, task.test):
        x = task.floats(split.x, np.dtype(np.float32))
        found += [np.ascontiguousarray(x if job.recurrent else x.reshape(len(x), -1)), split.y]
    return Data(*found)


Train = Callable[[Job, Data, int, int], tuple[list[Array], Array]]
"""(job, data, evaluations, runs) -> each parameter of all runs (runs, ...), and the test accuracies (runs,) at the
last evaluation."""
