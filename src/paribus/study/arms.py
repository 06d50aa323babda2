"""From a command's words to arms: every combination of the values listed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, product
from math import prod

from paribus.backends.dispatch import AUTO, resolve
from paribus.config.loops import LoopSettings
from paribus.config.models import UserEstimator
from paribus.config.overrides import Listed, Mistakes, SettingsError, by_full_name, split_words
from paribus.config.plugins import brought
from paribus.config.registries import own_config
from paribus.config.settings import Settings
from paribus.config.user_code import UserDefined, UserTable
from paribus.config.values import Value, apart_from_tasks, format_overrides, format_value, plain_number
from paribus.plan import MAX_SEED
from paribus.study.migrations import canonical
from paribus.study.named import implementation
from paribus.study.names import tasks_of
from paribus.tasks.table import opened

MOST_SEEDS = 1_000_000
MOST_ARMS = 10_000
"""Each is checked, named and drawn; more are not told apart by any number of seeds."""

Given = Value | UserDefined
"""A setting's value as it is given."""


@dataclass(frozen=True)
class Arm:
    """One combination of settings that a study compares. `name`: its values of the factors. `left_open`: settings that
    were left at `auto`, whatever they came to (`choosing.with_backends`); `why`: why the one that trains it was
    chosen, where that needs a reason."""

    name: str
    settings: Settings | LoopSettings
    left_open: frozenset[str] = frozenset()
    why: str = ""

    @property
    def network(self) -> Settings:
        """Its settings, where Paribus trains it, and no loop of the user's."""
        assert isinstance(self.settings, Settings)
        return self.settings

    @cached_property
    def key(self) -> str:
        """Its settings as a record has them: what makes it this arm."""
        return canonical(self.settings.flat())


@dataclass(frozen=True)
class Design:
    """Arms, and the settings in which they differ. `named`: the arms have names of their own; `given`: the settings
    that stand in the command or file, the others being defaults."""

    factors: list[str]
    arms: list[Arm]
    named: bool = False
    given: frozenset[str] = frozenset()

    @property
    def networks(self) -> list[Settings]:
        """The settings of the arms that Paribus trains, and no loop of the user's."""
        return [arm.settings for arm in self.arms if isinstance(arm.settings, Settings)]

    @property
    def apart_from_tasks(self) -> list[str]:
        """Of several tasks: what arms are called apart from their task."""
        return [] if self.named else apart_from_tasks(self.factors, (arm.settings.flat() for arm in self.arms))

    @property
    def tables(self) -> list[UserTable]:
        """The tables that are tasks here."""
        tasks = dict.fromkeys(arm.settings.user_defined_parts().get("task") for arm in self.arms)
        return [one for one in tasks if isinstance(one, UserTable)]

    @property
    def shared(self) -> dict[str, Value]:
        """The settings that are no factor: the same in every arm."""
        flats = [arm.settings.flat() for arm in self.arms]
        return {
            name: value
            for name, value in flats[0].items()
            if name not in self.factors and all(flat.get(name) == value for flat in flats)
        }

    def named_by(self, words: str) -> str | None:
        """The arm that is meant by its values of the factors, in any order and however numbers are written.

        >>> design("moons", ["dropout=0,0.5", "lr=0.1,0.01"]).named_by("lr=1e-1 dropout=0")
        'dropout=0.0 lr=0.1'
        """
        try:
            parsed, wrong = by_full_name([one for text in words.split() for one in split_words([text])])
        except SettingsError:
            return None
        if self.named or wrong or set(parsed) != set(self.factors):
            return None
        meant = {name: values[0] for name, values in parsed.items() if len(values) == 1}
        found = [arm.name for arm in self.arms if _same(meant, arm.settings.flat())]
        return found[0] if len(found) == 1 and len(meant) == len(parsed) else None


def design(task: str, words: Sequence[str], given: Mapping[str, Sequence[Given]] | None = None) -> Design:
    """The full grid over every setting that lists several values.

    `words`: settings as a command has them. `given`: settings as Python has them, by name, each with its values; what
    is the user's own (a task, model or optimizer) may be one. Raises SettingsError with all mistakes of the command.

    >>> [arm.name for arm in design("moons", ["lr=0.1,0.01", "hidden=5,none"]).arms]
    ['lr=0.1 hidden=5', 'lr=0.1 hidden=none', 'lr=0.01 hidden=5', 'lr=0.01 hidden=none']
    >>> [arm.name for arm in design("moons", [], {"lr": [0.1, 0.01]}).arms]
    ['lr=0.1', 'lr=0.01']
    """
    given, mistakes = given or {}, Mistakes()
    tasks = list[Given]()
    for one in given.get("task", tasks_of(task)):
        with mistakes.noted():
            tasks.append(brought("task", opened(one)))
    listed: list[Listed[Given]] = [*{**given, "task": tasks}.items()]
    for text in words:
        with mistakes.noted():
            listed += split_words([text])
    # What could be read is checked too, so that one message holds every mistake.
    parsed, wrong = by_full_name(listed if tasks else [one for one in listed if one[0] != "task"])
    mistakes += wrong
    if chosen := parsed.pop("implementation", []):
        for one in chosen:
            with mistakes.noted():
                parsed.setdefault("implementation", []).append(implementation(one))
    for kind in ("model", "optimizer"):
        for i, one in enumerate(parsed.get(kind, [])):
            with mistakes.noted():
                parsed[kind][i] = brought(kind, one)
    if not tasks:
        raise SettingsError(mistakes)
    factors = [name for name, values in parsed.items() if len(values) > 1]
    if (count := prod(map(len, parsed.values()))) > MOST_ARMS:
        raise SettingsError([*mistakes, f"{count:,} arms are too many: a study has at most {MOST_ARMS:,}"])
    mixed = len({_estimator(one) is not None for one in parsed.get("model", ())}) > 1
    arms: list[Arm] = []
    spellings: list[str] = []
    for combination in product(*parsed.values()):
        values = dict(zip(parsed, combination, strict=True))
        if vain := _listed_in_vain(values, factors):
            mistakes += vain
            continue
        if mixed:
            values = _that_count(values)
        try:
            settings = resolve(values)
        except SettingsError as error:
            mistakes += error.mistakes
            continue
        flat = settings.flat()
        arms.append(Arm(format_overrides({name: flat[name] for name in factors}), settings, left_open(values)))
        asked = {
            name: value.name if isinstance(value, UserDefined) else format_value(value)
            for name, value in values.items()
        }
        spellings.append(" ".join(f"{name}={asked[name]}" for name in factors))
    if mistakes:
        raise SettingsError(mistakes)
    names = [arm.name for arm in arms]
    counts = Counter(names)
    if (given or any(isinstance(one, UserTable) for one in tasks)) and len(counts) < len(names):
        raise SettingsError(
            f"{name} names two different arms: give each a name of its own, as in model={{'a': ..., 'b': ...}}"
            for name in sorted(counts)
            if counts[name] > 1
        )
    distinct([replace(arm, name=spelling) for arm, spelling in zip(arms, spellings, strict=True)])
    return Design(factors, arms, given=frozenset(parsed))


def left_open(values: Mapping[str, object]) -> frozenset[str]:
    """Of the settings that may be `auto` those that are. `values`: settings by full name.

    >>> sorted(left_open({"task": "moons", "device": "cpu"}))
    ['implementation']
    """
    return frozenset(name for name in ("implementation", "device") if values.get(name, AUTO) == AUTO)


def _estimator(model: Given | None) -> type[UserEstimator] | None:
    """The settings of an estimator of the user's; None of any other model."""
    config = own_config("model", model) if isinstance(model, UserDefined) else None
    return config if config is not None and issubclass(config, UserEstimator) else None


def _that_count(values: Mapping[str, Given]) -> dict[str, Given]:
    """What is given beside networks and estimators counts of an estimator only as far as it has such a setting. A loss
    that only networks can minimise is not what is measured of it."""
    if (config := _estimator(values.get("model"))) is None:
        return dict(values)
    loss = values.get("loss")
    of_networks = {"loss"} if isinstance(loss, UserDefined) or loss == "binary" else set()
    return {name: value for name, value in values.items() if config.counts(name) and name not in of_networks}


def _listed_in_vain(values: Mapping[str, Given], factors: Sequence[str]) -> list[str]:
    """Factors that make no difference to an estimator: its arms would be one, said to be several. What it minimises
    is its own, too."""
    model = values.get("model")
    if (config := _estimator(model)) is None or not isinstance(model, UserDefined):
        return []
    return [
        f"{name.rpartition('.')[2]} is a factor, and makes no difference to model={model.name}, an estimator of "
        "scikit-learn's: give one value, or make a study of the networks alone"
        for name in factors
        if not config.counts(name) or name == "loss"
    ]


def _same(meant: Mapping[str, Given], flat: Mapping[str, Value]) -> bool:
    """Whether settings have these values, numbers as numbers: 0, 0.0 and 0e0 are one."""

    def same(value: Given, own: Value) -> bool:
        number = _number(value)
        return str(value) == format_value(own) or (number is not None and number == _number(own))

    return all(same(value, flat[name]) for name, value in meant.items())


def _number(value: object) -> float | None:
    try:
        return None if isinstance(value, bool) else float(str(value))
    except ValueError:
        return None


def distinct(arms: Sequence[Arm]) -> None:
    """SettingsError where two arms have the same settings."""
    seen: dict[Settings | LoopSettings, str] = {}
    mistakes = []
    for arm in arms:
        if arm.settings in seen:
            mistakes.append(f"{arm.name} is the same as {seen[arm.settings]}: two arms differ in a setting")
        seen.setdefault(arm.settings, arm.name)
    if mistakes:
        raise SettingsError(mistakes)


_SEEDS = (
    f"--seeds is a number of seeds from 1 to {MOST_SEEDS}, a list of seeds from 0 to {MAX_SEED} (3,5,8; one as 3,), or "
    "6..40: until all is decided, at least 6 and at most 40"
)

MOST_LOOKS = 1000
RANGE = r"^\s*(\d{1,9})\s*\.\.\s*(\d{1,9})\s*$"
"""Until all is decided: the least number of seeds, and the most."""


class Seeds(list[int]):
    """Those that a study may have. `least`: after so many of them it may be decided, and then ends; None where all are
    trained."""

    least: int | None = None

    @classmethod
    def until_decided(cls, least: int, most: int) -> Seeds:
        """At least and at most so many."""
        if not 2 <= least < most <= MOST_LOOKS:
            raise SettingsError(
                [
                    f"--seeds {least}..{most} is not allowed: the least number of seeds is 2 or more, the most larger, "
                    f"and no more than {MOST_LOOKS}"
                ]
            )
        found = cls(range(most))
        found.least = least
        return found


def parse_seeds(text: str) -> Seeds:
    """`N`: the seeds 0 to N - 1; `3,5,8`: these (one alone as `3,`); `6..40`: until all is decided.

    >>> parse_seeds("3"), parse_seeds("3,5,8"), parse_seeds("7,")
    ([0, 1, 2], [3, 5, 8], [7])
    >>> parse_seeds("6..40").least, len(parse_seeds("6..40"))
    (6, 40)
    """
    if found := re.match(RANGE, text):
        return Seeds.until_decided(int(found[1]), int(found[2]))
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        raise SettingsError([f"--seeds {text} is not allowed: {_SEEDS}"]) from None
    return Seeds(_listed(numbers, text) if "," in text else _first(numbers[0]))


def seeds_of(given: object) -> Seeds:
    """The seeds that Python or a file gives: how many, or which; text as on the command line.

    Takes whole numbers, those of NumPy among them, lists, ranges and arrays of them. SettingsError for anything else.

    >>> seeds_of(2), seeds_of([3, 5]), seeds_of(range(4, 6)), seeds_of("2")
    ([0, 1], [3, 5], [4, 5], [0, 1])
    """
    if isinstance(given, str):
        return parse_seeds(given)
    value = plain_number(given)
    if isinstance(value, int) and not isinstance(value, bool):
        return Seeds(_first(value))
    listed = isinstance(value, Iterable) and not isinstance(value, Mapping | bytes)
    numbers = [plain_number(one) for one in islice(value, MOST_SEEDS + 1)] if listed else []
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in numbers)
    if not whole or not 0 < len(numbers) <= MOST_SEEDS:
        raise SettingsError([f"--seeds {_short(given)} is not allowed: {_SEEDS}"])
    return Seeds(checked_seeds(numbers))


def checked_seeds(numbers: Sequence[int]) -> list[int]:
    """Seeds that a study can have; SettingsError for none at all, one out of bounds, and one that is repeated."""
    return _listed(numbers, "".join(f"{seed}," for seed in numbers[:20]) + ("..." if len(numbers) > 20 else ""))


def _first(count: int) -> list[int]:
    if not 0 < count <= MOST_SEEDS:
        raise SettingsError([f"--seeds {count} is not allowed: {_SEEDS}"])
    return list(range(count))


def _listed(numbers: Sequence[int], text: str) -> list[int]:
    if repeated := sorted(seed for seed, times in Counter(numbers).items() if times > 1):
        raise SettingsError([f"--seeds {text}: {', '.join(map(str, repeated))} is repeated; each seed is run once"])
    if not numbers or not all(0 <= seed <= MAX_SEED for seed in numbers):
        raise SettingsError([f"--seeds {text} is not allowed: {_SEEDS}"])
    return list(numbers)


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."
