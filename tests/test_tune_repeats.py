"""The whole tuning repeated: on seeds of its own each time, and what that shows of arms that are tuned like this."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paribus.api import Study
from paribus.commands import carry_out as command
from paribus.commands import described
from paribus.config.overrides import SettingsError
from paribus.findings.differences import differences
from paribus.findings.findings import Findings
from paribus.findings.stopping import Extended, Fixed
from paribus.findings.tuned import budget_curves, budget_told, expected_best, stopping_of
from paribus.records.record import Candidate, RunRecord, Status, StudyRecord, Tuned, Tuning
from paribus.report.page.page import page
from paribus.report.page.text import View, answers
from paribus.report.show import as_json
from paribus.study.dry_run import expected
from paribus.study.file import read_file
from paribus.study.reading import read, repeat_folders
from paribus.study.repair import repair
from paribus.study.runner import carry_out
from paribus.study.spec import StudySpec
from paribus.study.stages import foreseen, parts, stages, with_repeats
from paribus.study.store import Store, StoreError
from paribus.study.toml import as_toml
from paribus.study.tuning import FIRST_SEED, SHIFT
from tests.helpers import assert_same_curves

WORDS = ["optimizer=sgd,adam", "epochs=2", "hidden=3", "init=default"]
DRAWN = {"tune": ("lr=0.001:1",), "budget": 2}


def asked(folder: Path, words: list[str] = WORDS, **options: object) -> StudySpec:
    facts = {"seeds": "2", "out": folder, "tune": ("lr=0.001,0.03",), "tune_seeds": 1, "tune_repeats": 3, **options}
    return described("moons", words, compare=True, **facts)  # type: ignore[arg-type]


def carried(spec: StudySpec) -> StudyRecord:
    for stage, work in stages(spec):
        carry_out(stage, work=work)
    return read(spec.folder)


def every(folder: Path) -> list[StudyRecord]:
    return [read(path) for path in parts(folder)]


def test_each_repeat_is_a_study_on_seeds_and_draws_of_its_own(tmp_path: Path) -> None:
    study = carried(asked(tmp_path / "s", **DRAWN))
    tuning = study.tuning
    assert tuning is not None
    whole = [study, *tuning.repeats]
    assert len(whole) == 3
    tunings = [one.tuning for one in whole if one.tuning is not None]
    assert [one.seeds for one in whole] == [[0, 1], [SHIFT, SHIFT + 1], [2 * SHIFT, 2 * SHIFT + 1]]
    assert [one.seeds for one in tunings] == [[FIRST_SEED], [FIRST_SEED + 1], [FIRST_SEED + 2]]
    assert [one.repeat for one in tunings] == [1, 2, 3]
    drawn = [values.values["optimizer.lr"] for one in tunings for values in one.arms[0].candidates]
    assert len({*drawn}) == 6
    assert (tmp_path / "s" / "shared").exists()
    assert not (tmp_path / "s" / "repeats" / "2" / "shared").exists()
    # the first is what it is without repeats, and so is its record
    alone = carried(asked(tmp_path / "t", **DRAWN, tune_repeats=1))
    assert_same_curves(alone, study)
    store = Store.open(tmp_path / "t")
    assert store.get("tune").keys() == {"words", "budget", "seeds", "validation", "metric", "given"}
    store.close()


def test_a_grid_is_the_same_in_each_repeat(tmp_path: Path) -> None:
    tries = [one.tune.candidates for one in with_repeats(asked(tmp_path / "s")) if one.tune is not None]
    assert tries[0] == tries[1] == tries[2]


@pytest.mark.parametrize("before", [2, 4, 6])
def test_repeats_go_on_where_they_were_killed(tmp_path: Path, before: int) -> None:
    steps = stages(asked(tmp_path / "s", **DRAWN))
    for _ in range(before):
        stage, work = next(steps)
        carry_out(stage, work=work)
    carried(asked(tmp_path / "s", **DRAWN))
    carried(asked(tmp_path / "t", **DRAWN))
    for one, other in zip(every(tmp_path / "s"), every(tmp_path / "t"), strict=True):
        assert_same_curves(one, other)
        assert {run.attempt for arm in one.arms for run in arm.runs} == {1}


def test_more_repeats_go_on_with_the_same_study_and_fewer_are_a_part_of_it(tmp_path: Path) -> None:
    first = asked(tmp_path / "s", tune_repeats=2)
    carried(first)
    study = carried(asked(tmp_path / "s"))
    assert study.tuning is not None
    assert (study.tuning.asked_repeats, study.tuning.looks, len(study.tuning.repeats)) == (3, (2,), 2)
    again = carried(first)
    assert again.tuning is not None
    assert (again.tuning.asked_repeats, again.tuning.looks, len(again.tuning.repeats)) == (3, (2,), 2)
    assert {run.attempt for one in every(tmp_path / "s") for arm in one.arms for run in arm.runs} == {1}
    # so do more seeds: those of every repeat stay others than those of all the rest
    carried(asked(tmp_path / "s", seeds="3"))
    seeds = [seed for path in (tmp_path / "s", *repeat_folders(tmp_path / "s")) for seed in read(path).seeds]
    assert len({*seeds}) == len(seeds) == 9
    with pytest.raises(StoreError, match="tuned otherwise: words"):
        carried(asked(tmp_path / "s", tune=("lr=0.001,0.02",)))


def test_fresh_sets_all_of_it_aside(tmp_path: Path) -> None:
    carried(asked(tmp_path / "s", tune_repeats=2))
    study = carried(asked(tmp_path / "s", tune_repeats=2, fresh=True))
    (aside,) = tmp_path.glob("s-until-*")
    assert [path.relative_to(aside) for path in parts(aside)] == [
        path.relative_to(tmp_path / "s") for path in parts(tmp_path / "s")
    ]
    assert study.tuning is not None
    assert study.tuning.looks == ()
    assert len(repair(tmp_path / "s")) == len(parts(tmp_path / "s")) == 5


BAD = {
    "until decided": ({"seeds": "6..40"}, "--tune-repeats needs a fixed number of seeds, as in --seeds 8"),
    "too large a seed": ({"seeds": f"{SHIFT},"}, f"--seeds {SHIFT} is too large for --tune-repeats"),
    "none": ({"tune_repeats": 0}, "--tune-repeats 0 is not allowed: tune-repeats is a whole number from 1 to 1000"),
    "half": ({"tune_repeats": 1.5}, "--tune-repeats 1.5 is not allowed"),
    "nothing to tune": ({"tune": ()}, "--tune-repeats 3 has no effect without --tune"),
}


@pytest.mark.parametrize(("options", "answer"), BAD.values(), ids=BAD)
def test_a_mistake_has_one_clear_answer(tmp_path: Path, options: dict[str, object], answer: str) -> None:
    with pytest.raises(SettingsError) as caught:
        asked(tmp_path / "s", **options)
    (only,) = caught.value.mistakes
    assert answer in only


def test_what_a_repeat_refuses_is_refused_before_any_training(tmp_path: Path) -> None:
    """Draws of a later repeat that no first one has."""
    words = [*WORDS, "steps_per_epoch=2"]
    spec = asked(tmp_path / "s", words, tune=("batch_size=8:1180",), budget=2, tune_repeats=8)
    assert spec.tune is not None
    sizes = [[float(one["batch_size"]) for one in mine] for mine in (spec.tune.candidates, *spec.tune.others)]
    assert max(sizes[0]) < 640 <= max(map(max, sizes))  # training examples
    with pytest.raises(SettingsError, match="steps_per_epoch=2 is more than sampler=shuffle has"):
        next(stages(spec))
    assert not (tmp_path / "s").exists()


def test_all_that_is_to_come_is_foreseen(tmp_path: Path) -> None:
    names = [stage.name for stage in foreseen(asked(tmp_path / "s", name="s"))]
    assert names == [
        "s: tuning", "s: all at one value, yet to be chosen", "s", "s: repeat 2: tuning", "s: repeat 2", "s: repeat 3: tuning",
        "s: repeat 3",
    ]  # fmt: skip
    carried(asked(tmp_path / "s", name="s"))
    assert (
        sum(one.missing for stage in map(expected, foreseen(asked(tmp_path / "s", name="s"))) for one in stage.arms)
        == 0
    )


def test_the_file_of_such_a_study_repeats_it(tmp_path: Path) -> None:
    first = carried(asked(tmp_path / "s", **DRAWN))
    (tmp_path / "study.toml").write_text(as_toml(first))
    carried(read_file(tmp_path / "study.toml", tmp_path / "t"))
    for one, other in zip(every(tmp_path / "s"), every(tmp_path / "t"), strict=True):
        assert_same_curves(one, other)
    with pytest.raises(SettingsError, match="repeat 2 of a tuned study: that study's own file repeats it"):
        as_toml(read(tmp_path / "s" / "repeats" / "2"))


def test_a_link_out_of_the_repeats_is_not_followed(tmp_path: Path) -> None:
    carried(asked(tmp_path / "s", tune_repeats=2))
    carried(asked(tmp_path / "t", tune_repeats=2))
    (tmp_path / "s" / "repeats" / "3").symlink_to(tmp_path / "t" / "repeats" / "2")
    with pytest.raises(StoreError, match="leads out"):
        read(tmp_path / "s")


def test_the_results_are_told_once_all_repeats_are_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(lambda: asked(tmp_path / "s", name="s"), dry_run=False, as_json=True, quiet=False)
    said = capsys.readouterr()
    repeats = json.loads(said.out)["study"]["tuning"]["repeats"]
    assert (repeats["asked"], repeats["done"], len(repeats["repeats"])) == (3, 3, 3)
    assert "1 pair needs 6 repeats of the tuning before it can be told apart over them; 3 are asked for" in " ".join(
        said.err.split()
    )
    command(lambda: asked(tmp_path / "s", name="s"), dry_run=False, as_json=False, quiet=False)
    told = " ".join(capsys.readouterr().out.split())
    for line in (
        "This is about the values that were chosen", "over 3 repeats of the whole tuning", "too few repeats",
        "This is about arms that are tuned like this", "before it can be told apart over them; 3 are done",
    ):  # fmt: skip
        assert told.count(line) == 1, line


# --- findings ---


def tuned_record(
    scores: list[dict[str, list[float | None]]],
    *,
    chosen: list[float] | None = None,
    lost: Status = Status.DIVERGED,
    like: StudyRecord,
    **facts: object,
) -> StudyRecord:
    """A study whose repeats came to these test accuracies, each arm's by its seeds; None of a run that was lost."""
    pattern = like.arms[0].runs[0]
    found = []
    for number, of in enumerate(scores, 1):
        rate = (chosen or [0.1] * len(scores))[number - 1]
        tuned = [
            Tuned(arm, [Candidate({"optimizer.lr": rate}, [0.5], 0.5)], {"optimizer.lr": rate}, ["optimizer.lr"] * (number == 2))
            for arm in of
        ]  # fmt: skip
        arms = [
            replace(arm, name=name, runs=[_run(pattern, seed, score, lost) for seed, score in enumerate(of[name])])
            for arm, name in zip(like.arms, of, strict=True)
        ]
        seeds = list(range(len(next(iter(of.values())))))
        tuning = Tuning(
            words=[], budget=None, seeds=[FIRST_SEED], validation=0.2, metric="validation_accuracy", given=False, arms=tuned,
            repeat=number, asked_repeats=len(scores) if number == 1 else 1,
        )  # fmt: skip
        found.append(replace(like, arms=arms, seeds=seeds, tuning=tuning, asked=(), **facts))
    first = found[0].tuning
    assert first is not None
    return replace(found[0], tuning=replace(first, repeats=found[1:]))


def _run(pattern: RunRecord, seed: int, score: float | None, lost: Status) -> RunRecord:
    curve = {
        "step": np.array([1.0]),
        "epoch": np.array([1.0]),
        "test_accuracy": np.array([np.nan if score is None else score]),
    }
    return replace(pattern, seed=seed, status=lost if score is None else Status.DONE, curve=curve)


@pytest.fixture(scope="module")
def like(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return carry_out(described("moons", WORDS, compare=True, seeds="1", out=tmp_path_factory.mktemp("like") / "s"))


def test_over_repeats_a_score_is_the_mean_of_a_repeat(like: StudyRecord) -> None:
    rng = np.random.default_rng(0)
    scores = [{"a": list(rng.uniform(0.6, 0.9, 4)), "b": list(rng.uniform(0.3, 0.6, 4))} for _ in range(7)]
    findings = Findings.of(tuned_record(scores, like=like, margin=0.01))  # type: ignore[arg-type]
    means = {arm: [float(np.mean(one[arm])) for one in scores] for arm in ("a", "b")}
    (wanted,) = differences(means, "test_accuracy", margin=0.01, unit="repeat")
    (found,) = findings.over_repeats
    assert found == wanted
    assert (found.verdict, found.p, found.pairs, found.unit) == ("a higher", 2 / 2**7, 7, "repeat")
    (one,) = Findings.of(tuned_record(scores, like=like, baseline="b")).over_repeats  # type: ignore[arg-type]
    assert (one.a, one.b, one.verdict) == ("a", "b", "a higher")
    few = Findings.of(tuned_record(scores[:5], like=like))  # type: ignore[arg-type]
    assert few.over_repeats[0].verdict == "too few seeds"
    assert few.of_repeats == ["1 pair needs 6 repeats of the tuning before it can be told apart over them; 5 are done"]
    assert Findings.of(tuned_record(scores[:1], like=like)).over_repeats == []  # type: ignore[arg-type]


def test_a_repeat_in_which_a_run_was_lost_is_the_worst_and_one_that_is_not_done_is_none(like: StudyRecord) -> None:
    scores: list[dict[str, list[float | None]]] = [{"a": [0.9, 0.9], "b": [0.8, 0.7]} for _ in range(8)]
    scores[3] = {"a": [0.99, None], "b": [0.5, 0.5]}
    found = Findings.of(tuned_record(scores, like=like))
    (one,) = found.over_repeats
    assert one.by_ranks
    assert one.mean is None
    assert "1 of 8 repeats has a run that diverged or failed" in one.note
    assert found.whole_repeats == 8
    begun = Findings.of(tuned_record(scores, like=like, lost=Status.INTERRUPTED))
    (one,) = begun.over_repeats
    assert (one.pairs, one.by_ranks, begun.whole_repeats) == (7, False, 7)
    assert begun.of_repeats == ["7 of 8 repeats are done: the same command goes on"]
    assert one.note.startswith(
        "over the 7 of 8 repeats that both have; all 7 differences are the same, and 7 repeats may"
    )


def test_repeats_that_were_added_when_results_were_known_are_judged_as_such(like: StudyRecord) -> None:
    scores = [{"a": [0.9, 0.8 + i / 100], "b": [0.5, 0.5]} for i in range(9)]
    study = tuned_record(scores, like=like)  # type: ignore[arg-type]
    assert study.tuning is not None
    assert stopping_of(replace(study.tuning, looks=(3, 6)), 9, 1) == Extended((6, 9))
    assert stopping_of(replace(study.tuning, looks=(3, 5)), 9, 1) == Fixed()
    assert stopping_of(replace(study.tuning, looks=(6,)), 9, 3) == Fixed()
    looked = replace(study, tuning=replace(study.tuning, looks=(6,)))
    (one,) = Findings.of(looked).over_repeats
    assert one.interval_of == "e-process"
    assert "looked at after 6, 9 repeats" in one.note
    more = replace(study, asked=((0,), (1,)))
    assert "seeds were added when results were known" in Findings.of(more).of_repeats[0]


def test_how_far_the_choice_scatters(like: StudyRecord) -> None:
    scores = [{"a": [0.9], "b": [0.5]}] * 6
    found = Findings.of(tuned_record(scores, like=like, chosen=[0.01, 0.0316, 0.01, 0.01, 0.0316, 0.01]))  # type: ignore[arg-type]
    assert [one.told for one in found.choices] == ["lr=0.01 in 4 of 6 repeats, lr=0.0316 in 2"] * 2
    assert found.edges == [
        f"{arm}: the best lr, 0.0316, is at the edge of those tried, in 1 of 6 repeats: a better one may lie beyond it"
        for arm in ("a", "b")
    ]


def test_the_edge_stands_before_every_verdict(like: StudyRecord) -> None:
    scores = [{"a": [0.9, 0.91], "b": [0.5, 0.52]}] * 6
    findings = Findings.of(tuned_record(scores, like=like))  # type: ignore[arg-type]
    (a, b) = findings.edges
    contents = as_json(findings)
    assert contents["study"]["warnings"][:2] == [a, b]
    assert list(contents).index("study") < list(contents).index("differences")
    answer = answers(View.of(findings))[0]
    assert answer.notes[:2] == [a, b]
    text = page([findings])
    assert text.index(a) < text.index(answer.sentences[0])
    told = " ".join(str(Study(Path("s"), findings.study)).split())
    assert told.index(a) < told.index("verdict")
    assert Study(Path("s"), findings.study).warnings()[:2] == [a, b]


def test_a_page_says_what_each_of_the_two_answers(like: StudyRecord) -> None:
    scores = [{"a": [0.9, 0.91 + i / 100], "b": [0.5, 0.52]} for i in range(6)]
    findings = Findings.of(tuned_record(scores, like=like))  # type: ignore[arg-type]
    own, over = answers(View.of(findings))[:2]
    assert "values that were chosen" in own.more[0]
    assert over.title == "Over 6 repeats of the whole tuning"
    assert over.sentences[0].startswith("sgd is higher than adam in test accuracy by")
    assert "6 repeats" in over.sentences[0]
    assert "arms that are tuned like this" in over.more[0]
    text = page([findings])
    assert "Differences over 6 repeats of the whole tuning" in text
    assert "What was chosen in each repeat" in text


# --- budget curves ---

SCORES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4)


@given(SCORES, st.sampled_from(["higher", "lower"]))
def test_the_expected_best_is_the_mean_over_all_draws(scores: list[float], direction: str) -> None:
    best = max if direction == "higher" else min
    found = expected_best(scores, direction)  # type: ignore[arg-type]
    for k, one in enumerate(found, 1):
        assert one == pytest.approx(np.mean([best(draw) for draw in product(scores, repeat=k)]), abs=1e-9)
    steps = np.diff(found) * (1 if direction == "higher" else -1)
    assert (steps >= -1e-9).all()


@given(SCORES)
def test_the_expected_best_of_losses_is_that_of_their_opposites(scores: list[float]) -> None:
    np.testing.assert_allclose(
        expected_best([-one for one in scores], "higher"), np.negative(expected_best(scores, "lower")), atol=1e-9
    )


def test_a_candidate_that_diverged_counts_as_the_worst(like: StudyRecord) -> None:
    def study(metric: str, **facts: object) -> StudyRecord:
        means = {"a": [0.2, None, 0.8], "b": [0.4, 0.6, 0.5]}
        arms = [
            Tuned(arm, [Candidate({"optimizer.lr": i}, [one], one) for i, one in enumerate(of)], {}, [])
            for arm, of in means.items()
        ]
        tuning = Tuning(words=[], budget=None, seeds=[0], validation=0.2, metric=metric, given=False, arms=arms)
        return replace(like, tuning=replace(tuning, **facts))  # type: ignore[arg-type]

    a, b = budget_curves(study("validation_accuracy"))
    assert a.best == expected_best([0.2, 0.2, 0.8], "higher")
    assert b.best == expected_best([0.4, 0.6, 0.5], "higher")
    a, _ = budget_curves(study("validation_loss"))
    assert a.best == expected_best([0.2, 0.8, 0.8], "lower")
    grid, drawn, proposed = (
        study("validation_loss", **facts) for facts in ({}, {"budget": 3}, {"budget": 12, "sampler": "tpe"})
    )
    assert budget_curves(proposed) == []
    told = [budget_told(one.tuning) for one in (grid, drawn, proposed) if one.tuning is not None]
    assert "as if" in told[0]
    assert "as if" not in told[1]
    assert "no independent draws" in told[2]
    frame = Study(Path("s"), grid).tuning_curve()
    assert frame[frame.arm == "b"]["expected_best"].tolist() == budget_curves(grid)[1].best
    assert Study(Path("s"), proposed).tuning_curve().empty
