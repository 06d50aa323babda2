"""What went wrong, as every report tells it: plain values, and commands to paste."""

from __future__ import annotations

from typing import Any

from paribus.findings.diagnosis import Diagnosis
from paribus.findings.diagnosis.loops import ADVICE
from paribus.findings.findings import Findings
from paribus.records.structure import STRUCTURE
from paribus.study.words import compare_command

SCHEMA_VERSION = 1
_IN_THE_CODE = (*STRUCTURE, "wrong-gradient")
"""What is wrong is the user's code, or how the data are given."""
NO_COMMAND = "no command has what is your own in Python: .cure() of the study that paribus.compare or train returns"


def commands(findings: Findings, found: Diagnosis) -> list[str]:
    """One for each cure of a diagnosis, the likeliest first; none where no command can train the arm."""
    arm = next(one for one in findings.study.arms if one.name == found.arm)
    made = (compare_command(findings.study, arm, change) for change in found.cures)
    return [one for one in made if one is not None]


def instead(findings: Findings, found: Diagnosis) -> str:
    """What to try, in words, where no command does it; "" where one does."""
    if commands(findings, found):
        return ""
    if found.cures:
        words = "; or ".join(" ".join(f"{name}={value}" for name, value in cure.items()) for cure in found.cures)
        return f"{words} ({NO_COMMAND})"
    if findings.study.own_loop:
        return f"in your own loop {ADVICE[found.code]}"
    return (
        f"no setting cures it: {'what to change is said above' if found.code in _IN_THE_CODE else 'look at the data'}"
    )


def runs_told(found: Diagnosis) -> str:
    """Which runs show it: the one seed, of which alone layers are recorded, or how many."""
    return f"seed {found.seeds[0]}" if len(found.seeds) == 1 else f"{len(found.seeds)} of {found.of} runs"


def diagnosis_as_data(findings: Findings, found: Diagnosis) -> dict[str, Any]:
    """Plain values, as `--json` has them; `command` is the one to paste, None where there is none."""
    return {
        "arm": found.arm,
        "code": found.code,
        "layer": found.layer,
        "epoch": found.epoch,
        "evidence": found.evidence,
        "cause": found.cause,
        "cures": [dict(one) for one in found.cures],
        "command": next(iter(commands(findings, found)), None),
        "seeds": list(found.seeds),
        "of": found.of,
        "source": found.source,
    }


def diagnoses_as_json(findings: Findings) -> dict[str, Any]:
    """What `paribus diagnose --json` prints: all that was found, and how much was looked at."""
    scope = findings.looked
    return {
        "schema_version": SCHEMA_VERSION,
        "study": findings.study.name,
        "runs": scope.runs,
        "not_looked_at": list(scope.left_out),
        "diagnoses": [diagnosis_as_data(findings, one) for one in findings.diagnoses],
    }
