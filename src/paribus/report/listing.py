"""`paribus list`: names, defaults, one line each."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from paribus.core.settings import MODELS, OPTIMIZERS, TASKS, spell, word
from paribus.core.words import all_settings

LISTINGS = ("tasks", "models", "optimizers", "settings")


def listing(what: str) -> Table:
    """One of LISTINGS as a table."""
    table = Table(box=None, pad_edge=False)
    if what == "settings":
        for column in ("setting", "default", "meaning"):
            table.add_column(column, no_wrap=column == "setting")
        for full, owned in all_settings().items():
            if not owned:
                continue
            owners = ", ".join(dict.fromkeys(owner for owner, _ in owned if owner))
            info = owned[0][1]
            meaning = f"{info.description} ({owners})" if owners else str(info.description)
            table.add_row(*map(Text, (full, spell(word(info.default)), meaning)))
        table.caption = (
            "A task's own defaults come first (paribus list tasks). A short name, lr, will do for optimizer.lr."
        )
        return table
    if what == "tasks":
        for column in ("task", "what it is", "settings its runs start from"):
            table.add_column(column)
        for name, task in TASKS.items():
            defaults = " ".join(f"{full.rpartition('.')[2]}={value}" for full, value in task.defaults.items())
            table.add_row(*map(Text, (name, task.summary, defaults)))
        return table
    sections = MODELS if what == "models" else OPTIMIZERS
    for column in (what.removesuffix("s"), "what it is", "settings"):
        table.add_column(column)
    for name, section in sections.items():
        fields = " ".join(
            f"{field}={spell(word(info.default))}" for field, info in section.model_fields.items() if field != "name"
        )
        table.add_row(*map(Text, (name, section.summary, fields)))
    return table
