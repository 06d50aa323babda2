"""Whole networks beside their PyTorch twins: the first step, layer and tensor at which they part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import paribus
from paribus.checking.networks.driver import LR, Affine, ways
from paribus.checking.networks.steps import STEPS, TWIN
from paribus.checking.networks.twin import ACTIVATIONS, Twin, activated, likeliest
from paribus.checking.result import Checked
from paribus.checking.witnesses import DIFFERENCES
from tests.check import Case, cases

RIGHT, MISTAKES = cases("network_right.txt"), cases("network_mistakes.txt")


def last_of(case: Case, tmp_path: Path) -> Checked:
    """What is said of the network, which is the last class of its file."""
    path = tmp_path / "mine.py"
    path.write_text(case.source, encoding="utf-8")
    return paribus.check(path).things[-1]


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_a_network_that_is_right_goes_with_its_twin(case: Case, tmp_path: Path) -> None:
    found = last_of(case, tmp_path)
    assert found.verdict == "right", str(found)
    assert found.decided_by == TWIN
    assert found.taken.startswith("a network, 4-5-3, ")
    assert any(note.startswith(f"{STEPS} steps of gradient descent beside {TWIN}") for note in found.notes)
    assert 0 < found.differences[TWIN] < (1e-3 if "float32" in case.name else 1e-12)
    mine, theirs = found.curves.values()
    np.testing.assert_allclose(mine, theirs, rtol=1e-4 if "float32" in case.name else 1e-12)


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.name)
def test_a_mistake_in_a_network_is_found_where_it_is_with_its_reason(case: Case, tmp_path: Path) -> None:
    found = last_of(case, tmp_path)
    assert found.verdict == "departs"
    assert found.departures[0].code in case.codes, str(found)


def test_the_step_the_layer_and_the_tensor_are_named(tmp_path: Path) -> None:
    named = {case.name: last_of(case, tmp_path).departures[0] for case in MISTAKES}
    assert named["net_relu_mask_of_dout"].tensor == "step 1, layer 2 (ReLU): gradient of its input"
    assert (named["net_relu_mask_of_dout"].reason or "").startswith("ReLU by itself departs: ")
    assert named["net_softmax_axis"].tensor == "step 1, layer 4 (SoftMax): gradient of its input"
    assert named["net_tanh_derivative_forgotten"].tensor == "step 1, linear layer 1: gradient of the parameter W1"
    assert named["net_accumulates"].tensor == "step 2, linear layer 2: gradient of the parameter W2"
    assert named["net_stale_cache"].tensor == "step 2, linear layer 1: gradient of the parameter W1"


def test_mistakes_in_networks_that_were_written_afterwards_are_found(tmp_path: Path) -> None:
    found = [(case, last_of(case, tmp_path)) for case in cases("network_fresh_mistakes.txt")]
    assert len(found) == 12
    assert [case.name for case, one in found if one.verdict != "departs"] == []
    assert sum(one.departures[0].code in case.codes for case, one in found) >= 8
    right = cases("network_fresh_right.txt")
    assert [case.name for case in right if last_of(case, tmp_path).decided_by != TWIN] == []
    assert [case.name for case in right if last_of(case, tmp_path).verdict != "right"] == []


SOURCE = """
class Network:
    def __init__(self, n_inputs, n_hidden, n_classes):
        rng = np.random.default_rng(3)
        sizes = [n_inputs, *n_hidden, n_classes]
        self.params, self.grads = {}, {}
        for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
            self.params[f"W{i}"], self.params[f"b{i}"] = rng.normal(size=(a, b)) / a, np.zeros(b)
        self.depth = len(sizes) - 1
    def forward(self, x):
        self.a = [x]
        for i in range(self.depth):
            z = self.a[-1] @ self.params[f"W{i}"] + self.params[f"b{i}"]
            self.a.append(np.tanh(z) if i < self.depth - 1 else z)
        return self.a[-1]
    def backward(self, dout):
        for i in reversed(range(self.depth)):
            self.grads[f"W{i}"], self.grads[f"b{i}"] = self.a[i].T @ dout, dout.sum(0)
            dout = dout @ self.params[f"W{i}"].T
            if i:
                dout = dout * (1 - self.a[i] ** 2)
        return dout
"""


def network(*sizes: int) -> Any:
    scope: dict[str, Any] = {"np": np}
    exec(SOURCE, scope)
    return scope["Network"](sizes[0], sizes[1:-1], sizes[-1])


SIZES = st.lists(st.integers(2, 7), min_size=3, max_size=5)


@given(SIZES)
@settings(max_examples=15, deadline=None)
def test_a_right_network_of_any_size_is_never_alarmed(sizes: list[int]) -> None:
    found = paribus.check(network(*sizes))
    assert found.right, str(found)
    assert found.things[0].differences[TWIN] < 1e-10
    assert found.things[0].differences[DIFFERENCES] < 1e-6


@given(SIZES, st.data())
@settings(max_examples=25, deadline=None)
def test_a_factor_on_any_gradient_of_a_network_is_found_in_that_tensor(sizes: list[int], data: Any) -> None:
    model = network(*sizes)
    name = data.draw(st.sampled_from(sorted(model.params)))
    factor = data.draw(st.one_of(st.floats(-3, 0.9), st.floats(1.1, 3)).filter(lambda k: abs(k) > 0.05))
    cls = type(model)

    class Wrong(cls):  # type: ignore[misc, valid-type]
        def backward(self, dout: Any) -> Any:
            dx = super().backward(dout)
            self.grads[name] = factor * self.grads[name]
            return dx

    model.__class__ = Wrong
    found = paribus.check(model).things[0]
    assert found.verdict == "departs"
    assert found.departures[0].tensor.endswith(f"gradient of the parameter {name}")


def test_an_output_that_is_another_from_the_second_step_on() -> None:
    model = network(4, 5, 3)
    cls = type(model)

    class Drifts(cls):  # type: ignore[misc, valid-type]
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return super().forward(x) * (1.0 if self.calls == 1 else 1.5)

    model.__class__ = Drifts
    assert paribus.check(model).things[0].departures[0].tensor == "step 2, output"


def test_a_large_network_is_compared_as_a_whole_and_differences_are_taken_of_a_sample() -> None:
    found = paribus.check(network(64, 50, 10)).things[0]
    assert found.verdict == "right"
    assert found.taken.startswith("a network, 64-50-10, tanh; logits")
    assert 0 < found.differences[DIFFERENCES] < 1e-6


def test_without_pytorch_a_network_is_checked_by_differences(tmp_path: Path) -> None:
    for case, verdict in ((RIGHT[0], "right"), (MISTAKES[0], "departs")):
        path = tmp_path / "mine.py"
        path.write_text(case.source, encoding="utf-8")
        program = (
            f"import sys\nsys.modules['torch'] = None\nimport paribus\none = paribus.check({str(path)!r}).things[-1]\n"
            "print(one.verdict, '|', one.decided_by, '|', *one.notes)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{verdict} | {DIFFERENCES} |"), done.stdout
        assert "PyTorch is not installed" in done.stdout


def test_an_activation_that_is_not_known_leaves_a_network_to_differences() -> None:
    scope: dict[str, Any] = {"np": np}
    source = SOURCE.replace("np.tanh(z)", "np.arctan(z)").replace("(1 - self.a[i] ** 2)", "np.cos(self.a[i]) ** 2")
    exec(source, scope)
    found = paribus.check(scope["Network"](4, [5], 3)).things[0]
    assert (found.verdict, found.decided_by) == ("right", DIFFERENCES)


@pytest.mark.parametrize(("slope", "verdict"), [("/ (1 + np.tan(net.h) ** 2)", "right"), ("* 1.3", "departs")])
def test_a_network_of_another_activation_that_is_given_targets(slope: str, verdict: str) -> None:
    source = (
        "class Network:\n"
        "    def __init__(net, n_inputs, n_hidden, n_classes):\n"
        "        net.W1, net.W2 = np.ones((n_inputs, n_hidden)), np.ones((n_hidden, n_classes))\n"
        "    def forward(net, x):\n"
        "        net.x, net.h = x, np.arctan(x @ net.W1)\n"
        "        e = np.exp(net.h @ net.W2)\n"
        "        net.p = e / e.sum(1, keepdims=True)\n"
        "        return net.p\n"
        "    def backward(net, labels):\n"
        "        d = net.p.copy()\n"
        "        d[np.arange(len(d)), labels] -= 1\n"
        "        net.dW2 = net.h.T @ d\n"
        f"        net.dW1 = net.x.T @ (d @ net.W2.T {slope})\n"
    )
    scope: dict[str, Any] = {"np": np}
    exec(source, scope)
    found = paribus.check(scope["Network"]).things[0]
    assert (found.verdict, found.decided_by) == (verdict, DIFFERENCES), str(found)
    assert "another activation; softmax" in found.taken


def test_a_forgotten_activation_is_said() -> None:
    scope: dict[str, Any] = {"np": np}
    exec(SOURCE.replace("np.tanh(z)", "z").replace("(1 - self.a[i] ** 2)", "1"), scope)
    found = paribus.check(scope["Network"](4, [5], 3)).things[0]
    assert any("no activation" in note for note in found.notes)


def test_the_users_object_is_as_it_was() -> None:
    model = network(4, 5, 3)
    before = {name: one.copy() for name, one in model.params.items()}
    assert paribus.check(model).right
    assert all(np.array_equal(model.params[name], one) for name, one in before.items())
    assert "forward" not in vars(model)


@pytest.mark.parametrize("op", ACTIVATIONS)
def test_the_twin_recognises_every_activation_and_steps_as_sgd(op: str) -> None:
    import torch

    rng = np.random.default_rng(1)
    one = Affine(weight="w", bias="b", turned=False, inputs=4, outputs=5)
    two = Affine(weight="v", bias=None, turned=True, inputs=5, outputs=3)
    params = {"w": rng.normal(size=(4, 5)), "b": rng.normal(size=5), "v": rng.normal(size=(3, 5))}
    x, t = rng.normal(size=(6, 4)), np.eye(3)[rng.integers(0, 3, 6)]
    z = x @ params["w"] + params["b"]
    y = activated(op, z)[""] @ params["v"].T
    form = likeliest(x, y, (one, two), params)
    assert (form.activations, form.ending) == (((op, ""),), "logits")
    assert form.gap < 1e-12
    twin = Twin((one, two), form, params)
    known = twin.step(x, t, 1.0)
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    hidden = torch.tensor(x) @ leaves["w"] + leaves["b"]
    spelled = {"leaky_relu": torch.nn.functional.leaky_relu, "elu": torch.nn.functional.elu,
               "gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu,
               "softplus": torch.nn.functional.softplus, "identity": lambda value: value}  # fmt: skip
    act = spelled.get(op) or getattr(torch, op)
    optimizer = torch.optim.SGD(leaves.values(), lr=LR)
    loss = torch.nn.functional.cross_entropy(act(hidden) @ leaves["v"].T, torch.tensor(t))
    loss.backward()
    optimizer.step()
    assert known.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    for name, value in twin.values().items():
        np.testing.assert_allclose(value, leaves[name].detach().numpy(), rtol=1e-12)


def test_backward_may_be_given_slopes_targets_or_nothing() -> None:
    x, y, t = np.ones((8, 2)), np.full((8, 3), 1 / 3), np.eye(3)[np.zeros(8, int)]
    one = ways(lambda dout: None, "softmax")
    assert [way.scale for way in one] == [1.0, 8, 1.0, 8]
    np.testing.assert_allclose(one[2].arguments[0](x, y, t), (y - t) / 8)
    assert [way.arguments[0](x, y, t).tolist() for way in ways(lambda labels: None, "logits")][2] == [0] * 8
    assert ways(lambda x, y_hat: None, "logits")[0].arguments[1](x, y, t) is y
    assert ways(lambda dy, lr: None, "logits")[0].updates
