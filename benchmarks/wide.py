"""The MLP that CIFAR-10 takes (3072-64-64-64-10), on random images of its shape: what a wide first layer costs each
implementation beside a plain PyTorch loop; one thread, medians of five rounds interleaved.

    python benchmarks/wide.py
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
from growth import Nobody

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.backends.torch import TorchBackend
from paribus.bench.contestants import indexed_loop
from paribus.config.settings import Settings
from paribus.records.run import Run
from paribus.tasks import Task, load

EXAMPLES, EPOCHS, ROUNDS = 20_000, 3, 5


def way(settings: Settings, task: Task, implementation: str) -> Callable[[], object]:
    chosen = resolve({**settings.values(), "implementation": implementation})
    return lambda: train([Run(settings=chosen, seed=0)], lambda _: task, Nobody())


def main() -> None:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 10, EXAMPLES)
    images = (draw.normal(size=(EXAMPLES, 3072)) + 0.02 * y[:, None]).astype(np.float32)
    settings = resolve(
        {"task": paribus.data(images, y), "model.hidden": "64x64x64", "epochs": EPOCHS, "optimizer.lr": 0.05}
    )
    task = load(settings, 0)
    steps = EPOCHS * -(-len(task.train) // settings.batch_size)
    ways: dict[str, Callable[[], object]] = {"PyTorch loop, indexed": lambda: indexed_loop(settings, task)}
    ways |= {f"paribus {name}": way(settings, task, name) for name in ("torch", "numpy", "fused")}
    laps: dict[str, list[float]] = {name: [] for name in ways}
    with TorchBackend().threads(1):
        for _ in range(ROUNDS + 1):
            for name, run in ways.items():
                begun = perf_counter()
                run()
                laps[name].append(1e6 * (perf_counter() - begun) / steps)
    first = laps["PyTorch loop, indexed"][1:]
    print("| way | us a step | times as fast |\n|---|---|---|")
    for name, all_laps in laps.items():
        mine = all_laps[1:]
        print(f"| {name} | {median(mine):.0f} | {median(a / b for a, b in zip(first, mine, strict=True)):.2f} |")


if __name__ == "__main__":
    main()
