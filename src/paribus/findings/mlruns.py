"""Runs in MLflow's own folder, read without MLflow: EXPERIMENT/RUN/{meta.yaml,params/,metrics/,tags/}.

A param's file holds its value, a metric's a line `timestamp value step` for each value that was logged.

Source: mlflow/store/tracking/file_store.py, MLflow 3.
"""

from __future__ import annotations

import re
from pathlib import Path

from paribus.config.overrides import SettingsError
from paribus.findings.logged import LoggedRun, natural
from paribus.findings.score_options import Asked

_META = "meta.yaml"
_FINISHED = ("3", "FINISHED")
"""mlflow.entities.RunStatus: 1 running, 2 scheduled, 3 finished, 4 failed, 5 killed."""
_LINE = re.compile(r"(\w+):\s*(.*?)\s*")


def mlflow_folders(path: Path) -> list[Path]:
    """The runs in a folder of experiments, in an experiment's own, or in `mlruns` inside it."""
    for place in (path, path / "mlruns"):
        found = [one.parent for form in (f"*/*/{_META}", f"*/{_META}") for one in sorted(place.glob(form))]
        runs = [one for one in found if _is_run(one) and not one.relative_to(place).parts[0].startswith(".")]
        if runs:
            return runs
    return []


def _is_run(folder: Path) -> bool:
    return any((folder / one).is_dir() for one in ("params", "metrics", "tags")) and "status" in _meta(folder)


def mlflow_runs(path: Path, folders: list[Path], asked: Asked) -> tuple[list[LoggedRun], list[str]]:
    """Every run that was not deleted, in the order of their names; and what there is to say."""
    active = [one for one in folders if _meta(one).get("lifecycle_stage", "active") == "active"]
    gone = len(folders) - len(active)
    taken = [f"left out: {gone} deleted run{'s' * (gone != 1)}"] * bool(gone)
    if not active:
        raise SettingsError([f"{path}: all {len(folders)} runs are deleted"])
    experiments = sorted({one.parent for one in active})
    if len(experiments) > 1 and "experiment" not in asked.arm:
        named = ", ".join(f"{one} ({_experiment(one)})" for one in experiments[:5])
        raise SettingsError(
            [
                f"{path} has runs of {len(experiments)} experiments: judge one of {named}, or "
                f"{asked.option('arm', 'experiment')} compares them"
            ]
        )
    runs = sorted((_read(one) for one in active), key=lambda run: natural(run.name))
    return runs, taken


def _read(folder: Path) -> LoggedRun:
    meta = _meta(folder)
    tags = {name: text for name, text in _texts(folder / "tags").items() if not name.startswith("mlflow.")}
    name = meta.get("run_name") or _texts(folder / "tags").get("mlflow.runName") or folder.name
    return LoggedRun(
        name=name,
        metrics={metric: _values(folder, metric, text) for metric, text in _texts(folder / "metrics").items()},
        params=_texts(folder / "params"),
        tags={**tags, "experiment": _experiment(folder.parent)},
        finished=meta.get("status") in _FINISHED,
    )


def _values(folder: Path, metric: str, text: str) -> dict[int, str]:
    """Of each step the value that was logged last."""
    found: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        try:
            _, value, step = words[:3] if len(words) > 2 else (*words, "0")  # old files have no step
            float(value)
            found[int(step)] = value
        except ValueError:
            raise SettingsError(
                [f"{folder / 'metrics' / metric}, line {number}: {line[:40]!r} is not `timestamp value step`"]
            ) from None
    return found


def _texts(folder: Path) -> dict[str, str]:
    """The files of a folder by their names; a slash in a name made a folder of its own."""
    files = sorted(one for one in folder.rglob("*") if one.is_file()) if folder.is_dir() else []
    return {
        one.relative_to(folder).as_posix(): one.read_text(encoding="utf-8", errors="replace").strip() for one in files
    }


def _experiment(folder: Path) -> str:
    return _meta(folder).get("name") or folder.name


def _meta(folder: Path) -> dict[str, str]:
    """`meta.yaml`, which has a plain value a line."""
    try:
        lines = (folder / _META).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = (match for line in lines if (match := _LINE.fullmatch(line)))
    return {match[1]: _unquoted(match[2]) for match in found}


def _unquoted(text: str) -> str:
    for quote in ("'", '"'):
        if len(text) > 1 and text.startswith(quote) and text.endswith(quote):
            return text[1:-1].replace(quote * 2, quote)
    return text
