"""scikit-learn's MLPRegressor and MLPClassifier beside Paribus at the same settings: scores, and seconds a fit.

    python benchmarks/sklearn_mlp.py         # 5 seeds of each, about a minute after the loops are compiled

Both get the same training rows, scaled alike, and take plain SGD with the same rate, momentum, batch size and epochs, one
hidden layer of ReLUs, from initial values of their own. scikit-learn minimises half the squared error, so its rate is
twice that of the mean squared error, and adds no penalty here. Neither evaluates on its way: Paribus is told to at the end.
"""

from __future__ import annotations

import warnings
from statistics import fmean, median, stdev
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from paribus.backends.dispatch import resolve, train
from paribus.config.settings import Settings
from paribus.records.run import Callback, Run
from paribus.tasks import Task, load
from paribus.training.measures import of_predictions
from paribus.training.threads import blas_threads

SEEDS = 5
WORDS = {
    "diabetes": {"model.hidden": 32, "optimizer.lr": 0.01, "optimizer.momentum": 0.9, "epochs": 30, "batch_size": 32},
    "friedman": {"model.hidden": 64, "optimizer.lr": 0.01, "optimizer.momentum": 0.9, "epochs": 100, "batch_size": 32},
    "digits": {"model.hidden": 64, "optimizer.lr": 0.03, "optimizer.momentum": 0.9, "epochs": 30, "batch_size": 32},
}
Measured = tuple[float, float]


class Last(Callback):
    """Nothing is asked of a run on its way."""


def theirs(settings: Settings, task: Task, seed: int) -> Measured:
    """scikit-learn's score on the test split, and the seconds of its fit."""
    given = settings.optimizer.model_dump()
    numbers = task.target is not None
    kind = MLPRegressor if numbers else MLPClassifier
    model = kind(
        hidden_layer_sizes=settings.mlp.hidden,
        solver="sgd",
        alpha=0.0,
        batch_size=settings.batch_size,
        learning_rate_init=given["lr"] * (2 if numbers else 1),
        momentum=given["momentum"],
        nesterovs_momentum=False,
        max_iter=settings.epochs,
        n_iter_no_change=settings.epochs,
        random_state=seed,
    )
    y = task.targets(task.train.y, np.dtype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it trains as many epochs as it is told
        begun = perf_counter()
        model.fit(task.train.x, y)
        seconds = perf_counter() - begun
    predicted = model.predict(task.test.x)
    return _score(task, predicted[:, None] if numbers else predicted), seconds


def mine(settings: Settings, task: Task, seed: int) -> Measured:
    """The same of Paribus."""
    begun = perf_counter()
    (outcome,) = train([Run(settings, seed, frozenset({"predictions"}))], lambda _: task, Last())
    seconds = perf_counter() - begun
    assert outcome.predictions is not None, outcome.error
    if task.target is None:
        return float((outcome.predictions == task.test.y).mean()), seconds
    return of_predictions(outcome.predictions, task.test.y)["rmse"], seconds


def _score(task: Task, predicted: NDArray[np.generic]) -> float:
    if task.target is None:
        return float((predicted == task.test.y).mean())
    return of_predictions(task.predicted(predicted.astype(np.float64)), task.test.y)["rmse"]


def main() -> None:
    """A line for each task and who trained it."""
    print(f"{'task':9} {'who':22} {'test score':>18} {'s a fit':>9}")
    for name, words in WORDS.items():
        for who in ("scikit-learn", "fused", "torch"):
            backend = "torch" if who == "scikit-learn" else who
            settings = resolve({"task": name, "implementation": backend, "init": "xavier_uniform", **words})
            settings = settings.model_copy(update={"eval_every": type(settings.eval_every)(settings.epochs, "epochs")})
            task = load(settings, 0)
            do = theirs if who == "scikit-learn" else mine
            with blas_threads(1):
                do(settings, task, SEEDS)  # imports, and the loops that have to be compiled
                found = [do(settings, task, seed) for seed in range(SEEDS)]
            scores, seconds = zip(*found, strict=True)
            what = "rmse" if task.target is not None else "accuracy"
            print(
                f"{name:9} {who:22} {what} {fmean(scores):8.4f} ±{stdev(scores):.4f} {median(seconds):9.4f}", flush=True
            )


if __name__ == "__main__":
    main()
