"""Timing of many runs: rounds interleaved, ratios within each round, the first call apart, all on one core."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

import numpy as np

from paribus.backends.torch import TorchBackend
from paribus.bench.clock import learned_from
from paribus.bench.many.contestants import FEW, FUSED, LOOP, ManyRuns
from paribus.config.settings import Settings, steps_in_epoch
from paribus.tasks import Task

Spread = tuple[float, float, float]
"""Median, least and largest over the rounds."""


@dataclass(frozen=True, kw_only=True)
class ManyTiming:
    """One contestant. Times are microseconds of one step of one run: of the clock, and of the processor (all threads
    together), which other work on the machine disturbs less. `speedup`: of processor time, times as fast as the plain
    loop; `of_fused`: its processor time over that of `paribus fused`. `first_seconds`: what the first call takes more
    than the second: compilation and imports. `cores`: processor time over the clock's."""

    name: str
    runs: int
    microseconds: float
    processor_microseconds: float
    speedup: Spread
    of_fused: Spread
    first_seconds: float
    cores: float
    accuracy: float
    least_accuracy: float
    learned: bool


@dataclass(frozen=True)
class _Lap:
    seconds: float
    processor: float
    accuracies: np.ndarray


def _lap(contestant: ManyRuns, settings: Settings, task: Task, runs: int) -> _Lap:
    begun, used = perf_counter(), process_time()
    accuracies = contestant.way(settings, task, runs)
    return _Lap(perf_counter() - begun, process_time() - used, accuracies)


@contextmanager
def one_core() -> Iterator[None]:
    """This thread, and those that begin inside, on one core, where the system can (Linux).

    XLA's flag for one thread leaves JAX a pool with a thread for each core that it may use; only a process that has one
    core gets a pool of one.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def many(
    contestants: Sequence[ManyRuns],
    settings: Settings,
    task: Task,
    *,
    runs: int,
    rounds: int,
    say: Callable[[str], None],
) -> list[ManyTiming]:
    """Each contestant twice unclocked, up to the first evaluation; then all of them in every round, on one thread."""
    warm = settings.model_copy(update={"epochs": settings.eval_every.count})
    taken = {one.name: min(runs, FEW) if one.in_turn else runs for one in contestants}
    laps: dict[str, list[_Lap]] = {one.name: [] for one in contestants}
    first: dict[str, float] = {}
    with one_core(), TorchBackend().threads(settings.threads):
        for one in contestants:
            say(f"first call: {one.name}")
            cold, again = (_lap(one, warm, task, taken[one.name]).seconds for _ in range(2))
            first[one.name] = max(0.0, cold - again)
        for i in range(rounds):
            for one in contestants:
                say(f"round {i + 1} of {rounds}: {one.name}")
                laps[one.name].append(_lap(one, settings, task, taken[one.name]))
    steps = settings.epochs * steps_in_epoch(settings, len(task.train))
    loop, fused = ([lap.processor / taken[name] for lap in laps[name]] for name in (LOOP, FUSED))
    timings = []
    for one in contestants:
        mine, n = laps[one.name], taken[one.name]
        own = [lap.processor / n for lap in mine]
        accuracies = mine[-1].accuracies
        timings.append(
            ManyTiming(
                name=one.name,
                runs=n,
                microseconds=1e6 * median(lap.seconds for lap in mine) / n / steps,
                processor_microseconds=1e6 * median(own) / steps,
                speedup=_spread([reference / x for reference, x in zip(loop, own, strict=True)]),
                of_fused=_spread([x / reference for reference, x in zip(fused, own, strict=True)]),
                first_seconds=first[one.name],
                cores=median(lap.processor / lap.seconds for lap in mine),
                accuracy=float(accuracies.mean()),
                least_accuracy=float(accuracies.min()),
                learned=bool(accuracies.mean() >= learned_from(task.info.classes)),
            )
        )
    return timings


def _spread(ratios: list[float]) -> Spread:
    return median(ratios), min(ratios), max(ratios)
