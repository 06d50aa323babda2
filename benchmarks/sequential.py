"""Seeds until decided, by the product's own functions: what chance finds where all arms are alike, and how often and
after how many seeds a true difference is found, looked at after every seed from 6 up to a declared maximum.

    python benchmarks/sequential.py          # about an hour on two cores
    python benchmarks/sequential.py 0.05     # a twentieth of the studies

Beside it the same tests at the fixed maximum, and what an extended study finds, by its e-process and by the usual p.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np

from paribus.findings.anytime import anytime_p
from paribus.findings.differences import holm
from paribus.findings.intervals import t_interval
from paribus.findings.sign_flips import sign_flip_p
from paribus.findings.stopping import Signal, UntilDecided, ends_of

LEAST, MOST = 6, (12, 20, 40)
FAMILIES = {1: 2, 3: 3, 10: 5}
"""Pairs -> arms."""

STUDIES = 20_000
EFFECTS = (0.3, 0.5, 0.8, 1.2, 2.0)
"""In standard deviations of the differences."""

Scores = np.ndarray[Any, np.dtype[np.float64]]

KINDS: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], Scores]] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "heavy-tailed (t, 1.5 df)": lambda rng, size: rng.standard_t(1.5, size),
    "tied (a whole sd)": lambda rng, size: np.round(rng.standard_normal(size)),
    "spread growing fourfold": lambda rng, size: rng.standard_normal(size) * np.linspace(1, 4, size[1]),
}


def signals(scores: Scores) -> list[Signal]:
    """Of every pair of arms. `scores`: shape (arms, seeds)."""
    return [
        Signal(scores[a] - scores[b], np.full(scores.shape[1], 1e-15), 0)
        for a, b in combinations(range(len(scores)), 2)
    ]


def alarmed(kind: str, arms: int, most: int, studies: int) -> float:
    """The share of studies that find any difference where there is none."""
    rng, until = np.random.default_rng([1, list(KINDS).index(kind), arms, most]), UntilDecided(LEAST, most)
    found = 0
    for _ in range(studies):
        ends = ends_of(signals(KINDS[kind](rng, (arms, most))), until, 0.05, None)
        found += any(one.why == "found" for one in ends)
    return found / studies


def found(effect: float, most: int, studies: int) -> tuple[float, float, float, float]:
    """Of one pair: the share found, after how many seeds on average it ends, the share that the fixed maximum finds, and
    how often the repeated interval covers what is true when it ends."""
    rng, until = np.random.default_rng([2, int(10 * effect), most]), UntilDecided(LEAST, most)
    hits, seeds, fixed, covered = 0, 0, 0, 0
    for _ in range(studies):
        d = rng.standard_normal(most) + effect
        (end,) = ends_of([Signal(d, np.full(most, 1e-15), 0)], until, 0.05, None)
        hits += end.why == "found"
        seeds += end.n
        fixed += (sign_flip_p(d) or 1.0) <= 0.05
        low, high = t_interval(d[: end.n], until.level(0.05, end.n)) or (0.0, 0.0)
        covered += low <= effect <= high
    return hits / studies, seeds / studies, fixed / studies, covered / studies


def extended(effect: float, studies: int) -> tuple[float, float]:
    """Looked at after each of 6 to 50 seeds, until something shows: the share found by the e-process, and by the usual
    p."""
    rng = np.random.default_rng([3, int(10 * effect)])
    by_e = by_p = 0
    for _ in range(studies):
        d = rng.standard_normal(50) + effect
        by_e += (anytime_p(d) or 1.0) <= 0.05
        by_p += any((sign_flip_p(d[:n]) or 1.0) <= 0.05 for n in range(LEAST, 51))
    return by_e / studies, by_p / studies


def stepped_down(arms: int, most: int, studies: int) -> tuple[float, float]:
    """One arm is two standard deviations above the others, which are alike: how often any of these is found, looked at
    and at the fixed maximum."""
    rng, until = np.random.default_rng([4, arms, most]), UntilDecided(LEAST, most)
    alike = [i for i, (a, _) in enumerate(combinations(range(arms), 2)) if a > 0]
    wrong = fixed = 0
    for _ in range(studies):
        scores = rng.standard_normal((arms, most))
        scores[0] += 2 * np.sqrt(2)
        pairs = signals(scores)
        ends = ends_of(pairs, until, 0.05, None)
        wrong += any(ends[i].why == "found" for i in alike)
        ps = holm([sign_flip_p(one.d) for one in pairs])
        fixed += any((ps[i] or 1.0) <= 0.05 for i in alike)
    return wrong / studies, fixed / studies


def main(share: float) -> None:
    """All tables."""
    studies = max(int(share * STUDIES), 1)
    few = max(studies // 10, 1)  # of those beside which every fixed test is counted
    with ProcessPoolExecutor() as pool:
        alarms = {
            (kind, pairs, most): pool.submit(alarmed, kind, arms, most, studies)
            for kind in KINDS for pairs, arms in FAMILIES.items() for most in MOST
        }  # fmt: skip
        finds = {(effect, most): pool.submit(found, effect, most, few) for effect in EFFECTS for most in MOST}
        steps = {
            (pairs, most): pool.submit(stepped_down, FAMILIES[pairs], most, few) for pairs in (3, 10) for most in MOST
        }
        looks = {effect: pool.submit(extended, effect, few) for effect in (0.0, 0.5, 1.0)}
        print("| differences | pairs | " + " | ".join(f"6..{most}" for most in MOST) + " |\n|---|---|---|---|---|")
        for kind in KINDS:
            for pairs in FAMILIES:
                cells = (f"{100 * alarms[kind, pairs, most].result():.1f} %" for most in MOST)
                print(f"| {kind if pairs == 1 else ''} | {pairs} | {' | '.join(cells)} |", flush=True)
        for pairs, of in {key[0]: key for key in steps}.items():
            cells = ("{:.1f} % ({:.1f} %)".format(*(100 * x for x in steps[of[0], most].result())) for most in MOST)
            print(f"| one arm far above, the others alike | {pairs} | {' | '.join(cells)} |", flush=True)
        print("\n| effect, sd | " + " | ".join(f"6..{most}" for most in MOST) + " |\n|---|---|---|---|")
        for effect in EFFECTS:
            told = []
            for most in MOST:
                hit, seeds, fixed, covered = finds[effect, most].result()
                told.append(
                    f"{100 * hit:.0f} % with {seeds:.1f} seeds ({100 * fixed:.0f} %), covered {100 * covered:.1f} %"
                )
            print(f"| {effect:g} | {' | '.join(told)} |", flush=True)
        print("\n| effect, sd | e-process | usual p |\n|---|---|---|")
        for effect, one in looks.items():
            print(f"| {effect:g} | " + " | ".join(f"{100 * x:.1f} %" for x in one.result()) + " |", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
