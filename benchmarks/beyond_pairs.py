"""What is told beyond single pairs, by the product's own functions, where the truth is known: on how many tasks an arm is
higher, where the seed deals the data anew, and which arm is best at a lower value of a factor.

    python benchmarks/beyond_pairs.py          # about ten minutes on two cores
    python benchmarks/beyond_pairs.py 0.1      # a tenth of the studies
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np

from paribus.findings.compared import HIGHER
from paribus.findings.differences import differences
from paribus.findings.resplit import Resplit
from paribus.findings.stopping import Fixed
from paribus.findings.sweeps import sweeps
from paribus.findings.tasks import Tasks, over_tasks
from paribus.records.record import ArmRecord, StudyRecord

STUDIES = 1000
SEEDS = (8, 20)
LAYOUTS = ((2, 3), (2, 10), (4, 3))
"""Arms, and tasks."""
DATA_SETS = 1000

Scores = np.ndarray[Any, np.dtype[np.float64]]


def tasks_claimed(tasks: int, arms: int, truly: int, seeds: int, studies: int) -> tuple[float, float, float]:
    """On `truly` of the tasks the first arm is 2 sd of the differences above the others, which are alike; a seed moves
    all of them together. The share of studies that claim more tasks for any pair than there are; the mean number of
    tasks claimed for the first arm against the second; the share in which the mean over tasks is found for a pair of
    arms that are alike."""
    rng = np.random.default_rng([1, tasks, arms, truly, seeds])
    labels = [f"arm={i}" for i in range(arms)]
    layout = Tasks({f"t{t}": {label: f"t{t} {label}" for label in labels} for t in range(tasks)})
    pairs = layout.pairs(None)
    wrong = claimed = alike = 0.0
    for _ in range(studies):
        shared = rng.standard_normal(seeds)
        columns: dict[str, list[float | None]] = {}
        for t in range(tasks):
            scores = rng.standard_normal((arms, seeds)) + shared
            scores[0] += 2 * np.sqrt(2) * (t < truly)
            columns |= {f"t{t} {label}": list(map(float, row)) for label, row in zip(labels, scores, strict=True)}
        found = differences(columns, "m", pairs=pairs)
        over = over_tasks(layout, found, columns, baseline=None, lost=None, stopping=Fixed())
        wrong += any(one.b_on > 0 or one.a_on > (truly if one.a == labels[0] else 0) for one in over)
        claimed += over[0].a_on
        alike += any(
            one.mean is not None and one.mean.verdict in HIGHER for one in over if truly == 0 or one.a != labels[0]
        )
    return wrong / studies, claimed / studies, alike / studies


def resplit(seeds: int, studies: int) -> tuple[float, float]:
    """Two learners that are equally good on average over all data sets: each takes the class of the nearer mean, one by
    the first half of the features, the other by the second. A data set of 200 is dealt anew by each seed, a fifth for
    the test. The share of data sets on which one is found to be higher: by signs alone, and corrected."""
    rng = np.random.default_rng([2, seeds])
    n, held = 200, 40
    plain = corrected = 0
    for _ in range(studies):
        y = rng.integers(0, 2, n)
        x = rng.standard_normal((n, 8)) + 0.5 * (2 * y[:, None] - 1)
        scores: Scores = np.zeros((2, seeds))
        for seed in range(seeds):
            order = rng.permutation(n)
            test, train = order[:held], order[held:]
            for k, columns in enumerate((slice(0, 4), slice(4, 8))):
                means = [x[train][y[train] == c][:, columns].mean(axis=0) for c in (0, 1)]
                far = [np.square(x[test][:, columns] - mean).sum(axis=1) for mean in means]
                scores[k, seed] = ((far[1] < far[0]) == y[test]).mean()
        arms = {name: list(map(float, row)) for name, row in zip("ab", scores, strict=True)}
        plain += differences(arms, "m", stopping=Fixed())[0].verdict in HIGHER
        corrected += differences(arms, "m", stopping=Resplit(held / (n - held)))[0].verdict in HIGHER
    return plain / studies, corrected / studies


def swept(apart: float, arms: int, seeds: int, studies: int) -> tuple[float, float, float]:
    """Scores that fall with the square of the distance from an arm's best rate, in powers of ten, with noise; seven
    rates, half a power apart. The best of the first arm is `apart` powers lower than those of the others, which are the
    same, and not one of those tried. The share of studies that find a difference between two that are the same; that
    find the first lower than the second; and whose interval of their ratio covers it."""
    rng = np.random.default_rng([3, int(10 * apart), arms, seeds])
    rates = np.arange(-4, -0.9, 0.5)
    names = {(i, k): f"arm={i} lr={k}" for i in range(arms) for k in range(len(rates))}
    records = [ArmRecord(name, {"arm": f"w{i}", "lr": float(10 ** rates[k])}, []) for (i, k), name in names.items()]
    study = StudyRecord(name="s", factors=["arm", "lr"], seeds=list(range(seeds)), primary_metric="m", arms=records)
    wrong = hits = covered = intervals = 0
    for _ in range(studies):
        columns: dict[str, Sequence[float | None]] = {}
        for i in range(arms):
            best = -2.4 - (apart if i == 0 else 0.0) + 0.2 * rng.standard_normal(seeds)
            for k, rate in enumerate(rates):
                columns[names[i, k]] = list(map(float, -((rate - best) ** 2) + 0.3 * rng.standard_normal(seeds)))
        (sweep,) = sweeps(study, columns, "higher", lost=None, stopping=Fixed())
        verdicts = dict(zip(combinations(range(arms), 2), sweep.pairs, strict=True))
        wrong += any(one.verdict in HIGHER for (a, _), one in verdicts.items() if apart == 0 or a > 0)
        first = verdicts[0, 1]
        hits += first.verdict == "b higher"
        if first.interval is not None:
            intervals += 1
            covered += first.interval[0] <= -apart <= first.interval[1]
    return wrong / studies, hits / studies, covered / max(intervals, 1)


def main(share: float) -> None:
    """All tables."""
    studies, sets = max(int(share * STUDIES), 1), max(int(share * DATA_SETS), 1)
    with ProcessPoolExecutor() as pool:
        several = {
            (arms, tasks, truly, seeds): pool.submit(tasks_claimed, tasks, arms, truly, seeds, studies)
            for arms, tasks in LAYOUTS for truly in (0, 1, tasks - 1) for seeds in SEEDS
        }  # fmt: skip
        dealt = {seeds: pool.submit(resplit, seeds, sets) for seeds in (10, 20, 40)}
        rates = {
            (apart, seeds): pool.submit(swept, apart, 3, seeds, studies) for apart in (0.0, 0.5, 1.0) for seeds in SEEDS
        }
        head = " | ".join(f"{seeds} seeds" for seeds in SEEDS)
        print(f"| arms | tasks | truly higher on | {head} |\n|---|---|---|---|---|")
        for arms, tasks, truly in dict.fromkeys(key[:3] for key in several):
            cells = [several[arms, tasks, truly, seeds].result() for seeds in SEEDS]
            told = (f"{100 * a:.1f} %, {b:.1f} tasks, {100 * c:.1f} %" for a, b, c in cells)
            print(f"| {arms} | {tasks} | {truly} | {' | '.join(told)} |", flush=True)
        print("\n| seeds | sign flips | corrected |\n|---|---|---|")
        for seeds, one in dealt.items():
            print(f"| {seeds} | " + " | ".join(f"{100 * x:.1f} %" for x in one.result()) + " |", flush=True)
        print(f"\n| powers of ten apart | {head} |\n|---|---|---|")
        for apart in dict.fromkeys(key[0] for key in rates):
            found = (rates[apart, seeds].result() for seeds in SEEDS)
            told = (f"{100 * a:.1f} %, {100 * b:.1f} %, covered {100 * c:.1f} %" for a, b, c in found)
            print(f"| {apart:g} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
