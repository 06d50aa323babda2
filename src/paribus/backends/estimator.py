"""An estimator of scikit-learn's as a backend: a run is one fit of a clone, on the rows that networks get.

It gets flat inputs, scaled and encoded as for networks, and class numbers or scaled targets. Its random_state is the
seed, so that the same is had by hand; what else it draws comes from the global generators, which stand at a state of
the plan's.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from paribus.backends.base import Backend, Load, Trial
from paribus.byhand.losses import make_loss
from paribus.config.base import Config
from paribus.config.estimators import random_states
from paribus.config.models import UserEstimator
from paribus.config.settings import Settings
from paribus.config.user_errors import RAISED, told
from paribus.plan import Plan
from paribus.records.record import Evaluation, Outcome, Pictures, Status
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs, Split
from paribus.training.fits import FitCurves, residuals
from paribus.training.isolation import isolated
from paribus.training.measures import measured
from paribus.training.meters import Meters
from paribus.training.metrics import Metrics
from paribus.training.probes import boundary, confusion, surest_mistakes
from paribus.training.scoring import Answers, as_array
from paribus.training.threads import all_threads

_MOST_SAID = 300


class EstimatorBackend(Backend):
    """One fit for each run, after one another."""

    name: ClassVar[str] = "estimator"
    preference: ClassVar[int | None] = 0
    models: ClassVar[tuple[str, ...] | None] = ()
    optimizers: ClassVar[tuple[str, ...] | None] = ()
    user_code: ClassVar[frozenset[type[Config]]] = frozenset({UserEstimator})
    in_epochs: ClassVar[bool] = False
    keeps: ClassVar[frozenset[str]] = frozenset({"predictions"})

    def refusals(self, settings: Settings, task: Task | None = None) -> list[str]:
        """Everything but an estimator; of that the settings which do not count of it are not looked at."""
        if not isinstance(settings.model, UserEstimator):
            return super().refusals(settings, task)
        return [] if task is None else self.tried(settings, task).refusals

    def settled(self, settings: Settings) -> Settings:
        """What does not count of it stands at one value, and its epochs at the one fit that it is."""
        if isinstance(settings.model, UserEstimator):
            settings = settings.model_copy(update={"epochs": 1, "device": "cpu"})
        return super().settled(settings)

    def tried(self, settings: Settings, task: Task) -> Trial:
        """What can be told without a fit: whether it is of the kind that the data need, and what has to be said."""
        estimator, called = _of(settings), f"model={settings.model.name}"
        if task.steps is not None:
            several = f"{task.info.name} has a class for each of {task.steps} steps: take model=rnn, lstm or gru"
            return Trial(refusals=[f"{called} predicts one class for an example, and {several}"])
        if refusal := _other_kind(estimator, called, task):
            return Trial(refusals=[refusal])
        remarks = []
        if given := [f"{name}={value}" for name, value in random_states(estimator).items() if value is not None]:
            remarks.append(f"{called}: {', '.join(given)} is not used: every run has its own seed there")
        if task.target is None and not hasattr(estimator, "predict_proba"):
            remarks.append(f"{called}: it has no predict_proba: its loss is missing, its accuracy counts")
        return Trial(remarks=remarks)

    def threads(self, count: int) -> AbstractContextManager[None]:
        """Of OpenMP too, which boosting uses; `n_jobs` is the user's."""
        return all_threads(count)

    def train(self, runs: Sequence[Run], load: Load, callback: Callback, *, workers: int) -> list[Outcome]:  # noqa: ARG002
        """One after another, however many workers there are: other processes are for more."""
        return [self._train_one(run, load(run), callback) for run in runs]

    def estimate(self, settings: Settings, task: Task) -> float:  # noqa: ARG002
        """A part of a fit tells nothing of the whole."""
        return float("nan")

    def _train_one(self, run: Run, task: Task, callback: Callback) -> Outcome:
        callback.on_run_begin(run)
        try:
            outcome, rows = self._fitted(run, task, callback)
        except KeyboardInterrupt:
            callback.on_run_end(run, Outcome(status=Status.INTERRUPTED, epochs=0, error="by Ctrl-C or a signal"))
            raise
        except RAISED as error:  # a run that fails must not take the others with it; its record says why
            outcome, rows = Outcome(status=Status.FAILED, epochs=0, error=told(error)[:_MOST_SAID]), []
        for row in rows:
            callback.on_evaluation(run, row)
        callback.on_run_end(run, outcome)
        return outcome

    def _fitted(self, run: Run, task: Task, callback: Callback) -> tuple[Outcome, list[Evaluation]]:
        """Fitted, and measured on every split."""
        plan, meters = Plan(run.seed), Meters("cpu")
        (state,) = plan.generator_states(0, 1)
        splits = {name: one for name, one in task.splits.items() if not (run.hidden_test and name == "test")}
        with self.threads(run.settings.threads), isolated(state), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            fitted = Fitted.of(run.network, task, run.seed)
            begun = perf_counter()
            outputs = {name: fitted.outputs(one.x) for name, one in splits.items()}
            found = {k: v for name, one in outputs.items() for k, v in fitted.scores(run.network, name, one).items()}
            if wrong := [name for name, value in found.items() if not np.isfinite(value)]:
                error = f"{', '.join(wrong)} of what it predicts is not finite"
                return Outcome(status=Status.DIVERGED, epochs=1, error=error), []
            metrics = Metrics(run.metrics, task, plan)
            if metrics:
                found |= metrics.measured(outputs, step=1)
            seconds = perf_counter() - begun
            pictures = {} if run.hidden_test else fitted.pictured(plan, wanted=run.pictures)
        if run.pictures:
            _tell(warned, f"model={run.network.model.name}", callback)
        losses, taken = fitted.losses, meters.read()
        rows = [
            Evaluation(
                step=i,
                epoch=float(i),
                train_seconds=fitted.seconds * i / len(losses),
                eval_seconds=0.0,
                metrics={"train_loss": one},
                meters=taken,
            )
            for i, one in enumerate(losses[:-1], 1)
        ]
        last = max(len(losses), 1)
        rows.append(
            Evaluation(
                step=last,
                epoch=float(last),
                train_seconds=fitted.seconds,
                eval_seconds=seconds,
                metrics=found,
                meters=taken,
            )
        )
        predictions = None
        if "predictions" in run.keep and not run.hidden_test:
            predictions = fitted.predictions(outputs["test"])
        outcome = Outcome(status=Status.DONE, epochs=len(rows), predictions=predictions, **pictures)
        return outcome, rows


@dataclass(frozen=True)
class Fitted:
    """A clone that was fitted to the training rows in `seconds`. `labels`: what it was told instead of class 0, 1,
    ..., where its parameters name the user's own labels."""

    estimator: Any
    task: Task
    seconds: float
    labels: NDArray[Any] | None

    @classmethod
    def of(cls, settings: Settings, task: Task, seed: int) -> Fitted:
        """Fitted with the run's seed as its random_state."""
        from sklearn.base import clone

        estimator = clone(_of(settings.with_copies()))
        estimator.set_params(**dict.fromkeys(random_states(estimator), seed))
        labels = as_array(task.labels) if task.labels and _names_labels(estimator) else None
        x, y = inputs(task, task.train.x), task.targets(task.train.y, np.dtype(np.float64)).copy()
        begun = perf_counter()
        estimator.fit(x, y if labels is None else labels[y.astype(np.int64)])
        return cls(estimator, task, perf_counter() - begun, labels)

    @property
    def losses(self) -> list[float]:
        """Its own curve of the training loss, of classes: scikit-learn's perceptron has one. That of numbers is of
        another scale than the loss that is measured."""
        last = self.estimator.steps[-1][1] if hasattr(self.estimator, "steps") else self.estimator
        curve = [float(one) for one in getattr(last, "loss_curve_", ())] if self.task.target is None else []
        return curve if np.isfinite(curve).all() else []

    def outputs(self, x: Inputs) -> NDArray[np.floating] | Answers:
        """What it answers for inputs: of classes, or scaled numbers (examples, 1)."""
        predicted = np.asarray(self.estimator.predict(inputs(self.task, x)))
        if predicted.size != len(x):
            raise ValueError(f"it predicts the shape {predicted.shape} for {len(x)} examples")
        predicted = predicted.reshape(len(x))
        if self.task.target is not None:
            return predicted.astype(np.float64)[:, None]
        classes = self.task.info.classes
        return Answers(
            predicted=self._numbers(predicted),
            classes=classes,
            probabilities=self._asked("predict_proba", x, classes),
            decision=self._asked("decision_function", x, classes),
        )

    def scores(self, settings: Settings, split: str, outputs: NDArray[np.floating] | Answers) -> dict[str, float]:
        """Loss and accuracy of a split, of numbers rmse, mae and r2; the loss is missing without probabilities."""
        one: Split = self.task.splits[split]
        count = len(one)
        if split == "train" and settings.eval_train != "all":
            count = min(count, int(settings.eval_train))
        y = one.y[:count]
        if isinstance(outputs, Answers):
            found = {"accuracy": float((outputs.predicted[:count] == y).mean())}
            if outputs.probabilities is not None:
                found = {"loss": log_loss(outputs.probabilities[:count], y), **found}
        else:
            scaled = self.task.targets(y, np.dtype(np.float64))
            loss = make_loss(settings.told_loss).forward(outputs[:count], scaled)
            found = {"loss": float(loss), **measured(self.task, outputs[:count], y)}
        return {f"{split}_{name}": value for name, value in found.items()}

    def predictions(self, outputs: NDArray[np.floating] | Answers) -> Targets:
        """Class numbers, or numbers in the data's units."""
        return outputs.predicted if isinstance(outputs, Answers) else self.task.predicted(outputs)

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        """For pictures of classes: 1 at the class that is predicted, and 0."""
        predicted = self._numbers(np.asarray(self.estimator.predict(inputs(self.task, x))).reshape(len(x)))
        return np.eye(self.task.info.classes)[predicted]

    def weights(self) -> Mapping[str, NDArray[np.floating]]:
        """Nothing that a picture is made of."""
        return {}

    def pictured(self, plan: Plan, *, wanted: bool) -> dict[str, Any]:
        """What a page draws of it: boundary and, where it is `wanted`, classes that are confused, or how numbers are
        predicted. Of what it was on the way nothing can be had."""
        found: dict[str, Any] = {"boundary": boundary(self, self.task)}
        if wanted and self.task.target is not None:
            fits = FitCurves(1, self.task).fits(1.0, self._predicted, plan)
            return {**found, "pictures": Pictures(residuals=residuals(self._predicted, self.task, plan), fits=fits)}
        if not wanted or self.task.image is None:
            return found
        test, answers = self.task.test, self.outputs(self.task.test.x)
        assert isinstance(answers, Answers)
        confused, mistakes = confusion(test.y, answers.predicted, answers.classes), None
        chances = answers.probabilities
        if chances is not None and (chances.argmax(axis=1) == answers.predicted).all():
            mistakes = surest_mistakes(np.log(np.clip(chances, np.finfo(np.float64).tiny, 1)), self.task)
        return {**found, "pictures": Pictures(None, confused, mistakes, None)}

    def _predicted(self, x: Inputs) -> Targets:
        return self.predictions(self.outputs(x))

    def _classes(self) -> NDArray[np.int64]:
        """The class numbers of its columns; those that the training rows lack have none."""
        found = getattr(self.estimator, "classes_", None)
        return self._numbers(np.unique(self.task.train.y) if found is None else np.asarray(found))

    def _numbers(self, given: NDArray[Any]) -> NDArray[np.int64]:
        """Class numbers for what the estimator calls classes."""
        names = list(range(self.task.info.classes)) if self.labels is None else self.labels.tolist()
        number = {one: i for i, one in enumerate(names)}
        values = given.tolist()
        if unknown := [one for one in values if one not in number]:
            raise ValueError(f"it predicts {unknown[0]!r}, which is no class")
        return np.array([number[one] for one in values], dtype=np.int64)

    def _asked(self, method: str, x: Inputs, classes: int) -> NDArray[np.floating] | None:
        """What a method of it gives, None where it has none. A class without training rows has probability 0; a
        decision function is then not taken, as no number stands for never."""
        if not hasattr(self.estimator, method):
            return None
        given, mine = np.asarray(getattr(self.estimator, method)(inputs(self.task, x))), self._classes()
        complete = np.array_equal(mine, np.arange(classes))
        if method == "decision_function":
            wide = given.shape == (len(x),) if classes == 2 else given.shape == (len(x), classes)
            return given if complete and wide else None
        if given.shape != (len(x), len(mine)):
            raise ValueError(f"its {method} gives the shape {given.shape} for {len(x)} examples of {len(mine)} classes")
        if complete:
            return given
        found = np.zeros((len(x), classes), given.dtype)
        found[:, mine] = given
        return found


def inputs(task: Task, x: Inputs) -> NDArray[np.floating]:
    """Flat inputs (examples, numbers), scaled and encoded as for networks, in the type that the data have; a copy."""
    kind = x.dtype if x.dtype.kind == "f" and task.encoding is None else np.dtype(np.float32)
    return np.array(task.floats(x, kind).reshape(len(x), -1))


def log_loss(probabilities: NDArray[np.floating], y: Targets) -> float:
    """-mean log p of the true class, p clipped by the rounding of its type as `sklearn.metrics.log_loss` does."""
    small = np.finfo(probabilities.dtype).eps
    right = np.clip(probabilities[np.arange(len(y)), y.astype(np.int64)], small, 1 - small)
    return float(-np.log(right).mean())


def _of(settings: Settings) -> Any:
    assert isinstance(settings.model, UserEstimator)
    return settings.model.factory.thing


def _other_kind(estimator: Any, called: str, task: Task) -> str | None:
    """Why an estimator cannot predict what the data have, as far as it says what it is."""
    from sklearn.base import is_classifier, is_regressor

    try:
        kinds = {"classes": is_classifier(estimator), "numbers": is_regressor(estimator)}
    except RAISED:  # a class of the user's that has none of scikit-learn's tags: the fit will tell
        return None
    needed, other = ("classes", "numbers") if task.target is None else ("numbers", "classes")
    if kinds[other] and not kinds[needed]:
        want = "classifier" if needed == "classes" else "regressor"
        return f"{called} predicts {other}, and {task.info.name} has {needed} to predict: take a {want}"
    if not any(kinds.values()) and type(estimator).__module__.startswith("sklearn."):
        return f"{called} is neither a classifier nor a regressor: there is nothing to compare"
    return None


def _names_labels(estimator: Any) -> bool:
    """Whether a parameter is by the user's own labels, as `class_weight={"yes": 5, "no": 1}` is."""
    parameters = estimator.get_params(deep=True).items()
    return any(name.rpartition("__")[2] == "class_weight" and isinstance(one, Mapping) for name, one in parameters)


def _tell(warned: Sequence[warnings.WarningMessage], called: str, callback: Callback) -> None:
    """What a fit warned of, each once, of the first run alone."""
    for line in dict.fromkeys(" ".join(f"{one.category.__name__}: {one.message}".split()) for one in warned):
        callback.on_message(f"{called} warns: {line[:_MOST_SAID]}")
