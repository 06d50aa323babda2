"""Timing side by side: in one go, interleaved, median of several, ratios within each round."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import perf_counter

import numpy as np

from paribus.backends.torch import TorchBackend
from paribus.bench.contestants import Contestant
from paribus.config.settings import Settings, steps_in_epoch
from paribus.tasks import Task

_MATRIX = 64
_PRODUCTS = 2000


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One contestant. `ratio`: how many times as fast as the first contestant, median over rounds, with the least and
    the largest; `learned`: whether its test accuracy shows that it trained."""

    name: str
    microseconds: float
    ratio: float
    ratios: tuple[float, float]
    accuracy: float
    learned: bool


@dataclass(frozen=True)
class Bench:
    """The contestants, and the floor: FLOPs of a step over this machine's matrix-product rate, in microseconds."""

    timings: list[Timing]
    floor: float
    flops: int
    rate: float


def bench(
    contestants: Sequence[Contestant], settings: Settings, task: Task, rounds: int, say: Callable[[str], None]
) -> Bench:
    """Each contestant once unclocked (imports, first calls, compilation), then all of them in every round."""
    steps = settings.epochs * steps_in_epoch(settings, len(task.train))
    seconds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    accuracies: dict[str, float] = {}
    with TorchBackend().threads(settings.threads):
        warm = settings.model_copy(update={"epochs": settings.eval_every.count})
        for contestant in contestants:
            say(f"warming up: {contestant.name}")
            contestant.way(warm, task)
        for i in range(rounds):
            for contestant in contestants:
                say(f"round {i + 1} of {rounds}: {contestant.name}")
                begun = perf_counter()
                accuracies[contestant.name] = contestant.way(settings, task)
                seconds[contestant.name].append((perf_counter() - begun) / contestant.runs)
        rate = matrix_product_rate()
    first = seconds[contestants[0].name]
    timings = []
    for contestant in contestants:
        mine = seconds[contestant.name]
        ratios = [reference / own for reference, own in zip(first, mine, strict=True)]
        accuracy = accuracies[contestant.name]
        timings.append(
            Timing(
                name=contestant.name,
                microseconds=1e6 * median(mine) / steps,
                ratio=median(ratios),
                ratios=(min(ratios), max(ratios)),
                accuracy=accuracy,
                learned=accuracy >= learned_from(task.info.classes),
            )
        )
    flops = flops_of_a_step(settings, task)
    return Bench(timings, 1e6 * flops / rate, flops, rate)


def learned_from(classes: int) -> float:
    """The accuracy from which a contestant counts as having learned: half the way from chance to 1.

    >>> learned_from(2), learned_from(10)
    (0.75, 0.55)
    """
    return (1 + 1 / classes) / 2


def flops_of_a_step(settings: Settings, task: Task) -> int:
    """Multiplications and additions of the matrix products of one step, on the mean batch of an epoch: for each example
    and layer 2 in out forward and as many for each of dW and dx backward; of the first layer nobody needs dx."""
    sizes = [math.prod(task.info.input_shape), *settings.mlp.hidden, task.info.classes]
    products = sum((2 if layer == 0 else 3) * a * b for layer, (a, b) in enumerate(pairwise(sizes)))
    examples = len(task.train) / steps_in_epoch(settings, len(task.train))
    return round(2 * products * min(settings.batch_size, examples))


def matrix_product_rate() -> float:
    """FLOPs a second of PyTorch's product of two 64 x 64 float32 matrices, the best of five tries."""
    import torch

    a, b = (torch.from_numpy(np.full((_MATRIX, _MATRIX), 0.5, np.float32)) for _ in range(2))
    out = torch.empty_like(a)
    best = math.inf
    for _ in range(5):
        begun = perf_counter()
        for _ in range(_PRODUCTS):
            torch.mm(a, b, out=out)
        best = min(best, perf_counter() - begun)
    return 2 * _MATRIX**3 * _PRODUCTS / best
