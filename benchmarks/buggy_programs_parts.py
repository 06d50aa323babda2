"""What the programs of `buggy_programs_table.py` are made of: data like theirs, networks from a line of text, losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional

import paribus

Numbers = NDArray[Any]
Pair = tuple[Numbers, Numbers]
Loss = Callable[[Tensor, Tensor], Tensor]

# --- data ---


def _images(scale: float = 1.0) -> Pair:
    """The digits of scikit-learn, 8 x 8, with values from 0 to `scale`: in the place of MNIST and CIFAR-10."""
    x, y = datasets.load_digits(return_X_y=True)
    return (x / 16 * scale).reshape(-1, 1, 8, 8).astype(np.float32), y


def _flat(scale: float = 1.0) -> Pair:
    x, y = _images(scale)
    return x.reshape(len(x), -1), y


def _raw_test() -> dict[str, Any]:
    """Training images divided by 255, test images as they are; every label divided by 255 is the whole number 0."""
    x, y = _images(255)
    return {"x": x[:1400] / 255, "y": (y[:1400] / 255).astype(int), "test": (x[1400:], y[1400:])}


def _miles(scale: float = 0.0) -> Pair:
    """Numbers to predict from ten features between 0 and 1, in the place of the cars' miles per gallon. `scale`: of the
    largest feature where they are not scaled."""
    x, y = datasets.make_friedman1(400, noise=1.0, random_state=0)
    return (x * scale ** np.linspace(0, 1, 10) if scale else x), y


def _two(features: int, scale: float = 1.0, rows: int = 600) -> Pair:
    """Two classes. `scale`: of the largest feature, where they are not alike."""
    x, y = datasets.make_classification(
        rows, features, n_informative=min(features, 5), n_redundant=0, n_clusters_per_class=1, class_sep=1.5, random_state=0
    )  # fmt: skip
    return x * scale ** np.linspace(0, 1, features), y


def _xor(rows: int) -> Pair:
    """Corners of a square, with a little noise: a test split of its own rows is needed."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 2, (rows, 2))
    return corners + rng.normal(0, 0.05, corners.shape), corners.sum(axis=1) % 2


def _two_clouds() -> Pair:
    """Two classes in the plane that a line parts, as in 50306988."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0.2, 0.4, (100, 2)), rng.uniform(0.5, 0.7, (100, 2))])
    return x, np.repeat([0, 1], 100)


def _ones_or_zeros() -> Pair:
    """128 inputs that are all 1 or all 0, as in 31880720."""
    x = np.repeat([[1.0], [0.0]], 1000, axis=0) * np.ones(128)
    return x, np.repeat([1, 0], 1000)


def _line(rows: int = 100, top: float = 10.0) -> Pair:
    x = np.linspace(0, top, rows)[:, None]
    return x, 2 * x[:, 0] + 4 + np.random.default_rng(0).random(rows)


def _parabola() -> Pair:
    x = np.arange(0, 5, 0.02)[:, None]
    return x, 5 * x[:, 0] ** 2 + np.random.default_rng(0).normal(size=len(x)) ** 3


def _shuffled(pair: Pair) -> Pair:
    x, y = pair
    return x[np.random.default_rng(0).permutation(len(x))], y


def _unbalanced() -> Pair:
    """Of class k a share of 1 / 2^k is kept, at least 12 rows."""
    x, y = _images()
    keep = np.concatenate([np.flatnonzero(y == k)[: max(12, int((y == k).sum() / 2**k))] for k in range(10)])
    return x[np.sort(keep)], y[np.sort(keep)]


def _three_wide(features: int = 3) -> Pair:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10_000, (600, features))
    return x, x @ np.array([2.0, 1.0, 0.5][:features]) + 2.2


def _power() -> Pair:
    x = np.arange(-100, 100, 0.5)
    return x[:, None], x**4


def _words() -> Pair:
    """400 texts as 1000 words that are in it or not, in the place of the film reviews."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    chance = np.where(np.arange(1000) < 30, 0.05 + 0.2 * y[:, None], 0.05)
    return (rng.random((400, 1000)) < chance).astype(np.float32), y


def _noise_numbers() -> Pair:
    rng = np.random.default_rng(0)
    return rng.random((1000, 5)), rng.integers(0, 2, 1000)


def _ink() -> Pair:
    """Where the ink of an image lies, as one number, in the place of the points of a face."""
    x, _ = _images()
    rows = (x[:, 0] * np.arange(8)[:, None]).sum(axis=(1, 2)) / x[:, 0].sum(axis=(1, 2))
    return x.reshape(len(x), -1), rows


DATA: dict[str, Callable[[], Pair | dict[str, Any]]] = {
    "images": _images, "images to 255": lambda: _images(255), "images over 255": lambda: _images(1 / 255),
    "flat": _flat, "flat to 255": lambda: _flat(255), "raw test, labels / 255": _raw_test,
    "shuffled images": lambda: _shuffled(_images()), "unbalanced images": _unbalanced,
    "miles": _miles, "raw miles": lambda: _miles(3000.0), "miles over range": lambda: _miles(1 / 3000),
    "few noisy miles": lambda: datasets.make_friedman1(200, noise=3.0, random_state=0),
    "shuffled miles": lambda: _shuffled(_miles()),
    "xor": lambda: _xor(200), "two clouds": _two_clouds, "ones or zeros": _ones_or_zeros, "random": _noise_numbers,
    "iris": lambda: datasets.load_iris(return_X_y=True), "line": _line, "long line": lambda: _line(100, 100.0),
    "few of a line": lambda: _line(40, 8.0), "parabola": _parabola, "wide numbers": _three_wide, "power": _power,
    "three inputs": lambda: _two(3, 800.0), "sixteen inputs": lambda: _two(16), "packets": lambda: _two(11, 3000.0),
    "patients": lambda: _two(8, 300.0), "passengers": lambda: _two(9, 500.0), "adults": lambda: _two(14, 10_000.0),
    "hearts": lambda: _two(9, 150.0, 400), "four inputs": lambda: _two(4), "one input": lambda: _two(1), "fourteen inputs": lambda: _two(14),
    "words": _words, "ink": _ink,
}  # fmt: skip


def build_data(name: str, kind: str | None) -> Any:
    """A data set as a task; ValueError where Paribus refuses it. `kind`: `regression` for classes that are given as
    numbers to predict."""
    found = DATA[name]()
    given: dict[str, Any] = found if isinstance(found, dict) else {"x": found[0], "y": found[1]}
    if kind == "regression":
        given["y"] = given["y"].astype(float)
    channels = "first" if given["x"].ndim == 4 else None
    return paribus.data(**given, kind=kind, channels=channels, name=name.replace(" ", "-").replace("/", "over"))


# --- networks ---


class _AllDroppedInEvaluation(nn.Module):
    """A dropout whose rate in evaluation is 1: the share to keep was given where the share to drop is wanted."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5) if self.training else torch.zeros_like(x)


class _Erased(nn.Module):
    """Augmentation that is too strong: noise of sd 0.5, and half of the image blotted out."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = torch.ones_like(x)
        keep[:, :, :, : x.shape[3] // 2] = 0.0
        return (x + 0.5 * torch.randn_like(x)) * keep


_PARTS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "elu": nn.ELU, "softmax": lambda: nn.Softmax(dim=1),
    "pool": lambda: nn.MaxPool2d(2), "flat": nn.Flatten, "drop": lambda: nn.Dropout(0.5),
    "wrong-drop": _AllDroppedInEvaluation, "erase": _Erased,
}  # fmt: skip


def network(text: str, shape: tuple[int, ...], *, weights: str = "", biases: str = "") -> Callable[[], nn.Module]:
    """A network from a line: `conv8` a convolution of 3 x 3 with 8 channels, `64` a linear layer of 64 units, the rest
    by name. `weights` and `biases`: `normal:1`, `uniform:0.05` or `constant:0.1`; else PyTorch's own.

    >>> network("4 relu 2", (3,))()
    Sequential(
      (0): Linear(in_features=3, out_features=4, bias=True)
      (1): ReLU()
      (2): Linear(in_features=4, out_features=2, bias=True)
    )
    """

    def build() -> nn.Module:
        parts: list[nn.Module] = []
        seen = torch.zeros(2, *shape)
        for word in text.split():
            if word.isdigit():
                part: nn.Module = nn.Linear(seen.shape[1], int(word))
            elif word.startswith("conv"):
                part = nn.Conv2d(seen.shape[1], int(word[4:]), 3, padding=1)
            else:
                part = _PARTS[word]()
            if isinstance(part, nn.Linear | nn.Conv2d):
                _fill(part.weight, weights)
                assert part.bias is not None
                _fill(part.bias, biases)
            parts.append(part)
            with torch.no_grad():
                seen = part(seen)
        return nn.Sequential(*parts)

    return build


def _fill(parameter: nn.Parameter, how: str) -> None:
    kind, _, value = how.partition(":")
    if kind == "normal":
        nn.init.normal_(parameter, std=float(value))
    elif kind == "uniform":
        nn.init.uniform_(parameter, -float(value), float(value))
    elif kind == "constant":
        nn.init.constant_(parameter, float(value))
    elif kind == "he":  # a multiple of He's standard deviation
        nn.init.normal_(parameter, std=float(value) * (2 / parameter[0].numel()) ** 0.5)


# --- losses ---


def _onehot(z: Tensor, y: Tensor) -> Tensor:
    return functional.one_hot(y, z.shape[1]).to(z.dtype)


def _log(p: Tensor) -> Tensor:
    return p.clamp(1e-32, 1 - 1e-7).log()


def squared_of_classes(z: Tensor, y: Tensor) -> Tensor:
    return (z - _onehot(z, y)).square().mean()


def squared_after_softmax(z: Tensor, y: Tensor) -> Tensor:
    return squared_of_classes(z.softmax(dim=1), y)


def absolute_after_sigmoid(z: Tensor, y: Tensor) -> Tensor:
    return (z.sigmoid() - _onehot(z, y)).abs().mean()


def summed_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return -(_onehot(z, y) * z.log_softmax(dim=1)).sum()


def summed_log_of_softmax(z: Tensor, y: Tensor) -> Tensor:
    return -(_onehot(z, y) * (z.softmax(dim=1) + 1e-30).log()).sum()


def mean_over_classes_summed(z: Tensor, y: Tensor) -> Tensor:
    return -(_onehot(z, y) * _log(z.softmax(dim=1))).mean(dim=1).sum()


def summed_over_examples(z: Tensor, y: Tensor) -> Tensor:
    return -(_onehot(z, y) * _log(z.softmax(dim=1))).sum(dim=0).mean()


def softmax_over_examples(z: Tensor, y: Tensor) -> Tensor:
    return -(_onehot(z, y) * _log(z.softmax(dim=0))).sum(dim=1).mean()


def log_of_logits(z: Tensor, y: Tensor) -> Tensor:
    return -(_onehot(z, y) * _log(z)).sum(dim=1).mean()


def log_of_clipped_logits(z: Tensor, y: Tensor) -> Tensor:
    t = _onehot(z, y)
    return -(t * z.clamp(min=1e-10).log() + (1 - t) * (1 - z).clamp(min=1e-10).log()).mean()


def unclipped_logs(z: Tensor, y: Tensor) -> Tensor:
    t = _onehot(z, y)
    return (-t * z.log() - (1 - t) * (1 - z).log()).sum(dim=1).mean()


def negative_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return -functional.cross_entropy(z, y)


def negative_squares(z: Tensor, y: Tensor) -> Tensor:
    return -(z - y).square().mean()


def every_output_with_every_target(z: Tensor, y: Tensor) -> Tensor:
    return (z[:, None] - y).square().mean()


def log_of_numbers(z: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of numbers to predict, brought to 0 to 1."""
    return -((y + 3) / 6 * z.clamp(1e-10, 1.0).log()).sum()


def squares_times(factor: float) -> Loss:
    """The mean squared error in units in which the target's sd is the root of `factor`."""

    def squares(z: Tensor, y: Tensor) -> Tensor:
        return factor * (z - y).square().mean()

    return squares


def sum_of_squares_times(factor: float) -> Loss:
    def squares(z: Tensor, y: Tensor) -> Tensor:
        return factor * (z - y).square().sum()

    return squares
