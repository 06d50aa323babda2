"""Where the time of 100 runs at once goes: moons, the report's MLP, batch 128, evaluation every 10 epochs, one thread.
Processor's microseconds of a step and run (all threads together), median of three rounds interleaved, with the least and the most.

    python benchmarks/many_runs.py [RUNS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time

import jax
import numpy as np

from paribus.backends.dispatch import resolve
from paribus.backends.torch import TorchBackend
from paribus.bench.many.clock import one_core
from paribus.bench.many.contestants import MANY
from paribus.bench.many.jax_ways import jax_tuned, jax_vmapped
from paribus.bench.many.job import data_of, job_of
from paribus.tasks import load

ROUNDS, LONG, SHORT = 3, 400, 100


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    long, short = (
        resolve({"task": "moons", "init": "default", "optimizer.lr": 0.3, "epochs": n}) for n in (LONG, SHORT)
    )
    task = load(long, 0)
    job, fused = job_of(long, task), next(one.way for one in MANY if one.name == "paribus fused")
    data = data_of(task, job)
    steps = -(-job.taken // job.batch)
    evaluations = SHORT // job.every

    def numpy_orders() -> None:
        for evaluation in range(evaluations):
            np.stack([job.orders(seed, evaluation) for seed in range(runs)])

    draw = jax.jit(jax.vmap(jax.vmap(lambda key: jax.random.permutation(key, job.n))))

    def jax_orders() -> None:
        for evaluation in range(evaluations):
            draw(jax.random.split(jax.random.key(evaluation), (runs, job.every))).block_until_ready()

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "JAX, jit(vmap(scan))": (lambda: jax_vmapped(job, data, evaluations, runs), SHORT),
        f"the same, {LONG} epochs": (lambda: jax_vmapped(job, data, LONG // job.every, runs), LONG),
        "jax.random.permutation alone": (jax_orders, SHORT),
        "orders by NumPy alone": (numpy_orders, SHORT),
        **{
            f"JAX, tuned, {n} runs at once": (partial(jax_tuned, job, data, evaluations, runs, n), SHORT)
            for n in (1, 5, 20, runs)
        },
        f"JAX, tuned, {LONG} epochs": (lambda: jax_tuned(job, data, LONG // job.every, runs), LONG),
        f"paribus fused, {SHORT} epochs": (lambda: fused(short, task, runs), SHORT),
        f"paribus fused, {LONG} epochs": (lambda: fused(long, task, runs), LONG),
    }
    laps: dict[str, list[float]] = {name: [] for name in ways}
    with one_core(), TorchBackend().threads(1):
        for _ in range(ROUNDS + 1):
            for name, (way, epochs) in ways.items():
                begun = process_time()
                way()
                laps[name].append(1e6 * (process_time() - begun) / (epochs * steps * runs))
    print("| what | processor us a step and run | least to most |\n|---|---|---|")
    for name, all_laps in laps.items():
        mine = all_laps[1:]  # the first compiles
        print(f"| {name} | {median(mine):.2f} | {min(mine):.2f} - {max(mine):.2f} |")


if __name__ == "__main__":
    main()
