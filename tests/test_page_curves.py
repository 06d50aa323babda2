"""The curves on the page: lines, means and bands are those of the records, thinned so that the page stays small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from paribus.findings.bands import band
from paribus.findings.claims import Verdict
from paribus.findings.findings import Findings
from paribus.records.record import Status, StudyRecord
from paribus.report.page.curves import curve_figures, drawn, most_points, thinned
from paribus.report.page.json import Columns
from paribus.report.page.page import page
from tests.test_page import Seen, in_the_plane, made, view_of


@pytest.mark.parametrize("n", [1, 2, 5, 299, 300, 301, 1000, 12345])
@pytest.mark.parametrize("most", [6, 40, 300])
def test_thinning_keeps_ends_and_extremes(n: int, most: int) -> None:
    y = np.random.default_rng(n).standard_normal(n)
    y[n // 3] = np.nan
    kept = thinned(y, y, most)
    assert len(kept) <= max(most, min(n, most))
    assert (np.diff(kept) > 0).all()
    assert {0, n - 1} <= set(kept.tolist())
    if np.isfinite(y).any():
        assert {int(np.nanargmin(y)), int(np.nanargmax(y))} <= set(kept.tolist())
    if n <= most:
        assert len(kept) == n


def test_thinning_keeps_the_extremes_of_a_bands_ends() -> None:
    rng = np.random.default_rng(1)
    low = rng.standard_normal(5000)
    high = low + rng.random(5000)
    high[1234], low[4321] = 50, -50  # each where the other end is like its neighbours
    kept = set(thinned(low, high, 100).tolist())
    assert {1234, 4321} <= kept


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_band_is_students_interval(n: int) -> None:
    rows = np.random.default_rng(n).standard_normal((n, 7))
    mean, low, high = band(rows)
    expected = student.interval(0.95, n - 1, loc=rows.mean(axis=0), scale=rows.std(axis=0, ddof=1) / np.sqrt(n))
    np.testing.assert_allclose([low, high], expected, rtol=1e-12)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-12)
    rows[0, 3], rows[1, 4] = np.inf, np.nan
    for one in band(rows):
        assert np.isnan(one).tolist() == [False] * 3 + [True] * 2 + [False] * 2


def figure_of(study: StudyRecord, metric: str = "test_loss", most: int = 300) -> tuple[list[dict[str, Any]], Columns]:
    columns = Columns()
    (figure,) = [f for f in curve_figures(Findings.of(study), view_of(study).labels, columns, most) if f.name == metric]
    return figure.data, columns


def test_curves_are_the_records() -> None:
    study = made(["adam", "sgd"], seeds=3)
    traces, columns = figure_of(study)
    lines = [one for one in traces if one["part"] == "seed"]
    assert [one["name"] for one in lines] == [f"{arm}, seed {seed}" for arm in ("adam", "sgd") for seed in range(3)]
    for line, run in zip(lines, (run for arm in study.arms for run in arm.runs), strict=True):
        np.testing.assert_allclose(line["y"], run.curve["test_loss"], rtol=1e-5)
        assert columns.columns[line["x"]] == run.curve["epoch"].tolist()
    stacked = np.stack([run.curve["test_loss"] for run in study.arms[1].runs])
    told = {one["part"]: one["y"] for one in traces if one["arm"] == 1 and one["part"] != "seed"}
    for part, expected in zip(("mean", "low", "band"), band(stacked), strict=True):
        np.testing.assert_allclose(told[part], expected, rtol=1e-5)
    assert len(columns.columns) == 1  # kept once


@pytest.mark.parametrize("evaluations", [5, 12])
def test_a_run_that_is_not_done_is_drawn_but_in_no_mean(evaluations: int) -> None:
    study = made(["adam"], seeds=3)
    columns = {name: column[:evaluations] for name, column in study.arms[0].runs[1].curve.items()}
    study.arms[0].runs[1] = replace(study.arms[0].runs[1], status=Status.DIVERGED, curve=columns)
    traces, _ = figure_of(study)
    assert [len(one["y"]) for one in traces if one["part"] == "seed"] == [12, evaluations, 12]
    (mean,) = [one for one in traces if one["part"] == "mean"]
    assert mean["name"] == "adam, mean of 2 seeds"
    expected = np.mean([study.arms[0].runs[k].curve["test_loss"] for k in (0, 2)], axis=0)
    np.testing.assert_allclose(mean["y"], expected, rtol=1e-5)


def test_fifty_lines_of_many_runs_and_all_in_the_bands() -> None:
    study = made(["adam", "sgd", "rmsprop"], seeds=30)
    traces, _ = figure_of(study)
    assert sum(one["part"] == "seed" for one in traces) == 50
    assert {name for name, _ in drawn(study.arms)} == {arm.name for arm in study.arms}
    assert "mean of 30 seeds" in str(traces)
    assert "The first 50 of 90 runs are drawn as lines" in page([Findings.of(study)])


def test_what_is_not_finite_is_null() -> None:
    study = made(["adam", "sgd"], seeds=2)
    for arm in study.arms:
        arm.runs[0].curve["test_loss"][[2, 5]] = np.nan, np.inf
    text = page([Findings.of(study)], [Verdict(id="C", claim="c", answer="not shown", reason="r")])
    (payload,) = Seen(text).payloads()
    lines = [one["y"] for one in payload["figures"]["test_loss"]["data"] if one["part"] == "seed"]
    assert [lines[0][k] for k in (2, 5)] == [None, None]
    assert None not in lines[1]


def test_a_page_of_a_hundred_runs_is_small() -> None:
    study = made([f"arm {i}" for i in range(4)], seeds=25, evaluations=150, pictured=in_the_plane)
    text = page([Findings.of(study)])
    assert len(text.encode()) <= 8e6
    assert text.count("* plotly.js v") == 1


def test_a_page_of_many_studies_is_small_too() -> None:
    studies = [made([f"arm {i}" for i in range(10)], seeds=10, evaluations=400, name=f"{i}") for i in range(12)]
    found = list(map(Findings.of, studies))
    assert most_points(found) < 100
    assert most_points(found[:1]) == 300
    assert len(page(found).encode()) <= 8e6
