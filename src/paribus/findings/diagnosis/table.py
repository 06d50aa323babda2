"""One table: the symptom, from what it comes, what would cure it, and where that is described."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from paribus.findings.diagnosis import rates, structure, symptoms
from paribus.findings.diagnosis.case import Case
from paribus.findings.diagnosis.symptoms import Found
from paribus.records.structure import (
    ACTIVATION_ON_OUTPUTS,
    BROADCAST_LOSS,
    FLIPPED_LOSS,
    REGRESSION_AS_CLASSES,
    SOFTMAX_BEFORE_LOSS,
    SUMMED_LOSS,
)

Change = Mapping[str, str]
"""Settings by full name, as words of a command: one thing to try."""


@dataclass(frozen=True)
class Symptom:
    """One row: `shows` looks at a run; `cause` in words; `cures` from its settings, the likeliest first, of settings
    that its backend may refuse; `source`: where it is described. `explains`: codes that are nothing beside it;
    `alone`: whether it is nothing beside any row above."""

    code: str
    shows: Callable[[Case], Found | None]
    cause: str
    cures: Callable[[Case], Sequence[Change]]
    source: str
    explains: tuple[str, ...] = ()
    alone: bool = False


def _lr(case: Case, factor: float) -> Change:
    rate = case.settings.get("optimizer.lr")
    return {"optimizer.lr": f"{float(rate) * factor:.6g}"} if isinstance(rate, int | float) else {}


def _stable(case: Case) -> list[Change]:
    """Rates that a diverging run of gradient descent may take: half of the largest that is stable along the gradient at
    the start, which is 2 / curvature, with momentum 2 (1 + momentum) / curvature; and a tenth of that.

    Source: Y. LeCun, P. Simard, B. Pearlmutter, Automatic learning rate maximization (1992); of momentum B. Polyak
    (1964).
    """
    rate, vitals = case.settings.get("optimizer.lr"), case.vitals
    if case.settings.get("optimizer") != "sgd" or not isinstance(rate, int | float) or vitals is None:
        return _given(_lr(case, 0.1), _lr(case, 0.01))
    momentum = case.settings.get("optimizer.momentum", 0.0)
    largest = 2 * (1 + float(momentum if isinstance(momentum, int | float) else 0.0)) / max(case.curvature, 1e-300)
    if not largest < rate:  # curvature says nothing: it was not measured, or is no reason
        return _given(_lr(case, 0.1), _lr(case, 0.01))
    return [{"optimizer.lr": f"{largest * share:.1g}"} for share in (0.5, 0.05)]


def _faster(case: Case) -> list[Change]:
    """Rates that move the weights by about their size over the whole run: the steps are the longer by as much as they
    were too short, by 10 at least; and ten times that."""
    moved = symptoms.moved(case)
    factor = 10.0 ** max(1, round(math.log10(_AS_FAR / moved))) if moved > 0 else 10.0
    return _given(_lr(case, factor), _lr(case, 10 * factor))


_AS_FAR = 1.0


def _given(*changes: Change) -> list[Change]:
    return [change for change in changes if change]


def _of_mlp(case: Case, *changes: Change) -> list[Change]:
    """Changes that only the house's perceptron has settings for."""
    return list(changes) if case.settings.get("model") == "mlp" else []


def _steeper(case: Case) -> list[Change]:
    """Of the house's perceptron with a sigmoid, whose slope is 1/4 at most, ReLU at the initial values made for it."""
    flat = case.settings.get("model.activation") == "sigmoid"
    return _of_mlp(case, {"model.activation": "relu", "init": "kaiming_normal"}) if flat else []


def _remembering(case: Case) -> list[Change]:
    """Of the house's recurrent network a matrix from state to state that keeps lengths, with clipping and Adam, as steps
    are no longer small by themselves."""
    if case.settings.get("model") != "rnn":
        return []
    keeps = {"model.recurrent": "orthogonal", "clip": "1"}
    return [{**keeps, "optimizer": "adam"}, keeps]


def _born_dead(case: Case) -> list[Change]:
    """Other initial values, of units that were dead before the first step."""
    return [{"init": "kaiming_normal"}] if symptoms.dead_at_start(case) else []


def _unpenalised(case: Case) -> list[Change]:
    """Without the penalties that it has: strong ones leave nothing to learn with."""
    return [{name: "0"} for name in ("l1", "optimizer.weight_decay") if _positive(case.settings.get(name))]


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and value > 0


def _mean_of_the_batch(case: Case) -> list[Change]:
    """The rate by which a sum over the batch takes the steps that its mean would."""
    batch = case.settings.get("batch_size")
    return _given(_lr(case, 1 / batch)) if isinstance(batch, int) and batch > 1 else []


def _built_in_loss(case: Case) -> list[Change]:
    return [{"loss": "cross_entropy"}] if case.run.task.classes else []


def _customary(case: Case) -> list[Change]:
    rate = rates.usual(case)
    return [] if rate is None else [{"optimizer.lr": f"{rate:g}"}]


_RATE = "an update moves the weights further than the loss's slope holds"
_NOTHING_LEARNED = ("plateau-at-chance", "majority-class-only")
TABLE: tuple[Symptom, ...] = (
    Symptom(
        FLIPPED_LOSS, structure.remarked(FLIPPED_LOSS), "what is minimised rewards wrong answers: the sign is turned, or it is a score",
        _built_in_loss, "Humbatova et al., Taxonomy of real faults in deep learning systems (2020), Loss function",
        ("diverged", "rate-too-high", "dead-units", "saturated-units", "label-noise-or-shuffle", "rate-out-of-range", "overfitting",
         *_NOTHING_LEARNED),
    ),
    Symptom(
        BROADCAST_LOSS, structure.remarked(BROADCAST_LOSS), "every output is compared with every target, so that the best answer is one number for all",
        _built_in_loss, "Braiek and Khomh, Testing feedforward neural networks training programs (2022), 3",
        ("label-noise-or-shuffle", "rate-too-low", "still-improving", *_NOTHING_LEARNED),
    ),
    Symptom(
        SOFTMAX_BEFORE_LOSS, structure.remarked(SOFTMAX_BEFORE_LOSS), "the loss takes logits, and gets probabilities: the network cannot be certain",
        lambda _: [], "Bridle, Probabilistic interpretation of feedforward classification network outputs (1990)",
        ("rate-too-low", "still-improving", *_NOTHING_LEARNED),
    ),
    Symptom(
        ACTIVATION_ON_OUTPUTS, structure.remarked(ACTIVATION_ON_OUTPUTS), "what stands after the last layer keeps the outputs from the answers that are wanted",
        lambda _: [], "Goodfellow, Bengio and Courville, Deep Learning (2016), 6.2.2", ("rate-too-low", "still-improving", *_NOTHING_LEARNED),
    ),
    Symptom(
        REGRESSION_AS_CLASSES, structure.regression_as_classes, "classes have no order and no distance, and are measured by an error of numbers",
        _built_in_loss, "Golik, Doetsch and Ney, Cross-entropy vs. squared error training (2013)", ("rate-too-low", "still-improving", *_NOTHING_LEARNED),
    ),
    Symptom(
        SUMMED_LOSS, structure.remarked(SUMMED_LOSS), "the rate holds for a mean over the batch, and the loss is a sum",
        _mean_of_the_batch, "Goyal et al., Accurate, large minibatch SGD (2017), 2.1", ("diverged", "rate-too-high", "dead-units", "rate-out-of-range"),
    ),
    Symptom(
        "unscaled-inputs", symptoms.unscaled,
        "inputs far from 0, or of very different size, make the loss steep in some directions and flat in others",
        lambda _: [{"task.standardise": "true"}],
        "LeCun et al., Efficient BackProp (1998), 4.3", ("diverged", "exploding-signal", "rate-too-high", "saturated-units", "dead-units"),
    ),
    Symptom(
        "aligned-units", symptoms.aligned, "all units of a layer begin alike, as with initial values that are all one number",
        lambda _: [{"init": "kaiming_normal"}],
        "Goodfellow, Bengio and Courville, Deep Learning (2016), 8.4", ("plateau-at-chance", "vanishing-signal", "majority-class-only", "dead-units"),
    ),
    Symptom(
        "vanishing-signal", symptoms.vanishing, "initial values that are too small, or an activation that flattens, let the "
        "signal die out from layer to layer",
        lambda case: [*_steeper(case), {"init": "kaiming_normal"}, *_of_mlp(case, {"model.norm": "batch"})],
        "Glorot and Bengio (2010); He et al. (2015)", ("plateau-at-chance", "dead-units", "majority-class-only", "rate-too-high", "rate-too-low", "still-improving",
         "label-noise-or-shuffle"),
    ),
    Symptom(
        "vanishing-through-time", symptoms.forgetting, "each step back multiplies the gradient by a matrix that shrinks it, so that "
        "what came early is hardly learned from",
        _remembering, "Bengio, Simard and Frasconi (1994); of the cures Saxe et al. (2014), Pascanu et al. (2013)",
        ("plateau-at-chance", "majority-class-only", "rate-too-high", "rate-too-low", "still-improving", "label-noise-or-shuffle"),
    ),
    Symptom(
        "exploding-signal", symptoms.exploding, "initial values that are too large let the signal grow from layer to layer",
        lambda _: [{"init": "kaiming_normal"}, {"init": "xavier_uniform"}],
        "Glorot and Bengio (2010); He et al. (2015)", ("diverged", "saturated-units", "rate-too-high", "dead-units"),
    ),
    Symptom(
        "diverged", symptoms.diverged, _RATE,
        lambda case: [*_stable(case), {"clip": "1"}],
        "Goodfellow, Bengio and Courville, Deep Learning (2016), 11.4.1", ("rate-too-high", "dead-units", "rate-out-of-range"),
    ),
    Symptom(
        "saturated-units", symptoms.saturated, "the activation is at its end, where it has no slope",
        lambda case: [{"init": "kaiming_normal"}, *_of_mlp(case, {"model.activation": "relu"})],
        "LeCun et al., Efficient BackProp (1998), 4.4",
    ),
    Symptom(
        "rate-too-high", symptoms.too_high, _RATE, lambda case: _given(_lr(case, 0.1), _lr(case, 0.3)),
        "Smith (2017), Cyclical learning rates, 3.3", ("dead-units",),
    ),
    Symptom(
        "dead-units", symptoms.dead, "units that give every example 0 have no gradient any more",
        lambda case: [*_born_dead(case), *_given(_lr(case, 0.1)), *_of_mlp(case, {"model.activation": "leaky_relu"})],
        "Lu et al., Dying ReLU and initialization (2019)", ("plateau-at-chance", "majority-class-only"),
    ),
    Symptom(
        "clipping-always", symptoms.clipping, "the clip is below what gradients are, so the rate is what it makes of it",
        lambda case: [{"clip": "none"}, {"clip": f"{10 * float(str(case.settings.get('clip', 1)))}"}] if case.settings.get("clip") not in (None, "none") else [],
        "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (2013)", ("rate-too-low", "still-improving"),
    ),
    Symptom(
        "rate-too-low", symptoms.too_low, "the steps are too small for so few of them", _faster,
        "Smith (2017), Cyclical learning rates, 3.3", ("rate-out-of-range", "plateau-at-chance", "still-improving", "majority-class-only", "label-noise-or-shuffle"),
    ),
    Symptom(
        "rate-out-of-range", rates.out_of_range, "the rate is none that this optimizer is given", _customary,
        "Bengio, Practical recommendations for gradient-based training (2012), 3.1; Kingma and Ba, Adam (2015), 2.1", _NOTHING_LEARNED,
    ),
    Symptom(
        "label-noise-or-shuffle", symptoms.shuffled, "the labels have little to do with the inputs: shuffled, or joined to the wrong rows",
        lambda _: [], "the test of Cover and Hart's nearest neighbour (1967)", ("plateau-at-chance", "overfitting"),
    ),
    Symptom(
        "majority-class-only", symptoms.one_class, "the classes are not equally frequent, and nothing but that was learned",
        lambda case: [*_unpenalised(case), *_given({"class_weight": "balanced"}, _lr(case, 10))], "He and Garcia, Learning from imbalanced data (2009)", ("plateau-at-chance",),
    ),
    Symptom(
        "plateau-at-chance", symptoms.chance, "nothing was learned, and no layer shows why",
        lambda case: [*_unpenalised(case), *_given(_lr(case, 10), _lr(case, 0.1))],
        "own", alone=True,
    ),
    Symptom(
        "overfitting", symptoms.overfitting, "what is learned after that holds of the training split alone",
        lambda _: [{"optimizer.weight_decay": "0.01"}, {"patience": "5", "validation": "0.2"}, {"optimizer.weight_decay": "0.1"}],
        "Krogh and Hertz, A simple weight decay can improve generalization (1991); Prechelt, Early stopping, but when? (1998)",
    ),
    Symptom(
        "still-improving", symptoms.improving, "training ended before it was done",
        lambda case: [{"epochs": str(2 * int(str(case.settings.get("epochs", 10))))}], "own",
    ),
    Symptom("train-test-overlap", symptoms.overlap, "the test score is in part one of what was trained on", lambda _: [], "own"),
)  # fmt: skip
