"""The models by hand of this package, and PyTorch's own layers and optimizers, through `paribus check`: all right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import paribus
from paribus.byhand.cnn import Cnn
from paribus.byhand.layers import Linear, ReLU, Skip, SoftmaxCrossEntropy
from paribus.byhand.losses import Binary
from paribus.checking.witnesses import AUTOGRAD

BYHAND = Path(paribus.__file__).parent / "byhand"
LEFT = {
    "activations.py": {},
    "cnn.py": {"Cnn": "of which differences would take hours"},
    "convolution.py": {},
    "layers.py": {"Layer": "it is a protocol"},
    "losses.py": {
        "Loss": "it is a protocol",
        "Binary": "paribus_check(): return Binary(...)",
        "both_logits": "without a both_logits_backward",
        "make_loss": "without a make_loss_backward",
    },
    "mlp.py": {},
    "model.py": {"Model": "it is a protocol"},
    "norms.py": {},
    "rnn.py": {},
    "optimizers/adam.py": {},
    "optimizers/base.py": {
        "add_l1": "without a add_l1_backward",
        "clip_by_global_norm": "without a clip_by_global_norm_backward",
        "Optimizer": "it is abstract",
    },
    "optimizers/lion.py": {},
    "optimizers/muon.py": {
        "orthogonalised": "without a orthogonalised_backward",
        "Muon": "of no rule that is known",
    },
    "optimizers/sgd.py": {},
    "optimizers/squares.py": {},
}
"""What is not checked, and why."""


def test_every_file_by_hand_is_listed_here() -> None:
    assert {str(path.relative_to(BYHAND)) for path in BYHAND.rglob("*.py") if path.name != "__init__.py"} == set(LEFT)


@pytest.mark.parametrize("file", sorted(LEFT))
def test_all_that_is_written_by_hand_is_right(file: str) -> None:
    found = paribus.check(BYHAND / file)
    assert {one.name for one in found.things if one.verdict == "departs"} == set(), str(found)
    left = {one.name: one.notes[-1] for one in found.things if one.verdict == "not checked"}
    assert left.keys() == LEFT[file].keys()
    for name, why in LEFT[file].items():
        assert why in left[name]
    assert found.status == (2 if len(left) == len(found.things) else 0)


def test_from_the_shell() -> None:
    command = [sys.executable, "-m", "paribus", "check", str(BYHAND / "layers.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 checked, all right; 1 not checked" in done.stdout


def test_objects_of_what_is_not_made_by_itself() -> None:
    rng = np.random.default_rng(2)
    skip = Skip([Linear(rng.normal(size=(4, 4)), rng.normal(size=4)), ReLU()])
    for thing in (skip, Binary(SoftmaxCrossEntropy()), Cnn((1, 8, 8), 10, width=0.125)):
        found = paribus.check(thing)
        assert found.right, str(found)


LAYERS = (
    "Linear", "ReLU", "Tanh", "Sigmoid", "GELU", "SiLU", "ELU", "LeakyReLU", "Softplus", "Flatten", "Identity",
    "BatchNorm1d", "BatchNorm2d", "Conv2d", "MaxPool2d", "AvgPool2d", "CrossEntropyLoss", "MSELoss", "L1Loss",
    "HuberLoss", "SmoothL1Loss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss",
)  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_pytorch_are_right_and_known(name: str) -> None:
    import torch

    found = paribus.check(getattr(torch.nn, name))
    assert found.right, str(found)
    assert found.things[0].decided_by == AUTOGRAD


def test_layers_of_pytorch_that_are_no_known_operation_are_right_by_differences() -> None:
    from torch import nn

    layers: list[Any] = [nn.RNNCell(4, 3), nn.LSTMCell(3, 2), nn.GRUCell(3, 2), nn.Dropout(0.4), nn.LayerNorm(4),
                         nn.Softmax(1), nn.LogSoftmax(1), nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))]  # fmt: skip
    for layer in layers:
        found = paribus.check(layer)
        assert found.right, str(found)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax", "Adadelta"])
def test_optimizers_of_pytorch_are_right(name: str) -> None:
    import torch

    found = paribus.check(getattr(torch.optim, name))
    assert found.right, str(found)


def test_a_rule_of_no_known_name_or_path_is_not_checked_and_a_common_mistake_in_it_is_found() -> None:
    class Mine:
        def __init__(self, params: dict[str, Any], lr: float) -> None:
            self.params, self.lr = params, lr

        def step(self, grads: dict[str, Any]) -> None:
            for name, one in self.params.items():
                one -= self.lr * self.direction(grads[name])

        def direction(self, g: Any) -> Any:
            return g

    class Odd(Mine):
        def direction(self, g: Any) -> Any:
            return np.arctan(g)

    class Up(Mine):
        def direction(self, g: Any) -> Any:
            return -g

    verdicts = {cls.__name__: paribus.check(cls).things[0] for cls in (Mine, Odd, Up)}
    assert verdicts["Mine"].verdict == "right"
    assert verdicts["Odd"].verdict == "not checked"
    assert verdicts["Up"].departures[0].code == "sign"


def test_adamw_that_adds_its_decay_to_the_gradient() -> None:
    class AdamW:
        def __init__(self, params: dict[str, Any], lr: float) -> None:
            self.params, self.lr, self.t = params, lr, 0
            self.m = {name: np.zeros_like(one) for name, one in params.items()}
            self.v = {name: np.zeros_like(one) for name, one in params.items()}

        def step(self, grads: dict[str, Any]) -> None:
            self.t += 1
            for name, one in self.params.items():
                g = grads[name] + 0.01 * one
                self.m[name] = 0.9 * self.m[name] + 0.1 * g
                self.v[name] = 0.999 * self.v[name] + 0.001 * g * g
                m, v = self.m[name] / (1 - 0.9**self.t), self.v[name] / (1 - 0.999**self.t)
                one -= self.lr * m / (np.sqrt(v) + 1e-8)

    assert paribus.check(AdamW).things[0].departures[0].code == "decay"
