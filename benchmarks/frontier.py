"""The longest palindromes whose first digit a network remembers: mean test accuracy of five seeds at least 99 %.

Every network gets the same steps, batches and candidates for its learning rate, chosen by the loss on validation data of one run
each, on a seed of its own; then five runs on all of the training data. Lengths grow until the mean falls short. The report's
training is RMSprop at a constant rate, clipped at 10; "annealed" is Adam, its rate falling as a cosine, clipped at 1.

    python benchmarks/frontier.py runs/frontier                          # all; run again, it goes on where it stopped
    python benchmarks/frontier.py runs/frontier orthogonal lstm-annealed
    python benchmarks/frontier.py runs/frontier --figure frontier.png    # and a picture of what it printed
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

import paribus

LENGTHS = (10, 20, 30, 50, 100, 200)
RATES = (0.0001, 0.0003, 0.001, 0.003)
EPOCHS = 15  # of 100 steps of 128 sequences
TARGET = 0.99
GATED = (10, 20, 50)  # for LSTM and GRU, three milliseconds a digit and step

_CELLS: dict[str, dict[str, Any]] = {
    "report": {"encoding": "scalar", "model": "rnn"},
    "one-hot": {"encoding": "onehot", "model": "rnn"},
    "orthogonal": {"encoding": "onehot", "model": "rnn", "recurrent": "orthogonal"},
    "identity": {"encoding": "onehot", "model": "rnn", "recurrent": "identity"},
    "gru": {"encoding": "onehot", "model": "gru"},
    "lstm": {"encoding": "onehot", "model": "lstm"},
}
_ANNEALED = {"optimizer": "adam", "schedule": "cosine", "clip": 1.0}
NETWORKS = _CELLS | {f"{name}-annealed": words | _ANNEALED for name, words in _CELLS.items()}


class Attempt(NamedTuple):
    """The chosen rate, the five runs' test accuracies, and the seconds they took (of the first time, not of a rerun)."""

    length: int
    rate: float
    accuracies: np.ndarray
    seconds: float


def attempt(folder: Path, name: str, length: int) -> Attempt:
    """Four candidates on one seed, judged by validation loss; then five runs with the best."""
    words = {"length": length, "epochs": EPOCHS, "jobs": 2, **NETWORKS[name]}
    place = folder / name / str(length)
    tried = paribus.compare(
        "palindrome",
        lr=list(RATES),
        validation=0.1,
        seeds=[2**31],
        metric="validation_loss",
        out=place / "tried",
        **words,
    )
    scores = tried.table().set_index("optimizer.lr")["validation_loss"].fillna(np.inf)
    rate = float(scores.idxmin())
    final = place / f"five-{rate:g}"
    clock = final / "seconds.txt"
    begun = perf_counter()
    five = paribus.train("palindrome", lr=rate, seeds=5, out=final, **words)
    if not clock.exists():
        clock.write_text(f"{perf_counter() - begun:.1f}\n")
    return Attempt(length, rate, five.table()["test_accuracy"].to_numpy(), float(clock.read_text()))


def row(name: str, found: Attempt) -> str:
    half = stats.t.ppf(0.975, len(found.accuracies) - 1) * stats.sem(found.accuracies)
    return (
        f"| {name} | {found.length} | {found.rate:g} | {100 * np.mean(found.accuracies):.2f} ±{100 * half:.2f} "
        f"| {100 * np.min(found.accuracies):.1f} | {found.seconds:.0f} |"
    )


def draw(found: dict[str, list[Attempt]], out: Path) -> None:
    """Each run a point and each mean on a line, over the length; one panel a network, both trainings in it."""
    cells = [name for name in _CELLS if name in found or f"{name}-annealed" in found]
    figure = Figure(figsize=(10, 2.9 * ((len(cells) + 2) // 3)), layout="constrained")
    panels = figure.subplots((len(cells) + 2) // 3, 3, sharex=True, sharey=True, squeeze=False)
    for panel, cell in zip(panels.flat, cells, strict=False):
        for name, colour, marker, label in (
            (cell, "#0072B2", "o", "the report's training"),
            (f"{cell}-annealed", "#D55E00", "s", "annealed"),
        ):
            for tried in found.get(name, []):
                panel.plot([tried.length] * 5, 100 * tried.accuracies, marker, color=colour, alpha=0.35, ms=4, mew=0)
            ends = found.get(name, [])
            means = [100 * float(np.mean(tried.accuracies)) for tried in ends]
            panel.plot([tried.length for tried in ends], means, f"{marker}-", color=colour, ms=5, label=label)
        panel.axhline(100 * TARGET, color="0.5", lw=0.8, ls="--")
        panel.set(title=cell, xscale="log", xticks=LENGTHS, xticklabels=LENGTHS, ylim=(0, 104))
        panel.minorticks_off()
    for panel in panels[-1]:
        panel.set_xlabel("digits read")
    for panel in panels[:, 0]:
        panel.set_ylabel("test accuracy %")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
    figure.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("networks", nargs="*", help=f"some of {', '.join(NETWORKS)}; by default all")
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    if unknown := [name for name in asked.networks if name not in NETWORKS]:
        parser.error(f"there is no network {', '.join(unknown)}: there is {', '.join(NETWORKS)}")
    print(
        "| network | length | learning rate | test accuracy %, mean of five | least | seconds of the five |\n"
        "|---|---|---|---|---|---|"
    )
    found: dict[str, list[Attempt]] = {}
    for name in asked.networks or NETWORKS:
        for length in GATED if NETWORKS[name]["model"] != "rnn" else LENGTHS:
            found.setdefault(name, []).append(attempt(asked.folder, name, length))
            print(row(name, found[name][-1]), flush=True)
            if np.mean(found[name][-1].accuracies) < TARGET:
                break
    if asked.figure:
        draw(found, asked.figure)


if __name__ == "__main__":
    main()
