"""Tuning: the same candidates for every arm, chosen without a look at the test split, judged on fresh seeds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from paribus.commands import described
from paribus.config.overrides import SettingsError, split_words
from paribus.findings.findings import Findings
from paribus.records.record import ArmRecord, Status, StudyRecord
from paribus.report.show import as_json
from paribus.study.candidates import parse_tune
from paribus.study.dry_run import expected
from paribus.study.file import read_file
from paribus.study.reading import read
from paribus.study.runner import carry_out
from paribus.study.spec import StudySpec
from paribus.study.stages import foreseen, stages
from paribus.study.store import StoreError
from paribus.study.toml import as_toml
from paribus.study.tuning import FIRST_SEED, decide
from tests.helpers import ask, assert_same_curves
from tests.test_cli import paribus

WORDS = ["optimizer=sgd,adam", "epochs=4", "hidden=5", "init=default"]


def tuned(
    folder: Path, words: list[str] = WORDS, tune: tuple[str, ...] = ("lr=0.001,0.03,1",), **options: object
) -> StudySpec:
    facts = {"seeds": "2", "out": folder, "tune": tune, "tune_seeds": 2, **options}
    return described("moons", words, compare=True, **facts)  # type: ignore[arg-type]


def carried(asked: StudySpec) -> StudyRecord:
    for stage, work in stages(asked):
        carry_out(stage, work=work)
    return read(asked.folder)


def test_candidates_of_a_range_are_even_in_the_logarithm() -> None:
    found = [values["optimizer.lr"] for values in parse_tune(split_words(["lr=1e-5:1e-1:9"]), None)]
    assert found == [1e-05, 3.16e-05, 0.0001, 0.000316, 0.001, 0.00316, 0.01, 0.0316, 0.1]
    whole = [values["batch_size"] for values in parse_tune(split_words(["batch_size=16:256:5"]), None)]
    assert whole == [16, 32, 64, 128, 256]
    assert all(isinstance(size, int) for size in whole)
    grid = parse_tune(split_words(["lr=0.1,1", "schedule=constant,multistep:2:0.1"]), None)
    assert len(grid) == 4
    assert grid[1] == {"optimizer.lr": "0.1", "schedule": "multistep:2:0.1"}


def test_a_budget_is_drawn_from_the_plan() -> None:
    drawn = parse_tune(split_words(["lr=1e-5:1e-1", "momentum=0,0.5,0.9"]), 300)
    assert parse_tune(split_words(["lr=1e-5:1e-1", "momentum=0,0.5,0.9"]), 20) == drawn[:20]
    places = (np.log10([float(one["optimizer.lr"]) for one in drawn]) + 5) / 4
    assert kstest(places, "uniform").pvalue > 1e-3
    shares = [sum(one["optimizer.momentum"] == word for one in drawn) / 300 for word in ("0", "0.5", "0.9")]
    assert min(shares) > 0.25
    few = parse_tune(split_words(["lr=0.1,1,10", "momentum=0,0.9"]), 6)
    assert len({tuple(one.values()) for one in few}) == 6


BAD = {
    "no count": (("lr=1e-3:1",), {}, "--tune lr=1e-3:1 is not allowed: say how many values"),
    "from zero": (("lr=0:1:3",), {}, "a range is LOW:HIGH:COUNT with 0 < LOW < HIGH"),
    "backwards": (("lr=1:0.1:3",), {}, "a range is LOW:HIGH:COUNT with 0 < LOW < HIGH"),
    "one point": (("lr=0.1:1:1",), {}, "the count of a range is from 2 to 1000"),
    "a million": (("lr=0.1:1:1000000",), {}, "the count of a range is from 2 to 1000"),
    "too large a grid": (("lr=0.1:1:999", "weight_decay=0.1:1:999"), {}, "candidates: at most 1000, or --budget N of them"),
    "unknown": (("lrr=0.1,1",), {}, "--tune: there is no setting 'lrr': did you mean 'lr'?"),
    "no value": (("lr",), {}, "--tune: 'lr' is not a setting"),
    "out of bounds": (("weight_decay=-1,1",), {}, "--tune: optimizer.weight_decay=-1 is not allowed"),
    "the data": (("noise=0.1,0.2",), {}, "--tune task.noise: it is no setting to choose by validation"),
    "a kind": (("optimizer=sgd,adam",), {}, "--tune optimizer: it is no setting to choose by validation"),
    "not every arm's": (("momentum=0,0.9",), {}, "--tune: momentum has no effect with optimizer=adam"),
    "one candidate": (("lr=0.1",), {}, "--tune lr=0.1 is one candidate"),
    "twice": (("lr=0.1,0.1",), {}, "a value is listed twice"),
    "twice in other words": (("lr=0.1,1e-1",), {}, "a candidate is listed twice"),
    "budget without tune": ((), {"budget": 3}, "--budget 3 has no effect without --tune"),
    "budget of none": (("lr=0.1,1",), {"budget": 0}, "--budget 0 is not allowed"),
    "more than there are": (("lr=0.1,1",), {"budget": 3}, "--budget 3 is more than the 2 candidates there are"),
    "no tuning seeds": (("lr=0.1,1",), {"tune_seeds": 0}, "--tune-seeds 0 is not allowed"),
    "seeds of tuning": (("lr=0.1,1",), {"seeds": f"1,{FIRST_SEED}"}, f"--seeds {FIRST_SEED} is a seed of tuning"),
    "a factor too": (("lr=0.1,1",), {"more": ["lr=0.1,0.2"]}, "lr is tuned and a factor"),
    "validation a factor": (("lr=0.1,1",), {"more": ["validation=0.1,0.2"]}, "validation is a factor"),
    "split by seed": (("lr=0.1,1",), {"more": ["split=by_seed"]}, "split=by_seed cannot be tuned"),
    "half given": (("lr=0.1,1", "weight_decay=0,0.1"), {"more": ["lr=0.1"]}, "optimizer.lr is given and optimizer.weight_decay is not"),
}  # fmt: skip


@pytest.mark.parametrize(("tune", "options", "answer"), BAD.values(), ids=BAD)
def test_a_mistake_has_one_clear_answer(
    tmp_path: Path, tune: tuple[str, ...], options: dict[str, object], answer: str
) -> None:
    more = options.pop("more", []) if "more" in options else []
    options = dict(options)
    with pytest.raises(SettingsError) as caught:
        tuned(tmp_path / "s", [*WORDS, *more], tune, **options)  # type: ignore[misc]
    (only,) = caught.value.mistakes
    assert answer in only
    assert not (tmp_path / "s").exists()


def test_chosen_on_validation_data_judged_on_fresh_seeds_and_all_training_data(tmp_path: Path) -> None:
    study = carried(tuned(tmp_path / "s"))
    tuning = study.tuning
    assert tuning is not None
    assert tuning.shared is not None
    tried = read(tmp_path / "s" / "tuning")
    assert all(
        "validation_loss" in run.curve and not any(name.startswith("test") for name in run.curve)
        for arm in tried.arms
        for run in arm.runs
    )
    assert {run.seed for arm in tried.arms for run in arm.runs} == {FIRST_SEED, FIRST_SEED + 1}
    assert {(run.task.train, run.task.validation) for arm in tried.arms for run in arm.runs} == {(640, 160)}
    for one in (study, tuning.shared):
        assert {(run.task.train, run.task.validation) for arm in one.arms for run in arm.runs} == {(800, 0)}
        assert one.seeds == [0, 1]
    # the same numbers as when each is asked for by name
    for arm in tuning.arms:
        means = {next(iter(one.values.values())): one.mean for one in arm.candidates}
        assert all(mean is not None for mean in means.values())
        best = max(means, key=lambda lr: means[lr] or 0)
        rate = arm.chosen["optimizer.lr"]
        assert means[rate] == means[best]
        words = f"moons {arm.arm} epochs=4 hidden=5 init=default lr={rate}"
        alone = carry_out(ask(tmp_path / arm.arm, words, "2"))
        mine = next(one for one in study.arms if one.name == arm.arm)
        for left, right in zip(alone.arms[0].runs, mine.runs, strict=True):
            np.testing.assert_array_equal(left.curve["test_loss"], right.curve["test_loss"])
    # nothing was given: all share the candidate that is best on average
    means = [np.mean([arm.candidates[i].mean for arm in tuning.arms]) for i in range(3)]
    assert tuning.shared_values == tuning.arms[0].candidates[int(np.argmax(means))].values
    assert all(arm.settings["optimizer.lr"] == tuning.shared_values["optimizer.lr"] for arm in tuning.shared.arms)
    found = as_json(Findings.of(study))
    json.dumps(found, allow_nan=False)
    assert [one["arm"] for one in found["tuning"]] == ["optimizer=sgd", "optimizer=adam"]
    assert found["tuning"][0].keys() >= {"arm", "candidates", "chosen", "at_edge"}
    assert found["shared"]["differences"][0]["metric"] == "test_accuracy"


def test_a_tuned_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = tuned(tmp_path / "s")
    steps = stages(first)
    carry_out(next(steps)[0])  # killed after tuning
    assert read(tmp_path / "s").arms == []
    carried(first)
    again = carried(tuned(tmp_path / "s", seeds="3"))
    assert again.seeds == [0, 1, 2]
    whole = carried(tuned(tmp_path / "t", seeds="3"))
    assert_same_curves(again, whole)
    assert again.tuning is not None
    assert whole.tuning is not None
    assert again.tuning.arms == whole.tuning.arms
    assert all(one.seconds == 0 for one in map(expected, foreseen(tuned(tmp_path / "s", seeds="3"))))
    attempts = [
        run.attempt
        for folder in ("s", "s/tuning", "s/shared")
        for arm in read(tmp_path / folder).arms
        for run in arm.runs
    ]
    assert set(attempts) == {1}
    with pytest.raises(
        StoreError,
        match=r"tuned otherwise: words \(\['optimizer.lr=0.001,0.03,1'\] there, \['optimizer.lr=0.001,1'\] here\)",
    ):
        carried(tuned(tmp_path / "s", tune=("lr=0.001,1",)))
    with pytest.raises(StoreError, match="--tune"):
        carry_out(described("moons", WORDS, compare=True, seeds="2", out=tmp_path / "s"))
    carry_out(described("moons", WORDS, compare=True, seeds="2", out=tmp_path / "u"))
    with pytest.raises(StoreError, match="without --tune"):
        carried(tuned(tmp_path / "u"))


@pytest.mark.parametrize("given", [[], ["lr=0.02"]])
def test_show_toml_repeats_a_tuned_study(tmp_path: Path, given: list[str]) -> None:
    first = carried(tuned(tmp_path / "s", [*WORDS, *given], ("lr=0.001:1:3",), margin=0.01))
    (tmp_path / "study.toml").write_text(as_toml(first))
    again = carried(read_file(tmp_path / "study.toml", tmp_path / "t"))
    assert_same_curves(again, first)
    assert again.tuning is not None
    assert first.tuning is not None
    assert replace(again.tuning, shared=None) == replace(first.tuning, shared=None)
    assert as_toml(again) == as_toml(first)
    if given:
        assert first.tuning is not None
        assert first.tuning.shared_values == {"optimizer.lr": 0.02}


def records(asked: StudySpec, scores: dict[str, list[tuple[Status, float, float]]], like: StudyRecord) -> StudyRecord:
    """What tuning would leave with these validation accuracies and losses."""
    pattern = like.arms[0].runs[0]
    arms = []
    for arm in like.arms:
        runs = [
            replace(
                pattern, seed=FIRST_SEED + i, status=status,
                curve={"step": np.array([1.0]), "validation_accuracy": np.array([accuracy]), "validation_loss": np.array([loss])},
            )
            for i, (status, accuracy, loss) in enumerate(scores[arm.name])
        ]  # fmt: skip
        arms.append(ArmRecord(arm.name, arm.settings, runs))
    return replace(like, arms=arms)


def test_the_choice(tmp_path: Path) -> None:
    asked = tuned(tmp_path / "s", ["optimizer=sgd,adam", "epochs=0", "hidden=5"])
    assert asked.tune is not None
    like = carry_out(next(stages(asked))[0])
    done, diverged = Status.DONE, Status.DIVERGED
    scores = {
        # the middle one is best by mean, though not on either seed alone
        "optimizer=sgd lr=0.001": [(done, 0.9, 1.0), (done, 0.1, 1.0)],
        "optimizer=sgd lr=0.03": [(done, 0.6, 9.0), (done, 0.6, 9.0)],
        "optimizer=sgd lr=1.0": [(done, 0.2, 0.1), (done, 0.7, 0.1)],
        # the best diverged on one seed; of the two equals the one of lower loss
        "optimizer=adam lr=0.001": [(done, 0.5, 2.0), (done, 0.7, 2.0)],
        "optimizer=adam lr=0.03": [(done, 0.9, 0.1), (diverged, 0.9, 0.1)],
        "optimizer=adam lr=1.0": [(done, 0.7, 1.0), (done, 0.5, 1.0)],
    }
    shared, (sgd, adam) = decide(asked.design, asked.tune, records(asked, scores, like))
    assert sgd.chosen == {"optimizer.lr": 0.03}
    assert sgd.edges == []
    assert [one.mean for one in sgd.candidates] == [0.5, 0.6, pytest.approx(0.45)]
    assert adam.chosen == {"optimizer.lr": 1.0}
    assert adam.edges == ["optimizer.lr"]
    assert adam.candidates[1].scores == [0.9, None]
    assert adam.candidates[1].mean is None
    assert shared == {"optimizer.lr": 0.001}  # the best on average of those that ended with both arms
    by_loss = replace(asked.tune, metric="validation_loss", direction="lower")
    _, (sgd, adam) = decide(asked.design, by_loss, records(asked, scores, like))
    assert (sgd.chosen["optimizer.lr"], adam.chosen["optimizer.lr"]) == (1.0, 1.0)
    none = {name: [(diverged, 0.5, 1.0)] * 2 if "adam" in name else runs for name, runs in scores.items()}
    with pytest.raises(SettingsError, match="no candidate of optimizer=adam came to its end on every seed"):
        decide(asked.design, asked.tune, records(asked, none, like))


@pytest.mark.slow
def test_the_command_tells_what_was_chosen(tmp_path: Path) -> None:
    words = [
        "compare",
        "moons",
        *WORDS,
        "lr=0.02",
        "--tune",
        "lr=0.001:1:3",
        "--tune-seeds",
        "1",
        "--seeds",
        "2",
        "--name",
        "s",
    ]
    done = paribus(tmp_path, *words, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "14 runs into runs/s" in done.stdout
    assert not (tmp_path / "runs").exists()
    done = paribus(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    for line in ("all at lr=0.02", "each at its own best", "3 candidates, 1 seed apart", " *"):
        assert line in done.stdout
    study = read(tmp_path / "runs" / "s")
    assert study.tuning is not None
    for line in Findings.of(study).edges:
        assert line[:40] in done.stdout
    assert paribus(tmp_path, "show", "runs/s").stdout.splitlines()[0] == "s (2 seeds)"
    assert (tmp_path / "runs" / "s" / "shared" / "curves.png").exists()
