"""What is told beyond single pairs: over several tasks, over the values of a factor, and where the seed deals the data."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paribus import compare
from paribus.config.overrides import SettingsError
from paribus.findings.compared import Lost
from paribus.findings.differences import differences
from paribus.findings.findings import Findings
from paribus.findings.resplit import Resplit, note_on_splits, of_study
from paribus.findings.stopping import Fixed
from paribus.findings.sweeps import sweeps
from paribus.findings.tasks import Tasks, at_least, note_on_seeds, over_tasks
from paribus.records.record import ArmRecord, StudyRecord
from paribus.report.page.page import page
from paribus.report.show import as_json
from paribus.report.terminal.over import sweep_lines, task_lines
from paribus.study.stages import stages
from tests.helpers import ask
from tests.test_page import made

# --- several tasks ---


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(1, 3))
def test_on_at_least_so_many_tasks(ps: list[float], tests: int) -> None:
    """p of u tasks: the most of what Bonferroni's method gives for each v <= u, worked out from its definition: the
    least p that the largest m - v + 1 of the p-values come to."""
    m, found = len(ps), []
    for u in range(1, m + 1):
        each = [max(min(1.0, (m - v + 1) * min(rest)) for rest in combinations(ps, m - v + 1)) for v in range(1, u + 1)]
        found.append(min(1.0, tests * max(each)))
    count, p = at_least(ps, tests)
    assert count == sum(one <= 0.05 for one in found)
    assert p is None if count == 0 else p == pytest.approx(found[count - 1])


def several_tasks(seeds: int = 10, names: tuple[str, ...] = ("moons", "circles", "blobs")) -> StudyRecord:
    """Three arms on each task; the first is the best on all, on the last task by most."""
    study = made(["adam", "sgd", "rmsprop"] * len(names), seeds=seeds)
    arms = [
        ArmRecord(f"task={task} {arm.name}", {**arm.settings, "task": task}, arm.runs)
        for arm, (task, _) in zip(study.arms, product(names, range(3)), strict=True)
    ]
    return replace(study, factors=["task", "optimizer"], arms=arms)


def test_arms_are_compared_on_each_task_alone() -> None:
    found = Findings.of(several_tasks())
    assert len(found.primary) == 9
    assert all(one.a.split()[0] == one.b.split()[0] for one in found.primary)
    assert found.effects == []
    assert not any("no effect of a factor" in line for line in found.warnings)
    compared = Findings.of(replace(several_tasks(), baseline="optimizer=sgd")).primary
    assert {one.b for one in compared} == {f"task={t} optimizer=sgd" for t in ("moons", "circles", "blobs")}
    assert len(compared) == 6
    (adam_sgd, *_) = found.over_tasks
    assert (adam_sgd.a, adam_sgd.b, adam_sgd.tasks) == (
        "optimizer=adam",
        "optimizer=sgd",
        ("moons", "circles", "blobs"),
    )


def test_the_mean_is_over_scores_in_units_of_their_task() -> None:
    rng = np.random.default_rng(5)
    scores = {"small": rng.normal(0, 0.01, (2, 8)), "large": rng.normal(500, 100, (2, 8))}
    tasks = Tasks({task: {"a": f"{task} a", "b": f"{task} b"} for task in scores})
    columns = {f"{task} {arm}": list(row) for task, of in scores.items() for arm, row in zip("ab", of, strict=True)}
    found = differences(columns, "m", pairs=tasks.pairs(None))
    (one,) = over_tasks(tasks, found, columns, baseline=None, lost=None, stopping=Fixed())
    d = np.mean([(of[0] - of[1]) / of.std() for of in scores.values()], axis=0)
    assert one.mean is not None
    assert one.mean.mean == pytest.approx(d.mean())
    assert one.mean.ci95 == pytest.approx(tuple(stats.ttest_1samp(d, 0).confidence_interval(0.95)))
    flipped = [abs((d * signs).sum()) for signs in product((-1, 1), repeat=8)]
    assert one.mean.p == pytest.approx(np.mean(np.array(flipped) >= abs(d.sum()) - 1e-12))
    gone = {name: [name == "small a" and seed < 7 for seed in range(8)] for name in columns}
    lossy = {n: [None if out else x for x, out in zip(of, gone[n], strict=True)] for n, of in columns.items()}
    lost = Lost(gone, "higher")
    found = differences(lossy, "m", pairs=tasks.pairs(None), lost=lost)
    (one,) = over_tasks(tasks, found, lossy, baseline=None, lost=lost, stopping=Fixed())
    assert one.mean is not None
    assert (one.mean.by_ranks, one.mean.mean) == (True, None)


@pytest.mark.parametrize("lacking", ["an arm", "names", "another factor"])
def test_where_tasks_are_not_the_same_arms(lacking: str) -> None:
    study = several_tasks()
    if lacking == "an arm":
        study = replace(study, arms=study.arms[:-1])
    elif lacking == "names":
        study = replace(study, named=True)
    else:
        study = replace(study, factors=["task"], arms=study.arms[::3])
    found, n = Findings.of(study), len(study.arms)
    assert found.over_tasks == []
    assert len(found.primary) == n * (n - 1) // 2


def test_what_arms_differ_in_beside_is_told_of_each_task() -> None:
    study = several_tasks()
    other = replace(study.arms[1].runs[0].task, fingerprint="0123" * 16)
    arms = [*study.arms]
    arms[1] = replace(arms[1], runs=[replace(run, task=other) for run in arms[1].runs])
    (line,) = Findings.of(replace(study, arms=arms)).confounders
    assert line.startswith("moons: Arms are unequal in the data (fingerprint)")


def test_over_tasks_stands_first(tmp_path: Path) -> None:
    study = compare(
        ["moons", "circles"], optimizer=["adam", "sgd"], lr=0.01, epochs=4, seeds=8, out=tmp_path / "s",
        baseline="optimizer=sgd",
    )  # fmt: skip
    (row,) = study.tasks().to_dict("records")
    assert (row["a"], row["b"], row["tasks"], row["a_higher_on"]) == ("optimizer=adam", "optimizer=sgd", 2, 2)
    assert row["verdict"] == "a higher"
    (line,) = task_lines(study.findings)
    assert line.startswith("adam is higher on all 2 tasks (p = 0.016); mean over tasks of adam less sgd")
    text = str(study)
    assert 0 < text.index("Over the tasks") < text.index("Each pair")
    contents = as_json(study.findings)
    json.dumps(contents, allow_nan=False)
    assert [one["a_on"] for one in contents["tasks"]] == [2]
    assert [one["task"] for one in contents["tasks"][0]["differences"]] == ["moons", "circles"]
    html = page([study.findings])
    assert 0 < html.index("Over the tasks") < html.index("Differences on each task")
    with pytest.raises(SettingsError, match="did you mean 'optimizer=sgd'"):
        compare(["moons", "circles"], optimizer=["adam", "sgd"], seeds=8, out=tmp_path / "t", baseline="optimizer=sg")


def test_a_baseline_on_each_task_is_recorded(tmp_path: Path) -> None:
    study = compare(
        ["moons", "circles"], lr=[0.1, 0.2, 0.3], epochs=1, seeds=2, out=tmp_path / "s", baseline="lr=0.2"
    )  # fmt: skip
    assert (study.record.baseline, study.record.damages) == ("lr=0.2", ())
    assert {one.b for one in study.findings.primary} == {"task=moons lr=0.2", "task=circles lr=0.2"}
    assert len(study.findings.primary) == 4


def test_lower_is_told_as_better() -> None:
    study = replace(several_tasks(), primary_metric="test_loss")
    lines = task_lines(Findings.of(study))
    assert any("lower on" in line and "which is better" in line for line in lines)
    assert not any("higher on" in line for line in lines)


def test_seeds_that_are_needed_count_pairs_of_one_task() -> None:
    arms = {f"{t} {lr}": {"task": t, "lr": lr} for t in ("moons", "blobs") for lr in (1, 2)}
    assert (note_on_seeds(["task", "lr"], arms, 6) or "").startswith("2 pairs need 7 seeds")
    assert note_on_seeds(["task", "lr"], arms, 7) is None
    assert (note_on_seeds(["task", "lr"], arms, 7, named=True) or "").startswith("6 pairs need 8 seeds")


# --- over the values of a factor ---


def swept(scores: dict[tuple[str, float], list[Any]], direction: Any = "higher", **more: Any) -> Any:
    arms = [ArmRecord(f"{o} {lr:g}", {"optimizer": o, "optimizer.lr": lr}, []) for o, lr in scores]
    factors = ["optimizer", "optimizer.lr"]
    seeds = list(range(len(next(iter(scores.values())))))
    study = StudyRecord(name="s", factors=factors, seeds=seeds, primary_metric="m", arms=arms)
    columns = {arm.name: of for arm, of in zip(arms, scores.values(), strict=True)}
    (found,) = sweeps(study, columns, direction, stopping=Fixed(), **({"lost": None} | more))
    return found


RATES = (0.001, 0.01, 0.1, 1.0)


@given(st.data())
def test_the_best_value_of_each_seed(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 7))
    rows = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n), min_size=4, max_size=4))
    direction = data.draw(st.sampled_from(["higher", "lower"]))
    found = swept({("adam", lr): list(map(float, row)) for lr, row in zip(RATES, rows, strict=True)}, direction)
    (line,) = found.lines
    assert found.log
    pick = max if direction == "higher" else min
    for seed, best in enumerate(line.best):
        column = [row[seed] for row in rows]
        equal = [math.log10(lr) for lr, x in zip(RATES, column, strict=True) if x == pick(column)]
        assert best == pytest.approx(10 ** np.mean(equal))
    logs = np.log10(line.best)
    assert line.mean == pytest.approx(10 ** logs.mean())
    if np.ptp(logs) > 0:
        low, high = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
        assert line.ci95 == pytest.approx((10**low, 10**high))
    else:
        assert line.ci95 is None
    assert (line.lowest, line.highest) == (sum(np.isclose(line.best, 0.001)), sum(np.isclose(line.best, 1.0)))


def peaked(at: list[int]) -> list[list[float]]:
    """Of each value the score at each seed; at seed i the best is number at[i]."""
    return [[-abs(k - best) + 0.01 * k * (seed % 2) for seed, best in enumerate(at)] for k in range(4)]


def two_lines(adam: list[int], sgd: list[int], **more: Any) -> Any:
    named = {"adam": peaked(adam), "sgd": peaked(sgd)}
    return swept({(o, lr): row for o, rows in named.items() for lr, row in zip(RATES, rows, strict=True)}, **more)


def test_which_is_best_at_a_lower_value() -> None:
    found = two_lines([1, 1, 1, 1, 1, 2, 1, 1], [2, 2, 2, 2, 2, 2, 2, 2])
    (pair,) = found.pairs
    assert pair.verdict == "b higher"
    assert found.ratio(pair.mean) == pytest.approx(10 ** (-7 / 8))
    assert not any(line.edge for line in found.lines)


@pytest.mark.parametrize(
    ("adam", "sgd", "end"), [([0] * 11 + [3], [3] * 12, "highest"), ([0] * 12, [0] + [3] * 11, "lowest")]
)
def test_one_seed_at_the_wrong_edge_is_enough(adam: list[int], sgd: list[int], end: str) -> None:
    """Where the one that looks lower may lie above all that was tried, or the other below."""
    found = two_lines(adam, sgd)
    (pair,) = found.pairs
    assert pair.verdict == "not judged"
    assert pair.note == f"1 of 12 seeds has the best at the {end} value that was tried, and it may lie beyond"
    assert any(f"at 1 of 12 seeds the best is the {end}" in line.edge for line in found.lines)


def test_where_no_value_is_best_none_is_named() -> None:
    study = made(["0.001", "0.01", "0.1"], factor="optimizer.lr", seeds=8)
    found = Findings.of(study)
    (sweep,) = found.sweeps
    ends = replace(sweep.lines[0], lowest=3, highest=5)
    found.__dict__["sweeps"] = [replace(sweep, lines=(ends,))]
    (line, *_) = sweep_lines(found)
    told = "test accuracy is highest at no one lr: at 3 of 8 seeds at the lowest that was tried, 0.001, and at 5 at the"
    assert line.startswith(told)


def test_a_lost_run_is_no_best_value() -> None:
    scores = {("adam", lr): row for lr, row in zip(RATES, peaked([3] * 6), strict=True)}
    gone = {f"adam {lr:g}": [lr == 1.0] * 6 for lr in RATES}
    columns = {key: [None] * 6 if key[1] == 1.0 else row for key, row in scores.items()}
    assert swept(columns, lost=Lost(gone, "higher")).lines[0].best == (0.1,) * 6
    unexplained = Lost(gone, "higher", unexplained=frozenset(["adam 1"]))
    assert swept(columns, lost=unexplained).lines[0].best == (None,) * 6
    assert swept(scores, None).lines[0].mean is None


@pytest.mark.parametrize(
    ("values", "log"),
    [((0.1, 0.3, 0.5), False), ((8, 16, 32), True), ((0.0, 0.1, 1.0), False), ((1e-4, 1e-3, 1e-2), True)],
)
def test_the_scale_is_that_of_the_even_steps(values: tuple[float, ...], log: bool) -> None:
    assert swept({("adam", lr): [float(k), k + 1.0] for k, lr in enumerate(values)}).log is log


def test_what_is_no_sweep(tmp_path: Path) -> None:
    study = made(["0.1", "0.2", "0.3"], factor="optimizer.lr")
    assert [one.factor for one in Findings.of(study).sweeps] == ["optimizer.lr"]
    for other in (
        made(["0.1", "0.2"], factor="optimizer.lr"),
        made(["5", "5x5", "none"], factor="model.hidden"),
        made(["1", "2", "3"], factor="task.length"),
        made(["1", "2", "3"], factor="threads"),
        replace(study, named=True),
    ):
        assert Findings.of(other).sweeps == []
    undecided = Findings.of(replace(study, least=3))
    assert [(one.judged, one.pairs) for one in undecided.sweeps] == [(False, ())]
    assert sweep_lines(undecided) == []


def test_sweeps_stand_on_page_in_json_and_in_python(tmp_path: Path) -> None:
    study = compare(
        "moons", optimizer=["adam", "sgd"], lr=[0.001, 0.01, 0.1], epochs=4, seeds=8, out=tmp_path / "s",
        metric="test_loss",
    )  # fmt: skip
    frame = study.sweeps()
    assert list(frame["arm"]) == ["optimizer=adam", "optimizer=sgd"]
    lines = sweep_lines(study.findings)
    assert lines[0].startswith("adam: test loss is lowest at lr ")
    contents = as_json(study.findings)
    json.dumps(contents, allow_nan=False)
    (sweep,) = contents["sweeps"]
    assert (sweep["factor"], sweep["scale"], len(sweep["lines"]), len(sweep["pairs"])) == ("optimizer.lr", "log", 2, 1)
    html = page([study.findings])
    assert 0 < html.index("Where each is best") < html.index("Over lr")


# --- where the seed deals the data ---


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=12), st.floats(0.01, 2), st.floats(1e-6, 0.5))
def test_the_corrected_test(d: list[float], share: float, level: float) -> None:
    """Against the paper's formula, and the level against the interval that it makes."""
    values, n = np.array(d), len(d)
    if values.std() < 1e-3:
        return
    half = math.sqrt((1 / n + share) * values.var(ddof=1))
    expected = 2 * stats.t.sf(abs(values.mean()) / half, n - 1)
    plain = Fixed().p(values, np.zeros(n), 40)
    assert Resplit(share).p(values, np.zeros(n), 40) == pytest.approx(max(expected, plain or 0.0), rel=1e-6)
    narrow = Resplit(share).level(level, n)
    assert stats.t.isf(narrow / 2, n - 1) / math.sqrt(n) == pytest.approx(
        stats.t.isf(level / 2, n - 1) * math.sqrt(1 / n + share), rel=1e-6
    )
    interval = Resplit(share).interval(values, 0.05, np.zeros(n))
    if interval is not None:
        reach = stats.t.isf(0.025, n - 1) * half
        assert interval[0] <= values.mean() - reach * (1 - 1e-6)
        assert interval[1] >= values.mean() + reach * (1 - 1e-6)


def dealt(seeds: int = 8, **more: Any) -> StudyRecord:
    study = made(["adam", "sgd"], seeds=seeds)
    arms = [replace(arm, settings={**arm.settings, "split": "by_seed"}) for arm in study.arms]
    return replace(study, arms=arms, **more)


def test_verdicts_and_intervals_are_those_of_the_corrected_test() -> None:
    study = dealt()
    info = study.arms[0].runs[0].task
    assert of_study(study) == Resplit(info.test / info.train)
    for metric in ("test_accuracy", "train_loss"):
        (plain,) = Findings.of(made(["adam", "sgd"], seeds=8)).on(metric)
        (found,) = Findings.of(study).on(metric)
        assert found.mean == plain.mean
        assert found.p is not None
        assert plain.p is not None
        assert found.p >= plain.p
        assert found.ci95 is not None
        assert plain.ci95 is not None
        assert found.ci95[1] - found.ci95[0] == pytest.approx(
            (plain.ci95[1] - plain.ci95[0]) * math.sqrt(1 + 8 * info.test / info.train)
        )
    (pair,) = Findings.of(study).primary
    assert pair.note == "seeds share examples (split=by_seed): by the corrected resampled t test"
    assert note_on_splits(study) == []
    assert "not adjusted for these looks" in note_on_splits(replace(study, asked=((0, 1), (2, 3, 4, 5, 6, 7))))[0]
    assert "not adjusted that seeds share examples" in note_on_splits(replace(study, least=6))[0]
    assert note_on_splits(made(["adam", "sgd"])) == []


def test_seeds_until_decided_need_one_split(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--seeds 6\.\.9 and split=by_seed exclude each other"):
        next(iter(stages(ask(tmp_path / "s", "moons optimizer=adam,sgd split=by_seed", "6..9"))))
