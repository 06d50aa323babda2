"""How far NumPy and PyTorch part, beside what one unit in the last place of every initial weight makes of the same run.

    python benchmarks/drift.py            # the report's settings, seed 0, float64, every optimizer: about 5 minutes

Prints, for each task and optimizer, the largest |difference| in train loss over the whole curve between the two
implementations, the same between NumPy and NumPy moved by one ulp (the largest of three ways), and the ratio, which is
to stay under 10.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from unittest import mock

import numpy as np

from paribus.backends import stepwise
from paribus.backends.dispatch import resolve, train
from paribus.config.optimizers import OPTIMIZERS
from paribus.config.settings import Settings
from paribus.records.record import Evaluation
from paribus.records.run import Callback, Run
from paribus.tasks import Task, load


class Losses(Callback):
    """Keeps the train loss."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.values.append(row.metrics["train_loss"])


# An unstable run takes up some directions and damps others: one way of moving every weight by one ulp may find a drift
# a hundred times smaller than another. The drift is the largest of these.
WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "up": lambda value: np.full(value.shape, np.inf),
    "down": lambda value: np.full(value.shape, -np.inf),
    "by turns": lambda value: np.where(np.arange(value.size).reshape(value.shape) % 2, np.inf, -np.inf),
}


def losses(settings: Settings, task: Task, seed: int, way: str | None = None) -> np.ndarray:
    """The train loss over the whole curve, from the plan's initial values or one ulp beside them."""
    kept, plain = Losses(), stepwise.initial_values

    def moved(*arguments: object) -> dict[str, np.ndarray]:
        values = plain(*arguments)  # type: ignore[arg-type]
        return values if way is None else {key: np.nextafter(value, WAYS[way](value)) for key, value in values.items()}

    with mock.patch.object(stepwise, "initial_values", moved):
        (outcome,) = train([Run(settings=settings, seed=seed)], lambda _: task, kept)
    assert outcome.error is None, outcome.error
    return np.array(kept.values)


def main(epochs: int | None = None) -> None:
    """The table."""
    worst = 0.0
    print("| task | optimizer | NumPy against PyTorch | one ulp | ratio |\n|---|---|---|---|---|")
    for name in ("moons", "circles", "blobs"):
        for optimizer in OPTIMIZERS:
            words = {"task": name, "optimizer": optimizer, "precision": "float64"}
            words |= {} if epochs is None else {"epochs": epochs}
            hand, auto = (resolve({**words, "implementation": which}) for which in ("numpy", "torch"))
            task = load(hand, 0)
            plain = losses(hand, task, 0)
            gap = np.abs(losses(auto, task, 0) - plain).max()
            drift = max(np.finfo(float).eps, *(np.abs(losses(hand, task, 0, way) - plain).max() for way in WAYS))
            worst = max(worst, gap / drift)
            print(f"| {name} | {optimizer} | {gap:.1e} | {drift:.1e} | {gap / drift:.2f} |", flush=True)
    print(f"\nthe largest ratio is {worst:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
