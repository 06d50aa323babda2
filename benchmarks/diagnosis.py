"""How often the diagnosis finds a planted fault, and how often it raises an alarm at a run that is well.

    python benchmarks/diagnosis.py --half report            # the half that no threshold was chosen on
    python benchmarks/diagnosis.py --half tune              # the half that the thresholds were chosen on
    python benchmarks/diagnosis.py --half tune --keep FOLDER  # keeps the runs; a second call only diagnoses again

Plants and healthy runs are lists of settings, made by a rule below; the seed of each is its place in the list. The
even places are the half `tune`, the odd ones the half `report`.

These rules were written before any threshold was tuned; the lists too, but for what docs/diagnosis.md says of them:

- Healthy: sensible settings (`BASES`), trained to the end of a budget that is enough for the task, whose test score ends
  within `MARGIN` of the best that any candidate of this task reaches. A candidate that does worse is left out, and counted.
- Plant: `BASES` with one thing made wrong, whose test score ends more than `MARGIN` below that best. One that does no
  harm is left out, and counted. Where a score cannot show the harm, `harmed` says what does.

The score is the accuracy on the test split, and R^2 of numbers to predict.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from diagnosis_data import DATA, build_data
from torch import Tensor, nn
from torch.nn import functional

import paribus
from paribus.findings.diagnosis import diagnose
from paribus.records.record import Status, StudyRecord

MARGIN = 0.03
"""Of accuracy, or of R^2."""

FIRST_SEED = 1000
PLANTS = 24
"""Of each code, before those that do no harm are left out."""

Words = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One run. `code`: the planted one, "" of a healthy candidate; `task`: whose best score it is measured by; `data`:
    the name of data of `diagnosis_data`, `layers`: sizes and faults of a module of the user's."""

    code: str
    task: str
    words: Words
    layers: Words = field(default_factory=dict)


OPTIMIZERS: dict[str, Words] = {
    "sgd": {"optimizer": "sgd", "optimizer.lr": 0.3},
    "adam": {"optimizer": "adam", "optimizer.lr": 0.005},
    "rmsprop": {"optimizer": "rmsprop", "optimizer.lr": 0.002},
}
"""Ordinary rates of small perceptrons with batches of 32."""

_COMMON: Words = {"init": "default", "batch_size": 32, "eval_every": 1, "model.hidden": "32x32"}
BASES: dict[str, Words] = {
    "moons": {"task": "moons", "epochs": 40},
    "circles": {"task": "circles", "epochs": 40},
    "blobs": {"task": "blobs", "task.centers": 4, "epochs": 30, "task.cluster_std": 0.8, "task.standardise": True},
    "digits": {"task": "digits", "epochs": 25},
    "friedman": {"task": "friedman", "epochs": 40},
    "diabetes": {"task": "diabetes", "epochs": 12},
}
SLOWER = {"friedman": 0.1, "diabetes": 0.1, "sine": 0.3}
"""Numbers to predict have steeper losses: plain SGD's rate is this much of `OPTIMIZERS`."""
CLASSES, ALL = ("moons", "circles", "blobs", "digits"), tuple(BASES)


def base(task: str, optimizer: str, **more: Any) -> Words:
    """Sensible settings of a task with an optimizer, and what is changed of them; `rate` multiplies the rate."""
    words = {**_COMMON, **BASES.get(task, {"task": task, "epochs": 40}), **OPTIMIZERS[optimizer]}
    rate = more.pop("rate", 1.0) * (SLOWER.get(task.split()[-1], 1.0) if optimizer == "sgd" else 1.0)
    words["optimizer.lr"] = float(f"{words['optimizer.lr'] * rate:.4g}")
    return {**words, **{name.replace("__", "."): value for name, value in more.items()}}


def palindrome(**more: Any) -> Words:
    """The recurrent network, at a length that it learns in seconds."""
    words: Words = {"task": "palindrome", "task.length": 3, "model.hidden": 32, "epochs": 25, "eval_every": 1}
    return {**words, "optimizer.lr": 0.003, **{name.replace("__", "."): value for name, value in more.items()}}


def cnn(**more: Any) -> Words:
    """The convolutional network with 4 to 16 channels on images of 8x8."""
    words: Words = {"task": "digits", "model": "cnn", "model.width": 0.03125, "epochs": 15, "batch_size": 32}
    return {**words, "optimizer": "adam", "optimizer.lr": 0.003, **{k.replace("__", "."): v for k, v in more.items()}}


def healthy() -> Iterator[Trial]:
    """Candidates, over tasks, optimizers, sizes and activations; some with a tuned rate."""
    for task, optimizer, hidden, activation, _ in product(
        ALL, OPTIMIZERS, ("24", "64", "32x32"), ("relu", "tanh"), range(3)
    ):
        yield Trial("", task, base(task, optimizer, model__hidden=hidden, model__activation=activation))
    for optimizer, _ in product(OPTIMIZERS, range(4)):
        yield Trial("", "palindrome", palindrome(optimizer=optimizer, optimizer__lr=_RNN[optimizer]))
    for task, optimizer, _ in product(("wine", "iris", "cancer"), OPTIMIZERS, range(2)):
        yield Trial("", task, base(task, optimizer, task__standardise=True, epochs=15))
    for _ in range(4):
        yield Trial("", "digits", cnn())
    for task, optimizer in product(("moons", "blobs"), OPTIMIZERS):
        yield Trial("", task, base(task, optimizer), {"sizes": (24, 24)})
    for task, optimizer in product(("moons", "friedman"), ("sgd", "adam")):  # tuned: the rate is chosen first
        rates = [base(task, optimizer, rate=factor)["optimizer.lr"] for factor in (0.3, 1, 3)]
        yield Trial("", task, base(task, optimizer, validation=0.2) | {"tune": {"optimizer.lr": rates}})


_RNN = {"sgd": 0.1, "adam": 0.005, "rmsprop": 0.003}


def plants() -> Iterator[Trial]:
    """Of every code `PLANTS`, over tasks, optimizers, sizes and strengths."""
    for code, made in FAULTS.items():
        for task, words, layers in islice(cycle(made()), PLANTS):
            yield Trial(code, task, words, layers)


Made = tuple[str, Words, Words]


def _mixed(tasks: Sequence[str], changes: Sequence[Words], layers: Words | None = None) -> list[Made]:
    """Tasks, optimizers and changes in turn, so that every task meets every change."""
    pairs = list(product(tasks, OPTIMIZERS))
    return [
        (task, base(task, optimizer, **changes[(i + i // len(changes)) % len(changes)]), layers or {})
        for i, (task, optimizer) in enumerate(pairs)
    ]


def _vanishing() -> list[Made]:
    small = [{"init": f"normal:{sd}", "model__hidden": h} for sd, h in
             ((0.001, "64x64x64"), (0.003, "32x32x32x32"), (0.01, "64x64x64x64"))]  # fmt: skip
    deep = [{"model__hidden": "x".join(["16"] * n), "model__activation": "sigmoid"} for n in (6, 8)]
    found = [*_mixed(("moons", "circles", "digits"), small), *_mixed(("circles", "moons", "friedman"), deep)]
    own = {"sizes": (16, 16, 16, 16), "sd": 0.01}
    return [*found, ("moons", base("moons", "adam"), own), ("circles", base("circles", "sgd"), own),
            ("digits", cnn(optimizer="sgd", init="normal:0.0001"), {})]  # fmt: skip


def _exploding() -> list[Made]:
    large = [{"init": f"normal:{sd}", "model__hidden": h} for sd, h in
             ((1, "64x64x64"), (2, "32x32x32"), (0.5, "128x128x128"), (3, "64x64"))]  # fmt: skip
    own = {"sizes": (64, 64, 64), "sd": 1.0}
    return [
        *_mixed(("digits", "friedman", "diabetes", "blobs", "circles", "moons"), large),
        *_mixed(("digits",), [{}], own),
    ]


def _dead() -> list[Made]:
    changes = [{"rate": 1.0}, {"rate": 0.5}]
    found = []
    for bias, sizes in ((-3.0, (24, 24)), (-10.0, (32,)), (-5.0, (16, 16, 16))):
        found += _mixed(("moons", "digits", "friedman"), changes, {"sizes": sizes, "bias": bias})
    return found[::-1]


def _saturated() -> list[Made]:
    ends = [{"init": f"normal:{sd}", "model__activation": a, "model__hidden": h} for sd, a, h in
            ((1, "tanh", "64x64"), (2, "sigmoid", "64x64"), (1.5, "tanh", "48x48"))]  # fmt: skip
    own = {"sizes": (64, 64), "sd": 1.0, "activation": nn.Tanh}
    return [*_mixed(("digits", "friedman", "diabetes"), ends), *_mixed(("digits", "friedman"), [{}], own)]


def _aligned() -> list[Made]:
    found = []
    for value, sizes in ((0.1, (16,)), (0.3, (16, 16)), (0.0, (16, 16)), (-0.2, (32,))):
        found += _mixed(("moons", "digits", "friedman"), [{}], {"sizes": sizes, "constant": value})
    return found[::2] + found[1::2]


def _diverged() -> list[Made]:
    return [(task, base(task, "sgd", rate=rate, model__hidden=hidden), {})
            for rate, hidden, task in product((100, 1000), ("32x32", "64", "64x64x64"), ("friedman", "diabetes", "cancer-numbers", "sine"))]  # fmt: skip


def _too_high() -> list[Made]:
    sgd = [(task, base(task, "sgd", rate=rate, model__hidden=h), {}) for (rate, h), task in
           product(((5, "64x64"), (10, "32x32"), (20, "64")), ("digits", "circles", "moons", "friedman"))]  # fmt: skip
    rest = [(task, base(task, optimizer, rate=rate), {}) for rate, task, optimizer in
            product((40, 100), ("digits", "moons", "friedman"), ("adam", "rmsprop"))]  # fmt: skip
    return [one for pair in zip(sgd, rest, strict=True) for one in pair]


def _too_low() -> list[Made]:
    return _mixed(ALL, [{"rate": 0.001}, {"rate": 0.003}, {"rate": 0.0003}]) + [
        ("palindrome", palindrome(optimizer=name, optimizer__lr=rate * 0.001, epochs=8), {}) for name, rate in _RNN.items()
    ]  # fmt: skip


def _improving() -> list[Made]:
    found = _mixed(
        ("moons", "circles", "digits", "blobs", "friedman"), [{"rate": 0.1, "epochs": 8}, {"rate": 0.3, "epochs": 5}]
    )
    return [*found, *(("palindrome", palindrome(optimizer=name, optimizer__lr=rate / 3, epochs=6), {}) for name, rate in _RNN.items())]  # fmt: skip


def _overfitting() -> list[Made]:
    long = [{"epochs": 150, "model__hidden": h} for h in ("128x128", "64x64x64", "256")]
    return _mixed(("few moons", "diabetes", "few friedman", "noisy digits"), [{**one, "rate": 2} for one in long])


def _shuffled() -> list[Made]:
    return _mixed(
        [f"shuffled {name}" for name in ("moons", "blobs", "digits", "iris", "cancer", "wine")],
        [{"task__standardise": True}],
    )


def _unscaled() -> list[Made]:
    return _mixed(
        ("raw wine", "raw cancer", "raw diabetes", "large moons", "shifted blobs", "uneven friedman"),
        [{}, {"model__hidden": "64"}],
    )


def _majority() -> list[Made]:
    strong = [{"l1": 0.05}, {"l1": 0.02}, {"optimizer__weight_decay": 0.5}]
    return _mixed(("rare moons", "rare circles", "rare cancer"), [{**one, "task__standardise": True} for one in strong])


def _plateau() -> list[Made]:
    return _mixed(ALL, [{"l1": 0.3}, {"l1": 0.1}, {"optimizer__weight_decay": 3.0}])


def _clipping() -> list[Made]:
    clips = (0.001, 0.003, 0.0001)
    sgd = [(task, base(task, "sgd", clip=clip), {}) for clip, task in product(clips, ALL)]
    return sgd + _mixed(("digits", "moons"), [{"clip": clip} for clip in clips])  # rates of each weight's own heal it


def _overlap() -> list[Made]:
    return _mixed(("overlapping moons", "overlapping digits", "overlapping diabetes"), [{"epochs": 10}])


def _ends_in(task: str, end: type[nn.Module]) -> Callable[[], nn.Module]:
    """A perceptron of a user's with something after its last layer."""

    def build() -> nn.Module:
        inputs, outputs = SHAPES[task]
        return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, outputs), end())

    return build


def _end_made(task: str, optimizer: str, end: type[nn.Module]) -> Made:
    without = ("init", "model.hidden")
    words = {name: value for name, value in base(task, optimizer, epochs=25).items() if name not in without}
    return task, {**words, "model": _ends_in(task, end)}, {}


def _softmax() -> list[Made]:
    ends = (_Softmax, nn.Sigmoid)
    return [_end_made(task, optimizer, end) for end, task, optimizer in product(ends, CLASSES, OPTIMIZERS)]


def _on_outputs() -> list[Made]:
    of_classes = [_end_made(task, optimizer, end) for end, task, optimizer in
                  product((nn.ReLU, nn.Tanh, nn.ReLU6), CLASSES, OPTIMIZERS)]  # fmt: skip
    of_numbers = [_end_made("friedman", optimizer, end) for end, optimizer in
                  product((nn.ReLU, nn.Sigmoid, nn.Tanh, nn.Dropout), OPTIMIZERS)]  # fmt: skip
    return _in_twos(of_classes[::3], of_numbers)


def _flipped() -> list[Made]:
    return _mixed(CLASSES, [{"loss": _negative_cross_entropy}]) + _mixed(
        ("friedman", "diabetes"), [{"loss": _negative_squares}]
    )


def _broadcast() -> list[Made]:
    return _mixed(("friedman", "diabetes"), [{"loss": _any_pairs}, {"loss": _any_pairs, "model__hidden": "64"}])


def _summed() -> list[Made]:
    losses = {task: _summed_cross_entropy if task in CLASSES else _sum_of_squares for task in ALL}
    return [
        (task, base(task, "sgd", batch_size=size, loss=losses[task]), {})
        for size, task in product((32, 64, 96, 128), ALL)
    ]


def _regressed() -> list[Made]:
    """Codes of classes as numbers, and the squared error of probabilities at rates that suit cross-entropy."""
    codes = _mixed(
        tuple(f"numbered {name}" for name in ("iris", "wine", "cancer", "moons")), [{"task__standardise": True}]
    )
    squares = [(task, base(task, "sgd", rate=rate, loss=_brier), {}) for rate, task in product((1, 0.3, 0.1), CLASSES)]
    return _in_twos(codes, squares)


def _in_twos(some: Sequence[Made], others: Sequence[Made]) -> list[Made]:
    """Two of the one and two of the other by turns, so that both halves have both."""
    return [one for i in range(0, len(some), 2) for one in (*some[i : i + 2], *others[i : i + 2])]


def _out_of_range() -> list[Made]:
    """With two evaluations, which show neither how a loss swings nor how it falls."""
    return _mixed(ALL, [{"optimizer__lr": rate, "epochs": 20, "eval_every": 10} for rate in (3.0, 5e-7, 30.0, 1e-7)])


class _Softmax(nn.Softmax):
    def __init__(self) -> None:
        super().__init__(dim=1)


def _negative_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return -functional.cross_entropy(z, y)


def _negative_squares(z: Tensor, y: Tensor) -> Tensor:
    return -functional.mse_loss(z, y)


def _any_pairs(z: Tensor, y: Tensor) -> Tensor:
    return (z[:, None] - y).square().mean()


def _summed_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(z, y, reduction="sum")


def _sum_of_squares(z: Tensor, y: Tensor) -> Tensor:
    return functional.mse_loss(z, y, reduction="sum")


def _brier(z: Tensor, y: Tensor) -> Tensor:
    return functional.mse_loss(z.softmax(dim=1), functional.one_hot(y, z.shape[1]).to(z.dtype))


FAULTS: dict[str, Callable[[], list[Made]]] = {
    "vanishing-signal": _vanishing, "exploding-signal": _exploding, "dead-units": _dead, "saturated-units": _saturated,
    "aligned-units": _aligned, "diverged": _diverged, "rate-too-high": _too_high, "rate-too-low": _too_low,
    "still-improving": _improving, "overfitting": _overfitting, "label-noise-or-shuffle": _shuffled,
    "unscaled-inputs": _unscaled, "majority-class-only": _majority, "plateau-at-chance": _plateau,
    "clipping-always": _clipping, "train-test-overlap": _overlap,
    "flipped-loss": _flipped, "broadcast-loss": _broadcast, "softmax-before-loss": _softmax,
    "activation-on-outputs": _on_outputs, "regression-as-classes": _regressed, "summed-loss": _summed,
    "rate-out-of-range": _out_of_range,
}  # fmt: skip

SHAPES = {"moons": (2, 2), "circles": (2, 2), "blobs": (2, 4), "digits": (64, 10), "friedman": (10, 1)}
"""Inputs and outputs of the modules of the user's."""


def module(
    task: str,
    sizes: Sequence[int],
    *,
    bias: float | None = None,
    constant: float | None = None,
    sd: float | None = None,
    activation: type[nn.Module] = nn.ReLU,
) -> Callable[[], nn.Module]:
    """A perceptron as a user would write it, with a fault in its initial values: all hidden biases one number, all
    weights one number, or all weights normal with one sd."""

    def build() -> nn.Module:
        ends, parts = SHAPES[task], []
        widths = [ends[0], *sizes, ends[1]]
        for i, (before, after) in enumerate(pairwise(widths)):
            layer = nn.Linear(before, after)
            if constant is not None:
                nn.init.constant_(layer.weight, constant)
            if sd is not None:
                nn.init.normal_(layer.weight, std=sd)
            if bias is not None and i < len(sizes):
                nn.init.constant_(layer.bias, bias)
            parts += [layer, activation()]
        return nn.Sequential(*parts[:-1])

    return build


def trained(trial: Trial, seed: int, folder: Path) -> StudyRecord:
    """The record of its run; one that is in the folder is not trained again."""
    if (folder / "study.sqlite").exists():
        return paribus.open(folder).record
    words = dict(trial.words)
    task, tune = words.pop("task"), words.pop("tune", None)
    if task in DATA or task.startswith("overlapping "):
        task = build_data(task)
    if trial.layers:
        # of numbers to predict the outputs have shape (rows, 1), as of the tasks' own networks
        for name in ("model.hidden", "init", "model.activation"):
            words.pop(name, None)
        words["model"] = module(trial.task, **trial.layers)
        words["epochs"] = min(words["epochs"], 25)
    more = {} if tune is None else {"tune": tune, "tune_seeds": 1}
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        return paribus.train(task, seeds=[seed], out=folder, jobs=1, **more, **words).record


def score(record: StudyRecord) -> float:
    """Accuracy on the test split, R^2 of numbers; -inf of a run that diverged."""
    run = record.arms[0].runs[0]
    found = run.final("test_accuracy" if run.task.classes else "test_r2")
    return -np.inf if found is None else found


def harmed(trial: Trial, record: StudyRecord, best: float) -> bool:
    """Whether a plant does the harm it is named after."""
    run = record.arms[0].runs[0]
    if trial.code == "diverged":
        return run.status is Status.DIVERGED
    if trial.code == "train-test-overlap" or (trial.code == "regression-as-classes" and not run.task.classes):
        return True  # it makes the score better than it is; of classes as numbers it is another score
    if trial.code == "overfitting":  # by its definition: the held-out loss ends a quarter above its lowest
        held = run.curve["test_loss"]
        return run.status is Status.DONE and bool(held[-1] > 1.25 * held.min())
    if trial.code == "majority-class-only":  # no better than always the most frequent class
        counts = record.class_counts[run.task.fingerprint]["test"]
        return score(record) <= max(counts) / sum(counts) + 0.01
    if run.status is Status.DIVERGED and trial.code not in _MAY_DIVERGE:
        return False  # it is a plant of `diverged`
    return score(record) < best - MARGIN


_MAY_DIVERGE = ("exploding-signal", "unscaled-inputs", "flipped-loss", "summed-loss")
"""Codes of which divergence is a harm that they do."""

HALVES = {"tune": 0, "report": 1}


def main() -> None:
    """Train, diagnose, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=[*HALVES, "both"], default="report")
    parser.add_argument("--keep", type=Path, help="a folder for the runs, which are not trained again")
    parser.add_argument("--only", default="", help="codes, joined by commas; healthy for the healthy runs")
    parser.add_argument("--missed", action="store_true", help="list every plant that was not found")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        measure(asked, asked.keep or Path(thrown_away))


def measure(asked: argparse.Namespace, folder: Path) -> None:
    begun = time.perf_counter()
    only = set(filter(None, asked.only.split(",")))
    mine = [
        (seed, trial)
        for seed, trial in enumerate([*healthy(), *plants()], FIRST_SEED)
        if asked.half in ("both", list(HALVES)[seed % 2]) and (not trial.code or not only or trial.code in only)
    ]
    records = {seed: trained(trial, seed, folder / str(seed)) for seed, trial in mine}
    best: dict[str, float] = defaultdict(lambda: -np.inf)
    for seed, trial in mine:
        if not trial.code:
            best[trial.task] = max(best[trial.task], score(records[seed]))
    well = [(s, t) for s, t in mine if not t.code and score(records[s]) >= best[t.task] - MARGIN]
    if not only or "healthy" in only:
        _tell_healthy(well, records, len([1 for _, trial in mine if not trial.code]))
    _tell_plants([(s, t) for s, t in mine if t.code], records, best, missed=asked.missed)
    print(f"{len(mine)} runs, {time.perf_counter() - begun:.0f} s")


def _tell_healthy(well: Sequence[tuple[int, Trial]], records: dict[int, StudyRecord], candidates: int) -> None:
    alarms: Counter[str] = Counter()
    alarmed = 0
    for seed, trial in well:
        found = diagnose(records[seed])
        alarmed += bool(found)
        alarms.update(one.code for one in found)
        for one in found:
            print(
                f"  alarm {seed} {trial.task} {trial.words} score {score(records[seed]):.3f}: {one.code}: {one.evidence}"
            )
    print(
        f"healthy: {len(well)} of {candidates} candidates; with an alarm {alarmed} ({alarmed / max(1, len(well)):.1%})"
    )
    print("  " + (", ".join(f"{code} {n}" for code, n in alarms.most_common()) or "none"))


def _tell_plants(
    mine: Sequence[tuple[int, Trial]], records: dict[int, StudyRecord], best: dict[str, float], *, missed: bool
) -> None:
    print(f"{'code':24}{'plants':>7}{'harmless':>9}{'found':>7}{'first':>7}  recall  else told")
    for code in FAULTS:
        trials = [(seed, trial) for seed, trial in mine if trial.code == code]
        kept = [(s, t) for s, t in trials if harmed(t, records[s], best[t.task.split()[-1]])]
        told = {seed: [one.code for one in diagnose(records[seed])] for seed, _ in kept}
        found = sum(code in codes for codes in told.values())
        first = sum(codes[:1] == [code] for codes in told.values())
        others = Counter(one for codes in told.values() if code not in codes for one in (codes or ["nothing"]))
        if trials:
            print(f"{code:24}{len(kept):7}{len(trials) - len(kept):9}{found:7}{first:7}  {found / max(1, len(kept)):6.0%}"
                  f"  {', '.join(f'{name} {n}' for name, n in others.most_common())}")  # fmt: skip
        for seed, trial in kept if missed else []:
            if code not in told[seed]:
                print(
                    f"  missed {seed} {trial.task} {trial.words} {trial.layers} score {score(records[seed]):.3f}: {told[seed]}"
                )


if __name__ == "__main__":
    main()
