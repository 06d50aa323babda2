"""How often Paribus sees a difference where there is none, and how often it finds one that was planted.

    python benchmarks/false_alarms.py                       # 400 A/A studies of 8 seeds, 12,800 real runs: 3 minutes
    python benchmarks/false_alarms.py --seeds 6..40         # 400 that end when decided, 31,000 runs: ten minutes

A/A: both arms have the same settings; the sham arm re-keys `init` and `order` (its plans are those of other seeds), so
that its runs differ as those of another seed. A verdict `a higher` or `b higher` is a false alarm; at a true rate of 5 %,
400 studies show at most 8 % with a chance of 99.4 %.

Power: to the same scores a difference of one standard deviation of the paired differences is added; the share that is
found stands beside that of the paired t test on normal differences (`paribus.findings.power.t_power`).

Seeds until decided: whole studies, trained until the product ends them, in folders that are thrown away. The sham arm
sees every input with its sign changed. Its network cannot mind: its initial weights are symmetric about 0, so that both
arms have the same chances at every seed. Each study has moons and seeds of its own (`--seeds 6..40` on the command line
always begins at seed 0), so that no study says anything of another.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from sklearn.datasets import make_moons

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.findings.differences import differences
from paribus.findings.findings import Findings, undecided
from paribus.findings.power import t_power
from paribus.records.record import Evaluation, Outcome
from paribus.records.run import Run
from paribus.study.arms import Seeds, parse_seeds
from paribus.study.runner import carry_out
from paribus.study.spec import request
from paribus.tasks import load

SEEDS = (8, 16)
EXAMPLES, NOISE = 400, 0.2
"""Of the moons of each study that ends when it is decided."""

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


def ended(study: int, until: Seeds, folder: Path) -> tuple[bool, int]:
    """One study, trained until it is decided: whether it raised a false alarm, and after how many seeds it ended."""
    x, y = make_moons(EXAMPLES, noise=NOISE, random_state=study)
    x = (x - x.mean(axis=0)).astype(np.float32)
    own = Seeds(range(study * len(until), (study + 1) * len(until)))
    own.least = until.least
    asked = request(
        "",
        [f"{name}={value}" for name, value in WORDS.items() if name != "task"],
        compare=True,
        seeds=own,
        given={"task": [paribus.data(x, y, name="own"), paribus.data(-x, y, name="sham")]},
        out=folder / str(study),
        metric="test_loss",
    )
    (difference,) = Findings.of(carry_out(asked, undecided=undecided)).primary
    assert difference.ended, "the study goes on"
    return difference.verdict in ("a higher", "b higher"), difference.ended_after or 0


def until_decided(studies: int, until: Seeds) -> None:
    """How many of the studies raise a false alarm, with the 95 % interval of their share (Clopper and Pearson)."""
    with tempfile.TemporaryDirectory() as folder:
        ends = [ended(study, until, Path(folder)) for study in range(studies)]
    alarms, seeds = sum(alarm for alarm, _ in ends), float(np.mean([n for _, n in ends]))
    low, high = binomtest(alarms, studies).proportion_ci()
    print(
        f"{studies} studies with --seeds {until.least}..{len(until)}, test loss of real runs: {alarms} false alarms, "
        f"{100 * alarms / studies:.1f} % ({100 * low:.1f} to {100 * high:.1f} %); {seeds:.1f} seeds on average"
    )


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="?", type=int, default=400)
    parser.add_argument("--seeds", help="until decided, as in 6..40; without it at the fixed numbers of the table")
    given = parser.parse_args()
    if given.seeds is None:
        main(given.studies)
    else:
        wanted = parse_seeds(given.seeds)
        if wanted.least is None:
            parser.error(f"--seeds {given.seeds} is not until decided: give the least and the most, as in 6..40")
        until_decided(given.studies, wanted)
