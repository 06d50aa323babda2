"""The same words in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import paribus
from paribus.commands import described
from paribus.config.overrides import SettingsError
from paribus.config.values import listed_values
from paribus.study.arms import seeds_of
from paribus.study.file import read_file
from paribus.study.runner import carry_out
from paribus.study.spec import StudySpec, keep_of, request, target_of
from paribus.study.store import Store
from tests.helpers import ask, assert_same_curves


def test_python_and_the_command_line_are_one_description(tmp_path: Path) -> None:
    words = {"hidden": ["5", "none"], "epochs": 6, "eval_every": 2, "init": "default", "optimizer.lr": 0.1}
    mine = paribus.compare("moons", seeds=[1, 4], out=tmp_path / "a", **words)  # type: ignore[arg-type]
    text = "moons hidden=5,none epochs=6 eval_every=2 init=default lr=0.1"
    assert_same_curves(mine.record, carry_out(ask(tmp_path / "b", text, "1,4")))
    assert_same_curves(paribus.open(tmp_path / "b").record, mine.record)


def test_tables_are_tidy(tmp_path: Path) -> None:
    study = paribus.compare(
        ["moons", "blobs"], epochs=4, eval_every=2, nesterov=False, seeds=2, out=str(tmp_path / "a")
    )
    table, curves = study.table(), study.curves()
    assert list(table["task"]) == ["moons", "moons", "blobs", "blobs"]
    assert len(curves) == 2 * 2 * 2
    last = curves.groupby(["arm", "seed"])["test_loss"].last()
    np.testing.assert_array_equal(last.loc["task=blobs"], table[table["task"] == "blobs"]["test_loss"])
    assert np.isnan(table["seconds_per_epoch"]).all()
    found = study.differences()
    assert found["metric"].iloc[0] == "test_accuracy"
    assert set(found["verdict"].dropna()) == {"too few seeds"}
    assert not any("unequal in the data" in line for line in study.warnings())  # the task is the factor
    assert study.plot() is not None
    assert "moons" in str(study)
    assert "<table" in study._repr_html_()


def test_too_few_seeds_are_said_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paribus.compare("moons", lr=[0.1, 0.2, 0.3], epochs=1, seeds=7, baseline="lr=0.1", out=tmp_path / "a")
    assert "told apart" not in capsys.readouterr().err
    paribus.compare("moons", lr=[0.1, 0.2, 0.3], epochs=1, seeds=6, out=tmp_path / "b")
    assert "3 pairs need 7 seeds before any can be told apart; 6 are asked for" in capsys.readouterr().err


def test_a_mistake_is_a_value_error_with_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        paribus.train("moons", lr=float("nan"), momentun=0.9, seeds=[1, 1], out=tmp_path / "a")
    assert isinstance(caught.value, ValueError)
    assert len(caught.value.mistakes) == 3
    assert not (tmp_path / "a").exists()
    with pytest.raises(AttributeError, match="no attribute 'comapre'"):
        paribus.comapre  # noqa: B018


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (2, [0, 1]),
        ("2", [0, 1]),
        ("4,2", [4, 2]),
        ("5,", [5]),
        (np.int64(2), [0, 1]),
        (np.array(2), [0, 1]),
        ([3, 5], [3, 5]),
        ((np.int32(3), 5), [3, 5]),
        (range(3, 5), [3, 4]),
        (np.arange(2, 4), [2, 3]),
        ((seed for seed in (7, 1)), [7, 1]),
    ],
    ids=["number", "text", "text of a list", "text of one", "NumPy number", "0-d array", "list", "tuple", "range", "array", "generator"],
)  # fmt: skip
def test_seeds_are_whole_numbers_in_any_form(given: object, meant: list[int]) -> None:
    found = seeds_of(given)
    assert found == meant
    assert {type(seed) for seed in found} == {int}


@pytest.mark.parametrize(
    "given", [3.0, None, True, "", "many", [], [1.5], [True], ["3"], {"3": 5}, b"3", -1, [-1], range(2_000_000), np.array([0.5])],
    ids=repr,
)  # fmt: skip
def test_what_is_no_seed_is_refused_by_name(tmp_path: Path, given: object) -> None:
    with pytest.raises(SettingsError, match=r"--seeds .*is not allowed: --seeds is a number of seeds") as caught:
        paribus.train("moons", seeds=given, out=tmp_path / "s")  # type: ignore[arg-type]
    assert len(caught.value.mistakes) == 1
    assert len(str(caught.value)) < 300


def test_what_is_kept_may_be_one_name(tmp_path: Path) -> None:
    study = paribus.train("moons", epochs=1, keep="weights", out=tmp_path / "s", jobs=np.int64(1))  # type: ignore[arg-type]
    store = Store.open(study.folder)
    assert store.artifact("", 0, "weights") is not None
    assert store.artifact("", 0, "predictions") is None
    store.close()


def test_every_argument_of_another_type_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        paribus.compare(
            "moons", lr=[1.0, -2.0], seeds=None, keep=3, jobs="two", timing=1, margin="wide", baseline=7, metric=3,
            target="x", checkpoint_every=0, name=5, out=tmp_path / "s",
        )  # type: ignore[arg-type]  # fmt: skip
    told = "\n".join(caught.value.mistakes)
    for start in (
        "optimizer.lr=-2.0 is", "--seeds None is", "--keep 3 is", "--jobs 'two' is", "--timing 1 is", "--margin 'wide' is",
        "--baseline 7 is", "--metric 3 is", "--target x is", "--checkpoint-every 0 is", "--name 5 is",
    ):  # fmt: skip
        assert f"{start} not allowed: " in told, start
    assert len(caught.value.mistakes) == 11
    with pytest.raises(SettingsError) as caught:
        paribus.train("moons", tune={"lr": [0.1, 1]}, budget="2", tune_seeds=1.5, out=tmp_path / "s")  # type: ignore[arg-type]
    assert caught.value.mistakes == ["--budget 2 is not allowed: budget is a whole number from 1 to 1000"]
    with pytest.raises(SettingsError, match=r"--tune-seeds 1.5 is not allowed"):
        paribus.train("moons", tune={"lr": [0.1, 1]}, tune_seeds=1.5, out=tmp_path / "s")  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


def test_the_three_ways_build_one_study(tmp_path: Path) -> None:
    """The command line, a file and Python: the same arms, seeds, options, names and candidates."""
    words = ["lr=0.1,0.01", "standardise=true", "hidden=5x5", "epochs=2", "clip=none", "batch_size=32"]
    typed = described(
        "moons", words, compare=True, seeds="3,5", keep="weights,predictions", target="test_accuracy=0.9",
        tune=["momentum=0,0.9"], tune_seeds=2, margin=0.01, jobs=1, name="s", checkpoint_seconds=3,
    )  # fmt: skip
    python = request(
        "", [], compare=True, seeds=seeds_of((3, 5)), keep=keep_of(["predictions", "weights"]), name="s",
        given={name: listed_values(value) for name, value in {
            "task": "moons", "lr": np.array([0.1, 0.01]), "standardise": True, "hidden": [(5, 5)], "epochs": 2, "clip": None,
            "batch_size": np.int64(32),
        }.items()},
        target=target_of("test_accuracy=0.9"), tune=[("momentum", [0, 0.9])], tune_seeds=2, margin=0.01, jobs=1,
        checkpoint_seconds=3,
    )  # fmt: skip
    (tmp_path / "s.toml").write_text(
        'task = "moons"\nseeds = [3, 5]\nkeep = ["weights", "predictions"]\ntarget = "test_accuracy=0.9"\n'
        "tune_seeds = 2\nmargin = 0.01\njobs = 1\ncheckpoint_every = 3\n[tune]\nmomentum = [0, 0.9]\n[settings]\n"
        'standardise = true\nhidden = "5x5"\nepochs = 2\nclip = "none"\nbatch_size = 32\n[factors]\nlr = [0.1, 0.01]\n'
    )
    file = read_file(tmp_path / "s.toml")
    for other in (python, file):
        assert [(arm.name, arm.settings) for arm in other.design.arms] == [
            (arm.name, arm.settings) for arm in typed.design.arms
        ]
        for field in StudySpec.model_fields:
            if field not in ("design", "tune"):
                assert getattr(other, field) == getattr(typed, field), field
        assert other.tune is not None
        assert typed.tune is not None
        assert other.tune.as_record() == typed.tune.as_record()
        assert other.tune.candidates == typed.tune.candidates
    asked = {"epochs": 2, "lr": [0.1, 1e-05], "nesterov": False, "hidden": [(3, 2)]}
    listed = {"task": ["moons"], **{name: listed_values(value) for name, value in asked.items()}}
    words = ["task=moons", "epochs=2", "lr=0.1,1e-05", "nesterov=false", "hidden=3x2"]
    mine = request("", [], compare=True, seeds=[0], given=listed)
    assert (mine.name, mine.folder) == (" ".join(words), Path("runs") / "-".join(words))
