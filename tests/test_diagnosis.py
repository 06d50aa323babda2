"""The diagnosis: every symptom shows where it is, and only there; no record, however broken, makes it fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

import paribus
from paribus.config.optimizers import OPTIMIZERS
from paribus.findings.diagnosis import diagnose
from paribus.findings.diagnosis.case import Case
from paribus.findings.diagnosis.rates import CUSTOMARY, USUAL
from paribus.findings.diagnosis.symptoms import THRESHOLDS
from paribus.findings.diagnosis.table import TABLE
from paribus.records.record import WRONG_GRADIENT, ArmRecord, DatasetInfo, Pictures, RunRecord, Status, StudyRecord
from paribus.records.structure import STRUCTURE
from paribus.records.vitals import Vitals

LOOKS, LAYERS, EVALUATIONS = 3, 3, 20
GUESS = math.log(2)
SETTINGS = {"model": "mlp", "optimizer.lr": 0.1, "loss": "cross_entropy", "init": "default", "epochs": 20, "clip": "none",
            "l1": 0.0, "class_weight": "none", "task.standardise": False, "model.activation": "relu",
            "model.norm": "none", "patience": "none", "validation": 0.0, "optimizer.weight_decay": 0.0}  # fmt: skip

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def healthy_vitals() -> dict[str, Any]:
    """Of three layers that learn well; a row a look."""
    each, of_all = (LOOKS, LAYERS), (LOOKS,)
    return {
        "epochs": np.array([0.0, 10.0, 20.0]), "names": np.frombuffer(b"one\ntwo\nthree", np.uint8),
        "weight": np.full(each, 0.2), "gradient": np.full(each, 0.01), "update": np.full(each, 0.01),
        "spread": np.full(each, 0.5), "dead": np.full(each, 0.1), "saturated": np.full(each, 0.1),
        "aligned": np.full(each, 0.2), "loss": np.array([0.7, 0.1, 0.05]), "outputs": np.ones(of_all),
        "certain": np.full(of_all, 0.5), "one_class": np.full(of_all, 0.5), "noise": np.ones(of_all),
        "inputs": np.array([0.1, 1.0, 1.0]), "neighbours": np.array([0.95, 0.5]),
    }  # fmt: skip


def healthy_curve() -> dict[str, Any]:
    """The losses fall and come to rest."""
    loss = 0.05 + 0.6 * np.exp(-np.arange(EVALUATIONS))
    steps = np.arange(1.0, EVALUATIONS + 1)
    return {"step": 10 * steps, "epoch": steps, "train_loss": loss, "test_loss": loss + 0.01}


def study(
    change: Change | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    counts: Sequence[int] = (50, 50),
    looked: bool = True,
    overlap: int = 0,
    status: Status = Status.DONE,
    felt: Sequence[float] | None = None,
    remarks: Sequence[str] = (),
) -> StudyRecord:
    """One arm of one run that is well, but for what `change(curve, vitals)` does to it."""
    curve, vitals = healthy_curve(), healthy_vitals()
    if change is not None:
        change(curve, vitals)
    info = DatasetInfo(name="toy", fingerprint="f", pool="p", source="s", classes=len(counts), input_shape=(2,),
                       train=400, validation=0, test=100, overlap=overlap)  # fmt: skip
    run = RunRecord(seed=7, status=status, error=None, epochs=20, curve=curve, task=info, plan_hash="h", attempt=1,
                    pictures=Pictures(vitals=Vitals(**vitals) if looked else None,
                                      state_gradients=None if felt is None else np.array([felt, felt])))  # fmt: skip
    arm = ArmRecord(name="arm", settings=SETTINGS | dict(settings or {}), runs=[run])
    shares = {"f": {"train": list(counts)}} if counts else {}
    return StudyRecord(name="s", factors=[], seeds=[7], primary_metric="test_accuracy", arms=[arm], class_counts=shares,
                       remarks={"arm": list(remarks)} if remarks else {})  # fmt: skip


def codes(record: StudyRecord) -> list[str]:
    return [one.code for one in diagnose(record)]


def at(name: str, place: Any, value: float) -> Change:
    """Sets one entry of the looks."""

    def change(_: dict[str, Any], vitals: dict[str, Any]) -> None:
        vitals[name][place] = value

    return change


def nothing_learned(curve: dict[str, Any]) -> None:
    curve["train_loss"] = curve["test_loss"] = np.full(EVALUATIONS, GUESS)


def small_signal(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
    nothing_learned(curve)
    vitals["spread"][0] = [1.0, 1e-3, 1e-6]


def small_signal_learned_late(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
    curve["train_loss"] = np.linspace(0.6, 0.3, EVALUATIONS)
    vitals["spread"][0] = [1.0, 1e-3, 1e-6]


def small_gradient(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
    nothing_learned(curve)
    vitals["gradient"][0] = [1e-9, 1e-5, 0.1]


def slow(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
    curve["train_loss"] = curve["test_loss"] = np.linspace(0.69, 0.67, EVALUATIONS)
    vitals["update"][:] = 1e-6


def cut_short(curve: dict[str, Any], _: dict[str, Any]) -> None:
    curve["train_loss"] = curve["test_loss"] = np.linspace(0.69, 0.4, EVALUATIONS)


def swings(curve: dict[str, Any], _: dict[str, Any]) -> None:
    curve["train_loss"] = np.where(np.arange(EVALUATIONS) % 2, 0.2, 0.4)


def rose(curve: dict[str, Any], _: dict[str, Any]) -> None:
    curve["train_loss"][0] = 5.0


def overfits(curve: dict[str, Any], _: dict[str, Any]) -> None:
    curve["train_loss"] = np.linspace(0.6, 0.01, EVALUATIONS)
    curve["test_loss"] = np.abs(np.linspace(-0.5, 1.0, EVALUATIONS)) + 0.2


def labels_at_random(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
    curve["test_loss"] = np.full(EVALUATIONS, GUESS + 0.01)
    vitals["neighbours"][:] = [0.52, 0.5]


def answers(share: float) -> Change:
    """So much of the training split is right in the end."""
    return lambda curve, _: curve.update(train_accuracy=np.linspace(0.5, share, EVALUATIONS))


def half_learned(curve: dict[str, Any], _: dict[str, Any]) -> None:
    curve["train_loss"] = curve["test_loss"] = GUESS * (0.6 + 0.3 * np.exp(-np.arange(EVALUATIONS)))


def told(code: str) -> dict[str, Any]:
    return {"remarks": [f"model=mine: this is wrong [{code}]"]}


SHOWN: list[tuple[str, Change, dict[str, Any]]] = [
    ("flipped-loss", lambda *_: None, told("flipped-loss")),
    ("broadcast-loss", lambda *_: None, told("broadcast-loss")),
    ("softmax-before-loss", lambda *_: None, told("softmax-before-loss")),
    ("activation-on-outputs", lambda *_: None, told("activation-on-outputs")),
    ("regression-as-classes", answers(0.7), told("regression-as-classes")),
    ("regression-as-classes", lambda *_: None, {"counts": (), **told("regression-as-classes")}),
    ("summed-loss", lambda *_: None, told("summed-loss")),
    ("rate-out-of-range", half_learned, {"settings": {"optimizer": "sgd", "optimizer.lr": 5.0}}),
    ("vanishing-signal", small_signal, {}),
    ("vanishing-signal", small_signal_learned_late, {}),
    ("vanishing-signal", small_gradient, {}),
    ("vanishing-through-time", lambda curve, _: nothing_learned(curve), {"felt": [1e-6, 1e-3, 0.1]}),
    ("exploding-signal", at("outputs", 0, 50.0), {}),
    ("exploding-signal", at("outputs", 0, np.nan), {}),
    ("dead-units", at("dead", (slice(None), 1), 0.9), {}),
    ("saturated-units", at("saturated", (0, 2), 0.8), {}),
    ("aligned-units", at("aligned", (0, 0), 1.0), {}),
    ("rate-too-high", swings, {}),
    ("rate-too-high", rose, {}),
    ("rate-too-high", at("dead", (2, 1), 0.9), {}),
    ("rate-too-low", slow, {}),
    ("still-improving", cut_short, {}),
    ("overfitting", overfits, {}),
    ("label-noise-or-shuffle", labels_at_random, {}),
    ("unscaled-inputs", at("inputs", 0, 300.0), {}),
    ("unscaled-inputs", at("inputs", 1, 300.0), {}),
    ("majority-class-only", at("one_class", 2, 1.0), {"counts": (80, 20)}),
    ("plateau-at-chance", lambda curve, _: nothing_learned(curve), {}),
    ("clipping-always", lambda curve, _: curve.update(clipped_share=np.ones(EVALUATIONS)), {"settings": {"clip": 0.1}}),
    ("train-test-overlap", lambda *_: None, {"overlap": 9}),
    ("diverged", lambda *_: None, {"status": Status.DIVERGED}),
]


def test_a_run_that_is_well_shows_nothing() -> None:
    assert codes(study()) == []


@pytest.mark.parametrize(("code", "change", "more"), SHOWN, ids=[f"{i}-{code}" for i, (code, *_) in enumerate(SHOWN)])
def test_a_symptom_shows_alone(code: str, change: Change, more: dict[str, Any]) -> None:
    (found,) = diagnose(study(change, **more))
    assert found.code == code
    assert found.seeds == [7]
    assert found.told.startswith(f"{code} (seed 7): ")


@pytest.mark.parametrize("more", [rose, at("inputs", 0, 300.0)])
def test_a_plateau_is_told_only_where_nothing_else_is(more: Change) -> None:
    """Of a rate that is too high it would propose a higher one."""

    def both(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
        nothing_learned(curve)
        more(curve, vitals)

    (found,) = codes(study(both))
    assert found != "plateau-at-chance"


def test_a_gradient_that_dies_on_the_way_back_is_no_fault_of_a_run_that_learned() -> None:
    assert codes(study(felt=[1e-9, 1e-3, 0.1])) == []
    assert codes(study(lambda curve, _: nothing_learned(curve), felt=[1e-3, 1e-3, 0.1])) == ["plateau-at-chance"]


def cures_of(change: Change | None, code: str, **more: Any) -> list[dict[str, str]]:
    found = [one for one in diagnose(study(change, **more)) if one.code == code]
    return [dict(cure) for cure in found[0].cures]


@given(curvature=st.floats(1e-3, 1e6), rate=st.floats(1e-3, 1e3), momentum=st.sampled_from([0.0, 0.5, 0.9]))
def test_a_run_that_diverged_is_offered_a_rate_that_is_stable(curvature: float, rate: float, momentum: float) -> None:
    """Gradient descent on a parabola of that curvature converges with it, and needs no smaller one than it is."""

    def steep(_: dict[str, Any], vitals: dict[str, Any]) -> None:
        vitals["curvature"] = np.array([curvature, np.nan, np.nan])

    settings = {"optimizer": "sgd", "optimizer.lr": rate, "optimizer.momentum": momentum}
    first, *_ = cures_of(steep, "diverged", status=Status.DIVERGED, settings=settings)
    offered = float(first["optimizer.lr"])
    assert offered < rate
    largest = 2 * (1 + momentum) / curvature
    if largest < rate:
        assert largest / 4 < offered < largest
        w, step = 1.0, 0.0
        for _ in range(400):
            step = momentum * step + curvature * w
            w -= offered * step
        assert abs(w) < 1


def test_of_a_run_that_diverged_otherwise_the_rate_is_a_tenth() -> None:
    def steep(_: dict[str, Any], vitals: dict[str, Any]) -> None:
        vitals["curvature"] = np.array([1e3, np.nan, np.nan])

    adam = {"optimizer": "adam", "optimizer.lr": 0.5}
    assert cures_of(steep, "diverged", status=Status.DIVERGED, settings=adam)[0] == {"optimizer.lr": "0.05"}
    unknown = {"optimizer": "sgd", "optimizer.lr": 0.5}
    assert cures_of(None, "diverged", status=Status.DIVERGED, settings=unknown)[0] == {"optimizer.lr": "0.05"}


@pytest.mark.parametrize(("update", "factor"), [(1e-4, 10), (1e-5, 100), (1e-7, 10_000)])
def test_a_rate_that_is_too_low_is_raised_by_what_the_weights_lacked(update: float, factor: float) -> None:
    def still(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
        slow(curve, vitals)
        vitals["update"][:] = update

    rate = float(SETTINGS["optimizer.lr"])  # type: ignore[arg-type]
    first, second = cures_of(still, "rate-too-low")
    assert float(second["optimizer.lr"]) == pytest.approx(10 * float(first["optimizer.lr"]))
    assert float(first["optimizer.lr"]) == pytest.approx(factor * rate)


def test_units_that_are_born_dead_get_other_initial_values_and_those_that_died_a_lower_rate() -> None:
    def died(_: dict[str, Any], vitals: dict[str, Any]) -> None:
        vitals["dead"][:, 1] = [0.5, 0.9, 0.9]

    assert cures_of(at("dead", (slice(None), 1), 0.9), "dead-units")[0] == {"init": "kaiming_normal"}
    assert cures_of(died, "dead-units")[0] == {"optimizer.lr": "0.01"}


def test_a_sigmoid_whose_signal_dies_is_offered_a_steeper_activation_first() -> None:
    first = cures_of(small_signal, "vanishing-signal", settings={"model": "mlp", "model.activation": "sigmoid"})[0]
    assert first == {"model.activation": "relu", "init": "kaiming_normal"}
    assert cures_of(small_signal, "vanishing-signal")[0] == {"init": "kaiming_normal"}


def test_small_initial_values_are_no_cause_where_steps_are_too_far() -> None:
    def far(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
        small_signal(curve, vitals)
        rose(curve, vitals)

    assert codes(study(far)) == ["rate-too-high"]


def test_a_gradient_that_was_found_wrong_is_all_that_is_told() -> None:
    record = study(small_signal)
    said = f"implementation=mine: the gradients of W are {WRONG_GRADIENT} (off by 200%)"
    (found,) = diagnose(replace(record, remarks={"arm": ["something else", said]}))
    assert (found.code, found.evidence, found.cures, found.seeds) == ("wrong-gradient", said, [], [7])
    assert codes(replace(record, remarks={"arm": ["something else"]})) == ["vanishing-signal"]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("flipped-loss", rose), ("broadcast-loss", lambda curve, _: nothing_learned(curve)), ("softmax-before-loss", slow),
        ("activation-on-outputs", cut_short), ("regression-as-classes", slow), ("summed-loss", rose),
    ],
)  # fmt: skip
def test_what_a_fault_of_structure_leads_to_is_not_told_beside_it(code: str, change: Change) -> None:
    assert codes(study(change, **told(code))) == [code]


def test_a_fault_of_structure_is_told_of_its_arm_alone_and_without_the_code_twice() -> None:
    record = study(**told("summed-loss"))
    (found,) = diagnose(record)
    assert found.evidence == "this is wrong"
    assert found.cures == []  # no rate is proposed where the size of a batch is not known
    assert codes(replace(record, remarks={"another": record.remarks["arm"]})) == []
    assert codes(study(remarks=["model=mine: something else", "model=mine: in brackets [of no code]"])) == []


def test_the_rate_of_a_sum_is_divided_by_the_batch() -> None:
    (found,) = diagnose(study(settings={"batch_size": 50, "optimizer.lr": 0.5}, **told("summed-loss")))
    assert found.cures == [{"optimizer.lr": "0.01"}]


def test_a_softmax_that_was_recorded_before_there_were_codes() -> None:
    said = "model=soft: the outputs are probabilities, as after a softmax: none is negative, rows sum to 1. The loss takes a"
    assert codes(study(remarks=[f"{said} softmax itself, so here it is taken twice: of 2 classes, ..."])) == [
        "softmax-before-loss"
    ]


@given(rate=st.floats(1e-9, 100.0), optimizer=st.sampled_from([*CUSTOMARY, "mine"]), well=st.booleans())
def test_a_rate_is_out_of_range_only_where_little_was_learned(rate: float, optimizer: str, well: bool) -> None:
    low, high = CUSTOMARY.get(optimizer, (0.0, math.inf))
    found = diagnose(study(None if well else half_learned, settings={"optimizer": optimizer, "optimizer.lr": rate}))
    assert [one.code for one in found] == ([] if well or low < rate < high else ["rate-out-of-range"])
    for one in found:
        assert all(low < float(cure["optimizer.lr"]) < high for cure in one.cures)


@pytest.mark.parametrize(
    ("code", "change", "more"),
    [
        ("rate-too-low", slow, {}),
        ("rate-too-high", rose, {}),
        ("diverged", lambda *_: None, {"status": Status.DIVERGED}),
    ],
)
def test_a_rate_that_shows_in_what_it_does_is_told_by_that(code: str, change: Change, more: dict[str, Any]) -> None:
    for rate in (1e-9, 100.0):
        assert codes(study(change, settings={"optimizer": "sgd", "optimizer.lr": rate}, **more)) == [code]


@given(curvature=st.floats(1e-3, 1e6), optimizer=st.sampled_from(sorted(CUSTOMARY)))
def test_a_rate_to_begin_with_is_stable(curvature: float, optimizer: str) -> None:
    """Of gradient descent it is below 2 / curvature; the others' steps are not the gradient's size."""

    def steep(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
        half_learned(curve, vitals)
        vitals["curvature"] = np.array([curvature, np.nan, np.nan])

    settings = {"optimizer": optimizer, "optimizer.lr": 100.0}
    ((_, offered),) = cures_of(steep, "rate-out-of-range", settings=settings)[0].items()
    assert float(offered) < 2 / curvature if optimizer == "sgd" else float(offered) == USUAL[optimizer]


@pytest.mark.parametrize(
    ("error", "completed", "epoch"),
    [
        ("in epoch 3: a loss by step 12 was not finite", 2, 3),
        ("the loss of the initial values was not finite", 0, 0),
    ],
)
def test_a_run_diverged_in_the_epoch_that_its_error_names(error: str, completed: int, epoch: int) -> None:
    record = study(status=Status.DIVERGED)
    (arm,) = record.arms
    runs = [replace(arm.runs[0], error=error, epochs=completed)]
    (found,) = diagnose(replace(record, arms=[replace(arm, runs=runs)]))
    assert (found.code, found.evidence, found.epoch) == ("diverged", error, epoch)


def test_every_optimizer_has_a_customary_rate_and_begins_with_one() -> None:
    for name, config in OPTIMIZERS.items():
        low, high = CUSTOMARY[name]
        assert low < config(name=name).lr < high
        assert low < USUAL[name] < high


def test_every_code_has_a_record_that_shows_it() -> None:
    assert {code for code, *_ in SHOWN} == {symptom.code for symptom in TABLE}


def small_loss_swings(curve: dict[str, Any], _: dict[str, Any]) -> None:
    curve["train_loss"] = np.where(np.arange(EVALUATIONS) % 2, 0.001, 0.01)


def small_loss_rises(curve: dict[str, Any], _: dict[str, Any]) -> None:
    curve["train_loss"] = np.linspace(0.02, 0.001, EVALUATIONS)
    curve["test_loss"] = np.abs(np.linspace(-0.03, 0.03, EVALUATIONS)) + 0.01


def nearly_all_right(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
    cut_short(curve, vitals)
    curve["train_accuracy"] = np.full(EVALUATIONS, 0.99)


def falls_by_chance(name: str) -> Change:
    """In the last quarter, but not in the second half as a whole."""

    def change(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
        cut_short(curve, vitals)
        curve[name] = curve[name] + 0.04 * np.sin(np.arange(EVALUATIONS) + 0.3)
        curve[name][-1] = min(curve[name]) - 0.001

    return change


def shrunk(_: dict[str, Any], vitals: dict[str, Any]) -> None:
    vitals["dead"][2, 1], vitals["weight"][2, 1] = 1.0, 1e-4


@pytest.mark.parametrize(
    ("change", "more"),
    [
        (small_loss_swings, {}),
        (small_loss_rises, {}),
        (nearly_all_right, {}),
        (falls_by_chance("test_loss"), {}),
        (falls_by_chance("train_loss"), {}),
        (shrunk, {}),
        (answers(0.98), told("regression-as-classes")),  # squared error of classes that learns well
        (at("one_class", 2, 1.0), {"counts": (50, 50)}),
        (at("neighbours", 0, 0.52), {}),  # it learned what holds of the test split too
        (at("saturated", (2, 2), 0.9), {}),  # a cell that remembers
        (lambda curve, _: curve.update(train_loss=np.array([0.7, 0.1])), {}),
        (lambda curve, _: curve.update(train_loss=np.array([0.4, 0.2, 0.4, 0.2, 0.4])), {}),  # too few to say so
    ],
)  # fmt: skip
def test_what_does_no_harm_is_silent(change: Change, more: dict[str, Any]) -> None:
    assert codes(study(change, **more)) == []


def test_a_layer_that_is_dead_from_the_start_is_no_vanishing_signal() -> None:
    def change(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
        small_signal(curve, vitals)
        vitals["dead"][:, 1:] = 1.0

    assert codes(study(change)) == ["dead-units"]


def test_the_chance_of_neighbours_is_that_of_their_number() -> None:
    """60 % where 50 % is chance: a sign of 400 examples, and none of 20."""

    def change(curve: dict[str, Any], vitals: dict[str, Any]) -> None:
        labels_at_random(curve, vitals)
        vitals["neighbours"][0] = 0.6

    many = study(change)
    arm, run = many.arms[0], many.arms[0].runs[0]
    few = replace(many, arms=[replace(arm, runs=[replace(run, task=replace(run.task, train=20))])])
    assert (codes(many), codes(few)) == ([], ["label-noise-or-shuffle"])


def test_a_penalty_is_taken_away_first() -> None:
    (found,) = diagnose(study(lambda curve, _: nothing_learned(curve), settings={"l1": 0.3}))
    assert found.code == "plateau-at-chance"
    assert found.cures[0] == {"l1": "0"}


@pytest.mark.parametrize("known", [SETTINGS.keys(), {"model", "loss", "epochs", "clip", "optimizer.lr"}])
def test_cures_change_settings_that_the_arm_has(known: Set[str]) -> None:
    for _, change, more in SHOWN:
        record = study(change, **more)
        mine = {name: value for name, value in record.arms[0].settings.items() if name in known}
        for one in diagnose(replace(record, arms=[replace(record.arms[0], settings=mine)])):
            for cure in one.cures:
                assert cure.keys() <= known
                assert any(str(mine[name]) != value for name, value in cure.items())


def test_the_loss_of_guessing_is_the_entropy_of_the_classes() -> None:
    def guess(**more: Any) -> float | None:
        record = study(**more)
        return Case(record.arms[0].settings, record.arms[0].runs[0], record.class_counts.get("f", {})).guess

    assert guess(counts=(80, 20)) == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2))
    assert guess(counts=()) is None  # numbers to predict by a loss of classes
    assert guess(counts=(), settings={"loss": "mse"}) == 1
    assert guess(settings={"loss": "mae"}) is None


# no record makes it fail

ANY = st.floats(allow_nan=True, allow_infinity=True, width=64)
CURVES = ("train_loss", "test_loss", "validation_loss", "clipped_share", "epoch", "step")


@st.composite
def any_study(draw: st.DrawFn) -> StudyRecord:
    """Any numbers in the curves and looks, any number of them, none included."""
    looks, layers, rows = draw(st.integers(0, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 12))
    names = np.frombuffer("\n".join("abcd"[:layers]).encode(), np.uint8)
    vitals: dict[str, Any] = {"names": names}
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(healthy_vitals().keys() - {"names"}, (looks,))
    for name in ("weight", "gradient", "update", "spread", "dead", "saturated", "aligned"):
        shapes[name] = looks, layers
    shapes |= {"inputs": (3,), "neighbours": (2,)}
    for name, shape in shapes.items():
        vitals[name] = draw(arrays(np.float64, shape, elements=ANY))
    held = draw(st.sets(st.sampled_from(CURVES))) | {"epoch", "step"}
    curve = {name: draw(arrays(np.float64, rows, elements=ANY)) for name in held} if draw(st.booleans()) else {}
    return study(
        lambda mine, seen: (mine.clear(), mine.update(curve), seen.update(vitals)),
        looked=draw(st.booleans()),
        counts=draw(st.sampled_from([(), (50, 50), (0, 0), (99, 1, 0)])),
        status=draw(st.sampled_from([Status.DONE, Status.DIVERGED, Status.FAILED])),
        settings={"loss": draw(st.sampled_from(["cross_entropy", "mse", "mae"])), "clip": draw(st.sampled_from(["none", 1])),
                  "optimizer": draw(st.sampled_from(["sgd", "lion", "mine"])), "batch_size": draw(st.sampled_from([1, 64])),
                  "optimizer.lr": draw(st.sampled_from([1e-9, 0.1, 1e9, "none"]))},
        remarks=draw(st.lists(st.sampled_from([*(f"mine: wrong [{one}]" for one in STRUCTURE), "", "[]", "mine: else"]), max_size=4)),
    )  # fmt: skip


@given(any_study())
@tried(max_examples=400)
def test_no_record_makes_it_fail(record: StudyRecord) -> None:
    for one in diagnose(record):
        assert one.told


def test_thresholds_are_all_used() -> None:
    folder = Path(paribus.__file__).parent / "findings" / "diagnosis"
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    assert [name for name in THRESHOLDS if source.count(f'"{name}"') < 2] == []


def test_the_docs_tell_every_code_and_threshold() -> None:
    told = (Path(__file__).parent.parent / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    for symptom in TABLE:
        assert f"| `{symptom.code}` | " in told
        assert f" | {symptom.source} |" in told
    for name, value in THRESHOLDS.items():
        assert f"| {name} | {value:g} |" in told
    for optimizer, (low, high) in CUSTOMARY.items():
        (line,) = (one for one in told.splitlines() if one.startswith("| `") and f"| {low:g} | {high:g} |" in one
                   and f"`{optimizer}`" in one)  # fmt: skip
        assert line


# real runs


def test_the_source_reports_small_initial_values_and_their_cure(tmp_path: Path) -> None:
    words = {"task": "digits", "hidden": "64x64x64", "epochs": 10}
    ill = paribus.train(**words, init="normal:0.001", out=tmp_path / "ill").record
    (found,) = diagnose(ill)
    assert found.code == "vanishing-signal"
    assert found.cures[0] == {"init": "kaiming_normal"}
    cured = paribus.train(**words, **found.cures[0], out=tmp_path / "cured").record
    assert "vanishing-signal" not in codes(cured)
    assert cured.arms[0].runs[0].curve["test_accuracy"][-1] > ill.arms[0].runs[0].curve["test_accuracy"][-1] + 0.5


def test_a_healthy_study_is_silent(tmp_path: Path) -> None:
    record = paribus.compare(
        "digits", hidden=["24", "32x32"], seeds=3, epochs=25, batch_size=32, lr=0.1, out=tmp_path / "s"
    ).record
    assert codes(record) == []


def test_a_module_of_the_users_that_begins_with_one_number(tmp_path: Path) -> None:
    def alike() -> nn.Module:
        layers = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
        for layer in (layers[0], layers[2]):
            nn.init.constant_(layer.weight, 0.3)  # type: ignore[arg-type]
        return layers

    found, *_ = diagnose(paribus.train("moons", model=alike, epochs=5, eval_every=1, lr=0.1, out=tmp_path / "s").record)
    assert (found.code, found.layer) == ("aligned-units", "0")
