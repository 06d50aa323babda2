"""32 seeds of the README's modules: `stacked`, all in one computation, beside `torch`, one after another; one core.

`python benchmarks/stacked.py [ROUNDS [MODULE ...]]`: median seconds of the rounds, with evaluation, and how far the curves differ.
"""

from __future__ import annotations

import sys
from statistics import median
from time import perf_counter

import numpy as np
from sklearn.datasets import load_breast_cancer
from torch import nn

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.config.user_code import user_defined
from paribus.records.record import Evaluation
from paribus.records.run import Callback, Run
from paribus.tasks import load

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


def trained(values: dict[str, object], backend: str) -> tuple[float, np.ndarray]:
    """Seconds, and the losses (seeds, evaluations)."""
    settings, losses = resolve({**values, "implementation": backend}), Losses()
    task = load(settings, 0)
    begun = perf_counter()
    train([Run(settings, seed) for seed in range(SEEDS)], lambda _: task, losses)
    return perf_counter() - begun, np.array([losses.told[seed] for seed in range(SEEDS)])


def main(rounds: int, names: list[str]) -> None:
    x, y = load_breast_cancer(return_X_y=True, as_frame=True)
    data = paribus.data(x, y, name="breast cancer")
    print("| module | type | torch, s | stacked, s | times as fast | least to most | losses differ by at most |")
    print("|---|---|---|---|---|---|---|")
    for module in [one for one in (plain, dropout, batch_norm) if not names or one.__name__ in names]:
        for precision in ("float32", "float64"):
            values: dict[str, object] = {
                "task": data, "model": user_defined(module), "optimizer": "adam", "optimizer.lr": 0.01, "epochs": 20,
                "task.standardise": True, "precision": precision,
            }  # fmt: skip
            seconds: dict[str, list[float]] = {"torch": [], "stacked": []}
            losses = {}
            for _ in range(rounds):
                for backend, laps in seconds.items():  # by turns: what else the machine does meets both
                    lap, losses[backend] = trained(values, backend)
                    laps.append(lap)
            ratios = [one / other for one, other in zip(*seconds.values(), strict=True)]
            apart = np.abs(losses["torch"] - losses["stacked"]).max()
            print(
                f"| {module.__name__} | {precision} | {median(seconds['torch']):.2f} | {median(seconds['stacked']):.2f} "
                f"| {median(ratios):.1f} | {min(ratios):.1f} to {max(ratios):.1f} | {apart:.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:])
