"""Who trains many runs: what people write today, what others offer for that, and Paribus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from paribus.backends.dispatch import resolve, train
from paribus.bench.contestants import scikit_learn
from paribus.bench.many import jax_ways, torch_ways
from paribus.bench.many.job import Array, Train, data_of, job_of
from paribus.config.settings import Settings
from paribus.records.record import Evaluation
from paribus.records.run import Callback, Run
from paribus.tasks import Task

FEW = 3
"""Runs that a way trains which takes them one after another: each costs the same."""


@dataclass(frozen=True)
class ManyRuns:
    """A way to train many runs, seeds 0, 1, ...; it returns the test accuracy of each. `needs`: the package that it is,
    where that is not installed with Paribus; `in_turn`: it takes the runs one after another; `perceptrons`: it has no
    recurrent network, clipping, or RMSprop."""

    name: str
    way: Callable[[Settings, Task, int], Array]
    needs: str | None = None
    in_turn: bool = False
    perceptrons: bool = False

    @property
    def installed(self) -> bool:
        """Whether it can run here."""
        return self.needs is None or find_spec(self.needs) is not None

    def refusal(self, settings: Settings) -> str | None:
        """Why it cannot train what these settings ask for.

        >>> from paribus.config.overrides import build
        >>> MANY[-1].refusal(build({"task": "moons"}))
        """
        job = settings.flat()
        if self.perceptrons and (job["model"], job["optimizer"], job["clip"], job["sampler"]) != (
            "mlp", "sgd", "none", "shuffle",
        ):  # fmt: skip
            return (
                f"{self.name} trains no model={job['model']} with optimizer={job['optimizer']}, clip={job['clip']}, "
                f"sampler={job['sampler']}"
            )
        return None


class _Accuracies(Callback):
    """Keeps each run's last one."""

    def __init__(self) -> None:
        self.of: dict[int, float] = {}

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.of[run.seed] = row.metrics["test_accuracy"]


def _by_job(train_all: Train) -> Callable[[Settings, Task, int], Array]:
    """A way from a function of the job."""

    def way(settings: Settings, task: Task, runs: int) -> Array:
        job = job_of(settings, task)
        _, accuracies = train_all(job, data_of(task, job), settings.epochs // job.every, runs)
        return accuracies

    return way


def _paribus(implementation: str) -> Callable[[Settings, Task, int], Array]:
    """Paribus on one thread, all runs handed to it together."""

    def way(settings: Settings, task: Task, runs: int) -> Array:
        chosen = resolve({**settings.flat(), "implementation": implementation})
        callback = _Accuracies()
        outcomes = train([Run(settings=chosen, seed=seed) for seed in range(runs)], lambda _: task, callback, workers=1)
        errors = [outcome.error for outcome in outcomes if outcome.error]
        if errors:
            raise RuntimeError(errors[0])
        return np.array([callback.of[seed] for seed in range(runs)])

    return way


def _scikit_learn(settings: Settings, task: Task, runs: int) -> Array:
    """`MLPClassifier`s by scikit-learn's joblib on one core."""
    from sklearn.utils.parallel import Parallel, delayed

    fits = (delayed(scikit_learn)(settings, task, seed) for seed in range(runs))
    return np.array(Parallel(n_jobs=1)(fits))


LOOP, FUSED = "PyTorch loop, indexed", "paribus fused"
MANY = (
    ManyRuns(LOOP, _by_job(torch_ways.plain_loop), in_turn=True),
    ManyRuns("torch.func, vmap", _by_job(torch_ways.torch_func)),
    ManyRuns("scikit-learn, joblib", _scikit_learn, in_turn=True, perceptrons=True),
    ManyRuns("JAX, jit(vmap(scan))", _by_job(jax_ways.jax_vmapped), "jax"),
    ManyRuns("JAX, tuned", _by_job(jax_ways.jax_tuned), "jax"),
    ManyRuns("paribus stacked", _paribus("stacked")),
    ManyRuns(FUSED, _paribus("fused")),
)
