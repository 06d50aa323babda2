"""How many seeds it takes: so that any difference could be found, and so that a declared one is."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from paribus.findings.sign_flips import subset_means

ALPHA = 0.05
POWER = 0.80

_MOST_SEEDS = 100_000
_MOST_BITS = 1000
_COARSE = 40
"""Where so many ways to flip signs, or fewer, decide, the test is tried on drawn differences: a t test would find
more. Beyond they agree to a point or two."""

_DRAWN = 16
"""Up to so many seeds, that is: beyond, there are too many ways."""

_DRAWS = 2000
_CERTAIN = 30.0  # so far out the power is 1 to all digits, and SciPy's series may not converge


def too_few(pairs: int, family: int) -> bool:
    """Whether no outcome could have reached 0.05: the least p of `pairs` sign flips, times the family.

    >>> [next(n for n in range(1, 99) if not too_few(n, family)) for family in (1, 3, 36)]
    [6, 7, 11]
    """
    return family * 2.0 ** (1 - min(pairs, _MOST_BITS)) > ALPHA


def least_seeds(family: int) -> int:
    """The least number of seeds at which a difference could reach 0.05.

    >>> least_seeds(1), least_seeds(15), least_seeds(4950)
    (6, 10, 18)
    """
    return next(n for n in range(2, _MOST_BITS) if not too_few(n, family))


def seeds_note(arms: int, seeds: int, *, baseline: bool = False, options: bool = True, tasks: int = 1) -> str | None:
    """What there is to say, before training, of seeds too few to tell any pair apart; None where they may be enough.

    `options`: whether they are asked for by options of a command, and not by names in a file or in Python; `tasks`: on
    how many of them the same arms are compared.

    >>> seeds_note(6, 8)
    '15 pairs need 10 seeds before any can be told apart; 8 are asked for: --seeds 10, or --baseline ARM, 5 pairs'
    >>> seeds_note(2, 5)
    '1 pair needs 6 seeds before it can be told apart; 5 are asked for: --seeds 6'
    >>> seeds_note(6, 8, baseline=True), seeds_note(1, 1)
    (None, None)
    """
    pairs = tasks * _pairs(arms, baseline=baseline)
    if pairs < 1 or not too_few(seeds, pairs):
        return None
    least = least_seeds(pairs)
    many, against = (f"--seeds {least}", "--baseline ARM") if options else (f"seeds = {least}", "a baseline")
    other = "" if baseline or arms < 3 else f", or {against}, {tasks * (arms - 1)} pairs"
    asked = "1 is" if seeds == 1 else f"{seeds} are"
    return f"{seeds_needed_by(pairs)}; {asked} asked for: {many}{other}"


def _pairs(arms: int, *, baseline: bool) -> int:
    return arms - 1 if baseline else arms * (arms - 1) // 2


def repeats_note(arms: int, repeats: int, *, baseline: bool = False) -> str | None:
    """The same of repeats of the whole tuning; None where they may be enough, or the tuning is not repeated.

    >>> repeats_note(3, 6)
    '3 pairs need 7 repeats of the tuning before any can be told apart over them; 6 are asked for'
    >>> repeats_note(2, 6), repeats_note(3, 1)
    (None, None)
    """
    pairs = _pairs(arms, baseline=baseline)
    if repeats == 1 or pairs < 1 or not too_few(repeats, pairs):
        return None
    return f"{repeats_needed_by(pairs)}; {repeats} are asked for"


def repeats_needed_by(pairs: int) -> str:
    """In words, of all pairs that are judged together.

    >>> repeats_needed_by(1)
    '1 pair needs 6 repeats of the tuning before it can be told apart over them'
    """
    need, which = (f"{pairs} pairs need", "any") if pairs > 1 else ("1 pair needs", "it")
    return f"{need} {least_seeds(pairs)} repeats of the tuning before {which} can be told apart over them"


def seeds_needed_by(pairs: int) -> str:
    """In words, of all pairs that are judged together.

    >>> seeds_needed_by(3)
    '3 pairs need 7 seeds before any can be told apart'
    """
    least = least_seeds(pairs)
    need = f"{pairs} pairs need {least} seeds before any" if pairs > 1 else f"1 pair needs {least} seeds before it"
    return f"{need} can be told apart"


def t_power(effect: float, n: int, alpha: float) -> float:
    """The chance that a two-sided paired t test of n seeds finds a mean difference of `effect` standard deviations, and
    with its sign: noncentral t.

    >>> round(t_power(1.0, 10, 0.05), 3)
    0.803
    """
    from scipy.special import nctdtr, stdtrit

    noncentrality = abs(effect) * math.sqrt(n)
    if noncentrality > _CERTAIN:
        return 1.0
    return 1 - float(nctdtr(n - 1, noncentrality, stdtrit(n - 1, 1 - alpha / 2)))


def found_often(effect: float, n: int, family: int) -> bool:
    """Whether n seeds find a difference of `effect` standard deviations with 80 % power at 0.05 / family, by the
    sign-flip test, where differences are normally distributed.

    >>> [next(n for n in range(6, 99) if found_often(effect, n, family=1)) for effect in (2.0, 1.0, 0.5)]
    [6, 10, 34]
    """
    if too_few(n, family):
        return False
    outside = math.floor(ALPHA / family * 2.0 ** (min(n, _MOST_BITS) - 1))
    if outside <= _COARSE and n <= _DRAWN:
        return effect >= _detectable(n, outside)
    return t_power(effect, n, outside / 2.0 ** (min(n, _MOST_BITS) - 1)) >= POWER


@lru_cache(maxsize=256)
def _detectable(n: int, outside: int) -> float:
    """The effect that is found with 80 % power where all but `outside` of 2^(n - 1) sign flips have to give less.

    A shift by delta is found where the interval of the test, shifted with it, leaves 0 out: where delta is above minus
    its lower end.
    """
    drawn = np.random.Generator(np.random.Philox(key=n)).standard_normal((_DRAWS, n))
    ends = [-np.partition(subset_means(row), outside - 1)[outside - 1] for row in drawn]
    return float(np.quantile(ends, POWER))


def seeds_for(effect: float | None, family: int) -> int | None:
    """The least number of seeds at which a difference of `effect` standard deviations is found with 80 % power at
    0.05 / family; None where it cannot be said: without an effect, or beyond 100,000.

    >>> seeds_for(1.0, family=1), seeds_for(math.inf, family=15)
    (10, 10)
    """
    if not effect:
        return None
    least = least_seeds(family)
    low, high = least - 1, least
    while not found_often(abs(effect), high, family):
        low, high = high, 2 * high
        if high > _MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found_often(abs(effect), middle, family) else (middle, high)
    return high
