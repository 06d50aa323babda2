"""Metrics of the user's own: each gets what it asks for, as scikit-learn alone would compute it, or is refused."""

from __future__ import annotations

import functools
import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    d2_brier_score,
    d2_log_loss_score,
    f1_score,
    fbeta_score,
    get_scorer,
    hinge_loss,
    log_loss,
    make_scorer,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
    top_k_accuracy_score,
)

import paribus
from paribus.config.overrides import SettingsError
from paribus.config.user_code import code_fingerprint, user_defined
from paribus.plan import Plan
from paribus.study.packing import unpack
from paribus.study.store import Store, StoreError
from paribus.training.metrics import measure, softmax
from paribus.training.scoring import value

SMALL: dict[str, Any] = {"epochs": 2, "batch_size": 16, "implementation": "numpy"}
ANSWERS, COLOURS = ("no", "yes"), ("blue", "green", "red")


def answers(names: tuple[Any, ...] = ANSWERS, n: int = 90, seed: int = 0) -> Any:
    """Data that are learned in part, with labels of these names."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3))
    y = np.digitize(x[:, 0] + 0.7 * generator.normal(size=n), [0.0] if len(names) == 2 else [-0.5, 0.5])
    return paribus.data(x, [names[one] for one in y], name="answers")


def measured(metric: Any, logits: Any, y: Any, labels: tuple[Any, ...] = ()) -> float:
    return measure([user_defined(metric, "it")], logits, y, labels)["it"]


# --- probabilities and scores ----------------------------------------------------------------------------------------

OF_BOTH: dict[str, tuple[Any, Any]] = {
    "log_loss": (log_loss, lambda y, p, z: log_loss(y, p)),
    "d2_log_loss": (d2_log_loss_score, lambda y, p, z: d2_log_loss_score(y, p)),
    "a scorer": (get_scorer("neg_log_loss"), lambda y, p, z: -log_loss(y, p if p.shape[1] > 2 else p[:, 1])),
    "a scorer of predictions": (get_scorer("f1_macro"), lambda y, p, z: f1_score(y, p.argmax(axis=1), average="macro")),
    "predictions": (partial(f1_score, average="macro"), lambda y, p, z: f1_score(y, p.argmax(axis=1), average="macro")),
}  # fmt: skip
OF_TWO: dict[str, tuple[Any, Any]] = {
    "roc_auc": (roc_auc_score, lambda y, p, z: roc_auc_score(y, p[:, 1])),
    "partial": (partial(roc_auc_score, max_fpr=0.5), lambda y, p, z: roc_auc_score(y, p[:, 1], max_fpr=0.5)),
    "average_precision": (average_precision_score, lambda y, p, z: average_precision_score(y, p[:, 1])),
    "of class 0": (partial(average_precision_score, pos_label=0), lambda y, p, z: average_precision_score(y, p[:, 0], pos_label=0)),
    "brier": (brier_score_loss, lambda y, p, z: brier_score_loss(y, p[:, 1])),
    "d2_brier": (d2_brier_score, lambda y, p, z: d2_brier_score(y, p[:, 1])),
    "top_k": (partial(top_k_accuracy_score, k=1), lambda y, p, z: top_k_accuracy_score(y, p[:, 1], k=1)),
    "hinge": (hinge_loss, lambda y, p, z: hinge_loss(y, z[:, 1] - z[:, 0])),
    "a scorer of probabilities": (get_scorer("roc_auc"), lambda y, p, z: roc_auc_score(y, p[:, 1])),
    "a scorer of decisions": (make_scorer(hinge_loss, response_method="decision_function"), lambda y, p, z: hinge_loss(y, z[:, 1] - z[:, 0])),
}  # fmt: skip
OF_THREE: dict[str, tuple[Any, Any]] = {
    "roc_auc": (partial(roc_auc_score, multi_class="ovr"), lambda y, p, z: roc_auc_score(y, p, multi_class="ovr")),
    "nested": (partial(partial(roc_auc_score, multi_class="ovr"), multi_class="ovo"), lambda y, p, z: roc_auc_score(y, p, multi_class="ovo")),
    "average_precision": (average_precision_score, lambda y, p, z: average_precision_score(y, p)),
    "brier": (brier_score_loss, lambda y, p, z: brier_score_loss(y, p)),
    "d2_brier": (d2_brier_score, lambda y, p, z: d2_brier_score(y, p)),
    "top_k": (top_k_accuracy_score, lambda y, p, z: top_k_accuracy_score(y, p, k=2)),
    "hinge": (hinge_loss, lambda y, p, z: hinge_loss(y, z)),
    "a scorer of probabilities": (get_scorer("roc_auc_ovo"), lambda y, p, z: roc_auc_score(y, p, multi_class="ovo")),
}  # fmt: skip
SCORED = [
    pytest.param(classes, *one, id=f"{classes} classes, {name}")
    for classes, own in ((2, OF_TWO), (3, OF_THREE))
    for name, one in (own | OF_BOTH).items()
]


@pytest.mark.parametrize(("classes", "metric", "alone"), SCORED)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.1, 1.0, 10.0]), dtype=st.sampled_from(["f4", "f8"]))
def test_a_metric_gets_what_scikit_learn_gives_it(
    classes: int, metric: Any, alone: Any, seed: int, size: float, dtype: str
) -> None:
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.append(np.arange(classes), generator.integers(classes, size=20)))
    logits = (size * generator.normal(size=(len(y), classes))).astype(dtype)
    assert measured(metric, logits, y) == pytest.approx(alone(y, softmax(logits), logits.astype("f8")), rel=1e-12)


def test_a_function_of_ones_own_is_asked_by_its_parameters_name() -> None:
    logits, y = np.array([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), np.array([0, 1, 1])

    def positive(truth: Any, y_score: Any) -> float:
        assert y_score.shape == (3,)
        return float(y_score[0])

    def every(truth: Any, probabilities: Any) -> float:
        assert probabilities.shape == (3, 2)
        return float(probabilities[0, 0])

    assert measured(positive, logits, y) == softmax(logits)[0, 1]
    assert measured(every, logits, y) == measured(partial(every), logits, y) == softmax(logits)[0, 0]
    assert measured(lambda truth, predicted: predicted.sum(), logits, y) == 1


def test_a_split_need_not_hold_every_class() -> None:
    logits, y = np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 0.5], [0.5, 0.0, 0.0]]), np.array([0, 1, 1])
    p = softmax(logits)
    assert measured(log_loss, logits, y) == pytest.approx(-np.log([p[0, 0], p[1, 1], p[2, 1]]).mean())
    assert measured(partial(top_k_accuracy_score, k=1), logits, y) == pytest.approx(2 / 3)


def test_what_older_versions_call_predictions_are_probabilities() -> None:
    """`log_loss(y_true, y_pred)` until scikit-learn 1.8."""

    @functools.wraps(log_loss)
    def older(y_true: Any, y_pred: Any, *, labels: Any = None) -> float:
        return float(log_loss(y_true, y_pred, labels=labels))

    del older.__wrapped__  # type: ignore[attr-defined]
    logits, y = np.array([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), np.array([0, 1, 1])
    assert measured(older, logits, y) == measured(partial(older), logits, y) == measured(log_loss, logits, y)


# --- the user's labels -----------------------------------------------------------------------------------------------

NAMED: dict[str, tuple[Any, Any]] = {
    "pos_label": (partial(f1_score, pos_label="no"), lambda y, hat, p: f1_score(y, hat, pos_label="no")),
    "nested": (partial(partial(f1_score, pos_label="yes"), pos_label="no"), lambda y, hat, p: f1_score(y, hat, pos_label="no")),
    "a scorer's": (make_scorer(precision_score, pos_label="no"), lambda y, hat, p: precision_score(y, hat, pos_label="no")),
    "of a partial in a scorer": (make_scorer(partial(recall_score, pos_label="no")), lambda y, hat, p: recall_score(y, hat, pos_label="no")),
    "of probabilities": (partial(average_precision_score, pos_label="no"), lambda y, hat, p: average_precision_score(y, p[:, 0], pos_label="no")),
    "of a loss": (partial(brier_score_loss, pos_label="no"), lambda y, hat, p: brier_score_loss(y, p[:, 0], pos_label="no")),
    "labels": (partial(f1_score, labels=["no"], average="macro"), lambda y, hat, p: f1_score(y, hat, labels=["no"], average="macro")),
    "none": (f1_score, lambda y, hat, p: f1_score(y, hat, pos_label="yes")),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("metric", "alone"), NAMED.values(), ids=NAMED)
def test_a_metric_that_names_labels_sees_them(metric: Any, alone: Any, seed: int) -> None:
    generator = np.random.default_rng(seed)
    y, logits = generator.integers(2, size=40), generator.normal(size=(40, 2))
    names = np.array(ANSWERS)
    found = measured(metric, logits, y, ANSWERS)
    assert found == pytest.approx(alone(names[y], names[logits.argmax(axis=1)], softmax(logits)), rel=1e-12)


def test_numbers_that_are_labels_are_not_class_numbers() -> None:
    y, logits = np.array([0, 0, 0, 1]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert measured(partial(recall_score, pos_label=1), logits, y, (1, 2)) == pytest.approx(2 / 3)
    assert measured(partial(recall_score, pos_label=1), logits, y) == 0


# --- in a study ------------------------------------------------------------------------------------------------------


def kept(folder: Path, arm: str = "") -> Any:
    """The test split's predicted classes, as the record holds them."""
    store = Store.open(folder)
    content = store.artifact(arm, 0, "predictions")
    store.close()
    return unpack(content or b"")["predictions"]


def keeping(path: str) -> Any:
    def keep(classes: Any, probabilities: Any) -> float:
        np.savez(path, classes=classes, probabilities=probabilities)  # of the last split that is evaluated, the test
        return 0.0

    return keep


def test_a_study_of_two_classes(tmp_path: Path) -> None:
    study = paribus.train(
        answers(),
        metrics={
            "auc": roc_auc_score,
            "area": get_scorer("roc_auc"),
            "surprise": get_scorer("neg_log_loss"),
            "no_f1": partial(f1_score, pos_label="no"),
            "no_precision": make_scorer(precision_score, pos_label="no", zero_division=0.0),
            "kept": keeping(str(tmp_path / "kept.npz")),
        },
        keep=["predictions"],
        seeds=1,
        out=tmp_path / "s",
        **SMALL,
    )
    (row,) = study.table().to_dict("records")
    found = np.load(tmp_path / "kept.npz")
    names = np.array(ANSWERS)
    y, p, hat = names[found["classes"]], found["probabilities"], names[kept(study.folder)]
    np.testing.assert_array_equal(hat, names[p.argmax(axis=1)])
    assert row["test_auc"] == row["test_area"] == pytest.approx(roc_auc_score(y, p[:, 1]))
    assert row["test_surprise"] == pytest.approx(-log_loss(y, p))
    assert row["test_no_f1"] == pytest.approx(f1_score(y, hat, pos_label="no"))
    assert row["test_no_precision"] == pytest.approx(precision_score(y, hat, pos_label="no"))


def test_a_study_of_three_classes_is_the_same_in_other_processes(tmp_path: Path) -> None:
    metrics = {
        "auc": partial(roc_auc_score, multi_class="ovr"),
        "area": get_scorer("roc_auc_ovo"),
        "red": partial(f1_score, labels=["red"], average="macro"),
        "green": make_scorer(recall_score, labels=["green"], average="macro"),
    }
    studies = [
        paribus.train(answers(COLOURS), metrics=metrics, seeds=2, jobs=jobs, out=tmp_path / str(jobs), **SMALL)
        for jobs in (1, 2)
    ]
    columns = [f"{split}_{name}" for split in ("train", "test") for name in metrics]
    one, other = (study.table()[columns] for study in studies)
    assert one.notna().all(axis=None)
    np.testing.assert_array_equal(one, other)


def test_the_labels_are_in_no_record(tmp_path: Path) -> None:
    """What a record says of data is what it said before labels could be seen."""
    study = paribus.train(answers(), metrics={"f1": partial(f1_score, pos_label="no")}, out=tmp_path / "s", **SMALL)
    same = paribus.train(answers(("a", "b")), out=tmp_path / "t", **SMALL)
    assert study.record.arms[0].runs[0].task == same.record.arms[0].runs[0].task


# --- what is refused before anything is trained ----------------------------------------------------------------------


def scores_of(truth: Any, scores: Any) -> float:
    return float(scores.mean())


REFUSED: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "no multi_class": (roc_auc_score, COLOURS, 'of 3 classes it needs multi_class="ovr" or "ovo", as in functools.partial(roc_auc_score, multi_class="ovr")'),
    "none in a partial": (partial(roc_auc_score, average="macro"), COLOURS, "of 3 classes it needs multi_class"),
    "none in a scorer": (get_scorer("roc_auc"), COLOURS, "of 3 classes it needs multi_class"),
    "no such label": (partial(f1_score, pos_label="maybe"), ANSWERS, "pos_label='maybe' is no label of the data: there is 'no', 'yes'"),
    "no such label in a scorer": (make_scorer(f1_score, pos_label=1), ANSWERS, "pos_label=1 is no label of the data: there is 'no', 'yes'"),
    "a label among others": (partial(f1_score, labels=["red", "pink"], average="macro"), COLOURS, "labels=['red', 'pink'] is no label of the data: there is 'blue', 'green', 'red'"),
    "one of three classes": (partial(f1_score, pos_label="red"), COLOURS, "ValueError: Target is multiclass but average='binary'"),
    "scores in an unknown form": (scores_of, ANSWERS, "its second parameter is called scores: call it probabilities for those of every class"),
    "probabilities in an unknown form": (lambda y, pred_proba: 0.0, ANSWERS, "its second parameter is called pred_proba"),
    "scores in a lambda": (lambda y, p: roc_auc_score(y, p), ANSWERS, "it gets predicted classes and calls roc_auc_score, which takes probabilities or scores"),
    "scores in a module's function": (lambda y, p: sklearn.metrics.log_loss(y, p), ANSWERS, "it gets predicted classes and calls log_loss"),
    "a name": ("roc_auc", ANSWERS, "'roc_auc' is a name, no function: give sklearn.metrics.get_scorer(\"roc_auc\")"),
    "a curve": (roc_curve, ANSWERS, "TypeError"),
}  # fmt: skip


@pytest.mark.parametrize(("metric", "names", "answer"), REFUSED.values(), ids=REFUSED)
def test_what_a_metric_cannot_be_given_is_refused(
    tmp_path: Path, metric: Any, names: tuple[Any, ...], answer: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        paribus.train(answers(names), metrics={"it": metric}, out=tmp_path / "s", **SMALL)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith("metric it cannot be computed: ")
    assert answer in mistake
    assert not (tmp_path / "s").exists()


def test_a_metric_is_tried_on_the_validation_split_too(tmp_path: Path) -> None:
    """Of five rows one class is missing, which a scorer cannot be told."""
    with pytest.raises(SettingsError, match=r"metric it cannot be computed on the validation split: ValueError"):
        paribus.train(
            answers(COLOURS), metrics={"it": get_scorer("neg_log_loss")}, validation=0.03, out=tmp_path / "s", **SMALL
        )
    paribus.train(answers(COLOURS), metrics={"it": log_loss}, validation=0.03, out=tmp_path / "s", **SMALL)


# --- which values are better -----------------------------------------------------------------------------------------


def test_a_scorer_is_better_higher(tmp_path: Path) -> None:
    study = paribus.compare(
        answers(),
        optimizer=["sgd", "adam"],
        metrics={"surprise": get_scorer("neg_log_loss"), "area": paribus.metric(get_scorer("roc_auc"), format=".1%")},
        metric="test_surprise",
        target="test_area=0.6",
        tune={"lr": [1e-6, 0.1]},
        tune_seeds=1,
        seeds=2,
        out=tmp_path / "s",
        **SMALL,
    )
    assert study.record.metric("test_surprise").direction == study.record.metric("test_area").direction == "higher"
    assert study.record.metric("test_area").percent
    assert study.record.target is not None
    assert study.record.target.direction == "higher"
    assert study.record.tuning is not None
    assert study.record.tuning.metric == "validation_surprise"
    tried = paribus.open(tmp_path / "s" / "tuning").table()
    for arm in study.record.tuning.arms:
        mine = tried[tried["optimizer"] == arm.arm.partition("=")[2]]
        means = mine.groupby("optimizer.lr")["validation_surprise"].mean()
        assert means[arm.chosen["optimizer.lr"]] == max(means)


def test_a_scorer_that_is_said_to_be_better_lower_is_refused() -> None:
    with pytest.raises(ValueError, match="a scorer of scikit-learn's is better higher"):
        paribus.metric(get_scorer("neg_log_loss"), lower=True)
    assert paribus.metric(get_scorer("neg_log_loss"), higher=True).metric.direction == "higher"
    assert paribus.metric(log_loss, lower=True).metric.direction == "lower"


# --- the same metric -------------------------------------------------------------------------------------------------

DIFFERENT = """
from functools import partial
from sklearn.metrics import *
from paribus.config.user_code import code_fingerprint
different = [
    make_scorer(f1_score), make_scorer(precision_score), make_scorer(f1_score, pos_label="yes"),
    make_scorer(f1_score, pos_label="no"), make_scorer(fbeta_score, beta=2), make_scorer(fbeta_score, beta=3),
    make_scorer(partial(fbeta_score, beta=2)), make_scorer(log_loss, response_method="predict_proba"),
    get_scorer("neg_log_loss"), get_scorer("neg_brier_score"), get_scorer("roc_auc"), get_scorer("roc_auc_ovr"),
    get_scorer("roc_auc_ovo"), partial(f1_score, pos_label="yes"), partial(f1_score, pos_label="no"), f1_score,
    precision_score, partial(precision_score, pos_label="yes"),
]
prints = [code_fingerprint(one) for one in different]
"""


def test_scorers_are_told_apart_and_are_the_same_in_every_process() -> None:
    here: dict[str, Any] = {}
    exec(DIFFERENT, here)
    assert len(set(here["prints"])) == len(here["prints"])
    there = subprocess.run(
        [sys.executable, "-c", DIFFERENT + "print(*prints)"], capture_output=True, text=True, check=True
    )
    assert there.stdout.split() == here["prints"]
    assert code_fingerprint(make_scorer(fbeta_score, beta=2)) == code_fingerprint(make_scorer(fbeta_score, beta=2))


def test_every_function_of_scikit_learns_has_a_fingerprint_of_its_own() -> None:
    """All of them are made by one decorator, and so have one code."""
    functions = {
        name: one
        for name in sklearn.metrics.__all__
        if callable(one := getattr(sklearn.metrics, name)) and not isinstance(one, type)
    }
    assert len({code_fingerprint(one) for one in functions.values()}) == len(functions) > 70


@pytest.mark.parametrize("module", ["__main__", "a_module_of_mine"])
def test_what_a_librarys_decorator_made_of_ones_own_is_known_by_what_is_inside(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if module not in sys.modules:
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    here: list[dict[str, Any]] = [{"__name__": module} for _ in range(3)]
    for number, names in zip((2, 2, 3), here, strict=True):
        exec(f"import contextlib\n@contextlib.contextmanager\ndef scaled(x):\n    yield {number} * x", names)
    found = []
    for names in here:  # each stands where its name says, as in a script of its own
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys.modules[module], "scaled", names["scaled"], raising=False)
            found.append(code_fingerprint(names["scaled"]))
    assert found[0] == found[1] != found[2]


def test_another_function_under_the_name_is_another_study(tmp_path: Path) -> None:
    paribus.train(answers(), metrics={"it": make_scorer(precision_score)}, seeds=1, out=tmp_path / "s", **SMALL)
    for other in (make_scorer(recall_score), precision_score, accuracy_score):
        with pytest.raises(StoreError, match="the metric 'it' changed since it was recorded"):
            paribus.train(
                answers(), metrics={"it": paribus.metric(other, higher=True)}, seeds=2, out=tmp_path / "s", **SMALL
            )
    again = paribus.train(answers(), metrics={"it": make_scorer(precision_score)}, seeds=2, out=tmp_path / "s", **SMALL)
    assert [run.attempt for run in again.record.arms[0].runs] == [1, 1]


def _score(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(roc_auc_score(y, predicted))


def _through_a_closure() -> Callable[..., float]:
    called = roc_auc_score
    return lambda y, p: called(y, p)


class _Callable:
    def __call__(self, y: np.ndarray, p: np.ndarray) -> float:
        return float(roc_auc_score(y, p))


@pytest.mark.parametrize(
    "metric",
    [
        lambda y, p: _score(y, p),
        _through_a_closure(),
        lambda y, p, f=roc_auc_score: f(y, p),
        lambda y, p: sum({_: roc_auc_score(y, p) for _ in range(1)}.values()),
        lambda y, p: (lambda: roc_auc_score(y, p))(),
        _Callable(),
    ],
    ids=["a helper", "a closure", "a default", "a comprehension", "a function inside", "an object"],
)
def test_a_function_that_calls_one_of_scores_is_refused_wherever_the_call_stands(metric: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match="it gets predicted classes and calls roc_auc_score"):
        value(metric, np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 0]))


def test_an_attribute_of_the_same_name_is_no_call() -> None:
    class History:
        log_loss = 3.0

    history = History()
    assert value(lambda y, predicted: history.log_loss, np.zeros((2, 2)), np.array([0, 1])) == 3.0


# --- metrics that draw -----------------------------------------------------------------------------------------------

DRAWING: dict[str, tuple[Callable[[], float], Callable[[int], float]]] = {
    "numpy": (np.random.random, lambda state: np.random.RandomState(state % 2**32).random()),
    "python": (random.random, lambda state: random.Random(state).random()),
    "torch": (
        lambda: torch.rand(1).item(),
        lambda state: torch.rand(1, generator=torch.Generator().manual_seed(state)).item(),
    ),
}


def seed_all() -> None:
    np.random.seed(1)  # noqa: NPY002
    random.seed(2)
    torch.manual_seed(3)


def own_model() -> torch.nn.Module:
    """Draws from no generator but at birth."""
    return torch.nn.Linear(3, 2)


@pytest.mark.parametrize("model", ["own", "compiled", "torch", "numpy", "fused"])
@pytest.mark.parametrize("first", [0, 5], ids=["always", "from its sixth call"])
@pytest.mark.parametrize("generator", DRAWING)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_metric_draws_what_belongs_to_seed_and_step(tmp_path: Path, generator: str, first: int, model: str) -> None:
    """Whoever trains, and from whenever it draws on; whoever calls draws as if there were no study."""
    draw, expected = DRAWING[generator]
    calls = tmp_path / "calls"  # in a file: what a metric keeps in memory is not there at the next call

    def drawn(truth: Any, predicted: Any) -> float:
        with calls.open("a") as file:
            file.write(".")
            return draw() if file.tell() > first else -1.0

    mine = {"own": {"model": own_model, "implementation": "torch"}, "compiled": {"model": own_model}}
    words: dict[str, Any] = mine.get(model, {"implementation": model})
    seed_all()
    before = [one() for one, _ in DRAWING.values()]
    seed_all()
    study = paribus.train(
        answers(), metrics={"drawn": drawn}, epochs=6, batch_size=16, eval_every=1, seeds=1, out=tmp_path / "s", **words
    )
    assert [one() for one, _ in DRAWING.values()] == before
    begins_again = first > 0 and model == "own" and generator != "torch"
    assert study.record.arms[0].runs[0].attempt == (2 if begins_again else 1)
    table, plan = study.curves(), Plan(0)
    for split, place in (("train", 0), ("test", 1)):
        told = table[f"{split}_drawn"].tolist()
        for evaluation, (step, one) in enumerate(zip(table["step"], told, strict=True)):
            call = 1 + 2 * evaluation + place  # the first is the trial before training
            draws = call >= first or begins_again
            assert one == (expected(plan.evaluation_state(int(step))) if draws else -1.0)


COUNTED: list[int] = []
OWN = np.random.default_rng(0)


def counting(truth: Any, predicted: Any) -> float:
    COUNTED.append(1)
    return float(len(COUNTED))


def bootstrapped(truth: Any, predicted: Any) -> float:
    chosen = OWN.integers(0, len(truth), len(truth))
    return float((truth[chosen] == predicted[chosen]).mean())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("model", ["own", "numpy", "fused"])
def test_a_metric_keeps_nothing_from_one_evaluation_to_the_next(tmp_path: Path, model: str) -> None:
    """However often one looks, the last values are the same; and a metric beside it changes nothing."""
    mine = {"own": {"model": own_model, "implementation": "torch"}, "compiled": {"model": own_model}}
    words: dict[str, Any] = mine.get(model, {"implementation": model})
    found = []
    for every in (1, 6):
        for metrics in ({"counted": counting, "boot": bootstrapped}, {"boot": bootstrapped, "drawn": resampled}):
            study = paribus.train(
                answers(),
                metrics={**metrics, "drawn": resampled},
                epochs=6,
                batch_size=16,
                eval_every=every,
                seeds=1,
                out=tmp_path / f"{every}{len(found)}",
                **words,
            )
            last = study.curves().iloc[-1]
            assert last.get("test_counted", 1.0) == 1.0
            found.append([last[name] for name in ("train_boot", "test_boot", "train_drawn", "test_drawn")])
    assert found == [found[0]] * 4
    assert COUNTED == []


def resampled(truth: Any, predicted: Any) -> float:
    chosen = np.random.randint(0, len(truth), len(truth))  # noqa: NPY002
    return float((truth[chosen] == predicted[chosen]).mean())
