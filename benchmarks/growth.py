"""How the fused engine's cost grows with runs, width, depth and batch size: microseconds a step of one thread, moons,
200 epochs, evaluation every 10; medians of five.

    python benchmarks/growth.py
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

from paribus.backends.dispatch import resolve
from paribus.backends.fused_runner import train_fused
from paribus.config.settings import steps_in_epoch
from paribus.records.run import Callback, Run
from paribus.tasks import load

ROUNDS = 5


class Nobody(Callback):
    """Looks away."""


def microseconds(words: dict[str, object], runs: int = 4, threads: int = 1) -> float:
    """Of one step of one run, with evaluation and all that a run costs beside its steps."""
    settings = resolve({"task": "moons", "epochs": 200, "init": "default", "implementation": "fused", **words})
    task = load(settings, 0)
    steps = settings.epochs * steps_in_epoch(settings, len(task.train))
    laps = []
    for i in range(ROUNDS + 1):
        begun = perf_counter()
        train_fused([Run(settings=settings, seed=seed) for seed in range(runs)], lambda _: task, Nobody(), threads)
        laps.append(1e6 * (perf_counter() - begun) / steps / runs)
        if i == 0:
            laps.clear()
    return median(laps)


def main() -> None:
    print("| what | us a step |\n|---|---|")
    for runs in (1, 10, 100):
        print(f"| {runs} runs | {microseconds({}, runs):.2f} |")
    print(f"| 100 runs, 2 threads | {microseconds({}, 100, 2):.2f} |")
    for width in (5, 20, 64, 128):
        print(f"| hidden={width} | {microseconds({'model.hidden': width}):.2f} |")
    for depth in (1, 2, 3, 4):
        print(f"| hidden={'x'.join(['20'] * depth)} | {microseconds({'model.hidden': (20,) * depth}):.2f} |")
    for batch in (1, 8, 32, 128, 800):
        few = {"epochs": 20} if batch < 32 else {}
        print(f"| batch_size={batch} | {microseconds({'batch_size': batch, **few}):.2f} |")
    for optimizer in ("sgd", "adam", "adamw", "rmsprop"):
        print(f"| optimizer={optimizer} | {microseconds({'optimizer': optimizer}):.2f} |")
    print(f"| dropout=0.2 | {microseconds({'model.dropout': 0.2}):.2f} |")
    print(f"| precision=float64 | {microseconds({'precision': 'float64'}):.2f} |")


if __name__ == "__main__":
    main()
