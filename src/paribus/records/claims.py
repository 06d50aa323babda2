"""Claims: what somebody concluded, and the conditions on findings under which it holds. As data: a study's file has
them, its record keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from paribus.config.overrides import SettingsError, near_miss

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Condition:
    """One of five kinds, on one metric of a study's arms:

    | kind       | given                                   | holds where                                        |
    |------------|-----------------------------------------|----------------------------------------------------|
    | difference | `higher`, `lower`, `by`                 | higher - lower is above `by` (0)                   |
    | likeness   | `alike` (two arms), `margin`            | their difference lies within the margin            |
    | ratio      | `ratio` (two arms), `between`           | first / second lies between the two numbers        |
    | level      | `arm`, `at_least` or `at_most`          | its mean does                                      |
    | line       | `line` (arms), `x`, `within` or `beyond`| they lie within that share of their range of a     |
    |            |                                         | straight line over `x`, or farther from it         |

    `at`: of a curve, its value at this epoch instead of the last; `since`: how much it has changed since that epoch.
    """

    metric: str
    higher: str | None = None
    lower: str | None = None
    by: Number = 0.0
    alike: tuple[str, str] | None = None
    margin: Number | None = None
    ratio: tuple[str, str] | None = None
    between: tuple[Number, Number] | None = None
    arm: str | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    line: tuple[str, ...] | None = None
    x: tuple[Number, ...] | None = None
    within: Number | None = None
    beyond: Number | None = None
    at: Number | None = None
    since: Number | None = None

    KINDS: ClassVar[dict[str, tuple[set[str], set[str]]]] = {
        "difference": ({"higher", "lower"}, {"by"}),
        "likeness": ({"alike", "margin"}, set()),
        "ratio": ({"ratio", "between"}, set()),
        "level, at least": ({"arm", "at_least"}, set()),
        "level, at most": ({"arm", "at_most"}, set()),
        "line": ({"line", "x", "within"}, set()),
        "no line": ({"line", "x", "beyond"}, set()),
    }

    @field_validator("between")
    @classmethod
    def _ordered(cls, between: tuple[float, float] | None) -> tuple[float, float] | None:
        if between is not None and not 0 < between[0] < between[1]:
            raise ValueError
        return between

    @model_validator(mode="after")
    def _of_one_kind(self) -> Condition:
        if mistake := _kind_mistake(_given(self).keys()):
            raise ValueError(mistake)
        if self.line is not None and self.x is not None and not 2 < len(self.line) == len(self.x):
            raise ValueError
        return self

    @property
    def told(self) -> str:
        """As a file has it, in one line.

        >>> Condition("test_loss", higher="a", lower="b").told
        "metric = 'test_loss', higher = 'a', lower = 'b'"
        """
        return ", ".join(f"{key} = {value!r}" for key, value in _given(self).items())

    @property
    def arms(self) -> list[str]:
        """Those that it is about."""
        return [
            arm
            for arm in (self.higher, self.lower, *(self.alike or self.ratio or self.line or ()), self.arm)
            if arm is not None
        ]


@dataclass(frozen=True)
class Claim:
    """`id`: a name (`C1`); `text`: what was concluded. Claims of several studies with one id are one claim.

    `note`: what readers have to know beside the verdict; `reduced`: whether the study is a smaller one than the claim
    is about, so that its verdict is one at that scale.
    """

    id: str
    text: str
    conditions: tuple[Condition, ...]
    note: str = ""
    reduced: bool = False

    def as_data(self) -> dict[str, Any]:
        """Plain values, without what is not given: as a file has it."""
        more = {key: value for key, value in (("note", self.note), ("reduced", self.reduced)) if value}
        return {"id": self.id, "claim": self.text, **more, "conditions": [_given(one) for one in self.conditions]}

    @classmethod
    def of(cls, facts: Any) -> Claim:
        """From a file's table or a record; SettingsError with all that is wrong.

        >>> condition = {"metric": "test_accuracy", "higher": "a", "lower": "b"}
        >>> claim = Claim.of({"id": "C", "claim": "a is better than b", "conditions": [condition]})
        >>> claim.conditions[0].arms, Claim.of(claim.as_data()) == claim
        (['a', 'b'], True)
        """
        if not isinstance(facts, dict) or not all(isinstance(facts.get(key), str) for key in ("id", "claim")):
            raise SettingsError(['a claim has an id and a claim: write id = "C1" and claim = "..."'])
        name, mistakes = facts["id"], list[str]()
        for listed in facts["conditions"] if isinstance(facts.get("conditions"), list) else ():
            keys = listed.keys() if isinstance(listed, dict) else set[str]()
            if keys <= _KEYS and (mistake := _kind_mistake(keys)):
                mistakes.append(f"claim {name}: {mistake}")
        try:
            table = _Table(**facts)
        except ValidationError as error:
            mistakes += [f"claim {name}{line}" for line in map(_explained, error.errors()) if line]
        if mistakes:
            raise SettingsError(mistakes)
        return cls(table.id, table.claim, tuple(table.conditions), table.note, table.reduced)


@dataclass(frozen=True)
class Written:
    """Claims as a record had them, from when it held so many finished runs; None where that is not known."""

    claims: tuple[Claim, ...]
    runs: int | None


class _Table(BaseModel):
    """A claim as a file has it."""

    model_config = ConfigDict(extra="forbid")

    id: str
    claim: str
    conditions: list[Condition] = Field(min_length=1)
    note: str = ""
    reduced: StrictBool = False


_KEYS = frozenset(field.name for field in fields(Condition))
_PAIRS = ("alike", "ratio")
_LISTS = {"line": 'arms, as in line = ["batch 32", "batch 64", "batch 128"]', "x": "numbers, as in x = [32, 64, 128]"}
_ARMS = ("higher", "lower", "arm")


def _given(condition: Condition) -> dict[str, Any]:
    """What a condition says, without what is not given."""
    facts = asdict(condition).items()
    return {key: value for key, value in facts if value is not None and (key, value) != ("by", 0.0)}


def _kind_mistake(keys: Iterable[str]) -> str:
    """What is wrong where these keys make no kind of condition."""
    has = {*keys} - {"metric", "at", "since"}
    if {*keys} & {"at", "since"} == {"since"}:
        return "a condition with since has at too: from which epoch to which"
    kinds = Condition.KINDS.values()
    if any(need <= has <= need | more for need, more in kinds):
        return ""
    ways = "; ".join("metric, " + ", ".join(sorted(need | more)) for need, more in kinds)
    return f"a condition has one of these sets of keys: {ways}; this has {', '.join(sorted(has)) or 'none of them'}"


def _explained(problem: ErrorDetails) -> str:
    """One mistake of a claim's table in words, after the claim's name; none for what `_kind_mistake` says."""
    where, value = problem["loc"], problem["input"]
    extra = problem["type"] == "extra_forbidden" or problem["type"] == "unexpected_keyword_argument"
    if where[0] != "conditions":
        return f" has no {where[0]!r}: {near_miss(str(where[0]), _Table.model_fields)}"
    if len(where) == 1:
        return " has no conditions: write [[claims.conditions]] tables"
    if len(where) == 2:
        line = isinstance(value, dict) and "line" in value
        return ": line has three arms or more, and x a number for each" if line else ""
    key = str(where[2])
    if extra:
        return f": a condition has no {key!r}: {near_miss(key, _KEYS)}"
    if key == "metric":
        return ': a condition has a metric, which is text: write metric = "test_accuracy"'
    if key in _PAIRS:
        return f': {key} is a list of two arms, as in {key} = ["one", "other"]'
    if key in _LISTS:
        return f": {key} is a list of {_LISTS[key]}"
    if key in _ARMS:
        return f': {key} = {value!r} is not allowed: it is the name of an arm, as in {key} = "one"'
    if key == "between" and problem["type"] in ("value_error", "missing", "too_long", "tuple_type"):
        return ": between is two ratios, the lower first, both above 0, as in between = [0.8, 1.25]"
    return f": {key} = {value!r} is not allowed: it is a number, as in {key} = 0.02"
