"""What every part of the settings is: a frozen, closed, validated value.

Each field says its meaning and what is allowed; `paribus list settings` and every error message are made from that.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def setting(default: Any, meaning: str, allowed: str, **bounds: Any) -> Any:
    """A field with its meaning and, for people, what is allowed."""
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed}, **bounds)


class Config(BaseModel):
    """Frozen, closed to unknown names, and without NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
