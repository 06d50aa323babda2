"""The contract of a backend, who computes; and the registry of those that there are.

A backend is one file or folder in this package. It names itself, says what it refuses and why, trains runs, and tells
what a run will take. Nothing outside its own file asks for a backend by name: `auto` takes the first in the order of
preference that refuses nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from paribus.config.base import Config
from paribus.config.conflicts import OPTIONAL, beyond
from paribus.config.loops import LoopSettings
from paribus.config.losses import UserLoss
from paribus.config.plugins import find
from paribus.config.settings import Settings
from paribus.config.user_errors import RAISED, told
from paribus.config.values import Value, format_value
from paribus.extras import installed, not_installed
from paribus.records.record import Outcome
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.training.threads import blas_threads

Load = Callable[[Run], Task]


@dataclass(frozen=True)
class Behaviour:
    """How a user's code behaves, in numbers: `values`; they can be compared with others where `under`, what else they
    depend on, is the same."""

    values: list[float]
    under: dict[str, str]

    RTOL: ClassVar[float] = 1e-3
    """Rounding, as of another number of threads, stays far below; another number in the user's code does not."""

    def agrees(self, other: Behaviour) -> bool:
        """Whether two are the same up to rounding, or cannot be compared."""
        if self.under != other.under:
            return True
        mine, theirs = np.array(self.values), np.array(other.values)
        return mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=self.RTOL, atol=1e-6, equal_nan=True)


@dataclass(frozen=True)
class Trial:
    """What a trial on the data showed: why the settings cannot be trained, what there is to remark where they can, and
    how the user's code behaves, None where there is none or it cannot be told. `found`: as what it trains what is the
    user's own, in a few words, where that is not the thing itself."""

    refusals: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    found: str = ""
    behaviour: Behaviour | None = None


class Backend(ABC):
    """Who computes.

    `preference`: its place in the order in which `auto` asks, the lowest first; None for one that is taken only by its
    name. `models`, `optimizers`: those that it has, by name; None for all. `features`: the settings of
    `conflicts.OPTIONAL` that it has. `user_code`: the settings of what is the user's own that it takes. `resumable`:
    whether its runs leave checkpoints from which they go on. `needs`: the library that it computes with, where an extra
    brings that; without it, it refuses everything. `in_epochs`: whether it trains epoch by epoch, so that
    epochs to a target are counted and a rate is tuned. `keeps`: what a record may hold beside the curve.
    `side_by_side`: whether it trains many runs at once in one process; others are given a process each. `in_threads`:
    whether it does so on as many cores as there are workers. `own_loop`: whether the user's own loop trains, so that
    nothing is known of its data, its evaluations or its metrics before it says so. `by_name`: whether the setting
    `implementation` names it; others stand for what is the user's own.
    """

    name: ClassVar[str]
    preference: ClassVar[int | None] = None
    models: ClassVar[tuple[str, ...] | None] = None
    optimizers: ClassVar[tuple[str, ...] | None] = None
    features: ClassVar[frozenset[str]] = frozenset()
    user_code: ClassVar[frozenset[type[Config]]] = frozenset()
    resumable: ClassVar[bool] = False
    needs: ClassVar[str | None] = None
    in_epochs: ClassVar[bool] = True
    keeps: ClassVar[frozenset[str]] = frozenset({"weights", "predictions", "best"})
    side_by_side: ClassVar[bool] = False
    in_threads: ClassVar[bool] = False
    own_loop: ClassVar[bool] = False
    by_name: ClassVar[bool] = True

    def refusals(self, settings: Settings, task: Task | None = None) -> list[str]:
        """Why it cannot train these settings, each with a cure; none if it can. Without a task, what settings alone
        tell; with one, also what the data tell."""
        if absent := self.absent():
            return [absent]
        return [
            *self._lacking(settings),
            *self._beyond(settings),
            *([] if task is None else self.tried(settings, task).refusals),
        ]

    def absent(self) -> str | None:
        """That its library is not installed, with the extra that brings it; None where it is."""
        if self.needs is None or installed(self.needs):
            return None
        return not_installed(f"implementation={self.name}", self.needs)

    def settled(self, settings: Settings) -> Settings:
        """The same settings with everything chosen that is left to the backend."""
        found = {"implementation": self.name, "device": "cpu" if settings.device == "auto" else settings.device}
        return settings.model_copy(update=found)

    def tried(self, settings: Settings, task: Task) -> Trial:  # noqa: ARG002 (most try nothing)
        """What a trial on the data shows, where one is needed."""
        return Trial()

    def on_trial(self, settings: Settings) -> bool:  # noqa: ARG002 (most can say it of settings alone)
        """Whether only a trial on the data tells that it can train these settings: `auto` takes it after one
        (`dispatch.preferred`)."""
        return False

    def threads(self, count: int) -> AbstractContextManager[None]:
        """`count` threads for its arithmetic inside a block."""
        return blas_threads(count)

    @abstractmethod
    def train(self, runs: Sequence[Run], load: Load, callback: Callback, *, workers: int) -> list[Outcome]:
        """Train each run on its task, `workers` at once where it can; an outcome for each, in their order.

        An exception in a run ends that run as failed; KeyboardInterrupt ends those on their way as interrupted and is
        raised again.
        """

    @abstractmethod
    def estimate(self, settings: Settings, task: Task) -> float:
        """Seconds that a run will train and evaluate for on this machine as it is now, from a few timed steps; NaN
        where nothing short of a whole run tells."""

    def _takes_no(self, kind: str, name: str, own: type[Config]) -> str:
        """That it cannot have what is the user's own."""
        takes_most = max(BACKENDS.values(), key=lambda one: (own in one.user_code, len(one.user_code)))
        return (
            f"implementation={self.name} cannot take {kind}={name}, which is your own: "
            f"take implementation={takes_most.name}, or leave it out"
        )

    def _lacking(self, settings: Settings) -> Iterator[str]:
        """Models, optimizers and what is the user's own that it does not have."""
        theirs = settings.user_defined_parts().keys() & {"model", "optimizer"}
        if isinstance(settings.loss, UserLoss) and UserLoss not in self.user_code:
            yield self._takes_no("loss", settings.loss.name, UserLoss)
        for kind, mine in (("model", self.models), ("optimizer", self.optimizers)):
            config = getattr(settings, kind)
            name, own = config.name, type(config)
            if kind in theirs and own not in self.user_code:
                yield self._takes_no(kind, name, own)
            elif kind not in theirs and mine is not None and name not in mine:
                yield (
                    f"implementation={self.name} has no {name}: it has {_listed(mine) if mine else 'none by name'}; "
                    f"take {_others(kind, name)}, or leave it out"
                )

    def _beyond(self, settings: Settings) -> Iterator[str]:
        """Values of optional settings that it does not have."""
        for name, value in settings.flat().items():
            if name in OPTIONAL and name not in self.features and beyond(name, value):
                takers = [one.name for one in BACKENDS.values() if name in one.features]
                yield (
                    f"{_short(name, value)} has no effect with implementation={self.name}: {_listed(takers)} can have "
                    f"it; take implementation={takers[-1]}, or leave it out"
                )


BACKENDS: dict[str, Backend] = {}
"""By name. Importing this package registers those that come with Paribus."""


UNNAMED: dict[str, Backend] = {}
"""Those that stand for what is the user's own, a loop or a network: no setting names them."""


def register(backend: Backend) -> None:
    """Add a backend to those that there are."""
    (BACKENDS if backend.by_name else UNNAMED)[backend.name] = backend


def backend_of(settings: Settings | LoopSettings) -> Backend:
    """The backend of settings that are resolved."""
    return backend_named(settings.backend)


def backend_named(name: str) -> Backend:
    """The backend with a name, of another package too; SettingsError where that does not work, KeyError where there is
    none."""
    found = BACKENDS.get(name) or UNNAMED.get(name) or _brought(name)
    if found is None:
        raise KeyError(name)
    return found


def _brought(name: str) -> Backend | None:
    """A backend that another package brings; from then on it is one of those that there are."""
    plugin = find("implementation", name)
    if plugin is None:
        return None
    thing = plugin.load()
    try:
        backend = thing() if isinstance(thing, type) else thing
    except RAISED as error:
        raise plugin.refused(f"cannot be made: {told(error)}") from None
    if not isinstance(backend, Backend):
        raise plugin.refused(f"is {type(backend).__name__}: it has to be a subclass of paribus.backends.base.Backend")
    if (backend.name, backend.preference, backend.by_name) != (name, None, True):
        raise plugin.refused(
            f"has name={backend.name!r}, preference={backend.preference}, by_name={backend.by_name}: it has to have "
            f"name={name!r}, preference=None and by_name=True, as it is taken only where it is named"
        )
    register(backend)
    return backend


def _others(kind: str, name: str) -> str:
    """Backends that have a model or optimizer."""
    having = {one.name: one.models if kind == "model" else one.optimizers for one in BACKENDS.values()}
    found = [backend for backend, theirs in having.items() if theirs is None or name in theirs]
    return " or ".join(f"implementation={one}" for one in found)


def _short(name: str, value: Value) -> str:
    return f"{name.rpartition('.')[2]}={format_value(value)}"


def _listed(names: Sequence[str]) -> str:
    """`mlp, cnn and rnn`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
