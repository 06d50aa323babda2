"""Right layers of any size, type and constants are never alarmed; a wrong number in any gradient is always found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import paribus
from paribus.checking.result import Checked
from paribus.config.overrides import SettingsError

SIZE = st.integers(1, 6)
TYPES = st.sampled_from([np.float64, np.float32])


class Linear:
    def __init__(self, w: Any, b: Any, *, turned: bool = False) -> None:
        self.params, self.grads, self._turned = {"w": w, "b": b}, {}, turned

    def forward(self, x: Any) -> Any:
        self.x = x.astype(self.params["w"].dtype)
        w = self.params["w"].T if self._turned else self.params["w"]
        return self.x @ w + self.params["b"]

    def backward(self, dy: Any) -> Any:
        dy = dy.astype(self.x.dtype)
        w = self.params["w"].T if self._turned else self.params["w"]
        dw = self.x.T @ dy
        self.grads = {"w": dw.T if self._turned else dw, "b": dy.sum(0)}
        return dy @ w.T


class LayerNorm:
    def __init__(self, gamma: Any, beta: Any, eps: float = 1e-5) -> None:
        self.gamma, self.beta, self.eps = gamma, beta, eps

    def forward(self, x: Any) -> Any:
        d = x.astype(self.gamma.dtype)
        d = d - d.mean(1, keepdims=True)
        self.r = 1 / np.sqrt((d * d).mean(1, keepdims=True) + self.eps)
        self.n = d * self.r
        return self.n * self.gamma + self.beta

    def backward(self, dy: Any) -> Any:
        dy = dy.astype(self.gamma.dtype)
        self.dgamma, self.dbeta = (dy * self.n).sum(0), dy.sum(0)
        g = dy * self.gamma
        return self.r * (g - g.mean(1, keepdims=True) - self.n * (g * self.n).mean(1, keepdims=True))


class Odd:
    """y = a x^2 + sin(b x), which is no known operation."""

    def __init__(self, a: float, b: float) -> None:
        self.params, self.grads = {"a": np.array([a]), "b": np.array([b])}, {}

    def forward(self, x: Any) -> Any:
        self.x = x
        return self.params["a"] * x**2 + np.sin(self.params["b"] * x)

    def backward(self, dy: Any) -> Any:
        c = np.cos(self.params["b"] * self.x)
        self.grads = {"a": np.array([(dy * self.x**2).sum()]), "b": np.array([(dy * c * self.x).sum()])}
        return dy * (2 * self.params["a"] * self.x + self.params["b"] * c)


def checked(layer: Any, name: str | None = None) -> Checked:
    return paribus.check(layer, name=name).things[0]


@given(SIZE, TYPES, st.booleans(), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_right_linear_layer_is_never_alarmed(n_out: int, dtype: Any, turned: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w, b = rng.normal(size=(n_out, 4) if turned else (4, n_out)), rng.normal(size=n_out)
    found = checked(Linear(w.astype(dtype), b.astype(dtype), turned=turned))
    assert found.verdict == "right", str(found)


@given(st.sampled_from([1e-5, 1e-8, 1e-3, 1e-6]), TYPES, st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_right_norm_of_any_epsilon_is_never_alarmed(eps: float, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gamma, beta = rng.uniform(0.5, 1.5, 4), rng.normal(size=4)
    found = checked(LayerNorm(gamma.astype(dtype), beta.astype(dtype), eps))
    assert found.verdict == "right", str(found)


@given(st.floats(-3, 3), st.floats(-4, 4))
@settings(max_examples=30, deadline=None)
def test_a_right_operation_of_ones_own_is_never_alarmed(a: float, b: float) -> None:
    found = checked(Odd(a, b))
    assert found.verdict == "right", str(found)


LAYERS = {
    "linear": lambda: Linear(np.random.default_rng(1).normal(size=(4, 3)), np.random.default_rng(2).normal(size=3)),
    "norm": lambda: LayerNorm(np.array([0.7, 1.2, 0.9, 1.4]), np.array([0.3, -0.2, 0.5, 0.1])),
    "odd": lambda: Odd(0.8, 1.7),
}
TENSORS = {"linear": ("x", "w", "b"), "norm": ("x", "gamma", "beta"), "odd": ("x", "a", "b")}


def spoiled(which: str, tensor: str, change: Any) -> Any:
    """A layer of which one gradient is changed."""
    layer = LAYERS[which]()
    cls = type(layer)

    class Wrong(cls):  # type: ignore[misc, valid-type]
        def backward(self, dy: Any) -> Any:
            dx = super().backward(dy)
            if tensor == "x":
                return change(dx)
            if which == "norm":
                setattr(self, f"d{tensor}", change(getattr(self, f"d{tensor}")))
            else:
                self.grads[tensor] = change(self.grads[tensor])
            return dx

    layer.__class__ = Wrong
    return layer


FACTORS = st.one_of(st.floats(-100, 0.999), st.floats(1.001, 100))
CASES = st.sampled_from([(which, tensor) for which, tensors in TENSORS.items() for tensor in tensors])


@given(CASES, FACTORS)
@settings(max_examples=60, deadline=None)
def test_a_factor_on_any_gradient_is_found_in_that_tensor(case: tuple[str, str], factor: float) -> None:
    which, tensor = case
    found = checked(spoiled(which, tensor, lambda g: factor * g), name=which if which == "linear" else "Layer")
    assert found.verdict == "departs"
    assert found.departures[0].tensor.startswith(
        f"gradient of the {'input' if tensor == 'x' else 'parameter'} {tensor}"
    )


@given(CASES, st.integers(0, 10**6), st.floats(1e-3, 10))
@settings(max_examples=60, deadline=None)
def test_one_wrong_number_in_any_gradient_is_found(case: tuple[str, str], place: int, by: float) -> None:
    which, tensor = case

    def change(g: Any) -> Any:
        g = np.array(g)
        g.ravel()[place % g.size] += by * max(1.0, float(np.abs(g).max()))
        return g

    assert checked(spoiled(which, tensor, change), name="Layer").verdict == "departs"


@pytest.mark.parametrize("dtype", [np.float16, np.int64])
def test_gradients_of_a_coarse_type_are_told(dtype: Any) -> None:
    found = checked(spoiled("linear", "w", lambda g: g.astype(dtype)))
    assert found.verdict == "departs"


@pytest.mark.parametrize("returned", ["no array", object(), np.full((5, 4), 1.0, dtype=object)])
def test_what_is_no_array_of_numbers_is_told_and_no_fault_of_ours(returned: Any) -> None:
    found = checked(spoiled("odd", "x", lambda g: returned))
    assert "no array of numbers" in found.departures[0].how


@pytest.mark.parametrize(
    ("keeps", "how"),
    [
        ("if not hasattr(self, 'x') or self.x.shape != x.shape: self.x = x", "a batch before"),
        ("if not getattr(self, 'waits', False): self.x = x\n        self.waits = True", "without backward"),
    ],
)
def test_backward_belongs_to_the_last_forward(keeps: str, how: str) -> None:
    scope: dict[str, Any] = {}
    source = (
        f"class Square:\n    def forward(self, x):\n        {keeps}\n        return x ** 2\n"
        "    def backward(self, dy):\n        self.waits = False\n        return 2 * self.x * dy\n"
    )
    exec(source, scope)
    found = checked(scope["Square"])
    assert found.departures[0].code == "state", str(found)
    assert how in found.departures[0].how


SOFTMAX = """
class Softmax:
    def forward(self, x):
        e = np.exp({x})
        self.y = e / e.sum(1, keepdims=True)
        return self.y
    def backward(self, d):
        return self.y * (d - (d * self.y).sum(1, keepdims=True))
class SoftmaxCrossEntropy:
    def forward(self, z, t):
        s = z - z.max(1, keepdims=True)
        self.p, self.t = np.exp(s) / np.exp(s).sum(1, keepdims=True), t
        return -{log}[np.arange(len(t)), t].mean()
    def backward(self):
        d = self.p.copy()
        d[np.arange(len(self.t)), self.t] -= 1
        return d / len(self.t)
class Sigmoid:
    def forward(self, x):
        self.x = x
        return 1 / (1 + np.exp(-x))
    def backward(self, d):
        return d * {slope}
"""
STABLE = {
    "x": "x - x.max(1, keepdims=True)",
    "log": "(s - np.log(np.exp(s).sum(1, keepdims=True)))",
    "slope": "(1 / (1 + np.exp(-self.x))) * (1 - 1 / (1 + np.exp(-self.x)))",
}


@pytest.mark.parametrize(
    ("change", "name", "tensor"),
    [
        ({}, None, None),
        ({"x": "x"}, "Softmax", "output"),
        ({"log": "np.log(self.p)"}, "SoftmaxCrossEntropy", "output"),
        ({"slope": "np.exp(-self.x) / (1 + np.exp(-self.x)) ** 2"}, "Sigmoid", "gradient of the input x"),
    ],
)
def test_large_inputs(change: dict[str, str], name: str | None, tensor: str | None) -> None:
    scope: dict[str, Any] = {"np": np}
    exec(SOFTMAX.format(**{**STABLE, **change}), scope)
    found = paribus.check({key: one for key, one in scope.items() if isinstance(one, type)})
    wrong = {one.name: one.departures[0] for one in found.things if one.verdict == "departs"}
    assert wrong.keys() == ({name} if name else set()), str(found)
    if name:
        assert (wrong[name].tensor, wrong[name].code) == (tensor, "overflow")
        assert ("log" in (wrong[name].reason or "")) == (name == "SoftmaxCrossEntropy")


def test_a_loss_that_bounds_log_0_is_right_and_one_that_does_not_is_told() -> None:
    class CrossEntropy:
        def __init__(self, eps: float = 0.0) -> None:
            self.eps = eps

        def forward(self, p: Any, t: Any) -> Any:
            return -np.log(p[np.arange(len(t)), t] + self.eps).mean()

        def backward(self, p: Any, t: Any) -> Any:
            d = np.zeros_like(p)
            d[np.arange(len(t)), t] = -1 / (p[np.arange(len(t)), t] + self.eps) / len(t)
            return d

    bare, bounded = checked(CrossEntropy()), checked(CrossEntropy(1e-12))
    assert (bare.verdict, bounded.verdict) == ("right", "right")
    assert any("log 0" in note for note in bare.notes)
    assert bounded.notes == ()


@pytest.mark.parametrize("name", ["mine.py:Nothing", "nowhere.py", "mine.txt"])
def test_what_cannot_be_read_is_one_clear_line(name: str, tmp_path: Any) -> None:
    (tmp_path / "mine.py").write_text(
        "class ReLU:\n    def forward(self, x): return x\n    def backward(self, d): return d\n"
    )
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(SettingsError) as raised:
        paribus.check(str(tmp_path / name))
    assert len(raised.value.mistakes) == 1
