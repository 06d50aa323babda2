"""Many runs at once: each rival trains what the plain loop trains, run for run, and the command names who does not."""

from __future__ import annotations

import io
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from paribus.bench.many import jax_ways, torch_ways
from paribus.bench.many.clock import many
from paribus.bench.many.contestants import FUSED, LOOP, MANY, ManyRuns
from paribus.bench.many.job import Data, Job, data_of, job_of
from paribus.bench.many.table import run_many
from paribus.config.overrides import SettingsError
from paribus.tasks import load
from tests.conftest import Called, settings_of

QUIET = Console(quiet=True)
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed: pip install 'paribus[peers]'")
WORDS = {
    "perceptron": "task=moons init=default lr=0.3 epochs=4 eval_every=2 batch_size=150",
    "two layers": "task=digits init=default lr=0.1 hidden=16x12 epochs=2 eval_every=1",
    "rmsprop, clipped": "task=moons init=default optimizer=rmsprop lr=0.01 clip=0.05 epochs=4 eval_every=2",
    "recurrent": "task=palindrome length=4 n_train=200 n_test=50 hidden=8 init=default epochs=2 steps_per_epoch=6 "
    "clip=0.05",
}


def job_and_data(words: str) -> tuple[Job, Data]:
    chosen = settings_of(words)
    task = load(chosen, 0)
    job = job_of(chosen, task)
    return job, data_of(task, job)


def one_after_another(job: Job, data: Data, evaluations: int, seed: int) -> list[np.ndarray]:
    """A run by itself: `torch.optim` and autograd, the formulas written out; no `vmap` and no module."""
    values = [torch.from_numpy(one).requires_grad_() for one in job.initial(seed)]
    if job.smoothing is None:
        optimizer: torch.optim.Optimizer = torch.optim.SGD(values, job.lr)
    else:
        optimizer = torch.optim.RMSprop(values, job.lr, alpha=job.smoothing[0], eps=job.smoothing[1])
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    for evaluation in range(evaluations):
        for order in torch.from_numpy(job.orders(seed, evaluation)):
            for rows in order.split(job.batch):
                part = x[rows]
                if job.recurrent:
                    w_hx, w_hh, b_h, w_ph, b_o = values
                    h = torch.zeros(len(part), len(b_h))
                    for t in range(part.shape[1]):
                        h = torch.tanh(part[:, t] @ w_hx.T + h @ w_hh.T + b_h)
                    logits = h @ w_ph.T + b_o
                else:
                    for weight, bias in zip(values[:-2:2], values[1:-2:2], strict=True):
                        part = torch.relu(part @ weight.T + bias)
                    logits = part @ values[-2].T + values[-1]
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(logits, y[rows]).backward()
                if job.clip is not None:
                    torch.nn.utils.clip_grad_norm_(values, job.clip)
                optimizer.step()
    return [one.detach().numpy() for one in values]


@pytest.mark.parametrize(
    "way", [torch_ways.plain_loop, torch_ways.torch_func, pytest.param(jax_ways.jax_tuned, marks=needs_jax)]
)
@pytest.mark.parametrize("name", WORDS)
def test_all_at_once_is_one_run_after_another(name: str, way: object) -> None:
    job, data = job_and_data(WORDS[name])
    trained, _ = way(job, data, 2, 5)  # type: ignore[operator]
    begun = [job.initial(seed) for seed in range(5)]
    for seed in range(5):
        alone = one_after_another(job, data, 2, seed)
        assert max(np.abs(a - b).max() for a, b in zip(alone, begun[seed], strict=True)) > 1e-3
        for together, own in zip(trained, alone, strict=True):
            assert np.abs(together[seed] - own).max() <= 1e-5


@needs_jax
@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_how_many_go_together_changes_nothing_but_rounding(at_once: int) -> None:
    job, data = job_and_data(WORDS["perceptron"])
    together, accuracies = jax_ways.jax_tuned(job, data, 2, 5, at_once=at_once)
    alone, expected = torch_ways.plain_loop(job, data, 2, 5)
    assert all(np.abs(a - b).max() <= 1e-5 for a, b in zip(together, alone, strict=True))
    assert accuracies == pytest.approx(expected, abs=1e-6)


@needs_jax
@pytest.mark.parametrize("name", WORDS)
def test_vmapped_steps_are_those_of_the_tuned_way_where_batches_are_all_examples(name: str) -> None:
    """With one batch of all examples the order is nothing but rounding, so its own draws can be compared."""
    job, data = job_and_data(re.sub(" batch_size=[0-9]+", "", WORDS[name]) + " batch_size=5000")
    if job.repeats:
        pytest.skip("which examples are drawn is JAX's own choice here")
    found, _ = jax_ways.jax_vmapped(job, data, 2, 3)
    expected, _ = torch_ways.plain_loop(job, data, 2, 3)
    assert all(np.abs(a - b).max() <= 1e-5 for a, b in zip(found, expected, strict=True))


@given(n=st.integers(1, 6000), seed=st.integers(0, 2**32 - 1), evaluation=st.integers(0, 9))
@settings(deadline=None, max_examples=30)
def test_orders_are_permutations_of_each_run_by_itself(n: int, seed: int, evaluation: int) -> None:
    job = Job(
        sizes=(2, 3, 2), recurrent=False, n=n, taken=n, batch=32, repeats=False, every=2, lr=0.1, smoothing=None,
        clip=None,
    )  # fmt: skip
    orders = job.orders(seed, evaluation)
    assert orders.shape == (2, n)
    assert (np.sort(orders, axis=1) == np.arange(n)).all()
    if n > 20:
        assert (orders[0] != orders[1]).any()
        assert (orders != job.orders(seed + 1, evaluation)).any()
        assert (orders != job.orders(seed, evaluation + 1)).any()


def test_an_example_comes_anywhere_in_an_epoch() -> None:
    job, _ = job_and_data("task=moons init=default epochs=400 eval_every=400")
    places = np.argsort(job.orders(0, 0), axis=1)[:, :5] / job.n  # of five examples in 400 epochs
    assert places.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * places.size))
    assert places.std() == pytest.approx(1 / np.sqrt(12), abs=0.02)


@pytest.mark.parametrize("contestant", MANY, ids=lambda one: one.name)
def test_every_way_to_train_many_runs_learns(contestant: ManyRuns) -> None:
    if not contestant.installed:
        pytest.skip(f"{contestant.needs} is not installed: pip install 'paribus[peers]'")
    chosen = settings_of("task=moons init=default lr=0.1 epochs=50 batch_size=60")
    accuracies = contestant.way(chosen, load(chosen, 0), 3)
    assert accuracies.shape == (3,)
    assert accuracies.min() >= 0.8
    assert len({one.name for one in MANY}) == len(MANY)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system pins no threads")
def test_what_is_timed_has_one_core_and_the_caller_its_own_again() -> None:
    before, seen = os.sched_getaffinity(0), list[int]()
    chosen = settings_of("task=moons init=default lr=0.5 epochs=10")

    def way(*_: object) -> np.ndarray:
        seen.append(len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(lambda: len(os.sched_getaffinity(0))).result())
        return np.ones(2)

    names = [one.name for one in MANY if one.name in (LOOP, FUSED)]
    many([ManyRuns(name, way) for name in names], chosen, load(chosen, 0), runs=2, rounds=1, say=lambda _: None)
    assert set(seen) == {1}
    assert os.sched_getaffinity(0) == before


def test_the_table_of_many_runs() -> None:
    result = run_many(["moons", "epochs=20", "lr=0.5"], 4, 2, peers=False, console=QUIET)
    found = json.loads(json.dumps(result.as_json()))
    by_name = {one["name"]: one for one in found["contestants"]}
    assert list(by_name) == [one.name for one in MANY if one.needs is None]
    assert by_name["PyTorch loop, indexed"]["speedup"] == by_name["paribus fused"]["of_fused"] == [1.0, 1.0, 1.0]
    assert by_name["PyTorch loop, indexed"]["runs"] == 3
    assert by_name["torch.func, vmap"]["runs"] == 4
    assert all(one["processor_microseconds"] > 0 and one["first_seconds"] >= 0 for one in by_name.values())
    assert found["runs"] == 4
    assert found["processor"]
    text = io.StringIO()
    Console(width=200, file=text).print(result.table())
    assert found["processor"] in text.getvalue()
    assert "1 thread" in text.getvalue()


def test_scikit_learn_is_left_out_where_it_has_no_such_network() -> None:
    words = ["palindrome", "length=4", "n_train=200", "n_test=50", "hidden=8", "epochs=1", "steps_per_epoch=2"]
    result = run_many(words, 2, 1, peers=False, console=QUIET)
    assert [one.name for one in result.timings] == [
        "PyTorch loop, indexed", "torch.func, vmap", "paribus stacked", "paribus fused",
    ]  # fmt: skip
    assert len(result.left_out) == 1
    assert "scikit-learn" in result.left_out[0]
    assert "model=rnn" in result.left_out[0]


def test_many_runs_that_did_not_learn_are_named(called: Called) -> None:
    done = called("bench", "moons", "lr=1e-9", "epochs=10", "--rounds", "1", "--runs", "2")
    assert done.returncode == 3
    assert "NOT" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["moons", "optimizer=adam"],
        ["moons", "activation=tanh"],
        ["moons", "lr=0.1,0.2"],
        ["moons", "optimizer=rmsprop", "momentum=0.9"],
        ["moons", "sampler=replacement"],
        ["moons", "steps_per_epoch=3"],
        ["digits", "model=cnn"],
        ["palindrome", "model=lstm"],
        ["sine"],
    ],
)
def test_what_no_rival_has_is_refused(words: list[str]) -> None:
    with pytest.raises(SettingsError):
        run_many(words, 2, 1, peers=False, console=QUIET)
