"""Every optimizer on every backend that claims it, against PyTorch's or a reference of its own: one row of `ROWS` each.

A new optimizer is an entry in the table of the settings, one in that of each backend, and a row here; the tests run
whatever stands in the tables, and are red where one of the entries is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from paribus.backends.base import BACKENDS
from paribus.backends.dispatch import train
from paribus.backends.stacked.optimizers import OPTIMIZERS as STACKED
from paribus.backends.torch.optimizers import OPTIMIZERS as TORCH
from paribus.backends.torch.optimizers import make_optimizer
from paribus.byhand.optimizers import OPTIMIZERS as HAND
from paribus.config.optimizers import OPTIMIZERS
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.fused import loop_config
from paribus.fused.compile import ready
from paribus.fused.compiled import FOLDER, compiled, entry
from paribus.fused.engine import states_of
from paribus.fused.loop_config import LoopConfig
from paribus.fused.optimizers import OPTIMIZERS as FUSED
from paribus.fused.optimizers import States, update
from paribus.plan import Plan
from paribus.records.record import Status
from paribus.records.run import Run
from paribus.tasks import load
from tests.conftest import Recorder, final_weights, norm_gap, settings_of
from tests.helpers import make_learner
from tests.test_checkpoints import Keeper

Fit = Callable[..., Recorder]
Arrays = dict[str, np.ndarray]

TABLES: dict[str, Any] = {"numpy": HAND, "torch": TORCH, "stacked": STACKED, "fused": FUSED}


class PaperLion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al., Symbolic discovery of optimization algorithms (2023), line by line."""

    def __init__(self, params: Any, lr: float, beta1: float, beta2: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay})

    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                theta, g = parameter.data, parameter.grad
                m = self.state[parameter].setdefault("m", torch.zeros_like(theta))
                c = group["beta1"] * m + (1 - group["beta1"]) * g
                theta -= group["lr"] * (torch.sign(c) + group["weight_decay"] * theta)
                self.state[parameter]["m"] = group["beta2"] * m + (1 - group["beta2"]) * g


class StockMuon:
    """`torch.optim.Muon` for the hidden matrices, `torch.optim.AdamW` for the rest."""

    def __init__(self, groups: list[dict[str, Any]], s: Any, hidden: Iterable[int]) -> None:
        inner = [p for group in groups for p in group["params"] if id(p) in hidden]
        rest = [
            {**group, "weight_decay": min(s.adamw_weight_decay, group.get("weight_decay", np.inf)),
             "params": [p for p in group["params"] if id(p) not in hidden]}
            for group in groups
        ]  # fmt: skip
        o = torch.optim
        self._parts = [
            o.Muon(inner, lr=s.lr, momentum=s.momentum, nesterov=s.nesterov, weight_decay=s.weight_decay),
            o.AdamW([g for g in rest if g["params"]], lr=s.adamw_lr, betas=(s.beta1, s.beta2), eps=s.eps),
        ]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self._parts for group in part.param_groups]

    def step(self) -> None:
        for part in self._parts:
            part.step()


def stock_muon(groups: list[dict[str, Any]], s: Any) -> StockMuon:
    """For the shapes of `SHAPES`: the hidden matrices are named there."""
    hidden = [p for group in groups for p in group["params"] if tuple(p.shape) in HIDDEN_SHAPES]
    assert len(hidden) == len(HIDDEN_SHAPES)
    return StockMuon(groups, s, {id(p) for p in hidden})


@dataclass(frozen=True)
class Row:
    """What an optimizer is compared with, from groups of parameters and its settings; and settings to compare it at."""

    reference: Callable[[list[dict[str, Any]], Any], Any]
    variants: tuple[str, ...]
    tolerance32: float = 2e-5


DECAY = ("weight_decay=0.1", "weight_decay=0.1 decay=weights")
T = torch.optim

ROWS = {
    "sgd": Row(
        lambda p, s: T.SGD(p, lr=s.lr, momentum=s.momentum, dampening=s.dampening, nesterov=s.nesterov,
                           weight_decay=s.weight_decay),
        ("lr=0.1", "momentum=0.9", "momentum=0.8 dampening=0.3", "momentum=0.7 nesterov=true", *DECAY),
    ),
    "adam": Row(
        lambda p, s: T.Adam(p, lr=s.lr, betas=(s.beta1, s.beta2), eps=s.eps, weight_decay=s.weight_decay),
        ("lr=0.01", "beta1=0.5 beta2=0.9 eps=1e-3", *DECAY),
    ),
    "adamw": Row(
        lambda p, s: T.AdamW(p, lr=s.lr, betas=(s.beta1, s.beta2), eps=s.eps, weight_decay=s.weight_decay),
        ("lr=0.01", "beta1=0.5 beta2=0.9 eps=1e-3", *DECAY),
    ),
    "rmsprop": Row(
        lambda p, s: T.RMSprop(p, lr=s.lr, alpha=s.alpha, eps=s.eps, momentum=s.momentum, centered=s.centered,
                               weight_decay=s.weight_decay),
        ("lr=0.01", "alpha=0.9 eps=1e-3", "momentum=0.9", "centered=true", "centered=true momentum=0.5 alpha=0.9", *DECAY),
    ),
    "adagrad": Row(
        lambda p, s: T.Adagrad(p, lr=s.lr, lr_decay=s.lr_decay, eps=s.eps, weight_decay=s.weight_decay,
                               initial_accumulator_value=s.initial_accumulator_value),
        ("lr=0.1", "lr_decay=0.3", "initial_accumulator_value=0.5", "eps=0.1", *DECAY),
    ),
    "nadam": Row(
        lambda p, s: T.NAdam(p, lr=s.lr, betas=(s.beta1, s.beta2), eps=s.eps, weight_decay=s.weight_decay,
                             momentum_decay=s.momentum_decay),
        ("lr=0.01", "beta1=0.7 beta2=0.9 eps=1e-3", "momentum_decay=0", "momentum_decay=0.5", *DECAY),
    ),
    "lion": Row(
        lambda p, s: PaperLion(p, s.lr, s.beta1, s.beta2, s.weight_decay),
        ("lr=0.01", "beta1=0.5 beta2=0.8", *DECAY),
    ),
    "muon": Row(
        stock_muon,
        ("lr=0.02", "momentum=0.5", "nesterov=false", "adamw_lr=0.01 beta1=0.8 beta2=0.99 eps=1e-4", "weight_decay=0.3",
         "adamw_lr=0.1 adamw_weight_decay=0.2", "adamw_lr=0.1 adamw_weight_decay=0.2 weight_decay=0.3 decay=weights"),
        tolerance32=2e-4,
    ),
}  # fmt: skip
"""Each optimizer by its name."""

SHAPES = {
    "0.weight": (4, 3), "0.bias": (4,), "1.weight": (7, 4), "1.bias": (7,), "2.weight": (1, 7), "2.bias": (1,),
    "3.weight": (5, 1), "3.bias": (5,), "4.weight": (9, 5), "4.bias": (9,), "5.weight": (3, 9), "5.bias": (3,),
}  # fmt: skip
HIDDEN_SHAPES = {(7, 4), (1, 7), (5, 1), (9, 5)}
"""Those of the matrices that are neither the first nor the last."""

STEPS = 12


def asked(name: str, words: str, backend: str, precision: str) -> Settings:
    """Settings of a network that is large enough for every optimizer."""
    return settings_of(f"task=moons hidden=5x5 optimizer={name} {words} precision={precision} implementation={backend}")


class ByHand:
    """The optimizers of `byhand`, or PyTorch's as the learner makes them, or the compiled ones, one step at a time."""

    def __init__(self, settings: Settings, start: Arrays) -> None:
        self.parameters = {name: value.copy() for name, value in start.items()}
        self._lr = settings.optimizer.lr
        self._optimizer = HAND[settings.optimizer.name](
            self.parameters, **settings.optimizer.model_dump(exclude={"name"})
        )

    def step(self, gradients: Arrays, factor: float) -> None:
        self._optimizer.lr = self._lr * factor
        self._optimizer.step({name: g.copy() for name, g in gradients.items()})


class ByTorch:
    """PyTorch's, or a reference."""

    def __init__(
        self, settings: Settings, start: Arrays, make: Callable[[list[torch.Tensor]], Any] | None = None
    ) -> None:
        self._tensors = {name: torch.from_numpy(value.copy()).requires_grad_() for name, value in start.items()}
        tensors = list(self._tensors.values())
        self._optimizer = make(tensors) if make else make_optimizer(settings.optimizer, tensors)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]

    @property
    def parameters(self) -> Arrays:
        return {name: value.detach().numpy() for name, value in self._tensors.items()}

    def step(self, gradients: Arrays, factor: float) -> None:
        for name, tensor in self._tensors.items():
            tensor.grad = torch.from_numpy(gradients[name].copy())
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self._optimizer.step()


@compiled
def _update(kind, p, g, states, h, lr, t):  # type: ignore[no-untyped-def]
    update(kind, p, g, states, h, lr, t)


KEPT_UPDATE = entry(_update, FOLDER and FOLDER / "update")
"""Compiled once, as the loops are."""


class ByLoops:
    """The compiled update; every second weight lies turned, as those of wide layers do."""

    def __init__(self, settings: Settings, start: Arrays) -> None:
        self._shapes = {name: value.shape for name, value in start.items()}
        self._turned = {name for name in start if name.endswith("weight") and int(name[0]) % 2}
        lies = {name: shape[::-1] if name in self._turned else shape for name, shape in self._shapes.items()}
        self._loop = LoopConfig.of(settings, 0, 100)
        self._states = states_of(self._loop, self._shapes, lies)
        self._lr, self._t, self._p = settings.optimizer.lr, 0, self._flat(start)

    def _flat(self, arrays: Arrays) -> np.ndarray:
        return np.concatenate([(a.T if name in self._turned else a).ravel() for name, a in arrays.items()])

    @property
    def parameters(self) -> Arrays:
        found, at = {}, 0
        for name, shape in self._shapes.items():
            size = int(np.prod(shape))
            part = self._p[at : at + size]
            found[name] = part.reshape(shape[::-1]).T if name in self._turned else part.reshape(shape)
            at += size
        return found

    def step(self, gradients: Arrays, factor: float) -> None:
        self._t += 1
        facts, lr = self._loop.facts, self._lr * factor
        KEPT_UPDATE(facts["optimizer"], self._p, self._flat(gradients), self._states, self._loop.hyper, lr, self._t)


class ByStack:
    """The first of two runs that move together; the other has twice the rate and other gradients."""

    def __init__(self, settings: Settings, start: Arrays) -> None:
        self._shapes = {name: value.shape for name, value in start.items()}
        flat = self._flat(start)
        weights = torch.cat([torch.full((value.size,), float(value.ndim > 1)) for value in start.values()])
        other = settings.optimizer.model_copy(update={"lr": 2 * settings.optimizer.lr})
        self._theta = torch.stack([flat, 2 * flat])
        self._optimizer = STACKED[settings.optimizer.name]([settings.optimizer, other], self._theta, weights)

    @staticmethod
    def _flat(arrays: Arrays) -> torch.Tensor:
        return torch.cat([torch.from_numpy(value.copy()).ravel() for value in arrays.values()])

    @property
    def parameters(self) -> Arrays:
        parts = self._theta[0].split([int(np.prod(shape)) for shape in self._shapes.values()])
        return {n: part.reshape(shape).numpy() for (n, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def step(self, gradients: Arrays, factor: float) -> None:
        g = self._flat(gradients)
        self._optimizer.step(torch.stack([g, g.flip(0)]), torch.full((2, 1), factor, dtype=torch.float64))


MOVERS: dict[str, Any] = {"numpy": ByHand, "torch": ByTorch, "stacked": ByStack, "fused": ByLoops}


def claiming(name: str) -> list[str]:
    """The backends that say they have an optimizer."""
    return [one.name for one in BACKENDS.values() if one.optimizers is None or name in one.optimizers]


def cases() -> Iterator[tuple[str, str, str]]:
    """Every optimizer that is in any table, with each of its variants, on each backend that claims it."""
    for name in dict.fromkeys([*OPTIMIZERS, *HAND, *TORCH, *FUSED]):
        for words in ROWS[name].variants if name in ROWS else ("lr=0.01",):
            for backend in claiming(name):
                if not (backend == "fused" and "decay=weights" in words):
                    yield name, words, backend


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-11), ("float32", None)])
@pytest.mark.parametrize(("name", "words", "backend"), list(cases()), ids=lambda part: str(part).replace(" ", ","))
def test_an_optimizer_moves_as_its_reference(
    monkeypatch: pytest.MonkeyPatch, name: str, words: str, backend: str, precision: str, tolerance: float | None
) -> None:
    """Updates after some steps at random gradients and changing rates, each parameter's for itself, norm-wise."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # PyTorch's Muon, in the precision of the run
    chosen = asked(name, words, backend, precision)
    rng, real = np.random.default_rng(5), np.dtype(precision)
    start = {key: (0.1 * rng.standard_normal(shape)).astype(real) for key, shape in SHAPES.items()}

    def reference(parameters: list[torch.Tensor]) -> Any:
        s = chosen.optimizer
        weights, others = ([p for p in parameters if (p.dim() > 1) is matrix] for matrix in (True, False))
        apart = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
        return ROWS[name].reference([{"params": parameters}] if s.decay == "all" else apart, s)  # type: ignore[union-attr]

    default = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, precision))  # of the numbers that PyTorch's own optimizers keep
    try:
        mine, theirs = MOVERS[backend](chosen, start), ByTorch(chosen, start, reference)
        for step in range(STEPS):
            gradients = {key: rng.standard_normal(shape).astype(real) for key, shape in SHAPES.items()}
            for mover in (mine, theirs):
                mover.step(gradients, 1 / (1 + step % 3))
    finally:
        torch.set_default_dtype(default)
    for key in SHAPES:
        moved = theirs.parameters[key] - start[key]
        assert np.linalg.norm(moved) > 1e-4
        assert mine.parameters[key].dtype == real
        assert norm_gap(mine.parameters[key] - start[key], moved) <= (tolerance or ROWS[name].tolerance32), key


def test_every_optimizer_has_all_its_parts() -> None:
    """An entry in the settings, one on each backend that claims it and on no other, and a row here."""
    assert set(ROWS) == set(OPTIMIZERS)
    for backend, table in TABLES.items():
        assert set(table) == {name for name in OPTIMIZERS if backend in claiming(name)}, backend
    for name, config in OPTIMIZERS.items():
        assert config().name == name
        assert claiming(name)


@pytest.mark.parametrize("words", ["hidden=none", "hidden=7", "hidden=7x1x5x6", "hidden=1x1"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_is_one_trajectory_on_every_backend(fit: Fit, name: str, words: str) -> None:
    """No, one and four hidden layers, one unit, a short last batch. Muon is refused where it has nothing to do."""
    text = f"task=moons n=120 epochs=4 batch_size=37 init=xavier_normal optimizer={name} {words} precision=float64"
    if name == "muon" and "x" not in words.partition("=")[2]:
        with pytest.raises(SettingsError, match="optimizer=muon has no effect with hidden="):
            settings_of(text)
        return
    runs = [fit(f"{text} implementation={backend}", seed=2) for backend in claiming(name)]
    chosen = settings_of(f"{text} implementation={claiming(name)[0]}")
    begun = make_learner(chosen, load(chosen, 2), Plan(2)).weights()
    start = np.concatenate([begun[key].ravel() for key in sorted(begun)])
    moved = final_weights(runs[0]) - start
    assert np.linalg.norm(moved) > 1e-5
    for other in runs[1:]:
        assert other.outcomes[0].status is Status.DONE
        assert norm_gap(final_weights(other) - start, moved) <= 1e-10


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_run_goes_on_from_a_checkpoint(tmp_path: Path, name: str, backend: str) -> None:
    """Whatever an optimizer keeps is in the checkpoint: to the last bit."""
    if backend not in claiming(name):
        pytest.skip("not claimed")
    for precision in ("float32", "float64"):
        chosen = settings_of(
            f"task=moons n=90 hidden=5x4 epochs=4 eval_every=1 optimizer={name} precision={precision} "
            f"implementation={backend}"
        )
        keep, whole, rest = frozenset({"weights"}), Recorder(), Recorder()
        train([Run(settings=chosen, seed=1, keep=keep)], lambda run: load(run.settings, 1), whole)
        run = Run(settings=chosen, seed=1, keep=keep, checkpoint=tmp_path / precision, checkpoint_seconds=1e-9)
        with pytest.raises(KeyboardInterrupt):
            train([run], lambda run: load(run.settings, 1), Keeper(tmp_path / precision, 2))
        train([run], lambda run: load(run.settings, 1), rest)
        assert len(rest.rows) == len(whole.rows) - 2  # one step an epoch
        np.testing.assert_array_equal(final_weights(rest), final_weights(whole))


# --- what is refused, and what fails --------------------------------------------------------------------------------


def test_a_backend_without_a_version_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in ("numpy", "fused"):
        monkeypatch.setattr(BACKENDS[backend], "optimizers", ("sgd", "adam"))
    for backend in ("numpy", "fused"):
        with pytest.raises(SettingsError) as caught:
            settings_of(f"task=moons optimizer=lion implementation={backend}")
        assert caught.value.mistakes == [
            f"implementation={backend} has no lion: it has sgd and adam; take implementation=stacked or "
            "implementation=torch, or leave it out"
        ]
    assert settings_of("task=moons optimizer=lion").implementation == "torch"


@pytest.mark.parametrize("number", [-1, len(FUSED), 99])
def test_an_unknown_number_touches_no_memory(number: int) -> None:
    """Not one of the states, which are empty."""
    p, g = np.ones(1000), np.ones(1000)
    states = States(np.zeros(0), (-1, -1, -1, 0), np.zeros(1), np.zeros((0, 4), np.int64))
    with pytest.raises(ValueError, match="no update in the compiled engine"):
        KEPT_UPDATE(number, p, g, states, np.full(9, 0.1), 0.1, 1)
    assert (p == 1).all()
    assert (g == 1).all()


def test_a_run_of_an_unknown_number_fails_and_says_why(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    ready("float32", str)  # which tries the loops out
    monkeypatch.setitem(loop_config.NUMBERS, "sgd", 99)
    (outcome,) = fit("task=moons epochs=3 implementation=fused").outcomes
    assert outcome.status is Status.FAILED
    assert str(outcome.error).startswith("ValueError: the optimizer has no update in the compiled engine")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_that_was_forgotten_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the states that a rule asks for, in turn."""
    words = {"sgd": "momentum=0.9", "rmsprop": "momentum=0.9 centered=true"}.get(name, "")
    chosen = asked(name, words, "fused", "float64")
    needed = [place for place, state in enumerate(FUSED[name].states) if state]
    start = {key: np.ones(shape) for key, shape in SHAPES.items()}
    for missing in needed:
        states = tuple(state if place != missing else False for place, state in enumerate(FUSED[name].states))
        monkeypatch.setitem(loop_config.OPTIMIZERS, name, replace(FUSED[name], states=states))
        with pytest.raises(ValueError, match="needs a state that was not made"):
            ByLoops(chosen, start).step(start, 1.0)
        monkeypatch.undo()
    assert needed
