"""Central differences and PyTorch's autograd as witnesses of a gradient: which decides, and that each does."""

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
from paribus.checking import autograd
from paribus.checking.autograd import differentiated
from paribus.checking.differences import central, distance, extrapolated
from paribus.checking.inputs import LOSSES, values
from paribus.checking.isolation import called
from paribus.checking.known import KNOWN, log_softmax, variants
from paribus.checking.witnesses import AUTOGRAD, DIFFERENCES
from tests.check import Case, cases

OWN: dict[str, dict[str, tuple[int, ...]]] = {
    "linear": {"w": (3, 4), "b": (3,)},
    "batch_norm": {"gamma": (4,), "beta": (4,)},
    "layer_norm": {"gamma": (4,), "beta": (4,)},
    "batch_norm_2d": {"gamma": (2,), "beta": (2,)},
    "convolution": {"w": (3, 2, 3, 3), "b": (3,)},
    "rnn_step": {"wx": (3, 4), "wh": (4, 4), "b": (4,)},
}
IMAGES = {"batch_norm_2d", "convolution", "max_pool", "average_pool", "flatten"}


@pytest.mark.parametrize("op", sorted(KNOWN))
def test_autograd_has_every_known_operation_with_the_same_value_and_the_slopes_of_it(op: str) -> None:
    rng = np.random.default_rng(7)
    params = {name: rng.uniform(0.4, 1.3, shape) for name, shape in OWN.get(op, {}).items()}
    names = ["x", "y"] if op in LOSSES or op == "rnn_step" else ["x"]
    kind = "numbers" if op == "mean_squared" else "onehot"
    shape = (2, 4, 5) if op in IMAGES else (3,) if op == "rnn_step" else (4,)
    inputs = values(op, names, shape, 2 if op in IMAGES else 5, kind)
    found = variants(op, list(inputs.values()), params, {})
    assert found
    for variant, y in list(found.items())[:8]:
        dy = rng.normal(size=np.shape(y))
        exact = differentiated(op, variant, inputs, params, settings={}, dy=dy)
        assert exact is not None, variant
        np.testing.assert_allclose(exact.y, y, rtol=1e-12, atol=1e-13, err_msg=variant)

        def value(at: Any, variant: str = variant) -> Any:
            given_ = [at.get(name, one) for name, one in inputs.items()]
            return variants(op, given_, {name: at[name] for name in params}, {})[variant]  # type: ignore[index]

        for name in ["x", *params]:
            slopes = central(value, {"x": inputs["x"], **params}, name, dy)
            assert distance(exact.slopes[name], slopes) < 1e-8, (variant, name)


def of(case: Case, tmp_path: Path) -> paribus.checking.result.Checked:  # type: ignore[name-defined]
    path = tmp_path / "mine.py"
    path.write_text(case.source, encoding="utf-8")
    return paribus.check(path).things[0]


def test_where_pytorch_is_imported_it_decides_of_all_that_is_known(tmp_path: Path) -> None:
    import torch  # noqa: F401

    found = [of(case, tmp_path) for name in ("tuned_right.txt", "fresh_right.txt") for case in cases(name)]
    exact = [one for one in found if one.decided_by == AUTOGRAD]
    assert {one.taken for one in exact} >= {"linear", "relu", "softmax", "cross entropy", "batch norm", "convolution"}
    assert all(one.differences[DIFFERENCES] < 1e-5 and one.differences[AUTOGRAD] < 1e-6 for one in exact)


LAYER = """import numpy as np
class Sigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-np.clip(x, -500, 500)))
        return self.y
    def backward(self, dout):
        return dout * self.y * (1 - self.y) * {k}
"""


def alone(tmp_path: Path, source: str, *, hidden: bool) -> tuple[str, bool]:
    """What is said of a file by a process of its own, without PyTorch if it is hidden; and whether it was imported."""
    path = tmp_path / "mine.py"
    path.write_text(source, encoding="utf-8")
    hide = "sys.modules['torch'] = None" if hidden else ""
    program = (
        f"import sys\n{hide}\nimport paribus\nfound = paribus.check({str(path)!r})\n"
        "one = found.things[0]\nprint(one.verdict, '|', one.decided_by, '|', sys.modules.get('torch') is not None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    verdict, decided, imported = (one.strip() for one in done.stdout.strip().split("|"))
    return f"{verdict} by {decided}", imported == "True"


def test_pytorch_is_imported_only_where_differences_leave_something_open(tmp_path: Path) -> None:
    assert alone(tmp_path, LAYER.format(k="1"), hidden=False) == (f"right by {DIFFERENCES}", False)
    assert alone(tmp_path, LAYER.format(k="1.01"), hidden=False) == (f"departs by {DIFFERENCES}", False)
    assert alone(tmp_path, LAYER.format(k="(1 + 3e-6)"), hidden=False) == (f"departs by {AUTOGRAD}", True)


def test_without_pytorch_differences_decide_alone(tmp_path: Path) -> None:
    assert alone(tmp_path, LAYER.format(k="1"), hidden=True) == (f"right by {DIFFERENCES}", False)
    assert alone(tmp_path, LAYER.format(k="1.00003"), hidden=True) == (f"departs by {DIFFERENCES}", False)


def test_an_epsilon_in_backward_alone_is_told_and_no_departure() -> None:
    class CrossEntropy:
        def forward(self, p, t):
            return -np.log(p[np.arange(len(t)), t]).mean()

        def backward(self, p, t):
            d = np.zeros_like(p)
            d[np.arange(len(t)), t] = -1 / (p[np.arange(len(t)), t] + 1e-8) / len(t)
            return d

    found = paribus.check(CrossEntropy).things[0]
    assert (found.verdict, found.decided_by) == ("right", AUTOGRAD)
    assert any("epsilon" in note for note in found.notes)


def test_an_epsilon_in_forward_alone_is_right_by_autograd_or_by_differences() -> None:
    class CrossEntropy:
        def forward(self, p, t):
            return -np.log(p[np.arange(len(t)), t] + 1e-7).mean()

        def backward(self, p, t):
            d = np.zeros_like(p)
            d[np.arange(len(t)), t] = -1 / p[np.arange(len(t)), t] / len(t)
            return d

    assert paribus.check(CrossEntropy).right


@given(st.floats(0.2, 3), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_differences_are_right_to_a_billionth_and_finer_ones_to_more(scale: float, power: int) -> None:
    x = {"x": np.linspace(0.3, 1.4, 7)}
    dy = np.cos(np.arange(7.0))
    true = scale * np.exp(scale * x["x"]) * dy + power * x["x"] ** (power - 1) * dy

    def value(at: Any) -> Any:
        return np.exp(scale * at["x"]) + at["x"] ** power

    assert distance(central(value, x, "x", dy), true) < 1e-9
    assert distance(extrapolated(value, x, "x", dy, 1e-4), true) < 1e-10


def test_a_fault_of_ours_is_raised_and_the_users_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = LAYER.format(k="1").replace("return dout", "raise ValueError('no idea')\n        return dout")
    found = of(Case("raises", (), source), tmp_path)
    assert "ValueError: no idea (line 7 of mine.py)" in found.departures[0].how

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("ours")

    monkeypatch.setattr("paribus.checking.compare.central", broken)
    with pytest.raises(ValueError, match="ours"):
        of(Case("fine", (), LAYER.format(k="1")), tmp_path)


def test_log_softmax_is_finite_where_softmax_is_rounded_to_0() -> None:
    assert log_softmax(np.array([[1000.0, -1000.0]])).tolist() == [[0.0, -2000.0]]


def test_what_a_call_gives_is_given_back() -> None:
    assert called(max, 2, 3) == 3


def test_autograd_says_nothing_of_what_it_does_not_know() -> None:
    assert autograd.differentiated("dropout", "", {"x": np.ones(2)}, {}, settings={}, dy=np.ones(2)) is None
    assert autograd.differentiated("relu", "no such variant", {"x": np.ones(2)}, {}, settings={}, dy=np.ones(2)) is None
