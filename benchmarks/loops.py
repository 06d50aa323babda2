"""What the door for a training loop of one's own costs: a run, and a point of its curve.

    python benchmarks/loops.py

Processor time, with all that belongs to a study: the records, its findings, and the loop's own call.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import paribus

RUNS, POINTS, ROUNDS = 10_000, 2_000, 5


def trivial(seed: int, idea: str) -> dict[str, float]:
    """As little as a loop can do."""
    return {"error": seed % 7 + (idea == "new")}


def logging(run: Any, points: int) -> None:
    """A curve of so many points."""
    for _ in range(points):
        run.log(error=1.0)


def seconds(loop: Any, folder: Path, **more: Any) -> tuple[float, float]:
    """Of a whole study: by the processor, and by the clock."""
    cpu, clock = time.process_time(), time.monotonic()
    paribus.compare(loop, metric="error", lower=True, out=folder, **more)
    return time.process_time() - cpu, time.monotonic() - clock


def main() -> None:
    """Print both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds(trivial, folder / "warm", idea=["base", "new"], seeds=6)
        cpu, clock = seconds(trivial, folder / "runs", idea=["base", "new"], seeds=RUNS // 2)
        print(
            f"{RUNS:,} runs: {cpu:.1f} s of the processor, {clock:.1f} s by the clock, {1e3 * cpu / RUNS:.2f} ms a run"
        )
        each = []
        for i in range(ROUNDS):
            many, _ = seconds(logging, folder / f"many{i}", points=[POINTS, POINTS + 1], seeds=2)
            few, _ = seconds(logging, folder / f"few{i}", points=[1, 2], seeds=2)
            each.append((many - few) / (4 * POINTS + 2 * POINTS))  # the first run of each arm is carried out twice
        print(f"a point of a curve: {1e6 * median(each):.0f} us")


if __name__ == "__main__":
    main()
