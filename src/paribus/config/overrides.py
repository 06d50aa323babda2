"""From words (`lr=0.01 hidden=64x64`) to settings, with every mistake of a command in one message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from paribus.config.base import Config
from paribus.config.conflicts import conflicts
from paribus.config.implementations import UserImplementation
from paribus.config.losses import UserLoss
from paribus.config.recipes import RECIPES
from paribus.config.registries import A_TABLE, REGISTRIES, USER_DEFINED, own_config
from paribus.config.settings import Settings, common_settings
from paribus.config.tasks import TASKS, TableData, TaskConfig, UserData, numbers_to_predict
from paribus.config.user_code import UserDefined, UserTable
from paribus.config.values import Loss, format_value

T = TypeVar("T")
Listed = tuple[str, Sequence[T]]
"""A setting's name as it was given, and the values that are listed for it."""


class RefusedError(ValueError):
    """What Paribus does not do, and why: a sentence for whoever asked, who has no use for the way to it."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows (IPython's name for it)."""
        return [f"{type(self).__name__}: {self}"]


class SettingsError(RefusedError):
    """What is wrong with a command: all of it, one line for each mistake."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = list(dict.fromkeys(mistakes))
        super().__init__("\n".join(self.mistakes))


class Mistakes(list[str]):
    """What is wrong, of several steps: raised together, so that one message holds every mistake.

    >>> mistakes = Mistakes()
    >>> with mistakes.noted():
    ...     raise SettingsError(["lr is missing"])
    >>> mistakes
    ['lr is missing']
    """

    @contextmanager
    def noted(self, of: str = "") -> Iterator[None]:
        """Keep the mistakes of a block, and go on after it. `of`: what each of them begins with."""
        try:
            yield
        except SettingsError as error:
            self.extend(f"{of}{mistake}" for mistake in error.mistakes)


def near_miss(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """`did you mean 'moons'?`, or what there is.

    >>> near_miss("mons", ["moons", "blobs"])
    "did you mean 'moons'?"
    >>> near_miss("SGD", ["sgd", "adam"])
    "did you mean 'sgd'?"
    """
    names = sorted(known)
    lower = {one.lower(): one for one in reversed(names)}
    close = get_close_matches(name.lower(), lower, n=1)
    return f"did you mean {lower[close[0]]!r}?" if close else otherwise or f"there is {', '.join(names)}"


@cache
def all_settings() -> Mapping[str, Sequence[tuple[str, FieldInfo]]]:
    """Every full name, with the configs that have it (`''` for the common ones) and the field there."""
    found: dict[str, list[tuple[str, FieldInfo]]] = {}
    for kind, registry in REGISTRIES.items():
        found[kind] = []
        configs: dict[str, type[Config]] = {**registry, A_TABLE: TableData} if kind == "task" else registry
        for name, config in configs.items():
            for field, info in config.model_fields.items():
                if field not in ("name", "arrays"):
                    found.setdefault(f"{kind}.{field}", []).append((name, info))
    for name in common_settings():
        found[name] = [("", Settings.model_fields[name])]
    return found


_ELSEWHERE = {
    "learningrate": "lr",
    "stepsize": "lr",
    "eta": "lr",
    "wd": "weight_decay",
    "l2": "weight_decay",
    "batch": "batch_size",
    "bs": "batch_size",
    "minibatch": "batch_size",
    "minibatchsize": "batch_size",
    "epoch": "epochs",
    "nepochs": "epochs",
    "numepochs": "epochs",
    "maxepochs": "epochs",
    "layers": "hidden",
    "nlayers": "hidden",
    "numlayers": "hidden",
    "units": "hidden",
    "hiddensize": "hidden",
    "hiddenlayers": "hidden",
    "hiddenlayersizes": "hidden",
    "opt": "optimizer",
    "optim": "optimizer",
    "scheduler": "schedule",
    "lrscheduler": "schedule",
    "dropoutrate": "dropout",
    "gradclip": "clip",
    "maxgradnorm": "clip",
    "initialisation": "init",
    "initialization": "init",
    "dtype": "precision",
    "objective": "loss",
    "earlystopping": "patience",
    "mindelta": "min_delta",
    "criterion": "loss",
    "lossfunction": "loss",
    "classweights": "class_weight",
    "numthreads": "threads",
}
"""What settings are called elsewhere, in small letters and without - and _."""


def full_name(name: str) -> str:
    """The one full name that `name` is or ends; SettingsError where none or several do.

    >>> full_name("lr"), full_name("task.noise"), full_name("epochs")
    ('optimizer.lr', 'task.noise', 'epochs')
    >>> full_name("learning_rate")
    Traceback (most recent call last):
    ...
    paribus.config.overrides.SettingsError: there is no setting 'learning_rate': did you mean 'lr'?
    """
    known = all_settings()
    if name in known:
        return name
    ends = [full for full in known if full.endswith("." + name)]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise SettingsError([f"{name} is the end of {' and '.join(ends)}: write the full name"])
    short = {full.rpartition(".")[2] for full in known} | set(known)
    otherwise = "`paribus list settings` names them all"
    bare = _bare(name)
    meant = _ELSEWHERE.get(bare) or next((one for one in sorted(short) if _bare(one) == bare), name)
    raise SettingsError([f"there is no setting {name!r}: {near_miss(meant, short, otherwise)}"])


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def split_words(words: Iterable[str]) -> list[Listed[str]]:
    """`key=value` words as a key and its values, more than one where a comma lists them; SettingsError for others.

    >>> split_words(["lr=0.1,0.01", "hidden=20"])
    [('lr', ['0.1', '0.01']), ('hidden', ['20'])]
    """
    listed: list[Listed[str]] = []
    mistakes = []
    for text in words:
        key, equals, value = text.partition("=")
        if equals and key and value:
            listed.append((key, value.split(",")))
        else:
            mistakes.append(_no_setting(text))
    if mistakes:
        raise SettingsError(mistakes)
    return listed


def by_full_name(listed: Iterable[Listed[T]]) -> tuple[dict[str, list[T]], list[str]]:
    """Settings as full name -> the values listed for it, as far as they can be read, and every mistake.

    >>> by_full_name([("lr", [0.1, 0.01]), ("hiden", ["20"])])
    ({'optimizer.lr': [0.1, 0.01]}, ["there is no setting 'hiden': did you mean 'hidden'?"])
    """
    found: dict[str, list[T]] = {}
    mistakes = Mistakes()
    for key, values in listed:
        spelled = _joined(values)
        if not key or not spelled:
            mistakes.append(_no_setting(f"{key}={spelled}"))
            continue
        name = ""
        with mistakes.noted():
            name = full_name(key)
        if name in found:
            mistakes.append(
                f"{name} is given twice ({_joined(found[name])} and {spelled}): list both with a comma to compare them"
            )
        elif "" in values:
            mistakes.append(f"{f'{key}={spelled}'!r} has an empty value between its commas")
        elif name:
            found[name] = list(values)
    return found, mistakes


def parse_overrides(words: Iterable[str]) -> dict[str, list[str]]:
    """`key=value` words as full name -> values, more than one where a comma lists them.

    >>> parse_overrides(["lr=0.1,0.01", "hidden=20"])
    {'optimizer.lr': ['0.1', '0.01'], 'model.hidden': ['20']}
    """
    mistakes = Mistakes()
    listed: list[Listed[str]] = []
    for text in words:
        with mistakes.noted():
            listed += split_words([text])
    found, wrong = by_full_name(listed)
    if mistakes or wrong:
        raise SettingsError([*mistakes, *wrong])
    return found


def _joined(values: Iterable[Any]) -> str:
    return ",".join(map(format_value, values))


def _no_setting(text: str) -> str:
    return f"{text!r} is not a setting: write key=value, as in lr=0.01"


def build(values: Mapping[str, Any]) -> Settings:
    """Settings from full names and values; what is not given is the task's default.

    What `auto` stands for is left open: backends know (`backends.dispatch.resolve`). Raises SettingsError with every
    mistake: an unknown name or value, a value out of bounds, and a setting that is given and has no effect.

    >>> build({"task": "moons", "optimizer.lr": "0.1"}).flat()["model.hidden"]
    '20'
    """
    settings, mistakes = assemble(values)
    if settings is None or mistakes:
        raise SettingsError(mistakes)
    return settings


def assemble(values: Mapping[str, Any]) -> tuple[Settings | None, list[str]]:
    """As `build`: the settings, None where they do not stand, and every mistake."""
    mistakes: list[str] = []
    named = values.get("task")
    task = _own_task(named) if isinstance(named, UserDefined) else TASKS.get(str(named))
    if task is None:
        own = (
            "a file of your own is a table, .csv, .tsv or .parquet; of another kind, read it in Python and give "
            "paribus.data(...)"
        )
        known = [*TASKS, *_brought("task")]
        return None, [f"there is no task {str(named)!r}: {own if '.' in str(named) else near_miss(str(named), known)}"]
    if isinstance(named, UserTable):
        values = {**{f"task.{name}": value for name, value in named.given.items()}, **values}
    merged = {**_starting_values(task, values), **values}
    for kind in USER_DEFINED:  # what a task's runs start from is for the models and optimizers that there are
        if isinstance(merged.get(kind), UserDefined):
            merged = {
                name: value for name, value in merged.items() if name in values or not name.startswith(f"{kind}.")
            }
    # true as a word, so that it is not taken for the number 1
    merged = {name: format_value(value) if isinstance(value, bool) else value for name, value in merged.items()}

    parts: dict[str, Any] = {}
    for kind, registry in REGISTRIES.items():
        chosen = merged.pop(kind)
        name = chosen.name if isinstance(chosen, UserDefined) else str(chosen)
        fields = {full: merged.pop(full) for full in list(merged) if full.startswith(kind + ".")}
        config = own_config(kind, chosen) if isinstance(chosen, UserDefined) else registry.get(name)
        if isinstance(chosen, UserDefined) and name in registry:
            mistakes.append(f"{kind} {name!r} is built in: give your own another name")
        if config is None:
            mistakes.append(f"there is no {kind} {name!r}: {near_miss(name, [*registry, *_brought(kind)])}")
            continue
        for full in [full for full in fields if full.partition(".")[2] not in config.model_fields]:
            owners = [owner for owner, _ in all_settings().get(full, [])]
            del fields[full]
            if full in values:
                short = full.rpartition(".")[2]
                mistakes.append(f"{short} has no effect with {kind}={name}: it is a setting of {', '.join(owners)}")
        try:
            given = {full.partition(".")[2]: value for full, value in fields.items()}
            mine = {"name": name, USER_DEFINED[kind][1]: chosen} if isinstance(chosen, UserDefined) else {}
            parts[kind] = config(**given, **mine)
            mistakes += parts[kind].mistakes()
        except ValidationError as error:
            mistakes += _explain(error, config, f"{kind}.")
    if isinstance(loss := merged.get("loss"), UserDefined):
        if loss.name in (*Loss.OF_CLASSES, *Loss.OF_NUMBERS):
            mistakes.append(f"loss {loss.name!r} is built in: give your own another name, as in loss={{'mine': ...}}")
        merged["loss"] = UserLoss(name=loss.name, function=loss)
    if isinstance(network := merged.get("implementation"), UserDefined):
        merged["implementation"] = UserImplementation(name=network.name, network=network)
    common = {name: merged[name] for name in merged if name in Settings.model_fields}
    settings: Settings | None = None
    try:
        settings = Settings(**parts, **common)
    except ValidationError as error:
        mistakes += _explain(error, Settings, "", ignore=set(REGISTRIES) - set(parts))
    return settings, [*mistakes, *conflicts(settings, parts, values)]


def _brought(kind: str) -> list[str]:
    """The names of what other packages bring: looked for where a name is not known, and not before."""
    from paribus.config.plugins import plugins

    return [one.name for one in plugins(kind)]


def _own_task(own: UserDefined) -> type[TaskConfig]:
    return TableData if isinstance(own, UserTable) else UserData


def _starting_values(task: type[TaskConfig], given: Mapping[str, Any]) -> dict[str, Any]:
    """What an arm has where nothing is given: the task's, those of the model on that task, and the recipe's."""
    values: dict[str, Any] = {"model": "mlp", "optimizer": "sgd", **task.defaults}
    if isinstance(given.get("task"), UserDefined) and _predicts_numbers(given["task"], given):
        values["loss"] = "mse"
    model = given.get("model", values["model"])
    recipe = RECIPES.get(str(given.get("recipe")))
    more = task.by_model.get(str(model), {}) | (recipe.settings if recipe else {})
    if isinstance(model, UserDefined):
        config = own_config("model", model)
        values = {name: value for name, value in values.items() if config.counts(name)}  # type: ignore[attr-defined]
        values = {"optimizer": "sgd", **values}  # which every arm has, whether it counts or not
        return {name: value for name, value in (values | more).items() if name not in config.has_own}  # type: ignore[attr-defined]
    return values | more


def _predicts_numbers(own: UserDefined, given: Mapping[str, Any]) -> bool:
    """Of a table its target's column tells, which the table itself may name."""
    if isinstance(own, UserTable):
        return bool(own.thing.predicts_numbers(str(given.get("task.target", own.given.get("target", "none")))))
    return numbers_to_predict(own)


def _explain(error: ValidationError, config: type[Config], prefix: str, ignore: set[str] | None = None) -> list[str]:
    lines = []
    for problem in error.errors():
        field = str(problem["loc"][0])
        if field in (ignore or ()):
            continue
        info = config.model_fields[field]
        extra = info.json_schema_extra
        allowed = extra["allowed"] if isinstance(extra, dict) else problem["msg"]
        if problem["type"] == "too_large":
            allowed = f"{allowed}, {problem['msg']}"
        lines.append(f"{prefix}{field}={problem['input']} is not allowed: {field} is {allowed}")
    return lines
