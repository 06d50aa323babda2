"""The fused engine against PyTorch, setting by setting; and a run of it alone, among others, stopped, and diverging."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
import pytest
import torch

import paribus
from paribus.backends.dispatch import train
from paribus.backends.fused_runner import train_fused
from paribus.fused.compile import ready
from paribus.fused.compiled import FOLDER
from paribus.fused.rows import BATCH
from paribus.fused.softmax import exp
from paribus.models.initialisation import initial_values
from paribus.plan import Plan
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Run
from paribus.study.reading import read
from paribus.study.store import StoreError
from paribus.tasks import load
from tests.conftest import Recorder, settings_of
from tests.helpers import make_learner, wait_until

Fit = Callable[..., Recorder]

FACTORS = {
    "optimizer": [
        "optimizer=sgd lr=0.1",
        "optimizer=sgd lr=0.05 momentum=0.9 weight_decay=0.01",
        "optimizer=sgd lr=0.05 momentum=0.8 dampening=0.3",
        "optimizer=sgd lr=0.05 momentum=0.7 nesterov=true",
        "optimizer=adam lr=0.01 weight_decay=0.02",
        "optimizer=adamw lr=0.01 beta1=0.8 eps=1e-6",
        "optimizer=rmsprop lr=0.005",
        "optimizer=rmsprop lr=0.005 centered=true momentum=0.5 eps=1e-4",
    ],
    "schedule": ["constant", "multistep:1+2:0.3", "cosine:0.1", "onecycle", "warmup:3steps:cosine"],
    "clip": ["none", "0.5"],
    "sampler": ["shuffle", "replacement", "replacement steps_per_epoch=3", "shuffle steps_per_epoch=2"],
    "dropout": ["0", "0.3"],
    "depth": [0, 1, 3],
    "width": [1, 7, 20, 64],
    "batch_size": ["1", "32", "128", "5000"],
    "validation": ["0", "0.3"],
}


def covering() -> list[dict[str, object]]:
    """Rows in which every two values of two factors meet at least once: greedily, the best of fifty drawn each time."""
    draw = random.Random(0)
    names = list(FACTORS)
    open_ = {
        ((a, x), (b, y))
        for a, b in combinations(names, 2)
        for x, y in product(range(len(FACTORS[a])), range(len(FACTORS[b])))
    }
    rows = []
    while open_:
        (a, x), (b, y) = min(open_)
        tried = []
        for _ in range(50):
            row = {name: draw.randrange(len(FACTORS[name])) for name in names} | {a: x, b: y}
            tried.append((len(open_ & set(combinations(row.items(), 2))), sorted(row.items()), row))
        row = max(tried)[2]
        open_ -= set(combinations(row.items(), 2))
        rows.append({name: FACTORS[name][value] for name, value in row.items()})
    return rows


def words_of(row: dict[str, object]) -> str:
    depth, dropout, sampler = int(str(row["depth"])), str(row["dropout"]), str(row["sampler"])
    if "steps_per_epoch=2" in sampler and int(str(row["batch_size"])) > 60:
        sampler = "shuffle"  # there are not two such batches
    hidden = "x".join([str(row["width"])] * depth) or "none"
    drop = f"dropout={dropout}" if depth and dropout != "0" else ""
    rest = " ".join(f"{name}={row[name]}" for name in ("schedule", "clip", "batch_size", "validation"))
    return f"task=blobs n=150 features=5 centers=4 cluster_std=4 epochs=4 init=default hidden={hidden} {drop} {row['optimizer']} sampler={sampler} {rest}"


ROWS = [words_of(row) for row in covering()]

WIDE = [
    "task=digits epochs=2 hidden=300 batch_size=200",  # one wide layer, batches in two parts
    "task=digits epochs=2 hidden=300x200x9 lr=0.02 momentum=0.9 dropout=0.2 batch_size=300",
    "task=digits epochs=2 hidden=17x1000 optimizer=adam lr=0.001 clip=0.5",
    "task=digits epochs=2 hidden=none batch_size=700 validation=0.1",
    "task=moons epochs=3 init=default hidden=20 batch_size=400 dropout=0.5",
    "task=moons epochs=3 init=default hidden=128x128 lr=0.1",
]


def norm_wise(fit: Fit, words: str, seed: int) -> tuple[float, Recorder, Recorder]:
    """The largest |difference| of two updates of the weights over the largest update, norm-wise."""
    one, other = (fit(f"{words} implementation={name}", seed=seed) for name in ("fused", "torch"))
    settings = settings_of(f"{words} implementation=torch")
    begun = make_learner(settings, load(settings, seed), Plan(seed)).weights()
    mine, theirs = one.outcomes[0].weights, other.outcomes[0].weights
    assert mine is not None
    assert theirs is not None
    apart = np.sqrt(sum(((mine[name] - theirs[name]).astype(float) ** 2).sum() for name in begun))
    moved = np.sqrt(sum(((theirs[name] - begun[name]).astype(float) ** 2).sum() for name in begun))
    assert moved > 1e-5
    return float(apart / moved), one, other


@pytest.mark.parametrize("words", [*ROWS, *WIDE])
def test_every_setting_is_pytorchs(fit: Fit, words: str) -> None:
    gap, one, other = norm_wise(fit, f"{words} precision=float64", 3)
    assert gap <= 1e-11
    assert [row.step for row in one.rows] == [row.step for row in other.rows]
    assert one.rows[0].metrics.keys() == other.rows[0].metrics.keys()
    for name in one.rows[0].metrics:
        np.testing.assert_allclose(one.curve(name), other.curve(name), rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("words", [*ROWS[::4], *WIDE])
def test_single_precision_agrees_to_its_rounding(fit: Fit, words: str) -> None:
    gap, one, other = norm_wise(fit, words, 4)
    assert gap <= 3e-5
    np.testing.assert_allclose(one.curve("test_loss"), other.curve("test_loss"), rtol=1e-4, atol=1e-6)


def test_the_array_covers_every_pair() -> None:
    assert 30 <= len(ROWS) <= 80
    assert len(set(ROWS)) > 0.9 * len(ROWS)


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_the_exponential(real: type[np.floating]) -> None:
    """Two units in the last place over all arguments that softmax has; NaN stays NaN; what is too small is nearly 0."""
    from paribus.fused.engine import _exponents

    lowest = -85 if real is np.float32 else -700
    values = np.concatenate([np.linspace(lowest, 0, 5000), -np.logspace(-12, 0, 3000), [-0.0]]).astype(real)
    rows = np.zeros(BATCH, real)
    for begin in range(0, len(values), BATCH):
        part = values[begin : begin + BATCH]
        rows[: len(part)] = part
        exp(rows, 0, len(part), *_exponents(np.dtype(real)))
        wanted = np.exp(part.astype(np.longdouble))
        np.testing.assert_array_less(np.abs(rows[: len(part)] - wanted), 2 * np.spacing(wanted.astype(real)))
    rows[:4] = (np.nan, -1e30, -np.inf, 0)
    exp(rows, 0, 4, *_exponents(np.dtype(real)))
    assert np.isnan(rows[0])
    assert rows[1] < 1e-37
    assert rows[2] < 1e-37
    assert rows[3] == 1


# --- a run is the same wherever it runs ------------------------------------------------------------------------------


class Among(Recorder):
    """Keeps what belongs to each run."""

    def __init__(self) -> None:
        super().__init__()
        self.curves: dict[Run, list[Evaluation]] = {}
        self.ends: dict[Run, Outcome] = {}

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.curves.setdefault(run, []).append(row)

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        self.ends[run] = outcome


@pytest.mark.parametrize("threads", [1, 2])
def test_alone_and_among_a_hundred(fit: Fit, threads: int) -> None:
    words = ["dropout=0.2", "optimizer=adam lr=0.01", "hidden=7x5 clip=0.1", "schedule=onecycle batch_size=31"]
    common = "task=moons epochs=12 init=default eval_every=3"
    runs = [
        Run(settings=settings_of(f"{common} {words[i % 4]}"), seed=i // 4, keep=frozenset({"weights"}))
        for i in range(100)
    ]
    seen = Among()
    train_fused(runs, lambda run: load(run.settings, run.seed), seen, threads)
    for i in (0, 5, 50, 99):
        alone = fit(f"{common} {words[i % 4]}", seed=i // 4)
        assert [row.metrics for row in seen.curves[runs[i]]] == [row.metrics for row in alone.rows]
        mine, theirs = seen.ends[runs[i]].weights, alone.outcomes[0].weights
        assert mine is not None
        assert theirs is not None
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_a_run_that_diverges_stops_alone() -> None:
    common = "task=moons epochs=200 eval_every=1 init=default"
    runs = [
        Run(settings=settings_of(f"{common} {words}"), seed=0)
        for words in ("lr=0.1", "lr=1e30", "lr=0.2", "lr=100 momentum=2")
    ]
    seen = Among()
    train_fused(runs, lambda run: load(run.settings, run.seed), seen, 2)
    assert [seen.ends[run].status for run in runs] == [Status.DONE, Status.DIVERGED, Status.DONE, Status.DIVERGED]
    assert runs[1] not in seen.curves
    assert len(seen.curves[runs[3]]) == seen.ends[runs[3]].epochs < 200
    assert len(seen.curves[runs[2]]) == 200


def test_an_exception_ends_its_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from paribus.backends import fused_runner

    def broken(shapes: object, init: object, plan: Plan, *more: object) -> object:
        if plan.seed == 1:
            raise MemoryError("no room")
        return initial_values(shapes, init, plan, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(fused_runner, "initial_values", broken)
    runs, seen = [Run(settings=settings_of("task=moons epochs=3"), seed=seed) for seed in (0, 1, 2)], Among()
    train_fused(runs, lambda run: load(run.settings, run.seed), seen, 2)
    assert [seen.ends[run].status for run in runs] == [Status.DONE, Status.FAILED, Status.DONE]
    assert str(seen.ends[runs[1]].error).startswith("MemoryError: no room (")


def test_evaluations_are_told_while_it_trains_and_ctrl_c_keeps_them() -> None:
    class Interrupting(Among):
        def on_evaluation(self, run: Run, row: Evaluation) -> None:
            super().on_evaluation(run, row)
            if len(self.curves[run]) == 5:
                raise KeyboardInterrupt

    settings, seen = settings_of("task=moons epochs=100000000 eval_every=20000"), Interrupting()
    with pytest.raises(KeyboardInterrupt):
        train([Run(settings=settings, seed=0)], lambda _: load(settings, 0), seen)
    (outcome,) = seen.ends.values()
    assert outcome.status is Status.INTERRUPTED
    assert len(next(iter(seen.curves.values()))) >= 5


def test_ctrl_c_leaves_no_hole_in_a_curve() -> None:
    """Whoever is told of one evaluation while many more wait is told of these too, or of no later one."""

    class Interrupting(Among):
        def on_evaluation(self, run: Run, row: Evaluation) -> None:
            super().on_evaluation(run, row)
            sleep(0.1 if len(self.curves[run]) == 1 else 0)  # the engine goes on meanwhile
            if len(self.curves[run]) == 5:
                raise KeyboardInterrupt

    settings, seen = settings_of("task=moons epochs=1000000 eval_every=1"), Interrupting()
    with pytest.raises(KeyboardInterrupt):
        train([Run(settings=settings, seed=0)], lambda _: load(settings, 0), seen)
    (rows,) = seen.curves.values()
    assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))


def test_ctrl_c_stops_the_command(tmp_path: Path) -> None:
    """In the middle of the run, hours before its end; what was evaluated stays."""
    ready("float32", str)  # a compiler does not hear of it
    command = [
        sys.executable,
        "-m",
        "paribus",
        "train",
        "moons",
        "epochs=100000000",
        "eval_every=1000",
        "--out",
        str(tmp_path / "s"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: _evaluated(tmp_path / "s") or process.poll() is not None, "an evaluation")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "the same command goes on" in out
    assert _evaluated(tmp_path / "s") == Status.INTERRUPTED


def _evaluated(folder: Path) -> str | None:
    """What the study's only run has come to, once it has been evaluated."""
    try:
        (run,) = (run for arm in read(folder).arms for run in arm.runs)
    except (StoreError, ValueError):
        return None
    return run.status if run.curve else None


def test_times_are_those_of_the_clock(fit: Fit) -> None:
    begun = perf_counter()
    recorder = fit("task=moons epochs=3000 eval_every=100 init=default")
    passed = perf_counter() - begun
    rows = recorder.rows
    assert rows[-1].eval_seconds > 0
    assert rows[-1].train_seconds > 0
    assert rows[-1].train_seconds + rows[-1].eval_seconds < passed
    assert [row.train_seconds for row in rows] == sorted(row.train_seconds for row in rows)


def test_what_it_cannot_have_is_said() -> None:
    from paribus.config.overrides import SettingsError

    for words, answer in (
        ("loader=dataloader", "loader=dataloader has no effect with implementation=fused"),
        ("threads=2", "threads=2 has no effect with implementation=fused"),
    ):
        with pytest.raises(SettingsError, match=answer):
            settings_of(f"task=moons implementation=fused {words}")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    code = (
        "from paribus.fused.compiled import FOLDER; assert FOLDER is None\n"
        "from paribus.fused.draws import permutation; import numpy as np\n"
        "from paribus.plan import Plan\n"
        "order, words, spare = np.zeros(9, np.int64), np.zeros((4, 9), np.uint64), np.zeros((4, 1), np.uint64)\n"
        "permutation(order, 9, words, spare, np.uint64(2), np.uint64(7))\n"
        "assert order.tolist() == Plan(7).permutations(2, 1, 9)[0].tolist()\n"
    )
    environment = {**os.environ, "PARIBUS_COMPILED": "/dev/null/x"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


BEGINNER = """
import shutil, sys, time
from pathlib import Path

from paribus.fused import compile as loops

name, other, compiled = sys.argv[1], sys.argv[2], Path(sys.argv[3])


def compile_slowly(model, precision, folder):
    \"""Until the other one asks too; then what is compiled already.\"""
    with open("compiles", "a") as file:
        file.write(name)
    while not Path(other).exists():
        time.sleep(0.01)
    time.sleep(0.5)
    shutil.copytree(compiled, folder.with_name("part"))
    folder.with_name("part").rename(folder)


if __name__ == "__main__":
    loops._compile = compile_slowly
    Path(name).touch()
    loops.ready("float32", lambda line: print(line, flush=True))
"""


def test_processes_that_begin_together_compile_once(tmp_path: Path) -> None:
    """The second waits for the first, and loads what that has made."""
    ready("float32", lambda line: None)
    (tmp_path / "beginner.py").write_text(BEGINNER, encoding="utf-8")
    environment = {**os.environ, "PARIBUS_COMPILED": str(tmp_path / "compiled")}
    started = [
        subprocess.Popen(
            [sys.executable, "beginner.py", *names, str(FOLDER and FOLDER / "mlp-float32")],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for names in (("a", "b"), ("b", "a"))
    ]
    said = [process.communicate(timeout=200)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sum("compiling the training loops for float32, this once" in text for text in said) == 1
    assert (tmp_path / "compiles").read_text() in ("a", "b")


@pytest.mark.slow
def test_what_is_compiled_again_is_the_same(tmp_path: Path, fit: Fit) -> None:
    """To the last bit."""
    words = ["train", "moons", "epochs=40", "init=default", "--out", str(tmp_path / "s")]
    environment = {**os.environ, "PARIBUS_COMPILED": str(tmp_path / "compiled"), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-m", "paribus", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "compiling the training loops for float32, this once" in done.stdout
    (run,) = read(tmp_path / "s").arms[0].runs
    assert run.curve["train_loss"].tolist() == fit("task=moons epochs=40 init=default").curve("train_loss")


def test_installations_keep_their_compiled_loops_apart(tmp_path: Path) -> None:
    """Numba takes nothing that was compiled for a file elsewhere, or written at another time."""
    source = Path(paribus.__file__).parent
    for name in ("one", "other"):
        shutil.copytree(source, tmp_path / name / "paribus", ignore=shutil.ignore_patterns("__pycache__"))

    def folder(name: str) -> str:
        code = "from paribus.fused import compiled; print(compiled.__file__, compiled.FOLDER)"
        paths = {"PYTHONPATH": str(tmp_path / name), "PARIBUS_COMPILED": str(tmp_path / "compiled")}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=os.environ | paths, capture_output=True, text=True, check=True)
        file, kept = done.stdout.split()
        assert Path(file).is_relative_to(tmp_path / name)
        return kept

    before = folder("one")
    assert folder("one") == before
    assert folder("other") != before
    os.utime(tmp_path / "one" / "paribus" / "fused" / "mlp.py", (0, 0))
    assert folder("one") != before


@pytest.mark.parametrize(("n", "seed"), [(1, 0), (2, 5), (37, 2**32 - 1), (800, 3)])
def test_the_plans_draws_inside_the_loops(n: int, seed: int) -> None:
    from paribus.fused.draws import masks, permutation, repeats

    plan, key = Plan(seed), np.uint64(seed)
    order, words, spare = np.zeros(3 * n, np.int64), np.zeros((4, 3 * n + 2), np.uint64), np.zeros((4, 1), np.uint64)
    for epoch in (0, 1, 1000):
        permutation(order, n, words, spare, np.uint64(epoch), key)
        np.testing.assert_array_equal(order[:n], plan.permutations(epoch, 1, n)[0])
        repeats(order, n // 2, n, n, words, spare, np.uint64(epoch), key)
        np.testing.assert_array_equal(order[:n], plan.draws(epoch, 1, 2 * n, n)[0][n // 2 : n // 2 + n])
        examples = np.arange(n)[::-1].copy()
        masks(words, np.uint64(1), examples, n, np.uint64(epoch), np.uint64(2), key)
        kept = plan.keep(epoch, examples, 2, 8, 0.3)[:, 4:]
        np.testing.assert_array_equal(np.uint64(round(0.3 * 2**32)) <= words[:, :n].T, kept)


def test_a_draw_that_is_rejected_is_made_again() -> None:
    """With a bound near 2^32 half of all words are rejected."""
    from paribus.fused.draws import repeats

    n = 2**31 + 1
    order, words, spare = np.zeros(64, np.int64), np.zeros((4, 20), np.uint64), np.zeros((4, 1), np.uint64)
    repeats(order, 3, 50, n, words, spare, np.uint64(1), np.uint64(9))
    np.testing.assert_array_equal(order[:50], Plan(9).draws(1, 1, 60, n)[0][3:53])


def test_global_threads_are_left_alone(fit: Fit) -> None:
    torch.set_num_threads(2)
    fit("task=digits epochs=1 hidden=300")
    assert torch.get_num_threads() == 2
