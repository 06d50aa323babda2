"""What every part of the settings is: a frozen, closed, validated value.

Each field says its meaning and what is allowed; `paribus list settings` and every error message are made from that.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError


def setting(default: Any, meaning: str, allowed: str, **bounds: Any) -> Any:
    """A field with its meaning and, for people, what is allowed."""
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed}, **bounds)


TOO_LARGE = f"at most {2**32 - 1}"


class Config(BaseModel):
    """Frozen, closed to unknown names, and without NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

    @field_validator("*")
    @classmethod
    def _within_32_bits(cls, value: Any) -> Any:
        """The plan counts epochs, steps and examples in words of 32 bits."""
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int) and one >= 2**32:
                raise PydanticCustomError("too_large", TOO_LARGE)
        return value

    def mistakes(self) -> list[str]:
        """What is wrong with fields together, each with its cure; a field alone has its bounds."""
        return []
