"""The longest palindromes whose first digit a network remembers: mean test accuracy of five seeds at least 99 %.

Every network gets the same steps, batches and candidates for its learning rate, chosen on validation data by one run each
on a seed of its own; then five runs on all of the training data. Lengths grow until the mean falls short.

    python benchmarks/frontier.py runs/frontier          # all networks; run again, it goes on where it stopped
    python benchmarks/frontier.py runs/frontier orthogonal lstm
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import paribus

LENGTHS = (5, 10, 20, 50, 100)
RATES = (0.0001, 0.0003, 0.001, 0.003)
EPOCHS = 15  # of 100 steps of 128 sequences
TARGET = 0.99

NETWORKS: dict[str, dict[str, Any]] = {
    "report": {"encoding": "scalar", "model": "rnn"},
    "one-hot": {"encoding": "onehot", "model": "rnn"},
    "orthogonal": {"encoding": "onehot", "model": "rnn", "recurrent": "orthogonal"},
    "identity": {"encoding": "onehot", "model": "rnn", "recurrent": "identity"},
    "gru": {"encoding": "onehot", "model": "gru"},
    "lstm": {"encoding": "onehot", "model": "lstm"},
}


def attempt(folder: Path, name: str, length: int) -> tuple[float, float, float, float]:
    """Of the five runs: mean test accuracy, half of its 95 % interval, their seconds, and the rate that was chosen."""
    words = {"length": length, "epochs": EPOCHS, "jobs": 2, **NETWORKS[name]}
    place = folder / name / str(length)
    tried = paribus.compare(
        "palindrome", lr=list(RATES), validation=0.1, seeds=[2**31], metric="validation_accuracy", out=place / "tried",
        **words,
    )  # fmt: skip
    scores = tried.table().set_index("optimizer.lr")["validation_accuracy"].fillna(0.0)
    rate = float(scores.idxmax())
    begun = perf_counter()
    five = paribus.train("palindrome", lr=rate, seeds=5, out=place / "five", **words)
    seconds = perf_counter() - begun
    found = five.table()["test_accuracy"].to_numpy()
    half = 2.776 * float(np.std(found, ddof=1)) / np.sqrt(5)  # Student's t at 4 degrees of freedom
    return float(np.mean(found)), half, seconds, rate


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/frontier")
    print(
        "| network | length | learning rate | test accuracy %, five seeds | seconds of the five |\n|---|---|---|---|---|"
    )
    for name in sys.argv[2:] or NETWORKS:
        for length in LENGTHS:
            mean, half, seconds, rate = attempt(folder, name, length)
            print(f"| {name} | {length} | {rate:g} | {100 * mean:.2f} ±{100 * half:.2f} | {seconds:.0f} |", flush=True)
            if mean < TARGET:
                break


if __name__ == "__main__":
    main()
