"""What it costs that a user's own code is kept apart and known again: the README's own-module example as a 20-run study.

    python benchmarks/isolation.py         # 20 interleaved rounds, about 2 minutes

One round is the study as it is, and the same with everything taken away that isolates: copies of modules and batches,
the generators of NumPy and Python, the settings of the process, evaluation on a copy; and with what knows the code
again: fingerprints and the trial before training. What is left sets PyTorch's generator at each step, without which there is no pairing. Seconds are the
processor's; even so the median ratio moves by two per cent from one measurement to the next.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any
from unittest.mock import patch

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import recall_score
from torch import Tensor, nn

import paribus
from paribus.backends import stepwise
from paribus.backends.torch import TorchBackend
from paribus.backends.torch.learner import TorchLearner
from paribus.backends.torch.user_code import UserCodeLearner
from paribus.config.identity import walk
from paribus.config.user_code import UserDefined
from paribus.training import metrics
from paribus.training.randomness import set_torch_generator

ROUNDS = 20
SEEDS = 10
X, Y = load_breast_cancer(return_X_y=True, as_frame=True)


def plain() -> nn.Module:
    """As in the README."""
    return nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2))


def batch_norm() -> nn.Module:
    """As in the README."""
    return nn.Sequential(nn.Linear(30, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))


def study(folder: Path) -> float:
    """Seconds of 20 runs, from the data to the findings' records."""
    begun = process_time()
    paribus.compare(
        paribus.data(X, Y, name="breast cancer"),
        implementation="torch",
        model=[plain, batch_norm],
        metrics={"recall": recall_score},
        optimizer="adam",
        lr=0.01,
        epochs=20,
        standardise=True,
        seeds=SEEDS,
        out=folder,
    )
    return process_time() - begun


@contextmanager
def begun_at(state: int) -> Iterator[None]:
    """PyTorch's generator at a state, and nothing given back."""
    set_torch_generator(state)
    yield


@contextmanager
def nothing_kept_apart() -> Iterator[None]:
    """The same without isolation and identity."""

    def watched(self: UserCodeLearner, state: int, act: Callable[[], Any]) -> Any:
        set_torch_generator(state)
        return act()

    def logits(self: UserCodeLearner, x: Tensor) -> Tensor:
        return TorchLearner._logits(self, x)

    def evaluated(self: UserCodeLearner, act: Callable[[], Any]) -> Any:
        return self._watched(self._plan.evaluation_state(self._steps_done), act)

    none = TorchBackend.tried(TorchBackend(), *_built_in())
    with ExitStack() as stack:
        for owner, name, new in (
            (UserCodeLearner, "_watched", watched),
            (UserCodeLearner, "_logits", logits),
            (UserCodeLearner, "_evaluated", evaluated),
            (UserDefined, "copy", lambda self: self),
            (TorchBackend, "tried", lambda *_: none),
            (metrics, "isolated", begun_at),
            (stepwise, "isolated", begun_at),
            (metrics, "untouched_torch_generator", nullcontext),
            (metrics, "set_generators", set_torch_generator),
            (walk, "identify", lambda thing: walk.Found(f"{id(thing):064x}")),
        ):
            stack.enter_context(patch.object(owner, name, new))
        yield


def _built_in() -> tuple[Any, Any]:
    """Settings without a thing of the user's, and their task."""
    from paribus.backends.dispatch import resolve
    from paribus.tasks import load

    settings = resolve({"task": "moons", "implementation": "torch"})
    return settings, load(settings, 0)


def main() -> None:
    """Seconds, ratio and difference, each a median."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        study(Path(folder) / "first")  # imports
        kept, bare = [], []
        for i in range(ROUNDS):
            for apart in (True, False) if i % 2 else (False, True):  # by turns, as one may run in the other's wake
                gc.collect()
                with nullcontext() if apart else nothing_kept_apart():
                    seconds = study(Path(folder) / f"{apart}{i}")
                (kept if apart else bare).append(seconds)
            print(f"round {i + 1}: {kept[-1]:.2f} s, without isolation {bare[-1]:.2f} s", flush=True)
    ratios = [one / other for one, other in zip(kept, bare, strict=True)]
    more = [one - other for one, other in zip(kept, bare, strict=True)]
    print(f"median ratio {median(ratios):.3f}, median difference {median(more):.2f} s of {median(bare):.2f} s")


if __name__ == "__main__":
    main()
