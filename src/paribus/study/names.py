"""Names of studies, and the folders that they go into."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from paribus.config.table_names import is_table

_NAME_LENGTH = 80
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(1, 10))}  # Windows


def default_name(task: str, words: Sequence[str]) -> str:
    """A name that two commands share only if they ask for the same study.

    >>> default_name("moons", ["lr=0.1,0.01", "epochs=5"])
    'moons lr=0.1,0.01 epochs=5'
    """
    return " ".join([*([task] if task else []), *words])


def tasks_of(word: str) -> list[str]:
    """The tasks that a command's word lists with commas; a file that has one in its name is one task."""
    return [word] if is_table(word) and Path(word).is_file() else word.split(",")


def called(task: str) -> str:
    """A task's part of a name: of a file its own name, without the folder and the ending.

    >>> called("shop/customers.csv"), called("moons")
    ('customers', 'moons')
    """
    return Path(task).stem if is_table(task) else task


def folder_name(name: str) -> str:
    """A name that every file system takes: what it would not take becomes `-`, and what is cut or lost a short hash.

    >>> folder_name("moons lr=0.1,0.01"), folder_name("../学")
    ('moons-lr=0.1,0.01', 'study-c8bb12')
    """
    name = name.encode("utf-8", "replace").decode()
    safe = re.sub(r"[^\w.,=+-]", "-", name, flags=re.ASCII).strip(".-")
    if safe and safe == name.replace(" ", "-") and len(safe) <= _NAME_LENGTH and safe.upper() not in _RESERVED:
        return safe
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{safe[:_NAME_LENGTH] or 'study'}-{mark}"
