"""Claims: what somebody concluded, and the conditions on findings under which it holds. As data: a study's file has
them, its record keeps them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Condition:
    """One of four kinds, on one metric of a study's arms:

    | kind       | given                           | holds where                                        |
    |------------|---------------------------------|----------------------------------------------------|
    | difference | `higher`, `lower`, `by`         | higher - lower is above `by` (0)                   |
    | likeness   | `alike` (two arms), `margin`    | their difference lies within the margin            |
    | ratio      | `ratio` (two arms), `between`   | first / second lies between the two numbers        |
    | level      | `arm`, `at_least` or `at_most`  | its mean does                                      |
    """

    metric: str
    higher: str | None = None
    lower: str | None = None
    by: float = 0.0
    alike: tuple[str, str] | None = None
    margin: float | None = None
    ratio: tuple[str, str] | None = None
    between: tuple[float, float] | None = None
    arm: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    KINDS = {  # noqa: RUF012 (a constant beside the fields)
        "difference": ({"higher", "lower"}, {"by"}),
        "likeness": ({"alike", "margin"}, set[str]()),
        "ratio": ({"ratio", "between"}, set[str]()),
        "level, at least": ({"arm", "at_least"}, set[str]()),
        "level, at most": ({"arm", "at_most"}, set[str]()),
    }

    @property
    def arms(self) -> list[str]:
        """Those that it is about."""
        return [
            arm
            for arm in (self.higher, self.lower, *(self.alike or ()), *(self.ratio or ()), self.arm)
            if arm is not None
        ]


@dataclass(frozen=True)
class Claim:
    """`id`: a name (`C1`); `text`: what was concluded. Claims of several studies with one id are one claim."""

    id: str
    text: str
    conditions: tuple[Condition, ...]

    def as_data(self) -> dict[str, Any]:
        """Plain values, without what is not given: as a file has it."""
        parts = [
            {key: value for key, value in asdict(one).items() if value is not None and (key, value) != ("by", 0.0)}
            for one in self.conditions
        ]
        return {"id": self.id, "claim": self.text, "conditions": parts}

    @classmethod
    def of(cls, facts: Any) -> Claim:
        """From a file's table or a record; ValueError with what is wrong.

        >>> condition = {"metric": "test_accuracy", "higher": "a", "lower": "b"}
        >>> claim = Claim.of({"id": "C", "claim": "a is better than b", "conditions": [condition]})
        >>> claim.conditions[0].arms, Claim.of(claim.as_data()) == claim
        (['a', 'b'], True)
        """
        if not isinstance(facts, dict) or not all(isinstance(facts.get(key), str) for key in ("id", "claim")):
            raise ValueError('a claim has an id and a claim: write id = "C1" and claim = "..."')
        name, listed = facts["id"], facts.get("conditions")
        if unknown := sorted(facts.keys() - {"id", "claim", "conditions"}):
            raise ValueError(f"claim {name} has no {', '.join(unknown)}: it has id, claim and conditions")
        if not isinstance(listed, list) or not listed:
            raise ValueError(f"claim {name} has no conditions: write [[claims.conditions]] tables")
        return cls(name, facts["claim"], tuple(_condition(name, one) for one in listed))


def _condition(name: str, facts: Any) -> Condition:
    keys = set(facts) - {"metric"} if isinstance(facts, dict) else set()
    if (
        not isinstance(facts, dict)
        or not any(need <= keys <= need | more for need, more in Condition.KINDS.values())
        or not isinstance(facts.get("metric"), str)
    ):
        ways = "; ".join("metric, " + ", ".join(sorted(need | more)) for need, more in Condition.KINDS.values())
        raise ValueError(
            f"claim {name}: a condition has one of these sets of keys: {ways}; this has "
            f"{', '.join(sorted(keys)) or 'none of them'}"
        )
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    for key in ("alike", "ratio", "between"):
        if key in values and (not isinstance(values[key], tuple) or len(values[key]) != 2):
            raise ValueError(f"claim {name}: {key} is a list of two")
    for key in sorted(values.keys() & {"by", "margin", "at_least", "at_most", "between"}):
        for number in values[key] if key == "between" else [values[key]]:
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise ValueError(f"claim {name}: {key} = {number!r} is not allowed: it is a number, as in {key} = 0.02")
    if "between" in values and not 0 < values["between"][0] < values["between"][1]:
        raise ValueError(
            f"claim {name}: between is two ratios, the lower first, both above 0, as in between = [0.8, 1.25]"
        )
    return Condition(**values)
