"""What a program wrote into TensorBoard's event files: `--metrics-file` names a folder, or a pattern of such files."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path

from paribus.backends.loop_run import LoopError
from paribus.records.event_files import FILES, SPLITS, scalars


def event_files(path: Path) -> list[Path] | None:
    """The event files that a path means: those in a folder, at any depth, and those that a pattern finds; None for
    the path of another file."""
    if path.is_dir():
        return sorted(one for one in path.rglob(FILES) if one.is_file())
    if glob.has_magic(str(path)):
        found = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        return sorted(one for one in map(Path, found) if one.is_file())
    return [path] if "tfevents" in path.name and path.is_file() else None


def event_rows(files: list[Path]) -> Iterator[dict[str, float]]:
    """A row for each step: its numbers, by their tags as metrics' names. A tag `epoch`, as Lightning writes one, is the
    row's epoch. LoopError for a name that two tags come to, or two folders have.

    Numbers in a folder `train`, `validation` or the like are called by it: `validation_epoch_loss`.
    """
    rows: dict[int, dict[str, float]] = {}
    came_from: dict[str, str] = {}
    for folder in sorted({one.parent for one in files}):
        for tag, values in scalars([one for one in files if one.parent == folder]).items():
            name = re.sub(r"\W+", "_", f"{folder.name}/{tag}" if folder.name in SPLITS else tag).strip("_")
            if name in came_from:
                raise LoopError(
                    f"{name} is in {came_from[name]} and in {folder / tag}: --metrics-file names the files of one run"
                )
            came_from[name] = str(folder / tag)
            for step, value in values.items():
                rows.setdefault(step, {})[name] = float(value)
    for step in sorted(rows):
        yield {"step": step, **rows[step]}
