"""Every test has a cache folder of its own, so that none reads what another machine's user left."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from platformdirs import user_cache_path

from paribus.backends.dispatch import resolve, train
from paribus.config.overrides import parse_overrides
from paribus.config.settings import Settings
from paribus.records.record import Evaluation, Outcome
from paribus.records.run import Callback, Run
from paribus.tasks import load


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    patch = pytest.MonkeyPatch()
    # what is compiled is kept: it is named by its source
    patch.setenv("PARIBUS_COMPILED", os.environ.get("PARIBUS_COMPILED") or str(user_cache_path("paribus") / "compiled"))
    patch.setenv("PARIBUS_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


class Recorder(Callback):
    """An callback that keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[Evaluation] = []
        self.outcomes: list[Outcome] = []

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.rows.append(row)

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def curve(self, metric: str) -> list[float]:
        return [row.metrics[metric] for row in self.rows]


def settings_of(text: str) -> Settings:
    """Settings from `task=moons lr=0.1 ...`."""
    return resolve({name: values[0] for name, values in parse_overrides(text.split()).items()})


@pytest.fixture
def fit() -> Callable[..., Recorder]:
    """Train one run from its words."""

    def fitted(words: str, seed: int = 0, keep: tuple[str, ...] = ("weights",)) -> Recorder:
        settings, recorder = settings_of(words), Recorder()
        train([Run(settings, seed, frozenset(keep))], lambda _: load(settings, seed), recorder)
        return recorder

    return fitted


def norm_gap(one: np.ndarray, other: np.ndarray, beside: np.ndarray | None = None) -> float:
    """|one - other| / |beside|, or / |other|: norms over everything."""
    scale = float(np.linalg.norm(other if beside is None else beside))
    return float(np.linalg.norm(one - other)) / max(scale, 1e-300)


def final_weights(recorder: Recorder) -> np.ndarray:
    weights = recorder.outcomes[0].weights
    assert weights is not None
    return np.concatenate([weights[name].ravel() for name in sorted(weights)])


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "up": lambda value: np.full(value.shape, np.inf),
    "down": lambda value: np.full(value.shape, -np.inf),
    "by turns": lambda value: np.where(np.arange(value.size).reshape(value.shape) % 2, np.inf, -np.inf),
}


def one_ulp(values: dict[str, np.ndarray], way: str) -> dict[str, np.ndarray]:
    """Every value moved by one unit in the last place."""
    return {name: np.nextafter(value, WAYS[way](value)) for name, value in values.items()}
