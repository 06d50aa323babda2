"""How often Paribus sees a difference where there is none, and how often it finds one that was planted.

    python benchmarks/false_alarms.py     # 400 A/A studies of 8 seeds, 12,800 real runs: about 3 minutes

A/A: both arms have the same settings; the sham arm re-keys `init` and `order` (its plans are those of other seeds), so
that its runs differ as those of another seed. A verdict `a higher` or `b higher` is a false alarm; at a true rate of 5 %,
400 studies show at most 8 % with a chance of 99.4 %.

Power: to the same scores a difference of one standard deviation of the paired differences is added; the share that is
found stands beside that of the paired t test on normal differences (`paribus.findings.power.t_power`).
"""

from __future__ import annotations

import sys

import numpy as np

from paribus.backends.dispatch import resolve, train
from paribus.findings.differences import differences
from paribus.findings.power import t_power
from paribus.records.record import Evaluation, Outcome
from paribus.records.run import Run
from paribus.tasks import load

SEEDS = (8, 16)
WORDS = {"task": "moons", "init": "default", "optimizer.lr": 0.1, "epochs": 8, "eval_every": 8, "model.hidden": 8}


class Scores:
    """Keeps each run's last test loss: a score without ties."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_run_begin(self, run: Run) -> None:
        pass

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.values.append(row.metrics["test_loss"])

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        assert outcome.error is None, outcome.error

    def on_message(self, line: str) -> None:
        pass


def scores(seeds: range) -> np.ndarray:
    """One real run a seed."""
    settings, kept = resolve(WORDS), Scores()
    train([Run(settings=settings, seed=seed) for seed in seeds], lambda _: load(settings, 0), kept)
    return np.array(kept.values)


def found(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a verdict names the higher arm."""
    (difference,) = differences({"a": list(a), "sham": list(b)}, "test_loss")
    return difference.verdict in ("a higher", "b higher")


def main(studies: int) -> None:
    """The table."""
    most = max(SEEDS)
    own, sham = scores(range(studies * most)), scores(range(10**6, 10**6 + studies * most))
    own, sham = own.reshape(studies, most), sham.reshape(studies, most)
    print(f"{studies} studies on moons, test loss of real runs\n")
    print(
        "| seeds | false alarms, A/A | one standard deviation planted: found | theory (paired t) |\n|---|---|---|---|"
    )
    for n in SEEDS:
        alarms = np.mean([found(a[:n], b[:n]) for a, b in zip(own, sham, strict=True)])
        planted = (own - sham).std(ddof=1)
        hits = np.mean([found(a[:n] + planted, b[:n]) for a, b in zip(own, sham, strict=True)])
        print(f"| {n} | {100 * alarms:.1f} % | {100 * hits:.1f} % | {100 * t_power(1.0, n, 0.05):.1f} % |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
