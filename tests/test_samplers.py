"""Samplers that propose candidates one after another: the same from the same records, and as many for every arm."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paribus.api import Study, compare
from paribus.commands import described
from paribus.config.overrides import SettingsError
from paribus.findings.findings import Findings
from paribus.records.record import StudyRecord
from paribus.report.page.page import page
from paribus.report.page.tables import candidates
from paribus.report.page.text import View
from paribus.report.show import as_json
from paribus.study.candidates import Range, corners, drawn, parse_axes
from paribus.study.dry_run import expected
from paribus.study.file import read_file
from paribus.study.reading import read
from paribus.study.runner import carry_out
from paribus.study.samplers import STARTUP, Tpe
from paribus.study.spec import StudySpec
from paribus.study.stages import foreseen, stages
from paribus.study.toml import as_toml
from paribus.study.tuning import FIRST_SEED
from tests.helpers import assert_same_curves

WORDS = ["optimizer=sgd,adam", "epochs=2", "hidden=3", "init=default", "lr=0.02"]
AXES = {
    "optimizer.lr": Range(1e-4, 1.0, whole=False),
    "batch_size": Range(8, 64, whole=True),
    "schedule": ["constant", "a"],
}


def asked(folder: Path, words: list[str] = WORDS, **options: object) -> StudySpec:
    facts = {
        "seeds": "2",
        "out": folder,
        "tune": ("lr=0.001:1",),
        "tune_seeds": 1,
        "budget": 13,
        "tune_sampler": "tpe",
        **options,
    }
    return described("moons", words, compare=True, **facts)  # type: ignore[arg-type]


def carried(spec: StudySpec, most: int = 1000) -> StudyRecord:
    for number, (stage, work) in enumerate(stages(spec)):
        if number == most:
            break
        carry_out(stage, work=work)
    return read(spec.folder)


def proposed(axes: dict, count: int, score, direction: str = "higher", repeat: int = 1) -> list[dict]:  # type: ignore[no-untyped-def,type-arg]
    sampler, found = Tpe(axes, direction, repeat), []  # type: ignore[arg-type]
    for _ in range(count):
        values = sampler.ask()
        sampler.tell(values, score(values))
        found.append(values)
    return found


def near_a_hundredth(values: dict[str, float]) -> float:
    return -abs(np.log10(values["optimizer.lr"]) + 2)


def test_what_is_proposed_hangs_on_nothing_but_what_was_found() -> None:
    found = proposed(AXES, 25, near_a_hundredth)
    np.random.default_rng()
    np.random.seed(3)  # noqa: NPY002 (whatever the global generator is)
    assert proposed(AXES, 25, near_a_hundredth) == found
    assert proposed(AXES, 25, near_a_hundredth, repeat=2)[0] != found[0]
    other = proposed(AXES, 25, lambda values: -near_a_hundredth(values))
    assert other[:STARTUP] == found[:STARTUP]
    assert other[STARTUP:] != found[STARTUP:]
    assert proposed(AXES, 25, lambda values: -near_a_hundredth(values), "lower") == found


def test_it_goes_where_better_ones_were_found() -> None:
    axes = {"optimizer.lr": AXES["optimizer.lr"]}
    for repeat in (1, 2, 3):
        scores = [near_a_hundredth(one) for one in proposed(axes, 40, near_a_hundredth, repeat=repeat)]
        assert np.mean(scores[30:]) > np.mean(scores[:STARTUP]) + 0.2


def test_a_candidate_that_does_not_end_is_the_worst() -> None:
    """Those above a tenth diverge: what is proposed later lies below, more often than not."""
    for direction in ("higher", "lower"):
        found = proposed(AXES, 40, lambda values: None if values["optimizer.lr"] > 0.1 else 0.5, direction)
        assert sum(one["optimizer.lr"] > 0.1 for one in found[STARTUP:]) <= 4


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(3, 5), st.sampled_from(["higher", "lower"]), st.integers(1, 5))
def test_each_candidate_is_another_until_there_is_none(first: int, second: int, direction: str, repeat: int) -> None:
    axes = {"a": [f"{i}" for i in range(first)], "b": list(range(second))}
    found = proposed(axes, first * second, lambda values: float(values["b"]), direction, repeat)
    assert len({tuple(one.values()) for one in found}) == first * second


@given(st.floats(1e-6, 1.0), st.floats(1.001, 1e4), st.integers(1, 30), st.booleans())
def test_draws_lie_in_the_range_and_further_repeats_go_on_with_them(low: float, by: float, n: int, whole: bool) -> None:
    line = Range(1.0 if whole else low, max(low * by, 2.0), whole=whole)
    axes = {"x": line}
    few = max(1, n // 3) if not whole else 1
    values = [float(one["x"]) for one in drawn(axes, few)]
    assert all(line.low * 0.99 <= one <= line.high * 1.01 for one in values)
    assert drawn(axes, few, repeat=2) != drawn(axes, few) or whole
    assert [one["x"] for one in corners(axes)] == [line.at(0), line.at(1)]


def test_every_arm_has_as_many_candidates_of_its_own(tmp_path: Path) -> None:
    study = carried(asked(tmp_path / "s"))
    tuning = study.tuning
    assert tuning is not None
    assert tuning.sampler == "tpe"
    sgd, adam = ([one.values["optimizer.lr"] for one in arm.candidates] for arm in tuning.arms)
    assert len({*sgd}) == len({*adam}) == 13
    assert sgd[:STARTUP] == adam[:STARTUP]
    assert sgd[STARTUP:] != adam[STARTUP:]
    assert tuning.shared_values == {"optimizer.lr": 0.02}
    for arm in tuning.arms:
        best = max(one.mean or 0 for one in arm.candidates)
        assert next(one.mean for one in arm.candidates if one.values == arm.chosen) == best
    tried = read(tmp_path / "s" / "tuning")
    assert len(tried.arms) == 26
    assert {run.seed for arm in tried.arms for run in arm.runs} == {FIRST_SEED}
    # the union of candidates, with nothing where an arm was not given one
    table = candidates(View.of(Findings.of(study)))
    assert table is not None
    assert len(table.rows) == len({*sgd, *adam})
    assert sum(cell.text == "-" for row in table.rows for cell in row[1:]) == 2 * len({*sgd, *adam}) - 26
    assert sum(cell.marked for row in table.rows for cell in row) == 2
    assert "had 13 candidates of its own, which tpe proposed" in page([Findings.of(study)])
    assert "13 candidates that tpe proposed to each arm" in " ".join(str(Study(tmp_path / "s", study)).split())
    assert as_json(Findings.of(study))["study"]["tuning"]["sampler"] == "tpe"
    (tmp_path / "study.toml").write_text(as_toml(study))
    again = carried(read_file(tmp_path / "study.toml", tmp_path / "t"))
    assert again.tuning == tuning or again.tuning.arms == tuning.arms  # type: ignore[union-attr]
    assert_same_curves(again, study)


@pytest.mark.parametrize("killed_after", [1, 5, 12])
def test_a_tuning_that_was_killed_proposes_the_same(tmp_path: Path, killed_after: int) -> None:
    spec = asked(tmp_path / "s")
    carried(spec, killed_after)
    assert sum(one.missing for one in expected(foreseen(spec)[0]).arms) == 2 * (13 - killed_after)
    again = carried(spec)
    whole = carried(asked(tmp_path / "t"))
    assert again.tuning is not None
    assert whole.tuning is not None
    assert again.tuning.arms == whole.tuning.arms
    assert_same_curves(read(tmp_path / "s" / "tuning"), read(tmp_path / "t" / "tuning"))
    assert {run.attempt for arm in read(tmp_path / "s" / "tuning").arms for run in arm.runs} == {1}
    assert [len(work.missing) for _, work in stages(spec)] == [0, 0, 0] or not any(
        work.missing for _, work in stages(spec)
    )


def test_repeats_propose_their_own(tmp_path: Path) -> None:
    study = carried(asked(tmp_path / "s", tune_repeats=2))
    assert study.tuning is not None
    (other,) = study.tuning.repeats
    assert other.tuning is not None
    first, second = (
        {one.values["optimizer.lr"] for one in of.arms[0].candidates} for of in (study.tuning, other.tuning)
    )
    assert not first & second


def test_the_users_own_optuna_is_left_as_it_was(tmp_path: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        Tpe(AXES, "higher", 1)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)


BAD = {
    "unknown": ({"tune_sampler": "tpee"}, "there is no sampler 'tpee': did you mean 'tpe'?"),
    "the setting": ({"tune_sampler": "shuffle"}, "the order of the examples is a setting, sampler=shuffle"),
    "no budget": ({"budget": None, "tune": ("lr=0.1,1",)}, "--sampler tpe needs to know how many candidates: give --budget N"),
    "all by chance": ({"budget": 10}, "--sampler tpe with --budget 10 has no effect: its first 10 candidates are drawn at random"),
    "nothing shared": ({"words": WORDS[:-1]}, "give the value that all arms share with the settings, as in lr="),
    "a grid": ({"tune_sampler": "grid"}, "--sampler grid tries all candidates: leave out --budget 13"),
    "nothing to tune": ({"tune": (), "budget": None}, "--sampler tpe has no effect without --tune"),
    "an end that is not allowed": ({"tune": ("lr=0.001:1", "weight_decay=0.5,1,-1")}, "optimizer.weight_decay=-1 is not allowed"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "answer"), BAD.values(), ids=BAD)
def test_a_mistake_has_one_clear_answer(tmp_path: Path, options: dict[str, object], answer: str) -> None:
    with pytest.raises(SettingsError) as caught:
        asked(tmp_path / "s", **options)  # type: ignore[arg-type]
    assert any(answer in line for line in caught.value.mistakes), caught.value.mistakes
    assert not (tmp_path / "s").exists()


def test_without_optuna_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paribus.study.samplers.installed", lambda name: False)
    with pytest.raises(SettingsError, match=r'needs Optuna, which is not installed: pip install "paribus\[optuna\]"'):
        asked(tmp_path / "s")
    assert importlib.util.find_spec("optuna") is not None


def test_a_sampler_by_its_usual_name_is_the_same_study(tmp_path: Path) -> None:
    drawn_, grid = (
        asked(tmp_path / "s", tune_sampler="random"),
        asked(tmp_path / "s", tune=("lr=0.1,1",), tune_sampler="grid", budget=None),
    )
    assert drawn_.tune == asked(tmp_path / "s", tune_sampler=None).tune
    assert grid.tune is not None
    assert grid.tune.as_record().keys() == {"words", "budget", "seeds", "validation", "metric", "given"}
    assert parse_axes([("lr", ["0.1", "1"])], None) == {"optimizer.lr": ["0.1", "1"]}


def test_the_setting_of_the_same_name_is_what_it_was(tmp_path: Path) -> None:
    study = compare("moons", lr=[0.1, 0.01], sampler="replacement", epochs=1, seeds=1, out=tmp_path / "s")
    assert {arm.settings["sampler"] for arm in study.record.arms} == {"replacement"}
    tuned = compare(
        "moons", optimizer=["sgd", "adam"], sampler="replacement", lr=0.1, epochs=1, seeds=1, out=tmp_path / "t",
        tune={"lr": "0.01:1"}, budget=11, tune_seeds=1, tune_sampler="tpe",
    )  # fmt: skip
    assert {arm.settings["sampler"] for arm in tuned.record.arms} == {"replacement"}
    assert tuned.record.tuning is not None
    assert tuned.record.tuning.sampler == "tpe"
