"""What a command would do: the answer of `--dry-run`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExpectedArm:
    """An arm: how many of its runs are missing, and how many seconds each will take, None where none is missing."""

    arm: str
    missing: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A stage: its arms, what there is to say of it, and its seconds, with its jobs side by side. `at_most`: whether it
    may be decided, and end, before."""

    name: str
    arms: list[ExpectedArm]
    seeds: int
    notes: list[str]
    seconds: float
    at_most: bool = False
