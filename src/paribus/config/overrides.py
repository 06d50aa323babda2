"""From words (`lr=0.01 hidden=64x64`) to settings, with every mistake of a command in one message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from paribus.config.base import Config
from paribus.config.conflicts import FUSED_MODELS, conflicts, limited
from paribus.config.cuda import sees_cuda
from paribus.config.optimizers import OPTIMIZERS
from paribus.config.recipes import RECIPES
from paribus.config.registries import REGISTRIES, USER_DEFINED
from paribus.config.settings import Settings, common_settings
from paribus.config.tasks import TASKS, TaskConfig, UserData
from paribus.config.user_code import UserDefined
from paribus.config.values import format_value


class SettingsError(ValueError):
    """What is wrong with a command: all of it, one line for each mistake."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = list(dict.fromkeys(mistakes))
        super().__init__("\n".join(self.mistakes))


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


def all_settings() -> dict[str, list[tuple[str, FieldInfo]]]:
    """Every full name, with the configs that have it (`''` for the common ones) and the field there."""
    found: dict[str, list[tuple[str, FieldInfo]]] = {}
    for kind, registry in REGISTRIES.items():
        found[kind] = []
        for name, config in registry.items():
            for field, info in config.model_fields.items():
                if field != "name":
                    found.setdefault(f"{kind}.{field}", []).append((name, info))
    for name in common_settings():
        found[name] = [("", Settings.model_fields[name])]
    return found


_ELSEWHERE = {
    "learning_rate": "lr",
    "batch": "batch_size",
    "n_epochs": "epochs",
    "layers": "hidden",
    "opt": "optimizer",
}
"""What settings are called elsewhere."""


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
    raise SettingsError([f"there is no setting {name!r}: {near_miss(_ELSEWHERE.get(name, name), short, otherwise)}"])


def parse_overrides(words: Sequence[str]) -> dict[str, list[str]]:
    """`key=value` words as full name -> values, more than one where a comma lists them.

    >>> parse_overrides(["lr=0.1,0.01", "hidden=20"])
    {'optimizer.lr': ['0.1', '0.01'], 'model.hidden': ['20']}
    """
    parsed: dict[str, list[str]] = {}
    mistakes: list[str] = []
    for text in words:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            mistakes.append(f"{text!r} is not a setting: write key=value, as in lr=0.01")
            continue
        try:
            name = full_name(key)
        except SettingsError as error:
            mistakes += error.mistakes
            continue
        values = value.split(",")
        if name in parsed:
            mistakes.append(
                f"{name} is given twice ({','.join(parsed[name])} and {value}): list both with a comma to compare them"
            )
        elif "" in values:
            mistakes.append(f"{text!r} has an empty value between its commas")
        else:
            parsed[name] = values
    if mistakes:
        raise SettingsError(mistakes)
    return parsed


def build(values: Mapping[str, Any]) -> Settings:
    """Settings from full names and values; what is not given is the task's default.

    Raises SettingsError with every mistake: an unknown name or value, a value out of bounds, and a setting that is
    given and has no effect.

    >>> build({"task": "moons", "optimizer.lr": "0.1"}).flat()["model.hidden"]
    '20'
    """
    mistakes: list[str] = []
    task = UserData if isinstance(values.get("task"), UserDefined) else TASKS.get(str(values.get("task")))
    if task is None:
        name = str(values.get("task"))
        own = f"a file of your own is read in Python: paribus.data(pandas.read_csv({name!r}), target=COLUMN)"
        raise SettingsError([f"there is no task {name!r}: {own if '.' in name else near_miss(name, TASKS)}"])
    merged = {**_starting_values(task, values), **values}
    for kind in USER_DEFINED:  # what a task's runs start from is for the models and optimizers that there are
        if isinstance(merged.get(kind), UserDefined):
            merged = {
                name: value for name, value in merged.items() if name in values or not name.startswith(f"{kind}.")
            }
    # true as a word, so that it is not taken for the number 1
    merged = {name: format_value(value) if isinstance(value, bool) else value for name, value in merged.items()}
    merged["implementation"] = _resolve_implementation(merged)
    merged["device"] = _resolve_device(merged)

    parts: dict[str, Any] = {}
    for kind, registry in REGISTRIES.items():
        chosen = merged.pop(kind)
        name = chosen.name if isinstance(chosen, UserDefined) else str(chosen)
        fields = {full: merged.pop(full) for full in list(merged) if full.startswith(kind + ".")}
        config = USER_DEFINED[kind][0] if isinstance(chosen, UserDefined) else registry.get(name)
        if isinstance(chosen, UserDefined) and name in registry:
            mistakes.append(f"{kind} {name!r} is built in: give your own another name")
        if config is None:
            mistakes.append(f"there is no {kind} {name!r}: {near_miss(name, registry)}")
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
        except ValidationError as error:
            mistakes += _explain(error, config, f"{kind}.")
    common = {name: merged[name] for name in merged if name in Settings.model_fields}
    settings: Settings | None = None
    try:
        settings = Settings(**parts, **common)
    except ValidationError as error:
        mistakes += _explain(error, Settings, "", ignore=set(REGISTRIES) - set(parts))
    mistakes += conflicts(settings, parts, values)
    if mistakes or settings is None:
        raise SettingsError(mistakes)
    return settings


def _starting_values(task: type[TaskConfig], given: Mapping[str, Any]) -> dict[str, Any]:
    """What an arm has where nothing is given: the task's, those of the model on that task, and the recipe's."""
    values: dict[str, Any] = {"model": "mlp", "optimizer": "sgd", **task.defaults}
    model = given.get("model", values["model"])
    recipe = RECIPES.get(str(given.get("recipe")))
    return values | task.by_model.get(str(model), {}) | (recipe.settings if recipe else {})


def _resolve_implementation(values: Mapping[str, Any]) -> Any:
    """From the arm's own settings alone: the fastest that can have them."""
    asked = values.get("implementation", "auto")
    if asked != "auto":
        return asked
    if isinstance(values["model"], UserDefined) or isinstance(values["optimizer"], UserDefined):
        return "torch"
    optimizer = OPTIMIZERS.get(str(values["optimizer"]))
    fused = (
        str(values["model"]) in FUSED_MODELS
        and (optimizer is None or "fused" in optimizer.backends)
        and not any(limited(name, value) for name, value in values.items())
    )
    return "fused" if fused else "torch"


def _resolve_device(values: Mapping[str, Any]) -> Any:
    asked = values.get("device", "auto")
    if asked != "auto":
        return asked
    small = values["implementation"] != "torch" or values["model"] == "mlp"
    return "cpu" if small or not sees_cuda() else "cuda"


def _explain(error: ValidationError, config: type[Config], prefix: str, ignore: set[str] | None = None) -> list[str]:
    lines = []
    for problem in error.errors():
        field = str(problem["loc"][0])
        if field in (ignore or ()):
            continue
        info = config.model_fields[field]
        extra = info.json_schema_extra
        allowed = extra["allowed"] if isinstance(extra, dict) else problem["msg"]
        lines.append(f"{prefix}{field}={problem['input']} is not allowed: {field} is {allowed}")
    return lines
