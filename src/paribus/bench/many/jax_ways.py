"""Many runs in JAX: `jit(vmap(scan))` as people write it, and the same with what makes it faster on a CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from paribus.bench.many.job import Array, Data, Job

_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
WIDE = 16_384
"""Weights of a layer from which the tuned way takes runs one after another: their products fill the cache by
themselves."""
_AT_ONCE = 5


def _imported() -> Any:
    flags = os.environ.get("XLA_FLAGS", "")
    if _ONE_THREAD not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_ONE_THREAD}".strip()  # read when JAX computes for the first time
    import jax

    return jax


def _logits(job: Job, values: Any, x: Any) -> Any:
    """(examples, classes) for x (examples, inputs) or (examples, T, inputs)."""
    jax = _imported()
    if job.recurrent:
        w_hx, w_hh, b_h, w_ph, b_o = values
        h = jax.numpy.tanh(x[:, 0] @ w_hx.T + b_h)
        for t in range(1, x.shape[1]):
            h = jax.numpy.tanh(x[:, t] @ w_hx.T + b_h + h @ w_hh.T)
        return h @ w_ph.T + b_o
    for weight, bias in zip(values[:-2:2], values[1:-2:2], strict=True):
        x = jax.nn.relu(x @ weight.T + bias)
    return x @ values[-2].T + values[-1]


def _logits_by_feature(job: Job, values: Any, x: Any) -> Any:
    """The same with examples along the last axis: (classes, examples) for x (inputs, examples) or (T, inputs,
    examples)."""
    jax = _imported()
    if job.recurrent:
        w_hx, w_hh, b_h, w_ph, b_o = values
        h = jax.numpy.tanh(w_hx @ x[0] + b_h[:, None])
        for t in range(1, len(x)):
            h = jax.numpy.tanh(w_hx @ x[t] + b_h[:, None] + w_hh @ h)
        return w_ph @ h + b_o[:, None]
    for weight, bias in zip(values[:-2:2], values[1:-2:2], strict=True):
        x = jax.nn.relu(weight @ x + bias[:, None])
    return values[-2] @ x + values[-1][:, None]


def _loss(logits: Any, y: Any) -> Any:
    """Mean cross-entropy of logits (examples, classes)."""
    jax = _imported()
    return -jax.numpy.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


def _updated(job: Job, state: Any, gradients: Any) -> Any:
    """Parameters and mean squares after a step of torch's SGD or RMSprop, clipped as by `clip_grad_norm_`."""
    jax = _imported()
    jnp = jax.numpy
    values, squares = state
    if job.clip is not None:
        norm = jnp.sqrt(sum((g * g).sum() for g in gradients))
        gradients = [g * jnp.minimum(1, job.clip / (norm + 1e-6)) for g in gradients]
    if job.smoothing is None:
        return [v - job.lr * g for v, g in zip(values, gradients, strict=True)], squares
    alpha, eps = job.smoothing
    squares = [alpha * s + (1 - alpha) * g * g for s, g in zip(squares, gradients, strict=True)]
    moved = zip(values, gradients, squares, strict=True)
    return [v - job.lr * g / (jnp.sqrt(s) + eps) for v, g, s in moved], squares


def _evaluation(job: Job, values: Any, splits: Any) -> list[tuple[Any, Any]]:
    found = []
    for x, y in splits:
        logits = _logits(job, values, x)
        found.append((_loss(logits, y), (logits.argmax(1) == y).mean()))
    return found


@lru_cache(maxsize=8)
def _vmapped(job: Job) -> Any:
    """(state, key, splits) -> (state, evaluations) of all runs, orders drawn inside."""
    jax = _imported()
    whole = job.taken // job.batch

    def one_run(state: Any, key: Any, splits: Any) -> Any:
        x, y = splits[0]

        def step(state: Any, rows: Any) -> tuple[Any, None]:
            gradients = jax.grad(lambda values: _loss(_logits(job, values, x[rows]), y[rows]))(state[0])
            return _updated(job, state, gradients), None

        def epoch(state: Any, key: Any) -> tuple[Any, None]:
            if job.repeats:
                order = jax.random.randint(key, (job.taken,), 0, job.n)
            else:
                order = jax.random.permutation(key, job.n)
            state, _ = jax.lax.scan(step, state, order[: whole * job.batch].reshape(whole, job.batch))
            return (step(state, order[whole * job.batch :])[0] if whole * job.batch < job.taken else state), None

        state, _ = jax.lax.scan(epoch, state, jax.random.split(key, job.every))
        return state, _evaluation(job, state[0], splits)

    return jax.jit(jax.vmap(one_run, in_axes=(0, 0, None)))


@lru_cache(maxsize=8)
def _tuned(job: Job, at_once: int) -> Any:
    """(state, orders, splits) -> (state, evaluations) of all runs, in groups of `at_once` one after another, so that a
    group's batches stay in the cache; examples along the last axis, an epoch gathered at once, classes as one-hot."""
    jax = _imported()
    jnp, whole = jax.numpy, job.taken // job.batch
    full = whole * job.batch

    def loss(values: Any, x: Any, chosen: Any) -> Any:
        return -(jax.nn.log_softmax(_logits_by_feature(job, values, x), axis=0) * chosen).sum(0).mean()

    def step(state: Any, batch: Any) -> tuple[Any, None]:
        return _updated(job, state, jax.grad(loss)(state[0], *batch)), None

    def one_run(state: Any, orders: Any, splits: Any) -> Any:
        x, y = splits[0]
        one_hot = jax.nn.one_hot(y, job.sizes[-1])

        def epoch(state: Any, order: Any) -> tuple[Any, None]:
            taken = [jnp.moveaxis(part[order], 0, -1) for part in (x, one_hot)]  # (..., taken)
            shaped = [part[..., :full].reshape(*part.shape[:-1], whole, job.batch) for part in taken]
            state, _ = jax.lax.scan(step, state, [jnp.moveaxis(part, -2, 0) for part in shaped])
            return (step(state, [part[..., full:] for part in taken])[0] if full < job.taken else state), None

        state, _ = jax.lax.scan(epoch, state, orders)
        return state, _evaluation(job, state[0], splits)

    @jax.jit  # type: ignore[untyped-decorator]
    def all_runs(state: Any, orders: Any, splits: Any) -> Any:
        chunk = at_once if at_once > 1 else None
        return jax.lax.map(lambda one: one_run(one[0], one[1], splits), (state, orders), batch_size=chunk)

    return all_runs


def _trained(
    job: Job, data: Data, evaluations: int, runs: int, go_on: Callable[[Any, int, Any], Any]
) -> tuple[list[Array], Array]:
    """From the runs' initial values, evaluation after evaluation."""
    jnp = _imported().numpy
    values = [jnp.asarray(np.stack(each)) for each in zip(*map(job.initial, range(runs)), strict=True)]
    state: Any = (values, [jnp.zeros_like(one) for one in values] if job.smoothing else [])
    splits = [(jnp.asarray(x), jnp.asarray(y)) for x, y in data.splits]
    reached = jnp.zeros(runs)
    for evaluation in range(evaluations):
        state, (_, (_, reached)) = go_on(state, evaluation, splits)
    return [np.asarray(one) for one in state[0]], np.asarray(reached)


def jax_vmapped(job: Job, data: Data, evaluations: int, runs: int) -> tuple[list[Array], Array]:
    """`jit(vmap(scan))` over the seeds, `jax.random.permutation` for the batches of each."""
    jax = _imported()

    def go_on(state: Any, evaluation: int, splits: Any) -> Any:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), evaluation), runs)
        return _vmapped(job)(state, keys, splits)

    return _trained(job, data, evaluations, runs, go_on)


def jax_tuned(
    job: Job, data: Data, evaluations: int, runs: int, at_once: int | None = None
) -> tuple[list[Array], Array]:
    """The fastest of the variants that were tried: see `_tuned`; NumPy draws the batches."""
    widest = max(int(np.prod(shape)) for shape in job.shapes)
    chunk = at_once or (1 if widest >= WIDE else _AT_ONCE)

    def go_on(state: Any, evaluation: int, splits: Any) -> Any:
        orders = np.stack([job.orders(seed, evaluation) for seed in range(runs)])
        return _tuned(job, min(chunk, runs))(state, orders, splits)

    return _trained(job, data, evaluations, runs, go_on)
