"""Pages of the site that are made when it is built: from the commands, the settings, and the project's own files.

MkDocs calls `on_files` (mkdocs.yml, `hooks`). Nothing is written into the folder of the documents.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

from paribus.cli import app
from paribus.config.base import Config
from paribus.config.models import MODELS
from paribus.config.optimizers import OPTIMIZERS
from paribus.config.recipes import RECIPES
from paribus.config.schedules import SCHEDULES
from paribus.config.settings import Settings, common_settings
from paribus.config.tasks import TASKS, TableData
from paribus.config.values import format_overrides, format_value, plain_value

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent
PROJECT = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "security.md": "SECURITY.md",
           "conduct.md": "CODE_OF_CONDUCT.md"}  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made."""
    from mkdocs.structure.files import File

    made = {"reference/commands.md": commands(), "reference/settings.md": settings()}
    made |= {name: of_project(path) for name, path in PROJECT.items()}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def of_project(name: str) -> str:
    """A file of the project's root, its links as they are from the documents' folder."""
    text = (ROOT / name).read_text(encoding="utf-8")
    places = {f"]({path})": f"]({page})" for page, path in PROJECT.items()}
    for old, new in places.items():
        text = text.replace(old, new)
    return text.replace("](docs/", "](")


def commands() -> str:
    """Every command with its arguments and options, from the program itself."""
    parts = ["# Commands", "`paribus COMMAND --help` says the same in a terminal. A setting is written `key=value`."]
    parts += [
        part for name, command in _all(typer.main.get_command(app), "paribus") for part in _command(name, command)
    ]
    return "\n\n".join(parts) + "\n"


def _all(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Commands and those in them, groups left out."""
    inside = getattr(command, "commands", None)
    if inside is None:
        yield name, command
        return
    for one in sorted(inside):
        yield from _all(inside[one], f"{name} {one}")


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}"
    yield _plain(inspect.cleandoc(command.help or ""))
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option"]
    words = " ".join([name, *(str(one.metavar or one.name.upper()) for one in arguments), "[OPTIONS]" * bool(options)])
    yield f"```\n{words.strip()}\n```"
    if arguments:
        yield _table(("argument", "meaning"), (_parameter(one)[:2] for one in arguments))
    if options:
        yield _table(("option", "meaning", "default"), map(_parameter, options))


def _parameter(one: Any) -> tuple[str, str, str]:
    if one.param_type_name == "argument":
        called = f"`{one.metavar or one.name.upper()}`"
    else:
        called = ", ".join(f"`{word}`" for word in [*one.opts, *one.secondary_opts])
    default = "" if one.default in (None, False, "", (), []) or callable(one.default) else f"`{one.default}`"
    return called, _plain(one.help or ""), default


def settings() -> str:
    """Every setting, from the values that hold them."""
    parts = [
        "# Settings",
        "A setting is `key=value` on the command line, a keyword in Python, a line under `[settings]` in a study's "
        "file. Its short name will do, `lr` for `optimizer.lr`. Several values with commas are a factor. A task's own "
        "defaults come first; they stand below each task.",
        "## Of every run",
        _fields(Settings, common_settings()),
    ]
    for kind, registry in (("task", {**TASKS, "FILE": TableData}), ("model", MODELS), ("optimizer", OPTIMIZERS)):
        parts.append(f"## {kind}")
        for name, config in registry.items():
            parts += [f"### {kind}={name}", _plain(f"{config.summary[0].upper()}{config.summary[1:]}.")]
            if kind == "task" and config.defaults:
                parts.append(f"Its runs start from `{format_overrides(config.defaults)}`.")
            parts.append(_fields(config, [one for one in config.model_fields if one not in ("name", "arrays")]))
    parts.append("## schedule")
    schedules = ((", ".join(f"`{word}`" for word in one.examples), _plain(one.meaning)) for one in SCHEDULES.values())
    parts.append(_table(("schedule", "factor on the learning rate"), schedules))
    parts.append("## recipe")
    recipes = (
        (f"`{name}`", _plain(one.summary), f"`{format_overrides(one.settings)}`") for name, one in RECIPES.items()
    )
    parts.append(_table(("recipe", "what it is", "settings"), recipes))
    return "\n\n".join(filter(None, parts)) + "\n"


def _fields(config: type[Config], names: Iterable[str]) -> str:
    rows = []
    for name in names:
        info = config.model_fields[name]
        extra = info.json_schema_extra
        allowed = str(extra["allowed"]) if isinstance(extra, dict) else ""
        default = format_value(plain_value(info.default))
        # two columns, so that a telephone shows them
        rows.append((f"`{name}={default}`", f"{_plain(info.description or '')}. Allowed: {_plain(allowed)}"))
    return _table(("setting and its default", "meaning"), rows) if rows else ""


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is, but for code between backquotes."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for part in parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |" for line in lines
    )
