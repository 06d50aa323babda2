"""A study whose loop is the user's own: from a function, or a program's command line, and its settings to arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod

from paribus.config.loops import LOOP, LoopSettings, arguments_of, parameters, read_argument
from paribus.config.overrides import SettingsError, build
from paribus.config.tasks import TaskConfig
from paribus.config.user_code import UserDefined
from paribus.config.values import Value, format_overrides
from paribus.study.arms import MOST_ARMS, Arm, Design, distinct

THREADS = "threads"


def loop_design(
    loops: Sequence[UserDefined],
    given: Mapping[str, Sequence[Value]],
    data: str | UserDefined | None = None,
) -> Design:
    """Every combination of loops and of the values listed for their parameters. `data`: a task that each is given.

    >>> from paribus.config.user_code import user_defined
    >>> def train(seed, lr=0.1): return {"loss": lr * seed}
    >>> [arm.name for arm in loop_design([user_defined(train)], {"lr": [0.1, 0.01]}).arms]
    ['lr=0.1', 'lr=0.01']
    """
    names = Counter(loop.name for loop in loops)
    if twice := [name for name, count in names.items() if count > 1]:
        raise SettingsError([f"two loops have the name {twice[0]}: give each a name of its own, in a dict"])
    empty = [f"{name} has no value" for name, values in given.items() if not values]
    if empty:
        raise SettingsError(empty)
    count = len(loops) * prod(map(len, given.values()))
    if count > MOST_ARMS:
        raise SettingsError([f"{count:,} arms are too many: a study has at most {MOST_ARMS:,}"])
    own_threads = any(THREADS in parameters(loop) for loop in loops)
    full = {name: name if name == THREADS and not own_threads else f"{LOOP}.{name}" for name in given}
    factors = [LOOP] * (len(loops) > 1) + [full[name] for name, values in given.items() if len(values) > 1]
    task = _data(data)
    arms: list[Arm] = []
    for loop in loops:
        for combination in product(*given.values()):
            settings = _settings(loop, dict(zip(given, combination, strict=True)), task)
            flat = settings.flat()
            arms.append(Arm(format_overrides({name: flat[name] for name in factors}), settings))
    distinct(arms)
    alike = [name for name, count in Counter(arm.name for arm in arms).items() if count > 1]
    if alike:
        raise SettingsError([f"{alike[0]} names two different arms: give values that are written differently"])
    return Design(factors, arms, given=frozenset(full.values()))


def _settings(loop: UserDefined, given: Mapping[str, Value], data: TaskConfig | None) -> LoopSettings:
    own = dict(given)
    threads = own.pop(THREADS, 1) if THREADS not in parameters(loop) else 1
    try:
        return LoopSettings(loop=loop, arguments=arguments_of(loop, own), data=data, threads=threads)
    except ValueError as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError([f"threads={threads} is not allowed: threads is a whole number above 0, or all"]) from None


def _data(data: str | UserDefined | None) -> TaskConfig | None:
    if data is not None and not isinstance(data, str | UserDefined):
        raise SettingsError([f"data={data!r:.60} is not allowed: data is one task, by its name or paribus.data(...)"])
    return None if data is None else build({"task": data}).task


# --- from a command ---


def read_words(loop: UserDefined, words: Sequence[str]) -> dict[str, list[Value]]:
    """`key=value` words, more than one value where a comma lists them; each of the type of the parameter's default."""
    known, found, mistakes = parameters(loop), dict[str, list[Value]](), []
    for word in words:
        key, equals, value = word.partition("=")
        key = key.removeprefix(f"{LOOP}.")
        if not (equals and key and value):
            mistakes.append(f"{word!r} is not a setting: write key=value, as in lr=0.01")
        elif key in found:
            mistakes.append(f"{key} is given twice: list its values with a comma to compare them")
        else:
            found[key] = [read_argument(one, known.get(key)) for one in value.split(",")]
    if mistakes:
        raise SettingsError(mistakes)
    return found
