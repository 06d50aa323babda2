"""What makes an arm's verdict meaningless: it did not train, does not depend on the seed, is no better than guessing.

Each is told only where the record shows it; a metric that is missing is no reason to warn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from paribus.records.metrics import split_of
from paribus.records.record import RunRecord, Status, StudyRecord

Counts = Mapping[str, Sequence[int]]
"""Split -> how many examples of each class it has."""

_STILL = 1e-6
"""A loss that changes by no more than this share of itself did not move: float32 rounds to a tenth of it."""

_UNLIKE = 0.01
"""By which share the losses of initial values differ, where those of one minimum do not."""

_NEAR = 1e-3
"""A loss that is lower than by guessing by no more than this share is no better: small initial values give such."""

_INITIAL = 0.1
"""Initial values are seldom better than guessing by more than this share: a lower loss was learned."""

_LEAST_EXAMPLES = 100
"""With fewer, an accuracy is easily that of one class by accident."""


@np.errstate(over="ignore", invalid="ignore")
def meaningless(study: StudyRecord) -> list[str]:
    """A sentence for each arm and reason; arms of which the same is said share one."""
    found: dict[str, list[str]] = {}
    for arm in study.arms:
        runs = [run for run in arm.runs if run.status is Status.DONE and run.curve]
        counts = {run.seed: study.class_counts[run.task.fingerprint] for run in runs if _counted(study, run)}
        if arm.settings.get("eval_train", "all") != "all":  # measured on a part, of which no counts are known
            counts = {seed: {k: v for k, v in of.items() if k != "train"} for seed, of in counts.items()}
        metric = study.primary_metric if split_of(study.primary_metric)[1] == "accuracy" else "test_accuracy"
        split = split_of(study.primary_metric)[0] or "test"
        for told in (
            _untrained(runs, counts),
            _constant(runs, whole_fit=arm.whole_fit),
            _guessing(runs, counts, metric),
            _guessing_numbers(runs, f"{split}_r2"),
            _one(runs, counts, study),
        ):
            if told is not None:
                found.setdefault(told, []).append(arm.name or study.name)
    return [f"{some(arms)}: {told}" for told, arms in found.items()]


def remarks(study: StudyRecord) -> list[str]:
    """What the trial before training remarked on the user's code, as it was told then; with the arms, where that says
    more."""
    found: dict[str, list[str]] = {}
    for arm in study.arms:
        for told in study.remarks.get(arm.name, ()):
            found.setdefault(told, []).append(arm.name)
    return [
        told if len(arms) == len(study.arms) or told.startswith(f"{some(arms)}: ") else f"{some(arms)}: {told}"
        for told, arms in found.items()
    ]


def some(arms: Sequence[str]) -> str:
    """The first arms by name.

    >>> some(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    return ", ".join(arms[:4]) + (f" and {len(arms) - 4} more" if len(arms) > 4 else "")


def _counted(study: StudyRecord, run: RunRecord) -> bool:
    return run.task.fingerprint in study.class_counts


def _untrained(runs: Sequence[RunRecord], counts: Mapping[int, Counts]) -> str | None:
    """Runs whose training loss is the same at every evaluation. A run that came to its end before the first one stands
    still too: so the loss has to be no lower than that of guessing by the classes' shares, or the same to the last bit
    in every run while it differs between the seeds, as that of initial values does."""
    still = [run for run in runs if _stands_still(run, _STILL) and _guesses(run, counts.get(run.seed, {}))]
    if len(runs) > 1 and all(_stands_still(run, 0.0) for run in runs):
        losses = [float(run.curve["train_loss"][-1]) for run in runs]
        initial = all(_guesses(run, counts.get(run.seed, {}), _INITIAL) for run in runs)
        still = list(runs) if initial and max(losses) - min(losses) > _UNLIKE * fmean(losses) else still
    if not still:
        return None
    loss, number = still[0].curve["train_loss"][-1], len(still[0].curve["step"])
    return (
        f"{_of(len(still), len(runs))} did not train: the train loss stays where it is ({loss:.4g} at each of {number} "
        f"evaluations of seed {still[0].seed}). What is said of such runs is said of their initial values"
    )


def _stands_still(run: RunRecord, share: float) -> bool:
    loss = run.curve.get("train_loss")
    return loss is not None and len(loss) > 1 and bool(np.ptp(loss) <= share * abs(loss[-1]))


def _guesses(run: RunRecord, counts: Counts, near: float = _NEAR) -> bool:
    """Whether the training loss is no lower than that of guessing by the classes' shares, or evenly if these are not
    known; of numbers to predict, whether it is no better than their mean."""
    if not run.task.classes:
        return "train_r2" in run.curve and bool(run.curve["train_r2"][-1] <= near)
    shares = np.array([one for one in counts.get("train", ()) if one], dtype=np.float64)
    shares /= shares.sum() if len(shares) else 1.0
    guessing = float(-(shares * np.log(shares)).sum()) if len(shares) else math.log(max(run.task.classes, 2))
    return bool(run.curve["train_loss"][-1] >= guessing * (1 - near))


def _constant(runs: Sequence[RunRecord], *, whole_fit: bool = False) -> str | None:
    """Runs of different seeds with exactly the same curves. An accuracy may well be the same, a loss is not: without
    one nothing is said; but of an estimator, which often draws nothing, that it looks like this."""
    if len({run.seed for run in runs}) < 2:
        return None
    names = [name for name in runs[0].curve if split_of(name)[0] and split_of(name)[1] != "seconds"]
    lossless = not any(run.curve[name].any() for run in runs for name in names if split_of(name)[1] == "loss")
    if lossless and not whole_fit:
        return None  # no loss is there, or all came to one of 0, whatever they began at
    for run in runs[1:]:
        if not all(
            name in run.curve and np.array_equal(runs[0].curve[name], run.curve[name], equal_nan=True) for name in names
        ):
            return None
    if whole_fit:
        certain = "as of an estimator that draws nothing" if lossless else "it draws nothing that matters"
        return (
            f"all {len(runs)} seeds give exactly the same scores, {certain}: then it is one fit, recorded {len(runs)} "
            "times, and its interval and p-values mean nothing; with split=by_seed each seed has other rows"
        )
    return (
        f"all {len(runs)} seeds give exactly the same curves: nothing in it depends on the seed. It is one run, "
        f"recorded {len(runs)} times, and its interval and p-values mean nothing"
    )


def _guessing(runs: Sequence[RunRecord], counts: Mapping[int, Counts], metric: str) -> str | None:
    """Where the mean accuracy over the seeds is at or below the mean share of the most frequent class of that split:
    no test, as a point above would already be something that was learned."""
    split = split_of(metric)[0]
    scores, shares = [], []
    for run in runs:
        score, of = run.final(metric), counts.get(run.seed, {}).get(split)
        if score is not None and of and sum(of):
            scores.append(score)
            shares.append(max(of) / sum(of))
    if not scores or fmean(scores) > fmean(shares) + 1e-9:
        return None
    seeds = "1 seed" if len(scores) == 1 else f"{len(scores)} seeds"
    return (
        f"its {split} accuracy is no better than a guess: it is {fmean(scores):.3g} ({seeds}), and always guessing the "
        f"most frequent class of the {split} split gives {fmean(shares):.3g}"
    )


def _guessing_numbers(runs: Sequence[RunRecord], metric: str) -> str | None:
    """Where the mean r2 over the seeds is 0 or less: guessing the mean of the split's own numbers gives 0, and the mean
    of the training split's gives that or less."""
    found = [score for run in runs if not run.task.classes if (score := run.final(metric)) is not None]
    if not found or fmean(found) > 0:
        return None
    seeds = "1 seed" if len(found) == 1 else f"{len(found)} seeds"
    split = split_of(metric)[0]
    return (
        f"its {split} predictions are no better than a guess: r2 is {fmean(found):.3g} ({seeds}), and always guessing "
        f"the mean of the {split} split's numbers gives 0"
    )


def _one(runs: Sequence[RunRecord], counts: Mapping[int, Counts], study: StudyRecord) -> str | None:
    """Runs that predict one class only. The test split's confusion tells, where a run has it; where none has, the
    accuracy does, if that of every run is exactly a class's share in every split."""
    pictured = [run for run in runs if run.pictures.confusion is not None]
    for run in pictured:
        confusion = run.pictures.confusion
        assert confusion is not None
        predicted = np.flatnonzero(confusion.sum(axis=0))
        if len(predicted) == 1 and np.count_nonzero(confusion.sum(axis=1)) > 1:
            return (
                f"the run of seed {run.seed} predicts class {_name(study, run, int(predicted[0]))} for every one of "
                f"the {confusion.sum()} test examples"
            )
    if pictured or not runs:
        return None
    found = [_class_of(run, counts.get(run.seed, {})) for run in runs]
    if None in found:
        return None
    which = ", ".join(_name(study, runs[0], one) for one in sorted({one for one in found if one is not None}))
    classes = "class" if len({*found}) == 1 else "one of the classes"
    return (
        f"the accuracy of {_of(len(runs), len(runs))} is exactly the share of {classes} {which} in every split, as "
        "where this class alone is predicted"
    )


def _name(study: StudyRecord, run: RunRecord, number: int) -> str:
    """What the data call a class, or its number."""
    names = study.class_names.get(run.task.pool, ())
    return names[number] if number < len(names) else str(number)


def _class_of(run: RunRecord, counts: Counts) -> int | None:
    """The class whose share a run's accuracy is in every split that is measured, of two splits or more."""
    classes: set[int] | None = None
    examples = splits = 0
    for split, of in counts.items():
        score, whole = run.final(f"{split}_accuracy"), sum(of)
        if score is None:
            continue
        same = {number for number, one in enumerate(of) if one < whole and abs(score * whole - one) < 0.01}
        classes = same if classes is None else classes & same
        examples, splits = examples + whole, splits + 1
    return min(classes) if classes and splits > 1 and examples >= _LEAST_EXAMPLES else None


def _of(some_runs: int, all_runs: int) -> str:
    """Of how many runs something is said.

    >>> _of(1, 1), _of(3, 3), _of(1, 3)
    ('its run', 'all 3 runs', '1 of 3 runs')
    """
    if some_runs < all_runs:
        return f"{some_runs} of {all_runs} runs"
    return "its run" if all_runs == 1 else f"all {all_runs} runs"
