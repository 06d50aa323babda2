"""A study that is asked for again: what is recorded is said, what changed is refused, and `fresh` loses nothing."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from torch import nn

import paribus
from paribus import api
from paribus.config.overrides import SettingsError
from paribus.config.user_code import UserDefined, user_defined
from paribus.study.driver import LOCK, lock
from paribus.study.stages import stages
from paribus.study.store import FILE, StoreError
from tests.helpers import WORDS, ask, runs
from tests.test_cli import paribus as command

WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d"


def net(width: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))


def compare(out: Path, width: int = 3, **more: object) -> paribus.Study:
    models = {"net": net(width), "line": lambda: nn.Linear(2, 2)}
    return paribus.compare("moons", model=models, epochs=1, seeds=2, out=out, **more)  # type: ignore[arg-type]


def test_python_says_what_was_recorded_and_that_nothing_was_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(tmp_path / "s")
    assert "recorded" not in capsys.readouterr().err
    compare(tmp_path / "s")
    said = capsys.readouterr().err
    assert re.search(rf"4 of 4 runs are recorded already, on {WHEN}: nothing was trained", said)
    paribus.compare(
        "moons", model={"net": net(3), "line": lambda: nn.Linear(2, 2)}, epochs=1, seeds=3, out=tmp_path / "s"
    )
    assert re.search(rf"4 of 6 runs are recorded already, on {WHEN}: 2 are trained now", capsys.readouterr().err)


def test_a_changed_module_is_named_with_the_date_and_the_cure(tmp_path: Path) -> None:
    compare(tmp_path / "s")
    before = (tmp_path / "s" / FILE).read_bytes()
    with pytest.raises(StoreError) as caught:
        compare(tmp_path / "s", 4)
    assert re.search(rf"the model of arm 'model=net' changed since it was recorded on {WHEN}\. ", str(caught.value))
    assert "Give --fresh (fresh=True) to train all anew" in str(caught.value)
    assert "line" not in str(caught.value)
    assert (tmp_path / "s" / FILE).read_bytes() == before


def test_a_changed_module_of_every_arm_is_named(tmp_path: Path) -> None:
    def study(width: int) -> paribus.Study:
        return paribus.compare("moons", model={"net": net(width)}, lr=[0.1, 0.2], epochs=1, seeds=1, out=tmp_path / "s")

    study(3)
    with pytest.raises(StoreError, match=r"the model of arm 'lr=0\.1' changed since .*the model of arm 'lr=0\.2'"):
        study(4)


def test_a_changed_metric_is_named(tmp_path: Path) -> None:
    def study(factor: int) -> paribus.Study:
        metrics = {"share": lambda y, p: float((y == p).mean()) * factor}
        return paribus.train("moons", epochs=1, metrics=metrics, out=tmp_path / "s")

    study(1)
    with pytest.raises(StoreError, match=rf"the metric 'share' changed since it was recorded on {WHEN}"):
        study(2)


def test_what_cannot_be_told_from_a_changed_one_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = itertools.count()

    def untellable(thing: Callable[..., object], name: str | None = None) -> UserDefined:
        return replace(user_defined(thing, name), fingerprint=f"{next(count):012d}{0:052d}", reason="x is an open file")

    monkeypatch.setattr(api, "user_defined", untellable)
    compare(tmp_path / "s")
    with pytest.raises(StoreError) as caught:
        compare(tmp_path / "s")
    said = (
        rf"the model of arm 'model=net' cannot be told from a changed one, recorded on {WHEN}: x is an open file; make"
    )
    assert re.search(said, str(caught.value))
    assert "changed since" not in str(caught.value)


def test_settings_that_differ_are_said_beside_what_changed(tmp_path: Path) -> None:
    compare(tmp_path / "s")
    with pytest.raises(StoreError) as caught:
        compare(tmp_path / "s", 4, metric="test_loss")
    assert "primary metric (test_accuracy there, test_loss here)" in str(caught.value)
    assert "the model of arm 'model=net' changed" in str(caught.value)


def test_fresh_trains_all_anew_and_keeps_what_was_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare(tmp_path / "s", 3)
    before = (tmp_path / "s" / FILE).read_bytes()
    study = compare(tmp_path / "s", 4, fresh=True)
    (aside,) = tmp_path.glob("s-until-*")
    assert f"what was recorded is now in {aside}: all runs are trained anew" in capsys.readouterr().err
    assert (aside / FILE).read_bytes() == before
    assert [run.attempt for run in runs(study.record).values()] == [1] * 4
    compare(tmp_path / "s", 4, fresh=True)  # within the same second too
    assert len(list(tmp_path.glob("s-until-*"))) == 2
    assert {len(paribus.open(folder).record.arms) for folder in tmp_path.iterdir()} == {2}


def test_fresh_begins_a_new_study_as_any_other(tmp_path: Path) -> None:
    compare(tmp_path / "s", fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_fresh_refuses_before_anything_is_set_aside(tmp_path: Path) -> None:
    compare(tmp_path / "s")
    with pytest.raises(SettingsError):
        compare(tmp_path / "s", fresh=True, metric="nothing")
    with lock(tmp_path / "s"), pytest.raises(StoreError, match="carried out by another process"):
        compare(tmp_path / "s", fresh=True)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_fresh_of_a_tuned_study_sets_all_stages_aside(tmp_path: Path) -> None:
    tuned = paribus.compare(
        "moons", hidden=["5", "none"], epochs=2, seeds=1, tune={"lr": [0.1, 0.2]}, tune_seeds=1,
        implementation="numpy", out=tmp_path / "t",
    )  # fmt: skip
    assert tuned.record.tuning is not None
    again = paribus.compare(
        "moons", hidden=["5", "none"], epochs=2, seeds=1, tune={"lr": [0.1, 0.5]}, tune_seeds=1,
        implementation="numpy", out=tmp_path / "t", fresh=True,
    )  # fmt: skip
    assert again.record.tuning is not None
    (aside,) = tmp_path.glob("t-until-*")
    assert {path.name for path in aside.iterdir()} >= {"tuning", "shared", FILE}


@pytest.mark.slow
def test_the_command_takes_fresh_and_a_dry_run_of_it_touches_nothing(tmp_path: Path) -> None:
    words = ["train", "moons", "epochs=1", "implementation=numpy", "--out", "s"]
    assert command(tmp_path, *words).returncode == 0
    dry = command(tmp_path, *words, "--fresh", "--dry-run")
    assert dry.returncode == 0
    assert re.search(r"\(one arm\) +1 +0 ", dry.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    done = command(tmp_path, *words, "--fresh")
    assert done.returncode == 0
    assert "all runs are trained anew" in " ".join(done.stdout.split())
    assert len(list(tmp_path.glob("s-until-*"))) == 1


def test_a_stage_that_was_set_aside_is_not_fresh_any_more(tmp_path: Path) -> None:
    """Else what it trains now would be trained again by whoever carries it out."""
    ((stage, _),) = stages(ask(tmp_path / "s", f"{WORDS} implementation=numpy", "1").replaced(fresh=True))
    assert stage.fresh is False


@pytest.mark.parametrize("error", [SettingsError(["a is wrong", "b too"]), StoreError("s holds another study")])
def test_a_notebook_shows_the_sentence_alone(error: Exception) -> None:
    shown = error._render_traceback_()  # type: ignore[attr-defined]
    assert shown == [f"{type(error).__name__}: {error}"]


def test_a_tuple_is_one_network_and_a_list_is_several(tmp_path: Path) -> None:
    one = paribus.train("moons", hidden=(7, 5), epochs=1, implementation="numpy", out=tmp_path / "one")
    assert one.record.arms[0].settings["model.hidden"] == "7x5"
    several = paribus.compare(
        "moons", hidden=[(7, 5), (3,), 4], epochs=1, seeds=1, implementation="numpy", out=tmp_path / "several"
    )
    assert [arm.settings["model.hidden"] for arm in several.record.arms] == ["7x5", "3", "4"]


def _inside(folder: str) -> str:
    try:
        paribus.train("moons", epochs=1, implementation="numpy", jobs=2, out=folder)
    except SettingsError as error:
        return str(error)
    return "trained"


def test_several_jobs_in_a_pools_worker_are_refused(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        said = pool.apply(_inside, (str(tmp_path / "s"),))
    assert said.startswith("jobs=2 cannot be had in a worker of a pool")
    assert not (tmp_path / "s").exists()


def test_dir_shows_the_api_alone() -> None:
    assert {name for name in dir(paribus) if not name.startswith("__")} == {
        "LoopRun",
        "Scored",
        "Study",
        "check",
        "compare",
        "data",
        "judge",
        "lightning",
        "metric",
        "open",
        "train",
        "transformers",
    }


def test_a_changed_module_is_named_in_new_arms_too(tmp_path: Path) -> None:
    """A study that is extended by arms with names of their own would hold two things under one name."""

    def study(width: int, lr: list[float]) -> paribus.Study:
        models = {"a": net(3), "b": net(width)}
        return paribus.compare("moons", model=models, lr=lr, epochs=1, seeds=1, out=tmp_path / "s")

    study(4, [0.1, 0.2])
    with pytest.raises(StoreError, match=r"the model of arm 'model=b lr=0\.3' changed since it was recorded on"):
        study(5, [0.3, 0.4])


def test_fresh_leaves_a_study_alone_while_a_stage_of_it_is_carried_out(tmp_path: Path) -> None:
    tuned = {"hidden": ["5", "none"], "epochs": 1, "seeds": 1, "tune": {"lr": [0.1, 0.2]}, "tune_seeds": 1}
    paribus.compare("moons", implementation="numpy", out=tmp_path / "t", **tuned)  # type: ignore[arg-type]
    for stage in ("tuning", "shared"):
        with lock(tmp_path / "t" / stage), pytest.raises(StoreError, match="carried out by another process"):
            paribus.compare("moons", implementation="numpy", out=tmp_path / "t", fresh=True, **tuned)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_who_waited_for_a_folder_that_was_set_aside_does_not_write_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = FileLock.acquire
    (tmp_path / "s").mkdir()

    def late(self: FileLock, *arguments: object, **more: object) -> object:
        held = acquire(self, *arguments, **more)  # type: ignore[arg-type]
        (tmp_path / "s").rename(tmp_path / "aside")  # by another process, before this one had the lock
        (tmp_path / "s").mkdir()
        (tmp_path / "s" / LOCK).touch()
        return held

    monkeypatch.setattr(FileLock, "acquire", late)
    with pytest.raises(StoreError, match=r"another process has just set .* aside"), lock(tmp_path / "s"):
        pass


def test_the_folder_that_one_is_in_is_not_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paribus.train("moons", epochs=1, implementation="numpy", out=".")
    with pytest.raises(StoreError, match="the folder that you are in cannot be set aside"):
        paribus.train("moons", epochs=1, implementation="numpy", out=".", fresh=True)


@pytest.mark.parametrize("more", [{}, {"fresh": True}])
def test_a_folder_that_may_not_be_written_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, bool]
) -> None:
    compare(tmp_path / "s")

    def refused(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(StoreError, match="cannot be written: Permission denied; choose another folder with --out"):
        compare(tmp_path / "s", **more)
