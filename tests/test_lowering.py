"""Users' modules in the compiled engine: beside PyTorch run for run, what is refused and why, and what a study makes of
them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_weights
from torch import Tensor, nn
from torch.nn import functional

import paribus
from paribus.backends.base import BACKENDS
from paribus.backends.dispatch import resolve, train
from paribus.backends.lowering.prove import prove
from paribus.backends.lowering.recognise import recognise
from paribus.backends.lowering.run import LoweredRun, loops
from paribus.backends.lowering.trace import NotLowered
from paribus.backends.torch.user_code import UserCodeLearner
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.config.user_code import user_defined
from paribus.fused.compile import ready
from paribus.plan import Plan
from paribus.records.record import Status
from paribus.records.run import Run
from paribus.report.show import as_json
from paribus.study.dry_run import expected
from paribus.study.reading import read
from paribus.study.stages import foreseen
from paribus.study.store import Store
from paribus.tasks import Task, load
from paribus.training.isolation import isolated
from paribus.training.sampling import epochs
from tests.conftest import Recorder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 6)).astype(np.float32)
DATA = paribus.data(X, (X[:, 0] * X[:, 1] > 0).astype(int), name="small")
SQUARE = RNG.normal(size=(90, 6, 6)).astype(np.float32)
IMAGES = paribus.data(SQUARE, (SQUARE[:, 0, 0] > 0).astype(int), name="squares")
NUMBERS = paribus.data(X, X[:, 0] * X[:, 1], name="numbers", kind="regression")

Factory = Callable[[], nn.Module]


# --- modules that are perceptrons ------------------------------------------------------------------------------------


def sequential() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


class Functional(nn.Module):
    """Its layers are registered in another order than they are called in."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.middle = nn.Linear(5, 2), nn.Linear(6, 7), nn.Linear(7, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))
        return self.last(torch.tanh(self.middle(x)))  # type: ignore[no-any-return]


def nested() -> nn.Module:
    body = nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.SiLU()), nn.Identity())
    return nn.Sequential(body, nn.Sequential(nn.Linear(5, 2)))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, 7), nn.Linear(7, 2)
        self.blocks = nn.ModuleList(nn.Linear(7, 7) for _ in range(2))
        self.norm = nn.BatchNorm1d(7)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.stem(x))
        x = x + torch.relu(self.norm(self.blocks[0](x)))
        x = torch.add(functional.elu(self.blocks[1](x)), x)
        return self.head(x)  # type: ignore[no-any-return]


def flat() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Sigmoid(), nn.Linear(8, 2))


class Viewed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(36, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x.view(x.size(0), -1)).tanh())  # type: ignore[no-any-return]


class Reshaped(Viewed):
    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.sigmoid(self.one(x.reshape(x.shape[0], 36))))  # type: ignore[no-any-return]


def batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def layer_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2))


def one_unit() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 1), nn.Tanh(), nn.Linear(1, 2))


def no_hidden() -> nn.Module:
    return nn.Linear(6, 2)


def four_hidden() -> nn.Module:
    widths = (6, 9, 8, 7, 5)
    layers: list[nn.Module] = []
    for i, kind in enumerate((nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU)):
        layers += [nn.Linear(widths[i], widths[i + 1]), kind(inplace=True)]
    return nn.Sequential(*layers, nn.Dropout(0.0), nn.Linear(5, 2))


def linear_only() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))


def own_values() -> nn.Module:
    """Initial values of its own, drawn and fixed, those of norms and their statistics too."""
    module = batch_norm()
    nn.init.orthogonal_(module[0].weight)
    nn.init.constant_(module[0].bias, 0.25)
    nn.init.uniform_(module[1].weight, 0.5, 2)
    with torch.no_grad():
        module[1].running_mean.fill_(0.5)
        module[1].running_var.fill_(4.0)
    return module


def wide() -> nn.Module:
    """Layers that BLAS multiplies."""
    return nn.Sequential(
        nn.Linear(6, 130), nn.BatchNorm1d(130), nn.ReLU(), nn.Linear(130, 130), nn.Tanh(), nn.Linear(130, 2)
    )


LOWERED: list[tuple[Factory, Any, str]] = [
    (sequential, DATA, "6 -> 8 relu -> 2"),
    (Functional, DATA, "6 -> 7 relu -> 5 tanh -> 2"),
    (nested, DATA, "6 -> 5 layer norm silu -> 2"),
    (Residual, DATA, "6 -> 7 gelu -> 7 batch norm relu + input -> 7 elu + input -> 2"),
    (flat, IMAGES, "36 -> 8 sigmoid -> 2"),
    (Viewed, IMAGES, "36 -> 4 tanh -> 2"),
    (Reshaped, IMAGES, "36 -> 4 sigmoid -> 2"),
    (batch_norm, DATA, "6 -> 8 batch norm relu -> 2"),
    (layer_norm, DATA, "6 -> 8 layer norm gelu -> 2"),
    (one_unit, DATA, "6 -> 1 tanh -> 2"),
    (no_hidden, DATA, "6 -> 2"),
    (four_hidden, DATA, "6 -> 9 relu -> 8 leaky_relu -> 7 elu -> 5 silu -> 2"),
    (linear_only, DATA, "6 -> 4 -> 2"),
    (own_values, DATA, "6 -> 8 batch norm relu -> 2"),
    (wide, DATA, "6 -> 130 batch norm relu -> 130 tanh -> 2"),
]


def settings_for(module: Factory, data: Any = DATA, name: str = "fused", **more: Any) -> Settings:
    values = {
        "epochs": 3,
        "batch_size": 20,
        "optimizer": "sgd",
        "optimizer.lr": 0.05,
        "optimizer.momentum": 0.9,
        "optimizer.weight_decay": 0.01,
        "clip": 1.0,
        "schedule": "cosine",
        "eval_every": "2steps",
        "precision": "float64",
    }
    given = {**values, "task": data, "model": user_defined(module), "implementation": name, **more}
    return resolve({key: value for key, value in given.items() if value is not None})


def ran(chosen: Settings, seed: int, task: Task, *, pictures: bool = False) -> Recorder:
    recorder = Recorder()
    train([Run(chosen, seed, frozenset({"weights"}), pictures=pictures)], lambda _: task, recorder)
    assert recorder.outcomes[0].status is Status.DONE, recorder.outcomes[0].error
    return recorder


def assert_same(mine: Recorder, theirs: Recorder, rtol: float) -> None:
    """Evaluation by evaluation, and weight by weight under the same names, by their norm."""
    assert [row.step for row in mine.rows] == [row.step for row in theirs.rows]
    for row, other in zip(mine.rows, theirs.rows, strict=True):
        assert row.metrics == pytest.approx(other.metrics, rel=rtol, abs=rtol)
    found, expected_ = mine.outcomes[0].weights, theirs.outcomes[0].weights
    assert found is not None
    assert expected_ is not None
    assert list(found) == list(expected_)
    assert all(found[name].dtype == expected_[name].dtype for name in found)
    gap, size = (
        np.sqrt(sum(np.square(value).sum() for value in values))
        for values in ([found[name] - expected_[name] for name in found], expected_.values())
    )
    assert gap <= rtol * size


@pytest.mark.parametrize(("module", "data", "read_as"), LOWERED, ids=[one.__name__ for one, _, _ in LOWERED])
@pytest.mark.parametrize(("precision", "rtol"), [("float64", 1e-11), ("float32", 3e-5)])
def test_it_trains_as_pytorch_does(module: Factory, data: Any, read_as: str, precision: str, rtol: float) -> None:
    """From the module's own initial values, under its own names; and the caller's generator is untouched."""
    mine, theirs = (settings_for(module, data, name, precision=precision) for name in ("fused", "torch"))
    task, before = load(mine, 0), torch.get_rng_state()
    trial = BACKENDS["fused"].tried(mine, task)
    assert (trial.refusals, trial.found) == ([], read_as)
    for seed in (0, 7):
        assert_same(ran(mine, seed, task), ran(theirs, seed, task), rtol)
    assert torch.equal(torch.get_rng_state(), before)


OPTIMIZERS = (
    {"optimizer": "adam", "optimizer.weight_decay": 0.02},
    {"optimizer": "adamw"},
    {"optimizer": "rmsprop"},
    {"optimizer": "adagrad"},
    {"optimizer": "nadam"},
    {"optimizer": "lion", "optimizer.lr": 1e-3},
    {"optimizer": "muon", "optimizer.momentum": None},
    {"l1": 0.01, "sampler": "replacement", "steps_per_epoch": 4},
)


@pytest.mark.parametrize("words", OPTIMIZERS, ids=[str(one.get("optimizer", "l1")) for one in OPTIMIZERS])
def test_every_optimizer(words: dict[str, Any]) -> None:
    plain = {"optimizer.momentum": None, "optimizer.weight_decay": None} if "optimizer" in words else {}
    mine, theirs = (settings_for(four_hidden, DATA, name, **{**plain, **words}) for name in ("fused", "torch"))
    task = load(mine, 0)
    assert BACKENDS["fused"].refusals(mine, task) == []
    assert_same(ran(mine, 3, task), ran(theirs, 3, task), 1e-9)


def one_number() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))


@pytest.mark.parametrize("loss", ["mse", "huber", "quantile:0.9"])
def test_numbers_to_predict(loss: str) -> None:
    mine, theirs = (settings_for(one_number, NUMBERS, name, loss=loss) for name in ("fused", "torch"))
    task = load(mine, 0)
    assert BACKENDS["fused"].refusals(mine, task) == []
    assert_same(ran(mine, 3, task), ran(theirs, 3, task), 1e-11)


KINDS: list[tuple[str, Callable[[int], nn.Module]]] = [
    ("linear", lambda units: nn.Linear(units, units)),
    ("narrower", lambda units: nn.Linear(units, max(units - 1, 1))),
    ("relu", lambda _: nn.ReLU()),
    ("tanh", lambda _: nn.Tanh()),
    ("gelu", lambda _: nn.GELU()),
    ("batch", nn.BatchNorm1d),
    ("layer", nn.LayerNorm),
    ("flatten", lambda _: nn.Flatten()),
    ("nothing", lambda _: nn.Dropout(0.0)),
    ("softplus", lambda _: nn.Softplus()),
]


@given(words=st.lists(st.sampled_from([name for name, _ in KINDS]), max_size=9))
@settings(max_examples=60)
def test_whatever_is_recognised_is_the_same(words: list[str]) -> None:
    """Of any chain of layers: what is read without an error computes the same, its gradients and its statistics too."""
    makers = dict(KINDS)

    def chain() -> nn.Module:
        layers, units = [], 6
        for word in words:
            layers.append(makers[word](units))
            units = layers[-1].out_features if isinstance(layers[-1], nn.Linear) else units
        return nn.Sequential(*layers, nn.Linear(units, 2))

    try:
        recognise(chain(), (6,))
    except NotLowered:
        return
    chosen = settings_for(chain, clip=None)
    task, plan = load(chosen, 0), Plan(5)
    ready("float64", print, loops(chosen, task))
    mine = LoweredRun(chosen, task, plan, list(task.splits))
    (state,) = plan.generator_states(0, 1)
    with isolated(state):
        theirs = UserCodeLearner(chosen.with_copies(), task, plan)
        batches = next(epochs(chosen, plan, len(task.train)))
        mine.engine.step()
        theirs.begin_epoch(0, batches)
        theirs.step(batches[0], 0)
        for name, value in theirs.weights().items():
            np.testing.assert_allclose(mine.weights()[name], value, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(mine.logits(task.test.x), theirs.logits(task.test.x), rtol=1e-9, atol=1e-11)


# --- what is refused -------------------------------------------------------------------------------------------------


class Scaled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


_SWITCH = {"calls": 0}


class Odd(nn.Module):
    """Two layers, and something that the engine has not, by its kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.one, self.two, self.calls = kind, nn.Linear(6, 6), nn.Linear(6, 2), 0
        self.norm: nn.Module = nn.Identity()
        match kind:
            case "no bias":
                self.one = nn.Linear(6, 6, bias=False)
            case "unused":
                self.left = nn.Linear(2, 2)
            case "buffer":
                self.register_buffer("kept", torch.zeros(3))
            case "hook of a layer":
                self.one.register_forward_hook(lambda _module, _inputs, output: 2 * output)
            case "hook of a weight":
                self.one.weight.register_hook(lambda gradient: 3 * gradient)
            case "subclass":
                self.one = Scaled(6, 6)
            case "parametrised":
                nn.utils.parametrizations.weight_norm(self.one)
            case "frozen":
                self.one.weight.requires_grad_(requires_grad=False)
            case "tied":
                self.again = nn.Linear(6, 6)
                self.again.weight = self.one.weight
            case "eps":
                self.norm = nn.BatchNorm1d(6, eps=1e-3)
            case "momentum":
                self.norm = nn.BatchNorm1d(6, momentum=0.2)
            case "plain norm":
                self.norm = nn.LayerNorm(6, elementwise_affine=False)
            case "norm in evaluation":
                self.norm = nn.BatchNorm1d(6)
            case "seeds" if torch.rand(()) < 0.5:
                self.norm = nn.LayerNorm(6)
            case "replaced":
                self.one.forward = lambda x: x  # type: ignore[method-assign,assignment]

    def train(self, mode: bool = True) -> nn.Module:  # noqa: FBT002 (its signature is PyTorch's)
        super().train(mode)
        if self.kind == "norm in evaluation":
            self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        match self.kind:
            case "shared":
                return self.two(torch.relu(self.one(torch.relu(self.one(x)))))
            case "tied":
                return self.two(torch.relu(self.again(torch.relu(self.one(x)))))
            case "training" if self.training:
                return self.two(torch.tanh(self.one(x)))
            case "values" if x.mean() > 0:
                return self.two(x)
            case "counts":
                self.calls += 1
            case "outside" if self.training:
                _SWITCH["calls"] += 1
            case "draws":
                x = x + torch.randn(6)
            case "drops by chance" if torch.rand(()) < 0.5:
                return self.two(x)
            case "last":
                return torch.tanh(self.two(torch.relu(self.one(x))))
            case "detached":
                return self.two(torch.relu(self.one(x)).detach())
            case "no gradient":
                with torch.no_grad():
                    x = torch.relu(self.one(x))
                return self.two(x)
            case "evaluation" if not torch.is_grad_enabled():
                return self.two(torch.tanh(self.one(x)))
            case "saved otherwise":
                with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: 1.01 * t):
                    return self.two(torch.relu(self.one(x)))
            case "two layers back":
                return self.two(x + self.one(torch.relu(self.one(x))))
            case "other sum":
                return self.two(torch.relu(self.one(x)) + torch.tanh(x))
            case "alpha":
                return self.two(torch.add(x, torch.relu(self.one(x)), alpha=2))
            case "slope":
                return self.two(functional.leaky_relu(self.one(x), 0.2))
            case "approximate":
                return self.two(functional.gelu(self.one(x), approximate="tanh"))
            case "columns":
                return self.two(torch.relu(self.one(x.flip(1))))
            case "dropout":
                return self.two(functional.dropout(torch.relu(self.one(x)), 0.3, self.training))
            case "late norm":
                return self.two(functional.layer_norm(torch.relu(self.one(x)), (6,)))
        return self.two(torch.relu(self.norm(self.one(x))))


REASONS = {
    "no bias": "one has no bias",
    "unused": "its forward does not use left.weight",
    "buffer": "its forward does not use kept",
    "hook of a layer": "one (Linear) has hooks",
    "hook of a weight": "one.weight has hooks",
    "subclass": "one is a Scaled, a subclass of nn.Linear",
    "parametrised": "one (ParametrizedLinear) has hooks",
    "frozen": "one.weight is frozen",
    "tied": "one.weight and again.weight are one parameter",
    "eps": "norm has eps=0.001, and the engine 1e-05",
    "momentum": "norm has momentum=0.2, and the engine 0.1",
    "plain norm": "norm has elementwise_affine=False, and the engine True",
    "norm in evaluation": "a part of it stays in evaluation",
    "seeds": "its module differs from seed to seed in the class of norm",
    "replaced": "the forward of one (Linear) was replaced",
    "shared": "one is called more than once",
    "training": "its forward is another in training than in evaluation",
    "values": "what it does depends on the values of a tensor",
    "counts": "its forward changes the attribute calls",
    "outside": "its forward changes something outside of the module",
    "draws": "its forward draws random numbers",
    "drops by chance": "its forward draws random numbers",
    "last": "an activation follows its last linear layer",
    "detached": "the compiled engine has no .detach()",
    "no gradient": "the loss does not depend on its one.weight in PyTorch",
    "evaluation": "its outputs in evaluation differ from PyTorch's by",
    "saved otherwise": "the gradient of one.weight differs from PyTorch's by",
    "two layers back": "one is called more than once",
    "other sum": "tanh() is not given what comes before it",
    "alpha": "add() adds something else than the input of the layer before it",
    "slope": "leaky_relu() has negative_slope=0.2, and the engine 0.01",
    "approximate": "gelu() has approximate=tanh, and the engine none",
    "columns": "the compiled engine has no .flip()",
    "dropout": "its forward is another in training than in evaluation",
    "late norm": "the compiled engine has no layer_norm()",
}


@pytest.mark.parametrize("kind", REASONS)
def test_what_is_no_perceptron_is_refused_with_the_reason(kind: str) -> None:
    """In one line, before anything is trained; nothing of the module is changed by that, and torch trains it."""
    module = Odd(kind).double()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [one.training for one in module.modules()]
    calls = module.calls
    try:
        recognise(module, (6,))
    except NotLowered:
        assert module.calls in (calls, calls + 3)
    assert [one.training for one in module.modules()] == modes
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    chosen = settings_for(lambda: Odd(kind))
    task = load(chosen, 0)
    refusals = BACKENDS["fused"].refusals(chosen, task)
    assert len(refusals) == 1
    assert REASONS[kind] in refusals[0]
    assert refusals[0].startswith("implementation=fused cannot train model=")
    assert refusals[0].endswith("; take implementation=torch, or auto")
    assert "\n" not in refusals[0]
    assert BACKENDS["torch"].refusals(settings_for(lambda: Odd(kind), name="torch"), task) == []


def test_dropout_is_refused_as_its_masks_are_pytorchs() -> None:
    chosen = settings_for(lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)))
    with pytest.raises(NotLowered, match=r"^2 \(Dropout\) draws its masks from PyTorch's generator"):
        prove(chosen, load(chosen, 0))


def test_batch_normalisation_over_a_large_batch_is_refused() -> None:
    many = paribus.data(np.tile(X, (3, 1)), np.tile((X[:, 0] > 0).astype(int), 3), name="many")
    chosen = settings_for(batch_norm, many, batch_size=200)
    with pytest.raises(NotLowered, match="batch_size=200"):
        prove(chosen, load(chosen, 0))


def test_a_view_that_takes_one_size_of_batch_alone_is_refused() -> None:
    class OneSize(Viewed):
        def forward(self, x: Tensor) -> Tensor:
            return self.two(torch.tanh(self.one(x.view(24, 36))))  # type: ignore[no-any-return]

    with pytest.raises(NotLowered, match=r"^\.view\(\) does not take 3 examples"):
        recognise(OneSize(), (6, 6))


def test_a_part_of_the_features_is_refused() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.one(x[:, 0])  # type: ignore[no-any-return]

    with pytest.raises(NotLowered, match="not all their features"):
        recognise(Rows(), (6, 6))


def test_a_step_of_another_optimizer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though outputs and gradients are the same."""
    chosen = settings_for(sequential, **{"optimizer": "adam", "optimizer.momentum": None})
    task = load(chosen, 0)
    prove(chosen, task)
    once = LoweredRun.__init__

    def other(self: LoweredRun, settings: Settings, *rest: Any) -> None:
        if settings.optimizer.name == "adam":
            settings = settings.model_copy(
                update={"optimizer": settings.optimizer.model_copy(update={"weight_decay": 0.5})}
            )
        once(self, settings, *rest)

    monkeypatch.setattr(LoweredRun, "__init__", other)
    with pytest.raises(NotLowered, match="a step of adam differs from PyTorch's by"):
        prove(chosen, task)


# --- looks -----------------------------------------------------------------------------------------------------------


def test_it_is_looked_at_as_by_torch_and_looking_changes_nothing() -> None:
    mine, theirs = (settings_for(Residual, DATA, name) for name in ("fused", "torch"))
    task = load(mine, 0)
    looked, plain, by_torch = ran(mine, 3, task, pictures=True), ran(mine, 3, task), ran(theirs, 3, task, pictures=True)
    assert_same(looked, plain, 0.0)
    assert plain.outcomes[0].pictures.vitals is None
    found, alone = looked.outcomes[0].pictures.vitals, by_torch.outcomes[0].pictures.vitals
    assert found is not None
    assert alone is not None
    assert found.layers == alone.layers == ["stem", "blocks.0", "blocks.1", "head"]
    for name, value in vars(alone).items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-6, atol=1e-12, err_msg=name)


# --- studies ---------------------------------------------------------------------------------------------------------


def dropped() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))


SMALL: dict[str, Any] = {"epochs": 2, "batch_size": 20, "lr": 0.1}


def backends_of(folder: Path) -> dict[str, object]:
    return {arm.name: arm.settings["implementation"] for arm in read(folder).arms}


def test_auto_takes_it_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the record, in `show --json` and before training; of what stays with torch `--dry-run` alone tells why."""
    study = paribus.compare(
        DATA, model=[sequential, dropped], seeds=3, keep="weights,predictions", out=tmp_path, **SMALL
    )
    said = capsys.readouterr().err
    assert backends_of(tmp_path) == {"model=sequential": "fused", "model=dropped": "torch"}
    line = "model=sequential is trained by fused: it is 6 -> 8 relu -> 2, which comes to the same as by torch"
    assert said.count(line) == 1
    assert "Dropout" not in said
    record = read(tmp_path)
    assert record.backends["model=sequential"] == line
    why = record.backends["model=dropped"]
    assert why.startswith("model=dropped is trained by torch: implementation=fused cannot train model=dropped: 2 (Drop")
    assert not why.endswith("auto")
    shown = as_json(study.findings)
    assert [one["backend"] for one in json.loads(json.dumps(shown))["arms"]] == [line, why]
    store = Store.open(tmp_path)
    kept = store.artifact("model=sequential", 0, "weights")
    assert store.artifact("model=sequential", 0, "predictions") is not None
    store.close()
    assert kept is not None
    module = sequential()
    module.load_state_dict({name: torch.from_numpy(value) for name, value in load_weights(kept).items()})


def asked(folder: Path, model: Any, **more: Any) -> Any:
    """What a study would be, as `--dry-run` tells it."""
    from paribus.study.spec import request

    models = model if isinstance(model, list) else [model]
    options = {key: more.pop(key) for key in ("timing", "tune") if key in more}
    values = {"epochs": [2], "batch_size": [20], "lr": [0.1], **{key: [one] for key, one in more.items()}}
    given_ = {"task": [DATA], "model": [user_defined(one) for one in models], **values}
    return request("", [], compare=len(models) > 1, seeds=[0, 1], given=given_, out=folder, **options)


def chosen_for(spec: Any) -> list[str]:
    stage = foreseen(spec)[-1]
    return [arm.settings.backend for arm in stage.design.arms]


def test_a_dry_run_tells_why_each_backend_is_taken(tmp_path: Path) -> None:
    (stage,) = foreseen(asked(tmp_path / "s", [sequential, dropped]))
    notes = expected(stage).notes
    assert any(one.startswith("model=sequential is trained by fused") for one in notes)
    assert any(one.startswith("model=dropped is trained by torch") and "(Dropout)" in one for one in notes)


def test_a_study_that_torch_began_goes_on_by_torch(tmp_path: Path) -> None:
    """Also with further modules; its runs are extended, not trained anew."""
    paribus.compare(
        DATA, model=[sequential, dropped], seeds=2, out=tmp_path, implementation="torch", fresh=False, **SMALL
    )
    before = {arm.name: [run.curve["test_loss"] for run in arm.runs] for arm in read(tmp_path).arms}
    paribus.compare(DATA, model=[sequential, dropped], seeds=3, out=tmp_path, **SMALL)
    assert backends_of(tmp_path) == {"model=sequential": "torch", "model=dropped": "torch"}
    for arm in read(tmp_path).arms:
        assert len(arm.runs) == 3
        for run, curve in zip(arm.runs, before[arm.name], strict=False):
            np.testing.assert_array_equal(run.curve["test_loss"], curve)
    assert "goes on so" in read(tmp_path).backends["model=sequential"]
    paribus.compare(DATA, model=[sequential, dropped, batch_norm], seeds=3, out=tmp_path, **SMALL)
    assert backends_of(tmp_path)["model=batch_norm"] == "torch"


def test_a_study_that_began_compiled_goes_on_so(tmp_path: Path) -> None:
    for seeds in (2, 3):
        paribus.compare(DATA, model=[sequential, layer_norm], seeds=seeds, out=tmp_path, **SMALL)
    assert set(backends_of(tmp_path).values()) == {"fused"}
    assert [len(arm.runs) for arm in read(tmp_path).arms] == [3, 3]


def test_it_is_the_same_alone_and_beside_others(tmp_path: Path) -> None:
    """With several threads, and in a process of its own: bit for bit."""
    for name, jobs in (("one", 1), ("two", 2)):
        paribus.compare(DATA, model=[sequential, batch_norm], seeds=3, out=tmp_path / name, jobs=jobs, **SMALL)
    paribus.train(DATA, model=batch_norm, seeds=1, out=tmp_path / "alone", timing=True, **SMALL)
    one, two, alone = (
        [run.curve["test_loss"] for arm in read(tmp_path / name).arms for run in arm.runs]
        for name in ("one", "two", "alone")
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[3], alone[0])
    assert set(backends_of(tmp_path / "alone").values()) == {"fused"}


def test_by_name_it_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        paribus.train(DATA, model=dropped, implementation="fused", out=tmp_path / "s", **SMALL)
    assert len(caught.value.mistakes) == 1
    assert "2 (Dropout) draws its masks" in caught.value.mistakes[0]
    assert not (tmp_path / "s").exists()


def test_where_seconds_are_compared_all_are_trained_by_one_backend(tmp_path: Path) -> None:
    assert chosen_for(asked(tmp_path / "a", [sequential, dropped])) == ["fused", "torch"]
    assert chosen_for(asked(tmp_path / "b", [sequential, dropped], timing=True)) == ["torch", "torch"]
    assert chosen_for(asked(tmp_path / "c", [sequential, batch_norm], timing=True)) == ["fused", "fused"]


def test_what_is_tuned_has_to_be_in_the_engine_too(tmp_path: Path) -> None:
    assert chosen_for(asked(tmp_path / "a", sequential, tune=[("lr", [0.1, 0.01])])) == ["fused"]
    assert chosen_for(asked(tmp_path / "b", sequential, tune=[("label_smoothing", [0.0, 0.1])])) == ["torch"]


@pytest.mark.parametrize("words", [{"implementation": "torch"}, {"label_smoothing": 0.1}, {"threads": 2}])
def test_what_is_asked_for_is_left_as_it_is(tmp_path: Path, words: dict[str, Any]) -> None:
    assert chosen_for(asked(tmp_path / "s", sequential, **words)) == ["torch"]


def test_a_tuned_study_trains_all_its_candidates_by_one_backend(tmp_path: Path) -> None:
    for seeds in (2, 3):
        paribus.compare(
            DATA, model=[sequential, layer_norm], seeds=seeds, tune={"lr": [0.1, 0.01]}, tune_seeds=1, out=tmp_path,
            epochs=2, batch_size=20,
        )  # fmt: skip
    for folder in (tmp_path, tmp_path / "tuning", tmp_path / "shared"):
        assert set(backends_of(folder).values()) == {"fused"}
