"""Writes what happens to the store, then tells the other callbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.execution.environment import environment
from paribus.plan import PLAN_VERSION, Plan
from paribus.records.checkpoint import Checkpoint
from paribus.records.metrics import MEASURED
from paribus.records.record import FINISHED, Evaluation, Outcome, Status
from paribus.records.run import Callback, Run
from paribus.study.driver import me
from paribus.study.migrations import canonical
from paribus.study.spec import StudySpec
from paribus.study.store import Store
from paribus.tasks import Task, load

_FLUSH_SECONDS = 0.5
_POINTS = 5000
_MOST_NAMES = 1000


class Recorder(Callback):
    """The callback of a study; several runs may go on at once."""

    def __init__(self, store: Store, request: StudySpec, callbacks: Sequence[Callback]) -> None:
        self._store, self._others = store, callbacks
        self._timed = request.timing
        self._numbers: dict[Run, int] = {}
        self._epochs: dict[Run, int] = {}
        self._flushed = monotonic()
        surroundings = environment(request.command)  # asks git: not while others wait for the file
        with store.transaction():
            store.abandon()
            store.set("driver", me())
            store.set("name", store.get("name") or request.name)
            # A request for a part of what is there leaves the names that tell the whole study's arms apart.
            whole = store.arms().keys() <= {arm.key for arm in request.design.arms}
            if whole:
                store.set("factors", request.design.factors)
                store.set("named", request.design.named)
                store.set("shared", request.design.shared)
                store.set("baseline", request.baseline)
            store.set("primary_metric", request.metric)
            store.set("timing", request.timing)
            store.set("target", request.target and str(request.target))
            store.set("margin", request.margin)
            store.set("metrics", {metric.name: str(metric) for metric in request.metrics})
            store.set("measured", {one.name: one.as_data() for one in (*MEASURED.values(), *request.measured)})
            if files := {table.name: table.path for table in request.design.tables if table.path}:
                store.set("files", (store.get("files") or {}) | files)
            store.set("plan_version", PLAN_VERSION)
            if whole:
                self._write_claims([claim.as_data() for claim in request.claims])
            self._write_looks(request)
            store.set("seeds", request.seeds)
            store.set("least", request.least)
            self._surroundings, self._environment = surroundings, store.add_environment(surroundings)
            self._arms = {
                arm.settings: store.add_arm(arm.name, arm.settings.flat(), rename=whole) for arm in request.design.arms
            }

    def _write_claims(self, claims: list[dict[str, Any]]) -> None:
        """What was claimed before stays, with how many runs were known when it was replaced: a condition that is
        written when results are there may be one that fits them."""
        store, before = self._store, self._store.get("claims")
        written = store.get("claims_written") or ([{"claims": before, "runs": None}] if before else [])
        if not written or written[-1]["claims"] != claims:
            store.set(
                "claims_written",
                [*written, {"claims": claims, "runs": sum(status in FINISHED for status in store.statuses().values())}],
            )
        store.set("claims", claims)

    def _write_looks(self, request: StudySpec) -> None:
        """Whoever asks for seeds that are new, when results are known, may have done so because of them."""
        store = self._store
        runs = store.statuses()
        asked = store.get("asked") or (
            [sorted({*(store.get("seeds") or ()), *(seed for _, seed in runs)})] if runs else []
        )
        new = sorted({*request.seeds} - {seed for group in asked for seed in group})
        if not new:
            return
        known = any(status in FINISHED for status in runs.values())
        asked = [*asked, new] if known or not asked else [*asked[:-1], sorted([*asked[-1], *new])]
        store.set("asked", asked)

    def on_run_begin(self, run: Run) -> None:
        task = load(run.settings, run.seed)
        plan = (PLAN_VERSION, Plan(run.seed).hash())
        with self._store.transaction():
            number = self._store.add_task(task.info, _points(task))
            self._store.add_class_counts(task.info.fingerprint, _class_counts(task))
            if 0 < len(task.labels) <= _MOST_NAMES:
                self._store.add_class_names(task.info.pool, [str(label) for label in task.labels])
            self._numbers[run] = self._store.start(
                arm=self._arms[run.settings],
                seed=run.seed,
                task=number,
                environment=self._environment,
                plan=plan,
                timed=self._timed,
            )
            begin = run.resumes_from()
            if begin is not None:
                self._store.carry_over(self._numbers[run], begin.step)
        self._epochs[run] = 0
        for other in self._others:
            other.on_run_begin(run)

    def on_environment(self, run: Run, facts: Mapping[str, object]) -> None:
        self._store.made_in(self._numbers[run], self._store.add_environment({**self._surroundings, **facts}))

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self._store.append(self._numbers[run], row)
        self._epochs[run] = int(row.epoch)
        if monotonic() - self._flushed > _FLUSH_SECONDS:
            for number in self._numbers.values():
                self._store.flush(number)
            self._flushed = monotonic()
        for other in self._others:
            other.on_evaluation(run, row)

    def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
        assert run.checkpoint is not None
        self._store.flush(self._numbers[run])  # the curve until then, before what goes on from there
        checkpoint.write(run.checkpoint, run.identity())

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        if outcome.status in (Status.FAILED, Status.INTERRUPTED):
            outcome = replace(outcome, epochs=self._epochs[run])  # as far as was seen
        if outcome.remarks:
            key = canonical(run.settings.flat())
            self._store.set("remarks", self._store.by_arm("remarks") | {key: list(outcome.remarks)})
        self._store.end(self._numbers[run], outcome)
        if run.checkpoint is not None and (outcome.status in FINISHED or outcome.begins_again):
            run.checkpoint.unlink(missing_ok=True)
        del self._numbers[run], self._epochs[run]
        for other in self._others:
            other.on_run_end(run, outcome)

    def on_message(self, line: str) -> None:
        for other in self._others:
            other.on_message(line)


def _class_counts(task: Task) -> dict[str, list[int]]:
    """Of each split; where each step has a class, of all steps."""
    return {
        name: np.bincount(split.y.ravel(), minlength=task.info.classes).tolist()
        for name, split in task.splits.items()
        if split.y.dtype.kind in "iu" and len(split)
    }


def _points(task: Task) -> dict[str, NDArray[np.float64]] | None:
    """The data of a task in the plane, for its picture."""
    if not task.in_plane:
        return None
    points = {}
    for name, split in (("train", task.train), ("test", task.test)):
        points[f"{name}_x"] = split.x[:_POINTS].astype(np.float64)
        points[f"{name}_y"] = split.y[:_POINTS].astype(np.float64)
    return points
