"""Estimators of scikit-learn's as a model: what they are given and how they are measured, against the same by hand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, get_scorer, r2_score, roc_auc_score, root_mean_squared_error
from sklearn.metrics import log_loss as sklearns_log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.backends.estimator import Fitted
from paribus.config.estimators import estimator_defined, random_states
from paribus.config.overrides import SettingsError
from paribus.findings.confounders import confounders
from paribus.findings.findings import Findings
from paribus.findings.meaningless import meaningless
from paribus.findings.summary import values
from paribus.records.record import Outcome, Status
from paribus.records.run import Run
from paribus.report.page.page import page
from paribus.study.reading import read
from paribus.study.store import StoreError
from paribus.tasks import Task, load
from paribus.tasks.pool import Targets
from paribus.training.scoring import Answers
from tests.conftest import Recorder

ROOT = Path(__file__).parent.parent


def ran(estimator: Any, task: str = "moons", seed: int = 3, **more: Any) -> tuple[Task, Outcome, Recorder]:
    """One run, with its predictions."""
    metrics = more.pop("metrics", ())
    settings = resolve({"task": task, "model": estimator_defined(estimator), **more})
    recorder = Recorder()
    run = Run(settings, seed, frozenset({"predictions"}), metrics=metrics)
    (outcome,) = train([run], lambda _: load(settings, seed), recorder)
    return load(settings, seed), outcome, recorder


def final(recorder: Recorder) -> dict[str, float]:
    return dict(recorder.rows[-1].metrics)


@pytest.mark.parametrize("estimator", [RandomForestClassifier(5, n_jobs=2), LinearSVC(), LogisticRegression()])
@pytest.mark.parametrize("task", ["moons", "digits"])
def test_classes_are_predicted_and_scored_as_by_hand(estimator: Any, task: str) -> None:
    data, outcome, recorder = ran(estimator, task, validation=0.2)
    mine = type(estimator)(**{**estimator.get_params(), **dict.fromkeys(random_states(estimator), 3)})
    with threadpool_limits(1):
        mine.fit(data.train.x.reshape(len(data.train), -1), data.train.y)
    found = final(recorder)
    np.testing.assert_array_equal(outcome.predictions, mine.predict(data.test.x))
    for name, split in data.splits.items():
        assert found[f"{name}_accuracy"] == accuracy_score(split.y, mine.predict(split.x))
        if hasattr(mine, "predict_proba"):
            assert found[f"{name}_loss"] == pytest.approx(
                sklearns_log_loss(split.y, mine.predict_proba(split.x)), 1e-12
            )
        else:
            assert f"{name}_loss" not in found


def test_numbers_are_predicted_and_scored_as_by_hand() -> None:
    data, outcome, recorder = ran(RandomForestRegressor(5), "diabetes", loss="mae")
    assert data.target is not None
    scaled = (data.train.y - data.train.y.mean()) / data.train.y.std()
    mine = RandomForestRegressor(5, random_state=3).fit(data.train.x, scaled)
    predicted = mine.predict(data.test.x) * data.train.y.std() + data.train.y.mean()
    np.testing.assert_allclose(outcome.predictions, predicted, rtol=1e-12)
    found = final(recorder)
    assert found["test_rmse"] == pytest.approx(root_mean_squared_error(data.test.y, predicted), 1e-12)
    assert found["test_r2"] == pytest.approx(r2_score(data.test.y, predicted), 1e-12)
    assert found["test_loss"] == pytest.approx(np.abs(predicted - data.test.y).mean() / data.train.y.std(), 1e-12)
    assert abs(data.train.x.mean(axis=0)).max() < 1e-12  # standardised, as for networks


@hypothesis.settings(max_examples=15)
@given(
    missing=st.sets(st.integers(0, 3), min_size=1, max_size=2), wanted=st.sampled_from(["forest", "tree", "pipeline"])
)
def test_classes_that_training_lacks_have_probability_0_in_their_column(missing: set[int], wanted: str) -> None:
    chosen = resolve({"task": "digits", "task.classes": 4, "model": estimator_defined(MODELS[wanted])})
    task = load(chosen, 0)
    there = np.flatnonzero(~np.isin(task.train.y, list(missing)))[:60]
    task = replace(task, train=replace(task.train, x=task.train.x[there], y=task.train.y[there]))
    fitted = Fitted.of(chosen, task, 1)
    answers = fitted.outputs(task.test.x)
    assert isinstance(answers, Answers)
    assert answers.probabilities is not None
    left = [one for one in range(4) if one not in missing]
    theirs = fitted.estimator.predict_proba(task.test.x.reshape(len(task.test), -1))
    np.testing.assert_array_equal(answers.probabilities[:, left], theirs)
    assert not answers.probabilities[:, sorted(missing)].any()
    assert set(answers.predicted.tolist()) <= set(left)
    loss = sklearns_log_loss(task.test.y, answers.probabilities, labels=range(4))
    assert fitted.scores(chosen, "test", answers)["test_loss"] == pytest.approx(loss, 1e-12)


MODELS = {
    "forest": RandomForestClassifier(3),
    "tree": DecisionTreeClassifier(),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
}


def test_every_random_state_is_the_seed_and_one_that_was_given_is_said(tmp_path: Path, capsys: Any) -> None:
    bagged = BaggingClassifier(DecisionTreeClassifier(random_state=5), n_estimators=3)
    study = paribus.train(
        "moons", model={"bagged": make_pipeline(StandardScaler(), bagged)}, noise=0.4, seeds=2, out=tmp_path / "s"
    )
    line = "model=bagged: baggingclassifier__estimator__random_state=5 is not used: every run has its own seed there"
    assert line in capsys.readouterr().err
    assert line in " ".join(str(study).split())
    data = load(resolve({"task": "moons", "task.noise": 0.4, "model": estimator_defined(bagged)}), 0)
    for seed, score in study.table().set_index("seed")["test_accuracy"].items():
        mine = make_pipeline(
            StandardScaler(), BaggingClassifier(DecisionTreeClassifier(random_state=seed), 3, random_state=seed)
        )
        assert score == mine.fit(data.train.x, data.train.y).score(data.test.x, data.test.y)
    assert study.table()["test_accuracy"].nunique() == 2


def test_metrics_of_the_users_get_what_the_estimator_answers(tmp_path: Path) -> None:
    def surest(y: Any, probabilities: Any) -> float:
        return float(probabilities.max(axis=1).mean())

    metrics = {"auc": get_scorer("roc_auc"), "area": roc_auc_score, "surest": surest, "hits": accuracy_score}
    study = paribus.compare(
        "moons",
        model={"svm": LinearSVC(C=0.01), "tree": RandomForestClassifier(3)},
        metrics=metrics,
        seeds=2,
        out=tmp_path / "s",
    )
    rows = study.table().set_index(["arm", "seed"])
    data = load(resolve({"task": "moons"}), 0)
    svm = LinearSVC(C=0.01, random_state=0).fit(data.train.x, data.train.y)
    forest = RandomForestClassifier(3, random_state=0).fit(data.train.x, data.train.y)
    chances = forest.predict_proba(data.test.x)
    one, other = rows.loc[("model=svm", 0)], rows.loc[("model=tree", 0)]
    assert one["test_auc"] == get_scorer("roc_auc")(svm, data.test.x, data.test.y) < 1
    assert other["test_area"] == roc_auc_score(data.test.y, chances[:, 1])
    assert other["test_surest"] == chances.max(axis=1).mean() != 1
    assert one["test_hits"] == one["test_accuracy"]
    assert one[["test_area", "test_surest", "test_loss"]].isna().all()
    assert "model=svm: it has no predict_proba: its loss is missing, its accuracy counts" in " ".join(
        str(study).split()
    )


def test_a_mixed_study_gives_each_its_own_settings_and_its_verdict(tmp_path: Path) -> None:
    study = paribus.compare(
        "moons", model={"mlp": "mlp", "forest": RandomForestClassifier(5)}, hidden=5, lr=0.5, optimizer="sgd", epochs=2, seeds=6,
        implementation="auto", out=tmp_path / "s",
    )  # fmt: skip
    record = read(tmp_path / "s")
    mlp, forest = (arm.settings for arm in record.arms)
    assert mlp["optimizer.lr"] == 0.5
    assert mlp["epochs"] == 2
    assert set(forest) >= {"model.factory", "task.noise", "split", "threads"}
    assert not set(forest) & {"optimizer", "optimizer.lr", "epochs", "batch_size", "init", "model.hidden"}
    (row,) = study.differences("test_accuracy").to_dict("records")
    assert row["verdict"] == "b higher"
    assert confounders(record) == []
    html = page([Findings.of(record)])
    assert "forest" in html
    assert "number of steps" not in html


def test_it_is_the_same_beside_others_in_two_processes_and_when_run_again(tmp_path: Path) -> None:
    models = {"forest": RandomForestClassifier(5), "own": Careless()}
    arguments: dict[str, Any] = {"model": models, "seeds": 2}
    one = paribus.compare("moons", **arguments, jobs=1, out=tmp_path / "one")
    two = paribus.compare("moons", **arguments, jobs=2, out=tmp_path / "two")
    alone = paribus.train("moons", model={"own": Careless()}, seeds=2, out=tmp_path / "alone")
    scores = [name for name in one.table() if name.startswith(("test_", "train_")) and "seconds" not in name]
    keys = ["arm", "seed"]
    first, second = (study.table().set_index(keys).sort_index()[scores] for study in (one, two))
    assert first.equals(second)
    own = first.loc["model=own"]
    assert own["test_accuracy"].tolist() == alone.table()["test_accuracy"].tolist()
    assert own["test_accuracy"].nunique() == 2  # it draws from the global generators, which the seed sets


class Careless(ClassifierMixin, BaseEstimator):
    """It draws from a global generator, and writes into what it is given."""

    def fit(self, x: Any, y: Any) -> Careless:
        self.classes_ = np.unique(y)
        self.weights_ = np.random.normal(size=x.shape[1])  # noqa: NPY002
        x[:], y[:] = 0, 0
        return self

    def predict(self, x: Any) -> Any:
        found = (x @ self.weights_ > 0).astype(int)
        x[:] = 7
        return found


def test_nothing_is_fitted_twice_and_another_parameter_is_another_study(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paribus.train("moons", model={"tree": DecisionTreeClassifier(max_depth=3)}, seeds=2, out=tmp_path / "s")
    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr(Fitted, "of", None)
        paribus.train("moons", model={"tree": DecisionTreeClassifier(max_depth=3)}, seeds=2, out=tmp_path / "s")
    assert "2 of 2 runs are recorded already" in capsys.readouterr().err
    with pytest.raises(StoreError, match=r"the model of arm .* changed|the model changed"):
        paribus.train("moons", model={"tree": DecisionTreeClassifier(max_depth=4)}, seeds=2, out=tmp_path / "s")


def test_the_version_of_a_library_is_part_of_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = estimator_defined(make_pipeline(DecisionTreeClassifier()))
    monkeypatch.setattr("sklearn.__version__", "99")
    assert estimator_defined(make_pipeline(DecisionTreeClassifier())) != before


def test_a_fitted_estimator_begins_anew() -> None:
    fitted = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    assert estimator_defined(fitted) == estimator_defined(DecisionTreeClassifier())
    assert not hasattr(estimator_defined(fitted).thing, "tree_")


def test_its_own_curve_of_the_loss_comes_before_its_scores() -> None:
    warned: list[str] = []
    perceptron = MLPClassifier((5,), max_iter=4)
    settings = resolve({"task": "moons", "model": estimator_defined(perceptron)})
    recorder = Recorder()
    recorder.on_message = warned.append  # type: ignore[method-assign]
    (outcome,) = train([Run(settings, 1, pictures=True)], lambda _: load(settings, 1), recorder)
    data = load(settings, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine = MLPClassifier((5,), max_iter=4, random_state=1).fit(data.train.x, data.train.y)
    assert [row.metrics["train_loss"] for row in recorder.rows[:-1]] == mine.loss_curve_[:-1]
    assert [row.epoch for row in recorder.rows] == [1, 2, 3, 4]
    assert "test_accuracy" not in recorder.rows[0].metrics
    loss = sklearns_log_loss(data.train.y, mine.predict_proba(data.train.x))
    assert final(recorder)["train_loss"] == pytest.approx(loss, 1e-12)
    assert len(warned) == 1
    assert warned[0].startswith("model=MLPClassifier warns: ConvergenceWarning: ")
    assert outcome.status is Status.DONE


def test_a_curve_is_recorded_and_told(tmp_path: Path) -> None:
    study = paribus.compare(
        "moons",
        model={"net": MLPClassifier((5,), max_iter=15), "tree": DecisionTreeClassifier()},
        seeds=2,
        out=tmp_path / "s",
    )
    curves = study.curves().query("arm == 'model=net' and seed == 0")
    assert len(curves) == 15
    assert curves["test_accuracy"].notna().tolist() == [False] * 14 + [True]
    assert study.table()["test_accuracy"].notna().all()
    assert len(page([Findings.of(read(tmp_path / "s"))])) > 1000


def test_labels_that_a_parameter_names_are_the_users(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    noise = np.random.default_rng(1).normal(size=200)
    y = np.where(x[:, 0] + noise > 0.5, "yes", "no")
    data = paribus.data(x, y, name="mine")
    study = paribus.compare(
        data,
        model={"plain": LogisticRegression(), "weighted": LogisticRegression(class_weight={"yes": 50, "no": 1})},
        metrics={"recall": partial(_recall, pos_label="yes")},
        seeds=2,
        out=tmp_path / "s",
    )
    plain, weighted = study.table().groupby("arm")["test_recall"].mean()
    assert plain < 0.8
    assert weighted == 1


def _recall(y: Targets, predicted: Any, pos_label: str) -> float:
    return float((predicted[y == pos_label] == pos_label).mean())


def test_a_fit_that_raises_is_a_failed_run_with_one_line(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="2 of 4 runs"):
        study = paribus.compare(
            "moons",
            model={"bad": RandomForestClassifier(n_estimators=-1), "good": DecisionTreeClassifier()},
            seeds=2,
            out=tmp_path / "s",
        )
    runs = read(tmp_path / "s").arms[0].runs
    assert [run.status for run in runs] == [Status.FAILED] * 2
    assert runs[0].error is not None
    assert re.match(r"InvalidParameterError: The 'n_estimators' parameter [^\n]*$", runs[0].error)
    assert study.table().query("arm == 'model=good'")["test_accuracy"].notna().all()


FOREST = {"mlp": "mlp", "forest": RandomForestClassifier()}


def probabilities_apart(outputs: Any, targets: Any) -> Any:
    """The mean squared distance of probabilities from one-hot classes."""
    return ((outputs.softmax(1) - torch.eye(outputs.shape[1])[targets]) ** 2).sum(1).mean()


def distance(outputs: Any, targets: Any) -> Any:
    return (outputs - targets).abs().mean()


@pytest.mark.parametrize(
    ("task", "loss", "mine", "told"),
    [
        ("moons", probabilities_apart, RandomForestClassifier(5), "cross_entropy"),
        ("moons", "binary", RandomForestClassifier(5), "cross_entropy"),
        ("diabetes", distance, Ridge(), "mse"),
    ],
)
def test_a_loss_that_networks_minimise_is_not_what_is_measured_of_an_estimator(
    tmp_path: Path, task: str, loss: Any, mine: Any, told: str
) -> None:
    """It is the run that it would be beside a network with the loss that is told."""
    model = {"mlp": "mlp", "mine": mine}
    ask = partial(paribus.compare, task, epochs=2, seeds=2)
    with_own, plain = (ask(model=model, loss=one, out=tmp_path / str(one == told)) for one in (loss, told))
    for name in ("test_loss", "train_loss"):
        ours, theirs = (table.table().query("arm == 'model=mine'")[name].to_numpy() for table in (with_own, plain))
        assert len(ours) == 2
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("task", "more", "message"),
    [
        ("moons", {"model": RandomForestClassifier(), "lr": 0.1}, "lr=0.1 has no effect with model=RandomForestClassifier: "),
        ("moons", {"model": SVC(), "hidden": 5}, "hidden has no effect with model=SVC: it is a setting of mlp"),
        ("moons", {"model": SVC(), "patience": 3}, "patience=3 has no effect with model=SVC: "),
        ("moons", {"model": FOREST, "lr": [0.1, 0.2]}, "lr is a factor, and makes no difference to model=forest"),
        ("diabetes", {"model": {"mlp": "mlp", "r": Ridge()}, "loss": ["mse", "mae"]}, "loss is a factor, and makes no difference"),
        ("moons", {"model": SVC(), "loss": probabilities_apart}, "loss=probabilities_apart has no effect with model=SVC: it is for networks"),
        ("moons", {"model": SVC(), "loss": "binary"}, "loss=binary has no effect with model=SVC: it is for networks"),
        ("moons", {"model": FOREST, "loss": ["cross_entropy", probabilities_apart]}, "loss is a factor, and makes no difference"),
        ("moons", {"model": FOREST, "target": "test_accuracy=0.9"}, "counts epochs, and model=forest is fitted as a whole"),
        ("moons", {"model": FOREST, "keep": "weights"}, "--keep weights cannot be had of model=forest, which has none"),
        ("moons", {"model": FOREST, "tune": {"lr": [0.1, 0.2]}}, "model=forest cannot be tuned: "),
        ("moons", {"model": Ridge()}, "model=Ridge predicts numbers, and moons has classes to predict: take a classifier"),
        ("diabetes", {"model": SVC()}, "model=SVC predicts classes, and diabetes has numbers to predict: take a regressor"),
        ("moons", {"model": KMeans()}, "model=KMeans is neither a classifier nor a regressor"),
        ("moons", {"model": SVC}, r"model=SVC is a class of estimators: give an estimator, as in SVC\(\)"),
        ("moons", {"model": SVC(), "implementation": "torch"}, "implementation=torch cannot take model=SVC, .* take implementation=estimator"),
        ("moons", {"model": "mlp", "implementation": "estimator"}, "implementation=estimator has no mlp: "),
    ],
)  # fmt: skip
def test_what_does_not_go_with_an_estimator_is_refused(
    task: str, more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    call = paribus.compare if isinstance(more["model"], dict) else paribus.train
    with pytest.raises(SettingsError, match=message):
        call(task, **more, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("split", ["fixed", "by_seed"])
def test_that_seeds_make_no_difference_is_said(split: str, tmp_path: Path) -> None:
    models = {"lr": LogisticRegression(), "svc": LinearSVC(), "forest": RandomForestClassifier(5)}
    paribus.compare("moons", model=models, noise=0.3, seeds=3, split=split, out=tmp_path / "s")
    found = [line for line in meaningless(read(tmp_path / "s")) if "exactly the same scores" in line]
    if split == "by_seed":
        assert found == []
        return
    one, other = found
    assert one.startswith("model=lr: all 3 seeds give exactly the same scores, it draws nothing that matters: ")
    assert other.startswith(
        "model=svc: all 3 seeds give exactly the same scores, as of an estimator that draws nothing: "
    )


def test_of_timed_studies_no_time_of_an_epoch_is_told(tmp_path: Path) -> None:
    models = {"net": MLPClassifier((3,), max_iter=12), "tree": DecisionTreeClassifier()}
    paribus.compare("moons", model=models, seeds=1, validation=0.2, out=tmp_path / "s")
    record = read(tmp_path / "s")
    arms = [replace(arm, runs=[replace(run, timed=True) for run in arm.runs]) for arm in record.arms]
    record = replace(record, arms=arms, timing=True)
    for arm in record.arms:
        for name in ("seconds_per_epoch", "seconds_per_evaluation", "train_loss_jitter", "best_test_accuracy"):
            assert values(record, arm, name) == [None]
        assert values(record, arm, "peak_memory_mb") != [None]
    (line,) = confounders(record)
    assert line.startswith("model=net, model=tree: fitted as a whole, so that no time per epoch")


def test_the_documents_example_is_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "user-code.md").read_text(encoding="utf-8")
    (example,) = [
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "RandomForestRegressor" in block
    ]
    names: dict[str, Any] = {}
    exec(example.replace("n_estimators=100", "n_estimators=3").replace("epochs=20", "epochs=1"), names)
    assert names["study"].table()["test_rmse"].notna().all()
    assert names["study"].table()["arm"].nunique() == 3


def test_an_estimator_keeps_predictions_and_no_weights() -> None:
    _, outcome, _ = ran(DecisionTreeClassifier(), "digits")
    assert outcome.predictions is not None
    assert outcome.predictions.shape == (360,)
    assert outcome.weights is None


KILLED = """
import os, signal, sys
import paribus
from sklearn.ensemble import RandomForestClassifier

class Forest(RandomForestClassifier):
    def fit(self, x, y):
        super().fit(x, y)
        if self.random_state == 3 and "KILL" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return self

if __name__ == "__main__":
    study = paribus.compare(
        "moons", model={"mlp": "mlp", "forest": Forest(10)}, implementation="auto", epochs=5, seeds=6, out=sys.argv[1],
    )
    print(study.differences("test_accuracy").to_json())
"""


def test_a_study_of_a_forest_and_a_network_that_is_killed_goes_on_to_the_same_verdict(tmp_path: Path) -> None:
    """SIGKILL in the middle of a fit, of the whole process."""
    script = tmp_path / "study.py"
    script.write_text(KILLED)

    def carried_out(folder: str, **more: str) -> tuple[int, str]:
        command = [sys.executable, str(script), str(tmp_path / folder)]
        done = subprocess.run(
            command, env={**os.environ, **more}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        return done.returncode, done.stdout

    assert carried_out("s", KILL="1")[0] == -signal.SIGKILL
    done = [run.status for arm in read(tmp_path / "s").arms for run in arm.runs]
    assert Status.DONE in done
    assert len(done) < 12 or done.count(Status.DONE) < 12
    resumed, whole = carried_out("s"), carried_out("t")
    assert resumed == whole
    assert '"verdict":{"0":"b higher"' in whole[1]
    scores = [paribus.open(tmp_path / one).table()["test_accuracy"].to_numpy() for one in "st"]
    np.testing.assert_array_equal(*scores)
