"""The learning rates that each optimizer is customarily given, and rates outside of them."""

from __future__ import annotations

from paribus.findings.diagnosis.case import Case
from paribus.findings.diagnosis.symptoms import Found

CUSTOMARY: dict[str, tuple[float, float]] = {
    "sgd": (1e-6, 1.0),
    "adagrad": (1e-6, 1.0),
    "adam": (1e-6, 0.1),
    "adamw": (1e-6, 0.1),
    "nadam": (1e-6, 0.1),
    "rmsprop": (1e-6, 0.1),
    "lion": (1e-7, 0.03),
    "muon": (1e-6, 1.0),
}
"""Between these, without the ends, for inputs of sd 1 or so.

- SGD: Y. Bengio, Practical recommendations for gradient-based training of deep architectures (2012), 3.1: "less than 1
  and greater than 10^-6". Adagrad's steps begin at the size of the rate, and get smaller with every one of them.
- Adam, AdamW, NAdam, RMSprop: a step moves a weight by about the rate (D. Kingma and J. Ba, Adam (2015), 2.1). The
  weights of a unit with 100 inputs begin at a tenth, so from a tenth on one step turns them over.
- Lion: 3 to 10 times less than AdamW (X. Chen et al., Symbolic discovery of optimization algorithms (2023), 5).
- Muon: a step has the spectral norm of the rate, and a layer's weights one of about 1 (K. Jordan, Muon (2024)).
"""


def out_of_range(case: Case) -> Found | None:
    """A rate outside of what is customary, of a run that learned less than half of what there is to learn: one that is
    unusual, and does well, is not wrong."""
    optimizer, rate = case.settings.get("optimizer"), case.settings.get("optimizer.lr")
    limits = CUSTOMARY.get(str(optimizer))
    if limits is None or not isinstance(rate, int | float) or isinstance(rate, bool) or not _learned_little(case):
        return None
    low, high = limits
    if low < rate < high:
        return None
    return Found(f"the rate of {optimizer} is {rate:g}, and customary is more than {low:g} and less than {high:g}")


USUAL: dict[str, float] = {
    "sgd": 0.1,
    "adagrad": 0.01,
    "adam": 0.001,
    "adamw": 0.001,
    "nadam": 0.001,
    "rmsprop": 0.001,
    "lion": 0.0001,
    "muon": 0.02,
}
"""Where to begin with each optimizer.

Sources: SGD of K. He et al., Deep residual learning (2016), 3.4; Adam and its kin of Kingma and Ba (2015), algorithm 1;
RMSprop of T. Tieleman and G. Hinton, Lecture 6.5 (2012); Adagrad as in PyTorch; Lion of Chen et al. (2023), 5; Muon of
Jordan (2024).
"""


def usual(case: Case) -> float | None:
    """A rate to begin with: for gradient descent no more than half of what is stable at the start, 2 / curvature."""
    rate = USUAL.get(str(case.settings.get("optimizer")))
    if rate is None or case.settings.get("optimizer") != "sgd" or not case.curvature > 0:
        return rate
    return min(rate, float(f"{1 / case.curvature:.1g}"))


def _learned_little(case: Case) -> bool:
    """Whether it is known that less than half of the loss of guessing is gone."""
    return case.diverged or (bool(len(case.learned)) and case.badly)
