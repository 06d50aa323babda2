"""How often the first cure that a diagnosis names helps: each beside the sick arm, over eight paired seeds.

    python benchmarks/cures.py --half report          # the half that no threshold and no cure was chosen on
    python benchmarks/cures.py --half tune --missed   # the other half, and each plant whose cure did not help

The plants are those of `benchmarks/diagnosis.py` that do harm, and in which the planted code is found, but for
convolutional ones, whose cures take minutes each. Of each the cures are tried as `study.cure(seeds=8)` tries them. A cure
counts as a help where the verdict says that the arm with it has the higher test score: "cured" or "better". Counted are
the first cure of the planted code, and the best of all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import diagnosis
import numpy as np
from diagnosis_plants import AGAIN, CODES, HALVES, Trial, trials

import paribus
from paribus.config.overrides import SettingsError
from paribus.config.values import format_overrides

SEEDS = 8
HELPS = ("cured", "better")


@dataclass(frozen=True)
class Outcome:
    """What came of the cures of one plant. `first`: the answer on the first cure of the planted code; `best`: on the
    best of all; `told`: every cure with its answer and gain."""

    seed: int
    code: str
    task: str
    first: str
    best: str
    told: list[str]


def outcome(seed: int, trial: Trial, study: paribus.Study) -> Outcome | None:
    """None where the planted code is not found, or has no cure."""
    mine = [one for one in study.diagnose() if one.code == trial.code and one.cures]
    if not mine:
        return None
    first = format_overrides(mine[0].cures[0])
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            tried = study.cure(seeds=SEEDS)
    except SettingsError as error:
        return Outcome(seed, trial.code, trial.task, "refused", "refused", error.mistakes)
    cures = [one for arm in tried for one in arm.cures]
    refused = {name: why for arm in tried for name, why in arm.refused.items()}
    answers = {one.name: one.answer for one in cures}
    told = [f"{one.name}: {one.answer} {'' if one.gain is None else f'{one.gain:+.3f}'} {one.why}" for one in cures]
    return Outcome(
        seed, trial.code, trial.task, answers.get(first, "refused"), cures[0].answer if cures else "refused",
        [*told, *(f"{name}: refused: {why}" for name, why in refused.items())],
    )  # fmt: skip


def best_scores(half: str, folder: Path) -> dict[str, float]:
    """The best test score of a half's healthy candidates: task -> score."""
    best: dict[str, float] = defaultdict(lambda: -np.inf)
    for seed, trial in trials(half):
        if not trial.code:
            best[trial.task] = max(
                best[trial.task], diagnosis.score(diagnosis.trained(trial, seed, folder / str(seed)))
            )
    return best


def main() -> None:
    """Train, diagnose, cure, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=[*HALVES, *AGAIN], default="report")
    parser.add_argument("--keep", type=Path, help="a folder for the runs, which are not trained again")
    parser.add_argument("--only", default="", help="codes, joined by commas")
    parser.add_argument("--missed", action="store_true", help="list every plant whose first cure does not help")
    parser.add_argument("--json", type=Path, help="a file for what came of each plant")
    asked = parser.parse_args()
    begun, only = time.perf_counter(), set(filter(None, asked.only.split(",")))
    with tempfile.TemporaryDirectory() as thrown_away:
        folder = asked.keep or Path(thrown_away)
        best = best_scores(asked.half, folder)
        found = []
        for seed, trial in trials(asked.half):
            if not trial.code or (only and trial.code not in only) or "channels" in trial.layers:
                continue
            study = diagnosis.train(trial, seed, folder / str(seed))
            if not diagnosis.harmed(trial, study.record, best[trial.task.split()[-1]]):
                continue
            if (one := outcome(seed, trial, study)) is not None:
                found.append(one)
    tell(found, missed=asked.missed)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in found], indent=1))
    print(f"{len(found)} plants, {time.perf_counter() - begun:.0f} s")


def tell(found: list[Outcome], *, missed: bool) -> None:
    """The table, a row a code."""
    print(f"{'code':24}{'plants':>7}{'first cure helps':>18}{'some cure helps':>17}")
    for code in CODES:
        mine = [one for one in found if one.code == code]
        if mine:
            first, some = (sum(getattr(one, name) in HELPS for one in mine) for name in ("first", "best"))
            print(f"{code:24}{len(mine):7}{first:11} {first / len(mine):5.0%} {some:10} {some / len(mine):5.0%}")
        for one in mine if missed else []:
            if one.first not in HELPS:
                print(f"  {one.seed} {one.task}: " + "; ".join(one.told))
    first = sum(one.first in HELPS for one in found)
    print(f"{'all':24}{len(found):7}{first:11} {first / max(1, len(found)):5.0%}")


if __name__ == "__main__":
    main()
