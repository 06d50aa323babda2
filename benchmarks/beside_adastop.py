"""Seeds until decided beside AdaStop, on the same simulated scores of two arms.

    pip install adastop==0.1.3
    python benchmarks/beside_adastop.py          # 200 studies a cell, 400 without an effect: ten minutes on one core
    python benchmarks/beside_adastop.py 0.1      # a tenth of the studies

The scores of two arms at one seed are normal with sd 1 and correlated by rho, as a shared plan correlates them. The
effect is in standard deviations of the differences. Paribus looks after every seed from 6 on. AdaStop has its documented
settings: groups of 5, here 4 of them, 10,000 permutations, alpha 0.05, beta 0. It permutes all scores of a group, and
knows nothing of which of them share a seed. It is run at alpha 0.025 too, as it compares the size of a difference
(two-sided) with a bound that it takes from one side of its permutations.

Source: T. Mathieu and others, AdaStop: adaptive statistical testing for sound comparisons of Deep RL agents (2023).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from paribus.findings.stopping import Signal, UntilDecided, ends_of

try:
    from adastop import MultipleAgentsComparator
except ImportError:
    MultipleAgentsComparator = None

LEAST, MOST = 6, 20
GROUP, PERMUTATIONS = 5, 10_000
RHOS = (0.0, 0.5, 0.9)
EFFECTS = (0.0, 0.3, 0.5, 0.8, 1.2, 2.0)
STUDIES, WITHOUT_EFFECT = 200, 400

Scores = np.ndarray[Any, np.dtype[np.float64]]
Ended = tuple[bool, int]
"""Whether a difference was found, and after how many seeds the study ended."""


def scores(rng: np.random.Generator, *, rho: float, effect: float) -> tuple[Scores, Scores]:
    """Of two arms, shape (MOST,) each."""
    shared, own = rng.standard_normal(MOST), rng.standard_normal((2, MOST))
    a, b = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    return a + effect * np.sqrt(2 * (1 - rho)), b


def by_paribus(a: Scores, b: Scores, _seed: int) -> Ended:
    (end,) = ends_of([Signal(a - b, np.full(MOST, 1e-15), 0)], UntilDecided(LEAST, MOST), 0.05, None)
    return end.why == "found", end.n


def by_adastop(alpha: float) -> Callable[[Scores, Scores, int], Ended]:
    """AdaStop at this alpha."""

    def ended(a: Scores, b: Scores, seed: int) -> Ended:
        test = MultipleAgentsComparator(
            n=GROUP, K=MOST // GROUP, B=PERMUTATIONS, alpha=alpha, seed=seed
        )  # beta is 0 by default, and gone from later versions
        seeds = 0
        while not test.is_finished:
            seeds += GROUP
            test.partial_compare({"a": a[:seeds], "b": b[:seeds]}, verbose=False)
        (decision,) = test.decisions.values()
        return decision != "equal", seeds

    return ended


WAYS = {"Paribus": by_paribus, "AdaStop": by_adastop(0.05), "AdaStop, alpha 0.025": by_adastop(0.025)}


def cell(way: str, *, rho: float, effect: float, studies: int) -> str:
    """The share found and the mean number of seeds; every way gets the same scores."""
    rng = np.random.default_rng([int(10 * rho), int(10 * effect), MOST])
    ends = [WAYS[way](*scores(rng, rho=rho, effect=effect), seed) for seed in range(studies)]
    found, seeds = np.mean(ends, axis=0)
    return f"{100 * found:.1f} %, {seeds:.1f}"


def main(share: float) -> None:
    """The table: found, mean seeds."""
    if MultipleAgentsComparator is None:
        sys.exit("AdaStop is not installed, and nothing was compared: pip install adastop==0.1.3")
    print(f"| rho | effect, sd | {' | '.join(WAYS)} |\n|---|---|{'---|' * len(WAYS)}")
    for rho in RHOS:
        for effect in EFFECTS:
            studies = max(int(share * (STUDIES if effect else WITHOUT_EFFECT)), 1)
            told = (cell(way, rho=rho, effect=effect, studies=studies) for way in WAYS)
            print(f"| {rho:g} | {effect:g} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
