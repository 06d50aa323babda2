"""What the diagnosis says of the buggy programs of two papers, beside what the papers say.

    python benchmarks/buggy_programs.py
    python benchmarks/buggy_programs.py --json FILE

The programs are rebuilt in `buggy_programs_table.py`, one run each. The code that is right for each was fixed before the
diagnosis had seen it; where that code did not exist yet, it was added because this list asked for it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from buggy_programs_parts import build_data, network
from buggy_programs_table import PROGRAMS, REFUSED, Program

import paribus
from paribus.findings.diagnosis import diagnose

SEED = 1
_WIDEST = 44
_SHOWN_OF_A_FAULT = 78


@dataclass(frozen=True)
class Said:
    """Of one program: the codes that are told, the first first; its score on the test split; the reason where it is not
    trained."""

    codes: tuple[str, ...]
    score: float | None = None
    refusal: str = ""


def said(place: int) -> Said:
    """What the diagnosis tells of one program."""
    program = PROGRAMS[place]
    quiet = (contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()))
    with tempfile.TemporaryDirectory() as folder, quiet[0], quiet[1], warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            record = _trained(program, Path(folder) / "study").record
        except ValueError as error:
            return Said((REFUSED,), refusal=str(error))
        run = record.arms[0].runs[0]
        score = run.final("test_accuracy" if run.task.classes else "test_r2")
        return Said(tuple(one.code for one in diagnose(record)), score)


def _trained(program: Program, folder: Path) -> Any:
    task = build_data(program.data, program.kind)
    model = network(program.network, task.thing.x.shape[1:], weights=program.weights, biases=program.biases)
    more: dict[str, Any] = {} if program.loss is None else {"loss": program.loss}
    return paribus.train(task, model=model, seeds=[SEED], out=folder, jobs=1, **{**program.words, **more})


def judged(program: Program, found: Said) -> str:
    """`first`, `named`, `other` where only other causes are told, or `silent`."""
    if found.codes and found.codes[0] in program.right:
        return "first"
    if set(found.codes) & set(program.right):
        return "named"
    return "other" if found.codes else "silent"


def false_causes(program: Program, found: Said) -> list[str]:
    """Codes of what the program does not have, by the paper's list and ours."""
    return [code for code in found.codes if code not in (*program.right, *program.also)]


def main() -> None:
    """Train, diagnose, print, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="a file for all of it")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="names of programs, joined by commas")
    asked = parser.parse_args()
    only = set(filter(None, asked.only.split(",")))
    if unknown := only - {program.name for program in PROGRAMS}:
        parser.error(f"--only {','.join(sorted(unknown))}: no such program; `buggy_programs_table.py` has the names")
    places = [place for place, program in enumerate(PROGRAMS) if not only or program.name in only]
    begun = time.perf_counter()
    with ProcessPoolExecutor(asked.jobs) as pool:
        found = list(pool.map(said, places))
    programs = [PROGRAMS[place] for place in places]
    _tell(programs, found)
    figures = counted(programs, found)
    for name, figure in figures.items():
        print(f"{name:{_WIDEST}}{figure:4} of {len(programs)}  {figure / len(programs):4.0%}")
    print(f"{time.perf_counter() - begun:.0f} s")
    if asked.json:
        rows = [_row(program, one) for program, one in zip(programs, found, strict=True)]
        asked.json.write_text(json.dumps({"programs": rows, "counts": figures}, indent=1) + "\n")


def counted(programs: Sequence[Program], found: Sequence[Said]) -> dict[str, int]:
    """How many programs of each outcome."""
    pairs = list(zip(programs, found, strict=True))
    verdicts = [judged(program, one) for program, one in pairs]
    meant = [verdict for (program, _), verdict in zip(pairs, verdicts, strict=True) if program.right]
    return {
        "right cause told first": verdicts.count("first"),
        "right cause told, first or later": verdicts.count("first") + verdicts.count("named"),
        "  of these, refused before training": sum(one.codes == (REFUSED,) and REFUSED in p.right for p, one in pairs),
        "with a false cause": sum(bool(false_causes(program, one)) for program, one in pairs),
        "nothing is told": verdicts.count("silent"),
        "a code of ours is meant to name the fault": len(meant),
    }


def _tell(programs: Sequence[Program], found: Sequence[Said]) -> None:
    for program, one in zip(programs, found, strict=True):
        score = "" if one.score is None else f"{one.score:.2f}"
        print(
            f"{judged(program, one):7}{program.source:15}{program.name:28}{score:>6}  {program.fault[:_SHOWN_OF_A_FAULT]}"
        )
        false = false_causes(program, one)
        told = ", ".join(f"{code} (false)" if code in false else code for code in one.codes) or "nothing"
        print(f"{'':7}right: {', '.join(program.right) or 'none of ours'}; told: {told}")
        if one.refusal:
            print(f"{'':7}{one.refusal.splitlines()[0]}")


def _row(program: Program, one: Said) -> dict[str, Any]:
    named = {name: getattr(program, name) for name in ("source", "name", "fault", "right", "also")}
    return {**named, **asdict(one), "outcome": judged(program, one), "false": false_causes(program, one)}


if __name__ == "__main__":
    main()
