"""Many runs in one computation, beside `torch` run for run; runs that diverge, stop or raise; and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import paribus
from paribus.backends.base import BACKENDS
from paribus.backends.dispatch import resolve, train
from paribus.backends.stacked import runner
from paribus.backends.stacked.modules import Modules
from paribus.backends.stacked.recurrent import go_by_steps
from paribus.config.settings import Settings
from paribus.config.user_code import UserDefined, user_defined
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Callback, Run
from paribus.tasks import Task, load
from tests.conftest import settings_of


class Together(Callback):
    """What is told of each run, by its place among them."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self.told: dict[int, list[str]] = {}
        self.rows: dict[int, list[Evaluation]] = {}
        self.outcomes: dict[int, Outcome] = {}

    def _place(self, run: Run) -> int:
        return next(place for place, one in enumerate(self._runs) if one is run)

    def on_run_begin(self, run: Run) -> None:
        self.told.setdefault(self._place(run), []).append("begin")

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.told[self._place(run)].append("row")
        self.rows.setdefault(self._place(run), []).append(row)

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        self.told[self._place(run)].append("end")
        self.outcomes[self._place(run)] = outcome


def trained(arms: Sequence[Settings], seeds: Sequence[int], task: Task | None = None, **more: Any) -> Together:
    runs = [Run(one, seed, frozenset({"weights"}), **more) for one in arms for seed in seeds]
    told = Together(runs)
    outcomes = train(runs, lambda run: task or load(run.network, run.seed), told)
    assert outcomes == [told.outcomes[place] for place in range(len(runs))]
    return told


def assert_same(stacked: Together, alone: Together, rtol: float) -> None:
    """Run for run: the same evaluations and weights, and the same end."""
    assert stacked.outcomes.keys() == alone.outcomes.keys()
    for place, one in alone.outcomes.items():
        mine = stacked.outcomes[place]
        assert (mine.status, mine.epochs, mine.error) == (one.status, one.epochs, one.error)
        rows, others = stacked.rows.get(place, []), alone.rows.get(place, [])
        assert [row.step for row in rows] == [row.step for row in others]
        for row, other in zip(rows, others, strict=True):
            assert row.metrics == pytest.approx(other.metrics, rel=rtol, abs=rtol)
            assert row.meters.keys() == other.meters.keys()
            for name in {"gradient_norm", "clipped_share"} & other.meters.keys():
                assert row.meters[name] == pytest.approx(other.meters[name], rel=rtol)
        if one.weights is not None:
            assert mine.weights is not None
            assert list(mine.weights) == list(one.weights)
            gap, size = (
                np.sqrt(sum(np.square(value).sum() for value in values))
                for values in ([mine.weights[n] - one.weights[n] for n in one.weights], one.weights.values())
            )
            assert gap <= rtol * size


def beside(words: str | Sequence[str], seeds: Sequence[int] = (0, 1, 2), rtol: float = 1e-11, **more: Any) -> Together:
    """Trained by both; returns what was told of the stack."""
    each = [words] if isinstance(words, str) else words
    found = [
        trained([settings_of(f"{one} implementation={name}") for one in each], seeds, **more)
        for name in ("stacked", "torch")
    ]
    assert_same(*found, rtol)
    return found[0]


MOONS = "task=moons epochs=2 eval_every=5steps batch_size=64 precision=float64"

OPTIMIZERS = (
    "sgd lr=0.1",
    "sgd lr=0.05 momentum=0.9 weight_decay=0.01 decay=weights",
    "sgd lr=0.05 momentum=0.8 dampening=0.3",
    "sgd lr=0.05 momentum=0.7 nesterov=true weight_decay=0.1 decoupled=true decay=weights",
    "adam lr=0.01 weight_decay=0.02 beta1=0.8",
    "adamw lr=0.01 weight_decay=0.1 beta2=0.9 eps=1e-6",
    "rmsprop lr=0.005",
    "rmsprop lr=0.005 centered=true momentum=0.5 alpha=0.9 eps=1e-4",
    "adagrad lr=0.1 lr_decay=0.1 initial_accumulator_value=0.2",
    "nadam lr=0.01 weight_decay=0.1 momentum_decay=0.01",
    "lion lr=0.001 weight_decay=0.1",
)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_that_of_torch(optimizer: str) -> None:
    beside(f"{MOONS} optimizer={optimizer} hidden=9x7 dropout=0.3")


def test_every_optimizer_that_it_claims_is_tried_here() -> None:
    assert {one.split()[0] for one in OPTIMIZERS} == set(BACKENDS["stacked"].optimizers or ())


OTHERS = (
    "task=moons clip=0.3 schedule=cosine:0.1",
    "task=moons l1=0.01 schedule=plateau:0.5:1 validation=0.2 optimizer=sgd lr=3 momentum=0.9 epochs=12",
    "task=moons hidden=8x8 norm=batch skip=true activation=tanh optimizer=sgd lr=0.1",
    "task=moons hidden=8 norm=layer label_smoothing=0.1 eval_train=50 sampler=replacement steps_per_epoch=3",
    "task=moons split=by_seed validation=0.2",
    "task=circles loss=binary",
    "task=sine loss=huber",
    "task=friedman loss=quantile:0.9 split=by_seed standardise=true",
    "task=moons batch_size=5000",
    "task=moons epochs=0",
)


@pytest.mark.parametrize("words", OTHERS)
def test_every_setting_has_the_meaning_that_it_has_in_torch(words: str) -> None:
    fixed = "" if "epochs" in words.replace("steps_per_epoch", "") else "epochs=2"
    beside(f"{words} {fixed} precision=float64 eval_every=1")


@pytest.mark.parametrize(
    "model",
    [
        "task=digits model=cnn width=0.125",
        *(f"task=palindrome length=4 model={one} hidden=5" for one in ("rnn", "lstm", "gru")),
    ],
)
@pytest.mark.parametrize(("precision", "rtol"), [("float64", 1e-11), ("float32", 3e-5)])
def test_every_model_is_that_of_torch(model: str, precision: str, rtol: float) -> None:
    small = "batch_size=8 sampler=replacement steps_per_epoch=3 epochs=2 optimizer=sgd lr=0.05 momentum=0.9 clip=1"
    beside(f"{model} {small} precision={precision}", (0, 1), rtol)


@pytest.mark.parametrize("count", [1, 7])
def test_any_number_of_runs(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the last stack is short."""
    monkeypatch.setattr(runner, "AT_ONCE", 3)
    told = beside(MOONS, range(count))
    assert all(one[0] == "begin" and one[-1] == "end" and "row" in one for one in told.told.values())


def test_arms_that_differ_in_numbers_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own rate, decay, momentum, schedule, clipping, penalty and initial values; others apart."""
    arms = [
        MOONS,
        f"{MOONS} lr=0.3 weight_decay=0.1 momentum=0.9",
        f"{MOONS} clip=0.01 schedule=exponential:0.5 l1=0.01 init=xavier_normal momentum=0.5 dampening=0.2",
    ]
    sizes = [
        len(group)
        for group in runner.stacks(
            [
                Run(settings_of(f"{one} implementation=stacked"), seed)
                for one in (*arms, f"{MOONS} hidden=7")
                for seed in (0, 1)
            ]
        )
    ]
    assert sizes == [6, 2]
    beside([*arms, f"{MOONS} hidden=7"], (0, 1))


def test_a_run_that_diverges_stops_alone() -> None:
    """In its own epoch, with its own words; the others go on as if it were not there, to the last bit."""
    calm, wild = f"{MOONS} optimizer=sgd lr=0.1", f"{MOONS} optimizer=sgd lr=1e200"
    told = beside([calm, wild, calm], (0, 1))
    assert [told.outcomes[place].status for place in range(6)] == [Status.DONE] * 2 + [Status.DIVERGED] * 2 + [
        Status.DONE
    ] * 2
    still = trained([settings_of(f"{one} implementation=stacked") for one in (calm, calm, calm)], (0, 1))
    for place in (0, 1, 4, 5):
        for name, value in (still.outcomes[place].weights or {}).items():
            np.testing.assert_array_equal((told.outcomes[place].weights or {})[name], value)


def test_runs_are_the_same_again_at_the_same_number_of_them() -> None:
    one, other = (trained([settings_of(f"{MOONS} implementation=stacked dropout=0.2")], range(5)) for _ in range(2))
    for place in range(5):
        assert [row.metrics for row in one.rows[place]] == [row.metrics for row in other.rows[place]]


def test_a_share_of_the_time_is_each_runs() -> None:
    """The seconds of all runs together are those that passed."""
    begun = perf_counter()
    told = trained([settings_of(f"{MOONS} implementation=stacked")], range(8))
    passed = perf_counter() - begun
    last = [rows[-1] for rows in told.rows.values()]
    assert 0 < sum(row.train_seconds + row.eval_seconds for row in last) <= passed
    assert all(row.train_seconds > 0 and row.eval_seconds > 0 for row in last)


# --- modules of the user's own ---

X = np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32)
DATA = paribus.data(X, (X[:, 0] * X[:, 1] > 0).astype(int), name="small")


def users(module: Callable[[], nn.Module], name: str, **more: Any) -> Settings:
    values = {
        "epochs": 3,
        "batch_size": 20,
        "optimizer.lr": 0.05,
        "optimizer": "sgd",
        "precision": "float64",
        "eval_every": 1,
    }
    return resolve({**values, "task": DATA, "model": user_defined(module), "implementation": name, **more})


def small_data(_: Run | None = None) -> Task:
    return load(users(noisy, "torch"), 0)


def noisy() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(0.4), nn.ReLU(), nn.Linear(8, 5), nn.Dropout(0.2, inplace=True), nn.Linear(5, 2)
    )  # fmt: skip


class Tied(nn.Module):
    """Weights used twice, a frozen parameter, a buffer that training moves, dropout called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.again.weight = self.first.weight
        self.scale = nn.Parameter(torch.rand(6), requires_grad=False)
        self.drop = nn.Dropout(0.3)
        self.register_buffer("seen", torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen.mul_(0.9).add_(0.1 * x.mean(dim=0))
        x = self.drop(torch.tanh(self.first(x * self.scale + self.seen)))
        return self.last(self.drop(torch.relu(self.again(x))))


class Recurrent(nn.Module):
    """A recurrent layer of PyTorch's on the columns."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(2, 4, num_layers=2, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.lstm(x.view(len(x), 3, 2))[0][:, -1])


@pytest.mark.parametrize("module", [noisy, Tied, Recurrent])
@pytest.mark.parametrize(("precision", "rtol"), [("float64", 1e-11), ("float32", 3e-5)])
def test_a_module_of_the_users_is_that_of_torch(module: Callable[[], nn.Module], precision: str, rtol: float) -> None:
    """Initial values, dropout masks, buffers, batches: all as it has them alone, and the caller's generator untouched."""
    alone, together = (users(module, name, precision=precision) for name in ("torch", "stacked"))
    task = small_data()
    assert BACKENDS["stacked"].refusals(together, task) == []
    before = torch.get_rng_state()
    mine = trained([together], range(4), task)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(mine, trained([alone], range(4), task), rtol)


class Draws(nn.Module):
    """What cannot be computed for many runs at once, by its kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.linear, self.calls, self.mean = kind, nn.Linear(6, 2), 0, torch.zeros(6)
        if kind == "attribute":
            self.slope = float(torch.rand(()))
        if kind == "hook":
            self.linear.weight.register_hook(lambda g: 3 * g)
        if kind == "unused":
            self.unused = nn.Parameter(torch.ones(2))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        match self.kind:
            case "noise":
                x = x + 0.1 * torch.randn_like(x)
            case "numpy":
                x = x + float(np.random.normal())  # noqa: NPY002
            case "branch":
                x = -x if x.mean() > 0 else x
            case "item":
                x = x * x.std().item()
            case "shared":
                self.mean.copy_(x.detach().float().mean(dim=0))
            case "counter":
                self.calls += 1
            case "evaluation" if not self.training:
                self.count.add_(1)
            case "reassigned" if self.training:
                self.count = self.count + 1
        return self.linear(x)


REFUSED = {
    "noise": "its forward draws random numbers, and only nn.Dropout can be given",
    "numpy": "draws from NumPy's or Python's generator|not what they are alone",
    "branch": "reads a number out of a tensor",
    "item": "reads a number out of a tensor",
    "shared": "writes each run's numbers into one tensor that all runs share",
    "counter": "changes the attribute calls, which all runs share",
    "evaluation": "evaluating it changes count",
    "reassigned": "not what they are alone|changes",
    "attribute": "differs from seed to seed in the attribute slope",
    "hook": "not what they are alone",
    "unused": "does not depend on the parameter unused",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_go_together_is_refused_with_the_reason_and_torch_takes_it(kind: str) -> None:
    task = small_data()
    (refusal,) = BACKENDS["stacked"].refusals(users(lambda: Draws(kind), "stacked"), task)
    assert refusal.startswith("implementation=stacked cannot compute runs of model=")
    assert refusal.endswith("; take implementation=torch")
    assert re.search(REFUSED[kind], refusal), refusal
    assert BACKENDS["torch"].refusals(users(lambda: Draws(kind), "torch"), task) == []


def test_what_torch_refuses_is_refused_in_the_same_words() -> None:
    wrong = lambda: nn.Linear(6, 3)  # noqa: E731
    task = small_data()
    assert (
        BACKENDS["stacked"].refusals(users(wrong, "stacked"), task)
        == BACKENDS["torch"].refusals(users(wrong, "torch"), task)
        != []
    )


@pytest.mark.parametrize(
    "words",
    [
        "optimizer=muon hidden=8x8x8",
        "clip=1 precision=bf16",
        "validation=0.2 patience=3",
        "loader=dataloader",
        "compile=true",
    ],
)
def test_settings_that_it_has_not_are_refused_before_anything_is_trained(words: str) -> None:
    with pytest.raises(paribus.config.overrides.SettingsError, match="implementation=stacked"):
        settings_of(f"task=moons {words} implementation=stacked")


@settings(max_examples=25)
@given(
    kind=st.sampled_from([nn.LSTM, nn.GRU]), layers=st.integers(1, 3), inputs=st.integers(1, 3), hidden=st.integers(1, 4),
    steps=st.integers(1, 4), bias=st.booleans(), first=st.booleans(), begun=st.booleans(), examples=st.integers(0, 3),
)  # fmt: skip
def test_recurrent_layers_go_by_steps_as_pytorchs_own(
    kind: Any, layers: int, inputs: int, hidden: int, steps: int, bias: bool, first: bool, begun: bool, examples: int
) -> None:
    """Outputs and last states; `examples` 0: one sequence without their axis."""
    torch.manual_seed(0)
    layer = kind(inputs, hidden, num_layers=layers, bias=bias, batch_first=first, dtype=torch.float64)
    many = () if not examples else (examples,)
    x = torch.randn(*((*many, steps) if first else (steps, *many)), inputs, dtype=torch.float64)
    h, c = (torch.randn(layers, *many, hidden, dtype=torch.float64) for _ in range(2))
    given = () if not begun else ((h, c),) if kind is nn.LSTM else (h,)
    expected = layer(x, *given)
    go_by_steps(layer)
    torch.testing.assert_close(layer(x, *given), expected, rtol=1e-12, atol=1e-12)


def test_masks_are_those_that_pytorchs_dropout_draws() -> None:
    """From the same generator, layer after layer."""
    module = nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 4), nn.Dropout(0.0), nn.Dropout(0.6)).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.manual_seed(7)
    expected = module(x)
    found = Modules([module], drops=True)
    assert found.masks is not None
    masks = found.masks.drawn(found.masks.calls(module, x), [7])
    outputs = found.call(x[None], lambda outputs, _: outputs, torch.zeros(1), masks)
    torch.testing.assert_close(outputs[0], expected, rtol=1e-14, atol=1e-14)


# --- what a run's surroundings may do ---


def failing(y: np.ndarray, predicted: np.ndarray) -> float:
    if predicted.mean() > 0.5:
        raise ValueError("too many")
    return 1.0


def test_a_metric_that_raises_fails_its_own_run() -> None:
    words = f"{MOONS} implementation=stacked"
    metric: UserDefined = user_defined(failing)
    plain = trained([settings_of(words)], range(6))
    told = trained([settings_of(words)], range(6), metrics=(metric,))
    failed = [place for place in range(6) if told.outcomes[place].status is Status.FAILED]
    assert 0 < len(failed) < 6
    for place in set(range(6)) - set(failed):
        assert told.outcomes[place].status is Status.DONE
        assert told.rows[place][-1].metrics["test_loss"] == plain.rows[place][-1].metrics["test_loss"]
    assert all("ValueError: too many" in (told.outcomes[place].error or "") for place in failed)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_a_callback_raises_is_raised_again(error: type[BaseException]) -> None:
    """Ctrl-C ends all runs on their way as interrupted."""

    class Stops(Together):
        def on_evaluation(self, run: Run, row: Evaluation) -> None:
            super().on_evaluation(run, row)
            if self._place(run) == 1 and len(self.rows[1]) == 2:
                raise error("now")

    runs = [Run(settings_of(f"{MOONS} implementation=stacked"), seed) for seed in range(3)]
    told = Stops(runs)
    with pytest.raises(error, match="now"):
        train(runs, lambda run: load(run.network, run.seed), told)
    if error is KeyboardInterrupt:
        assert [told.outcomes[place].status for place in range(3)] == [Status.INTERRUPTED] * 3


def test_a_whole_study(tmp_path: Any) -> None:
    """With pictures, metrics, predictions and verdicts, as of every backend."""
    words: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 20,
        "seeds": 4,
        "keep": ["weights", "predictions", "best"],
        "validation": 0.2,
    }
    studies = [
        paribus.compare(DATA, model={"a": noisy, "b": Tied}, implementation=name, out=tmp_path / name, **words)
        for name in ("stacked", "torch")
    ]
    one, other = (study.curves() for study in studies)
    assert len(one) == len(other) > 0
    for column in ("train_loss", "test_loss", "validation_accuracy"):
        np.testing.assert_allclose(one[column], other[column], rtol=1e-4)
