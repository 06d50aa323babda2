"""`paribus list`: names, defaults, one line each."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic.fields import FieldInfo
from rich.table import Table
from rich.text import Text

from paribus.config.models import MODELS
from paribus.config.optimizers import OPTIMIZERS
from paribus.config.overrides import all_settings
from paribus.config.recipes import RECIPES
from paribus.config.registries import REGISTRIES
from paribus.config.schedules import SCHEDULES
from paribus.config.tasks import TASKS, TableData
from paribus.config.values import format_overrides, format_value, plain_value


def listing(what: str) -> Table:
    """One of LISTINGS as a table, but for `plugins`, which only commands can load."""
    table = Table(box=None, pad_edge=False)
    if what == "settings":
        for column in ("setting", "default", "meaning", "allowed"):
            table.add_column(column, no_wrap=column == "setting")
        for full, owned in all_settings().items():
            if full in REGISTRIES:
                names = ", ".join(REGISTRIES[full])
                table.add_row(
                    full, {"model": "mlp", "optimizer": "sgd"}.get(full, ""), f"{full}; it has settings", names
                )
                continue
            info = owned[0][1]
            owners = ", ".join(owner for owner, _ in owned if owner)
            extra = info.json_schema_extra
            allowed = str(extra["allowed"]) if isinstance(extra, dict) else ""
            meaning = f"{info.description} ({owners})" if owners else str(info.description)
            table.add_row(*map(Text, (full, _default(owned), meaning, allowed)))
        table.caption = (
            "A task's own defaults come first (paribus list tasks). A short name, lr, will do for optimizer.lr."
        )
        return table
    if what == "tasks":
        for column in ("task", "what it is", "settings its runs start from"):
            table.add_column(column)
        for name, task in TASKS.items():
            table.add_row(*map(Text, (name, task.summary, format_overrides(task.defaults))))
            for model, values in task.by_model.items():
                table.add_row("", Text(f"  with model={model}"), Text(format_overrides(values)))
        table.add_row("FILE", Text(TableData.summary), Text(format_overrides(TableData.defaults)))
        return table
    if what == "recipes":
        for column in ("recipe", "what it is", "settings, each of which can be given another value"):
            table.add_column(column)
        for name, recipe in RECIPES.items():
            table.add_row(
                *map(Text, (name, f"{recipe.summary} (model={recipe.model})", format_overrides(recipe.settings)))
            )
        return table
    if what == "schedules":
        for column in ("schedule", "factor on the learning rate"):
            table.add_column(column)
        for schedule in SCHEDULES.values():
            table.add_row(Text(", ".join(schedule.examples)), Text(schedule.meaning))
        return table
    configs = MODELS if what == "models" else OPTIMIZERS
    for column in (what.removesuffix("s"), "what it is", "settings"):
        table.add_column(column)
    for name, config in configs.items():
        fields = " ".join(
            f"{field}={format_value(plain_value(info.default))}"
            for field, info in config.model_fields.items()
            if field != "name"
        )
        table.add_row(*map(Text, (name, config.summary, fields)))
    return table


def _default(owned: Sequence[tuple[str, FieldInfo]]) -> str:
    """`1`, or with the owners that have another: `1 (blobs: 2)`."""
    spelled = {owner: format_value(plain_value(info.default)) for owner, info in owned}
    first = next(iter(spelled.values()))
    others = [f"{owner}: {value}" for owner, value in spelled.items() if value != first]
    return f"{first} ({', '.join(others)})" if others else first
