"""What the figures of a page and of files draw beside curves, read off the records."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from paribus.config.values import Value, format_value
from paribus.findings.findings import Findings
from paribus.findings.sweeps import Sweep
from paribus.records.metrics import MEASURED
from paribus.records.record import ArmRecord, Fits, Mistakes, Residuals, RunRecord, StudyRecord
from paribus.report.files.curves import COLOURS
from paribus.report.terminal.over import called

ACCURACY = MEASURED["accuracy"]
LENGTH = "task.length"
MOST_PANELS = 12
MOST_FRAMES = 60
Range = tuple[float, float] | None
_MOST_TIMES = 5
_SHADE = 70  # of 255: how opaque a predicted class is


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line of a figure. `style`: its colour and dash; `chosen`: the point that tuning chose; `low`, `high`: the ends
    of each point's interval, NaN where it has none."""

    style: int
    label: str
    x: list[float]
    y: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    chosen: int | None = None


@dataclass(frozen=True)
class Panel:
    """An arm and the run of it that a picture shows."""

    label: str
    style: int
    run: RunRecord


def panels(study: StudyRecord, labels: Mapping[str, str], has: Callable[[RunRecord], bool]) -> list[Panel]:
    """Of each arm the first run that has what is to be shown; arms without one are left out."""
    found = []
    for i, arm in enumerate(study.arms):
        run = next((run for run in arm.runs if has(run)), None)
        if run is not None:
            found.append(Panel(labels[arm.name], i, run))
    return found


def by_length(findings: Findings) -> tuple[str, list[Series]]:
    """The accuracy that arms reached at each length of the sequences: the metric, and a line for each combination of
    the other factors. No line where the length is no factor, or no combination has two."""
    study = findings.study
    metric = (
        study.primary_metric if findings.primary_metric.format.quantity == ACCURACY.format.quantity else "test_accuracy"
    )
    if LENGTH not in study.factors:
        return metric, []
    others = [factor for factor in study.factors if factor != LENGTH]
    groups: dict[str, list[ArmRecord]] = {}
    for arm in study.arms:
        if LENGTH in arm.settings:
            key = " ".join(format_value(arm.settings[factor]) for factor in others if factor in arm.settings)
            groups.setdefault(key or study.name, []).append(arm)
    found = []
    for i, (label, arms) in enumerate(groups.items()):
        arms.sort(key=lambda arm: float(arm.settings[LENGTH]))
        measured = [(float(arm.settings[LENGTH]), findings.summaries[arm.name].get(metric)) for arm in arms]
        points = [(length, one) for length, one in measured if one is not None and one.mean is not None]
        ends = [one.ci95 or (np.nan, np.nan) for _, one in points]
        found.append(
            Series(
                style=i,
                label=label,
                x=[length for length, _ in points],
                y=[one.mean or 0.0 for _, one in points],
                low=[low for low, _ in ends],
                high=[high for _, high in ends],
            )
        )
    return metric, found if any(len(one.x) > 1 for one in found) else []


def swept(findings: Findings) -> list[tuple[Sweep, list[Series]]]:
    """The primary metric over each numeric factor: a line for each combination of the others."""
    metric, found = findings.study.primary_metric, []
    for sweep in findings.sweeps:
        lines = []
        for i, line in enumerate(sweep.lines):
            measured = [(x, findings.summaries[arm][metric]) for x, arm in zip(line.values, line.arms, strict=True)]
            points = [(x, one) for x, one in measured if one.mean is not None]
            ends = [one.ci95 or (np.nan, np.nan) for _, one in points]
            lines.append(
                Series(
                    style=i,
                    label=called(line.label) if line.label else findings.study.name,
                    x=[x for x, _ in points],
                    y=[one.mean or 0.0 for _, one in points],
                    low=[low for low, _ in ends],
                    high=[high for _, high in ends],
                )
            )
        found.append((sweep, lines))
    return found


def gradients(study: StudyRecord, labels: Mapping[str, str]) -> list[tuple[Panel, NDArray[np.float64]]]:
    """|dL/dh(t)| of each arm's first run that has it, shape (2, time steps)."""
    found = panels(study, labels, lambda run: run.pictures.state_gradients is not None)
    return [
        (panel, panel.run.pictures.state_gradients) for panel in found if panel.run.pictures.state_gradients is not None
    ]


def residuals(study: StudyRecord, labels: Mapping[str, str]) -> list[tuple[Panel, Residuals]]:
    """Residuals of each arm's first run that has them."""
    found = panels(study, labels, lambda run: run.pictures.residuals is not None)
    return [(panel, panel.run.pictures.residuals) for panel in found if panel.run.pictures.residuals is not None]


def fits(study: StudyRecord, labels: Mapping[str, str]) -> list[tuple[Panel, Fits]]:
    """What each arm's first run predicts over its one input, where it has one."""
    found = panels(study, labels, lambda run: run.pictures.fits is not None)
    return [(panel, panel.run.pictures.fits) for panel in found if panel.run.pictures.fits is not None]


def strengths(curves: int) -> list[float]:
    """How opaque each of so many curves is, from the first to the last.

    >>> strengths(3), strengths(1)
    ([0.4, 0.625, 1.0], [1.0])
    """
    return [0.4 + 0.45 * k / (curves - 1) for k in range(curves - 1)] + [1.0] if curves > 1 else [1.0] * curves


def common_range(ends: Sequence[tuple[float, float]]) -> Range:
    """The ends of an axis that several panels share, with a margin; None where one panel spans over five times as much
    as another, which nobody could read then, or where there is nothing to span.

    >>> common_range([(0.0, 1.0), (-1.0, 1.0)]), common_range([(0.0, 1.0), (0.0, 6.0)])
    ((-1.1, 1.1), None)
    """
    there = [one for one in ends if np.isfinite(one).all() and one[0] < one[1]]
    sizes = [high / 2 - low / 2 for low, high in there]
    if not there or max(sizes) > _MOST_TIMES * min(sizes):
        return None
    low, high = min(low for low, _ in there), max(high for _, high in there)
    margin = 0.1 * (high / 2 - low / 2)
    return low - margin, high + margin


def drawn_rows(counts: Sequence[tuple[int, int]]) -> str:
    """That some rows of the test split are drawn and others are not; nothing where all are. `counts`: how many, of how
    many, in each panel.

    >>> drawn_rows([(500, 4000), (80, 80)]), drawn_rows([(80, 80)])
    ('Drawn are 500 of 4,000 test rows, which the plan chose: the same for every arm.', '')
    """
    some = [f"{drawn:,} of {count:,}" for drawn, count in dict.fromkeys(counts) if drawn < count]
    return f"Drawn are {' and '.join(some)} test rows, which the plan chose: the same for every arm." if some else ""


def tried(study: StudyRecord, labels: Mapping[str, str]) -> tuple[str, list[Series]]:
    """What tuning tried, where it tuned one number: the setting's name, and of each arm the mean score of each value,
    in order; a value whose runs did not all end has none."""
    tuning = study.tuning
    names = list(tuning.arms[0].chosen) if tuning and tuning.arms else []
    if tuning is None or len(names) != 1:
        return "", []
    (name,) = names
    found = []
    for i, arm in enumerate(tuning.arms):
        pairs = [(_number(one.values[name]), one.mean, one.values == arm.chosen) for one in arm.candidates]
        points = sorted((x, y, chosen) for x, y, chosen in pairs if x is not None and y is not None)
        chosen = next((k for k, point in enumerate(points) if point[2]), None)
        found.append(
            Series(
                style=i,
                label=labels.get(arm.arm, arm.arm or study.name),
                x=[x for x, _, _ in points],
                y=[y for _, y, _ in points],
                chosen=chosen,
            )
        )
    return name, found if any(len(one.x) > 1 for one in found) else []


def budgets(findings: Findings, labels: Mapping[str, str]) -> list[Series]:
    """Of each arm the expected best validation score after so many candidates; nothing of fewer than two."""
    return [
        Series(
            style=i,
            label=labels.get(one.arm, one.arm or findings.study.name),
            x=[float(k) for k in range(1, len(one.best) + 1)],
            y=one.best,
        )
        for i, one in enumerate(findings.budget_curves)
        if len(one.best) > 1
    ]


def _number(value: Value) -> float | None:
    return None if isinstance(value, str | bool) else float(value)


def boundary_frames(run: RunRecord) -> tuple[NDArray[np.float64], list[tuple[float, NDArray[np.uint8]]]] | None:
    """A run's extent, and its decision boundaries with their epochs: those on the way and the last, or the last
    alone."""
    frames, last = run.pictures.frames, run.boundary
    if frames is None or not len(frames.epochs):
        return None if last is None else (last.extent, [(float(run.epochs), last.classes)])
    found = list(zip(frames.epochs.tolist(), frames.classes, strict=True))
    # early stopping leaves a run at an earlier evaluation: its last boundary is that one's, which stands there
    ended = last is not None and run.reported_by is None and run.epochs > found[-1][0]
    if last is not None and ended and np.array_equal(last.extent, frames.extent):
        found.append((float(run.epochs), last.classes))
    kept = np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST_FRAMES)).round().astype(int))
    return frames.extent, [found[k] for k in kept]


def most_confused(confusion: NDArray[np.int64], most: int = 3) -> list[str]:
    """The classes that were most often taken for another, in words.

    >>> most_confused(np.array([[9, 1], [0, 5]]))
    ['0 as 1 (1 of 10)']
    """
    off = confusion.copy()
    np.fill_diagonal(off, 0)
    ranked = np.argsort(-off, axis=None, kind="stable")[:most]
    places = [divmod(int(place), off.shape[1]) for place in ranked]
    return [f"{t} as {p} ({off[t, p]} of {confusion[t].sum()})" for t, p in places if off[t, p]]


def class_png(classes: NDArray[np.uint8]) -> bytes:
    """The predicted classes as an image, a translucent colour each; the first row of the array at the bottom."""
    from PIL import Image

    count = int(classes.max()) + 1
    image = Image.frombytes("P", classes.shape[::-1], np.ascontiguousarray(classes[::-1]).tobytes())
    hues = [COLOURS[i % len(COLOURS)] for i in range(count)]
    image.putpalette([int(hue[at : at + 2], 16) for hue in hues for at in (1, 3, 5)])
    return _png(image, transparency=bytes([_SHADE] * count), optimize=True)


def mistake_png(mistakes: Mistakes, k: int) -> bytes:
    """One of the images as it is stored, grey or in colour."""
    from PIL import Image

    image = mistakes.images[k]
    if len(image) >= 3:
        return _png(Image.fromarray(np.ascontiguousarray(image[:3].transpose(1, 2, 0))))
    return _png(Image.fromarray(np.ascontiguousarray(image[0])))


def _png(image: object, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, format="PNG", **options)  # type: ignore[attr-defined]
    return content.getvalue()


def evenly(count: int, most: int) -> Sequence[int]:
    """At most so many of `count` places, spread evenly.

    >>> list(evenly(10, 4)), list(evenly(3, 4))
    ([0, 3, 6, 9], [0, 1, 2])
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist() if count else []
