"""Claims: a verdict moves with its evidence; the report's own are complete at both scales."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from scipy import stats

from paribus.config.overrides import SettingsError
from paribus.findings.claims import Verdict, combined, verdict, verdicts
from paribus.findings.findings import Findings
from paribus.findings.power import too_few
from paribus.records.claims import Claim, Condition
from paribus.records.record import ArmRecord, DatasetInfo, RunRecord, Status, StudyRecord, Target
from paribus.reproduction import PARTS, SCALES, files
from paribus.study.file import read_file
from paribus.study.reading import read
from paribus.study.runner import carry_out
from paribus.study.toml import as_toml
from tests.helpers import ask

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
    "a difference, none": (DIFFERENCE, LOW, LOW, "not shown"),
    "a difference, too noisy": (DIFFERENCE, finals(*(0.8 + 10 * NOISE)), finals(*(0.8 - 5 * NOISE)), "not shown"),
    "a difference of five seeds": (DIFFERENCE, finals(0.9, 0.91, 0.92, 0.9, 0.91), finals(0.8, 0.81, 0.82, 0.8, 0.8), "not shown"),
    "more than that": (Condition(METRIC, higher="a", lower="b", by=0.05), HIGH, LOW, "holds"),
    "not so much more": (Condition(METRIC, higher="a", lower="b", by=0.15), HIGH, LOW, "does not hold"),
    "alike": (ALIKE, LOW, finals(*(0.801 + NOISE[::-1])), "holds"),
    "alike, without a spread": (ALIKE, LOW, finals(*(0.801 + NOISE)), "not shown"),
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
    as_quick = {"test_accuracy": [[0.5] * 10 + [0.9] * 4] * 3 + [[0.5] * 11 + [0.9] * 3] * 4}
    other = {"test_accuracy": [[0.5] * 11 + [0.9] * 3] * 3 + [[0.5] * 10 + [0.9] * 4] * 4}
    never = {"test_accuracy": [[0.5, 0.6, 0.7]] * 7}
    same = Condition("epochs_to_target", ratio=("a", "b"), between=(0.8, 1.25))
    later = Condition("epochs_to_target", higher="a", lower="b")
    target = "test_accuracy=0.85"
    assert answer(same, {"a": as_quick, "b": other}, target=target) == "holds"
    told = verdict(Claim("C", "", (same,)), study({"a": quick, "b": quick}, target=target))
    assert told.answer == "not shown"
    assert "all 7 seeds give the same" in told.reason
    soon = {"test_accuracy": [[0.5] * (4 + seed % 2) + [0.9] * (10 - seed % 2) for seed in range(7)]}
    assert answer(same, {"a": {"test_accuracy": [[0.5] * 14] * 7}, "b": soon}, target=target) == "does not hold"
    assert answer(later, {"a": never, "b": quick}, target=target) == "holds"
    assert answer(later, {"a": quick, "b": never}, target=target) == "does not hold"


@pytest.mark.parametrize(("bound", "found"), [(1.4, "does not hold"), (1.6, "not shown")])
def test_never_refutes_only_what_the_horizon_lies_beyond(bound: float, found: str) -> None:
    """One arm reaches it at epoch 19 to 21, the other not by epoch 30: later by half at least, or by 10."""
    some = [[0.5] * (18 + seed % 3) + [0.9] * (12 - seed % 3) for seed in range(9)]
    arms = {"a": {"test_accuracy": [[0.5] * 30] * 9}, "b": {"test_accuracy": some}}
    for condition in (
        Condition("epochs_to_target", ratio=("a", "b"), between=(0.1, bound)),
        Condition("epochs_to_target", ratio=("b", "a"), between=(1 / bound, 9.0)),
        Condition("epochs_to_target", alike=("a", "b"), margin=20 * (bound - 1)),
    ):
        assert answer(condition, arms, target="test_accuracy=0.85") == found


def test_of_what_is_not_above_0_there_is_no_ratio() -> None:
    none = finals(*(0.90 + NOISE[:-1]), 0.0)
    reason = verdict(Claim("C", "", (RATIO,)), study({"a": LOW, "b": none})).reason
    assert reason.endswith("1 of 7 seeds has a value that is not above 0, and no ratio")


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
    later = {"test_accuracy": [AT_ONCE] * 4 + [[0.5, 0.5, 0.9]] * 3}
    assert answer(level, {"a": later, "b": a}, target="test_accuracy=0.85") == "holds"
    assert answer(level, {"a": {"test_accuracy": [AT_ONCE] * 6}, "b": a}, target="test_accuracy=0.85") == "not shown"


def with_status(one: StudyRecord, arm: int, status: Status, seeds: Sequence[int]) -> StudyRecord:
    arms = list(one.arms)
    runs = [replace(run, status=status) if run.seed in seeds else run for run in arms[arm].runs]
    arms[arm] = replace(arms[arm], runs=runs)
    return replace(one, arms=arms)


def test_a_run_that_nobody_timed_is_no_run_that_never_reached_it() -> None:
    """What is not known of one seed is left out, and the others speak."""
    slow = {"test_accuracy": [[0.5, 0.5, 0.9]] * 5 + [[0.5, 0.5, 0.5, 0.9]] * 3}
    soon = {"test_accuracy": [AT_ONCE] * 5 + [[0.5, 0.9, 0.9, 0.9]] * 3}
    both = study({"a": slow, "b": soon}, target="test_accuracy=0.85")
    first = both.arms[1]
    untimed = replace(first, runs=[replace(first.runs[0], timed=False), *first.runs[1:]])
    found = verdict(
        Claim("C", "", (Condition("seconds_to_target", higher="a", lower="b"),)),
        replace(both, arms=[both.arms[0], untimed]),
    )
    assert found.answer == "holds"
    assert "over 7 of 8 seeds" in found.reason


def test_a_run_that_failed_never_reached_it() -> None:
    both = study(
        {"a": {"test_accuracy": [AT_ONCE] * 7}, "b": {"test_accuracy": [AT_ONCE] * 7}}, target="test_accuracy=0.85"
    )
    assert verdict(Claim("C", "", (LATER,)), both).answer == "not shown"
    failed = verdict(Claim("C", "", (LATER,)), with_status(both, 1, Status.FAILED, range(7)))
    assert failed.answer == "holds"
    assert "0 of 7 runs of “b”" in failed.reason


def test_runs_that_are_left_do_not_speak_for_those_that_diverged() -> None:
    both = study(
        {"a": finals(*[0.9 + 0.001 * k for k in range(12)]), "b": finals(*[0.8 + 0.002 * (k % 3) for k in range(12)])}
    )
    assert verdict(Claim("C", "", (DIFFERENCE,)), both).answer == "holds"
    some = verdict(Claim("C", "", (DIFFERENCE,)), with_status(both, 0, Status.DIVERGED, range(6)))
    assert some.answer == "not shown"
    assert "6 of 12 seeds have a run that diverged or failed (ranks, p = 1)" in some.reason
    assert verdict(Claim("C", "", (DIFFERENCE,)), with_status(both, 1, Status.FAILED, range(6))).answer == "holds"


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


@pytest.mark.parametrize("key", ["at_least", "at_most"])
def test_a_level_in_percent_is_refused(tmp_path: Path, key: str) -> None:
    """93.5 for 93.5 % would hold of everything, or of nothing."""
    level = f'arm = "slow"\n{key} = 93.5'
    condition = 'metric = "test_loss"\nhigher = "slow"\nlower = "quick"\nby = 0.1'
    assert condition in FILE
    (tmp_path / "s.toml").write_text(FILE.replace(condition, f'metric = "test_accuracy"\n{level}'))
    with pytest.raises(SettingsError, match=f"claim mine: {key} = 93.5 of test_accuracy is not allowed"):
        read_file(tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text(FILE.replace("seeds = 2", 'seeds = 2\ntarget = "test_accuracy=95"'))
    with pytest.raises(SettingsError, match=r"test_accuracy=95.0 is not allowed: accuracies are shares"):
        read_file(tmp_path / "s.toml")


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
        "claim yours has no 'author': there is claim, conditions, id, note, reduced"[:70],
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


# --- parts of curves, and lines ---


def test_a_condition_on_a_part_of_a_curve() -> None:
    """The fall after epoch 2, and the value at it, where the last values say the reverse."""
    bend = 0.01 * NOISE[:, None]
    fast = {"test_accuracy": list(np.array([0.9, 0.9, 0.2, 0.1]) + bend * np.arange(1, 5))}
    slow = {"test_accuracy": list(np.array([0.8, 0.8, 0.7, 0.0]) - bend * np.arange(1, 5))}
    last = Condition(METRIC, higher="a", lower="b")
    since = Condition(METRIC, higher="b", lower="a", by=0.3, since=2.0, at=3.0)
    early = Condition(METRIC, ratio=("a", "b"), between=(1.0, 1.2), at=1.5)
    beyond = Condition(METRIC, higher="a", lower="b", at=9.0)
    arms = {"a": fast, "b": slow}
    assert [answer(one, arms) for one in (last, since, early)] == ["holds", "holds", "holds"]
    assert answer(beyond, arms) == "not tested at this scale"
    assert "at epoch 3 since epoch 2" in verdict(Claim("C", "", (since,)), study(arms)).reason


def test_times_and_meters_are_those_of_one_machine() -> None:
    arms = {name: {"peak_memory_mb": [[x] for x in high + 100 * NOISE]} for name, high in (("a", 300), ("b", 200))}
    for condition in (
        Condition("peak_memory_mb", higher="a", lower="b"),
        Condition("peak_memory_mb", ratio=("a", "b"), between=(1.0, 2.0)),
        Condition("peak_memory_mb", arm="a", at_least=250.0),
    ):
        assert " on this machine: " in verdict(Claim("C", "", (condition,)), study(arms)).reason
    assert "machine" not in verdict(Claim("C", "", (DIFFERENCE,)), study({"a": HIGH, "b": LOW})).reason


def test_a_straight_line_and_a_bent_one() -> None:
    x = (32.0, 64.0, 128.0, 256.0)
    noise = np.concatenate([NOISE, NOISE[:3] / 2])
    arms = {f"b{n:g}": finals(*(0.001 * n + 1e-4 * noise * (i + 1))) for i, n in enumerate(x)}
    bent = {name: finals(*np.array([v for (v,) in of["test_accuracy"]]) ** 3) for name, of in arms.items()}
    straight, curved = (Condition(METRIC, line=tuple(arms), x=x, **key) for key in ({"within": 0.05}, {"beyond": 0.05}))
    assert (answer(straight, arms), answer(curved, arms)) == ("holds", "does not hold")
    assert (answer(straight, bent), answer(curved, bent)) == ("does not hold", "holds")
    lost = with_status(study(arms), 1, Status.DIVERGED, range(1))
    found = verdict(Claim("C", "", (straight,)), lost)
    assert (found.answer, "1 of 10 seeds has a run that diverged" in found.reason) == ("not shown", True)


@pytest.mark.parametrize(("seeds", "found"), [(7, "not shown"), (8, "holds")])
def test_a_bend_has_as_many_chances_as_arms(seeds: int, found: str) -> None:
    """Each of four arms is tried at 0.05 / 4, which seven seeds cannot come to."""
    noise = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 1.5, 0.5, -0.5])[:seeds]
    arms = {name: finals(*(0.1 * n**2 + 1e-4 * n * noise)) for n, name in enumerate("abcd", 1)}
    condition = Condition(METRIC, line=tuple("abcd"), x=(1.0, 2.0, 3.0, 4.0), beyond=0.01)
    assert answer(condition, arms) == found


@pytest.mark.parametrize("key", ["within", "beyond"])
def test_noise_is_no_bend(key: str) -> None:
    """Arms on a line, with noise of a fifth of their range: neither bound is passed by more than chance allows."""
    rng, x = np.random.default_rng(1), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    condition = Condition(METRIC, line=tuple("abcdef"), x=x, **{key: 0.1})
    wrong = "does not hold" if key == "within" else "holds"
    found = []
    for _ in range(60):
        scores = np.array(x)[:, None] / 10 + 0.1 * rng.standard_normal((6, 12))
        found.append(answer(condition, {arm: finals(*of) for arm, of in zip("abcdef", scores, strict=True)}))
    assert found.count(wrong) <= 7  # 3 at 5 %


def test_the_interval_of_a_bend_is_fiellers() -> None:
    """Its ends are the bounds at which the t test turns, the rise's own spread with it; without a rise there is none."""
    rng = np.random.default_rng(3)
    scores = np.array([0.0, 1.3, 1.7, 3.0])[:, None] + 0.3 * rng.standard_normal((4, 9))
    arms = {name: finals(*of) for name, of in zip("abcd", scores, strict=True)}
    (found,) = verdict(
        Claim("C", "", (Condition(METRIC, line=tuple("abcd"), x=(1.0, 2.0, 3.0, 4.0), within=0.9),)), study(arms)
    ).conditions
    off = scores.T @ (np.eye(4) - np.vander(range(4), 2) @ np.linalg.pinv(np.vander(range(4), 2)))
    worst = np.abs(off.mean(axis=0)).argmax()
    own, rise = off[:, worst] * np.sign(off[:, worst].mean()), scores[3] - scores[0]
    assert found.interval is not None
    for end in found.interval:
        assert stats.ttest_1samp(own - end * rise, 0).pvalue == pytest.approx(0.05)
    flat = {name: finals(*of) for name, of in zip("abcd", 0.3 * rng.standard_normal((4, 9)), strict=True)}
    condition = Condition(METRIC, line=tuple("abcd"), x=(1.0, 2.0, 3.0, 4.0), within=0.1)
    assert verdict(Claim("C", "", (condition,)), study(flat)).conditions[0].interval is None


@pytest.mark.parametrize("power", [200, -200])
def test_what_no_square_is_of_is_not_judged(power: int) -> None:
    arms = {"a": finals(*(10.0**power * (2 + NOISE))), "b": finals(*(10.0**power * (1 - NOISE)))}
    found = verdict(Claim("C", "", (DIFFERENCE,)), study(arms))
    assert (found.answer, "are beyond what can be reckoned with" in found.reason) == ("not shown", True)
    assert answer(Condition(METRIC, ratio=("a", "b"), between=(1.5, 3.0)), arms) == "holds"


def test_no_spread_and_one_lost_run_is_no_evidence_either() -> None:
    same = study({"a": finals(*[0.9] * 8), "b": finals(*[0.8] * 8)})
    found = verdict(Claim("C", "", (DIFFERENCE,)), with_status(same, 1, Status.DIVERGED, [3]))
    assert found.answer == "not shown"
    assert found.reason.endswith("; the other 7 seeds give the same, which is no evidence: too few seeds")
    many = verdict(Claim("C", "", (DIFFERENCE,)), with_status(same, 1, Status.DIVERGED, range(6)))
    assert (many.answer, "; the other 2 seeds give the same" in many.reason) == ("holds", True)


def test_a_target_without_a_direction_is_not_tested() -> None:
    arms = {name: {"test_mine": [[0.5, 0.6]] * 7} for name in "ab"}
    condition = Condition("epochs_to_target", higher="a", lower="b")
    found = verdict(Claim("C", "", (condition,)), study(arms, target="test_mine=0.7"))
    assert (found.answer, "of the target test_mine=0.7 is not known" in found.reason) == (
        "not tested at this scale",
        True,
    )


def test_where_neither_arrives_nothing_is_known_of_their_ratio() -> None:
    """Of 19 seeds one has no epoch of either arm: that the other 18 are alike says nothing of it."""
    early, late, never = [0.1, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]
    condition = Condition("epochs_to_target", ratio=("a", "b"), between=(0.5, 1.1))
    whole = {"a": {METRIC: [late] * 5 + [[0.1, 0.1, 0.9, 0.9]] * 14}, "b": {METRIC: [early] * 19}}
    assert answer(condition, whole, target=f"{METRIC}=0.8") == "does not hold"
    both = {"a": {METRIC: [*whole["a"][METRIC][:-1], never]}, "b": {METRIC: [*whole["b"][METRIC][:-1], never]}}
    assert answer(condition, both, target=f"{METRIC}=0.8") == "not shown"


def test_what_diverged_is_not_slow_nor_late() -> None:
    slow = {name: {"peak_memory_mb": [[x] for x in high + NOISE]} for name, high in (("a", 1.0), ("b", 5.0))}
    condition = Condition("peak_memory_mb", higher="a", lower="b")
    gone = verdict(Claim("C", "", (condition,)), with_status(study(slow), 0, Status.DIVERGED, range(6)))
    assert (gone.answer, "6 of 7 seeds have a run that diverged" in gone.reason) == ("not shown", True)
    curves = {name: {"train_loss": [[x, x] for x in scores]} for name, scores in (("a", 1 + NOISE), ("b", 2 - NOISE))}
    early = Condition("train_loss", higher="b", lower="a", at=2.0)
    assert verdict(Claim("C", "", (early,)), with_status(study(curves), 0, Status.DIVERGED, range(7))).answer == "holds"


def test_a_run_that_ended_without_a_value_leaves_it_open() -> None:
    high = [[x] for x in 0.9 + 0.001 * np.arange(12)]
    arms = {"a": {METRIC: [*high[:7], *[[math.nan]] * 5]}, "b": {METRIC: [[x] for x in 0.8 - 0.001 * np.arange(12)]}}
    found = verdict(Claim("C", "", (DIFFERENCE,)), study(arms))
    assert (found.answer, "5 of 12 seeds have a run without a value" in found.reason) == ("not shown", True)
    curve = np.linspace(1, 0, 20)
    curves = [list(curve + 1e-3 * np.random.default_rng(seed).standard_normal(20)) for seed in range(10)]
    curves[3][15] = math.inf
    shaky = {"a": {"train_loss": [[10 * x for x in of] for of in curves]}, "b": {"train_loss": curves[::-1]}}
    condition = Condition("train_loss_jitter", higher="a", lower="b")
    found = verdict(Claim("C", "", (condition,)), study(shaky))
    assert (found.answer, "2 of 10 seeds have a run without a value" in found.reason) == ("not shown", True)


def test_a_lost_run_does_not_refute_what_only_has_not_to_be_much_less() -> None:
    less = study(
        {"a": finals(*[0.80 + 0.001 * k for k in range(10)]), "b": finals(*[0.81 + 0.0011 * k for k in range(10)])}
    )
    claim = Claim("C", "", (Condition(METRIC, higher="a", lower="b", by=-0.05),))
    assert verdict(claim, less).answer == "holds"
    assert verdict(claim, with_status(less, 1, Status.DIVERGED, [3])).answer == "not shown"


@pytest.mark.parametrize("x", [(1.0, 2.0, 3.0), (1.7e9 + 1, 1.7e9 + 2, 1.7e9 + 3), (1e-17, 2e-17, 3e-17)])
def test_a_line_is_one_in_every_unit(x: tuple[float, ...]) -> None:
    arms = {name: finals(*(0.2 * n + 0.01 * NOISE * n)) for n, name in enumerate("abc", 1)}
    assert answer(Condition(METRIC, line=tuple("abc"), x=x, within=0.05), arms) == "holds"


def test_why_a_condition_is_open_is_said() -> None:
    few = verdict(
        Claim("C", "", (DIFFERENCE,)), study({"a": finals(*(0.9 + NOISE[:5])), "b": finals(*(0.8 - NOISE[:5]))})
    )
    assert few.reason.endswith("; 5 seeds cannot come to p = 0.05")
    several = tuple(Condition(METRIC, higher="b", lower="a", by=0.001 * k) for k in range(9))
    assert (
        "against it at 0.05, but one of 9 conditions needs 0.0056"
        in verdict(Claim("C", "", several), study({"a": HIGH, "b": LOW})).reason
    )
    same = verdict(Claim("C", "", (DIFFERENCE,)), study({"a": finals(*[0.9] * 7), "b": finals(*[0.8] * 7)}))
    assert (same.conditions[0].interval, "all 7 seeds give the same" in same.reason) == (None, True)
    assert "(" not in same.reason


def test_what_holds_says_what_seeds_may_not_show() -> None:
    notes = verdict(Claim("C", "", (DIFFERENCE,)), study({"a": HIGH, "b": LOW})).notes
    assert notes == ["7 seeds may not show what happens in less than 35 % of runs"]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (
            'line = ["a", "b"]\nx = [1, 2]\nwithin = 0.1',
            "claim mine: line has three arms or more, and x a number for each",
        ),
        ('line = ["a", "b", "c"]\nx = [1, 2]\nwithin = 0.1', "claim mine: line has three arms or more, and x a number"),
        ('line = "a"\nx = [1, 2, 3]\nwithin = 0.1', "claim mine: line is a list of arms"),
        ('higher = "a"\nlower = "b"\nsince = 3', "claim mine: a condition with since has at too"),
    ],
)
def test_mistakes_in_them(condition: str, told: str) -> None:
    facts = tomllib.loads(f'metric = "test_loss"\n{condition}')
    with pytest.raises(SettingsError) as caught:
        Claim.of({"id": "mine", "claim": "c", "conditions": [facts]})
    assert any(line.startswith(told) for line in caught.value.mistakes), caught.value.mistakes


# --- when they were written ---


def test_conditions_that_were_written_when_results_were_known_are_shown(tmp_path: Path) -> None:
    words = "moons lr=0.1,0.2 epochs=2 implementation=numpy init=default"

    def carried_out(claim: Claim | None, seeds: str) -> Verdict | None:
        asked = ask(tmp_path / "s", words, seeds).replaced(claims=(claim,) if claim else ())
        found = Findings.of(carry_out(asked)).verdicts
        return found[0] if found else None

    one = Claim("C", "c", (Condition(METRIC, higher="lr=0.1", lower="lr=0.2"),))
    other = replace(one, conditions=(Condition(METRIC, higher="lr=0.2", lower="lr=0.1"),))
    first = carried_out(one, "1")
    assert first is not None
    assert first.notes == []
    assert carried_out(one, "2") == replace(first, reason=ANY, conditions=ANY)  # more seeds change no claim
    changed = carried_out(other, "2")
    assert changed is not None
    (note,) = changed.notes
    assert note.startswith("its conditions were written when 4 runs were recorded already; before: metric = ")
    assert "higher = 'lr=0.1'" in note
    assert carried_out(one, "2") == replace(first, reason=ANY, conditions=ANY)  # as it was at first: before any run
    assert "when 4 runs" in " ".join(carried_out(replace(other, id="new"), "2").notes)  # type: ignore[union-attr]


def test_a_smaller_scale_is_told_with_the_answer() -> None:
    claim = Claim("C", "c", (DIFFERENCE,), reduced=True)
    assert verdict(claim, study({"a": HIGH, "b": LOW})).told == "holds at this scale"
    assert verdict(replace(claim, reduced=False), study({"a": HIGH, "b": LOW})).told == "holds"
    assert verdict(claim, study({"c": HIGH})).told == "not tested at this scale"
    assert Claim.of(claim.as_data()) == claim


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
        assert {claim.reduced for claim in request.claims} == {reduced}
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


def test_a_claim_that_seeds_until_decided_leave_open_says_why() -> None:
    """The pairs are decided on one metric: a claim on another may want more seeds than they do."""
    wide = finals(*(0.80 + 10 * NOISE))
    for seeds, least, told in ((40, 6, True), (40, None, False), (len(NOISE), 6, False)):
        record = replace(study({"a": wide, "b": LOW}), seeds=list(range(seeds)), least=least)
        found = verdict(Claim("C", "so it is", (DIFFERENCE,)), record)
        assert found.answer == "not shown"
        assert any("not until its claims are" in note for note in found.notes) is told
