"""Which names of tasks are files: tables that are read by what their names end in."""

from __future__ import annotations

from pathlib import Path

TEXT = (".csv", ".tsv", ".tab", ".txt")
PARQUET = (".parquet", ".pq")


def is_table(name: str) -> bool:
    """Whether a task's name is a file's: it ends as one of a table does.

    >>> is_table("shop/customers.csv"), is_table("moons")
    (True, False)
    """
    return Path(name).suffix.lower() in (*TEXT, *PARQUET)
