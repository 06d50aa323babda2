"""What a command names in a file of the user's: FILE.py:NAME."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paribus.config.overrides import SettingsError
from paribus.config.user_code import UserDefined, user_defined


def is_named(word: str) -> bool:
    """Whether a word names something in a Python file.

    >>> is_named("train.py:main"), is_named("train.py"), is_named("moons")
    (True, True, False)
    """
    return word.partition(":")[0].endswith(".py")


def read_function(word: str) -> UserDefined:
    """The function that `FILE.py:NAME` names, under its own name. SettingsError for a file that cannot be imported, or
    has none such."""
    return _read(word, "function", "train", "trains", lambda one: not isinstance(one, type))


def implementation(word: Any, beside: Path | None = None) -> Any:
    """The class or function that a word names as `implementation`, under that word; anything else as it is. `beside`:
    where a relative name is looked for too. SettingsError as of `read_function`."""
    if not isinstance(word, str) or not is_named(word):
        return word
    file, _, name = word.partition(":")
    if beside is not None and not Path(file).exists() and (beside / file).exists():
        file = str(beside / file)
    found = _read(f"{file}:{name}" if name else file, "class", "MyMLP", "is the network", callable)
    return UserDefined(name=word, fingerprint=found.fingerprint, thing=found.thing, reason=found.reason)


def _read(word: str, what: str, example: str, does: str, fits: Callable[[Any], bool]) -> UserDefined:
    file, _, name = word.partition(":")
    path = Path(file)
    if not path.is_file():
        raise SettingsError([f"there is no file {file}"])
    module = _imported(path)
    known = [
        key for key, one in vars(module).items()
        if callable(one) and getattr(one, "__module__", None) == module.__name__ and fits(one)
    ]  # fmt: skip
    there = f"it has {', '.join(known)}" if known else f"it has no {what}"
    if not name:
        raise SettingsError(
            [f"{file} is a file: say which {what} {does}, as in {file}:{(known or [example])[-1]}; {there}"]
        )
    if name not in vars(module):
        raise SettingsError([f"{file} has no {what} {name}: {there}"])
    if not callable(vars(module)[name]):
        raise SettingsError([f"{name} in {file} is {type(vars(module)[name]).__name__}, and no {what}: {there}"])
    return user_defined(vars(module)[name], name)


def _imported(path: Path) -> Any:
    """A file as a module: what stands beside it can be imported by it."""
    folder, name = str(path.resolve().parent), path.stem
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise SettingsError([f"{path} cannot be imported: {type(error).__name__}: {error}"]) from None
    return module
