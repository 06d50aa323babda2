"""What a study of many runs costs: seconds of the processor and peak memory of each command that reads it, the sizes of
its record and its page, and the time it takes to write.

    python benchmarks/scale.py
    python benchmarks/scale.py --runs 1000 10000 --shapes seeds

Nothing is trained but one run, whose pictures all others are given: curves are made, and go into the folder through the
recorder of a real study. Each run has ten evaluations. `seeds`: 10 arms, runs/10 seeds; `arms`: runs/100 arms, 100
seeds. Every command is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Only what is small: a child's peak memory is at least that of its parent when it began.

RUNS = (1_000, 10_000, 100_000)
SHAPES = ("seeds", "arms")
EVALUATIONS = 10
MB = 1e6


def words(shape: str, runs: int) -> tuple[list[str], int]:
    """The settings and how many seeds: a grid of ten values a factor, as many factors as it takes."""
    factors = [
        ("lr", [round(0.01 * k, 2) for k in range(1, 11)]),
        ("hidden", [10 * k for k in range(1, 11)]),
        ("batch_size", [10 * k for k in range(1, 11)]),
    ]
    if shape == "seeds":
        return [_listed(*factors[0])], runs // 10
    arms = runs // 100
    taken = []
    for name, values in factors:
        if arms > 1:
            taken.append(_listed(name, values[: min(arms, 10)]))
            arms //= 10
    return taken, 100


def _listed(name: str, values: Sequence[float]) -> str:
    return f"{name}={','.join(map(str, values))}"


def make(folder: Path, shape: str, runs: int) -> dict[str, float]:
    """A study's folder of so many runs; what it took of the processor, in ms."""
    import numpy as np

    from paribus.backends.base import backend_of
    from paribus.records.record import Evaluation, Outcome, Pictures, Status
    from paribus.records.run import Callback, Run
    from paribus.study.recorder import Recorder
    from paribus.study.spec import request
    from paribus.study.store import Store
    from paribus.tasks import load

    listed, seeds = words(shape, runs)
    spec = request(
        "moons", [*listed, "epochs=100", "eval_every=10", "implementation=numpy"], compare=True, seeds=range(seeds)
    )

    class Kept(Callback):
        outcome: Outcome

        def on_run_end(self, run: Run, outcome: Outcome) -> None:
            self.outcome = outcome

    kept, first = Kept(), Run(spec.design.arms[0].network, 0, pictures=True)
    backend_of(first.settings).train([first], lambda one: load(one.settings, one.seed), kept, workers=1)
    pictured = kept.outcome

    store = Store.create(folder)
    began = time.process_time()
    recorder = Recorder(store, spec, [])
    beginning = time.process_time() - began
    rng, evaluating = np.random.default_rng(0), 0.0
    at = np.arange(1, EVALUATIONS + 1)
    for i, arm in enumerate(spec.design.arms):
        for seed in range(seeds):
            run = Run(arm.network, seed)
            end = 0.9 + 0.002 * (i % 10) + 0.01 * rng.standard_normal()  # ten levels, a noise of five steps
            accuracy = np.clip(end - 0.4 * np.exp(-at / 2) + 0.002 * rng.standard_normal((2, EVALUATIONS)), 0, 1)
            began = time.process_time()
            recorder.on_run_begin(run)
            begun = time.process_time()
            for k in range(EVALUATIONS):
                train, test = (float(one) for one in accuracy[:, k])
                metrics = {
                    "train_loss": 1.2 - train,
                    "train_accuracy": train,
                    "test_loss": 1.2 - test,
                    "test_accuracy": test,
                }
                epoch = 10 * (k + 1)
                recorder.on_evaluation(run, Evaluation(80 * epoch, float(epoch), 0.01 * epoch, 0.001 * epoch, metrics))
            evaluated = time.process_time()
            pictures = pictured.pictures if seed == 0 else Pictures()
            recorder.on_run_end(run, Outcome(Status.DONE, 100, boundary=pictured.boundary, pictures=pictures))
            beginning += begun - began + time.process_time() - evaluated
            evaluating += evaluated - begun
    store.close()
    return {"run": 1e3 * beginning / runs, "evaluation": 1e3 * evaluating / runs / EVALUATIONS}


def measured(command: Sequence[str], out: Path) -> dict[str, float]:
    """Seconds, peak memory in MB and MB of output of a command, which must succeed."""
    began = time.perf_counter()
    with out.open("wb") as file:
        child = subprocess.Popen([sys.executable, "-m", "paribus", *command], stdout=file)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"paribus {' '.join(command)} ended with {child.returncode}")
    return {
        "seconds": time.perf_counter() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * 1024 / MB,
        "output": out.stat().st_size / MB,
    }


def library() -> int:
    """Bytes of the charting library that every page holds."""
    code = "from plotly.offline import get_plotlyjs; print(len(get_plotlyjs().encode()))"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)


def study(folder: Path, shape: str, runs: int, beside: int) -> dict[str, Any]:
    """All that is measured of one study."""
    made = subprocess.run(
        [sys.executable, __file__, "--make", shape, str(runs), str(folder)], check=True, capture_output=True, text=True
    )
    page = folder / "page.html"
    commands = {
        "show": ["show", str(folder)],
        "show --json": ["show", str(folder), "--json"],
        "diagnose": ["diagnose", str(folder)],
        "report": ["report", str(folder), "--out", str(page)],
    }
    found: dict[str, Any] = {
        "writing": json.loads(made.stdout),
        "record": (folder / "study.sqlite").stat().st_size / MB,
    }
    found |= {name: measured(command, folder / "out.txt") for name, command in commands.items()}
    found["page"] = (page.stat().st_size - beside) / MB
    return found


def main() -> None:
    """Print the table, row by row as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", type=int, default=RUNS)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--make", nargs=3, metavar=("SHAPE", "RUNS", "FOLDER"), help="only make a study's folder")
    asked = parser.parse_args()
    if asked.make:
        shape, runs, folder = asked.make
        print(json.dumps(make(Path(folder), shape, int(runs))))
        return
    beside = library()
    print(
        "| study | runs | show | show --json | diagnose | report | page, MB | record, MB | a run, ms | an evaluation, ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for shape in asked.shapes:
        for runs in asked.runs:
            with tempfile.TemporaryDirectory() as name:
                found = study(Path(name) / "study", shape, runs, beside)
            told = [
                f"{found[one]['cpu']:.1f} s, {found[one]['memory']:.0f} MB"
                for one in ("show", "show --json", "diagnose", "report")
            ]
            arms = 10 if shape == "seeds" else runs // 100
            writing = found["writing"]
            row = [f"{arms:,} arms x {runs // arms:,} seeds", f"{runs:,}", *told, f"{found['page']:.2f}",
                   f"{found['record']:.1f}", f"{writing['run']:.2f}", f"{writing['evaluation']:.3f}"]  # fmt: skip
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
