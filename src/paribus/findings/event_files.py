"""Runs in TensorBoard's event files: each folder that holds `events.out.tfevents.*` is a run."""

from __future__ import annotations

from pathlib import Path

from paribus.config.overrides import SettingsError
from paribus.findings.logged import LoggedRun, natural
from paribus.records.event_files import FILES, SPLITS, scalars


def event_folders(path: Path) -> list[Path]:
    """The folders that hold event files, at any depth."""
    return sorted({one.parent for one in path.rglob(FILES) if one.is_file()}, key=lambda one: natural(str(one)))


def event_runs(path: Path, folders: list[Path]) -> tuple[list[LoggedRun], list[str]]:
    """A run for each folder that holds a number, named by its path; and what there is to say."""
    runs: dict[str, dict[str, dict[int, str]]] = {}
    taken, empty, several, inner = [], 0, [], False
    for folder in folders:
        files = sorted(one for one in folder.glob(FILES) if one.is_file())
        found = scalars(files)
        of_split = folder.name in SPLITS and folder != path
        name = (folder.parent if of_split else folder).relative_to(path).as_posix()
        inner |= of_split
        if not found:
            empty += 1
            continue
        if len(files) > 1:
            several.append(name)
        metrics = runs.setdefault(name, {})
        metrics |= {f"{folder.name}/{tag}" if of_split else tag: of for tag, of in found.items()}
    if not runs:
        raise SettingsError([f"{path}: its event files hold no number: of scalars and single numbers none is there"])
    if inner:
        taken.append("a folder called train, validation or the like holds metrics of the run that it is in")
    if empty:
        taken.append(f"left out: {empty} folder{'s' * (empty != 1)} whose event files hold no number")
    if several:
        more = f" and {len(several) - 3} more" if len(several) > 3 else ""
        taken.append(f"several event files are one run that was gone on with: {', '.join(several[:3])}{more}")
    return [LoggedRun(name=name, metrics=metrics) for name, metrics in runs.items()], taken
