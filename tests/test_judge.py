"""Scores from anywhere: judged like a study, and one clear answer to every fault of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paribus.config.overrides import SettingsError
from paribus.findings.differences import differences
from paribus.findings.judge import judge
from tests.test_cli import paribus

GOOD = "arm,seed,accuracy,loss\n" + "".join(
    f"{arm},{seed},{0.9 + shift + 0.001 * (seed * 7 % 5)},{0.3 - shift}\n"
    for arm, shift in (("a", 0.02), ("b", 0.0))
    for seed in range(8)
)


def written(folder: Path, text: str) -> Path:
    path = folder / "scores.csv"
    path.write_text(text)
    return path


def test_scores_are_judged_as_a_study_is(tmp_path: Path) -> None:
    found = judge(written(tmp_path, GOOD), None, None, None)
    values = found.scores.values["accuracy"]
    (theirs,) = differences(values, "accuracy")
    assert found.found[0] == theirs
    assert theirs.verdict == "a higher"
    assert found.found[1].metric == "loss"
    assert found.found[1].verdict is None


def test_rows_in_any_order_are_paired_by_seed(tmp_path: Path) -> None:
    head, *rows = GOOD.splitlines()
    shuffled = "\n".join([head, *rows[::-1]])
    one, other = (judge(written(tmp_path, text), None, None, None) for text in (GOOD, shuffled))
    assert {(d.mean, d.p) for d in one.found} == {(-(d.mean or 0), d.p) for d in other.found}


def test_missing_scores_are_counted_and_said(tmp_path: Path) -> None:
    rows = "".join(
        f"a,{seed},0.9\nb,{seed},{text}\n" for seed, text in enumerate(["0.8", "", "nan", "0.7", "NA", "0.6"])
    )
    found = judge(written(tmp_path, f"arm,seed,m\n{rows}c,7,0.5\n"), None, None, None)
    assert found.warnings == [
        "a: 1 of 7 seeds have no m; its differences are over the others",
        "b: 4 of 7 seeds have no m; its differences are over the others",
        "c: 6 of 7 seeds have no m; its differences are over the others",
    ]
    assert [one.pairs for one in found.found] == [3, 0, 0]


def test_the_command_prints_and_writes_json(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    shown = paribus(tmp_path, "judge", "scores.csv", "--margin", "0.001")
    assert shown.returncode == 0
    assert "a higher" in shown.stdout
    found = json.loads(paribus(tmp_path, "judge", "scores.csv", "--json", "--metric", "loss").stdout)
    assert found["study"]["primary_metric"] == "loss"
    assert found["differences"][0]["verdict"] == "b higher"


BAD = {
    "empty": ("", "is empty: write the columns"),
    "no rows": ("arm,seed,m\n", "has no rows below its header"),
    "no arm": ("seed,m\n1,2\n", "has no column 'arm'"),
    "no metric": ("arm,seed\na,1\n", "has no metric"),
    "column twice": ("arm,seed,m,m\na,1,2,3\n", "names a column twice"),
    "duplicate row": ("arm,seed,m\na,1,2\na,1,3\nb,1,2\n", "line 3: arm 'a' with seed 1 stands there already"),
    "text": ("arm,seed,m\na,1,high\nb,1,2\n", "line 2: m='high' is no number"),
    "infinite": ("arm,seed,m\na,1,inf\nb,1,2\n", "line 2: m='inf' is no number"),
    "short row": ("arm,seed,m\na,1\nb,1,2\n", "line 2: 3 columns are named, this row has another number"),
    "long row": ("arm,seed,m\na,1,2,3\nb,1,2\n", "line 2: 3 columns are named"),
    "no seed": ("arm,seed,m\na,,2\nb,1,2\n", "line 2: every row has an arm and a seed"),
    "one arm": ("arm,seed,m\na,1,2\na,2,2\n", "has one arm, 'a': a comparison needs two"),
    "no common seeds": ("arm,seed,m\na,1,2\nb,2,2\n", "'a' and 'b' have no seed in common"),
    "binary": ("arm,seed,m\na,1,\x00\n", ""),
}  # fmt: skip


@pytest.mark.parametrize(("text", "answer"), BAD.values(), ids=BAD)
def test_a_faulty_file_has_one_clear_answer(tmp_path: Path, text: str, answer: str) -> None:
    with pytest.raises(SettingsError) as caught:
        judge(written(tmp_path, text), None, None, None)
    assert len(caught.value.mistakes) == 1
    assert answer in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "baseline", "margin", "answer"),
    [
        ("acuracy", None, None, "did you mean 'accuracy'?"),
        (None, "c", None, "--baseline c is no arm"),
        (None, None, -1.0, "--margin -1 is not allowed"),
        (None, None, float("nan"), "--margin nan is not allowed"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path: Path, metric: str | None, baseline: str | None, margin: float | None, answer: str
) -> None:
    with pytest.raises(SettingsError, match=answer.replace("?", r"\?")):
        judge(written(tmp_path, GOOD), metric, baseline, margin)


def test_a_hundred_mistakes_are_not_a_hundred_lines(tmp_path: Path) -> None:
    rows = "".join(f"a,{i},x\n" for i in range(100))
    with pytest.raises(SettingsError, match="and 90 more"):
        judge(written(tmp_path, f"arm,seed,m\n{rows}"), None, None, None)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    done = paribus(tmp_path, "judge", "nothing.csv")
    assert done.returncode == 2
    assert "nothing.csv cannot be read" in done.stderr
    (tmp_path / "b.csv").write_bytes(b"arm,seed,m\n\xff\xfe,1,2\n")
    assert "is not a CSV file" in paribus(tmp_path, "judge", "b.csv").stderr


def test_scores_are_told_in_their_own_unit(tmp_path: Path) -> None:
    rows = "".join(f"{arm},{seed},{91 + 2 * (arm == 'a') + seed % 3}\n" for arm in "ab" for seed in range(8))
    written(tmp_path, f"arm,seed,accuracy[/x]\n{rows}")
    shown = paribus(tmp_path, "judge", "scores.csv").stdout
    assert "+2.00000" in shown
    assert "accuracy[/x]" in shown


@pytest.mark.parametrize("text", ["arm,seed,m,\na,1,2,3\nb,1,2,3\n", "arm,seed,m\na,1,1_0\nb,1,2\n"])
def test_what_is_probably_a_slip_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        judge(written(tmp_path, text), None, None, None)


def test_seeds_may_be_any_text(tmp_path: Path) -> None:
    rows = "".join(f"{arm},{seed},1\n" for arm in "ab" for seed in ("²", "10", "9", "x"))
    found = judge(written(tmp_path, f"arm,seed,m\n{rows}"), None, None, None)
    assert found.scores.seeds[:2] == ["9", "10"]
