"""Words: what is understood, and what every mistake is answered with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paribus.config.overrides import SettingsError, all_settings, build, full_name, parse_overrides
from paribus.config.registries import REGISTRIES
from paribus.config.settings import Settings
from paribus.config.tasks import TASKS
from paribus.config.values import Every
from paribus.study.arms import design, parse_seeds
from tests.conftest import settings_of


def mistakes(task: str, *words: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        design(task, words)
    return caught.value.mistakes


REPORT_TOY = {
    "model": "mlp", "model.hidden": "20", "optimizer": "sgd", "optimizer.lr": 0.01, "init": "normal:0.001",
    "batch_size": 128, "eval_every": "10", "sampler": "shuffle", "steps_per_epoch": "all", "task.test_share": 0.2,
    "optimizer.momentum": 0.0, "optimizer.weight_decay": 0.0, "precision": "float32", "threads": 1,
}  # fmt: skip


@pytest.mark.parametrize(("task", "epochs"), [("moons", 1500), ("circles", 5000), ("blobs", 1500)])
def test_the_reports_settings_are_the_defaults(task: str, epochs: int) -> None:
    flat = settings_of(f"task={task}").flat()
    assert flat["epochs"] == epochs
    assert {name: flat[name] for name in REPORT_TOY} == REPORT_TOY


@pytest.mark.parametrize("task", TASKS)
def test_settings_survive_being_written_down(task: str) -> None:
    settings = build(
        {"task": task, "model": "mlp", "model.hidden": "3x4", "eval_every": "7steps", "steps_per_epoch": "2"}
    )
    flat = settings.flat()
    assert build(flat) == settings
    assert build({name: str(value) for name, value in flat.items()}) == settings


def test_every_setting_says_its_meaning_and_what_is_allowed() -> None:
    for full, owned in all_settings().items():
        if full in REGISTRIES:
            continue
        for _, info in owned:
            assert info.description, full
            assert isinstance(info.json_schema_extra, dict), full
            assert info.json_schema_extra["allowed"], full


def test_short_names_and_full_names() -> None:
    assert full_name("lr") == full_name("optimizer.lr") == "optimizer.lr"
    assert full_name("task") == "task"
    assert parse_overrides(["task.noise=0.2", "n=500"]) == {"task.noise": ["0.2"], "task.n": ["500"]}


def test_auto_is_resolved_and_recorded() -> None:
    assert settings_of("task=moons").flat()["implementation"] == "fused"
    assert settings_of("task=moons implementation=auto") == settings_of("task=moons implementation=fused")
    assert settings_of("task=moons loader=dataloader").implementation == "torch"
    assert settings_of("task=moons threads=2").implementation == "torch"


def test_a_grid_is_every_combination() -> None:
    made = design("moons", ["lr=0.1,0.01", "hidden=none,5x5", "nesterov=true,false", "momentum=0.9"])
    assert made.factors == ["optimizer.lr", "model.hidden", "optimizer.nesterov"]
    assert len({arm.settings for arm in made.arms}) == 8
    assert made.arms[0].name == "lr=0.1 hidden=none nesterov=true"
    assert "optimizer.lr" not in made.shared
    assert made.shared["optimizer.momentum"] == 0.9


def test_a_task_can_be_a_factor() -> None:
    made = design("moons,blobs", ["epochs=3"])
    assert [arm.settings.task.name for arm in made.arms] == ["moons", "blobs"]


BAD = {
    "a file that is not there": (("my.csv",), "there is no file my.csv: of tables"),
    "a file of another kind": (("my.xlsx",), "there is no task 'my.xlsx': a file of your own is a table, .csv"),
    "unknown task": (("mons",), "there is no task 'mons': did you mean 'moons'?"),
    "unknown model": (("moons", "model=mpl"), "there is no model 'mpl': did you mean 'mlp'?"),
    "unknown optimizer": (("moons", "optimizer=sdg"), "there is no optimizer 'sdg': did you mean 'sgd'?"),
    "unknown setting": (("moons", "momentun=0.9"), "there is no setting 'momentun': did you mean 'momentum'?"),
    "far from any": (("moons", "qqqq=1"), "there is no setting 'qqqq': `paribus list settings` names them all"),
    "of another task": (("digits", "noise=0.2"), "noise has no effect with task=digits: it is a setting of moons, circles"),
    "not a number": (("moons", "lr=fast"), "optimizer.lr=fast is not allowed: lr is a finite number above 0"),
    "nan": (("moons", "lr=nan"), "optimizer.lr=nan is not allowed: lr is a finite number above 0"),
    "infinite": (("moons", "lr=inf"), "optimizer.lr=inf is not allowed: lr is a finite number above 0"),
    "negative": (("moons", "batch_size=-1"), "batch_size=-1 is not allowed: batch_size is a whole number above 0"),
    "zero": (("moons", "batch_size=0"), "batch_size=0 is not allowed: batch_size is a whole number above 0"),
    "fraction": (("moons", "epochs=1.5"), "epochs=1.5 is not allowed: epochs is a whole number of at least 0"),
    "sizes": (
        ("moons", "hidden=20xx20"),
        "model.hidden=20xx20 is not allowed: hidden is whole numbers above 0 joined by x, as in 64x64, or none",
    ),
    "zero size": (("moons", "hidden=20x0"), "model.hidden=20x0 is not allowed: hidden is whole numbers above 0"),
    "negative size": (("moons", "hidden=-3"), "model.hidden=-3 is not allowed"),
    "init": (("moons", "init=normal"), "init=normal is not allowed: init is normal:STD with STD above 0"),
    "init scale": (("moons", "init=normal:-1"), "init=normal:-1 is not allowed"),
    "init nan": (("moons", "init=normal:nan"), "init=normal:nan is not allowed"),
    "init with a parameter it lacks": (("moons", "init=orthogonal:2"), "init=orthogonal:2 is not allowed"),
    "interval": (("moons", "eval_every=0"), "eval_every=0 is not allowed"),
    "interval unit": (("moons", "eval_every=5epochs"), "eval_every=5epochs is not allowed"),
    "steps": (("moons", "steps_per_epoch=0"), "steps_per_epoch=0 is not allowed"),
    "dropout": (("moons", "dropout=1"), "model.dropout=1 is not allowed: dropout is a number from 0 to below 1"),
    "nesterov": (("moons", "nesterov=true"), "nesterov=true needs momentum above 0 and dampening 0 (momentum=0, dampening=0)"),
    "nesterov and dampening": (("moons", "nesterov=true", "momentum=0.9", "dampening=0.1"), "nesterov=true needs momentum"),
    "dampening alone": (("moons", "dampening=0.1"), "dampening=0.1 has no effect with momentum=0"),
    "dropout of nothing": (("moons", "hidden=none", "dropout=0.5"), "dropout=0.5 has no effect with hidden=none"),
    "momentum of adam": (("moons", "optimizer=adam", "momentum=0.9"), "momentum has no effect with optimizer=adam: it is a setting of sgd, rmsprop"),
    "beta": (("moons", "optimizer=adam", "beta1=1"), "optimizer.beta1=1 is not allowed: beta1 is a number from 0 to below 1"),
    "schedule": (("moons", "schedule=cosin"), "schedule=cosin is not allowed: schedule is constant, multistep:EPOCHS:FACTOR"),
    "milestones": (("moons", "schedule=multistep:80+40:0.1"), "schedule=multistep:80+40:0.1 is not allowed"),
    "milestones never reached": (("moons", "schedule=multistep:80:0.1", "epochs=50"), "schedule=multistep:80:0.1 has no effect with epochs=50"),
    "warm-up": (("moons", "schedule=warmup:0"), "schedule=warmup:0 is not allowed"),
    "clip": (("moons", "clip=0"), "clip=0 is not allowed: clip is a finite number above 0, or none"),
    "loader by hand": (("moons", "implementation=numpy", "loader=dataloader"), "loader=dataloader has no effect with implementation=numpy"),
    "twice": (("moons", "lr=0.1", "optimizer.lr=0.2"), "optimizer.lr is given twice (0.1 and 0.2)"),
    "task twice": (("moons", "task=blobs"), "task is given twice (moons and blobs)"),
    "same value": (("moons", "lr=0.1,0.10"), "optimizer.lr=0.10 is the same as optimizer.lr=0.1: two arms differ in a setting"),
    "no equals": (("moons", "lr"), "'lr' is not a setting: write key=value, as in lr=0.01"),
    "no value": (("moons", "lr="), "'lr=' is not a setting"),
    "empty value": (("moons", "lr=0.1,,0.2"), "'lr=0.1,,0.2' has an empty value between its commas"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "answer"), BAD.values(), ids=BAD)
def test_a_mistake_has_one_clear_answer(words: tuple[str, ...], answer: str) -> None:
    (only,) = mistakes(*words)
    assert only.startswith(answer)


def test_all_mistakes_come_in_one_message() -> None:
    found = mistakes("moons", "lr=nan", "hidden=20xx20", "nesterov=true", "momentun=0.9", "foo", "epochs=-1", "lr=3")
    assert len(found) == 6
    assert sum("nesterov" in line for line in found) == 0  # its optimizer does not stand while lr=nan
    found = mistakes("moons", "hidden=20xx20", "nesterov=true", "batch_size=0")
    assert len(found) == 3


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "", "3,-1", "3,x", ",", str(2**33)])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--seeds {text} is not allowed"):
        parse_seeds(text)


def test_repeated_seeds_are_named() -> None:
    with pytest.raises(SettingsError, match="--seeds 3,5,3: 3 is repeated"):
        parse_seeds("3,5,3")


def test_settings_are_frozen() -> None:
    settings = settings_of("task=moons")
    with pytest.raises(ValueError, match="frozen"):
        settings.epochs = 3  # type: ignore[misc]


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_is_answered_with_anything_but_a_mistake(key: str, value: str) -> None:
    try:
        build_any = design("moons", [f"{key}={value}"])
    except SettingsError as error:
        assert error.mistakes
        assert all(error.mistakes)
    else:
        assert isinstance(build_any.arms[0].settings, Settings)


@given(st.sampled_from(sorted(all_settings())), st.text(alphabet="0123456789-+.einfaxruls:,x", max_size=8))
def test_no_value_is_answered_with_anything_but_a_mistake(name: str, value: str) -> None:
    try:
        design("moons", [f"{name}={value}"])
    except SettingsError as error:
        assert all(error.mistakes)


def test_intervals_in_steps() -> None:
    assert Every.parse("3").in_steps(7) == 21
    assert Every.parse("3steps").in_steps(7) == 3


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("learning_rate", "lr"),
        ("learningrate", "lr"),
        ("Learning-Rate", "lr"),
        ("wd", "weight_decay"),
        ("bs", "batch_size"),
        ("batchsize", "batch_size"),
        ("hidden_size", "hidden"),
        ("n_layers", "hidden"),
        ("num_epochs", "epochs"),
    ],
)
def test_the_field_s_other_words_are_known(word: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=f"did you mean '{meant}'"):
        parse_overrides([f"{word}=1"])
