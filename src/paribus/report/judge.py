"""`paribus judge`: the statistics of a study, for scores from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.core.words import SettingsError, near_miss
from paribus.findings.differences import Difference, differences
from paribus.findings.scores import Scores, read_scores
from paribus.findings.summary import summarise
from paribus.report.show import SCHEMA_VERSION, finite
from paribus.report.tables import differences_table


@dataclass(frozen=True)
class Judgement:
    """Scores and what they show. `warnings`: scores that are missing, and how many pairs that leaves."""

    name: str
    scores: Scores
    primary: str
    found: list[Difference]
    warnings: list[str]
    margin: float | None = None

    def as_json(self) -> dict[str, Any]:
        """As `show --json`, as far as scores alone go."""
        arms = next(iter(self.scores.values.values()))
        contents: dict[str, Any] = finite(
            {
                "schema_version": SCHEMA_VERSION,
                "study": {
                    "name": self.name, "factors": [], "seeds": self.scores.seeds, "primary_metric": self.primary,
                    "warnings": self.warnings,
                },
                "arms": [
                    {
                        "name": arm,
                        "metrics": {m: asdict(summarise(values[arm])) for m, values in self.scores.values.items()},
                    }
                    for arm in arms
                ],
                "differences": [asdict(one) for one in self.found],
            }
        )  # fmt: skip
        return contents

    def table(self) -> RenderableType:
        """For a terminal."""
        metrics: Mapping[str, Mapping[str, list[float | None]]] = self.scores.values
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
        table.add_column("arm", overflow="fold")
        for metric in metrics:
            table.add_column(Text(f"{metric}\n(mean, n)"), justify="right")
        for arm in metrics[self.primary]:
            cells = []
            for values in metrics.values():
                found = summarise(values[arm])
                half = f" ±{found.ci95[1] - (found.mean or 0):.3g}" if found.ci95 else ""
                cells.append("-" if found.mean is None else f"{found.mean:.5g}{half} ({found.n})")
            table.add_row(Text(arm), *cells)
        primary = [one for one in self.found if one.metric == self.primary]
        labels = {arm: arm for arm in metrics[self.primary]}
        lines: list[RenderableType] = [Text(self.name, style="bold"), *map(Text, self.warnings), table]
        return Group(*lines, "", differences_table(primary, labels, margin=self.margin, as_given=True))


def judge(path: Path, metric: str | None, baseline: str | None, margin: float | None) -> Judgement:
    """Read a CSV and judge it; SettingsError with all that is wrong. The primary metric is the first, or `metric`."""
    scores = read_scores(path)
    metrics, arms = list(scores.values), list(next(iter(scores.values.values())))
    mistakes = []
    if metric is not None and metric not in metrics:
        mistakes.append(f"--metric {metric} is no column of {path}: {near_miss(metric, metrics)}")
    if baseline is not None and baseline not in arms:
        mistakes.append(f"--baseline {baseline} is no arm of {path}: {near_miss(baseline, arms)}")
    if margin is not None and not 0 < margin < float("inf"):
        mistakes.append(f"--margin {margin:g} is not allowed: margin is a finite number above 0")
    if mistakes:
        raise SettingsError(mistakes)
    primary = metric or metrics[0]
    found = [
        one
        for name in (primary, *(name for name in metrics if name != primary))
        for one in differences(
            scores.values[name],
            name,
            primary=name == primary,
            baseline=baseline,
            margin=margin if name == primary else None,
        )
    ]
    warnings = []
    for arm in arms:
        missing = sum(value is None for value in scores.values[primary][arm])
        if missing:
            warnings.append(
                f"{arm}: {missing} of {len(scores.seeds)} seeds have no {primary}; its differences are over the others"
            )
    return Judgement(path.name, scores, primary, found, warnings, margin)
