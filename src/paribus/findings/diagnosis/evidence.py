"""What a diagnosis rests on, as numbers that can be drawn: a quantity by layer, or a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from paribus.findings.diagnosis import loops
from paribus.findings.diagnosis.case import Case
from paribus.findings.diagnosis.diagnose import Diagnosis
from paribus.records.record import StudyRecord


@dataclass(frozen=True)
class Evidence:
    """Lines over layers, steps of a sequence, or epochs. `x`: their names, or epochs; `lines`: what is shown -> a
    value at each x, NaN where there is none; `quantity`: what the values are; `log`: whether their sizes are compared;
    `level`: a value that they are to be seen beside, and what it is; `over`: what x is."""

    x: Sequence[str] | Sequence[float]
    lines: Mapping[str, Sequence[float]]
    quantity: str
    log: bool = False
    level: tuple[str, float] | None = None
    over: str = "epoch"

    @property
    def by_layer(self) -> bool:
        """Whether it is over layers, or steps, each with a name."""
        return bool(self.x) and isinstance(self.x[0], str)


_BY_LAYER = {
    "vanishing-signal": ("spread", "gradient"),
    "exploding-signal": ("spread",),
    "dead-units": ("dead",),
    "saturated-units": ("saturated",),
    "aligned-units": ("aligned",),
}
"""The quantities of `Vitals` that a symptom of layers is drawn by."""

_CALLED = {
    "spread": "sd of what it is given",
    "gradient": "gradient (root mean square)",
    "dead": "units that give every example the same",
    "saturated": "values at an end of their activation",
    "aligned": "mean |cosine| between two units",
}
_SHARES = ("dead", "saturated", "aligned")
_SHOWN = {"dead": slice(1, None), "saturated": slice(1, None), "aligned": slice(None, -1)}
_BY_CURVE = {
    "diverged": ("train_loss",),
    loops.HELD_OUT_ALONE: ("train_loss",),
    "clipping-always": ("clipped_share",),
    "rate-too-high": ("train_loss",),
    "rate-too-low": ("train_loss",),
    "rate-out-of-range": ("train_loss",),
    "flipped-loss": ("train_loss",),
    "majority-class-only": ("train_loss",),
    "plateau-at-chance": ("train_loss",),
    "still-improving": ("train_loss", "validation_loss", "test_loss"),
    "overfitting": ("train_loss", "validation_loss", "test_loss"),
}
_BESIDE_GUESSING = (
    "plateau-at-chance", "majority-class-only", "rate-too-high", "rate-too-low", "rate-out-of-range",
    "flipped-loss", "diverged",
)  # fmt: skip


def evidence(study: StudyRecord, found: Diagnosis) -> Evidence | None:
    """What a diagnosis of this study is drawn by, of its first seed; None where words say it all, as of data that
    overlap, or where the record has no such numbers."""
    arm = next((one for one in study.arms if one.name == found.arm), None)
    run = next((one for one in arm.runs if one.seed == found.seeds[0]), None) if arm else None
    if run is not None and study.own_loop:
        run = loops.read(run)
    if arm is None or run is None:
        return None
    case = Case(arm.settings, run, study.class_counts.get(run.task.fingerprint, {}))
    if found.code in _BY_LAYER:
        return _of_layers(case, found)
    if found.code == "vanishing-through-time":
        return _of_steps(case)
    return _of_curves(case, found) if found.code in _BY_CURVE else None


def _of_layers(case: Case, found: Diagnosis) -> Evidence | None:
    vitals, names = case.vitals, _BY_LAYER[found.code]
    if vitals is None or not len(vitals.epochs):
        return None
    look = int(np.argmin(np.abs(vitals.epochs - (found.epoch or 0.0))))
    # of the first layer what it is given is the data, and of the last the units are the classes
    shown = _SHOWN.get(names[0], slice(None))
    lines = {_CALLED[name]: getattr(vitals, name)[look][shown].tolist() for name in names}
    shares = names[0] in _SHARES
    when = f"at epoch {vitals.epochs[look]:g}" if vitals.epochs[look] else "at the start"
    quantity = f"{_CALLED[names[0]]}, {when}" if len(names) == 1 else f"size {when}"
    return Evidence(vitals.layers[shown], lines, quantity, log=not shares, over="layer")


_MOST_STEPS = 12


def _of_steps(case: Case) -> Evidence | None:
    felt = case.run.pictures.state_gradients
    if felt is None:
        return None
    steps = np.unique(np.linspace(0, felt.shape[1] - 1, _MOST_STEPS).round().astype(int))
    called = "the loss's gradient at the state of a step"
    return Evidence(
        [f"step {step + 1}" for step in steps],
        {called: felt[0, steps].tolist()},
        f"{called}, at the start",
        log=True,
        over="step",
    )


def _of_curves(case: Case, found: Diagnosis) -> Evidence | None:
    lines = {name: case.curve(name) for name in _BY_CURVE[found.code]}
    known = {name.replace("_", " "): values.tolist() for name, values in lines.items() if len(values)}
    if not known:
        return None
    level = ("guessing", case.guess) if found.code in _BESIDE_GUESSING and case.guess is not None else None
    quantity = "share of steps that are clipped" if found.code == "clipping-always" else "loss"
    return Evidence(case.curve("epoch").tolist(), known, quantity, level=level)
