"""A study and scores in a notebook's cell: the answer first, numbers beside every drawing, nothing of the user's run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import paribus
from paribus.findings.compared import Difference
from paribus.records.metrics import metric_named
from paribus.report.notebook import MOST_ROWS, rows
from paribus.report.page.text import Pairs

VOID = {"circle", "line", "br"}


class Checked(HTMLParser):
    """Every element that is opened is closed, and what a reader of the page without eyes needs is there."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "th" and "scope" not in given:
            self.problems.append("a head without scope")
        if tag == "svg" and given.get("aria-hidden") != "true":
            self.problems.append("a drawing that is read out")
        if tag in ("script", "b") or any(name.startswith("on") for name in given):
            self.problems.append(f"{tag} {given}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.problems.append(f"<{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.problems.append(f"</{tag}> in {self.open}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def checked(html: str) -> str:
    """Its words, where nothing is wrong with it."""
    parser = Checked()
    parser.feed(html)
    assert (parser.problems, parser.open) == ([], [])
    return " ".join(" ".join(parser.words).split())


def test_a_study_says_its_answer_first_and_its_numbers(tmp_path: Path) -> None:
    study = paribus.compare("moons", lr=[0.001, 0.5], epochs=20, init="default", seeds=6, out=tmp_path / "s")
    html = study._repr_html_()
    said = checked(html)
    (found,) = study.findings.primary
    assert said.index("lr=0.5 is higher than lr=0.001 in test accuracy by") < said.index("Differences in test accuracy")
    assert said.index("Differences in test accuracy") < said.index("Results, mean")
    assert f"{100 * abs(found.mean):.1f} points" in said
    assert html.count("<svg") == 1
    assert "\x1b" not in html
    assert len(html) < 20_000


def test_scores_from_elsewhere_have_one_too(tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    rng = np.random.default_rng(0)
    lines = [
        f"{arm},{seed},{value + rng.normal():.3f}" for arm, value in (("<b>a</b>", 5), ("b", 1)) for seed in range(8)
    ]
    table.write_text("\n".join(["arm,seed,score", *lines]))
    said = checked(paribus.judge(table, lower=False)._repr_html_())
    assert "<b>a</b>" in said, "as text"
    assert "higher" in said


def pairs(found: list[Difference]) -> Pairs:
    return Pairs(found, {name: name for one in found for name in (one.a, one.b)}, metric_named("test_accuracy"), None)


@st.composite
def differences(draw: Any) -> Difference:
    mean = draw(st.none() | st.floats(-1, 1))
    half = draw(st.none() | st.floats(0, 1))
    interval = None if mean is None or half is None else (mean - half, mean + half)
    return Difference(metric="test_accuracy", a="a", b="b", pairs=6, mean=mean, ci95=None, interval=interval, p=0.5,
                      p_adjusted=0.5, verdict="no difference shown")  # fmt: skip


@given(st.lists(differences(), max_size=MOST_ROWS + 5))
def test_all_intervals_lie_on_one_axis_that_holds_0(found: list[Difference]) -> None:
    drawn = rows(pairs(found))
    assert len(drawn) == min(len(found), MOST_ROWS)
    assert len({row.zero for row in drawn}) <= 1
    for row, one in zip(drawn, found, strict=False):
        places = [place for place in (row.low, row.mean, row.high, row.zero) if place is not None]
        assert all(0 <= place <= 180 for place in places)
        if one.mean is not None and row.mean is not None:
            assert (row.mean - row.zero) * one.mean >= 0
        if row.low is not None and row.mean is not None and row.high is not None:
            assert row.low <= row.mean <= row.high


def test_it_has_no_style_sheet_and_no_script(tmp_path: Path) -> None:
    """Some viewers of notebooks take them away, and some refuse the whole cell."""
    html = paribus.train("moons", epochs=2, out=tmp_path / "s")._repr_html_()
    assert re.findall("<(?:script|style|link|img)", html) == []


def test_few_rows_however_many_arms(tmp_path: Path) -> None:
    rates = [0.01 * (1 + k) for k in range(MOST_ROWS + 5)]
    study = paribus.compare("moons", lr=rates, epochs=1, seeds=2, out=tmp_path / "s")
    assert "5 more arms: .table()" in checked(study._repr_html_())
