"""What went wrong is told in every report, with a command that trains again what is meant; and cures are judged."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from torch import nn

import paribus
from paribus.api import _Teller
from paribus.backends.dispatch import resolve
from paribus.cli import app
from paribus.config.overrides import SettingsError
from paribus.findings.cures import Cure, Proposed, cures
from paribus.findings.diagnosis.evidence import evidence
from paribus.findings.diagnosis.looked import looked
from paribus.findings.findings import Findings
from paribus.records.metrics import metric_named
from paribus.records.record import ArmRecord, Pictures, Status, StudyRecord
from paribus.report.page.page import page
from paribus.report.show import as_json
from paribus.report.terminal.cures import cure_words
from paribus.report.terminal.diagnoses import diagnosis_lines, diagnosis_text
from paribus.report.terminal.progress import Bar
from paribus.study.cures import cures_folder, cures_request
from paribus.study.reading import read
from paribus.study.words import arm_words, compare_command
from tests.conftest import Called
from tests.helpers import assert_same_curves
from tests.test_remarks import healthy

SICK = ("digits", "hidden=64x64x64", "init=normal:0.001", "epochs=10")
KEYS = {"arm", "code", "layer", "epoch", "evidence", "cause", "cures", "command", "seeds", "of", "source"}
WELL = ("moons", "hidden=20", "lr=0.3", "init=default", "epochs=300")


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose signal dies out, as the command trains it."""
    return trained(tmp_path_factory.mktemp("sick") / "s", SICK)


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("well") / "w", WELL)


def trained(folder: Path, words: Sequence[str], verb: str = "train") -> Path:
    patch = pytest.MonkeyPatch()
    line = [verb, *words, "--out", str(folder), "--quiet"]
    patch.setattr("sys.argv", ["paribus", *line])
    try:
        app(line, standalone_mode=False)
    finally:
        patch.undo()
    return folder


def test_a_dead_signal_is_told_with_where_and_what_to_try(called: Called, sick: Path) -> None:
    found = called("diagnose", str(sick))
    assert found.returncode == 0
    assert found.stdout.startswith("vanishing-signal (seed 0)\n")
    assert "where: linears.1, epoch 0" in found.stdout
    to_try = "paribus compare digits hidden=64x64x64 init=normal:0.001,kaiming_normal epochs=10 --seeds 6..20"
    assert f"  to try: {to_try}\n" in found.stdout
    shown = called("show", str(sick)).stdout
    assert f"  to try: {to_try}\n" in shown, "in one line, whatever the width"
    assert "vanishing-signal (seed 0): at the start" in shown
    (one,) = json.loads(called("show", str(sick), "--json").stdout)["diagnoses"]
    assert one.keys() == KEYS
    assert one["command"] == to_try
    assert one["cures"] == [{"init": "kaiming_normal"}, {"model.norm": "batch"}]
    alone = json.loads(called("diagnose", str(sick), "--json").stdout)
    assert alone["diagnoses"] == [one]
    assert (alone["schema_version"], alone["runs"], alone["not_looked_at"]) == (1, 1, [])


def test_a_study_that_is_well_says_nothing_of_it(called: Called, well: Path) -> None:
    assert called("diagnose", str(well)).stdout == "nothing found; 1 run looked at\n"
    assert "diagnose" not in called("show", str(well)).stdout
    assert json.loads(called("show", str(well), "--json").stdout)["diagnoses"] == []
    cured = called("diagnose", str(well), "--cure")
    assert cured.returncode == 0
    assert cured.stdout.endswith("no cure to try: no diagnosis names one\n")
    assert not (well / "cures").exists()
    assert "What went wrong" not in page([Findings.of(read(well))])


def test_cures_are_judged_and_the_study_stays_as_it_is(called: Called, sick: Path) -> None:
    before = read(sick)
    found = called("diagnose", str(sick), "--cure")
    assert found.returncode == 0
    first = next(line for line in found.stdout.splitlines() if line.startswith("  1. "))
    assert first.startswith("  1. init=kaiming_normal: cured; test accuracy changes by +")
    assert_same_curves(before, read(sick))
    assert [arm.name for arm in read(sick).arms] == [""]
    tried = read(cures_folder(sick, ""))
    assert tried.baseline == "as it is"
    assert (tried.least, len(tried.seeds)) == (6, 20)
    again = called("diagnose", str(sick), "--cure", "--json")
    (of,) = json.loads(again.stdout)["cures"]
    assert {one["name"]: one["answer"] for one in of["cures"]}["init=kaiming_normal"] == "cured"
    best = of["cures"][0]
    assert best["settings"] == {"init": "kaiming_normal"}
    low, high = best["interval"]
    assert 0.5 < low < best["gain"] < high < 1
    # what was trained once is not trained again, and the arm beside is the very arm that was diagnosed
    assert_same_curves(tried, read(cures_folder(sick, "")))
    beside = next(arm for arm in tried.arms if arm.name == "as it is")
    assert beside.settings == before.arms[0].settings
    np.testing.assert_array_equal(beside.runs[0].curve["train_loss"], before.arms[0].runs[0].curve["train_loss"])


def test_an_interrupted_cure_goes_on(
    called: Called, sick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained(tmp_path / "s", [*SICK, "implementation=torch"])
    from paribus.study.recorder import Recorder

    ended, original = [], Recorder.on_run_end

    def stop(self: Recorder, *given: Any) -> None:
        original(self, *given)
        ended.append(given)
        if len(ended) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_run_end", stop)
        found = called("diagnose", str(folder), "--cure", "--seeds", "6")
    assert found.returncode == 130
    kept = {(arm.name, run.seed): run.started for arm in read(cures_folder(folder, "")).arms for run in arm.runs if run.status is Status.DONE}  # fmt: skip
    assert len(kept) >= 3
    assert called("diagnose", str(folder), "--cure", "--seeds", "6").returncode == 0
    whole = {(arm.name, run.seed): run.started for arm in read(cures_folder(folder, "")).arms for run in arm.runs}
    assert len(whole) == 18
    assert {key: whole[key] for key in kept} == kept


@pytest.mark.parametrize("mine", [True, False])
def test_a_cure_may_need_another_backend_than_auto_took(mine: bool, tmp_path: Path) -> None:
    """Early stopping is not in the engine that trained the arm, and the arm's record names that engine."""
    rng = np.random.default_rng(0)
    own = paribus.data(rng.normal(size=(60, 3)), np.arange(60) % 2, name="own")
    study = paribus.train(own if mine else "diabetes", epochs=2, out=tmp_path / "s")
    change = {"stopped": {"patience": "5", "validation": "0.2"}}
    spec, refused = cures_request(
        study.record, study.record.arms[0], change, tmp_path / "c", seeds="6", began=study._began, command="python"
    )
    assert (refused, spec is not None) == ({}, True)
    assert spec is not None
    taken = {arm.name: arm.settings.flat()["implementation"] for arm in spec.design.arms}
    assert taken == {"as it is": "fused", "stopped": "torch"}


def test_what_is_the_users_own_is_cured_in_python(tmp_path: Path) -> None:
    def narrow() -> nn.Module:
        made = nn.Sequential(nn.Linear(2, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 2))
        for one in made.parameters():
            nn.init.normal_(one, std=1e-4)
        return made

    study = paribus.train("moons", model=narrow, lr=0.1, epochs=20, out=tmp_path / "s")
    found = study.diagnose()
    assert found
    assert "\x1b" not in repr(found)
    assert all(one["command"] is None for one in as_json(study.findings)["diagnoses"])
    if any(one.cures for one in found):
        assert ".cure()" in repr(found)
        with pytest.raises(SettingsError, match="your own in Python"):
            paribus.open(tmp_path / "s").cure(6)
        (tried,) = study.cure(6)
        assert tried.cures or tried.refused
        assert "\x1b" not in repr(study.cure(6))


@pytest.mark.parametrize("name", ["a b", "../up", "lr=0.1 'quoted'", "学", "x" * 300, "a/b\\c:d"])
def test_the_folder_of_an_arms_cures_is_inside_the_studys(name: str, tmp_path: Path) -> None:
    folder = cures_folder(tmp_path, name)
    assert folder.parent == tmp_path / "cures"
    folder.mkdir(parents=True)
    assert folder.resolve().parent == (tmp_path / "cures").resolve()


WORDS = st.fixed_dictionaries(
    {"task": st.sampled_from(["moons", "digits", "diabetes"])},
    optional={
        "optimizer.lr": st.sampled_from(["0.1", "0.003", "1e-5"]),
        "optimizer": st.sampled_from(["sgd", "adam"]),
        "model.hidden": st.sampled_from(["5", "64x64", "none"]),
        "init": st.sampled_from(["default", "normal:0.001", "kaiming_normal"]),
        "epochs": st.sampled_from(["3", "20"]),
        "validation": st.sampled_from(["0.1", "0.2"]),
        "clip": st.sampled_from(["1", "none"]),
        "implementation": st.sampled_from(["torch", "auto"]),
    },
)


@settings(max_examples=30)
@given(WORDS, st.booleans())
def test_a_command_makes_the_arm_again(words: dict[str, str], typed: bool) -> None:
    """Whether it stands in the record or not, and with nothing in it that is a default anyhow."""
    made = resolve(words).flat()
    environment = {"command": shlex.join(["paribus", "train", words["task"], *(f"{k}={v}" + ",77" * (k == "epochs") for k, v in words.items() if k != "task")])}  # fmt: skip
    arm = ArmRecord("", made, [replace(healthy(0), environment=environment if typed else {"command": "python"})])
    study = StudyRecord(name="s", factors=[], seeds=[0], primary_metric="test_accuracy", arms=[arm])
    found = arm_words(study, arm)
    assert found is not None
    assert resolve(found).flat() == made
    if typed:
        assert found.keys() == words.keys()


def test_a_command_has_several_settings_of_one_cure_together() -> None:
    """As factors they would be four arms."""
    arm = ArmRecord("", resolve({"task": "moons"}).flat(), [])
    study = StudyRecord(name="s", factors=[], seeds=[0], primary_metric="test_f1", arms=[arm])
    told = compare_command(study, arm, {"patience": "5", "validation": "0.2"})
    assert told is not None
    assert told.startswith("paribus train moons ")
    assert told.endswith(" patience=5 validation=0.2 --seeds 6 --metric test_f1")


def judged(sick_scores: Sequence[float], cured: Sequence[float], *, lower: bool = False) -> str:
    metric = "test_loss" if lower else "test_accuracy"

    def arm(name: str, scores: Sequence[float]) -> ArmRecord:
        runs = [replace(healthy(0), seed=i, curve={"epoch": np.ones(1), "step": np.ones(1), metric: np.array([one])}) for i, one in enumerate(scores)]  # fmt: skip
        return ArmRecord(name, {}, runs)

    arms = [arm("as it is", sick_scores), arm("c", cured)]
    seeds = list(range(len(sick_scores)))
    study = StudyRecord(name="s", factors=[], seeds=seeds, primary_metric=metric, arms=arms, baseline="as it is", named=True)  # fmt: skip
    (one,) = cures(study, {"c": Proposed({"init": "default"}, ("vanishing-signal",))}, ["vanishing-signal"])
    if one.gain is not None:
        assert one.gain == pytest.approx(np.mean(cured) - np.mean(sick_scores))
    return one.answer


LOW, HIGH = [0.1, 0.11, 0.12, 0.1, 0.13, 0.12, 0.11, 0.1], [0.9, 0.91, 0.9, 0.92, 0.93, 0.9, 0.94, 0.9]


def test_the_verdict_on_a_cure() -> None:
    assert judged(LOW, HIGH) == "cured"
    assert judged(HIGH, LOW) == "worse"
    assert judged(HIGH, LOW, lower=True) == "cured"
    assert judged(LOW, HIGH, lower=True) == "worse"
    assert judged(LOW, [*LOW[1:], LOW[0]]) == "no help"
    assert judged(LOW[:3], HIGH[:3]) == "not decided"


def test_better_is_not_cured_where_something_is_still_found(sick: Path) -> None:
    """Two runs with looks of a dead signal, of which one is said to end better."""
    (record,) = read(sick).arms
    run = record.runs[0]

    def arm(name: str, scores: Sequence[float]) -> ArmRecord:
        curves = [{**run.curve, "test_accuracy": np.full(len(run.curve["epoch"]), one)} for one in scores]
        return ArmRecord(name, record.settings, [replace(run, seed=i, curve=curve) for i, curve in enumerate(curves)])

    study = replace(read(sick), seeds=list(range(8)), arms=[arm("as it is", LOW), arm("c", HIGH)], baseline="as it is")
    study = replace(study, named=True)
    for codes, why in ((("vanishing-signal",), "still found"), (("dead-units",), "found instead")):
        (one,) = cures(study, {"c": Proposed({"init": "default"}, codes)}, codes)
        assert one.answer == "better"
        assert why in one.why


def test_what_one_run_of_many_shows_is_counted_and_keeps_no_cure_from_being_one(sick: Path) -> None:
    """The loss of the last of eight cured runs rose on the way."""
    (record,) = read(sick).arms
    run = replace(record.runs[0], pictures=Pictures())

    def arm(name: str, scores: Sequence[float], losses: Sequence[np.ndarray]) -> ArmRecord:
        curves = [
            {**run.curve, "test_accuracy": np.full(len(run.curve["epoch"]), one), "train_loss": loss, "test_loss": loss}
            for one, loss in zip(scores, losses, strict=True)
        ]
        return ArmRecord(name, record.settings, [replace(run, seed=i, curve=curve) for i, curve in enumerate(curves)])

    n = len(run.curve["epoch"])
    good, swings = np.linspace(1.0, 0.01, n) ** 4, np.where(np.arange(n) % 2, 1.0, 0.2)
    for bad, answer in ((1, "cured"), (4, "better")):
        cured = arm("c", HIGH, [good] * (8 - bad) + [swings] * bad)
        study = replace(read(sick), seeds=list(range(8)), arms=[arm("as it is", LOW, [good] * 8), cured],
                        baseline="as it is", named=True)  # fmt: skip
        (one,) = cures(study, {"c": Proposed({"init": "default"}, ("vanishing-signal",))}, ["vanishing-signal"])
        assert one.answer == answer
        assert ("rate-too-high is found in 1 of 8 runs" in one.why) == (bad == 1)


def test_cures_over_other_seeds_are_refused_with_what_helps(called: Called, sick: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sick, folder, ignore=shutil.ignore_patterns("cures"))  # those of tests before
    called("diagnose", str(folder), "--cure", "--seeds", "2")
    found = called("diagnose", str(folder), "--cure", "--seeds", "6..20")
    assert found.returncode == 2
    assert "it holds cures over 2 seeds; give --seeds 2 to see them, or to go on, or remove that folder" in " ".join(
        found.stderr.split()
    )
    again = called("diagnose", str(folder), "--cure")  # without --seeds it goes on as it began
    assert again.returncode == 0, again.stderr
    assert "as it is" in again.stdout
    assert read(folder / "cures" / "arm").seeds == [0, 1]


def test_what_is_not_looked_at_is_said() -> None:
    none = StudyRecord(name="s", factors=[], seeds=[0], primary_metric="x", arms=[], own_loop=True)
    loop = replace(none, arms=[ArmRecord("a", {}, [healthy(0)])])
    assert looked(loop).told.startswith(
        "1 run looked at; not looked at: the layers, of which a loop of your own records"
    )
    failed = replace(
        loop, own_loop=False, arms=[ArmRecord("a", {}, [healthy(0), replace(healthy(0), status=Status.FAILED)])]
    )
    told = looked(failed).told
    assert told.startswith(
        "1 run looked at; not looked at: 1 run that failed or had not come to an end; the layers of a"
    )
    assert diagnosis_text(Findings.of(loop)).startswith("nothing found; 1 run looked at")


@pytest.mark.parametrize("name", ["plain", "tuned", "claims", "interrupted"])
def test_a_folder_of_an_earlier_version_is_told_too(name: str) -> None:
    findings = Findings.of(read(Path(__file__).parent / "folders" / name))
    contents = as_json(findings)["diagnoses"]
    assert all(one.keys() == KEYS for one in contents)
    assert diagnosis_text(findings)
    assert page([findings])


def test_the_page_draws_what_it_rests_on(sick: Path) -> None:
    findings = Findings.of(read(sick))
    drawn = evidence(findings.study, findings.diagnoses[0])
    vitals = findings.study.arms[0].runs[0].pictures.vitals
    assert drawn is not None
    assert vitals is not None
    assert drawn.log
    np.testing.assert_array_equal(drawn.lines["sd of what it is given"], vitals.spread[0])
    text = page([findings])
    assert text.index("The answer") < text.index("What went wrong") < text.index("<h3>Curves</h3>")
    assert 'data-figure="wrong0"' in text
    assert '"wrong0":{"data":[{"x":["linears.0"' in text


def test_few_lines_under_the_results_however_much_is_wrong(sick: Path) -> None:
    (arm,) = read(sick).arms
    many = replace(read(sick), arms=[replace(arm, name=f"arm {i}") for i in range(30)], named=True)
    console = Console(width=80, file=io.StringIO())
    lines = diagnosis_lines(Findings.of(many))
    console.print(*lines)
    assert len(lines) == 9
    assert lines[-1].plain.startswith("26 more; ")


def test_names_do_nothing_to_a_terminal_or_a_page(called: Called, sick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (arm,) = read(sick).arms
    name = "<b>\x1b[31m</script> [bold] 学"
    odd = replace(read(sick), arms=[replace(arm, name=name), replace(arm, name="b")], named=True)
    monkeypatch.setattr("paribus.study.reading.read", lambda _: odd)
    found = called("diagnose", str(sick))
    assert found.returncode == 0
    assert "\x1b" not in found.stdout
    assert "[bold] 学: vanishing-signal" in found.stdout
    assert "<b>" not in page([Findings.of(odd)]).partition("What went wrong")[2].partition("<h3>Curves")[0]


def test_an_error_of_a_loop_does_nothing_to_a_terminal(
    called: Called, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is printed as the run ends too, before any record of it is read."""
    (tmp_path / "mine.py").write_text("def loop(seed, a=1):\n    raise ValueError('\\x1b[31mred [bold]')\n")
    found = called("train", "mine.py:loop", "--metric", "score", "--out", "s")
    assert "seed 0: failed: ValueError: \ufffd[31mred [bold]" in found.stderr
    assert "\x1b" not in found.stderr + found.stdout
    _Teller().on_message("\x1b[31mred\nof two lines")
    assert capsys.readouterr().err == "\ufffd[31mred\nof two lines\n"
    Bar(Console(), 1, 1).on_message("\x1b[31mred")
    assert capsys.readouterr().out == "\ufffd[31mred\n"


def test_a_cure_is_promised_only_where_there_is_one(sick: Path) -> None:
    (arm,) = read(sick).arms

    def last(study: StudyRecord) -> str:
        return diagnosis_lines(Findings.of(study))[-1].plain

    told = "`paribus diagnose` on this folder says why"
    assert last(read(sick)) == f"{told}, and with --cure tries what may help"
    own = {**arm.settings, "model": "Net()", "model.function": "net"}
    assert (
        last(replace(read(sick), arms=[replace(arm, settings=own)])) == f"{told}; .cure() in Python tries what may help"
    )
    curve = {"step": np.arange(3.0), "epoch": np.arange(3.0), "train_loss": np.array([1.0, np.nan, np.nan])}
    mine = replace(arm, settings={"loop.lr": 0.1}, runs=[replace(arm.runs[0], curve=curve)])
    assert last(replace(read(sick), arms=[mine], own_loop=True)) == told


def test_a_cure_of_which_no_seed_is_done_yet_is_told_by_why() -> None:
    """As where the cures were interrupted."""
    open_ = Cure("norm=batch", {"norm": "batch"}, ("dead-units",), "not decided", "too few seeds", 0)
    assert cure_words(open_, metric_named("test_accuracy")) == "too few seeds"
    assert cure_words(replace(open_, p=1.0, seeds=1), metric_named("test_accuracy")) == "p = 1, 1 seed; too few seeds"


def test_seeds_alone_have_no_effect(called: Called, sick: Path) -> None:
    found = called("diagnose", str(sick), "--seeds", "8")
    assert found.returncode == 2
    assert "--seeds 8 has no effect without --cure" in found.stderr
    wrong = called("diagnose", str(sick), "--cure", "--seeds", "many")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--seeds many is not allowed" in wrong.stderr
    gone = called("diagnose", str(sick / "gone"))
    assert gone.returncode == 2
