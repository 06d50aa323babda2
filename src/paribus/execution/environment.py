"""Where a run was made: versions, machine, code and command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("paribus", "numpy", "torch", "scikit-learn", "scipy", "numba")


def environment(command: str) -> dict[str, object]:
    """Everything that is recorded of a run's surroundings; None where a fact cannot be had."""
    return {"command": command, "git": _git_commit(Path.cwd()), **process_facts()}


@cache
def process_facts() -> dict[str, object]:
    """What is recorded of the process that trains: versions and machine."""
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "executable": sys.executable,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit(folder: Path) -> str | None:
    """The commit checked out around the folder, with `+changes` where files differ from it.

    A folder's own `.git/config` may name programs: a monitor, and filters that are run to compare a file. None is run,
    as who trains in a folder that was received has not asked for it; nor is a submodule looked at, which has its own.
    """
    try:
        filters = _git(folder, "config", "--name-only", "--get-regexp", r"^filter\.", allowed=(0, 1)).split("\n")
        without = [f"{name}=" for name in filters if name.endswith((".clean", ".smudge", ".process"))]
        without += [f"{name}=false" for name in filters if name.endswith(".required")]
        options = [word for one in without for word in ("-c", one)]
        changes = _git(folder, *options, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
        return _git(folder, "rev-parse", "HEAD").strip() + ("+changes" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str, allowed: tuple[int, ...] = (0,)) -> str:
    # asked only: without the lock and the monitor that a look at the files would take
    asked = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder)]
    done = subprocess.run(
        [*asked, *words], capture_output=True, encoding="utf-8", errors="replace", timeout=5, check=False
    )
    if done.returncode not in allowed:
        raise subprocess.CalledProcessError(done.returncode, done.args)
    return done.stdout
