"""Random modules as users write them: in place, with counters, generators, closures and caches; and the ways to train one
that must all come to the same numbers, or be refused.

`python -m tests.user_modules 1000` tries so many, with `jobs=2` among the ways, and tells how many differ in silence.
"""

from __future__ import annotations

import functools
import os
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

import paribus
from paribus.config.overrides import SettingsError
from paribus.records.record import Evaluation
from paribus.records.run import Run
from paribus.study.recorder import Recorder

When = Literal["never", "training", "evaluation", "always"]

BUILT = "PARIBUS_TEST_BUILT"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
DATA = paribus.data(X, (X[:, 0] * X[:, 1] > 0).astype(int), name="small")
# by PyTorch itself: `auto` would compile those modules that it can, and these tests are of how PyTorch trains them
WORDS: dict[str, Any] = {"implementation": "torch", "epochs": 6, "batch_size": 16, "lr": 0.1, "seeds": 1}


@dataclass(frozen=True)
class Habits:
    """What a module does beside its work. `torch_noise` ...: when it draws from that generator; `counts`, `appends`: when
    it counts in an attribute, and in a list outside of it; `builds`: it counts outside when it is made; `holds`: what it
    draws with are the global generators' own methods, as after `from random import gauss`; `keeps_mean`: when it moves a mean
    that it keeps in an attribute; `scales`: evaluation shrinks a weight; `late`: it counts evaluations only after some
    steps, `late_mean`: keeps a mean from then on; `reads_state`: it seeds a generator with where NumPy's stands; `inner`: when it counts in a closure that each call of
    its factory makes; `cached`: training writes into what a function with a cache gives; `once`: the evaluation after its
    ninth step, and no other, shrinks a weight; `process`: it sets what belongs to the whole process, and reads
    it; `process_late`: training does so, and its seventh step is the
    first to show it."""

    in_place: bool = False
    keeps_inputs: bool = False
    torch_noise: When = "never"
    numpy_noise: When = "never"
    python_noise: When = "never"
    counts: When = "never"
    appends: When = "never"
    buffer: bool = False
    own_generator: bool = False
    builds: bool = False
    holds: bool = False
    keeps_mean: When = "never"
    scales: bool = False
    late: bool = False
    late_mean: bool = False
    reads_state: bool = False
    inner: When = "never"
    cached: bool = False
    once: bool = False
    process: bool = False
    process_late: bool = False
    shares: bool = False


_HELD = (np.random.normal, random.uniform, functools.partial(torch.rand, generator=torch.default_generator))
_LOOKED_UP = (
    lambda *numbers: np.random.normal(*numbers),  # noqa: NPY002
    lambda low, high: random.uniform(low, high),
    lambda shape: torch.rand(shape),
)


def make(habits: Habits) -> Callable[[], nn.Module]:
    """A function that makes such modules, over a list, a module and a counter of its own."""
    outside: list[int] = []
    shared = nn.Linear(4, 4)
    with torch.no_grad():  # the same in every call: it is a part of what the function is
        for number, parameter in enumerate(shared.parameters()):
            parameter.fill_(0.1 * (number + 1))

    @functools.cache
    def table() -> Tensor:
        return torch.zeros(())

    draws = _HELD if habits.holds else _LOOKED_UP

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            if habits.process:
                os.environ[BUILT] = os.environ.get(BUILT, "") + "x"
                torch.set_default_dtype(torch.float64 if len(os.environ[BUILT]) % 2 else torch.float32)
                np.seterr(all="raise")
            if habits.builds:
                outside.append(1)
            self.first = shared if habits.shares else nn.Linear(4, 4 + len(outside))
            self.last = nn.Linear(self.first.out_features, 2)
            self.seen, self.kept, self.generator = 0, None, None
            if habits.holds:
                self.draws = draws
            self.mean, self.steps, self.looks, self.trained = torch.zeros(self.first.out_features), 0, 0, 0
            if habits.buffer:
                self.register_buffer("t", torch.zeros(()), persistent=False)

        def now(self, when: When) -> bool:
            return when == "always" or when == ("training" if self.training else "evaluation")

        def forward(self, x: Tensor) -> Tensor:
            if habits.keeps_inputs:
                if self.kept is not None:
                    self.kept.mul_(3.0)
                self.kept = x
            if habits.in_place:
                x.mul_(2.0)
            normal, uniform, noise = self.draws if habits.holds else draws
            h = torch.relu(self.first(x * 1.0))
            if self.now(habits.torch_noise):
                h = h * (noise(h.shape) > 0.3)
            if self.now(habits.numpy_noise):
                h = h + torch.from_numpy(normal(0, 0.2, tuple(h.shape)).astype("float32"))
            if self.now(habits.python_noise) and uniform(0, 1) < 0.5:
                h = h * 0.5
            if self.now(habits.keeps_mean):
                self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
            if habits.keeps_mean != "never":
                h = h - self.mean
            if habits.scales and not self.training:
                with torch.no_grad():
                    self.last.weight.mul_(0.98)
            if habits.once:
                self.trained += self.training
                if not self.training and self.trained == 9:
                    with torch.no_grad():
                        self.last.weight.mul_(0.5)
            if habits.process_late:
                if self.training:
                    os.environ[BUILT] = os.environ.get(BUILT, "") + "y"
                h = h * (1 + 0.1 * max(0, os.environ.get(BUILT, "").count("y") - 6))
            if habits.late:
                self.steps += self.training
                self.looks += not self.training and self.steps > 6
                h = h * (1 + 0.05 * self.looks)
            if habits.late_mean:
                self.steps += self.training
                if self.training and self.steps > 6:
                    self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
                h = h - self.mean
            if habits.reads_state and self.training:
                here = torch.Generator().manual_seed(int(np.random.get_state()[1][0]))  # noqa: NPY002
                h = h * (torch.rand(h.shape, generator=here) > 0.3)
            if habits.cached:
                if self.training:
                    table().add_(0.01)
                h = h * (1 + table())
            if self.now(habits.counts):
                self.seen += 1
            if self.now(habits.appends):
                outside.append(0)
            if habits.buffer and self.training:
                self.t += 1
                h = h * torch.clamp(0.5 + self.t / 50, max=1.5)
            if habits.own_generator and self.training:
                self.generator = self.generator or torch.Generator().manual_seed(7)
                h = h * (torch.rand(h.shape, generator=self.generator) > 0.2)
            if habits.process:
                h = h * (1 + 0.1 * len(os.environ[BUILT]) + (torch.get_default_dtype() == torch.float64))
                h = h + float(np.geterr()["over"] == "raise")
            return self.last(h) * (1 + 0.01 * self.seen + 0.01 * len(outside))

    def factory() -> nn.Module:
        counted = [0]

        class Inner(Net):
            def forward(self, x: Tensor) -> Tensor:
                if self.now(habits.inner):
                    counted.append(1)
                out: Tensor = super().forward(x)
                return out * (1 + 0.01 * len(counted))

        return Inner()

    return Net if habits.inner == "never" else factory


def tame() -> nn.Module:
    """An arm beside the others."""
    return nn.Linear(4, 2)


def drawn(rng: random.Random) -> Habits:
    """Some habits at once."""
    found = {}
    for one in fields(Habits):
        if rng.random() < 0.25 and one.name != "shares":
            found[one.name] = True if one.default is False else rng.choice(get_args(When)[1:])
    return Habits(**found, shares=rng.random() < 0.05)


def losses(study: paribus.Study, arm: str = "net") -> list[float]:
    """What an arm came to: of each seed the last losses of both splits."""
    table = study.table()
    mine = table[table["arm"].isin(["", f"model={arm}"])]
    return [*mine["train_loss"].tolist(), *mine["test_loss"].tolist()]


def killed(model: Callable[[], Callable[[], nn.Module]], folder: Path, **more: Any) -> list[float]:
    """Interrupted after its fourth evaluation, with a checkpoint after every step that allows one, and begun again."""

    class Killed(BaseException):
        pass

    before, told = Recorder.on_evaluation, [0]

    def dying(self: Recorder, run: Run, row: Evaluation) -> None:
        before(self, run, row)
        told[0] += 1
        if told[0] == 4:
            raise Killed

    words = {**WORDS, "eval_every": 1, "checkpoint_every": 1e-9, "out": folder / "killed", **more}
    Recorder.on_evaluation = dying  # type: ignore[method-assign]
    try:
        paribus.train(DATA, model={"net": model()}, **words)
    except Killed:
        pass
    finally:
        Recorder.on_evaluation = before  # type: ignore[method-assign]
    return losses(paribus.train(DATA, model={"net": model()}, **words))


def in_threads(habits: Habits, folder: Path) -> list[float]:
    """Beside another study in another thread."""
    found: dict[str, list[float]] = {}

    def work(name: str, model: Callable[[], nn.Module]) -> None:
        found[name] = losses(paribus.train(DATA, model={name: model}, out=folder / name, **WORDS), name)

    threads = [threading.Thread(target=work, args=one) for one in (("net", make(habits)), ("tame", tame))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found["net"]


def ways(habits: Habits, folder: Path, *, jobs: bool = False) -> Iterator[tuple[str, list[float]]]:
    """Each way to train it, and what it comes to."""
    yield "alone", losses(paribus.train(DATA, model={"net": make(habits)}, out=folder / "alone", **WORDS))
    for every in (1, 5):
        study = paribus.train(DATA, model={"net": make(habits)}, eval_every=every, out=folder / f"e{every}", **WORDS)
        yield f"eval_every={every}", losses(study)
    arms = {"rude": make(Habits(in_place=True)), "net": make(habits), "tame": tame}
    yield "beside others", losses(paribus.compare(DATA, model=arms, out=folder / "beside", **WORDS))
    if jobs:
        yield "jobs=2", losses(paribus.compare(DATA, model=arms, jobs=2, out=folder / "jobs", **WORDS))
    yield "killed and begun again", killed(lambda: make(habits), folder)
    yield "in a thread", in_threads(habits, folder)


def difference(habits: Habits, *, jobs: bool = False) -> str | None:
    """The first way that comes to other numbers; None where all agree. Raises SettingsError for what is refused."""
    with tempfile.TemporaryDirectory() as folder:
        first: list[float] | None = None
        for name, found in ways(habits, Path(folder), jobs=jobs):
            random.random(), np.random.random(), torch.rand(1)  # noqa: NPY002 (the caller draws meanwhile)
            first = first or found
            if found != first or not all(np.isfinite(found)):
                return f"{name}: {found} and not {first}, with {changed(habits)}"
    return None


def changed(habits: Habits) -> dict[str, object]:
    """The habits that it has."""
    return {name: value for name, value in asdict(habits).items() if value not in (False, "never")}


def main(count: int) -> int:
    """How many of so many random modules differ in silence; each refusal's first words are counted."""
    rng, refused, differing = random.Random(1), 0, 0
    for number in range(count):
        habits = drawn(rng)
        try:
            found = difference(habits, jobs=number % 20 == 0)
        except SettingsError:
            refused += 1
            continue
        if found is not None:
            differing += 1
            print(found, flush=True)
    print(f"{count} random modules: {differing} silent differences, {refused} refused, the others the same every way")
    return differing


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]))))
