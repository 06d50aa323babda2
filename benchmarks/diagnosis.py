"""How often the diagnosis finds a planted fault, and how often it raises an alarm at a run that is well.

    python benchmarks/diagnosis.py                          # every place, with seeds that most rules were not chosen on
    python benchmarks/diagnosis.py --half again-2 --only healthy,still-improving,regression-as-classes  # those that were
    python benchmarks/diagnosis.py --half tune              # the half that the thresholds were chosen on first
    python benchmarks/diagnosis.py --half tune --keep FOLDER  # keeps the runs; a second call only diagnoses again
    python benchmarks/diagnosis.py --half again --as-loops  # by their losses alone, as of a loop of the user's

Plants and healthy runs are lists of settings, made by a rule below; the seed of each is its place in the list. The
even places are the half `tune`, the odd ones the half `report`.

These rules were written before any threshold was tuned; the lists too, but for what docs/diagnosis.md says of them:

- Healthy: sensible settings (`BASES`), trained to the end of a budget that is enough for the task, whose test score ends
  within `MARGIN` of the best that any candidate of this task reaches. A candidate that does worse is left out, and counted.
- Plant: `BASES` with one thing made wrong, whose test score ends more than `MARGIN` below that best. One that does no
  harm is left out, and counted. Where a score cannot show the harm, `harmed` says what does.

The score is the accuracy on the test split, and R^2 of numbers to predict.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from diagnosis_data import DATA, build_data
from diagnosis_plants import AGAIN, CODES, HALVES, Trial, module, trials

import paribus
from paribus.findings.diagnosis import diagnose
from paribus.records.record import Pictures, Status, StudyRecord

MARGIN = 0.03
"""Of accuracy, or of R^2."""


def trained(trial: Trial, seed: int, folder: Path) -> StudyRecord:
    """The record of its run; one that is in the folder is not trained again."""
    if (folder / "study.sqlite").exists():
        return paribus.open(folder).record
    return train(trial, seed, folder).record


def train(trial: Trial, seed: int, folder: Path) -> paribus.Study:
    """Its study of one run. What is in the folder is not trained again."""
    words = dict(trial.words)
    task, tune = words.pop("task"), words.pop("tune", None)
    if task in DATA or task.startswith("overlapping "):
        task = build_data(task)
    if trial.layers:
        # of numbers to predict the outputs have shape (rows, 1), as of the tasks' own networks
        for name in ("model.hidden", "init", "model.activation"):
            words.pop(name, None)
        words["model"] = module(trial.task, **trial.layers)
        words["epochs"] = min(words["epochs"], 25)
    more = {} if tune is None else {"tune": tune, "tune_seeds": 1}
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        return paribus.train(task, seeds=[seed], out=folder, jobs=1, **more, **words)


def as_loop(record: StudyRecord) -> StudyRecord:
    """What a loop of the user's that logs its losses would leave of this run."""
    arms = [
        replace(arm, runs=[replace(run, pictures=Pictures(), status=Status.DONE) for run in arm.runs])
        for arm in record.arms
    ]
    return replace(record, arms=arms, own_loop=True, class_counts={}, remarks={})


def score(record: StudyRecord) -> float:
    """Accuracy on the test split, R^2 of numbers; -inf of a run that diverged."""
    run = record.arms[0].runs[0]
    found = run.final("test_accuracy" if run.task.classes else "test_r2")
    return -np.inf if found is None else found


def harmed(trial: Trial, record: StudyRecord, best: float) -> bool:
    """Whether a plant does the harm it is named after."""
    run = record.arms[0].runs[0]
    if trial.code == "diverged":
        return run.status is Status.DIVERGED
    if trial.code == "train-test-overlap" or (trial.code == "regression-as-classes" and not run.task.classes):
        return True  # it makes the score better than it is; of classes as numbers it is another score
    if trial.code == "overfitting":  # by its definition: the held-out loss ends a quarter above its lowest
        held = run.curve["test_loss"]
        return run.status is Status.DONE and bool(held[-1] > 1.25 * held.min())
    if trial.code == "majority-class-only":  # no better than always the most frequent class
        counts = record.class_counts[run.task.fingerprint]["test"]
        return score(record) <= max(counts) / sum(counts) + 0.01
    if run.status is Status.DIVERGED and trial.code not in _MAY_DIVERGE:
        return False  # it is a plant of `diverged`
    return score(record) < best - MARGIN


_MAY_DIVERGE = ("exploding-signal", "unscaled-inputs", "flipped-loss", "summed-loss")
"""Codes of which divergence is a harm that they do."""


def main() -> None:
    """Train, diagnose, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=[*HALVES, "both", *AGAIN], default="again")
    parser.add_argument("--keep", type=Path, help="a folder for the runs, which are not trained again")
    parser.add_argument("--only", default="", help="codes, joined by commas; healthy for the healthy runs")
    parser.add_argument("--as-loops", action="store_true", help="look at the losses alone, as of a loop of the user's")
    parser.add_argument("--missed", action="store_true", help="list every plant that was not found")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        measure(asked, asked.keep or Path(thrown_away))


def measure(asked: argparse.Namespace, folder: Path) -> None:
    begun = time.perf_counter()
    only = set(filter(None, asked.only.split(",")))
    mine = [(seed, trial) for seed, trial in trials(asked.half) if not trial.code or not only or trial.code in only]
    records = {seed: trained(trial, seed, folder / str(seed)) for seed, trial in mine}
    best: dict[str, float] = defaultdict(lambda: -np.inf)
    for seed, trial in mine:
        if not trial.code:
            best[trial.task] = max(best[trial.task], score(records[seed]))
    shown = {seed: as_loop(one) for seed, one in records.items()} if asked.as_loops else records
    well = [(s, t) for s, t in mine if not t.code and score(records[s]) >= best[t.task] - MARGIN]
    if not only or "healthy" in only:
        _tell_healthy(well, shown, len([1 for _, trial in mine if not trial.code]))
    plants = [(s, t) for s, t in mine if t.code and harmed(t, records[s], best[t.task.split()[-1]])]
    _tell_plants(plants, shown, Counter(t.code for _, t in mine), missed=asked.missed)
    print(f"{len(mine)} runs, {time.perf_counter() - begun:.0f} s")


def _tell_healthy(well: Sequence[tuple[int, Trial]], records: dict[int, StudyRecord], candidates: int) -> None:
    alarms: Counter[str] = Counter()
    alarmed = 0
    for seed, trial in well:
        found = diagnose(records[seed])
        alarmed += bool(found)
        alarms.update(one.code for one in found)
        for one in found:
            print(
                f"  alarm {seed} {trial.task} {trial.words} score {score(records[seed]):.3f}: {one.code}: {one.evidence}"
            )
    print(
        f"healthy: {len(well)} of {candidates} candidates; with an alarm {alarmed} ({alarmed / max(1, len(well)):.1%})"
    )
    print("  " + (", ".join(f"{code} {n}" for code, n in alarms.most_common()) or "none"))


def _tell_plants(
    plants: Sequence[tuple[int, Trial]], records: dict[int, StudyRecord], trials: Counter[str], *, missed: bool
) -> None:
    print(f"{'code':24}{'plants':>7}{'harmless':>9}{'found':>7}{'first':>7}  recall  else told")
    for code in CODES:
        kept = [(seed, trial) for seed, trial in plants if trial.code == code]
        told = {seed: [one.code for one in diagnose(records[seed])] for seed, _ in kept}
        found = sum(code in codes for codes in told.values())
        first = sum(codes[:1] == [code] for codes in told.values())
        others = Counter(one for codes in told.values() if code not in codes for one in (codes or ["nothing"]))
        if trials[code]:
            print(f"{code:24}{len(kept):7}{trials[code] - len(kept):9}{found:7}{first:7}  {found / max(1, len(kept)):6.0%}"
                  f"  {', '.join(f'{name} {n}' for name, n in others.most_common())}")  # fmt: skip
        for seed, trial in kept if missed else []:
            if code not in told[seed]:
                print(
                    f"  missed {seed} {trial.task} {trial.words} {trial.layers} score {score(records[seed]):.3f}: {told[seed]}"
                )


if __name__ == "__main__":
    main()
