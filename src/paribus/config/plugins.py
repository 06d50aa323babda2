"""Tasks, models, optimizers and backends that other packages bring, by entry points.

A package names what it brings in its pyproject.toml:

    [project.entry-points."paribus.tasks"]
    spirals = "my_package:spirals"      # a function without arguments that returns paribus.data(...)
    [project.entry-points."paribus.models"]
    wide = "my_package:wide"            # a function without arguments that returns an nn.Module, or an estimator
    [project.entry-points."paribus.optimizers"]
    slow = "my_package:slow"            # a function of the parameters, and lr where it takes one
    [project.entry-points."paribus.backends"]
    mine = "my_package:Mine"            # a subclass of paribus.backends.base.Backend

Nothing is looked for before a command names something that is not built in, and only what is named is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from paribus.config.estimators import estimator_defined
from paribus.config.overrides import SettingsError
from paribus.config.registries import REGISTRIES
from paribus.config.user_code import UserDefined, is_estimator, user_defined
from paribus.config.user_errors import RAISED, told

GROUPS = {
    "task": "paribus.tasks",
    "model": "paribus.models",
    "optimizer": "paribus.optimizers",
    "implementation": "paribus.backends",
}
"""By the setting that names one."""


@dataclass(frozen=True)
class Plugin:
    """Something that another package brings. `package`: its name and version."""

    kind: str
    name: str
    package: str
    point: EntryPoint

    def load(self) -> Any:
        """What the entry point names; SettingsError where it cannot be imported."""
        try:
            return self.point.load()
        except RAISED as error:  # whatever the package does when it is imported
            raise self.refused(f"cannot be loaded: {told(error)}") from None

    def refused(self, why: str) -> SettingsError:
        """One line that says which plugin is wrong, and why."""
        return SettingsError([f"{self.kind}={self.name}, a plugin of the package {self.package}, {why}"])


@cache
def plugins(kind: str) -> tuple[Plugin, ...]:
    """Those of a kind, by name; nothing of them is imported.

    >>> plugins("task")
    ()
    """
    found = entry_points(group=GROUPS[kind])
    return tuple(
        Plugin(kind, one.name, f"{one.dist.name} {one.dist.version}" if one.dist else "that is not known", one)
        for one in sorted(found, key=lambda one: (one.name, one.value))
    )


def find(kind: str, name: str) -> Plugin | None:
    """The plugin of that name, None where there is none; SettingsError where several packages bring one."""
    found = [one for one in plugins(kind) if one.name == name]
    if len(found) > 1:
        packages = " and ".join(one.package for one in found)
        raise SettingsError([f"{kind}={name} is a plugin of {packages}: uninstall all but one"])
    return found[0] if found else None


def brought(kind: str, word: Any) -> Any:
    """A task, model or optimizer that a package brings under that name, as what is the user's own; anything else as it
    is. What is built in comes first. SettingsError for a plugin that does not work."""
    if not isinstance(word, str) or word in REGISTRIES[kind]:
        return word
    plugin = find(kind, word)
    return word if plugin is None else _defined(plugin)


@cache  # one thing for all arms
def _defined(plugin: Plugin) -> UserDefined:
    thing = plugin.load()
    if plugin.kind == "task":
        try:
            made = thing() if callable(thing) and not isinstance(thing, UserDefined) else thing
        except RAISED as error:
            raise plugin.refused(f"cannot be made: {told(error)}") from None
        if not isinstance(made, UserDefined):
            raise plugin.refused(f"returns {type(made).__name__}: a task's function returns paribus.data(...)")
        return replace(made, name=plugin.name, handle="")
    if plugin.kind == "model" and is_estimator(thing):
        return estimator_defined(thing, plugin.name)
    if not callable(thing):
        raise plugin.refused(f"is {type(thing).__name__}: it has to be a function that makes the {plugin.kind}")
    own = user_defined(thing, plugin.name)
    # the code of an installed package is known by the package's version
    return replace(own, fingerprint=sha256(f"{own.fingerprint} {plugin.package}".encode()).hexdigest())
