"""How many planted mistakes `paribus check` finds, how many by the right reason, and how many alarms on correct code.

python benchmarks/check.py          # of layers and of networks: the half on which it was tuned, and the half written afterwards
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from paribus.checking.api import check_file
from paribus.checking.result import CheckResult
from tests.check import cases


def judged(source: str) -> CheckResult:
    """What is said of a file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.py"
        path.write_text(source, encoding="utf-8")
        return check_file(str(path))


def main() -> None:
    """A line for each half, and what went wrong."""
    for half in ("tuned", "fresh", "network", "network_fresh"):
        mistakes, right = cases(f"{half}_mistakes.txt"), cases(f"{half}_right.txt")
        found = named = alarms = left = 0
        for case in mistakes:
            result = judged(case.source)
            things = result.things[-1:] if half.startswith("network") else result.things  # the layers are its own
            codes = [d.code for one in things for d in one.departures]
            found += result.status == 1
            named += bool(codes) and codes[0] in case.codes
            if result.status != 1 or codes[0] not in case.codes:
                print(f"  {case.name}: status {result.status}, {codes}, wanted {case.codes}\n{result}")
        for case in right:
            result = judged(case.source)
            alarms, left = alarms + (result.status == 1), left + (result.status == 2)
            if result.status:
                print(f"  {case.name}: status {result.status}\n{result}")
        print(
            f"{half}: {found} of {len(mistakes)} mistakes found, {named} by the right reason; "
            f"{alarms} alarms on {len(right)} correct variants, {left} of which were not checked"
        )


if __name__ == "__main__":
    main()
