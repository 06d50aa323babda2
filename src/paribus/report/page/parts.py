"""What a page is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paribus.report.page.curves import Figure, Key
from paribus.report.page.diagnoses import Cured, Wrong
from paribus.report.page.lead import Lead
from paribus.report.page.tables import Repeat, Table
from paribus.report.page.text import Answer


@dataclass(frozen=True, kw_only=True)
class Group:
    """Figures under one heading, `columns` side by side where there is room. `tools`: the legend hides arms, and axes
    can be changed; `epochs`: of the slider."""

    title: str
    note: str
    figures: list[Figure]
    legend: list[Key] = field(default_factory=list)
    tools: bool = False
    epochs: list[float] = field(default_factory=list)
    columns: int = 3


@dataclass(frozen=True)
class Mistake:
    """A picture of the most confident mistakes. `caption` stands under it, `alt` for it."""

    source: str
    caption: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A study on the page. `payload`: the JSON that `page.js` draws its figures from; `timed`: whether there could be
    times; `lead`: what stands first; `each`: what a row of the longest CSV is of; `wrong`: what went wrong in training;
    `cured`: what came of the cures that were tried; `some_arms`: which arms the tables have rows of, where that is not
    all; `csv_left_out`: the tables too large to be held, and what they are."""

    id: str
    name: str
    about: str
    answers: list[Answer]
    compared: bool
    before: list[Group]
    table: Table
    meters: Table | None
    after: list[Group]
    mistakes: list[tuple[str, list[Mistake]]]
    tuning: Tuning | None
    repeat: Repeat
    payload: str
    file: str
    timed: bool = True
    each: str = "every run"
    wrong: list[Wrong] = field(default_factory=list)
    wrong_left_out: str = ""
    cured: list[Cured] = field(default_factory=list)
    lead: Lead | None = None
    some_arms: str = ""
    csv_left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuning:
    """What was tried and chosen."""

    line: str
    chosen: Table
    tried: Table
    figures: list[Group]
    repeats: Table | None
