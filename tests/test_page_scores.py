"""`paribus report` of scores from elsewhere: the same page, with what scores have, and nothing that they have not."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

import paribus as library
from paribus.findings.judge import judge
from paribus.report.page.page import page
from tests.test_cli import paribus
from tests.test_judge import FACTORS, GOOD, LONG, ROWS, WIDE, with_gaps, written
from tests.test_judge_folders import events


def payload(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="s0-data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    told: dict[str, Any] = json.loads(found[1])
    return told


def test_a_table_has_a_page_with_effects_first(tmp_path: Path) -> None:
    written(tmp_path, FACTORS)
    done = paribus(
        tmp_path, "report", "scores.csv", "--arm", "optimizer,dropout", "--margin", "0.02", "--title", "Mine"
    )
    assert done.stdout == "written: scores.html\n"
    html = (tmp_path / "scores.html").read_text(encoding="utf-8")
    assert "<h1>Mine</h1>" in html
    assert html.index("an arm is each of optimizer x dropout") < html.index("optimizer=adam is higher than")
    assert html.index("Each factor, over all values of the others") < html.index(">Each pair<")
    assert "paribus report scores.csv --arm optimizer,dropout" in html
    assert "Time and memory" not in html
    assert list(payload(html)["figures"]) == ["effects0", "effects1", "differences", "scores"]


def test_every_score_is_drawn_and_those_of_a_seed_are_joined(tmp_path: Path) -> None:
    drawn = payload(page([judge(written(tmp_path, LONG))]))["figures"]["scores"]["data"]
    joined, old, new, *means = drawn
    assert old["x"] == [m for arm, _, m in ROWS if arm == "old"]
    assert new["x"] == [m for arm, _, m in ROWS if arm == "new"]
    assert joined["x"][:6] == [old["x"][0], new["x"][0], None, old["x"][1], new["x"][1], None]
    assert joined["y"][:3] == [2, 1, None]
    assert [one["x"][0] for one in means] == pytest.approx([sum(of["x"]) / 8 for of in (old, new)], abs=1e-6)
    unpaired = page([judge(written(tmp_path, LONG), unpaired=True)])
    assert [one["mode"] for one in payload(unpaired)["figures"]["scores"]["data"]] == ["markers"] * 4
    assert "p is of the permutation test" in unpaired
    assert "sign-flip" not in unpaired.partition("<script")[0]
    assert "8 and 8 runs, unpaired" in unpaired


def test_the_downloads_are_the_scores(tmp_path: Path) -> None:
    told = payload(page([judge(with_gaps(tmp_path, 2))]))["csv"]
    scores = list(csv.DictReader(io.StringIO(told["runs"])))
    assert [one["m"] for one in scores[:3]] == ["", "", "0.602"]
    assert [one["seed"] for one in scores[:3]] == ["0", "1", "2"]
    again = judge(written(tmp_path, told["runs"]), missing="worst", lower=False)
    assert again.found == judge(with_gaps(tmp_path, 2), missing="worst", lower=False).found
    assert len(list(csv.DictReader(io.StringIO(told["differences"])))) == 1


def test_a_folder_of_runs_has_a_page(tmp_path: Path) -> None:
    events(tmp_path / "logs")
    done = paribus(tmp_path, "report", "logs", "--metric", "acc")
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "logs" / "report.html").read_text(encoding="utf-8")
    assert "gated is higher than base in acc" in html
    assert "of each run the last step counts" in html
    assert library.judge(tmp_path / "logs", "acc").report(tmp_path / "mine.html").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("scores.csv", "scores.csv"), "scores are reported one by one"),
        (("scores.csv", "--files", "out"), "--files is for studies"),
        (("scores.csv", "--metric", "f1"), "--metric f1 is no column of scores.csv"),
        ((".", "--metric", "loss"), "--metric is for scores, and a study has its own: . holds no scores"),
        (("nothing.csv",), "nothing.csv cannot be read"),
        ((".",), "holds no study"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    written(tmp_path, GOOD)
    done = paribus(tmp_path, "report", *words)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_wide_table_is_named_as_it_was_asked(tmp_path: Path) -> None:
    html = page([judge(written(tmp_path, WIDE), "seconds", lower=True)])
    assert "old is lower than new in seconds" in html
    assert "which is better" in html
