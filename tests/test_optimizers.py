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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paribus.backends.base import BACKENDS
from paribus.backends.dispatch import train
from paribus.backends.torch.optimizers import OPTIMIZERS as TORCH
from paribus.backends.torch.optimizers import lean, make_optimizer
from paribus.backends.torch.optimizers import orthogonalised as orthogonalised_by_torch
from paribus.byhand.optimizers import OPTIMIZERS as HAND
from paribus.byhand.optimizers import clip_by_global_norm, orthogonalised
from paribus.config.optimizers import OPTIMIZERS, hidden_matrices
from paribus.config.overrides import SettingsError, build
from paribus.config.settings import Settings
from paribus.fused import loop_config
from paribus.fused.compile import ready
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
from tests.test_schedules import EPOCHS, SCHEDULE_WORDS, STEPS_IN_EPOCH, Schedule

Fit = Callable[..., Recorder]
Arrays = dict[str, np.ndarray]

TABLES: dict[str, Any] = {"numpy": HAND, "torch": TORCH, "fused": FUSED}


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
        update(facts["optimizer"], self._p, self._flat(gradients), self._states, self._loop.hyper, lr, self._t)


MOVERS: dict[str, Any] = {"numpy": ByHand, "torch": ByTorch, "fused": ByLoops}


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
            f"implementation={backend} has no lion: it has sgd and adam; take implementation=torch, or leave it out"
        ]
    assert settings_of("task=moons optimizer=lion").implementation == "torch"


@pytest.mark.parametrize("number", [-1, len(FUSED), 99])
def test_an_unknown_number_touches_no_memory(number: int) -> None:
    """Not one of the states, which are empty."""
    p, g = np.ones(1000), np.ones(1000)
    states = States(np.zeros(0), (-1, -1, -1, 0), np.zeros(1), np.zeros((0, 4), np.int64))
    with pytest.raises(ValueError, match="no update in the compiled engine"):
        update(number, p, g, states, np.full(9, 0.1), 0.1, 1)
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


# --- muon -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "task=digits epochs=1 hidden=300x200x9 batch_size=300 lr=0.01",  # the second layer lies turned
        "task=digits epochs=1 hidden=40x500x30 batch_size=400 nesterov=false clip=1 weight_decay=0.1",
        "task=palindrome model=rnn n_train=320 n_test=150 epochs=2 steps_per_epoch=2 hidden=9 length=5",
    ],
)
def test_muon_in_the_compiled_engine(fit: Fit, words: str) -> None:
    runs = [fit(f"{words} init=default optimizer=muon precision=float64 implementation={b}", 3) for b in TABLES]
    for other in runs[1:]:
        assert norm_gap(final_weights(other), final_weights(runs[0])) <= 1e-9


def test_hidden_matrices_are_those_between_the_first_and_the_last() -> None:
    for shapes, hidden in (
        ([], []),
        ([(2, 3), (2,)], []),
        ([(4, 2), (4,), (3, 4), (3,)], []),
        ([(4, 2), (4, 4), (4,), (3, 4), (3,)], [1]),
        ([(8, 3, 3, 3), (8,), (9, 8, 3, 3), (9,), (7, 9, 3, 3), (5, 7)], [2, 4]),
    ):
        assert [place for place, matrix in enumerate(hidden_matrices(shapes)) if matrix] == hidden


def test_kernels_are_matrices_of_as_many_rows_as_outputs() -> None:
    """As in https://github.com/KellerJordan/Muon, whose factor of the rate is then that of a kernel's own axes."""
    rng = np.random.default_rng(1)
    shapes = {"a": (4, 2, 3, 3), "b": (6, 4, 3, 3), "c": (3, 6)}
    start = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    gradients = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    chosen = settings_of("task=moons hidden=5x5 optimizer=muon lr=0.1 momentum=0 nesterov=false implementation=torch")
    u, s, vt = np.linalg.svd(gradients["b"].reshape(6, -1), full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    wanted = start["b"] - 0.1 * (u @ np.diag(s) @ vt).reshape(shapes["b"])
    for mover in (ByHand(chosen, start), ByTorch(chosen, start)):
        mover.step(gradients, 1.0)
        np.testing.assert_allclose(mover.parameters["b"], wanted, rtol=1e-10)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 8), (8, 5), (20, 20)])
def test_newton_schulz_maps_singular_values_by_its_polynomial(shape: tuple[int, int]) -> None:
    """And leaves the singular vectors as they are."""
    m = np.random.default_rng(2).standard_normal(shape)
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    wanted = u @ np.diag(s) @ vt
    assert norm_gap(orthogonalised(m), wanted) <= 1e-10
    assert norm_gap(orthogonalised_by_torch(torch.from_numpy(m)).numpy(), wanted) <= 1e-10
    assert not orthogonalised(np.zeros(shape)).any()
    assert np.isnan(orthogonalised(np.full(shape, np.nan))).all()


# --- against torch.optim, with settings of all kinds ----------------------------------------------------------------

OPTIMIZER_SETTINGS: dict[str, st.SearchStrategy[dict[str, float | bool]]] = {
    "sgd": st.one_of(
        st.fixed_dictionaries({"momentum": st.floats(0, 0.99), "dampening": st.floats(0, 0.9)}),
        st.fixed_dictionaries({"momentum": st.floats(0.1, 0.99), "nesterov": st.just(True)}),
        st.just({}),
    ),
    "adam": st.fixed_dictionaries(
        {"beta1": st.floats(0, 0.99), "beta2": st.floats(0.5, 0.9999), "eps": st.sampled_from([1e-8, 1e-3])}
    ),
    "rmsprop": st.fixed_dictionaries({
        "alpha": st.floats(0.5, 0.999), "eps": st.sampled_from([1e-8, 1e-3]), "momentum": st.sampled_from([0.0, 0.5, 0.95]),
    }) | st.fixed_dictionaries({  # at other alphas v - a^2 is a small difference of large numbers, in both alike
        "alpha": st.just(0.99), "centered": st.just(True), "momentum": st.sampled_from([0.0, 0.9]),
    }),
}  # fmt: skip
OPTIMIZER_SETTINGS["adamw"] = OPTIMIZER_SETTINGS["adam"]
"""Hypothesis draws from these; the rows above hold for all optimizers."""


@pytest.mark.parametrize("clip", [None, 0.5, 1e6])
@pytest.mark.parametrize("name", OPTIMIZER_SETTINGS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_optimizer_moves_as_torch_optim_does_whatever_its_settings(
    name: str, clip: float | None, data: st.DataObject
) -> None:
    """200 steps under any schedule: the whole update, norm-wise to 1e-11."""
    chosen = data.draw(OPTIMIZER_SETTINGS[name])
    if chosen.get("nesterov") is None and name == "sgd" and not chosen.get("momentum"):
        chosen = {}
    word = data.draw(st.sampled_from(SCHEDULE_WORDS))
    decay = data.draw(st.sampled_from([0.0, 1e-4, 0.1]))
    lr = data.draw(st.floats(1e-4, 0.3 if name == "sgd" else 0.03))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    words = {f"optimizer.{key}": value for key, value in {**chosen, "lr": lr, "weight_decay": decay}.items()}
    made = build({"task": "moons", "optimizer": name, **words}).optimizer

    start = {"w": rng.standard_normal((4, 3)), "b": rng.standard_normal(4)}
    mine = {key: value.copy() for key, value in start.items()}
    theirs = {key: torch.from_numpy(value.copy()).requires_grad_() for key, value in start.items()}
    hand = HAND[name](mine, **made.model_dump(exclude={"name"}))
    kind, arguments = TORCH[name].kind, TORCH[name].arguments
    reference = kind(
        theirs.values(), **arguments(made.model_dump(exclude={"name", "decay"}))
    )  # the stock class, not the lean one
    schedule = Schedule.parse(word)
    for step in range(STEPS_IN_EPOCH * EPOCHS):
        hand.lr = reference.param_groups[0]["lr"] = lr * schedule.factor(step, STEPS_IN_EPOCH, EPOCHS)
        # a slope towards 0 with noise: bounded, and exercising every state
        noise = {key: rng.standard_normal(value.shape) for key, value in start.items()}
        gradients = {key: noise[key] + 0.1 * mine[key] for key in start}
        for key, parameter in theirs.items():
            parameter.grad = torch.from_numpy(noise[key]) + 0.1 * parameter.detach()
        if clip is not None:
            norm = clip_by_global_norm(gradients, clip)
            assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs.values(), clip).item(), rel=1e-9)
        hand.step(gradients)
        reference.step()
    update = np.concatenate([(mine[key] - start[key]).ravel() for key in start])
    reference_update = np.concatenate([(theirs[key].detach().numpy() - start[key]).ravel() for key in start])
    assert norm_gap(update, reference_update) <= 1e-11


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("value", [-0.1, float("nan"), 1.5])
def test_what_pytorch_refuses_is_refused(name: str, value: float) -> None:
    """Each setting at each of these values: where PyTorch raises, so do the settings, before anything is trained."""
    kind, arguments = TORCH[name].kind, TORCH[name].arguments
    fields = [field for field in OPTIMIZERS[name].model_fields if field not in ("name", "decay")]
    defaults = OPTIMIZERS[name]().model_dump(exclude={"name", "decay"})
    for field in fields:
        if isinstance(defaults[field], bool):
            continue
        try:
            kind([torch.zeros(1, requires_grad=True)], **arguments({**defaults, field: value}))
        except ValueError:
            with pytest.raises(SettingsError, match=f"optimizer.{field}={value} is not allowed"):
                build({"task": "moons", "optimizer": name, f"optimizer.{field}": value})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_lean_optimizer_is_pytorchs_own(name: str) -> None:
    """Bit for bit."""
    ends = []
    kind, arguments = TORCH[name].kind, TORCH[name].arguments
    chosen = arguments(OPTIMIZERS[name](weight_decay=0.1).model_dump(exclude={"name", "decay"}))
    for make in (kind, lean(kind)):
        w = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()
        optimizer = make([w], **chosen)
        for _ in range(20):
            optimizer.zero_grad()
            (w.sin() * w).sum().backward()
            optimizer.step()
        ends.append(w.detach())
    assert torch.equal(*ends)
