"""What may be said of scores beside the scores, and how an option is spelled where a message names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_FLAGS = {"last": "last=True", "unpaired": "unpaired=True", "wide": "wide=True", "looked": "looked=True",
          "lower": "lower=True", "higher": "lower=False"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which columns are what, where their names do not say it. `arm`: one, or several that together make an arm;
    `last`, `best`: which row of several epochs counts; `unpaired`: runs of two arms have nothing in common; `wide`:
    each column of numbers is an arm; `pattern`: where a run's name has its arm and its seed, as `{arm}/seed{seed}`;
    `python`: whether whoever asks writes Python, so that messages name arguments."""

    arm: Sequence[str] = ()
    seed: str | None = None
    metric: str | None = None
    last: bool = False
    best: str | None = None
    unpaired: bool = False
    wide: bool = False
    pattern: str | None = None
    python: bool = False

    def option(self, name: str, value: object = None) -> str:
        """An option as it is written by who asked.

        >>> Asked().option("arm", "NAME"), Asked(python=True).option("arm", "NAME"), Asked(python=True).option("last")
        ('--arm NAME', "arm='NAME'", 'last=True')
        """
        if not self.python:
            told = f"{value:g}" if isinstance(value, float) else value
            return f"--{name}" if value is None else f"--{name} {told}"
        return _FLAGS.get(name, name) if value is None else f"{name}={value!r}"
