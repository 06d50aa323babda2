"""The list of slow tests names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

from tests.slow import LIST

ROOT = Path(__file__).parent.parent


def test_the_list_names_tests_that_there_are() -> None:
    for line in LIST.read_text(encoding="utf-8").splitlines():
        file, _, name = line.partition("[")[0].partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *(async )?def {re.escape(name.rpartition('::')[2])}\(", source, re.MULTILINE), line
