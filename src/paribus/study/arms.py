"""From a command's words to arms: every combination of the values listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from paribus.backends.dispatch import resolve
from paribus.config.overrides import SettingsError, parse_overrides
from paribus.config.settings import Settings
from paribus.config.user_code import UserDefined
from paribus.config.values import Value, format_overrides
from paribus.plan import MAX_SEED

MOST_SEEDS = 1_000_000


@dataclass(frozen=True)
class Arm:
    """One combination of settings that a study compares. `name`: its values of the factors."""

    name: str
    settings: Settings


@dataclass(frozen=True)
class Design:
    """Arms, and the settings in which they differ. `named`: the arms have names of their own; `given`: the settings
    that stand in the command or file, the others being defaults."""

    factors: list[str]
    arms: list[Arm]
    named: bool = False
    given: frozenset[str] = frozenset()

    @property
    def shared(self) -> dict[str, Value]:
        """The settings that are no factor: the same in every arm."""
        flats = [arm.settings.flat() for arm in self.arms]
        return {
            name: value
            for name, value in flats[0].items()
            if name not in self.factors and all(flat.get(name) == value for flat in flats)
        }


def design(task: str, words: Sequence[str], own: Mapping[str, Sequence[UserDefined | str]] | None = None) -> Design:
    """The full grid over every setting that lists several values.

    `own`: tasks, models and optimizers of the user's own, beside names, instead of words for them. Raises
    SettingsError with all mistakes of the command.

    >>> [arm.name for arm in design("moons", ["lr=0.1,0.01", "hidden=5,none"]).arms]
    ['lr=0.1 hidden=5', 'lr=0.1 hidden=none', 'lr=0.01 hidden=5', 'lr=0.01 hidden=none']
    """
    mistakes: list[str] = []
    own = own or {}
    texts = [*([] if "task" in own else [f"task={task}"]), *words]
    parsed: dict[str, Sequence[UserDefined | str]] = dict(own)
    try:
        parsed |= parse_overrides(texts)
    except SettingsError as error:
        mistakes += error.mistakes
        # What could be read is checked too, so that one message holds every mistake.
        for text in texts:
            try:
                parsed = {**parse_overrides([text]), **parsed}
            except SettingsError:
                continue
    factors = [name for name, values in parsed.items() if len(values) > 1]
    arms: list[Arm] = []
    spellings: list[str] = []
    for combination in product(*parsed.values()):
        values = dict(zip(parsed, combination, strict=True))
        try:
            settings = resolve(values)
        except SettingsError as error:
            mistakes += error.mistakes
            continue
        flat = settings.flat()
        arms.append(Arm(format_overrides({name: flat[name] for name in factors}), settings))
        asked = {name: value.name if isinstance(value, UserDefined) else value for name, value in values.items()}
        spellings.append(" ".join(f"{name}={asked[name]}" for name in factors))
    if mistakes:
        raise SettingsError(mistakes)
    names = [arm.name for arm in arms]
    if own and len({*names}) < len(names):
        raise SettingsError(
            f"{name} names two different arms: give each a name of its own, as in model={{'a': ..., 'b': ...}}"
            for name in sorted(names)
            if names.count(name) > 1
        )
    distinct([replace(arm, name=spelling) for arm, spelling in zip(arms, spellings, strict=True)])
    return Design(factors, arms, given=frozenset(parsed))


def distinct(arms: Sequence[Arm]) -> None:
    """SettingsError where two arms have the same settings."""
    seen: dict[Settings, str] = {}
    mistakes = []
    for arm in arms:
        if arm.settings in seen:
            mistakes.append(f"{arm.name} is the same as {seen[arm.settings]}: two arms differ in a setting")
        seen.setdefault(arm.settings, arm.name)
    if mistakes:
        raise SettingsError(mistakes)


def parse_seeds(text: str) -> list[int]:
    """`N`: the seeds 0 to N - 1; `3,5,8`: these (one alone as `3,`).

    >>> parse_seeds("3"), parse_seeds("3,5,8"), parse_seeds("7,")
    ([0, 1, 2], [3, 5, 8], [7])
    """
    allowed = (
        f"--seeds is a number of seeds from 1 to {MOST_SEEDS}, or a list of seeds from 0 to {MAX_SEED} "
        "(3,5,8; one as 3,)"
    )
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        raise SettingsError([f"--seeds {text} is not allowed: {allowed}"]) from None
    if "," not in text:
        if not 0 < numbers[0] <= MOST_SEEDS:
            raise SettingsError([f"--seeds {text} is not allowed: {allowed}"])
        return list(range(numbers[0]))
    if repeated := sorted({seed for seed in numbers if numbers.count(seed) > 1}):
        raise SettingsError([f"--seeds {text}: {', '.join(map(str, repeated))} is repeated; each seed is run once"])
    if not all(0 <= seed <= MAX_SEED for seed in numbers):
        raise SettingsError([f"--seeds {text} is not allowed: {allowed}"])
    return numbers
