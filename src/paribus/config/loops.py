"""What a training loop of the user's own is called with: the settings of such an arm."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import InstanceOf

from paribus.config.base import Config, setting
from paribus.config.overrides import SettingsError, near_miss
from paribus.config.tasks import TaskConfig
from paribus.config.user_code import UserDefined
from paribus.config.values import Threads, Value, plain_number, plain_value

LOOP = "loop"
"""The setting that names an arm's loop; arguments of the loop are called `loop.lr`."""

CODE = "code"
"""The setting that holds the loop's fingerprint."""

NONE = "\0none"
"""What stands for Python's None among arguments, until it is known that a parameter takes it."""

GIVEN = ("run", "seed")
"""Parameters of a loop that Paribus gives: what it has to do with the study, or the seed alone."""


class LoopSettings(Config):
    """One arm of a study whose loop is the user's own. `arguments`: what it is called with, by name, each a number or
    a word; `data`: what `run.data` is, None where the loop brings its own.

    What `Settings` has beside, and a loop has not, stands here as it is for every loop.
    """

    loop: InstanceOf[UserDefined]
    arguments: tuple[tuple[str, Value], ...] = ()
    data: TaskConfig | None = None
    threads: Threads = setting(1, "threads of a run's arithmetic", "a whole number above 0", ge=1)

    implementation: ClassVar[str] = LOOP
    backend: ClassVar[str] = LOOP
    epochs: ClassVar[int] = 1
    """Of the progress bar: how many there are is known to the loop alone."""
    recipe: ClassVar[str] = "none"
    device: ClassVar[str] = "cpu"
    split: ClassVar[Literal["fixed"]] = "fixed"
    validation: ClassVar[float] = 0.0
    runs_user_code: ClassVar[bool] = True

    def flat(self) -> dict[str, Value]:
        """Every setting under its full dotted name."""
        return {
            LOOP: self.loop.name,
            CODE: str(self.loop),
            "data": "none" if self.data is None else self.data.name,
            **self._of_the_data(),
            "implementation": self.implementation,
            "threads": plain_value(self.threads),
            **{f"{LOOP}.{name}": value for name, value in self.arguments},
        }

    def user_defined_parts(self) -> dict[str, UserDefined]:
        """What is the user's own."""
        arrays = getattr(self.data, "arrays", None)
        return {LOOP: self.loop, **({"data": arrays} if isinstance(arrays, UserDefined) else {})}

    def fingerprints(self) -> dict[str, str]:
        """Which setting holds the fingerprint of each of them."""
        return {LOOP: CODE, "data": "data.arrays"}

    def with_copies(self) -> LoopSettings:
        """The same with a loop that one run may do anything to."""
        return self.model_copy(update={"loop": self.loop.copy()})

    def _of_the_data(self) -> dict[str, Value]:
        if self.data is None:
            return {}
        fields = (name for name in type(self.data).model_fields if name != "name")
        return {f"data.{name}": plain_value(getattr(self.data, name)) for name in fields}


def parameters(loop: UserDefined) -> Mapping[str, Any]:
    """The parameters of a loop that are settings, each with its default or `inspect.Parameter.empty`. Raises
    SettingsError for one that can be told neither the seed nor anything else of its run, or is no function."""
    try:
        found = inspect.signature(loop.thing).parameters
    except (TypeError, ValueError):
        raise SettingsError([f"{loop.name} is no function whose parameters can be read"]) from None
    kinds = {
        "a coroutine (async def)": inspect.iscoroutinefunction,
        "a generator (it has a yield)": inspect.isgeneratorfunction,
        "an asynchronous generator": inspect.isasyncgenfunction,
    }
    for kind, is_one in kinds.items():
        if is_one(loop.thing):
            raise SettingsError([f"{loop.name} is {kind}: a loop is a function that trains, and returns"])
    if alone := [name for name, one in found.items() if one.kind is one.POSITIONAL_ONLY]:
        raise SettingsError([f"{loop.name} takes {', '.join(alone)} by place alone: leave the / out of its parameters"])
    plain = {name: one for name, one in found.items() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    if not plain.keys() & {*GIVEN}:
        there = ", ".join(found) or "none"
        raise SettingsError(
            [
                f"{loop.name} has no parameter called run or seed (it has {there}): every run has a seed of its own, "
                f"and gets it as seed, or with the plan and a log as run, as in def {loop.name}(run, lr=0.01)"
            ]
        )
    return {name: one.default for name, one in plain.items() if name not in GIVEN}


def takes_anything(loop: UserDefined) -> bool:
    """Whether it has a parameter `**settings`."""
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(loop.thing).parameters.values())


def arguments_of(loop: UserDefined, given: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    """What a loop is called with: what is given, and its own defaults as far as these are numbers or words; in the
    order of its parameters. SettingsError with every mistake."""
    known = parameters(loop)
    mistakes = [
        f"{name}={value} is not allowed: an argument is a finite number, a word, true or false"
        for name, value in given.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    mistakes += [
        f"{name}=None is not allowed: it is no default of {loop.name}; give a word that it reads"
        for name, value in given.items()
        if value == NONE and known.get(name, "") is not None
    ]
    mistakes += [
        f"{loop.name} has no parameter {name!r}: {near_miss(name, known, _own(known))}"
        for name in given
        if name not in known and not takes_anything(loop)
    ]
    mistakes += [
        f"{loop.name} needs {name}, which has no default: give it, as in {name}=VALUE"
        for name, default in known.items()
        if default is inspect.Parameter.empty and name not in given
    ]
    if mistakes:
        raise SettingsError(mistakes)
    values = {name: default for name, default in known.items() if isinstance(default, str | int | float)}
    return tuple(
        (name, "none" if value == NONE else plain_value(value)) for name, value in (values | dict(given)).items()
    )


def _own(known: Mapping[str, Any]) -> str:
    return f"it has {', '.join(known)}" if known else "it has none but those that Paribus gives"


def read_argument(text: str, default: Any) -> Value:
    """A word of a command as the value that a loop gets: of the type of its default where that can be, else a number
    where it is one.

    >>> read_argument("0.01", 0.1), read_argument("3", 0.5), read_argument("3", inspect.Parameter.empty)
    (0.01, 3.0, 3)
    >>> read_argument("true", inspect.Parameter.empty), read_argument("gated", "base"), read_argument("64", "64")
    (True, 'gated', '64')
    """
    if isinstance(default, str):
        return text
    words: dict[str, Value] = {"true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text
    if isinstance(default, float):
        return float(value)
    whole = isinstance(default, int) and isinstance(value, float) and value.is_integer()
    return int(value) if whole else value


def argument_values(name: str, given: Any) -> list[Value]:
    """What Python gives for an argument: one value, or several in a list, tuple, range or array.

    >>> argument_values("lr", [0.1, 1]), argument_values("idea", "a,b"), argument_values("n", range(2))
    ([0.1, 1], ['a,b'], [0, 1])
    >>> argument_values("sizes", [[64, 64]])
    Traceback (most recent call last):
    ...
    paribus.config.overrides.SettingsError: sizes=[64, 64] is list: an argument is a number, a word, True or False
    """
    given = plain_number(given)
    several = isinstance(given, list | tuple | range)
    found: list[Value] = []
    for one in given if several else [given]:
        plain = plain_number(one)
        if plain is None:
            plain = NONE
        if not isinstance(plain, bool | int | float | str):
            raise SettingsError(
                [f"{name}={plain!r:.60} is {type(plain).__name__}: an argument is a number, a word, True or False"]
            )
        found.append(plain)
    return found
