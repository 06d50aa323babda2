"""Scores from anywhere: judged like a study, and one clear answer to every fault of a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import paribus as library
from paribus.config.overrides import SettingsError
from paribus.findings.anytime import anytime_p
from paribus.findings.differences import differences
from paribus.findings.judge import judge
from paribus.findings.unpaired import unpaired_differences
from tests.test_cli import paribus

GOOD = "arm,seed,accuracy,loss\n" + "".join(
    f"{arm},{seed},{0.9 + shift + 0.001 * (seed * 7 % 5)},{0.3 - shift}\n"
    for arm, shift in (("a", 0.02), ("b", 0.0))
    for seed in range(8)
)


def written(folder: Path, text: str) -> Path:
    path = folder / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_scores_are_judged_as_a_study_is(tmp_path: Path) -> None:
    found = judge(written(tmp_path, GOOD))
    values = found.scores.values["accuracy"]
    (theirs,) = differences(values, "accuracy")
    assert found.found[0] == theirs
    assert theirs.verdict == "a higher"
    assert found.found[1].metric == "loss"
    assert found.found[1].verdict is None


def test_rows_in_any_order_are_paired_by_seed(tmp_path: Path) -> None:
    head, *rows = GOOD.splitlines()
    shuffled = "\n".join([head, *rows[::-1]])
    one, other = (judge(written(tmp_path, text)) for text in (GOOD, shuffled))
    assert {(d.mean, d.p) for d in one.found} == {(-(d.mean or 0), d.p) for d in other.found}


def test_missing_scores_are_counted_and_said(tmp_path: Path) -> None:
    rows = "".join(
        f"a,{seed},0.9\nb,{seed},{text}\n" for seed, text in enumerate(["0.8", "", "nan", "0.7", "NA", "0.6"])
    )
    found = judge(written(tmp_path, f"arm,seed,m\n{rows}c,7,0.5\n"))
    assert found.warnings == [
        "a: 1 of 7 seeds has no m; its mean is over the others",
        "b: 4 of 7 seeds have no m; its mean is over the others",
        "c: 6 of 7 seeds have no m; its mean is over the others",
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
        judge(written(tmp_path, text))
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
        judge(written(tmp_path, GOOD), metric, baseline=baseline, margin=margin)


def test_a_hundred_mistakes_are_not_a_hundred_lines(tmp_path: Path) -> None:
    rows = "".join(f"a,{i},x\n" for i in range(100)) + "b,0,1\n"
    with pytest.raises(SettingsError, match="and 90 more rows are like these"):
        judge(written(tmp_path, f"arm,seed,m\n{rows}"))


def test_several_mistakes_are_not_counted_as_such(tmp_path: Path) -> None:
    written(tmp_path, "arm,seed,m\n" + "".join(f"a,{i},x\n" for i in range(11)) + "b,0,1\n")
    told = paribus(tmp_path, "judge", "scores.csv").stderr
    assert told.startswith("paribus: scores.csv is not judged:\n  scores.csv, line 2: m='x' is no number")
    assert "and 1 more row is like these" in told
    assert "mistakes" not in told


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
        judge(written(tmp_path, text))


def test_seeds_may_be_any_text(tmp_path: Path) -> None:
    rows = "".join(f"{arm},{seed},1\n" for arm in "ab" for seed in ("²", "10", "9", "x"))
    found = judge(written(tmp_path, f"arm,seed,m\n{rows}"))
    assert found.scores.seeds[:2] == ["9", "10"]


# --- scores that are missing ---


def with_gaps(tmp_path: Path, gaps: int, *, loss: bool = False) -> Path:
    """Arm a is better at every seed; it lacks its first scores."""
    sign = -1 if loss else 1
    rows = [f"a,{seed},{'' if seed < gaps else 0.5 + sign * (0.1 + 0.001 * seed)}" for seed in range(12)]
    rows += [f"b,{seed},{0.5 + 0.003 * (seed % 3)}" for seed in range(12)]
    return written(tmp_path, "arm,seed,m\n" + "\n".join(rows) + "\n")


def test_nobody_says_why_scores_are_missing(tmp_path: Path) -> None:
    (found,) = judge(with_gaps(tmp_path, 5)).found
    assert found.verdict == "not judged"
    assert found.note.startswith("5 of 12 seeds have no score of one arm, and nobody said why: --missing worst")


@pytest.mark.parametrize(
    ("gaps", "verdict"), [(0, "a higher"), (1, "a higher"), (6, "no difference shown"), (12, "b higher")]
)
def test_missing_scores_are_the_worst(tmp_path: Path, gaps: int, verdict: str) -> None:
    assert judge(with_gaps(tmp_path, gaps), missing="worst", lower=False).found[0].verdict == verdict
    mirrored = {"a higher": "b higher", "b higher": "a higher"}.get(verdict, verdict)
    assert judge(with_gaps(tmp_path, gaps, loss=True), missing="worst", lower=True).found[0].verdict == mirrored


def test_the_worst_has_to_be_said(tmp_path: Path) -> None:
    """Which way is better nobody knows of a column of a table: the reverse would praise the arm that lost its runs."""
    with pytest.raises(SettingsError, match="add --lower or --higher"):
        judge(with_gaps(tmp_path, 5), missing="worst")
    higher, lower = (judge(with_gaps(tmp_path, 5), missing="worst", lower=low).found[0].note for low in (False, True))
    assert "which counts as the worst, that is the lowest: judged by ranks of all 12" in higher
    assert "which counts as the worst, that is the highest" in lower


def test_which_way_is_better_is_said_of_one_metric_alone(tmp_path: Path) -> None:
    table = "arm,seed,loss,accuracy\n" + "".join(
        f"{arm},{seed},{'' if arm == 'a' and seed < 5 else seed / 9},{'' if arm == 'a' and seed < 5 else seed / 7}\n"
        for arm in "ab" for seed in range(12)
    )  # fmt: skip
    loss, accuracy = judge(written(tmp_path, table), missing="worst", lower=True).found
    assert (loss.by_ranks, accuracy.by_ranks, accuracy.p) == (True, False, None)


def test_scores_that_are_missing_at_random_are_left_out(tmp_path: Path) -> None:
    (found,) = judge(with_gaps(tmp_path, 5), missing="at-random").found
    assert (found.verdict, found.pairs, found.by_ranks) == ("a higher", 7, False)
    shown = paribus(tmp_path, "judge", "scores.csv", "--missing", "at-random")
    assert shown.returncode == 0
    assert "a higher" in shown.stdout
    assert "not judged" in paribus(tmp_path, "judge", "scores.csv").stdout
    refused = paribus(tmp_path, "judge", "scores.csv", "--missing", "best")
    assert refused.returncode == 2
    assert "--missing best is not allowed" in refused.stderr


def test_scores_that_both_arms_lack_are_no_pair(tmp_path: Path) -> None:
    text = with_gaps(tmp_path, 0).read_text().splitlines()
    kept = [line for line in text if line.split(",")[1] not in ("3", "4")]
    extra = [f"c,{seed},0.4{seed}" for seed in range(12)]
    found = judge(written(tmp_path, "\n".join([*kept, *extra]) + "\n")).found
    verdicts = {(one.a, one.b): one.verdict for one in found}
    assert verdicts == {("a", "b"): "a higher", ("a", "c"): "not judged", ("b", "c"): "not judged"}


@pytest.mark.parametrize(("arms", "seeds", "told"), [(2, 5, "1 pair needs 6"), (3, 6, "3 pairs need 7"), (2, 6, None)])
def test_too_few_seeds_are_said(tmp_path: Path, arms: int, seeds: int, told: str | None) -> None:
    rows = [f"{'abc'[arm]},{seed},{arm + seed / 7}" for arm in range(arms) for seed in range(seeds)]
    found = judge(written(tmp_path, "\n".join(["arm,seed,m", *rows]) + "\n"))
    assert [one.startswith(told or "") for one in found.warnings] == [True] * (told is not None)
    assert told is None or found.warnings[0].endswith(f"; there are {seeds}")


# --- tables of other shapes ---

ROWS = [
    (arm, seed, round(0.9 + 0.01 * (arm == "new") + 0.001 * (seed * 7 % 5), 4))
    for arm in ("old", "new")
    for seed in range(8)
]
LONG = "arm,seed,m\n" + "".join(f"{arm},{seed},{m}\n" for arm, seed, m in ROWS)
WIDE = "seed,old,new\n" + "".join(f"{seed},{ROWS[seed][2]},{ROWS[8 + seed][2]}\n" for seed in range(8))
WANDB = "Name,State,Created,Runtime,idea,seed,lr,m\n" + "".join(
    f"{arm}-{seed},finished,2026,12,{arm},{seed},0.003,{m}\n" for arm, seed, m in ROWS
)
CHART = (
    "Step,"
    + ",".join(f"{arm}-seed{seed} - m,{arm}-seed{seed} - m__MIN" for arm, seed, _ in ROWS)
    + "\n0,"
    + ",".join("0.5,0.5" for _ in ROWS)
    + "\n1,"
    + ",".join(f"{m},{m}" for _, _, m in ROWS)
    + "\n"
)
EPOCHS = "arm,seed,epoch,m,val_loss\n" + "".join(
    f"{arm},{seed},{epoch},{m if epoch == at else 0.5},{abs(epoch - at)}\n"
    for at in (2,)
    for arm, seed, m in ROWS
    for epoch in (2, 0, 1, 3)
)
TRANSPOSED = (
    "arm,"
    + ",".join(f"seed{seed}" for seed in range(8))
    + "\n"
    + "".join(f"{arm},{','.join(str(m) for one, _, m in ROWS if one == arm)}\n" for arm in ("old", "new"))
)
EPOCH_COLUMNS = "arm,seed,epoch1,epoch2,epoch10\n" + "".join(f"{arm},{seed},0.1,0.2,{m}\n" for arm, seed, m in ROWS)
TWO_CURVES = "arm,seed,m_epoch1,m_epoch2,val_loss_epoch1,val_loss_epoch2\n" + "".join(
    f"{arm},{seed},{m},0.2,0.1,0.3\n" for arm, seed, m in ROWS
)
SHAPES: dict[str, tuple[str, dict[str, Any], str]] = {
    "long": (LONG, {}, ""),
    "semicolons": (LONG.replace(",", ";"), {}, "separated by ';'"),
    "decimal commas": (LONG.replace(",", ";").replace(".", ","), {}, "decimals stand after a comma"),
    "tabs": (LONG.replace(",", "\t"), {}, "separated by a tab"),
    "a byte order mark": ("\ufeff" + LONG, {}, ""),
    "an index": ("\n".join(f"{i - 1 if i else ''},{line}" for i, line in enumerate(LONG.splitlines())), {}, "counts the rows"),
    "seeds as they come": (LONG.replace("new,3,", "new,3.0,").replace("old,4,", "old,04,"), {}, "04 is 4"),
    "words": (LONG.replace("\n", ",fine\n").replace("m,fine", "m,notes"), {}, "left out: notes (words)"),
    "other names": (LONG.replace("arm,seed", "idea,run"), {"arm": ("idea",), "seed": "run"}, ""),
    "wide": (WIDE, {"metric": "m"}, "a column for each arm: old, new; scores are paired by 'seed'"),
    "capitals": (LONG.replace("arm,seed", "Arm,SEED"), {}, "'Arm' is taken for 'arm'"),
    "wide, as asked for": (WIDE.replace("old", "loss", 1), {"metric": "m", "wide": True}, "loss, new"),
    "wide, no seeds": ("\n".join(line.split(",", 1)[1] for line in WIDE.splitlines()), {"metric": "m"}, "by their row"),
    "W&B's runs": (WANDB, {}, "'idea' is taken for the arm"),
    "W&B's chart": (CHART, {"last": True}, "run old-seed0 is taken for arm 'old', seed 0"),
    "a column for each seed": (TRANSPOSED, {"metric": "m"}, "a row for each arm and a column for each seed: seed0 is taken for seed 0"),
    "seeds alone": (TRANSPOSED.replace("seed", ""), {"metric": "m"}, "a column for each seed: 0 is taken for seed 0"),
    "a column for each epoch": (EPOCH_COLUMNS, {"metric": "m", "last": True}, "a column for each epoch, 1 to 10, of m"),
    "several metrics by epoch": (TWO_CURVES, {"metric": "m", "best": "val_loss"}, "1 to 2, of m, val_loss"),
    "the last epoch alone": (
        "arm,seed,epoch,m\n" + "".join(f"{arm},{seed},{20 + seed},{m}\n" for arm, seed, m in ROWS), {}, "left out: epoch (one row a run)",
    ),
    "epochs, the best": (EPOCHS, {"best": "val_loss"}, "the lowest val_loss counts"),
    "epochs, the last": (
        EPOCHS.replace(",2,0.5,", ",9,0.5,").replace(",2,0.9", ",9,0.9"), {"last": True}, "the last epoch counts"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "told"), SHAPES.values(), ids=SHAPES)
def test_a_table_of_any_shape_gives_what_it_holds(
    tmp_path: Path, text: str, options: dict[str, Any], told: str
) -> None:
    plain = judge(written(tmp_path, LONG)).found[0]
    judged = judge(written(tmp_path, text), **options)
    found = next(one for one in judged.found if one.metric == "m")
    assert (found.a, found.b, found.pairs, found.verdict) == (
        "loss" if options.get("wide") else "old",
        "new",
        8,
        "b higher",
    )
    assert (found.mean, found.p) == (plain.mean, plain.p)
    assert any(told in line for line in judged.scores.taken) or not told


def test_several_columns_make_an_arm(tmp_path: Path) -> None:
    rows = [(depth, arm, seed, m + 0.1 * (depth == "deep")) for depth in ("flat", "deep") for arm, seed, m in ROWS]
    text = "arm,depth,seed,m\n" + "".join(f"{arm},{depth},{seed},{m}\n" for depth, arm, seed, m in rows)
    judged = judge(written(tmp_path, text))
    assert list(judged.scores.values["m"]) == ["old flat", "new flat", "old deep", "new deep"]
    assert "an arm is each of arm x depth" in judged.scores.taken
    asked = judge(written(tmp_path, text), arm=("depth", "arm"))
    assert list(asked.scores.values["m"]) == ["flat old", "flat new", "deep old", "deep new"]


# --- columns that together make an arm ---

FACTORS = "optimizer,dropout,seed,m\n" + "".join(
    f"{o},{d},{s},{0.5 + 0.1 * (o == 'adam') + 0.05 * (o == 'adam') * (d == '0.5') + 0.001 * (s * 7 % 5)}\n"
    for o in ("adam", "sgd") for d in ("0.0", "0.5") for s in range(8)
)  # fmt: skip


def test_each_column_of_a_full_grid_has_its_effect(tmp_path: Path) -> None:
    path = written(tmp_path, FACTORS)
    found = judge(path, arm=("optimizer", "dropout"))
    assert found.scores.arms == ["adam dropout=0.0", "adam dropout=0.5", "sgd dropout=0.0", "sgd dropout=0.5"]
    told = [(one.factors, one.difference.a, one.difference.b, one.difference.verdict) for one in found.effects]
    assert told[:2] == [
        (("optimizer",), "optimizer=adam", "optimizer=sgd", "a higher"),
        (("dropout",), "dropout=0.0", "dropout=0.5", "b higher"),
    ]
    assert [one.difference.mean for one in found.effects] == pytest.approx([0.125, -0.025, 0.05], abs=1e-9)
    shown = paribus(tmp_path, "judge", "scores.csv", "--arm", "optimizer,dropout").stdout
    assert (
        0
        < shown.index("Each factor, over all values of the others")
        < shown.index("They interact")
        < shown.index("Each pair")
    )
    told = json.loads(paribus(tmp_path, "judge", "scores.csv", "--arm", "optimizer,dropout", "--json").stdout)
    assert [one["kind"] for one in told["effects"]] == ["main effect", "main effect", "interaction"]
    assert told["study"]["factors"] == ["optimizer", "dropout"]
    frame = library.judge(path, arm=["optimizer", "dropout"]).effects()
    assert list(frame["mean"]) == [one.difference.mean for one in found.effects]


@pytest.mark.parametrize("what", ["a combination is missing", "unpaired", "one column"])
def test_where_columns_have_no_effects_pairs_stand_alone(tmp_path: Path, what: str) -> None:
    rows = [
        line for line in FACTORS.splitlines() if what != "a combination is missing" or not line.startswith("sgd,0.5")
    ]
    if what == "one column":
        rows = [line for line in rows if line.startswith("adam") or "optimizer" in line]
    found = judge(
        written(tmp_path, "\n".join(rows) + "\n"),
        arm=("dropout",) if what == "one column" else ("optimizer", "dropout"),
        unpaired=what == "unpaired",
    )
    assert found.effects == []
    why = {
        "a combination is missing": "not every combination of optimizer x dropout is there",
        "unpaired": "the scores are unpaired",
    }
    assert [one for one in found.warnings if "no effect" in one] == (
        [f"no effect of a factor is told, as {why[what]}: pairs of arms alone are"] if what in why else []
    )


@pytest.mark.parametrize("given", ["sgd dropout=0", "sgd dropout=0.0", "sgd 0", "sgd 0.00"])
def test_the_baseline_is_meant_by_its_numbers(tmp_path: Path, given: str) -> None:
    found = judge(written(tmp_path, FACTORS), arm=("optimizer", "dropout"), baseline=given)
    assert {one.b for one in found.found} == {"sgd dropout=0.0"}
    with pytest.raises(SettingsError, match="is no arm of"):
        judge(written(tmp_path, FACTORS), arm=("optimizer", "dropout"), baseline="sgd dropout=0.1")


UNCLEAR = {
    "epochs": (EPOCHS, {}, "arm 'old' with seed 0 has 4 rows, one for each epoch: --last takes the last one"),
    "best of what": (EPOCHS, {"best": "m"}, "--best m:lower or --best m:higher"),
    "best of nothing": (EPOCHS, {"best": "loss"}, "has no column 'loss'"),
    "no arm": ("Name,Created,State,idea,plan,seed,m\nx,1,finished,a,b,0,1\n", {}, "--arm NAME says which it is"),
    "no seed": (LONG.replace("seed", "run"), {}, "has no column 'seed'"),
    "another arm": (LONG, {"arm": ("amr",)}, "has no column 'amr'"),
    "chart": ("Step,first - m,second - m\n0,1,2\n1,2,3\n", {}, "the run 'first' names no arm and seed"),
    "a first column": (LONG.replace("arm", ""), {}, "its first column has no name"),
    "customers": ("customer,city,churn\n1,Basel,stayed\n2,Bern,left\n", {}, "has no column 'arm'"),
    "metrics for arms": ("seed,accuracy,loss\n0,.9,.1\n1,.8,.2\n", {}, "--arm NAME says which it is, or --wide"),
    "a setting for an arm": ("lr,seed,mine\n0.1,0,1\n0.2,0,2\n", {}, "--arm NAME says which it is"),
    "two ways of decimals": ("arm;seed;m\na;0;0,9\nb;0;0.8\n", {}, "like 0,9 and like 0.8"),
    "percent": ("arm,seed,m\na,0,90.1%\nb,0,91%\n", {}, "m='90.1%' is no number: write it without signs"),
    "several columns": ("arm,drop,seed,m\na,0,0,1\na,1,0,2\n", {}, "--arm NAME,NAME names several columns"),
    "epochs twice": (EPOCHS.replace("old,0,3,", "old,0,2,"), {"last": True}, "arm 'old' with seed 0 at epoch 2 stands there already"),
    "numbers for columns": ("arm,seed,1,2\na,0,1,2\nb,0,1,2\n", {}, "call them epoch1 and so on where they are epochs"),
    "columns of epochs": (EPOCH_COLUMNS, {}, "has 3 rows, one for each epoch: --last takes the last one"),
    "a seed twice": ("arm,seed0,seed00\na,0,1\nb,0,1\n", {}, "has two columns for one seed"),
    "pattern": (LONG, {"pattern": "{arm}"}, "is for folders of runs"),
    "unpaired and looked": (LONG, {"unpaired": True, "looked": True}, "--unpaired goes with neither"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "told"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_is_not_clear_is_asked_for(tmp_path: Path, text: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        judge(written(tmp_path, text), **options)
    assert len(caught.value.mistakes) == 1
    assert told in caught.value.mistakes[0]


def test_runs_that_did_not_finish_are_missing(tmp_path: Path) -> None:
    judged = judge(written(tmp_path, WANDB.replace("old-3,finished", "old-3,crashed")))
    assert "1 of 16 runs did not finish: their scores count as missing" in judged.scores.taken
    assert judged.scores.values["m"]["old"][3] is None
    assert judged.found[0].verdict == "not judged"


@pytest.mark.parametrize("sizes", [(8, 8), (5, 9), (3, 3), (30, 25)])
def test_unpaired_scores_are_judged_as_scipy_does(tmp_path: Path, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    x, y = (rng.standard_normal(size) + shift for size, shift in zip(sizes, (0, 2), strict=True))
    rows = [f"{arm},{one!r}" for arm, of in (("a", x.tolist()), ("b", y.tolist())) for one in of]
    (found,) = judge(written(tmp_path, "\n".join(["arm,m", *rows]) + "\n"), unpaired=True).found
    theirs = stats.ttest_ind(x, y, equal_var=False)
    assert found.mean == pytest.approx(x.mean() - y.mean())
    assert found.ci95 == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    if sum(sizes) < 20:
        exact = stats.permutation_test(
            (x, y), lambda a, b: abs(a.mean() - b.mean()), alternative="greater", n_resamples=np.inf
        )
        assert found.p == pytest.approx(exact.pvalue)
    assert found.verdict == ("too few seeds" if sizes == (3, 3) else "b higher")
    assert found.interval is not None
    assert (found.interval[1] < 0) == (found.verdict == "b higher")


def test_verdict_and_interval_of_unpaired_scores_say_the_same() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        arms = {"a": list(rng.standard_t(2, 6)), "b": list(rng.standard_t(2, 7) + 1.5)}
        (found,) = unpaired_differences(arms, "m")
        assert found.interval is not None
        assert (found.interval[0] > 0 or found.interval[1] < 0) == (found.verdict in ("a higher", "b higher"))


def test_scores_that_were_looked_at_are_judged_so(tmp_path: Path) -> None:
    (found,) = judge(written(tmp_path, LONG), looked=True).found
    assert "seeds were added as somebody saw fit, and judged by a test that allows it" in found.note
    assert found.p == anytime_p(np.full(8, -0.01))


def test_a_frame_is_a_table_too() -> None:
    frame = pd.DataFrame(ROWS, columns=["arm", "seed", "m"])
    for one in (frame, frame.set_index(["arm", "seed"]), frame.pivot(index="seed", columns="arm", values="m")):
        found = library.judge(one)
        assert set(found.differences().verdict) <= {"a higher", "b higher"}
        assert "higher" in str(found)
    assert library.judge(frame).judgement.found[0].mean == pytest.approx(-0.01)


@pytest.mark.parametrize(("text", "options", "told"), UNCLEAR.values(), ids=UNCLEAR)
def test_python_is_told_of_arguments(tmp_path: Path, text: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        library.judge(written(tmp_path, text), **options)
    assert "--" not in str(caught.value)


def test_python_is_told_which_argument(tmp_path: Path) -> None:
    for text, told in (
        (EPOCHS, "last=True takes the last one, best='METRIC' that with its best value"),
        (LONG.replace("seed", "run"), "seed='NAME' says which it is, and unpaired=True that"),
        (WIDE.replace("old", "loss"), "arm='NAME' says which it is, or wide=True that each column is an arm"),
    ):
        with pytest.raises(SettingsError) as caught:
            library.judge(written(tmp_path, text))
        assert told in str(caught.value)
    shown = library.judge(with_gaps(tmp_path, 5))
    note = shown.judgement.found[0].note
    assert "missing='worst' counts it as the worst (add lower=True where" in note
    assert "else lower=False), missing='at-random' leaves" in note
    assert "--" not in note + str(library.judge(written(tmp_path, GOOD)).taken)


def test_seeds_in_json_are_numbers_where_they_are(tmp_path: Path) -> None:
    written(tmp_path, LONG)
    assert json.loads(paribus(tmp_path, "judge", "scores.csv", "--json").stdout)["study"]["seeds"] == list(range(8))
    written(tmp_path, LONG.replace(",3,", ",three,"))
    assert "three" in json.loads(paribus(tmp_path, "judge", "scores.csv", "--json").stdout)["study"]["seeds"]


def test_standard_input_is_a_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "paribus", "judge", "-"],
        input=("\ufeff" + LONG).encode(),
        capture_output=True,
        cwd=tmp_path,
    )
    assert "new higher" in done.stdout.decode()
