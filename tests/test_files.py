"""Studies as TOML files: the same description as a command, and one clear answer to every mistake."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from paribus.config.overrides import SettingsError
from paribus.findings.findings import Findings
from paribus.reproduction import files
from paribus.study.file import read_file
from paribus.study.reading import read
from paribus.study.runner import carry_out, complete, prepare
from paribus.study.spec import StudySpec, request, target_of
from paribus.study.store import StoreError
from paribus.study.toml import as_toml
from paribus.tasks import cifar10
from tests.helpers import assert_same_curves


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def settings_of(asked: StudySpec) -> dict[str, object]:
    return {arm.name: arm.settings for arm in asked.design.arms}


def test_a_file_and_a_command_are_one_description(tmp_path: Path) -> None:
    text = """
    task = "moons"
    seeds = [3, 5]
    metric = "test_loss"
    target = "test_accuracy=0.9"
    margin = 0.01
    [settings]
    epochs = 7
    optimizer = "sgd"
    [settings.model]
    hidden = "5x5"
    [factors]
    lr = [0.1, 0.01]
    "optimizer.nesterov" = [true, false]
    momentum = [0.9]
    """
    mine = read_file(written(tmp_path, text))
    words = ["epochs=7", "hidden=5x5", "lr=0.1,0.01", "nesterov=true,false", "momentum=0.9"]
    theirs = request(
        "moons",
        words,
        compare=True,
        seeds=[3, 5],
        metric="test_loss",
        target=target_of("test_accuracy=0.9"),
        margin=0.01,
    )
    assert set(settings_of(mine).values()) == set(settings_of(theirs).values())
    assert (mine.seeds, mine.metric, mine.target, mine.margin) == (
        theirs.seeds,
        theirs.metric,
        theirs.target,
        theirs.margin,
    )
    assert mine.folder == Path("runs/study")


@pytest.mark.parametrize(
    "text",
    [
        'task = "moons"\nseeds = 2\ntarget = "test_accuracy=0.8765432198"\n[settings]\nepochs = 3\n[factors]\n'
        'optimizer = ["sgd", "adam", "adamw", "rmsprop"]\n[factors.model]\nhidden = ["5"]',
        'task = "moons"\nseeds = 2\n[settings]\nepochs = 3\n[factors]\nlr = [0.1, 0.01]\nclip = ["none", 1.5]',
        'task = "moons"\nseeds = [1]\nbaseline = "a"\nmargin = 0.5\ntarget = "test_loss=0.5"\n[settings]\nepochs = 3\n'
        '[[arms]]\nname = "a"\nloader = "dataloader"\n[[arms]]\nname = "\\"b\\" \\\\ 学"\noptimizer = "adam"\ntask = "blobs"',
    ],
)
def test_show_toml_repeats_the_study(tmp_path: Path, text: str) -> None:
    first = carry_out(read_file(written(tmp_path, text), tmp_path / "a"))
    again = read_file(written(tmp_path, as_toml(first)), tmp_path / "b")
    assert_same_curves(carry_out(again), first)
    assert as_toml(read(tmp_path / "b")) == as_toml(first)
    again = read_file(written(tmp_path, as_toml(first)), tmp_path / "b")
    described = read_file(written(tmp_path, text), tmp_path / "a")
    for option in ("seeds", "metric", "timing", "target", "baseline", "margin"):
        assert getattr(again, option) == getattr(described, option), option
    assert prepare(read_file(written(tmp_path, as_toml(first)), tmp_path / "a")).missing == []


BAD = {
    "unknown key": ('task = "moons"\nsead = 3', "there is no key 'sead': did you mean 'seeds'?"),
    "wrong type": ('task = "moons"\nseeds = "many"', "seeds = 'many' is not allowed: seeds is a number of seeds or a list"),
    "bool for number": ('task = "moons"\nseeds = true', "seeds = True is not allowed"),
    "no task": ("seeds = 3", "there is no task"),
    "unknown setting": ('task = "moons"\n[settings]\nmomentun = 0.9', "settings: there is no setting 'momentun': did you mean 'momentum'?"),
    "bad value": ('task = "moons"\n[settings]\nlr = -1', "optimizer.lr=-1 is not allowed: lr is a finite number above 0"),
    "infinite value": ('task = "moons"\n[settings]\nlr = nan', "optimizer.lr=nan is not allowed"),
    "list as a setting": ('task = "moons"\n[settings]\nlr = [1, 2]', "settings: lr = [1, 2] is not allowed"),
    "factor without a list": ('task = "moons"\n[factors]\nlr = 1', "factors: lr = 1 is not allowed: write a list"),
    "arm without a name": ('task = "moons"\n[[arms]]\nlr = 1.0', "arms: number 1 has no name"),
    "arm twice": ('task = "moons"\n[[arms]]\nname = "a"\n[[arms]]\nname = "a"\nlr = 1.0', "arms: 'a' is given more than once"),
    "same arm": ('task = "moons"\n[[arms]]\nname = "a"\n[[arms]]\nname = "b"', "b is the same as a: two arms differ in a setting"),
    "no such baseline": ('task = "moons"\nbaseline = "c"\n[factors]\nlr = [1.0, 2.0]', "--baseline c is no arm"),
    "memory without a clock": ('task = "moons"\nmetric = "peak_memory_mb"', "--metric peak_memory_mb needs --timing"),
    "time without a clock": ('task = "moons"\nmetric = "seconds_per_epoch"', "--metric seconds_per_epoch needs --timing"),
    "no target": ('task = "moons"\nmetric = "epochs_to_target"', "--metric epochs_to_target cannot be the primary one"),
    "margin": ('task = "moons"\nmargin = -1', "--margin -1 is not allowed: margin is a finite number above 0"),
    "jobs": ('task = "moons"\njobs = 0', "--jobs 0 is not allowed"),
    "more threads than cores": (
        'task = "moons"\njobs = 999\n[settings]\nimplementation = "torch"\nthreads = 2',
        "--jobs 999 with threads=2 asks for 1998 threads",
    ),
    "timing and jobs": ('task = "moons"\njobs = 2\ntiming = true', "--jobs 2 and --timing exclude each other"),
    "seeds repeated": ('task = "moons"\nseeds = [1, 1]', "--seeds 1,1,: 1 is repeated"),
    "a setting twice": ('task = "moons"\n[settings]\nlr = 0.1\n"optimizer.lr" = 0.2', "settings: optimizer.lr is given twice"),
    "the task twice": ('task = "moons"\n[settings]\ntask = "digits"', "settings: task is given twice"),
    "an arm's own factor": ('task = "moons"\n[factors]\nlr = [0.1, 0.2]\n[[arms]]\nname = "a"\nlr = 0.3', "arm 1: optimizer.lr is its own and a factor"),
    "true for a number": ('task = "moons"\n[settings]\nlr = true', "optimizer.lr=true is not allowed"),
    "a number of 5,000 digits": ("seeds = " + "9" * 5000, "is not TOML"),
    "not TOML": ("task = = 3", "is not TOML"),
    "deep": ("task = " + "[" * 200_000, "is not TOML"),
    "two megabytes of nesting": ("a = " + "[" * 2_000_000, "a study file has at most 1000000"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "answer"), BAD.values(), ids=BAD)
def test_a_mistake_in_a_file_has_one_clear_answer(tmp_path: Path, text: str, answer: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_file(written(tmp_path, text))
    (only,) = caught.value.mistakes
    assert answer in only
    assert str(tmp_path / "study.toml") in only
    assert len(only) < 600


def test_every_mistake_in_a_file_is_told_at_once(tmp_path: Path) -> None:
    keys = 'sead = 3\nseeds = [1, "two"]\ntiming = 1\njobs = "2"\nmargin = "0.1"\nkeep = "weights"\nname = 3\n[[settings]]\n'
    with pytest.raises(SettingsError) as caught:
        read_file(written(tmp_path, keys))
    told = "\n".join(caught.value.mistakes)
    for line in (
        "there is no key 'sead': did you mean 'seeds'?",
        'there is no task: write task = "moons"',
        "seeds = [1, 'two'] is not allowed: seeds is a number of seeds or a list of them",
        "timing = 1 is not allowed: timing is true or false",
        "jobs = '2' is not allowed: jobs is a whole number",
        "margin = '0.1' is not allowed: margin is a number",
        "keep = 'weights' is not allowed: keep is a list of",
        "name = 3 is not allowed: name is text",
        "settings = [{}] is not allowed: settings is a table of settings",
    ):
        assert f"study.toml: {line}" in told, line
    assert len(caught.value.mistakes) == 9
    later = 'task = "moons"\nseeds = [1, 1]\nkeep = ["wights"]\ntarget = "x"\njobs = 0\n[settings]\nlr = -1\n[tune]\nmomentum = []\n'
    with pytest.raises(SettingsError) as caught:
        read_file(written(tmp_path, later + '[[claims]]\nid = "a"\n'))
    starts = (
        "--seeds 1,1,: 1 is",
        "--keep wights is",
        "--target x is",
        "--jobs 0 is",
        "optimizer.lr=-1 is",
        "tune: momentum = [] is",
        "a claim has",
    )
    assert all(any(f"study.toml: {start}" in line for line in caught.value.mistakes) for start in starts)
    assert len(caught.value.mistakes) == 7


def test_text_of_any_sign_is_written_and_read(tmp_path: Path) -> None:
    name = '\u2028 "\'\\ # = [a] \n\t\r 学 \U0001f600 """'
    text = 'task = "moons"\nseeds = 1\n[settings]\nepochs = 1\n[factors]\nlr = [1e-5, 1e30]'
    first = carry_out(read_file(written(tmp_path, text), tmp_path / "a"))
    study = replace(first, arms=[replace(first.arms[0], name=name), *first.arms[1:]], baseline=name, named=True)
    again = read_file(written(tmp_path, as_toml(study)), tmp_path / "b")
    assert [arm.name for arm in again.design.arms] == [name, first.arms[1].name]
    assert again.baseline == name
    assert [arm.settings.flat() for arm in again.design.arms] == [arm.settings for arm in first.arms]


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\x7f", "\x85"])
def test_a_sign_that_would_move_a_terminal_is_no_name(tmp_path: Path, sign: str) -> None:
    text = f'task = "moons"\n[[arms]]\nname = "a\\u{ord(sign):04x}"\nlr = 0.1\n[[arms]]\nname = "b"\nlr = 0.2'
    with pytest.raises(SettingsError, match="has a control character: take it out"):
        read_file(written(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(SettingsError, match="cannot be read"):
            read_file(path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not TOML"):
        read_file(tmp_path / "bytes.toml")


STUDIES = sorted(files("c1", "full")[0].parent.parent.glob("*/*.toml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_reports_studies_can_be_run(tmp_path: Path, path: Path) -> None:
    """Each file is whole, and its data take it, where they are on this machine."""
    with path.open("rb") as file:
        facts = tomllib.load(file)
    assert facts["seeds"] >= 6
    asked = read_file(path, tmp_path / "s")
    if facts["task"] == "cifar10" and not cifar10.folder().is_dir():
        pytest.skip("CIFAR-10 is not on this machine: paribus data get cifar10")
    work = prepare(asked)
    assert len(work.missing) == len(asked.seeds) * len(asked.design.arms)


def test_both_readings_of_the_epoch_are_judged() -> None:
    for path in files("part1", "full")[:3]:
        asked = read_file(path)
        readings = {arm.settings.steps_per_epoch for arm in asked.design.arms}
        assert readings == {"all", 1}


def test_a_written_file_keeps_the_factors_of_the_command(tmp_path: Path) -> None:
    words = ["optimizer=sgd,adam", "lr=0.1,0.2", "epochs=1"]
    first = carry_out(request("moons", words, compare=True, seeds=[0], out=tmp_path / "s"))
    again = carry_out(read_file(written(tmp_path, as_toml(first)), tmp_path / "s"))
    assert (again.factors, again.named) == (["optimizer", "optimizer.lr"], False)


def test_an_arm_may_be_given_another_name(tmp_path: Path) -> None:
    text = 'task = "moons"\nseeds = 1\n[settings]\nepochs = 2\n[[arms]]\nname = "{}"\n[[arms]]\nname = "b"\nlr = 0.5\n'
    carry_out(read_file(written(tmp_path, text.format("a")), tmp_path / "s"))
    renamed = read_file(written(tmp_path, 'baseline = "new"\n' + text.format("new")), tmp_path / "s")
    assert prepare(renamed).missing == []
    study = carry_out(renamed)
    assert [arm.name for arm in study.arms] == ["new", "b"]
    assert complete(renamed, study)
    assert [one.b for one in Findings.of(study).primary] == ["new"]


def test_a_name_is_not_given_to_two_arms(tmp_path: Path) -> None:
    text = 'task = "moons"\nseeds = 1\n[settings]\nepochs = 2\n[[arms]]\nname = "a"\nlr = {}\n[[arms]]\nname = "b"\nlr = 0.5\n'
    carry_out(read_file(written(tmp_path, text.format(0.1)), tmp_path / "s"))
    with pytest.raises(StoreError, match="arm 'a', which is recorded with other settings"):
        prepare(read_file(written(tmp_path, text.format(0.2)), tmp_path / "s"))


def test_a_part_of_a_study_is_that_study(tmp_path: Path) -> None:
    words = ["lr=0.1,0.2", "hidden=5,none", "epochs=2"]
    carry_out(request("moons", words, compare=True, seeds=range(2), out=tmp_path / "s"))
    part = request("moons", ["lr=0.1", "hidden=5", "epochs=2"], compare=False, seeds=range(3), out=tmp_path / "s")
    assert len(prepare(part).missing) == 1
    assert carry_out(part).factors == ["optimizer.lr", "model.hidden"]
    other_order = request("moons", [words[1], words[0], words[2]], compare=True, seeds=range(2), out=tmp_path / "s")
    assert complete(other_order, carry_out(other_order))


def test_parts_leave_the_names_of_the_whole(tmp_path: Path) -> None:
    words = ["lr=0.1,0.2", "epochs=2"]
    carry_out(request("moons", words, compare=True, seeds=range(2), out=tmp_path / "s", baseline="lr=0.1"))
    for rate in ("0.1", "0.2"):
        part = request("moons", [f"lr={rate}", "epochs=2"], compare=False, seeds=range(3), out=tmp_path / "s")
        study = carry_out(part)
        assert complete(part, study)
        assert [arm.name for arm in study.arms] == ["lr=0.1", "lr=0.2"]
    assert [(one.a, one.b, one.pairs) for one in Findings.of(study).primary] == [("lr=0.2", "lr=0.1", 3)]
