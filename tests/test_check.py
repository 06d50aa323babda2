"""What `paribus check` says of planted mistakes, and of correct code in many styles."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import paribus
from paribus.checking.api import check_file
from paribus.config.overrides import SettingsError
from tests.check import Case, cases

TUNED, RIGHT = cases("tuned_mistakes.txt"), cases("tuned_right.txt")


def written(tmp_path: Path, source: str) -> str:
    path = tmp_path / "mine.py"
    path.write_text(source, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("case", TUNED, ids=lambda case: case.name)
def test_a_planted_mistake_is_found_with_its_reason(case: Case, tmp_path: Path) -> None:
    found = check_file(written(tmp_path, case.source))
    assert found.status == 1
    assert found.things[0].departures[0].code in case.codes, str(found)


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_correct_code_in_any_style_is_right(case: Case, tmp_path: Path) -> None:
    found = check_file(written(tmp_path, case.source))
    assert found.status == 0, str(found)
    assert ("float32" in str(found)) == ("float32" in case.name)


def test_what_is_not_recognised_is_listed_and_nothing_checked_is_status_2(tmp_path: Path) -> None:
    found = check_file(written(tmp_path, "def helper(a):\n    return a\n"))
    assert found.status == 2
    assert [(one.name, one.verdict) for one in found.things] == [("helper", "not checked")]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("input()", "asks for input"),
        ("def f(:", "SyntaxError"),
        ("exit(3)", "SystemExit"),
    ],
)
def test_a_file_that_cannot_be_imported_has_one_clear_line(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        check_file(written(tmp_path, source))
    assert len(raised.value.mistakes) == 1


def test_a_class_that_cannot_be_made_is_made_by_the_adapter(tmp_path: Path) -> None:
    source = (
        "class ReLU:\n"
        "    def __init__(self, *, secret):\n        assert secret == 'x'\n"
        "    def forward(self, x):\n        self.m = x > 0\n        return x * self.m\n"
        "    def backward(self, d):\n        return d * self.m\n"
    )
    without = check_file(written(tmp_path, source))
    assert without.status == 2
    assert "def paribus_check(): return ReLU(" in without.things[0].notes[0]
    assert check_file(written(tmp_path, source + "def paribus_check():\n    return ReLU(secret='x')\n")).right


def test_the_command_is_deterministic_and_exits_by_the_verdict(tmp_path: Path) -> None:
    file = written(tmp_path, "print('hello')\n" + TUNED[0].source)
    command = [sys.executable, "-m", "paribus", "check", file, "--json"]
    runs = [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(2)]
    assert [one.returncode for one in runs] == [1, 1]
    assert runs[0].stdout == runs[1].stdout
    assert json.loads(runs[0].stdout)["things"][0]["departures"][0]["code"] == "transpose"


def test_a_solution_beside_it_says_what_is_meant(tmp_path: Path) -> None:
    layer = (
        "class Thing:\n"
        "    def forward(self, x):\n        self.x = x\n        return {k} * x ** 2\n"
        "    def backward(self, d):\n        return 2 * {k} * self.x * d\n"
    )
    mine = written(tmp_path, layer.format(k=3))
    (tmp_path / "solution.py").write_text(layer.format(k=4), encoding="utf-8")
    assert check_file(mine).right
    assert check_file(mine, tmp_path / "solution.py").things[0].departures[0].code == "reference"


def test_a_scalar_that_forgets_to_add_up() -> None:
    class Value:
        def __init__(self, data, children=()):
            self.data, self.grad, self._back, self._prev = data, 0.0, lambda: None, children

        def __add__(self, other):
            out = Value(self.data + other.data, (self, other))

            def back() -> None:
                self.grad = out.grad
                other.grad = out.grad

            out._back = back
            return out

        def backward(self) -> None:
            self.grad = 1.0
            self._back()

    assert [one.code for one in paribus.check(Value).things[0].departures] == ["accumulated"]


def test_functions_of_pytorch() -> None:
    import torch

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            return 2 * ctx.saved_tensors[0] ** 2 * dy

    found = paribus.check(Cube)
    assert (
        found.things[0].departures[0].reason
        == "it is 0.6667 times the right one, everywhere: a constant factor too many or forgotten"
    )


def test_the_callers_generators_are_as_they_were() -> None:
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert paribus.check({"Dropout": _Dropout}).right
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


class _Dropout:
    def __init__(self, p: float = 0.4) -> None:
        self.p = p

    def forward(self, x):
        self.mask = np.random.rand(*x.shape) > self.p  # noqa: NPY002
        return x * self.mask / (1 - self.p)

    def backward(self, d):
        return d * self.mask / (1 - self.p)


def test_mistakes_that_were_written_afterwards_are_found(tmp_path: Path) -> None:
    found = [(case, check_file(written(tmp_path, case.source))) for case in cases("fresh_mistakes.txt")]
    assert [case.name for case, one in found if one.status != 1] == []
    named = [case.name for case, one in found if one.things[0].departures[0].code in case.codes]
    assert len(found) == 30
    assert len(named) >= 27
    assert [case.name for case in cases("fresh_right.txt") if check_file(written(tmp_path, case.source)).status] == []


def test_known_values_are_those_of_pytorch() -> None:
    import torch
    from torch.nn import functional

    from paribus.checking.inputs import values
    from paribus.checking.known import variants

    rng = np.random.default_rng(3)
    w, b, k = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(3, 2, 3, 3))
    scale, shift = rng.normal(size=4), rng.normal(size=4)
    norm, affine = {"gamma": scale, "beta": shift}, [torch.tensor(scale), torch.tensor(shift)]
    wx, wh, h = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)
    cell = torch.nn.RNNCell(3, 4).double()
    state = {"weight_ih": wx.T, "weight_hh": wh.T, "bias_ih": h, "bias_hh": 0 * h}
    cell.load_state_dict({name: torch.tensor(one) for name, one in state.items()})
    image, rows = (2, 4, 6), (4,)
    for op, params, variant, shape, theirs in (
        ("linear", {"w": w, "b": b}, "", rows, lambda x: functional.linear(x, torch.tensor(w), torch.tensor(b))),
        ("relu", {}, "", rows, functional.relu),
        ("sigmoid", {}, "", rows, torch.sigmoid),
        ("tanh", {}, "", rows, torch.tanh),
        ("softmax", {}, "", rows, lambda x: functional.softmax(x, 1)),
        ("log_softmax", {}, "", rows, lambda x: functional.log_softmax(x, 1)),
        ("softmax_cross_entropy", {}, "", rows, functional.cross_entropy),
        ("cross_entropy", {}, "", rows, lambda p, t: functional.nll_loss(p.log(), t)),
        ("binary_cross_entropy", {}, "the mean over all numbers", rows, functional.binary_cross_entropy),
        ("mean_squared", {}, "the mean over all numbers", rows, functional.mse_loss),
        ("batch_norm", norm, "", rows, lambda x: functional.batch_norm(x, None, None, *affine, training=True)),
        ("layer_norm", norm, "", rows, lambda x: functional.layer_norm(x, (4,), *affine)),
        ("convolution", {"k": k, "b": b}, "padding 1, stride 2", image,
         lambda x: functional.conv2d(x, torch.tensor(k), torch.tensor(b), 2, 1)),
        ("max_pool", {}, "3 x 3, stride 2, padding 1", image, lambda x: functional.max_pool2d(x, 3, 2, 1)),
        ("average_pool", {}, "2 x 2, stride 2, padding 0", image, lambda x: functional.avg_pool2d(x, 2)),
        ("rnn_step", {"wx": wx, "wh": wh, "b": h}, "", (3,), cell),
    ):  # fmt: skip
        two = op == "rnn_step" or "entropy" in op or op == "mean_squared"
        given = list(
            values(op, ["x", "y"][: 1 + two], shape, 5, "numbers" if op == "mean_squared" else "classes").values()
        )
        found = variants(op, given, params, {})
        assert found is not None, op
        expected = theirs(*map(torch.tensor, given)).detach().numpy()
        np.testing.assert_allclose(found[variant], expected, rtol=1e-12, atol=1e-14, err_msg=op)


@pytest.mark.parametrize(
    ("rule", "name", "options"),
    [
        ("sgd", "SGD", {}),
        ("momentum", "SGD", {"momentum": 0.9}),
        ("nesterov", "SGD", {"momentum": 0.9, "nesterov": True}),
        ("adam", "Adam", {}),
        ("adamw", "AdamW", {"weight_decay": 0.05}),
        ("rmsprop", "RMSprop", {}),
        ("adagrad", "Adagrad", {}),
    ],
)
def test_known_rules_are_those_of_pytorch(rule: str, name: str, options: dict[str, float]) -> None:
    import torch

    from paribus.checking.update_rules import LR, right, start

    params, slopes = start()
    theirs = {key: torch.tensor(one, requires_grad=True) for key, one in params.items()}
    optimizer = getattr(torch.optim, name)(theirs.values(), lr=LR, **options)
    for g in slopes:
        for key, one in theirs.items():
            one.grad = torch.tensor(g[key])
        optimizer.step()
    ends = [path[-1] for _, path in right(rule, options)]
    assert any(all(np.allclose(end[k], theirs[k].detach().numpy(), rtol=1e-10) for k in end) for end in ends)


RANDOM = """
import threading
import numpy as np
rng = np.random.default_rng(0)
class Global:
    def draw(self, shape): return np.random.rand(*shape)
    def forward(self, x): self.m = (self.draw(x.shape) > 0.5) * 2.0; return x * self.m
    def backward(self, d): return d * self.m
class File(Global):
    def draw(self, shape): return rng.random(shape)
class Own(Global):
    def __init__(self): self.rng = np.random.default_rng(3)
    def draw(self, shape): return self.rng.random(shape)
class Kept:
    n = 0
    def forward(self, x): self.x = x; return np.tanh(x) + x
    def backward(self, d): self.n += 1; return self.n * d * (2 - np.tanh(self.x) ** 2)
class Half:
    def forward(self, x): self.x = x; return np.maximum(x, 0).astype(np.float16)
    def backward(self, d): return d * (self.x > 0)
class Lock(Kept):
    def __init__(self): self.lock = threading.Lock()
"""


def test_what_draws_random_numbers_keeps_nothing(tmp_path: Path) -> None:
    """A mask that is drawn anew is not kept from the call before; what is, is told still."""
    found = {one.name: one for one in check_file(written(tmp_path, RANDOM)).things}
    for name in ("Global", "File", "Own"):
        assert found[name].verdict == "right", str(found[name])
        assert "draws random numbers" in found[name].notes[0]
    assert "is kept from the call before" in str(found["Kept"].departures[0].reason)
    for name, why in (("Half", "float16"), ("Lock", "cannot pickle")):
        assert found[name].verdict == "not checked"
        assert why in found[name].notes[0]


def test_gradients_that_are_there_at_birth_hide_no_network() -> None:
    class Layer:
        def __init__(self, n_in: int, n_out: int) -> None:
            self.W, self.b = np.random.default_rng(0).normal(size=(n_in, n_out)), np.zeros(n_out)
            self.dW, self.db = np.zeros((n_in, n_out)), np.zeros(n_out)

        def forward(self, x: np.ndarray) -> np.ndarray:
            self.x = x
            return np.asarray(x @ self.W + self.b)

        def backward(self, d: np.ndarray) -> np.ndarray:
            self.dW, self.db = self.x.T @ d, d.sum(axis=0)
            return np.asarray(d @ self.W.T)

    class Net:
        def __init__(self, n_in: int, n_hidden: int, n_out: int) -> None:
            self.one, self.two = Layer(n_in, n_hidden), Layer(n_hidden, n_out)

        def forward(self, x: np.ndarray) -> np.ndarray:
            self.a = self.one.forward(x)
            return self.two.forward(np.maximum(self.a, 0))

        def backward(self, d: np.ndarray) -> None:
            self.one.backward(self.two.backward(d) * (self.a > 0))

    found = paribus.check(Net).things[0]
    assert found.verdict == "right", str(found)
    assert found.taken is not None
    assert found.taken.startswith("a network, ")


def test_a_loss_of_logits_has_to_bear_large_ones_whatever_it_is_called(tmp_path: Path) -> None:
    source = """
import numpy as np
def cross_entropy_loss(x, y):
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    dx = p.copy()
    dx[np.arange(len(y)), y] -= 1
    return -np.log(p[np.arange(len(y)), y]).mean(), dx / len(y)
"""
    (found,) = check_file(written(tmp_path, source)).things
    assert found.departures[0].code == "overflow"


@pytest.mark.parametrize(("thing", "said"), [({1: int}, "has names as keys, not 1"), (np, "numpy is a module")])
def test_what_is_nothing_to_check_is_refused(thing: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        paribus.check(thing)
