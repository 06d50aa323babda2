"""Live progress in the terminal: one bar over all epochs of all runs, or plain lines where there is no terminal."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from paribus.records.metrics import metric_named
from paribus.records.run import Callback
from paribus.study.kinds import for_terminal

if TYPE_CHECKING:
    from paribus.records.record import Evaluation, Outcome
    from paribus.records.run import Run

_LINE_SECONDS = 5.0
_REFRESHES = 1
"""Redraws a second: Rich's ten cost a small run as much as writing all of its records."""


class Bar(Callback):
    """Shows how far a study is: runs done, epochs of the present one, its last accuracy."""

    def __init__(self, console: Console, runs: int, epochs: int) -> None:
        self._console, self._errors = console, Console(stderr=True)  # what went wrong is said, however quiet
        self._runs = runs
        self._ended: set[Run] = set()
        self._shown: dict[Run, float] = {}
        self._said = monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._live = Progress(
            *columns, console=console, transient=True, refresh_per_second=_REFRESHES, disable=not console.is_terminal
        )
        self._bar = self._live.add_task("", total=max(epochs, 1), note="")

    def __enter__(self) -> Bar:
        self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._live.stop()

    def on_run_begin(self, run: Run) -> None:
        if run in self._ended:  # it begins again, or its process died and it is tried again
            self._ended.remove(run)
            self._live.advance(self._bar, -run.settings.epochs)
        self._shown[run] = 0.0
        self._live.update(self._bar, description=f"run {len(self._ended) + 1} of {self._runs}")

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        if self._console.is_terminal:
            if monotonic() - self._said < 1 / _REFRESHES:
                return
            self._said = monotonic()
            self._advance(run, row.epoch)
            self._live.update(self._bar, note=_line(run, row))
        elif monotonic() - self._said > _LINE_SECONDS:
            self._said = monotonic()
            self._console.print(f"run {len(self._ended) + 1} of {self._runs}: {_line(run, row)}")

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        self._ended.add(run)
        self._advance(run, run.settings.epochs)
        del self._shown[run]
        if outcome.error and not outcome.begins_again:  # of which a message tells
            why = for_terminal(f"seed {run.seed}: {outcome.status}: {outcome.error}")
            self._errors.print(why, markup=False, highlight=False)

    def on_message(self, line: str) -> None:
        self._console.print(for_terminal(line), markup=False, highlight=False)

    def _advance(self, run: Run, epoch: float) -> None:
        self._live.advance(self._bar, epoch - self._shown[run])
        self._shown[run] = epoch


class DownloadBar:
    """The bar that a download or an import moves (the contract of pooch's progress bars)."""

    total: float = 0

    def __init__(self, console: Console) -> None:
        self._live = Progress(console=console, transient=True, disable=not console.is_terminal)

    def update(self, n: float) -> None:
        if not self._live.task_ids:
            self._live.add_task("", total=self.total or None)
            self._live.start()
        self._live.advance(self._live.task_ids[0], n)

    def reset(self) -> None:
        for task in self._live.task_ids:
            self._live.reset(task)

    def close(self) -> None:
        self._live.stop()
        for task in self._live.task_ids:
            self._live.remove_task(task)


def _line(run: Run, row: Evaluation) -> str:
    if run.expected:
        name = run.expected if run.expected in row.metrics else next(iter(row.metrics))
        return f"seed {run.seed}, epoch {row.epoch:g}, {name} {row.metrics[name]:.4g}"
    split = "validation" if run.hidden_test else "test"
    shown = metric_named(f"{split}_rmse" if run.network.task.regression else f"{split}_accuracy")
    if shown.name not in row.metrics:  # of an estimator's own curve
        return f"seed {run.seed}, epoch {row.epoch:g}"
    value = shown.format.scale * row.metrics[shown.name]
    told = f"{value:.1f}" if shown.percent else f"{value:.4g}"
    return f"seed {run.seed}, epoch {row.epoch:g}, {shown.words} {told}{shown.format.suffix}"
