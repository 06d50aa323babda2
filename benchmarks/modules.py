"""32 seeds of the README's modules: `torch`, one after another, beside `stacked`, all in each operation, and `fused`, the
compiled engine; one core.

`python benchmarks/modules.py [ROUNDS [MODULE ...]]`: median seconds of the rounds, with evaluation; the rounds go by turns,
so that what else the machine does meets all. What is compiled is compiled before.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from sklearn.datasets import load_breast_cancer
from torch import nn

import paribus
from paribus.backends.base import BACKENDS
from paribus.backends.dispatch import resolve, train
from paribus.config.settings import Settings
from paribus.config.user_code import user_defined
from paribus.records.record import Evaluation
from paribus.records.run import Callback, Run
from paribus.tasks import Task, load

SEEDS = 32


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))


def dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 2))


def batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))


class Losses(Callback):
    """The losses that are told of each run."""

    def __init__(self) -> None:
        self.told: dict[int, list[float]] = {}

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.told.setdefault(run.seed, []).extend((row.metrics["train_loss"], row.metrics["test_loss"]))


def trained(settings: Settings, task: Task) -> tuple[float, np.ndarray]:
    """Seconds, and the losses (seeds, evaluations)."""
    losses = Losses()
    begun = perf_counter()
    train([Run(settings, seed) for seed in range(SEEDS)], lambda _: task, losses)
    return perf_counter() - begun, np.array([losses.told[seed] for seed in range(SEEDS)])


def measured(values: dict[str, object], rounds: int) -> str:
    """Cells of one row."""
    each = {name: resolve({**values, "implementation": name}) for name in ("torch", "stacked", "fused")}
    task = load(each["torch"], 0)
    each = {name: one for name, one in each.items() if not BACKENDS[name].refusals(one, task)}
    seconds: dict[str, list[float]] = {name: [] for name in each}
    losses: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, settings in each.items():
            lap, losses[name] = trained(settings, task)
            seconds[name].append(lap)
    cells = [f"{median(seconds['torch']):.2f}"]
    for name in ("stacked", "fused"):
        if name not in each:
            cells += ["refused"] * 3
            continue
        ratios = [one / other for one, other in zip(seconds["torch"], seconds[name], strict=True)]
        apart = np.abs(losses["torch"] - losses[name]).max()
        cells += [f"{median(seconds[name]):.3f}", f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"]
        cells += [f"{apart:.0e}"]
    return " | ".join(cells)


def main(rounds: int, names: list[str]) -> None:
    x, y = load_breast_cancer(return_X_y=True, as_frame=True)
    data = paribus.data(x, y, name="breast cancer")
    print(f"{model_name()}, {rounds} rounds")
    ways = " | ".join(f"{name}, s | times as fast | losses differ by at most" for name in ("stacked", "fused"))
    print(f"| module | type | torch, s | {ways} |")
    print("|---" * 9 + "|")
    for module in [one for one in (plain, dropout, batch_norm) if not names or one.__name__ in names]:
        for precision in ("float32", "float64"):
            values: dict[str, object] = {
                "task": data, "model": user_defined(module), "optimizer": "adam", "optimizer.lr": 0.01, "epochs": 20,
                "task.standardise": True, "precision": precision,
            }  # fmt: skip
            print(f"| {module.__name__} | {precision} | {measured(values, rounds)} |", flush=True)


def model_name() -> str:
    """The processor's."""
    lines = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return lines[0].partition(":")[2].strip() if lines else platform.processor()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:])
