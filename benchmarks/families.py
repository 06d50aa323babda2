"""How often a study says that one arm is higher where all are alike, and a claim that it holds or does not, where that
is decided by chance: by the kind of the scores, the number of seeds, and how many pairs are judged together.

    python benchmarks/families.py          # half an hour on two cores
    python benchmarks/families.py 0.1      # a tenth of the studies

Arms share what a seed gives them, as under a plan. In the last kind every run whose score is among the worst fifth of
all is lost, as if it had diverged. At a true rate of 5 %, 20,000 studies show more than 5.5 % with a chance of 0.1 %, 10,000 of 1 %.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from paribus.findings import compared, conditions
from paribus.findings import differences as findings
from paribus.findings.claims import verdict
from paribus.findings.compared import Lost
from paribus.findings.differences import differences
from paribus.findings.effects import Effects
from paribus.findings.sign_flips import COUNTED_SOON
from paribus.records.claims import Claim
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord

SEEDS = (6, 8, 12, 20, 40)
ARMS = {1: 2, 3: 3, 15: 6}
"""Pairs -> arms."""

STUDIES = {1: 20_000, 3: 12_000, 15: 5_000}
"""Pairs -> studies."""

CLAIMS = 10_000
Scores = np.ndarray[Any, np.dtype[np.float64]]

KINDS: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Scores]] = {
    "normal": lambda rng, size: rng.standard_normal(size) + rng.standard_normal(size[1]),
    "heavy-tailed (t, 3 df)": lambda rng, size: rng.standard_t(3, size) + rng.standard_normal(size[1]),
    "tied (a fifth of a unit)": lambda rng, size: np.round(5 * rng.standard_normal(size)) / 5,
    "percent, of 1,000 examples": lambda rng, size: np.round(rng.binomial(1000, 0.9, size) / 10, 1),
    "the worst fifth lost": lambda rng, size: rng.standard_normal(size) + rng.standard_normal(size[1]),
}
_WORST_FIFTH = -0.8416 * np.sqrt(2)


def alarmed(kind: str, seeds: int, arms: int, studies: int) -> float:
    """The share of studies with any verdict that names an arm."""
    rng = np.random.default_rng([list(KINDS).index(kind), seeds, arms])
    _quickly()
    found = 0
    for _ in range(studies):
        scores = KINDS[kind](rng, (arms, seeds))
        gone = scores < _WORST_FIFTH if kind == "the worst fifth lost" else np.zeros(scores.shape, dtype=bool)
        columns = {str(arm): [None if lost else float(x) for x, lost in zip(*of, strict=True)]
                   for arm, of in enumerate(zip(scores, gone, strict=True))}  # fmt: skip
        lost = Lost({str(arm): list(map(bool, of)) for arm, of in enumerate(gone)}, "higher") if gone.any() else None
        found += any(one.verdict in ("a higher", "b higher") for one in differences(columns, "m", lost=lost))
    return found / studies


def _quickly() -> None:
    """Without effect sizes, which verdicts do not look at; and of 40 seeds p as of more than 40: an upper bound, near 0.05
    less than a hundredth of itself too large, in a fortieth of the time."""
    compared.Effects = _NoEffects
    findings.COUNTED = COUNTED_SOON
    conditions.COUNTED = COUNTED_SOON


class _NoEffects(Effects):
    @classmethod
    def of(cls, _: object) -> Effects:
        return Effects()


CONDITIONS: Mapping[str, Mapping[str, Any]] = {
    "higher by 0": {"higher": "a", "lower": "b"},
    "alike, at the margin": {"alike": ["a", "b"], "margin": 0.5},
    "a level, at the bound": {"arm": "a", "at_least": 5.0},
    "a ratio, at its end": {"ratio": ["a", "b"], "between": [0.5, 1.0]},
    "a line, at the bound": {"line": ["a", "b", "c", "d"], "x": [1, 2, 3, 4], "within": 0.1},
    "no line, at the bound": {"line": ["a", "b", "c", "d"], "x": [1, 2, 3, 4], "beyond": 0.1},
}
_BENT = np.array([0.0, 1.0, 2.0, 3.0]) + 0.3 * np.array([1, -1, -1, 1])  # 0.3 off the line, of a range of 3

NOISE: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Scores]] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "skewed (1 - exponential)": lambda rng, size: 1 - rng.exponential(size=size),
    "a tenth of the runs collapse": lambda rng, size: (
        0.5 - 5.0 * (rng.random(size) < 0.1) + 0.01 * rng.standard_normal(size)
    ),
}
"""Of a run, with mean 0."""


def claimed(condition: str, noise: str, seeds: int, studies: int) -> tuple[float, float]:
    """The shares of claims that hold, and that do not, where what is true lies at the very border of the condition."""
    _quickly()
    rng = np.random.default_rng([7, list(CONDITIONS).index(condition), list(NOISE).index(noise), seeds])
    claim = Claim.of({"id": "C", "claim": "x", "conditions": [{"metric": "test_loss", **CONDITIONS[condition]}]})
    count = len(CONDITIONS[condition].get("line", "ab"))
    answers = []
    for _ in range(studies):
        base = 5 + 0.5 * rng.standard_normal(seeds) * (noise == "normal")
        own = base + 0.3 * NOISE[noise](rng, (count, seeds))
        own[0] += 0.5 if condition.startswith("alike") else 0.0
        own += _BENT[:, None] if count == 4 else 0.0
        arms = [ArmRecord(name, {}, [_run(seed, x) for seed, x in enumerate(of)])
                for name, of in zip("abcd", own, strict=False)]  # fmt: skip
        record = StudyRecord(
            name="s", factors=[], seeds=list(range(seeds)), primary_metric="test_loss", arms=arms, claims=[claim]
        )
        answers.append(verdict(claim, record).answer)
    return answers.count("holds") / studies, answers.count("does not hold") / studies


def _run(seed: int, score: float) -> RunRecord:
    unknown: Any = None
    return RunRecord(
        seed=seed,
        status=Status.DONE,
        error=None,
        epochs=1,
        curve={"epoch": np.ones(1), "test_loss": np.array([score])},
        task=unknown,
        plan_hash="",
        attempt=1,
    )


def main(share: float) -> None:
    """Both tables."""
    with ProcessPoolExecutor() as pool:
        print("| scores | pairs | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |")
        print("|---|---|" + "---|" * len(SEEDS))
        jobs = {
            (kind, pairs, n): pool.submit(alarmed, kind, n, arms, max(int(share * STUDIES[pairs]), 1))
            for kind in KINDS for pairs, arms in ARMS.items() for n in SEEDS
        }  # fmt: skip
        claims = {
            (condition, noise, n): pool.submit(claimed, condition, noise, n, max(int(share * CLAIMS), 1))
            for condition in CONDITIONS for noise in NOISE for n in SEEDS
        }  # fmt: skip
        for kind in KINDS:
            for pairs in ARMS:
                cells = (f"{100 * jobs[kind, pairs, n].result():.1f} %" for n in SEEDS)
                print(f"| {kind if pairs == 1 else ''} | {pairs} | {' | '.join(cells)} |", flush=True)
        print("\n| condition | scores | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |")
        print("|---|---|" + "---|" * len(SEEDS))
        for condition in CONDITIONS:
            for noise in NOISE:
                both = [claims[condition, noise, n].result() for n in SEEDS]
                cells = (f"{100 * holds:.1f}, {100 * refuted:.1f} %" for holds, refuted in both)
                print(f"| {condition if noise == 'normal' else ''} | {noise} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
