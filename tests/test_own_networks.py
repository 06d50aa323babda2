"""A user's hand-written network as an implementation: it is the twin of numpy and torch, or is told what it is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import paribus
from paribus.backends import stepwise
from paribus.backends.base import backend_of
from paribus.backends.dispatch import resolve, train
from paribus.backends.network.kept import first_difference
from paribus.byhand.layers import SoftmaxCrossEntropy
from paribus.byhand.losses import CrossEntropyOfProbabilities, WeightedCrossEntropy
from paribus.config.overrides import SettingsError, parse_overrides
from paribus.config.settings import Settings
from paribus.config.user_code import user_defined
from paribus.handwritten.places import gradients, parameters
from paribus.records.record import Status
from paribus.records.run import Run
from paribus.records.vitals import Vitals
from paribus.study.reading import read
from paribus.study.store import StoreError
from paribus.tasks import load
from paribus.training.loop import fit
from tests.conftest import Called, Recorder, final_weights
from tests.helpers import assert_same_curves, kills_itself, let_end
from tests.own_networks import (
    DEEP,
    SHALLOW,
    Array,
    Layers,
    Linear,
    Lists,
    Numbered,
    ReLU,
    SoftMax,
    TwoLayerNet,
    WithSoftmax,
    WithTanh,
)

EVERY = {**DEEP, **SHALLOW}
COMMON = "task=moons n=300 epochs=3 lr=0.1 init=default precision=float64 eval_every=1"


def settings_for(words: str, implementation: Any) -> Settings:
    values: dict[str, Any] = {name: given[0] for name, given in parse_overrides(words.split()).items()}
    own = implementation if isinstance(implementation, str) else user_defined(implementation, "mine")
    return resolve({**values, "implementation": own})


def trained(words: str, implementation: Any, seed: int = 0) -> Recorder:
    recorder, chosen = Recorder(), settings_for(words, implementation)
    run = Run(settings=chosen, seed=seed, keep=frozenset({"weights"}))
    train([run], lambda _: load(chosen, seed), recorder)
    assert recorder.outcomes[-1].status is Status.DONE, recorder.outcomes[-1].error
    return recorder


def remarks(words: str, implementation: Any) -> str:
    """What the trial remarks; a refusal is raised."""
    chosen = settings_for(words, implementation)
    found = backend_of(chosen).tried(chosen, load(chosen, 0))
    if found.refusals:
        raise SettingsError(found.refusals)
    return "\n".join(found.remarks)


def assert_twins(one: Recorder, other: Recorder, rtol: float = 1e-11) -> None:
    for metric in one.rows[0].metrics:
        np.testing.assert_allclose(one.curve(metric), other.curve(metric), rtol=rtol, atol=rtol, err_msg=metric)
    np.testing.assert_allclose(final_weights(one), final_weights(other), rtol=100 * rtol, atol=rtol)


# --- the same numbers ---


@pytest.mark.parametrize("hidden", ["none", "16", "9x7x5x3", "6x6x6x6", "2x2x2x2"])
@pytest.mark.parametrize("name", EVERY)
def test_it_is_the_twin_of_the_network_by_hand(name: str, hidden: str) -> None:
    """However it is written, whichever way its weights lie: squares too, of which shapes tell nothing."""
    if name in SHALLOW and hidden != "16":
        with pytest.raises(SettingsError, match=r"implementation=mine cannot be taken: "):
            remarks(f"{COMMON} hidden={hidden}", EVERY[name])
        return
    words = f"{COMMON} hidden={hidden}"
    assert not remarks(words, EVERY[name])
    assert_twins(trained(words, EVERY[name]), trained(words, "numpy"))


HOUSE = [
    "batch_size=1 steps_per_epoch=40 sampler=replacement",
    "batch_size=100",  # the last is short
    "optimizer=adam lr=0.01 weight_decay=0.01 clip=0.1",
    "optimizer=sgd momentum=0.9 nesterov=true l1=0.001 schedule=cosine",
    "optimizer=muon lr=0.01 hidden=8x8x8",
    "loss=binary",
    "class_weight=balanced",
    "label_smoothing=0.1",
]


@pytest.mark.parametrize("more", HOUSE)
@pytest.mark.parametrize("name", ["layers", "softmax", "attributes", "lists"])
def test_all_else_is_the_houses(name: str, more: str) -> None:
    """Batches, optimizer, clipping, schedule and loss."""
    if more == "loss=binary" and name == "softmax":  # of one output there is none
        return
    given = {word.partition("=")[0]: word for word in f"{COMMON} hidden=8x6 {more}".split()}
    words = " ".join(given.values())
    assert not remarks(words, DEEP[name])
    assert_twins(trained(words, DEEP[name], seed=3), trained(words, "numpy", seed=3))


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("name", ["layers", "attributes", "lists", "numbered"])
def test_numbers_to_predict(name: str, loss: str) -> None:
    """Of one input, too, where a weight and a bias may have one shape."""
    for task in ("sine", "friedman"):
        words = f"task={task} epochs=3 lr=0.01 hidden=6 init=default precision=float64 eval_every=1 loss={loss}"
        assert not remarks(words, EVERY[name])
        assert_twins(trained(words, EVERY[name]), trained(words, "numpy"))


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_cross_entropy_of_probabilities_is_that_of_logits(data: st.DataObject) -> None:
    """And its gradient, carried through a softmax, is that with respect to the logits."""
    classes, n = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 6))
    z = np.array(data.draw(st.lists(st.floats(-8, 8), min_size=n * classes, max_size=n * classes))).reshape(n, classes)
    y = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    smoothing, weights = data.draw(st.sampled_from([(0.0, None), (0.2, None), (0.0, np.linspace(0.5, 2, classes))]))
    softmax, ours = SoftMax(), CrossEntropyOfProbabilities(weights)
    theirs = SoftmaxCrossEntropy() if weights is None else WeightedCrossEntropy(weights)
    assert ours.forward(softmax.forward(z), y, smoothing) == pytest.approx(theirs.forward(z, y, smoothing), abs=1e-12)
    np.testing.assert_allclose(softmax.backward(ours.backward()), theirs.backward(), atol=1e-13)


def test_it_computes_in_the_type_that_is_asked_for_or_says_so() -> None:
    words = f"{COMMON} hidden=8".replace("float64", "float32")
    assert not remarks(words, DEEP["layers"])
    assert_twins(trained(words, DEEP["layers"]), trained(words, "numpy"), rtol=1e-5)

    class Double(Layers):
        def forward(self, x: Array) -> Array:
            return super().forward(x.astype(np.float64))

    class Single(Layers):
        def forward(self, x: Array) -> Array:
            return super().forward(x.astype(np.float32)).astype(np.float32)

    class DoubleBackwards(Layers):
        def backward(self, dout: Array) -> Array:
            return super().backward(dout.astype(np.float64))

    for network in (Double, DoubleBackwards):
        assert "it computes in float64, and precision=float32 is asked for" in remarks(words, network)
    assert "it computes in float32, and precision=float64 is asked for" in remarks(f"{COMMON} hidden=8", Single)


# --- what is wrong, or not understood ---


class Doubled(Linear):
    def backward(self, dout: Array) -> Array:
        dx = super().backward(dout)
        self.grads["bias"] = 2 * self.grads["bias"]
        return dx


class Wrong(Layers):
    linear = Doubled


class NoSum(SoftMax):
    def backward(self, dout: Array) -> Array:
        return self.y * dout


class WrongSoftmax(WithSoftmax):
    def __init__(self, n_inputs: int, n_hidden: list[int], n_classes: int) -> None:
        super().__init__(n_inputs, n_hidden, n_classes)
        self.layers[-1] = NoSum()


class AddsUp(Linear):
    def backward(self, dout: Array) -> Array:
        before = self.grads["weight"]
        dx = super().backward(dout)
        self.grads["weight"] = self.grads["weight"] + before
        return dx


class Moves(Layers):
    """The update stands in backward."""

    def backward(self, dout: Array) -> Array:
        dx = super().backward(dout)
        for layer in self.layers[::2]:
            layer.params["weight"] -= 0.1 * layer.grads["weight"]
        return dx


class Regularised(TwoLayerNet):
    def __init__(self, input_dim: int, hidden_dim: int, num_classes: int) -> None:
        super().__init__(input_dim, hidden_dim, num_classes, std=1.0, reg=0.1)


class Halved(TwoLayerNet):
    def loss(self, X: Array, y: Array | None = None) -> Any:
        found = super().loss(X, y)
        if y is not None:
            found[1]["W1"] /= 2
        return found


class Predicts:
    """Neither backward nor a loss."""

    def __init__(self, sizes: list[int]) -> None:
        self.W = np.zeros(sizes)

    def forward(self, x: Array) -> Array:
        return x @ self.W


class Fixed(Layers):
    """Its sizes are its own."""

    def __init__(self) -> None:
        super().__init__(2, [5], 2)


class Frozen(Layers):
    def __init__(self, n_inputs: int, n_hidden: list[int], n_classes: int) -> None:
        super().__init__(n_inputs, n_hidden, n_classes)
        for layer in self.layers[::2]:
            layer.params["weight"] = (layer.params["weight"],)  # type: ignore[assignment]


class OneTooMany(Layers):
    def __init__(self, n_inputs: int, n_hidden: list[int], n_classes: int) -> None:
        super().__init__(n_inputs, n_hidden, n_classes + 1)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Wrong, "the gradients of layers[0].bias, layers[2].bias are not what central differences of its loss give"),
        (Halved, "the gradient of W1 is not what central differences of its loss give (off by 50%)"),
        (WrongSoftmax, "not what central differences of its loss give"),
        (type("Net", (Layers,), {"linear": AddsUp}), "the gradients of layers[0].weight, layers[2].weight are not"),
        (WithTanh, "it computes what activation=tanh does, and activation=relu is asked for: give activation=tanh"),
        (
            type("Net", (Layers,), {"forward": lambda self, x: 1.1 * Layers.forward(self, x)}),
            "its outputs are not those of the mlp",
        ),
    ],
)
def test_what_is_wrong_is_remarked_before_training(network: Any, told: str) -> None:
    assert told in remarks(f"{COMMON} hidden=8", network)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Predicts, "Predicts has neither forward(x) with backward(dout), nor loss(x, y)"),
        (Moves, "its forward or backward changes layers[0].weight: the step is the optimizer's"),
        (Regularised, "where the cross-entropy of its outputs, a mean over the batch, is"),
        (Fixed, "its parameters with a gradient are layers[0].weight (5, 2)"),
        (OneTooMany, "examples give outputs of shape (5, 3), it has to be (5, 2)"),
        (lambda a, b: None, "the parameters of its constructor do not say what the sizes are"),
        (lambda sizes: 3, "int has neither forward(x)"),
        (lambda sizes: 1 / 0, "it raises ZeroDivisionError"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_line_with_a_cure(network: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        paribus.train("moons", implementation={"mine": network}, hidden=8, out=tmp_path / "s", epochs=1)
    assert len(refused.value.mistakes) == 1
    assert told in str(refused.value)
    assert str(refused.value).startswith("implementation=mine")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("dropout=0.5", "dropout=0.5 has no effect with implementation=mine"),
        ("norm=batch", "norm=batch has no effect with implementation=mine"),
        ("model=rnn", "implementation=mine has no rnn"),
        ("precision=bf16", "precision=bf16 has no effect with implementation=mine"),
    ],
)
def test_settings_that_it_has_no_part_for_are_refused(words: str, told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        settings_for(f"task=moons {words}", Layers)


def test_a_sigmoid_inside_is_refused_where_the_logit_is_wanted() -> None:
    class Sigmoid(Layers):
        def forward(self, x: Array) -> Array:
            return 1 / (1 + np.exp(-super().forward(x)))

    with pytest.raises(SettingsError, match="its output is a probability, as after a sigmoid: return the logit"):
        remarks(f"{COMMON} hidden=8 loss=binary", Sigmoid)


def test_a_name_that_is_built_in_is_refused() -> None:
    with pytest.raises(SettingsError, match="implementation 'numpy' is built in: give your own another name"):
        resolve({"task": "moons", "implementation": user_defined(Layers, "numpy")})


# --- studies ---

OPTIONS: dict[str, Any] = {"hidden": 8, "lr": 0.1, "init": "default", "n": 300, "precision": "float64"}


def test_agreement_is_told_and_where_a_wrong_gradient_departs(tmp_path: Path) -> None:
    study = paribus.compare(
        "moons",
        implementation={"right": Layers, "wrong": Wrong, "torch": "torch"},
        seeds=2, epochs=3, eval_every="1steps", out=tmp_path / "s", **OPTIONS,
    )  # fmt: skip
    found = {(one.a.partition("=")[2], one.b.partition("=")[2]): one for one in study.findings.agreements}
    right, wrong = found["right", "torch"], found["wrong", "torch"]
    assert right.gap is not None
    assert right.gap < 1e-12
    assert right.departs_at_step is None
    assert (wrong.departs_at_step, wrong.at_once, wrong.own) == (1, True, ("wrong",))
    told = " ".join(str(study).split())
    assert "They depart at once: at step 1 (seed 0)" in told
    assert "`paribus check test_own_networks.py:Wrong` says where it departs" in told


def test_modules_that_begin_alike_are_compared_and_others_are_not(tmp_path: Path) -> None:
    from torch import nn

    one = {
        "a": lambda: nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)),
        "again": lambda: nn.Sequential(nn.Linear(2, 4), nn.Threshold(0, 0), nn.Linear(4, 2)),
        "other": lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)),
    }
    study = paribus.compare("moons", model=one, seeds=2, epochs=2, lr=0.1, out=tmp_path / "s")
    (found,) = study.findings.agreements
    assert (found.a, found.b, found.kind) == ("model=a", "model=again", "model")
    assert "two modules" in str(study)


def test_runs_have_networks_of_their_own_alone_beside_others_and_in_two_processes(tmp_path: Path) -> None:
    alone = paribus.train("moons", implementation={"mine": Layers}, seeds=[1], epochs=3, out=tmp_path / "a", **OPTIONS)
    both = {"implementation": {"mine": Layers, "tanh": WithTanh}, "seeds": 2, "epochs": 3}
    one = paribus.compare("moons", out=tmp_path / "b", **both, **OPTIONS)
    two = paribus.compare("moons", jobs=2, out=tmp_path / "c", **both, **OPTIONS)
    assert_same_curves(one.record, two.record)
    (mine,) = alone.record.arms[0].runs
    beside = next(run for run in one.record.arms[0].runs if run.seed == 1)
    np.testing.assert_array_equal(mine.curve["train_loss"], beside.curve["train_loss"])


FILE = """
import numpy as np

{source}

class Net:
    def __init__(self, sizes):
        self.a, self.b = Linear(sizes[0], sizes[1]), Linear(sizes[1], sizes[2])

    def forward(self, x):
        self.h = np.maximum(self.a.forward(x), 0)
        return self.b.forward(self.h)

    def backward(self, dout):
        return self.a.backward(self.b.backward(dout) * (self.h > 0))


def build(inputs, hidden, outputs):
    return Net([inputs, *hidden, outputs])
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a user's, in the current folder."""
    source = re.sub(r"-> Array|-> None|: (Array|int)", "", inspect.getsource(Linear))
    (tmp_path / "mine.py").write_text(FILE.format(source=source))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine.py"


WORDS = "moons implementation=mine.py:Net,numpy hidden=8 lr=0.1 init=default epochs=4 eval_every=1"


def test_from_the_command_line_and_as_a_file_that_repeats_it(called: Called, mine: Path, tmp_path: Path) -> None:
    done = called("compare", *WORDS.split(), "--seeds", "2", "--name", "one")
    assert done.returncode == 0, done.stderr
    assert "`paribus check" not in done.stdout
    toml = called("show", "runs/one", "--toml").stdout
    (tmp_path / "study.toml").write_text(toml)
    again = called("run", "study.toml", "--out", "two")
    assert again.returncode == 0, again.stderr
    assert_same_curves(read(tmp_path / "runs" / "one"), read(tmp_path / "two"))
    built = called("train", *WORDS.replace("Net,numpy", "build").split(), "--out", "three")
    assert built.returncode == 0, built.stderr
    before = mine.read_text()
    mine.write_text(before.replace("dout.T @ self.x", "dout.T @ self.x * 2"))
    changed = called("compare", *WORDS.split(), "--seeds", "2", "--name", "one")
    assert changed.returncode == 2
    assert "the implementation of arm 'implementation=mine.py:Net' changed since it was recorded" in changed.stderr
    wrong = called("compare", *WORDS.split(), "--seeds", "2", "--name", "wrong", "--jobs", "2")
    assert wrong.returncode == 0, wrong.stderr
    assert "They depart at once" in " ".join(wrong.stdout.split())
    assert "`paribus check mine.py:Net` checks the gradients" in " ".join(wrong.stdout.split())
    for name in ("Net", "build"):
        checked = called("check", f"mine.py:{name}")
        assert checked.returncode == 1
        assert "gradient of the parameter b.weight" in " ".join(checked.stdout.split())


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("mine.py", "say which class is the network, as in mine.py:build; it has Linear, Net, build"),
        ("mine.py:Nett", "mine.py has no class Nett: it has Linear, Net, build"),
        ("yours.py:Net", "there is no file yours.py"),
        ("mine.py:np", "np in mine.py is module, and no class"),
    ],
)
def test_a_word_that_names_nothing_is_refused(called: Called, mine: Path, word: str, told: str) -> None:
    assert mine.is_file()
    done = called("compare", "moons", f"implementation={word},numpy", "--seeds", "2")
    assert done.returncode == 2
    assert done.stderr.strip() == f"paribus: {done.stderr.strip().removeprefix('paribus: ')}"
    assert told in done.stderr


def test_killed_it_goes_on_to_the_same_end(mine: Path, tmp_path: Path) -> None:
    words = WORDS.replace("mine.py", str(mine))
    kills_itself(tmp_path / "killed", words, "2", after=3)
    killed = let_end(tmp_path / "killed", words, "2")
    assert_same_curves(killed, let_end(tmp_path / "whole", words, "2"))


class Logged(Layers):
    """Says in a file that it steps, and is interrupted after some steps where a file says so."""

    folder = ""

    def backward(self, dout: Array) -> Array:
        log = Path(self.folder) / "log"
        with log.open("a") as file:
            file.write("step\n")
        if (Path(self.folder) / "stop").exists() and len(log.read_text().split()) > 60:
            raise KeyboardInterrupt
        return super().backward(dout)


class Counts(Logged):
    """Keeps something beside its parameters, on which its gradients depend."""

    calls = 0

    def backward(self, dout: Array) -> Array:
        self.calls += 1
        return super().backward(dout * (1 + 0.01 * self.calls))


class Noisy(Logged):
    """Draws from NumPy's global generator."""

    def backward(self, dout: Array) -> Array:
        return super().backward(dout * np.random.uniform(0.5, 1.5))  # noqa: NPY002


@pytest.mark.parametrize(("network", "goes_on"), [(Logged, True), (Noisy, True), (Counts, False)])
@pytest.mark.filterwarnings("ignore")
def test_a_run_goes_on_from_a_checkpoint_only_where_that_holds_everything(
    network: type[Logged],
    goes_on: bool,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the last bit; a network that keeps more begins again, and says so."""
    options = {
        **OPTIONS,
        "epochs": 10,
        "batch_size": 50,
        "eval_every": 1,
        "optimizer": "adam",
        "checkpoint_every": 1e-9,
    }
    here = {"folder": str(tmp_path)}
    one = type("Net", (network,), here)
    whole = paribus.train("moons", implementation={"mine": one}, out=tmp_path / "a", **options)
    (tmp_path / "log").unlink()
    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        paribus.train("moons", implementation={"mine": one}, out=tmp_path / "b", **options)
    (tmp_path / "stop").unlink()
    capfd.readouterr()
    begun: list[bool] = []

    def fitted(*given: Any, begin: Any, **more: Any) -> Any:
        begun.append(begin is not None)
        return fit(*given, begin=begin, **more)

    monkeypatch.setattr(stepwise, "fit", fitted)
    resumed = paribus.train("moons", implementation={"mine": one}, out=tmp_path / "b", **options)
    assert_same_curves(whole.record, resumed.record)
    assert begun == [goes_on]
    assert ("no checkpoints, for its " in capfd.readouterr().err) != goes_on


def test_evaluating_more_often_changes_nothing(tmp_path: Path) -> None:
    """Even where the network counts its calls or draws."""

    class Counting(Layers):
        calls = 0

        def forward(self, x: Array) -> Array:
            self.calls += 1
            return super().forward(x * (1 + 0.001 * self.calls) + 0.01 * np.random.normal(size=x.shape))  # noqa: NPY002

    ends = [
        paribus.train("moons", implementation={"mine": Counting}, eval_every=every, epochs=4, out=tmp_path / every, **OPTIONS)
        for every in ("1steps", "4")
    ]  # fmt: skip
    one, other = (study.record.arms[0].runs[0].curve["train_loss"][-1] for study in ends)
    assert one == other


def test_evaluating_must_not_change_what_it_reaches(tmp_path: Path) -> None:
    seen: list[int] = []

    class Remembers(Layers):
        def forward(self, x: Array) -> Array:
            seen.append(len(x))
            return super().forward(x)

    with pytest.raises(SettingsError, match="evaluating it changes something outside of the network"):
        paribus.train("moons", implementation={"mine": Remembers}, out=tmp_path / "s", **OPTIONS)
    assert not seen


def test_it_may_write_into_what_it_is_given() -> None:
    class Writes(Layers):
        def forward(self, x: Array) -> Array:
            y = super().forward(x.copy())
            x[...] = 0
            return y

    words = f"{COMMON} hidden=8"
    assert_twins(trained(words, Writes), trained(words, "numpy"))


def test_other_data_under_the_same_settings_behave_otherwise(tmp_path: Path) -> None:
    """A network whose code reads a file is the same code when that changes, and behaves otherwise."""
    scale = tmp_path / "scale"
    scale.write_text("1.0")
    path = str(scale)

    class Scaled(Layers):
        def backward(self, dout: Array) -> Array:
            return super().backward(dout * float(Path(path).read_text()))

    options = {**OPTIONS, "epochs": 2, "out": tmp_path / "s"}
    paribus.train("moons", implementation={"mine": Scaled}, seeds=1, **options)
    scale.write_text("2.0")
    with pytest.raises(StoreError, match="the implementation behaves otherwise than on"):
        paribus.train("moons", implementation={"mine": Scaled}, seeds=2, **options)


# --- where parameters are found ---


def test_parameters_and_gradients_are_found_in_nested_layers() -> None:
    network = Layers(2, [3], 2)
    names = [f"layers[{i}].{name}" for i in (0, 2) for name in ("weight", "bias")]
    assert list(parameters(network)) == names  # before it has a cache
    network.backward(network.forward(np.ones((4, 2))))
    assert list(gradients(network, names)) == names
    assert gradients(network, names)["layers[0].bias"] is network.layers[0].grads["bias"]


def test_everything_that_two_objects_hold_is_compared() -> None:
    one, other = Numbered(2, 3, 2), Numbered(2, 3, 2)
    assert first_difference(one, other) is None
    other.W1[0, 0] = np.nextafter(0, 1)
    assert first_difference(one, other) == "W1"
    lists, others = Lists([2, 2]), Lists([2, 2])
    others.weights.append(np.zeros(1))
    assert first_difference(lists, others) == "weights"
    rng, same = (type("One", (ReLU,), {})() for _ in range(2))
    rng.rng, same.rng = np.random.default_rng(0), np.random.default_rng(0)  # type: ignore[attr-defined]
    assert first_difference(rng, rng) is None
    same.rng.normal()  # type: ignore[attr-defined]
    assert first_difference(rng, same) is not None


@pytest.mark.parametrize("name", [name for name in DEEP if name != "accumulating"] + ["book"])
def test_a_network_that_is_trained_is_checked_too(name: str) -> None:
    found = paribus.check(EVERY[name], name="mine")
    assert found.things[0].verdict == "right", str(found)


@pytest.mark.parametrize("network", [Wrong, WrongSoftmax])
def test_a_wrong_gradient_of_a_whole_network_is_found(network: Any) -> None:
    found = paribus.check(network, name="mine")  # WrongSoftmax would be taken for a softmax by its name
    assert not found.right
    assert any("gradient of" in one.tensor for one in found.things[0].departures)


def test_a_check_is_named_only_where_it_tells_more() -> None:
    """`paribus check` takes forward and backward, and no loss(x, y)."""
    assert "`paribus check test_own_networks.py:Wrong`" in remarks(f"{COMMON} hidden=8", Wrong)
    assert "paribus check" not in remarks(f"{COMMON} hidden=8", Halved)
    assert paribus.check(Halved).things[0].verdict == "not checked"


# --- what is looked at ---


def vitals(words: str, implementation: Any) -> Vitals | None:
    recorder, chosen = Recorder(), settings_for(words, implementation)
    train([Run(chosen, 0, frozenset(), pictures=True)], lambda _: load(chosen, 0), recorder)
    return recorder.outcomes[0].pictures.vitals


@pytest.mark.parametrize("network", [Layers, WithSoftmax, Numbered, TwoLayerNet])
def test_it_is_looked_at_as_the_network_by_hand(network: Any) -> None:
    words = f"{COMMON} hidden=8"
    mine, ours = vitals(words, network), vitals(words, "numpy")
    assert mine is not None
    assert ours is not None
    for name, values in vars(ours).items():
        np.testing.assert_allclose(vars(mine)[name], values, rtol=1e-7, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_another_function_is_not_looked_at_as_if_it_were_the_mlp(activation: str) -> None:
    found = vitals(f"{COMMON} hidden=8 activation={activation}", WithTanh)
    assert (found is not None) == (activation == "tanh")


def test_a_class_for_each_step_is_refused() -> None:
    codes = np.random.default_rng(0).integers(0, 3, (60, 4))
    data = paribus.data(codes[:, :, None].astype(float), codes, kind="steps", name="echo")
    with pytest.raises(SettingsError, match=r"mine predicts one class .* echo has a class for each step") as refused:
        resolve({"task": data, "model": "mlp", "implementation": user_defined(Layers, "mine")})
    assert len(refused.value.mistakes) == 1


def test_the_example_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of its blocks, and the second is taken too."""
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / "user-code.md").read_text(encoding="utf-8")
    part = text.split("## A network of your own, written in NumPy\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    assert len(blocks) == 2
    scope: dict[str, Any] = {"__name__": "notebook"}
    for block in blocks:
        exec(block, scope)
    words = f"{COMMON} hidden=5"
    assert_twins(trained(words, scope["network"]), trained(words, "numpy"))
