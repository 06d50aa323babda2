"""A loop of the user's, as far as it logs losses: its curves by the names that the symptoms know."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from paribus.findings.diagnosis.case import Numbers
from paribus.findings.diagnosis.symptoms import Found
from paribus.records.record import RunRecord, Status

TRAIN = ("train_loss", "training_loss", "loss")
HELD_OUT = ("validation_loss", "val_loss", "valid_loss", "eval_loss", "dev_loss", "test_loss")
"""What losses are called: by Keras, Lightning, transformers and in programs. The first that was logged is taken."""

HELD_OUT_ALONE = "held-out-loss-no-number"
"""Training went on with a loss, so that its weights are numbers: the fault is in the evaluation, or in its data."""

ADVICE = {
    "diverged": "a lower learning rate, or clipped gradients",
    HELD_OUT_ALONE: "to look at what is evaluated: an empty split, a missing value, the logarithm of 0",
    "overfitting": "weight decay, or to end where the held-out loss is lowest",
    "still-improving": "to train for longer",
}
"""What a loss alone can tell, and what may help. That it goes up and down tells nothing: it may be that of single
batches."""


def read(run: RunRecord) -> RunRecord | None:
    """The run with its losses as `train_loss` and `validation_loss`, at the points where the latter was logged; None
    where it logged no training loss, or one below 0, which has no size that a change can be measured by.

    Between two such points the training loss is its mean there, as libraries log it more often. The last value of a
    curve is the last that was logged, so it is no number only where the loss was none in the end. A held-out
    loss of which `held_out_alone` tells is left out.
    """
    train, held = _first(run, TRAIN), _first(run, HELD_OUT)
    if train is None or (train < 0).any():
        return None
    if held_out_alone(run) is not None:
        held = None
    curve = {**run.curve, "train_loss": train} | ({} if held is None else {"validation_loss": held})
    for name, loss in {"training": train, "held-out": train if held is None else held}.items():
        if not np.isfinite(loss[-1]):
            when, since = _no_number(loss, curve["epoch"])
            error = f"{when} its {name} loss was no number"
            return replace(run, curve=curve, status=Status.DIVERGED, error=error, epochs=math.ceil(since))
    points = np.flatnonzero(np.isfinite(train if held is None else held))
    points = points[points >= np.flatnonzero(np.isfinite(train))[0]]
    means = [_mean(train[: b + 1], since=a + 1) for a, b in pairwise([-1, *points])]
    there = {name: values[points] for name, values in curve.items()}
    return replace(run, curve={**there, "train_loss": np.array(means)})


def held_out_alone(run: RunRecord) -> Found | None:
    """Where its held-out loss was no number in the end, and a training loss was one after it should have been logged
    again: of the last evaluation alone nobody knows whether its weights were numbers."""
    train, held = _first(run, TRAIN), _first(run, HELD_OUT)
    if train is None or held is None or not np.isfinite(train[-1]) or np.isfinite(held[-1]):
        return None
    epochs = run.curve["epoch"]
    numbers = [-1, *np.flatnonzero(np.isfinite(held))]
    due = numbers[-1] + int(np.diff(numbers).max(initial=1))
    if not np.isfinite(train[epochs > epochs[min(due, len(epochs) - 1)]]).any():
        return None
    when, epoch = _no_number(held, epochs)
    return Found(f"{when} its held-out loss was no number, and its training loss is a number in the end", None, epoch)


def _no_number(loss: Numbers, epochs: Numbers) -> tuple[str, float]:
    """Since when, in words, and as an epoch: the last that had a number. Which later points had none, and at which
    nothing was logged, a curve does not tell."""
    before = np.flatnonzero(np.isfinite(loss))
    if not len(before):
        return "from the start", 0.0
    last = float(epochs[before[-1]])
    return f"after epoch {last:g}", last


def _mean(loss: Numbers, *, since: int) -> float:
    """Of what was logged since a place; where nothing was, the last before it."""
    there = loss[since:][np.isfinite(loss[since:])]
    return float(there.mean() if len(there) else loss[np.isfinite(loss)][-1])


def _first(run: RunRecord, names: tuple[str, ...]) -> Numbers | None:
    return next((run.curve[name] for name in names if name in run.curve), None)
