"""What shows that something is wrong: for each symptom a function of one run.

Every threshold stands in `THRESHOLDS`; `benchmarks/diagnosis.py` shows on planted faults and healthy runs what they
find, and what they find in vain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paribus.findings.diagnosis.case import Case, Numbers
from paribus.records.vitals import NEIGHBOURS

THRESHOLDS: dict[str, float] = {
    "vanishing: spread of the last layer's inputs over that of the data, at the start": 0.01,
    "vanishing: gradient of the first layer over that of the last, at the start": 1e-3,
    "vanishing: share of training without learning": 0.1,
    "vanishing: share of the loss of guessing that a run without such a delay has learned in the end": 0.9,
    "vanishing: share of a layer's units that are dead at the start, from which on it is that": 0.9,
    "vanishing through time: gradient of the first state over that of the last, at the start": 1e-3,
    "vanishing through time: share of the loss of guessing that is learned where there is little left": 0.8,
    "exploding: sd of the outputs at the start": 20.0,
    "dead: share of a layer's units": 0.65,
    "dead: size of a layer's weights over that at the start, below which they were shrunk": 0.5,
    "saturated: share of a layer's values": 0.5,
    "aligned: mean absolute cosine of a layer's units at the start": 0.999,
    "chance: share of the loss of guessing that was learned": 0.02,
    "rate too high: median rise over median fall of the train loss": 0.5,
    "rate too high: share of evaluations at which it rises": 0.3,
    "rate too high: median rise, as a share of the loss of guessing": 0.04,
    "rate too high: the highest train loss over that of guessing and that at the start": 1.5,
    "rate too high: share of a layer's units that may be dead at the start, of those that died": 0.3,
    "rate too low: share of what was learned that the last quarter brought": 0.15,
    "rate too low: movement over the whole run, in sizes of the weights": 0.25,
    "still improving: share of what was learned that the last quarter brought": 0.03,
    "still improving: fall of the held-out loss in the last quarter, in losses of guessing": 0.002,
    "still improving: share of the loss of guessing that is learned, with little left": 0.8,
    "still improving: share of what guessing gets wrong that is right, with little left": 0.92,
    "still improving: fall of the loss in the second half, as a share of its way up and down": 0.75,
    "overfitting: rise of the loss from its lowest, as a share of it": 0.1,
    "overfitting: rise of the loss from its lowest, as a share of the loss of guessing": 0.1,
    "overfitting: share of training after the lowest": 0.2,
    "shuffled: how much more often than by chance neighbours agree, in its standard deviations": 3.0,
    "unscaled: largest absolute mean, or sd, of a feature": 10.0,
    "one class: share of the predictions": 0.995,
    "one class: share of the most frequent class over that of an even deal": 1.3,
    "clipping: share of steps": 0.98,
    "regression as classes: share of what guessing gets wrong that is right in the end, where all is well": 0.92,
}


_FEW = 8
"""With fewer evaluations nothing is said of how the loss goes up and down."""

_MOSTLY_ONE = 0.9
"""Where neighbours agree so often by chance, their agreement tells nothing."""


@dataclass(frozen=True)
class Found:
    """What one run shows. `layer` and `epoch`: where and when, None where it is nowhere in particular."""

    evidence: str
    layer: str | None = None
    epoch: float | None = None


def vanishing(case: Case) -> Found | None:
    vitals = case.vitals
    if vitals is None or len(vitals.layers) < 2 or not (_plateau(case) or _unfinished(case)):
        return None
    if _rose(case):  # steps that are too far: what began small is not so any more
        return None
    spread, gradient, unlike = vitals.spread[0], vitals.gradient[0], case.hidden("dead", 0)
    if (
        unlike >= THRESHOLDS["vanishing: share of a layer's units that are dead at the start, from which on it is that"]
    ).any():
        return None
    seen = np.flatnonzero(np.isfinite(spread))
    if len(seen) > 1 and spread[seen[0]] > 0:
        ratio = spread[seen[-1]] / spread[seen[0]]
        if ratio < THRESHOLDS["vanishing: spread of the last layer's inputs over that of the data, at the start"]:
            weak = seen[1:][np.argmin(spread[seen[1:]] / spread[seen[:-1]])]
            return Found(
                f"at the start {vitals.layers[seen[-1]]} is given values of sd {spread[seen[-1]]:.2g}, and the data "
                f"have {spread[seen[0]]:.2g}; most is lost before {vitals.layers[weak]}; {_stood(case)}",
                vitals.layers[weak],
                0.0,
            )
    if (
        gradient[-1] > 0
        and _plateau(case)
        and gradient[0] / gradient[-1]
        < THRESHOLDS["vanishing: gradient of the first layer over that of the last, at the start"]
    ):
        return Found(
            f"at the start the gradient of {vitals.layers[0]} is {gradient[0]:.2g}, that of {vitals.layers[-1]} "
            f"{gradient[-1]:.2g} (root mean square); {_stood(case)}",
            vitals.layers[0],
            0.0,
        )
    return None


def _plateau(case: Case) -> bool:
    return case.plateau >= THRESHOLDS["vanishing: share of training without learning"]


def _unfinished(case: Case) -> bool:
    limit = THRESHOLDS[
        "vanishing: share of the loss of guessing that a run without such a delay has learned in the end"
    ]
    return not case.diverged and len(case.learned) > 0 and bool(case.learned[-1] < limit)


def _stood(case: Case) -> str:
    share = case.plateau
    if not _plateau(case):
        return f"in the end {case.learned[-1]:.0%} of the loss of guessing is gone"
    return "nothing was learned" if share == 1 else f"nothing was learned in the first {share:.0%} of training"


def forgetting(case: Case) -> Found | None:
    """Of a recurrent network that has much left to learn: how far back the loss is felt before the first step."""
    felt = case.run.pictures.state_gradients
    limit = THRESHOLDS[
        "vanishing through time: share of the loss of guessing that is learned where there is little left"
    ]
    if felt is None or felt.shape[1] < 2 or not felt[0, -1] > 0 or not len(case.learned):
        return None
    if case.diverged or not case.learned[-1] < limit:
        return None
    ratio = felt[0, 0] / felt[0, -1]
    if ratio < THRESHOLDS["vanishing through time: gradient of the first state over that of the last, at the start"]:
        return Found(
            f"at the start the loss's gradient is {felt[0, -1]:.2g} at the last of {felt.shape[1]} steps and "
            f"{felt[0, 0]:.2g} at the first; {_stood(case)}",
            None,
            0.0,
        )
    return None


def exploding(case: Case) -> Found | None:
    vitals = case.vitals
    if vitals is None:
        return None
    if vitals.outputs[0] > THRESHOLDS["exploding: sd of the outputs at the start"] or not np.isfinite(
        vitals.outputs[0]
    ):
        spread = vitals.spread[0]
        grown = int(np.nanargmax(spread)) if np.isfinite(spread).any() else 0
        return Found(
            f"before the first step the outputs have sd {vitals.outputs[0]:.3g} and the loss is {vitals.loss[0]:.3g}; "
            f"{vitals.layers[grown]} is given values of sd {spread[grown]:.3g}",
            vitals.layers[grown],
            0.0,
        )
    return None


def dead(case: Case) -> Found | None:
    """Not of weights that a penalty shrank to nothing: their units give nothing, but would again."""
    if _shrunk(case):
        return None
    return _units(case, "dead", "dead: share of a layer's units", "of the units that {layer} is given, {share:.0%} are "
                  "the same for every example")  # fmt: skip


def dead_at_start(case: Case) -> bool:
    """Whether most units of a layer were dead before the first step."""
    start = case.hidden("dead", 0)
    return bool((start > THRESHOLDS["dead: share of a layer's units"]).any())


def _shrunk(case: Case) -> bool:
    """Whether in the end the weights of a layer are much smaller than at the start."""
    vitals = case.vitals
    if vitals is None:
        return False
    limit = THRESHOLDS["dead: size of a layer's weights over that at the start, below which they were shrunk"]
    return bool((vitals.weight[-1] < limit * vitals.weight[0]).any())


def saturated(case: Case) -> Found | None:
    """At the start; or later, of a run that learned little: a cell that remembers is at an end, too."""
    looks = (-1, 0) if case.badly else (0,)
    return _units(case, "saturated", "saturated: share of a layer's values", "of the values that {layer} is given, "
                  "{share:.0%} are at an end of their activation", looks)  # fmt: skip


def _units(case: Case, name: str, threshold: str, told: str, looks: Sequence[int] = (-1, 0)) -> Found | None:
    if case.vitals is None:
        return None
    for look in looks:
        values = case.hidden(name, look)
        if len(values) and np.isfinite(values).any() and np.nanmax(values) > THRESHOLDS[threshold]:
            place = int(np.nanargmax(values))
            layer, epoch = case.layer(place + 1), float(case.vitals.epochs[look])
            return Found(told.format(layer=layer, share=values[place]) + f" at epoch {epoch:g}", layer, epoch)
    return None


def aligned(case: Case) -> Found | None:
    vitals = case.vitals
    if vitals is None or len(vitals.layers) < 2:
        return None
    values = vitals.aligned[0][:-1]  # of the last layer the units are the classes
    if (
        np.isfinite(values).any()
        and np.nanmax(values) > THRESHOLDS["aligned: mean absolute cosine of a layer's units at the start"]
    ):
        place = int(np.nanargmax(values))
        return Found(
            f"the units of {vitals.layers[place]} begin with the same weights, up to a factor: they get the same "
            "gradients, and stay one unit",
            vitals.layers[place],
            0.0,
        )
    return None


def chance(case: Case) -> Found | None:
    learned = case.learned
    if case.diverged or not len(learned) or not np.isfinite(learned[-1]):
        return None
    if learned[-1] < THRESHOLDS["chance: share of the loss of guessing that was learned"]:
        return Found(
            f"the train loss is {case.curve('train_loss')[-1]:.4g} at the end, and that of guessing {case.guess:.4g}"
        )
    return None


def too_high(case: Case) -> Found | None:
    """The loss goes up and down, or rose above where it began, or the steps killed a layer's units."""
    if case.diverged:
        return None
    return _oscillates(case) or _rose(case) or _died(case)


def _oscillates(case: Case) -> Found | None:
    loss, guess = case.curve("train_loss"), case.scale
    steps = np.diff(loss[len(loss) // 4 :])
    rises, falls = steps[steps > 0], -steps[steps < 0]
    if len(loss) < _FEW or not len(rises) or not len(falls):
        return None
    share, rise = len(rises) / len(steps), float(np.median(rises))
    if (
        share > THRESHOLDS["rate too high: share of evaluations at which it rises"]
        and rise / float(np.median(falls)) > THRESHOLDS["rate too high: median rise over median fall of the train loss"]
        and rise > THRESHOLDS["rate too high: median rise, as a share of the loss of guessing"] * guess
    ):
        return Found(
            f"the train loss rises at {share:.0%} of the evaluations, by {rise:.2g} in the median, where it is "
            f"{float(np.median(loss)):.2g}"
        )
    return None


def _rose(case: Case) -> Found | None:
    loss, vitals = case.curve("train_loss"), case.vitals
    if vitals is None or case.guess is None or not len(loss) or np.isnan(loss).all():
        return None
    highest, before = int(np.nanargmax(loss)), max(case.guess, float(vitals.loss[0]))
    if (
        loss[highest]
        > THRESHOLDS["rate too high: the highest train loss over that of guessing and that at the start"] * before
    ):
        epoch = float(case.curve("epoch")[highest])
        return Found(
            f"at epoch {epoch:g} the train loss is {loss[highest]:.3g}, and was {vitals.loss[0]:.3g} at first; that "
            f"of guessing is {case.guess:.3g}", None, epoch,
        )  # fmt: skip
    return None


def _died(case: Case) -> Found | None:
    """A layer that was alive at the start, and in the end is mostly dead."""
    if case.vitals is None or len(case.vitals.epochs) < 2 or _shrunk(case):
        return None
    start, end = case.hidden("dead", 0), case.hidden("dead", -1)
    died = (
        start < THRESHOLDS["rate too high: share of a layer's units that may be dead at the start, of those that died"]
    ) & (end > THRESHOLDS["dead: share of a layer's units"])
    if not died.any():
        return None
    place = int(np.argmax(np.where(died, end, -1)))
    layer, epoch = case.layer(place + 1), float(case.vitals.epochs[-1])
    return Found(
        f"of the units that {layer} is given, {start[place]:.0%} are the same for every example at the start, and "
        f"{end[place]:.0%} at epoch {epoch:g}", layer, epoch,
    )  # fmt: skip


def _late(case: Case) -> float:
    """The share of what the training loss fell by that the last quarter brought; NaN where that is not known."""
    loss = case.curve("train_loss")
    if case.diverged or len(loss) < 4 or not loss[0] > loss[-1]:
        return np.nan
    return float((loss[-1 - len(loss) // 4] - loss[-1]) / (loss[0] - loss[-1]))


def too_low(case: Case) -> Found | None:
    late = _late(case)
    if not late > THRESHOLDS["rate too low: share of what was learned that the last quarter brought"]:
        return None
    furthest = moved(case)
    if furthest < THRESHOLDS["rate too low: movement over the whole run, in sizes of the weights"]:
        return Found(
            f"in the whole training no layer's weights moved by more than {furthest:.1%} of their size, and {late:.0%} "
            "of what was learned came in the last quarter"
        )
    return None


def moved(case: Case) -> float:
    """How far the layer that moved furthest did over the whole run, in sizes of its weights at the start; NaN where
    that is not known."""
    vitals = case.vitals
    if vitals is None or len(vitals.epochs) < 2 or not np.isfinite(vitals.update[1:]).any():
        return np.nan
    per_epoch = float(case.curve("step")[-1] / case.curve("epoch")[-1])
    ways = np.nansum(vitals.update[1:] * (np.diff(vitals.epochs) * per_epoch)[:, None], axis=0)
    return float(np.nanmax(ways / vitals.weight[0]))


def improving(case: Case) -> Found | None:
    late, loss = _late(case), case.curve("train_loss")
    if not late > THRESHOLDS["still improving: share of what was learned that the last quarter brought"]:
        return None
    held = next((case.curve(name) for name in ("validation_loss", "test_loss") if len(case.curve(name))), loss)
    fall = float(held[-1 - len(held) // 4] - held[-1]) / case.scale
    limit = THRESHOLDS["still improving: fall of the held-out loss in the last quarter, in losses of guessing"]
    if not fall > limit or _little_left(case):
        return None
    if not np.isfinite(held).any() or np.nanargmin(held) < len(held) - 1 - len(held) // 10:
        return None
    steady = THRESHOLDS["still improving: fall of the loss in the second half, as a share of its way up and down"]
    if not min(_steadiness(loss), _steadiness(held)) > steady:
        return None
    return Found(f"the train loss still falls: the last quarter brought {late:.0%} of all that it fell by")


def _little_left(case: Case) -> bool:
    """Whether more training can bring little: of classes nearly all answers are right, whatever the loss does; else
    most of the loss of guessing is gone."""
    right = case.right("validation", "test", "train")
    if right is not None:
        return right > THRESHOLDS["still improving: share of what guessing gets wrong that is right, with little left"]
    limit = THRESHOLDS["still improving: share of the loss of guessing that is learned, with little left"]
    return len(case.learned) > 0 and bool(case.learned[-1] > limit)


def _steadiness(loss: Numbers) -> float:
    """What a loss fell by in the second half, as a share of its way up and down: 1 where it only falls, and about 0
    where it goes up and down around one value."""
    steps = np.diff(loss[-max(4, len(loss) // 2 + 1) :])
    way = float(np.abs(steps).sum())
    return float(-steps.sum()) / way if way else 0.0


def overfitting(case: Case) -> Found | None:
    for name in ("validation_loss", "test_loss"):
        held, train = case.curve(name), case.curve("train_loss")
        if case.diverged or len(held) < 5 or not np.isfinite(held).all():
            continue
        best = int(held.argmin())
        rise = float(np.divide(held[-1], held[best]) - 1) if held[best] >= 0 else 0.0  # from 0 on it is without bound
        share = float(held[-1] - held[best]) / case.scale
        after = 1 - (best + 1) / len(held)
        if (
            rise > THRESHOLDS["overfitting: rise of the loss from its lowest, as a share of it"]
            and share > THRESHOLDS["overfitting: rise of the loss from its lowest, as a share of the loss of guessing"]
            and after > THRESHOLDS["overfitting: share of training after the lowest"]
            and train[-1] < train[best]
        ):
            epoch = float(case.curve("epoch")[best])
            told = f"the {name.replace('_', ' ')} is lowest at epoch {epoch:g} ({held[best]:.3g}) and ends at"
            return Found(f"{told} {held[-1]:.3g}, while the train loss falls on", None, epoch)
    return None


def overlap(case: Case) -> Found | None:
    task = case.run.task
    if not task.overlap:
        return None
    return Found(f"{task.overlap} of {task.test} test examples stand in the training split too")


def shuffled(case: Case) -> Found | None:
    vitals = case.vitals
    if vitals is None or not np.isfinite(vitals.neighbours).all() or not case.transfers_nothing:
        return None
    agree, chance = vitals.neighbours
    examples = min(NEIGHBOURS, case.run.task.train)
    if not examples or not 0 < chance < _MOSTLY_ONE:
        return None
    by_chance = np.sqrt(chance * (1 - chance) / examples)
    limit = THRESHOLDS["shuffled: how much more often than by chance neighbours agree, in its standard deviations"]
    if agree - chance < limit * by_chance:
        return Found(
            f"a training example has the class of its nearest neighbour in {agree:.0%} of the cases, and would by "
            f"chance in {chance:.0%}"
        )
    return None


def unscaled(case: Case) -> Found | None:
    if case.vitals is None:
        return None
    mean, largest, smallest = case.vitals.inputs
    limit = THRESHOLDS["unscaled: largest absolute mean, or sd, of a feature"]
    if mean > limit or largest > limit:
        return Found(f"the largest mean of a feature is {mean:.3g}, their sd go from {smallest:.3g} to {largest:.3g}")
    return None


def one_class(case: Case) -> Found | None:
    vitals, counts = case.vitals, case.counts.get("train", ())
    if vitals is None or case.diverged or not sum(counts):
        return None
    share = vitals.one_class[-1]
    if (
        share > THRESHOLDS["one class: share of the predictions"]
        and share > max(counts) / sum(counts)  # else there is hardly more than one class
        and max(counts) * np.count_nonzero(counts) / sum(counts)
        > THRESHOLDS["one class: share of the most frequent class over that of an even deal"]
    ):
        return Found(
            f"{share:.0%} of the first training examples are taken for one class", None, float(vitals.epochs[-1])
        )
    return None


def clipping(case: Case) -> Found | None:
    share = case.curve("clipped_share")
    if len(share) and share.min() > THRESHOLDS["clipping: share of steps"]:
        return Found(f"the gradient is clipped in at least {share.min():.0%} of the steps of every interval")
    return None


def diverged(case: Case) -> Found | None:
    if not case.diverged:
        return None
    why = case.run.error or "its loss was no number"
    on_the_way = why.startswith("in epoch")  # `epochs` counts those that were completed before
    return Found(why, None, float(case.run.epochs + on_the_way))
