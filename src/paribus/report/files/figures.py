"""The figures of a page by Matplotlib, for files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import numpy as np

from paribus.findings.findings import Findings
from paribus.records.record import RunRecord, StudyRecord
from paribus.report.files.curves import COLOURS, curves, data, in_reach, printable
from paribus.report.files.regression import draw_fits, draw_residuals
from paribus.report.page.figures import MARKS, MOST_ROWS
from paribus.report.page.text import View, amount
from paribus.report.series import MOST_PANELS, Panel, Series, budgets, by_length, gradients, panels, swept, tried

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
_DASHES: tuple[Any, ...] = ("solid", (0, (4, 3)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (8, 2)))
_FORMS = {"circle": "o", "circle-open": "o", "square": "s", "x-thin": "x"}
_FONTS = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC",
    "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans Symbols2", "Noto Emoji", "Segoe UI Emoji",
)  # fmt: skip


def figures(view: View) -> Iterator[tuple[str, Figure]]:
    """Name and figure of everything that there is to draw of a study. Draw and save them within `fonts()`."""
    findings, study, labels = view.findings, view.study, {arm: printable(label) for arm, label in view.labels.items()}
    makers: Sequence[tuple[str, Callable[[], Figure | None]]] = (
        ("differences", lambda: _forest(view)),
        ("curves", lambda: curves(findings)),
        ("boundary", lambda: data(findings)),
        ("fitted-curve", lambda: _fits(study, labels)),
        ("residuals", lambda: _residuals(study, labels)),
        ("confusion", lambda: _confusions(study, labels)),
        ("mistakes", lambda: _mistakes(study, labels)),
        ("sweeps", lambda: _swept(findings)),
        ("lengths", lambda: _lengths(findings)),
        ("gradients", lambda: _gradients(study, labels)),
        ("tuning", lambda: _tuned(view)),
        ("budget", lambda: _budget(view)),
    )
    for name, make in makers:
        figure = make()
        if figure is not None:
            yield name, figure


@contextmanager
def fonts() -> Iterator[None]:
    """Text in whatever fonts there are for it. A sign that none has is drawn as a box, as Matplotlib does: said once
    for each in the console, it would bury what was written."""
    from matplotlib import font_manager, rc_context

    there = {font.name for font in font_manager.fontManager.ttflist}
    # 42: fonts as they are, in the file; what publishers refuse are Matplotlib's own, of type 3
    settings: dict[Any, Any] = {
        "font.family": [name for name in _FONTS if name in there], "svg.hashsalt": "paribus", "pdf.fonttype": 42,
    }  # fmt: skip
    with rc_context(settings), catch_warnings():
        filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _plain(text: str, width: int) -> str:
    """Text in lines, in which Matplotlib reads no formula."""
    return fill(printable(text).replace("$", r"\$"), width)


def _new(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def _forest(view: View) -> Figure | None:
    rows = [one for one in view.found if one.mean is not None][:MOST_ROWS]
    if not rows:
        return None
    metric, margin = view.findings.primary_metric, view.study.margin
    by = metric.format.scale
    figure, (axis,) = _new(8, 1.2 + 0.5 * len(rows))
    axis.axvline(0, color="black", linewidth=1)
    if margin is not None:
        axis.axvspan(-by * margin, by * margin, color=COLOURS[2], alpha=0.15, linewidth=0)
    names = []
    for place, one in enumerate(rows):
        mean = one.mean or 0.0
        low, high = one.interval or (mean, mean)
        symbol = MARKS[one.verdict or "no difference shown"][0]
        error = in_reach([[by * (mean - low)], [by * (high - mean)]])
        face = "white" if symbol.endswith("open") else COLOURS[0]
        look = {"fmt": _FORMS[symbol], "color": COLOURS[0], "mfc": face, "capsize": 3}
        axis.errorbar(in_reach([by * mean]), [place], xerr=error, **look)
        value, interval = amount(metric, mean, one.interval)
        told = f"{value} ({interval})" if interval else value
        names.append(f"{_plain(f'{view.labels[one.a]} - {view.labels[one.b]}', 40)}\n{told}")
    axis.set_yticks(range(len(rows)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(", ".join(filter(None, [f"difference in {metric.words}", metric.format.difference])))
    _tidy(axis)
    return figure


def _panels(
    study: StudyRecord, labels: Mapping[str, str], has: Callable[[RunRecord], bool], size: float
) -> tuple[Figure, list[tuple[Panel, Axes]]] | None:
    found = panels(study, labels, has)[:MOST_PANELS]
    if not found:
        return None
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure, axes = _new(size * columns, size * rows, rows, columns)
    for axis in axes[len(found) :]:
        axis.set_visible(False)
    return figure, list(zip(found, axes, strict=False))


def _confusions(study: StudyRecord, labels: Mapping[str, str]) -> Figure | None:
    made = _panels(study, labels, lambda run: run.pictures.confusion is not None, 4.2)
    if made is None:
        return None
    for panel, axis in made[1]:
        counts = panel.run.pictures.confusion
        assert counts is not None
        shares = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if len(counts) <= 12:
            axis.set_xticks(range(len(counts)))
            axis.set_yticks(range(len(counts)))
            for (t, p), count in np.ndenumerate(counts):
                axis.text(
                    p,
                    t,
                    str(count),
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if shares[t, p] > 0.6 else "black",
                )
        axis.set_xlabel("taken for")
        axis.set_ylabel("class")
        axis.set_title(_plain(f"{panel.label}, seed {panel.run.seed}", 40), fontsize=9)
    return made[0]


def _residuals(study: StudyRecord, labels: Mapping[str, str]) -> Figure | None:
    made = _panels(study, labels, lambda run: run.pictures.residuals is not None, 4.2)
    for panel, axis in made[1] if made else []:
        assert panel.run.pictures.residuals is not None
        draw_residuals(axis, panel.run.pictures.residuals)
        axis.set_title(_plain(f"{panel.label}, seed {panel.run.seed}", 40), fontsize=9)
    return made[0] if made else None


def _fits(study: StudyRecord, labels: Mapping[str, str]) -> Figure | None:
    made = _panels(study, labels, lambda run: run.pictures.fits is not None, 4.2)
    for panel, axis in made[1] if made else []:
        assert panel.run.pictures.fits is not None
        draw_fits(axis, panel.run.pictures.fits)
        axis.set_title(_plain(f"{panel.label}, seed {panel.run.seed}", 40), fontsize=9)
    return made[0] if made else None


def _mistakes(study: StudyRecord, labels: Mapping[str, str]) -> Figure | None:
    """The images whose wrong class each arm was surest of, a row for each arm."""
    found = panels(
        study, labels, lambda run: run.pictures.mistakes is not None and len(run.pictures.mistakes.truth) > 0
    )
    shown = [(panel, panel.run.pictures.mistakes) for panel in found[:MOST_PANELS]]
    if not shown:
        return None
    columns = max(len(mistakes.truth) for _, mistakes in shown if mistakes is not None)
    figure, axes = _new(1.2 * columns + 0.2, 1.75 * len(shown), len(shown), columns)
    for axis in axes:
        axis.set_axis_off()
    for row, (panel, mistakes) in enumerate(shown):
        assert mistakes is not None
        for k, image in enumerate(mistakes.images):
            axis = axes[row * columns + k]
            colour = len(image) >= 3
            axis.imshow(
                image[:3].transpose(1, 2, 0) if colour else image[0],
                cmap=None if colour else "gray",
                vmin=0,
                vmax=255,
                interpolation="nearest",
            )
            told = f"{mistakes.truth[k]} as {mistakes.predicted[k]}\n{100 * mistakes.probability[k]:.1f} %"
            head = _plain(f"{panel.label}, seed {panel.run.seed}", 18) + "\n" if k == 0 else ""
            axis.set_title(head + told, fontsize=7, loc="left")
    return figure


def _lengths(findings: Findings) -> Figure | None:
    metric, found = by_length(findings)
    if not found:
        return None
    figure, (axis,) = _new(7, 4.2)
    for one in found:
        y = in_reach(one.y)
        low, high = y - in_reach(one.low), in_reach(one.high) - y
        axis.errorbar(one.x, y, yerr=np.nan_to_num([low, high]), capsize=3, **_style(one))
    axis.set_xlabel("digits read")
    axis.set_ylabel(findings.metric(metric).words)
    return _with_legend(figure, axis)


def _swept(findings: Findings) -> Figure | None:
    found = [(sweep, lines) for sweep, lines in swept(findings) if any(one.x for one in lines)]
    if not found:
        return None
    figure, axes = _new(7, 4.2 * len(found), len(found), 1)
    for axis, (sweep, lines) in zip(axes, found, strict=True):
        for one in lines[:MOST_PANELS]:
            y = in_reach(one.y)
            low, high = y - in_reach(one.low), in_reach(one.high) - y
            axis.errorbar(one.x, y, yerr=np.nan_to_num([low, high]), capsize=3, **_style(one))
        if sweep.log:
            axis.set_xscale("log")
        axis.set_xlabel(sweep.name)
        axis.set_ylabel(findings.primary_metric.words)
        _with_legend(figure, axis)
    return figure


def _tuned(view: View) -> Figure | None:
    study = view.study
    name, found = tried(study, view.labels)
    if not found or study.tuning is None:
        return None
    figure, (axis,) = _new(7, 4.2)
    for one in found:
        x, y = in_reach(one.x), in_reach(one.y)
        axis.plot(x, y, **_style(one))
        if one.chosen is not None:
            look = {**_style(one), "markersize": 12, "label": None}
            axis.plot(x[one.chosen], y[one.chosen], **look)
    if all(x > 0 for one in found for x in one.x):
        axis.set_xscale("log")
    axis.set_xlabel(f"{name.rpartition('.')[2]} (large: chosen)")
    axis.set_ylabel(view.findings.metric(study.tuning.metric).words)
    return _with_legend(figure, axis)


def _budget(view: View) -> Figure | None:
    found, tuning = budgets(view.findings, view.labels), view.study.tuning
    if not found or tuning is None:
        return None
    figure, (axis,) = _new(7, 4.2)
    for one in found:
        axis.plot(one.x, in_reach(one.y), **_style(one))
    axis.set_xlabel("candidates")
    axis.set_ylabel(f"expected best {view.findings.metric(tuning.metric).words}")
    return _with_legend(figure, axis)


def _gradients(study: StudyRecord, labels: Mapping[str, str]) -> Figure | None:
    found = gradients(study, labels)[:MOST_PANELS]
    if not found:
        return None
    figure, (axis,) = _new(7, 4.2)
    for panel, norms in found:
        t = np.arange(1, norms.shape[1] + 1)
        look = {
            "color": COLOURS[panel.style % 8],
            "marker": _MARKERS[panel.style % 8],
            "markevery": max(1, len(t) // 12),
        }
        axis.plot(t, np.where(norms[0] > 0, norms[0], np.nan), linestyle=":", **look)
        axis.plot(t, np.where(norms[1] > 0, norms[1], np.nan), label=_plain(panel.label, 40), **look)
    axis.set_yscale("log")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("t, the digit that was read (dotted: before the first step; solid: after the last)")
    axis.set_ylabel("|dL/dh(t)|")
    return _with_legend(figure, axis)


def _style(one: Series) -> dict[str, Any]:
    return {
        "color": COLOURS[one.style % 8], "linestyle": _DASHES[one.style % len(_DASHES)],
        "marker": _MARKERS[one.style % 8], "markersize": 5, "label": _plain(one.label, 40),
    }  # fmt: skip


def _with_legend(figure: Figure, axis: Axes) -> Figure:
    _tidy(axis)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _tidy(axis: Axes) -> None:
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
