"""What share of 95 % intervals for a mean difference cover it, by the kind of differences and the number of seeds.

    python benchmarks/intervals.py         # 20,000 samples a cell, about a minute

Student's t is what Paribus gives (`paribus.findings.differences.t_interval`); the percentile bootstrap and the BCa
bootstrap, made by SciPy on 2,000 of the samples, stand beside it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats

from paribus.findings.intervals import t_interval

SEEDS = (5, 6, 10, 20, 50)

# each has mean 0
KINDS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "heavy-tailed (t, 3 df)": lambda rng, size: rng.standard_t(3, size),
    "skewed (exponential)": lambda rng, size: rng.exponential(size=size) - 1,
    "tied (a fifth of a unit)": lambda rng, size: np.round(5 * rng.standard_normal(size)) / 5,
    "tied (0 or +-1, mostly 0)": lambda rng, size: rng.choice([-1.0, 0.0, 1.0], p=[0.15, 0.7, 0.15], size=size),
}


def covers(low: np.ndarray, high: np.ndarray) -> float:
    """The share of intervals with 0 in them; one without width, from a sample without spread, covers only its point."""
    return float(((low <= 0) & (high >= 0)).mean())


def by_t(samples: np.ndarray) -> float:
    """With the function that Paribus uses, one sample after another."""
    ends = np.array([t_interval(sample, 0.05) for sample in samples])
    return covers(ends[:, 0], ends[:, 1])


def by_bootstrap(samples: np.ndarray, method: str) -> float:
    """With SciPy's, 999 resamples each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # samples without spread have no BCa interval: they count as not covering
        found = stats.bootstrap((samples,), np.mean, axis=1, method=method, n_resamples=999, batch=100, rng=0)
    interval = found.confidence_interval
    return covers(interval.low, interval.high)


def main(samples: int) -> None:
    """The table."""
    rng = np.random.default_rng(0)
    print(f"| differences | interval | {' | '.join(f'{n} seeds' for n in SEEDS)} |")
    print(f"|---|---|{'---|' * len(SEEDS)}")
    for kind, draw in KINDS.items():
        drawn = {n: draw(rng, (samples, n)) for n in SEEDS}
        print(f"| {kind} | t | {' | '.join(f'{100 * by_t(drawn[n]):.1f}' for n in SEEDS)} |", flush=True)
        for method in ("percentile", "BCa"):
            shares = (by_bootstrap(drawn[n][: samples // 10], method) for n in SEEDS)
            print(f"| | {method} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
