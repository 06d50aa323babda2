"""The fused recurrent network against NumPy by hand, setting by setting; alone, among others, long, and diverging."""

from __future__ import annotations

import random
import threading
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from paribus import data
from paribus.backends import fused_runner
from paribus.backends.base import backend_of
from paribus.backends.compatibility import recurrent
from paribus.backends.dispatch import resolve, train
from paribus.backends.fused_runner import train_fused
from paribus.byhand.layers import SoftmaxCrossEntropy
from paribus.byhand.rnn import Rnn as ByHand
from paribus.config.overrides import parse_overrides
from paribus.config.settings import Settings
from paribus.fused import steps
from paribus.fused.compile import ready
from paribus.fused.engine import _constants
from paribus.fused.loop_config import LoopConfig
from paribus.fused.rnn import Data
from paribus.fused.rnn_engine import Rnn
from paribus.fused.tanh import tanh
from paribus.models.initialisation import initial_values
from paribus.plan import Plan
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Run
from paribus.tasks import Task, load
from paribus.tasks.palindrome import encode
from paribus.tasks.task import Scale, Split
from tests.conftest import Recorder, drifts, final_weights, largest_drift, settings_of

FACTORS = {
    "optimizer": [
        "optimizer=sgd lr=0.1",
        "optimizer=sgd lr=0.05 momentum=0.9 weight_decay=0.01",
        "optimizer=sgd lr=0.05 momentum=0.8 dampening=0.3",
        "optimizer=sgd lr=0.05 momentum=0.7 nesterov=true",
        "optimizer=adam lr=0.003 weight_decay=0.02 eps=1e-4",
        "optimizer=adamw lr=0.003 beta1=0.8 eps=1e-4",
        "optimizer=rmsprop lr=0.001 eps=1e-2",
        "optimizer=rmsprop lr=0.001 centered=true momentum=0.5 eps=1e-2",
    ],
    "schedule": ["constant", "multistep:1:0.3", "cosine:0.1", "onecycle", "warmup:3steps:cosine"],
    "clip": ["none", "10", "0.5"],
    "sampler": [
        "shuffle steps_per_epoch=all",
        "replacement steps_per_epoch=all",
        "replacement steps_per_epoch=3",
        "shuffle steps_per_epoch=1",
    ],
    "length": [1, 2, 5, 30],
    "given": ["scalar", "onehot", "numbers", "one number"],
    "hidden": [1, 7, 128],
    "batch_size": [1, 5, 128],
    "validation": ["0", "0.3"],
    "recurrent": ["same", "orthogonal"],
}


def covering() -> list[dict[str, object]]:
    """Rows in which every two values of two factors meet at least once: greedily, the best of fifty drawn each time."""
    draw, names = random.Random(0), list(FACTORS)
    open_ = {
        ((a, x), (b, y))
        for a, b in combinations(names, 2)
        for x, y in product(range(len(FACTORS[a])), range(len(FACTORS[b])))
    }
    rows = []
    while open_:
        (a, x), (b, y) = min(open_)
        tried = []
        for _ in range(50):
            row = {name: draw.randrange(len(FACTORS[name])) for name in names} | {a: x, b: y}
            tried.append((len(open_ & set(combinations(row.items(), 2))), sorted(row.items()), row))
        row = max(tried)[2]
        open_ -= set(combinations(row.items(), 2))
        rows.append({name: FACTORS[name][value] for name, value in row.items()})
    return rows


def made(row: dict[str, object], precision: str) -> Settings:
    """Palindromes, or sequences of numbers of the user's own: (n, T, 3), or (n, T)."""
    words = " ".join(
        [f"epochs=2 precision={precision} model=rnn init=default implementation=numpy", str(row["optimizer"])]
    )
    words += f" sampler={row['sampler']}"
    words += "".join(
        f" {name}={row[name]}" for name in ("schedule", "clip", "hidden", "batch_size", "validation", "recurrent")
    )
    given, length = str(row["given"]), int(str(row["length"]))
    if given in ("scalar", "onehot"):
        few = " overlap=true" if length < 3 else ""
        return settings_of(f"task=palindrome length={length} n_train=90 n_test=20{few} encoding={given} {words}")
    rng = np.random.default_rng(length)
    x = rng.standard_normal((110, length, 3) if given == "numbers" else (110, length))
    own = data(x, rng.integers(0, 4, 110))
    return resolve({"task": own, **{name: values[0] for name, values in parse_overrides(words.split()).items()}})


def fused(settings: Settings, seed: int, task: Task | None = None, **asked: object) -> Recorder:
    """By the fused engine."""
    recorder, mine = Recorder(), settings.model_copy(update={"implementation": "fused"})
    run = Run(settings=mine, seed=seed, **{"keep": frozenset({"weights"}), **asked})  # type: ignore[arg-type]
    train_fused([run], lambda _: task or load(settings, seed), recorder, 1)
    return recorder


def by_hand(settings: Settings, seed: int, task: Task | None = None, **asked: object) -> Recorder:
    """By `byhand`, whatever computes the settings."""
    recorder, mine = Recorder(), settings.model_copy(update={"implementation": "numpy"})
    run = Run(settings=mine, seed=seed, **{"keep": frozenset({"weights"}), **asked})  # type: ignore[arg-type]
    train([run], lambda _: task or load(settings, seed), recorder)
    return recorder


def begun(settings: Settings, shapes: dict[str, tuple[int, ...]], seed: int) -> np.ndarray:
    values = initial_values(shapes, settings.init, Plan(seed), recurrent(settings))
    return np.concatenate([values[name].ravel().astype(settings.precision) for name in sorted(values)])


def gap(one: Recorder, other: Recorder, settings: Settings, seed: int) -> float:
    """The difference of two updates of the weights over the update, norm-wise."""
    assert [run.outcomes[0].error for run in (one, other)] == [None, None]
    weights = other.outcomes[0].weights
    assert weights is not None
    start = begun(settings, {name: value.shape for name, value in weights.items()}, seed).astype(float)
    moved = float(np.linalg.norm(final_weights(other) - start))
    assert moved > 1e-4
    return float(np.linalg.norm(final_weights(one).astype(float) - final_weights(other))) / moved


ROWS = covering()


def named(row: dict[str, object]) -> str:
    return " ".join(map(str, row.values()))


def test_the_array_covers_every_pair() -> None:
    assert 30 <= len(ROWS) <= 60


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_every_setting_is_that_of_the_hand(row: dict[str, object]) -> None:
    settings = made(row, "float64")
    one, other = fused(settings, 3), by_hand(settings, 3)
    assert gap(one, other, settings, 3) <= 1e-11
    assert [evaluation.step for evaluation in one.rows] == [evaluation.step for evaluation in other.rows]
    assert one.rows[0].metrics.keys() == other.rows[0].metrics.keys()
    for name in one.rows[0].metrics:
        np.testing.assert_allclose(one.curve(name), other.curve(name), rtol=1e-10, atol=1e-12, err_msg=name)
    for mine, theirs in zip(one.rows, other.rows, strict=True):
        for name in ("gradient_norm", "clipped_share"):
            assert (name in mine.meters) == (row["clip"] != "none")
            assert mine.meters.get(name, 0) == pytest.approx(theirs.meters.get(name, 0), rel=1e-9)


@pytest.mark.parametrize("row", ROWS[::3], ids=named)
def test_single_precision_agrees_to_its_rounding(row: dict[str, object]) -> None:
    settings = made(row, "float32")
    one, other = fused(settings, 4), by_hand(settings, 4)
    assert gap(one, other, settings, 4) <= 3e-5
    np.testing.assert_allclose(one.curve("test_loss"), other.curve("test_loss"), rtol=1e-4, atol=1e-6)


PARTS = [
    "length=4 hidden=20 batch_size=300",  # more than a part holds
    "length=4 hidden=128 batch_size=130",  # parts that are not even
    "length=4 hidden=200 batch_size=140",  # products that BLAS packs
    "length=70 hidden=30 batch_size=128",  # several products for the gradient of W_hh
    "length=9 hidden=1 batch_size=7",
]


@pytest.mark.parametrize("words", PARTS)
def test_a_batch_in_parts_is_the_same_batch(words: str) -> None:
    settings = settings_of(
        f"task=palindrome n_train=320 n_test=150 epochs=2 steps_per_epoch=2 optimizer=sgd lr=0.3 precision=float64 {words}"
    )
    one, other = fused(settings, 1), by_hand(settings, 1)
    assert gap(one, other, settings, 1) <= 1e-11
    np.testing.assert_allclose(one.curve("test_loss"), other.curve("test_loss"), rtol=1e-10)


DRIFTING = [
    "epochs=3 steps_per_epoch=30 hidden=128",  # the report's, shorter
    "epochs=8 steps_per_epoch=25 length=8 hidden=32 encoding=onehot optimizer=adam lr=0.01 batch_size=16",
    "epochs=8 steps_per_epoch=25 length=5 hidden=32 optimizer=adam lr=0.01 batch_size=16",
    "epochs=20 steps_per_epoch=10 length=30 hidden=16 optimizer=sgd lr=0.1 recurrent=identity clip=1",
]


@pytest.mark.parametrize("words", DRIFTING)
def test_whole_curves_within_ten_times_the_drift(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """That rounding alone causes: in the initial values, or at every step."""
    settings = settings_of(f"task=palindrome n_train=640 n_test=128 precision=float64 {words}")
    one, other = fused(settings, 1), by_hand(settings, 1)
    moved, ordered = drifts(monkeypatch, fused_runner, lambda: fused(settings, 1), lambda: by_hand(settings, 1))
    for read in (lambda run: np.array(run.curve("train_loss")), final_weights):
        drift = largest_drift(read, (one, moved), (other, ordered))
        assert np.abs(read(one) - read(other)).max() <= 10 * drift
    assert abs(one.curve("train_loss")[-1] - one.curve("train_loss")[0]) > 1e-3


# --- a run is the same wherever it runs ------------------------------------------------------------------------------


class Among(Recorder):
    """Keeps what belongs to each run."""

    def __init__(self) -> None:
        super().__init__()
        self.curves: dict[Run, list[Evaluation]] = {}
        self.ends: dict[Run, Outcome] = {}

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.curves.setdefault(run, []).append(row)

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        self.ends[run] = outcome


def among(settings: Sequence[Settings], seeds: int, threads: int) -> Among:
    runs = [
        Run(settings=one.model_copy(update={"implementation": "fused"}), seed=seed, keep=frozenset({"weights"}))
        for seed in range(seeds)
        for one in settings
    ]
    seen = Among()
    train_fused(runs, lambda run: load(run.settings, run.seed), seen, threads)
    return seen


@pytest.mark.parametrize("threads", [1, 2])
def test_alone_and_among_others(threads: int) -> None:
    """Of other sizes, data and models."""
    common = "epochs=3 eval_every=7steps implementation=numpy"
    settings = [
        settings_of(f"task=palindrome n_train=200 n_test=40 {common} {words}")
        for words in ("hidden=128 steps_per_epoch=9", "hidden=9 encoding=onehot length=4 clip=0.3 steps_per_epoch=9", "hidden=40 sampler=shuffle steps_per_epoch=all batch_size=33")
    ] + [settings_of(f"task=moons init=default dropout=0.2 clip=0.1 {common}")]  # fmt: skip
    seen = among(settings, 3, threads)
    assert len(seen.ends) == 12
    for run in list(seen.ends)[:8]:
        alone = fused(run.settings, run.seed)
        assert [row.metrics for row in seen.curves[run]] == [row.metrics for row in alone.rows]
        assert [row.meters for row in seen.curves[run]] == [row.meters for row in alone.rows]
        mine, theirs = seen.ends[run].weights, alone.outcomes[0].weights
        assert mine is not None
        assert theirs is not None
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_how_often_it_is_evaluated_and_looked_at_changes_nothing() -> None:
    words = "task=palindrome n_train=200 n_test=40 steps_per_epoch=6 epochs=4 hidden=20 validation=0.1"
    plain = fused(settings_of(words), 5)
    often = fused(settings_of(f"{words} eval_every=1steps"), 5)
    looked = fused(settings_of(words), 5, pictures=True, keep=frozenset({"weights", "best", "predictions"}))
    for other in (often, looked):
        np.testing.assert_array_equal(final_weights(plain), final_weights(other))
    assert plain.curve("test_loss") == often.curve("test_loss")[5::6] == looked.curve("test_loss")
    norms = [row.meters["gradient_norm"] for row in often.rows]
    np.testing.assert_allclose(
        [row.meters["gradient_norm"] for row in plain.rows], np.mean(np.reshape(norms, (4, 6)), axis=1), rtol=1e-12
    )


def test_a_run_that_diverges_stops_alone() -> None:
    common = (
        "task=palindrome n_train=100 n_test=20 steps_per_epoch=5 epochs=40 hidden=8 optimizer=sgd implementation=numpy"
    )
    seen = among([settings_of(f"{common} {words}") for words in ("lr=0.1", "lr=1e38 clip=none", "lr=0.2")], 1, 2)
    ends = {run.settings.optimizer.lr: end.status for run, end in seen.ends.items()}
    assert ends == {0.1: Status.DONE, 1e38: Status.DIVERGED, 0.2: Status.DONE}


def test_only_the_loops_that_are_wanted_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def noted(precision: str, say: object, model: str) -> None:
        asked.append((model, precision))
        ready(precision, str, model)

    monkeypatch.setattr(fused_runner, "ready", noted)
    fused(settings_of("task=moons epochs=1"), 0)
    assert asked == [("mlp", "float32")]
    fused(settings_of("task=palindrome epochs=0 n_train=10 n_test=10"), 0)
    assert asked[1:] == [("rnn", "float32")]


# --- over plain arrays -----------------------------------------------------------------------------------------------


def over(x: np.ndarray, y: np.ndarray, words: str, hidden: int, encoding: str = "scalar", splits: int = 1) -> Rnn:
    """A run over digits. `words`: of its course."""
    settings = settings_of(f"task=moons implementation=numpy {words}")
    real = np.dtype(settings.precision)
    alphabet = np.ascontiguousarray(encode(np.arange(10, dtype=np.uint8)[:, None], encoding, real)[:, 0])
    bounds = np.linspace(0, len(y), splits + 1).astype(np.int64)
    ready(settings.precision, str, "rnn")
    engine = Rnn.over(
        LoopConfig.of(settings, 0, int(bounds[1])), Data(x, alphabet, np.zeros((0, 0, 0), real), y, bounds), hidden, 10
    )
    engine.load(initial_values(engine.shapes(), settings.init, Plan(0), "orthogonal"))
    return engine


def digits(n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(length).integers(0, 10, (n, length)).astype(np.uint8)
    return x, x[:, 0].astype(np.int64)


@pytest.mark.parametrize("hidden", [1, 7, 128])
@pytest.mark.parametrize("encoding", ["scalar", "onehot"])
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_a_thousand_steps_of_time(hidden: int, encoding: str, precision: str, tolerance: float) -> None:
    """Logits, and the gradient of everything, read off one step of SGD at rate 1."""
    x, y = digits(9, 1000)
    engine = over(x, y, f"lr=1 epochs=1 batch_size=9 init=default precision={precision}", hidden, encoding)
    hand, loss = ByHand(engine.shapes()["w_hx"][1], hidden, 10), SoftmaxCrossEntropy()
    hand.load(engine.weights())
    logits = hand.forward(encode(x, encoding))
    np.testing.assert_allclose(engine.logits(x), logits, rtol=0, atol=100 * tolerance * np.abs(logits).max())
    loss.forward(logits, y)
    wanted, before = hand.backward(loss.backward()), engine.weights()
    while engine.advance():
        pass
    after = engine.weights()
    for name, gradient in wanted.items():
        apart = np.linalg.norm(before[name].astype(float) - after[name] - gradient)
        assert apart <= 100 * tolerance * (np.linalg.norm(gradient) + np.linalg.norm(before[name]) * 1e-3), name


@pytest.mark.parametrize(("length", "count"), [(1000, 3000), (10, 40_000)])
def test_evaluation_takes_little_memory(length: int, count: int) -> None:
    x, y = digits(count, length)
    engine = over(x, y, "epochs=0 batch_size=4 precision=float32", 8, "onehot", splits=2)
    tracemalloc.start()
    try:
        assert not engine.advance()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1e6
    assert sum(part.nbytes for part in engine._room) < 1e6
    hand = ByHand(10, 8, 10, np.float32)
    hand.load(engine.weights())
    loss = SoftmaxCrossEntropy()
    for split in (0, 1):
        half = slice(split * count // 2, (split + 1) * count // 2)
        found = loss.forward(
            np.concatenate([hand.forward(encode(part, "onehot", np.float32)) for part in np.array_split(x[half], 20)]),
            y[half],
        )
        assert engine.rows[0, steps.FIRST_METRIC + steps.MEASURED * split] == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("epochs", [0, 1])
def test_it_halts_within_an_evaluation(epochs: int) -> None:
    """Which takes seconds; nothing is told of it."""
    x, y = digits(20_000, 1000)
    engine = over(x, y, f"epochs={epochs} batch_size=1 sampler=replacement steps_per_epoch=1", 96)
    more: list[bool] = []
    thread = threading.Thread(target=lambda: more.append(engine.advance()))
    thread.start()
    evaluated = engine._room.which  # the examples of the block that is evaluated
    while not evaluated.any():
        assert thread.is_alive()
        time.sleep(0.01)
    engine.halt()
    thread.join()
    assert evaluated.max() < len(x) - 1  # most blocks were left out
    assert more == [True]
    assert engine.run[0]["row"] == 0


def test_weights_go_in_and_come_out() -> None:
    engine = over(*digits(20, 3), "epochs=0 precision=float64", 5)
    values = {name: np.random.default_rng(1).standard_normal(shape) for name, shape in engine.shapes().items()}
    engine.load(values)
    assert list(engine.weights()) == list(values) == ["w_hx", "w_hh", "b_h", "w_ph", "b_o"]
    for name, value in values.items():
        np.testing.assert_array_equal(engine.weights()[name], value)


def test_a_symbol_that_there_is_not_is_refused() -> None:
    engine = over(*digits(20, 3), "epochs=0", 5)
    with pytest.raises(ValueError, match="symbol 10 is not allowed: there are 10, from 0 on"):
        engine.logits(np.full((2, 3), 10, np.uint8))


# --- tanh ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("real", "tiny"), [(np.float32, -44), (np.float64, -323)])
def test_tanh(real: type[np.floating], tiny: int) -> None:
    """Some two units in the last place, denormal numbers too; odd; 1 where that is nearest; NaN stays NaN."""
    constants = _constants(np.dtype(real))
    values = np.concatenate(
        [np.linspace(-25, 25, 200_001), np.logspace(tiny, 2, 50_000), np.linspace(-0.6, 0.6, 100_001)]
    ).astype(real)
    found = values.copy()
    tanh(found, 0, len(found), constants)
    wanted = np.tanh(values.astype(np.longdouble))
    apart = np.abs(found - wanted) / np.spacing(np.abs(wanted).astype(real))
    assert apart.max() < 2.3
    assert np.abs(found).max() == 1
    mirrored = -values
    tanh(mirrored, 0, len(mirrored), constants)
    np.testing.assert_array_equal(mirrored, -found)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e38, -1e38, 7.0], real)
    tanh(special, 0, 7, constants)
    assert special.tolist()[:4] == [0, 0, 1, -1]
    assert np.signbit(special[:2]).tolist() == [False, True]
    assert np.isnan(special[4])
    assert special.tolist()[5:] == [1, -1, 7]  # the last is none of the seven


# --- both engines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["hidden=9 clip=0.05", "hidden=9x4 optimizer=adam clip=2 dropout=0.2", "hidden=300 clip=0.1"]
)
def test_what_clipping_did_to_the_perceptron(words: str) -> None:
    settings = settings_of(f"task=moons epochs=7 eval_every=2 init=default precision=float64 {words}")
    one, other = fused(settings, 2), by_hand(settings, 2)
    shares = [row.meters["clipped_share"] for row in one.rows]
    assert shares == [row.meters["clipped_share"] for row in other.rows]
    assert len(shares) == 4
    for mine, theirs in zip(one.rows, other.rows, strict=True):
        assert mine.meters["gradient_norm"] == pytest.approx(theirs.meters["gradient_norm"], rel=1e-10)


def test_what_a_run_will_take_is_foretold() -> None:
    for words in ("task=palindrome length=5", "task=palindrome length=5 implementation=torch", "task=moons"):
        settings = settings_of(f"{words} epochs=2")
        assert 0 < backend_of(settings).estimate(settings, load(settings, 0)) < 60


def test_without_clipping_nothing_is_said_of_it() -> None:
    assert fused(settings_of("task=moons epochs=1"), 0).rows[0].meters == {}


def test_the_perceptron_on_palindromes() -> None:
    """One after the other: the same digits, given otherwise, are other data."""
    for encoding in ("scalar", "onehot"):
        settings = settings_of(
            f"task=palindrome model=mlp n_train=200 n_test=50 encoding={encoding} epochs=2 steps_per_epoch=5 precision=float64"
        )
        one, other = fused(settings, 1), by_hand(settings, 1)
        assert gap(one, other, settings, 1) <= 1e-11
        np.testing.assert_allclose(one.curve("test_loss"), other.curve("test_loss"), rtol=1e-10)


def test_the_same_bytes_at_another_scale_are_other_data() -> None:
    settings = settings_of("task=digits epochs=1 precision=float64")
    task = load(settings, 0)
    train_, test_ = (Split((16 * one.x).astype(np.uint8), one.y) for one in (task.train, task.test))
    tasks = [
        replace(task, train=train_, test=test_, scale=Scale(np.full((1, 1), mean), np.full((1, 1), 16.0)))
        for mean in (0.0, 8.0)
    ]
    for one in tasks:
        np.testing.assert_allclose(
            fused(settings, 0, one).curve("test_loss"), by_hand(settings, 0, one).curve("test_loss"), rtol=1e-10
        )


@pytest.mark.parametrize(
    "words",
    [
        "task=palindrome length=2 hidden=12",
        "task=palindrome length=6 hidden=12 encoding=onehot",
        "task=moons init=default",
        "task=moons model=rnn hidden=5",
    ],
)
def test_pictures_are_those_of_the_hand(words: str) -> None:
    settings = settings_of(f"{words} epochs=6 precision=float64 clip=1")
    one, other = (way(settings, 1, pictures=True).outcomes[0] for way in (fused, by_hand))
    assert (one.boundary is None) == (other.boundary is None)
    if one.boundary is not None and other.boundary is not None:
        np.testing.assert_array_equal(one.boundary.classes, other.boundary.classes)
    mine, theirs = one.pictures, other.pictures
    assert (mine.frames is None) == (theirs.frames is None)
    if mine.frames is not None and theirs.frames is not None:
        np.testing.assert_array_equal(mine.frames.epochs, theirs.frames.epochs)
        np.testing.assert_array_equal(mine.frames.classes, theirs.frames.classes)
    assert (mine.state_gradients is None) == (theirs.state_gradients is None)
    if mine.state_gradients is not None:
        np.testing.assert_allclose(mine.state_gradients, theirs.state_gradients, rtol=1e-8)
