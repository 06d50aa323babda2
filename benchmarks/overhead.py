"""What records, events and progress cost: a 20-run moons study as the command carries it out, against the bare runs.

    python benchmarks/overhead.py         # three interleaved rounds, about 2 minutes

Both train the same 20 runs at the report's settings, in this process; the study also writes every record, follows with
TensorBoard events, and shows its progress.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console

from paribus.backends.dispatch import train
from paribus.records.run import Callback, Run
from paribus.report.tensorboard import Follower
from paribus.report.terminal.progress import Bar
from paribus.study.runner import carry_out
from paribus.study.spec import request
from paribus.tasks import load

RUNS = 20


class Nobody(Callback):
    """Looks away."""


def bare() -> float:
    """Seconds of the runs alone."""
    asked = request("moons", ["implementation=numpy"], compare=False, seeds=range(RUNS))
    settings = asked.design.arms[0].settings
    begun = perf_counter()
    train([Run(settings=settings, seed=seed) for seed in range(RUNS)], lambda _: load(settings, 0), Nobody())
    return perf_counter() - begun


def study() -> float:
    """Seconds of the study: from the lock to the last record, with its event writer beside it."""
    with tempfile.TemporaryDirectory() as folder:
        asked = request("moons", ["implementation=numpy"], compare=False, seeds=range(RUNS), out=Path(folder) / "s")
        console = Console(file=io.StringIO(), force_terminal=True)
        asked.folder.mkdir()
        with Follower(asked.folder, RUNS):
            begun = perf_counter()
            with Bar(console, RUNS, RUNS * asked.design.arms[0].settings.epochs) as bar:
                carry_out(asked, [bar])
            return perf_counter() - begun


def main() -> None:
    """The ratio."""
    bare()
    ratios = []
    for i in range(3):
        alone, whole = bare(), study()
        ratios.append(whole / alone)
        print(f"round {i + 1}: bare {alone:.2f} s, study {whole:.2f} s, ratio {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {median(ratios):.3f}")


if __name__ == "__main__":
    main()
