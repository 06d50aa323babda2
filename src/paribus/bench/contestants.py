"""The ways to train one model on one task: what people write today, and Paribus.

Every contestant does the same job: `epochs` epochs of SGD on the training split in shuffled batches, the last one
short, from initial values of the same scale, and the loss and accuracy on both splits at every evaluation (skorch
evaluates the test split every epoch and Lightning is evaluated at the end, as is their way). Each is told
the settings and the task, and returns its final test accuracy; the clock is around the call. Those that are not Paribus
draw their own orders and initial values, as they do for people who use them.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from paribus.backends.dispatch import resolve, train
from paribus.config.settings import Settings
from paribus.records.record import Evaluation
from paribus.records.run import Callback, Run
from paribus.tasks import Task

Way = Callable[[Settings, Task], float]


@dataclass(frozen=True)
class Contestant:
    """A way to train. `needs`: the package that it is, where that is not installed with Paribus; `runs`: how many it
    trains at once, its time being that of one of them."""

    name: str
    way: Way
    needs: str | None = None
    runs: int = 1

    @property
    def installed(self) -> bool:
        """Whether it can run here."""
        return self.needs is None or find_spec(self.needs) is not None


def _plain_parts(settings: Settings, task: Task) -> tuple[Any, ...]:
    """What a PyTorch script begins with: tensors, a Sequential, an optimizer."""
    import torch
    from torch import nn

    tensors = [
        torch.from_numpy(np.ascontiguousarray(part)) for split in (task.train, task.test) for part in (split.x, split.y)
    ]
    x, y, test_x, test_y = (tensor.float() if tensor.is_floating_point() else tensor for tensor in tensors)
    sizes = [math.prod(task.info.input_shape), *settings.mlp.hidden, task.info.classes]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    assert settings.optimizer.lr is not None
    optimizer = torch.optim.SGD(model.parameters(), lr=settings.optimizer.lr)
    return model, optimizer, (x, y), (test_x, test_y)


def _plain_evaluation(model: Any, splits: tuple[Any, Any]) -> float:
    import torch
    from torch.nn.functional import cross_entropy

    model.eval()
    accuracy = 0.0
    with torch.no_grad():
        for x, y in splits:
            logits = model(x)
            cross_entropy(logits, y).item()
            accuracy = (logits.argmax(1) == y).float().mean().item()
    model.train()
    return accuracy


def dataloader_loop(settings: Settings, task: Task) -> float:
    """The report's way: a `DataLoader` over a `TensorDataset`, a plain loop."""
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, TensorDataset

    model, optimizer, train_split, test_split = _plain_parts(settings, task)
    loader = DataLoader(TensorDataset(*train_split), batch_size=settings.batch_size, shuffle=True)
    accuracy = 0.0
    for epoch in range(1, settings.epochs + 1):
        for x, y in loader:
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if epoch % settings.eval_every.count == 0 or epoch == settings.epochs:
            accuracy = _plain_evaluation(model, (train_split, test_split))
    return accuracy


def indexed_loop(settings: Settings, task: Task) -> float:
    """The same loop with batches taken by index from the tensors."""
    import torch
    from torch.nn.functional import cross_entropy

    model, optimizer, (x, y), test_split = _plain_parts(settings, task)
    accuracy = 0.0
    for epoch in range(1, settings.epochs + 1):
        order = torch.randperm(len(x))
        for start in range(0, len(x), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            optimizer.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if epoch % settings.eval_every.count == 0 or epoch == settings.epochs:
            accuracy = _plain_evaluation(model, ((x, y), test_split))
    return accuracy


def scikit_learn(settings: Settings, task: Task, seed: int = 0) -> float:
    """`MLPClassifier`, fitted from evaluation to evaluation."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier

    x, test_x = (split.x.reshape(len(split), -1).astype(np.float32) for split in (task.train, task.test))
    every = min(settings.eval_every.count, settings.epochs)
    model = MLPClassifier(
        settings.mlp.hidden,
        solver="sgd",
        alpha=0.0,
        batch_size=settings.batch_size,
        momentum=0.0,
        learning_rate_init=settings.optimizer.lr,
        nesterovs_momentum=False,
        max_iter=every,
        warm_start=True,
        tol=0.0,
        n_iter_no_change=settings.epochs + 1,
        random_state=seed,
    )
    accuracy = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(settings.epochs // every):
            model.fit(x, task.train.y)
            for part, y in ((x, task.train.y), (test_x, task.test.y)):
                chances = model.predict_proba(part)
                log_loss(y, chances, labels=model.classes_)
                accuracy = float((chances.argmax(axis=1) == y).mean())
    return accuracy


class _Last(Callback):
    """Keeps the last evaluation."""

    accuracy = float("nan")

    def on_evaluation(self, run: Run, row: Evaluation) -> None:  # noqa: ARG002
        self.accuracy = row.metrics["test_accuracy"]


def paribus(**words: str) -> Way:
    """Paribus, with these settings changed."""

    def way(settings: Settings, task: Task) -> float:
        chosen = resolve({**settings.flat(), **words})
        callback = _Last()
        (outcome,) = train([Run(settings=chosen, seed=0)], lambda _: task, callback)
        if outcome.error:
            raise RuntimeError(outcome.error)
        return callback.accuracy

    return way


def side_by_side(runs: int, threads: int) -> Way:
    """Many runs of the fused engine, seeds 0, 1, ..."""

    def way(settings: Settings, task: Task) -> float:
        chosen = resolve({**settings.flat(), "implementation": "fused"})
        callback = _Last()
        train([Run(settings=chosen, seed=seed) for seed in range(runs)], lambda _: task, callback, workers=threads)
        return callback.accuracy

    return way


def skorch(settings: Settings, task: Task) -> float:
    """`skorch.NeuralNetClassifier`, evaluated on the test split every epoch, as is its way."""
    import torch
    from skorch import NeuralNetClassifier
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    model, _, (x, y), (test_x, test_y) = _plain_parts(settings, task)
    net = NeuralNetClassifier(
        model,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=settings.optimizer.lr,
        batch_size=settings.batch_size,
        max_epochs=settings.epochs,
        iterator_train__shuffle=True,
        verbose=0,
        train_split=predefined_split(Dataset(test_x, test_y)),
    )
    net.fit(x, y)
    return float((net.predict(test_x) == test_y.numpy()).mean())


def lightning(settings: Settings, task: Task) -> float:
    """A `LightningModule` and a `Trainer` with everything that can be turned off turned off."""
    import logging

    import lightning as pl
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, TensorDataset

    model, optimizer, train_split, test_split = _plain_parts(settings, task)

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Any, _: int) -> Any:
            return cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return optimizer

    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            max_epochs=settings.epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = DataLoader(TensorDataset(*train_split), batch_size=settings.batch_size, shuffle=True)
        trainer.fit(Module(), loader)
    return _plain_evaluation(model, (train_split, test_split))


@lru_cache(maxsize=8)
def _jax_training(n: int, batch: int, lr: float) -> Any:
    """From parameters, data and one key for each epoch to the parameters after them and what they reach; compiled once
    for each shape, as a script that is run on compiles it once."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")  # one thread, as all the others
    import jax
    import jax.numpy as jnp

    whole, rest = divmod(n, batch)

    def logits(values: Any, inputs: Any) -> Any:
        for weight, bias in values[:-1]:
            inputs = jax.nn.relu(inputs @ weight + bias)
        return inputs @ values[-1][0] + values[-1][1]

    def loss(values: Any, inputs: Any, labels: Any) -> Any:
        chances = jax.nn.log_softmax(logits(values, inputs))
        return -jnp.take_along_axis(chances, labels[:, None], 1).mean()

    @jax.jit  # type: ignore[untyped-decorator]
    def train_and_evaluate(values: Any, keys: Any, x: Any, y: Any, *, test_x: Any, test_y: Any) -> tuple[Any, Any]:
        def step(values: Any, rows: Any) -> tuple[Any, None]:
            gradients = jax.grad(loss)(values, x[rows], y[rows])
            return jax.tree.map(lambda v, g: v - lr * g, values, gradients), None

        def epoch(values: Any, key: Any) -> tuple[Any, None]:
            order = jax.random.permutation(key, n)
            values, _ = jax.lax.scan(step, values, order[: whole * batch].reshape(whole, batch))
            return (step(values, order[whole * batch :])[0] if rest else values), None

        values, _ = jax.lax.scan(epoch, values, keys)
        accuracies = [(logits(values, part).argmax(1) == labels).mean() for part, labels in ((x, y), (test_x, test_y))]
        return values, (loss(values, x, y), loss(values, test_x, test_y), *accuracies)

    return train_and_evaluate


def jax(settings: Settings, task: Task) -> float:
    """One jitted `lax.scan` over the steps from evaluation to evaluation."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")  # one thread, as all the others
    import jax
    import jax.numpy as jnp

    x, test_x = (jnp.asarray(split.x.reshape(len(split), -1), jnp.float32) for split in (task.train, task.test))
    y, test_y = jnp.asarray(task.train.y), jnp.asarray(task.test.y)
    key = jax.random.key(0)
    values: Any = []
    for n_in, n_out in pairwise([x.shape[1], *settings.mlp.hidden, task.info.classes]):
        key, one, other = jax.random.split(key, 3)
        bound = 1 / math.sqrt(n_in)
        weight = jax.random.uniform(one, (n_in, n_out), minval=-bound, maxval=bound)
        values.append((weight, jax.random.uniform(other, (n_out,), minval=-bound, maxval=bound)))
    training = _jax_training(len(x), min(settings.batch_size, len(x)), settings.optimizer.lr)
    every, accuracy = min(settings.eval_every.count, settings.epochs), 0.0
    for _ in range(settings.epochs // every):
        key, draw = jax.random.split(key)
        values, (*_, reached) = training(values, jax.random.split(draw, every), x, y, test_x=test_x, test_y=test_y)
        accuracy = float(reached)
    return accuracy


CONTESTANTS = (
    Contestant("PyTorch loop, DataLoader", dataloader_loop),
    Contestant("PyTorch loop, indexed", indexed_loop),
    Contestant("scikit-learn MLPClassifier", scikit_learn),
    Contestant("paribus torch, DataLoader", paribus(implementation="torch", loader="dataloader")),
    Contestant("paribus torch", paribus(implementation="torch")),
    Contestant("paribus numpy", paribus(implementation="numpy")),
    Contestant("paribus fused", paribus(implementation="fused")),
    Contestant("paribus fused, one of 20 runs", side_by_side(20, 1), runs=20),
    Contestant("the same, 2 threads", side_by_side(20, 2), runs=20),
)
PEERS = (
    Contestant("Lightning", lightning, "lightning"),
    Contestant("skorch", skorch, "skorch"),
    Contestant("JAX, jitted scan", jax, "jax"),
)
