"""The plants and the healthy candidates of `benchmarks/diagnosis.py`, as lists of settings made by a rule. The seed of
each is its place in the list; the even places are the half `tune`, the odd ones the half `report`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise, product
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

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


def later() -> Iterator[Trial]:
    """What came in after the thresholds were chosen, on 2026-11-29: healthy candidates with convolutions and longer
    sequences, four times as many in the half `report`; plants of recurrent and of convolutional networks."""
    for task, optimizer, hidden, activation, _ in product(
        ALL, OPTIMIZERS, ("24", "64", "32x32"), ("relu", "tanh"), range(2)
    ):
        yield Trial("", task, base(task, optimizer, model__hidden=hidden, model__activation=activation))
    for optimizer, channels, _ in product(OPTIMIZERS, ((8, 16), (16, 16)), range(4)):
        yield Trial("", "digits", base("digits", optimizer, rate=_CONV[optimizer]), {"channels": channels})
    for length, _ in product((5, 8), range(6)):
        yield Trial("", "palindrome", longer(length, **_REMEMBERS))
    yield from forgetful()  # their places; `trials` takes those with other seeds
    for optimizer, channels in product(OPTIMIZERS, ((8, 16), (16, 16), (8, 8, 16))):
        for code, (rate, more) in _CONV_FAULTS.items():
            words = base("digits", optimizer, rate=_CONV[optimizer] * rate)
            yield Trial(code, "digits", words, {"channels": channels, **more})


def forgetful() -> Iterator[Trial]:
    """Recurrent networks that are to remember what came first. Their seeds are others than their places in `later`: with
    those the first rule for this code was measured, and found 7 of 11."""
    for length, (hidden, optimizer) in product((14, 16, 18, 20), product((32, 64), _RNN)):
        rate = 0.001 if optimizer != "sgd" else 0.1
        words = longer(length, model__hidden=hidden, optimizer=optimizer, optimizer__lr=rate)
        yield Trial("vanishing-through-time", "palindrome", words)


_CONV = {"sgd": 0.3, "adam": 0.6, "rmsprop": 0.5}
"""The rates of small convolutional networks, in those of perceptrons."""

_CONV_FAULTS: dict[str, tuple[float, Words]] = {
    "vanishing-signal": (1.0, {"sd": 0.003}),
    "exploding-signal": (1.0, {"sd": 2.0}),
    "dead-units": (1.0, {"bias": -10.0}),
    "aligned-units": (1.0, {"constant": 0.05}),
    "rate-too-high": (60.0, {}),
    "rate-too-low": (0.001, {}),
}
"""Code -> what the rate is multiplied by, and the fault of the module."""


def longer(length: int, **more: Any) -> Words:
    """The recurrent network on palindromes that need a memory, 100 steps an epoch."""
    words: Words = {"task": "palindrome", "task.length": length, "model.hidden": 64, "epochs": 12, "eval_every": 1}
    return {**words, **{name.replace("__", "."): value for name, value in more.items()}}


_REMEMBERS: Words = {"model__recurrent": "orthogonal", "optimizer": "adam", "optimizer__lr": 0.001, "clip": 1}


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
CODES = (*FAULTS, "vanishing-through-time")

SHAPES = {"moons": (2, 2), "circles": (2, 2), "blobs": (2, 4), "digits": (64, 10), "friedman": (10, 1)}
"""Inputs and outputs of the modules of the user's."""


def module(
    task: str,
    sizes: Sequence[int] = (),
    *,
    channels: Sequence[int] = (),
    bias: float | None = None,
    constant: float | None = None,
    sd: float | None = None,
    activation: type[nn.Module] = nn.ReLU,
) -> Callable[[], nn.Module]:
    """A perceptron as a user would write it, or with `channels` a convolutional network on images of 8x8, with a fault
    in its initial values: all hidden biases one number, all weights one number, or all weights normal with one sd."""

    def build() -> nn.Module:
        ends, parts = SHAPES[task], list[nn.Module]()
        layers: list[nn.Linear | nn.Conv2d]
        if channels:
            kernels = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise((1, *channels))]
            layers = [*kernels, nn.Linear(channels[-1] * 4, ends[1])]
        else:
            layers = [nn.Linear(a, b) for a, b in pairwise((ends[0], *sizes, ends[1]))]
        for i, layer in enumerate(layers):
            if constant is not None:
                nn.init.constant_(layer.weight, constant)
            if sd is not None:
                nn.init.normal_(layer.weight, std=sd)
            if bias is not None and i < len(layers) - 1:
                nn.init.constant_(layer.bias, bias)
            parts += [layer, activation()]
        parts.pop()
        if not channels:
            return nn.Sequential(*parts)
        body = [nn.Unflatten(1, (1, 8, 8)), *parts[:-1], nn.AdaptiveMaxPool2d(2), nn.Flatten(), parts[-1]]
        return nn.Sequential(*body)

    return build


HALVES = ("tune", "report")
AGAIN = {"again": 100_000, "again-2": 200_000}
"""What is added to the seeds where every place is trained once more: for rules that were changed after both halves had been
seen, and then after `again` had been."""


def trials(half: str) -> Iterator[tuple[int, Trial]]:
    """Every trial of a half, of both, or of all places again, with its seed."""
    if half in AGAIN:
        yield from ((seed + AGAIN[half], trial) for seed, trial in trials("both"))
        return
    first = [*healthy(), *plants()]
    for seed, trial in enumerate(first, FIRST_SEED):
        if half in ("both", HALVES[seed % 2]):
            yield seed, trial
    for seed, trial in enumerate(later(), FIRST_SEED + 10_000):
        if trial.code == "vanishing-through-time":
            continue
        whole = not trial.code and not trial.layers and trial.task != "palindrome"  # all of these are for the report
        if half == "both" or (half == "report" if whole else half == HALVES[seed % 2]):
            yield seed, trial
    for seed, trial in enumerate(forgetful(), FIRST_SEED + 20_000):
        if half in ("both", HALVES[seed % 2]):
            yield seed, trial
