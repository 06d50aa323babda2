"""Where the seed deals the data anew (`split=by_seed`): seeds learn from most of the same examples, and are tested on
some that others learned from. So their differences are not independent, and n of them are worth less.

With J seeds, n_train training and n_test test examples, the variance of the mean difference is taken for

    (1 / J + n_test / n_train) s^2        s: the sd of the differences

and compared with Student's t, J - 1 degrees of freedom. No number of seeds makes it smaller than n_test / n_train s^2.

Source: C. Nadeau and Y. Bengio, Inference for the generalization error (Machine Learning 2003).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from paribus.findings.intervals import t_interval
from paribus.findings.stopping import Extended, Fixed, Stopping, UntilDecided
from paribus.records.metrics import split_of
from paribus.records.record import StudyRecord

Values = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Resplit(Fixed):
    """At a declared number of seeds, each with a split of its own. `share`: n_test / n_train."""

    share: float
    test: ClassVar[str] = "corrected resampled t test"
    shared: ClassVar[bool] = True

    def p(self, d: Values, roundings: Values, counted: int, /) -> float | None:
        """Not below that of the sign-flip test, which is the one without the correction.

        >>> d = np.array([1.0, -0.5, 2.0, 1.5, 0.5, 1.0, 2.5, 1.0])
        >>> round(Resplit(0.25).p(d, np.zeros(8), 40), 4), Fixed().p(d, np.zeros(8), 40)
        (0.085, 0.0234375)
        """
        flips = super().p(d, roundings, counted)
        if flips is None or len(d) < 2:
            return flips
        spread = float(d.std(ddof=1)) * math.sqrt(1 / len(d) + self.share)
        return flips if spread == 0 else max(flips, self._two_sided(abs(float(d.mean())) / spread, len(d)))

    def level(self, level: float, n: int, /) -> float:
        from scipy.special import stdtrit

        if n < 2 or level >= 1:
            return level
        return self._two_sided(-float(stdtrit(n - 1, level / 2)) * math.sqrt(1 + n * self.share), n)

    def interval(self, d: Values, level: float, roundings: Values, /) -> Interval | None:
        flips, corrected = super().interval(d, level, roundings), t_interval(d, self.level(level, len(d)))
        if flips is None or corrected is None:
            return None
        return min(flips[0], corrected[0]), max(flips[1], corrected[1])

    @staticmethod
    def _two_sided(t: float, n: int) -> float:
        from scipy.special import stdtr

        return 2 * float(stdtr(n - 1, -t))


def share_of(study: StudyRecord) -> float:
    """n_test / n_train where the seed deals the data, the largest of all arms'; 0 where it does not.

    n_test: of the split that the primary metric is measured on; of the test split for what is measured on no other.
    """
    split = split_of(study.primary_metric)[0]
    held = "validation" if split == "validation" else "test"
    dealt = [run.task for arm in study.arms if arm.settings.get("split") == "by_seed" for run in arm.runs]
    return max((getattr(task, held) / task.train for task in dealt if task.train), default=0.0)


def of_study(study: StudyRecord) -> Stopping:
    """When a study ended, or will, and whether its seeds are independent."""
    if study.least is not None:
        return UntilDecided(study.least, len(study.seeds))
    if share := share_of(study):
        return Resplit(share)
    return Extended(study.looks) if len(study.looks) > 1 else Fixed()


def note_on_splits(study: StudyRecord) -> list[str]:
    """What is to be said where the seed deals the data and a study was looked at: no test that is known allows both."""
    if not share_of(study) or len(study.arms) < 2 or (study.least is None and len(study.looks) < 2):
        return []  # each difference says by which test
    missed = "that seeds share examples" if study.least is not None else "for these looks"
    return [
        "The seed deals the data anew (split=by_seed), and seeds were added as results were known: the test is not "
        f"adjusted {missed}, so that it may show a difference where there is none"
    ]
