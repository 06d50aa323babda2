"""Claims: a verdict moves with its evidence; the report's own are complete at both scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from paribus.config.overrides import SettingsError
from paribus.findings.claims import Verdict, combined, verdict, verdicts
from paribus.findings.differences import too_few
from paribus.records.claims import Claim, Condition
from paribus.records.record import ArmRecord, DatasetInfo, RunRecord, Status, StudyRecord, Target
from paribus.reproduction import PARTS, SCALES, files
from paribus.study.file import read_file
from paribus.study.reading import read
from paribus.study.runner import carry_out
from paribus.study.toml import as_toml

INFO = DatasetInfo(
    name="moons",
    fingerprint="f",
    pool="p",
    source="s",
    classes=2,
    input_shape=(2,),
    train=80,
    validation=0,
    test=20,
    overlap=0,
)


def study(
    arms: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], claims: Sequence[Claim] = (), target: str | None = None
) -> StudyRecord:
    """Arms of runs: of each metric a list of curves, one a seed."""
    made = []
    for name, metrics in arms.items():
        seeds = len(next(iter(metrics.values())))
        runs = []
        for seed in range(seeds):
            columns = {metric: np.array(curves[seed], dtype=float) for metric, curves in metrics.items()}
            rows = len(next(iter(columns.values())))
            steps = np.arange(1.0, rows + 1)
            curve = {"step": steps, "epoch": steps, "train_seconds": steps, "eval_seconds": steps, **columns}
            runs.append(
                RunRecord(
                    seed=seed,
                    status=Status.DONE,
                    error=None,
                    epochs=rows,
                    curve=curve,
                    task=INFO,
                    plan_hash="h",
                    attempt=1,
                    timed=True,
                )
            )
        made.append(ArmRecord(name, {"split": "fixed"}, runs))
    wanted = Target.parse(target) if target else None
    return StudyRecord(
        name="s",
        factors=[],
        seeds=list(range(len(made[0].runs))),
        primary_metric="test_accuracy",
        arms=made,
        named=True,
        target=wanted,
        claims=tuple(claims),
    )


def finals(*values: float) -> dict[str, list[list[float]]]:
    return {"test_accuracy": [[value] for value in values]}


NOISE = np.array([0.00, 0.01, -0.01, 0.005, -0.005, 0.002, -0.003])
LOW, HIGH = finals(*(0.80 + NOISE)), finals(*(0.90 + NOISE[::-1]))


def answer(condition: Condition, arms: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], **more: str) -> str:
    return verdict(Claim("C", "so it is", (condition,)), study(arms, **more)).answer


METRIC = "test_accuracy"
DIFFERENCE = Condition(METRIC, higher="a", lower="b")
ALIKE = Condition(METRIC, alike=("a", "b"), margin=0.02)
RATIO = Condition(METRIC, ratio=("a", "b"), between=(0.8, 0.95))
LEVEL = Condition(METRIC, arm="a", at_least=0.85)

EVIDENCE = {
    "a difference, shown": (DIFFERENCE, HIGH, LOW, "holds"),
    "a difference, the other way": (DIFFERENCE, LOW, HIGH, "does not hold"),
    "a difference, none": (DIFFERENCE, LOW, LOW, "does not hold"),
    "a difference, too noisy": (DIFFERENCE, finals(*(0.8 + 10 * NOISE)), finals(*(0.8 - 5 * NOISE)), "not shown"),
    "a difference of five seeds": (DIFFERENCE, finals(0.9, 0.91, 0.92, 0.9, 0.91), finals(0.8, 0.81, 0.82, 0.8, 0.8), "not shown"),
    "more than that": (Condition(METRIC, higher="a", lower="b", by=0.05), HIGH, LOW, "holds"),
    "not so much more": (Condition(METRIC, higher="a", lower="b", by=0.15), HIGH, LOW, "does not hold"),
    "alike": (ALIKE, LOW, finals(*(0.801 + NOISE)), "holds"),
    "not alike": (ALIKE, HIGH, LOW, "does not hold"),
    "alike, not shown": (ALIKE, finals(*(0.8 + 5 * NOISE)), finals(*(0.8 - 5 * NOISE)), "not shown"),
    "a ratio within": (RATIO, LOW, HIGH, "holds"),
    "a ratio outside": (RATIO, HIGH, LOW, "does not hold"),
    "a ratio, too wide": (RATIO, finals(*(0.80 + 16 * NOISE)), HIGH, "not shown"),
    "a level": (LEVEL, HIGH, LOW, "holds"),
    "a level, not reached": (LEVEL, LOW, HIGH, "does not hold"),
    "a level, at its edge": (LEVEL, finals(*(0.85 + NOISE)), HIGH, "not shown"),
    "a level from above": (Condition(METRIC, arm="a", at_most=0.85), LOW, HIGH, "holds"),
    "no such arm": (Condition(METRIC, higher="a", lower="c"), HIGH, LOW, "not tested at this scale"),
    "no such metric": (Condition("gpu_utilisation", higher="a", lower="b"), HIGH, LOW, "not tested at this scale"),
}  # fmt: skip


@pytest.mark.parametrize(("condition", "a", "b", "expected"), EVIDENCE.values(), ids=EVIDENCE)
def test_a_verdict_moves_with_its_evidence(
    condition: Condition,
    a: Mapping[str, Sequence[Sequence[float]]],
    b: Mapping[str, Sequence[Sequence[float]]],
    expected: str,
) -> None:
    assert answer(condition, {"a": a, "b": b}) == expected


def test_all_conditions_have_to_hold_and_one_refutes() -> None:
    arms = study({"a": HIGH, "b": LOW, "c": finals(*(0.9 + 8 * NOISE))})
    held, refuted, open_, absent = (
        Condition(METRIC, higher="a", lower="b"),
        Condition(METRIC, higher="b", lower="a"),
        Condition(METRIC, higher="a", lower="c"),
        Condition(METRIC, higher="a", lower="d"),
    )
    for conditions, expected in (
        ((held, held), "holds"),
        ((held, open_), "not shown"),
        ((held, open_, refuted), "does not hold"),
        ((held, absent), "not shown"),
        ((absent, absent), "not tested at this scale"),
    ):
        found = verdict(Claim("C", "", conditions), arms)
        assert found.answer == expected
    everything = verdict(Claim("C", "", (held, refuted, absent)), arms)
    assert [one.answer for one in everything.conditions] == ["supported", "refuted", "untested"]
    assert "not tested: there is no arm d" in verdict(Claim("C", "", (held, absent)), arms).reason
    assert "test accuracy %: “a” - “b” +10.00 (+" in verdict(Claim("C", "", (held,)), arms).reason


def test_refuting_by_any_of_many_takes_more() -> None:
    """The same evidence refutes alone, and among four conditions no longer."""
    alone = Condition(METRIC, higher="a", lower="b")
    edge = {"a": finals(*(0.8 + NOISE)), "b": finals(*(0.8 + 0.016 - NOISE))}
    assert answer(alone, edge) == "does not hold"
    many = Claim("C", "", (alone, *[Condition(METRIC, higher="b", lower="a")] * 3))
    assert verdict(many, study(edge)).answer == "not shown"


def test_a_run_that_never_reaches_its_target_is_later_than_any() -> None:
    quick = {"test_accuracy": [[0.5, 0.9, 0.9]] * 7}
    never = {"test_accuracy": [[0.5, 0.6, 0.7]] * 7}
    same = Condition("epochs_to_target", ratio=("a", "b"), between=(0.8, 1.25))
    later = Condition("epochs_to_target", higher="a", lower="b")
    target = "test_accuracy=0.85"
    assert answer(same, {"a": quick, "b": quick}, target=target) == "holds"
    assert answer(same, {"a": never, "b": quick}, target=target) == "does not hold"
    assert answer(later, {"a": never, "b": quick}, target=target) == "holds"
    assert answer(later, {"a": quick, "b": never}, target=target) == "does not hold"


SOONER = Condition("epochs_to_target", higher="a", lower="b")
LATER = Condition("epochs_to_target", higher="b", lower="a")
NEVER, AT_ONCE = [0.5, 0.6, 0.7], [0.5, 0.9, 0.9]


@pytest.mark.parametrize(
    "condition", [SOONER, LATER, Condition("epochs_to_target", ratio=("a", "b"), between=(0.8, 1.25))]
)
def test_as_many_that_never_reach_it_say_nothing(condition: Condition) -> None:
    a = {"test_accuracy": [NEVER] * 3 + [AT_ONCE] * 7}
    b = {"test_accuracy": [AT_ONCE] * 7 + [NEVER] * 3}
    assert answer(condition, {"a": a, "b": b}, target="test_accuracy=0.85") == "not shown"
    assert answer(condition, {"a": {"test_accuracy": [NEVER]}, "b": {"test_accuracy": [AT_ONCE]}},
                  target="test_accuracy=0.85") == "not shown"  # one seed  # fmt: skip


def test_a_level_that_some_runs_never_reach_is_not_shown() -> None:
    a = {"test_accuracy": [NEVER] * 4 + [AT_ONCE] * 6}
    level = Condition("epochs_to_target", arm="a", at_most=25.0)
    assert answer(level, {"a": a, "b": a}, target="test_accuracy=0.85") == "not shown"
    assert answer(level, {"a": {"test_accuracy": [AT_ONCE] * 6}, "b": a}, target="test_accuracy=0.85") == "holds"


def with_status(one: StudyRecord, arm: int, status: Status, seeds: Sequence[int]) -> StudyRecord:
    arms = list(one.arms)
    runs = [replace(run, status=status) if run.seed in seeds else run for run in arms[arm].runs]
    arms[arm] = replace(arms[arm], runs=runs)
    return replace(one, arms=arms)


def test_a_run_that_nobody_timed_is_no_run_that_never_reached_it() -> None:
    """What is not known of one seed is left out, and the others speak."""
    slow = {"test_accuracy": [[0.5, 0.5, 0.9]] * 8}
    both = study({"a": slow, "b": {"test_accuracy": [AT_ONCE] * 8}}, target="test_accuracy=0.85")
    first = both.arms[1]
    untimed = replace(first, runs=[replace(first.runs[0], timed=False), *first.runs[1:]])
    found = verdict(
        Claim("C", "", (Condition("seconds_to_target", higher="a", lower="b"),)),
        replace(both, arms=[both.arms[0], untimed]),
    )
    assert found.answer == "holds"
    assert "over 7 of 8 seeds" in found.reason


def test_a_run_that_failed_is_no_run_that_never_reached_it() -> None:
    both = study(
        {"a": {"test_accuracy": [AT_ONCE] * 7}, "b": {"test_accuracy": [AT_ONCE] * 7}}, target="test_accuracy=0.85"
    )
    failed = with_status(both, 1, Status.FAILED, range(7))
    assert verdict(Claim("C", "", (LATER,)), failed).answer == "not shown"


def test_runs_that_are_left_do_not_speak_for_those_that_diverged() -> None:
    both = study(
        {"a": finals(*[0.9 + 0.001 * k for k in range(12)]), "b": finals(*[0.8 + 0.002 * (k % 3) for k in range(12)])}
    )
    assert verdict(Claim("C", "", (DIFFERENCE,)), both).answer == "holds"
    some = verdict(Claim("C", "", (DIFFERENCE,)), with_status(both, 0, Status.DIVERGED, range(6)))
    assert some.answer == "not shown"
    assert "over 6 of 12 seeds" in some.reason


def test_likeness_is_judged_by_the_interval_that_is_shown() -> None:
    d = 0.01 * np.array([0.13, 0.5, 0.9, 1.3, 1.7, 0.9, 0.94])
    arms = {"a": finals(*(0.8 + d)), "b": finals(*[0.8] * 7)}
    (low, high) = verdict(Claim("C", "", (ALIKE,)), study(arms)).conditions[0].interval or (0, 0)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 6, np.mean(d), stats.sem(d)))
    for margin, expected in ((high + 1e-6, "holds"), (high - 1e-6, "not shown")):
        assert answer(Condition(METRIC, alike=("a", "b"), margin=margin), arms) == expected


def test_conditions_of_several_studies_count_together() -> None:
    edge = {"a": finals(*(0.8 + NOISE)), "b": finals(*(0.8 + 0.016 - NOISE))}
    one = study(edge, [Claim("C", "", (DIFFERENCE,))])
    assert [found.answer for found in verdicts(one)] == ["does not hold"]
    assert [found.answer for found in verdicts(one, one, one, one)] == ["not shown"]


def test_claims_of_several_studies_are_one() -> None:
    one, other, third, none = (
        Verdict("C", "c", answer, "because", study=name)  # type: ignore[arg-type]
        for name, answer in (
            ("x", "holds"),
            ("y", "does not hold"),
            ("z", "not shown"),
            ("w", "not tested at this scale"),
        )
    )
    for parts, expected in (
        ((one, one), "holds"),
        ((one, third), "not shown"),
        ((one, third, other), "does not hold"),
        ((one, none), "not shown"),
        ((none, none), "not tested at this scale"),
    ):
        (found,) = combined(parts)
        assert found.answer == expected
        assert found.reason == ". ".join(f"{part.study}: because" for part in parts)
    assert [one.id for one in combined([one, Verdict("D", "", "holds", ""), other])] == ["C", "D"]


# --- in a file, in a record ---


FILE = """
task = "moons"
seeds = 2
[settings]
epochs = 2
[[arms]]
name = "quick"
lr = 0.5
[[arms]]
name = "slow"
lr = 0.001
[[claims]]
id = "mine"
claim = "a larger rate is better: <b>always</b>"
[[claims.conditions]]
metric = "test_loss"
higher = "slow"
lower = "quick"
by = 0.1
"""


def test_claims_of_ones_own_go_into_the_record_and_back_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(FILE)
    carry_out(read_file(tmp_path / "s.toml", tmp_path / "s"))
    there = read(tmp_path / "s")
    (found,) = verdicts(there)
    assert (found.id, found.answer, found.study) == ("mine", "not shown", "s")
    (tmp_path / "t.toml").write_text(as_toml(there))
    assert read_file(tmp_path / "t.toml").claims == there.claims
    assert there.claims[0].conditions[0] == Condition("test_loss", higher="slow", lower="quick", by=0.1)


BAD = {
    "no arm": ('lower = "quick"', 'lower = "quik"', "claim mine speaks of 'quik', which is no arm: did you mean 'quick'?"),
    "no condition": ("[[claims.conditions]]", "[other]", "there is no key 'other'"),
    "no id": ('id = "mine"', "", 'a claim has an id and a claim: write id = "C1"'),
    "half a condition": ('lower = "quick"', "", "claim mine: a condition has one of these sets of keys"),
    "two kinds": ("by = 0.1", 'arm = "slow"', "claim mine: a condition has one of these sets of keys"),
    "a number in quotes": ("by = 0.1", 'by = "0.1"', "claim mine: by = '0.1' is not allowed: it is a number"),
    "a range upside down": ('higher = "slow"\nlower = "quick"\nby = 0.1', 'ratio = ["slow", "quick"]\nbetween = [50, 10]', "claim mine: between is two ratios, the lower first"),
    "three arms alike": ('higher = "slow"\nlower = "quick"\nby = 0.1', 'alike = ["slow", "quick", "slow"]\nmargin = 0.1', "claim mine: alike is a list of two"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), BAD.values(), ids=BAD)
def test_a_claim_that_is_none_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    (tmp_path / "s.toml").write_text(FILE.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        read_file(tmp_path / "s.toml")
    assert any(expected in mistake for mistake in caught.value.mistakes), caught.value.mistakes


def test_every_mistake_of_every_claim_is_told_at_once(tmp_path: Path) -> None:
    text = (
        FILE
        + """
[[claims]]
id = "yours"
claim = "c"
author = "me"
[[claims.conditions]]
metric = 3
hihger = "slow"
lower = 7
by = nan
[[claims.conditions]]
metric = "test_loss"
alike = "slow"
margin = 0.1
at_most = 1.0
[[claims]]
id = "ours"
claim = "c"
conditons = []
"""
    )
    (tmp_path / "s.toml").write_text(text.replace("by = 0.1", "by = true"))
    with pytest.raises(SettingsError) as caught:
        read_file(tmp_path / "s.toml")
    told = [mistake.partition("s.toml: ")[2] for mistake in caught.value.mistakes]
    assert {line.partition(" is not allowed")[0].partition(": did you")[0][:70] for line in told} == {
        "claim mine: by = True",
        "claim yours has no 'author': there is claim, conditions, id"[:70],
        'claim yours: a condition has a metric, which is text: write metric = "test_accuracy"'[:70],
        "claim yours: a condition has no 'hihger'",
        "claim yours: lower = 7",
        "claim yours: by = nan",
        "claim yours: a condition has one of these sets of keys: metric, by, hi",
        'claim yours: alike is a list of two arms, as in alike = ["one", "other"]'[:70],
        "claim ours has no 'conditons'",
        "claim ours has no conditions: write [[claims.conditions]] tables",
    }
    assert any("did you mean 'higher'?" in line for line in told)
    with pytest.raises(ValueError, match="one of these sets of keys"):
        Condition("test_loss", higher="a", arm="b")


# --- the source report's ---


@pytest.mark.parametrize("scale", SCALES)
def test_every_claim_of_the_report_has_a_study_at_each_scale(scale: str) -> None:
    paths = files(None, scale)
    asked = [read_file(path) for path in paths]
    ids = {claim.id.partition(",")[0] for request in asked for claim in request.claims}
    assert ids == {f"C{i}" for i in range(1, 13)}
    assert [path for part in PARTS for path in files(part, scale)] == paths
    counts = Counter(claim.id for request in asked for claim in request.claims for _ in claim.conditions)
    for path, request in zip(paths, asked, strict=True):
        for claim in request.claims:  # it could be refuted, if it were wrong
            assert not too_few(len(request.seeds), counts[claim.id]), (path, claim.id)
        reduced = path.parent.name != "full" and request.name not in ("C2", "C4")
        assert f"{scale} scale" in request.name if reduced else "scale" not in request.name
        if scale == "laptop":
            assert {arm.settings.task.name for arm in request.design.arms} <= {
                "moons",
                "circles",
                "blobs",
                "digits",
                "palindrome",
            }


def test_at_full_scale_the_settings_are_the_reports() -> None:
    by_name = {path.stem: read_file(path) for path in files(None, "full")}
    cnn = by_name["c6-c7"].design.arms[0].settings.flat()
    assert (cnn["task"], cnn["model.width"], cnn["batch_size"], cnn["epochs"], cnn["optimizer.lr"]) == (
        "cifar10",
        1.0,
        512,
        200,
        0.0001,
    )
    rates = {arm.settings.flat()["optimizer.lr"] for arm in by_name["c8-c9"].design.arms}
    assert rates == {0.01, 0.001, 0.0001, 0.00001}
    assert {str(arm.settings.schedule) for arm in by_name["c8-c9"].design.arms} == {"multistep:80+120:0.1", "multistep:80:0.1", "constant"}  # fmt: skip
    assert [arm.settings.batch_size for arm in by_name["c10"].design.arms] == [32, 64, 128, 256, 512, 1024]
    rnn = by_name["c12"].design.arms
    assert [arm.settings.flat()["task.length"] for arm in rnn] == [2, 3, 5, 8, 10, 15, 20, 30]
    assert rnn[0].settings.flat()["epochs"] == 50
