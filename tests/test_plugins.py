"""Tasks, models, optimizers and backends of other packages, by entry points: found by name, refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

POINTS = """
[paribus.tasks]
spirals = spiral_package:spirals
moons = spiral_package:spirals
numberless = spiral_package:numberless
broken_task = spiral_package.broken:task
[paribus.models]
wide = spiral_package:wide
[paribus.optimizers]
slow = spiral_package:slow
[paribus.backends]
mine = spiral_package.backend:Mine
eager = spiral_package.backend:Eager
odd = spiral_package:spirals
"""
CODE = """
import sys
sys.stderr.write("spiral_package is imported\\n")

def spirals():
    import numpy as np
    import paribus
    turns = np.linspace(0.5, 6, 60)
    x = np.concatenate([np.c_[np.cos(turns) * turns, np.sin(turns) * turns] * sign for sign in (1, -1)])
    return paribus.data(x, np.repeat([0, 1], 60), name="another name")

def numberless():
    return 3

def wide():
    from torch import nn
    return nn.Sequential(nn.Linear(2, 50), nn.ReLU(), nn.Linear(50, 2))

def slow(parameters, lr=0.01):
    import torch
    return torch.optim.SGD(parameters, lr=lr / 10)
"""
BACKEND = """
from paribus.backends.numpy_backend import NumpyBackend

class Mine(NumpyBackend):
    name = "mine"

class Eager(NumpyBackend):
    name = "eager"
    preference = 0
"""


def install(folder: Path, package: str = "spiral", points: str = POINTS) -> None:
    """As pip leaves a package."""
    code = folder / "spiral_package"
    code.mkdir(exist_ok=True)
    (code / "__init__.py").write_text(CODE, encoding="utf-8")
    (code / "backend.py").write_text(BACKEND, encoding="utf-8")
    (code / "broken.py").write_text("raise OSError('no licence\\nfile')", encoding="utf-8")
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    install(site)
    return site


def command(site: Path, words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", "paribus", *words.split()],
        cwd=site.parent,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


IMPORTED = "spiral_package is imported\n"


@pytest.mark.parametrize("words", ["--help", "list tasks", "train moons implementation=numpy epochs=2 n=40"])
def test_nothing_of_a_plugin_is_imported_before_it_is_named(words: str, site: Path) -> None:
    done = command(site, words)
    assert (done.returncode, done.stderr) == (0, "")  # it would say that it is imported


def test_a_study_of_a_plugins_task_model_and_optimizer_goes_on_where_it_stopped(site: Path) -> None:
    words = "compare spirals model=wide optimizer=sgd,slow lr=0.1 epochs=3 --out runs/s --jobs 2 --seeds"
    done = command(site, f"{words} 2")
    assert done.returncode == 0, done.stderr
    assert "optimizer=slow" in done.stdout
    assert "nothing was trained" in command(site, f"{words} 2").stdout
    assert "4 of 6 runs are recorded" in command(site, f"{words} 3").stdout
    (version,) = site.glob("*.dist-info/METADATA")
    version.write_text(version.read_text(encoding="utf-8").replace("1.2", "1.3"), encoding="utf-8")
    changed = command(site, f"{words} 3")
    assert changed.returncode == 2, "another version may do something else"


def test_a_plugins_backend_trains_where_it_is_named(site: Path) -> None:
    done = command(site, "compare moons implementation=mine,numpy epochs=3 n=60 --seeds 2 --out runs/b")
    assert done.returncode == 0, done.stderr
    assert "implementation=mine" in done.stdout


def test_plugins_in_a_study_file(site: Path) -> None:
    (site.parent / "study.toml").write_text(
        'task = "spirals"\nseeds = 2\nname = "f"\n[settings]\nepochs = 2\noptimizer = "slow"\n', encoding="utf-8"
    )
    done = command(site, "run study.toml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "train broken_task",
            "task=broken_task, a plugin of the package spiral 1.2, cannot be loaded: OSError: no licence file",
        ),
        (
            "train numberless",
            "task=numberless, a plugin of the package spiral 1.2, returns int: a task's function returns "
            "paribus.data(...)",
        ),
        (
            "train moons implementation=eager",
            "implementation=eager, a plugin of the package spiral 1.2, has name='eager', preference=0, by_name=True: "
            "it has to have name='eager', preference=None and by_name=True, as it is taken only where it is named",
        ),
        ("train spiral", "there is no task 'spiral': did you mean 'spirals'?"),
        ("train moons model=wid", "there is no model 'wid': did you mean 'wide'?"),
    ],
)
def test_a_plugin_that_does_not_work_is_told_in_one_line(words: str, told: str, site: Path) -> None:
    done = command(site, words)
    assert done.returncode == 2
    assert done.stderr.removeprefix(IMPORTED) == f"paribus: {told}\n"


def test_two_packages_of_one_name_are_both_named(site: Path) -> None:
    install(site, "twin", "[paribus.tasks]\nspirals = spiral_package:spirals\n")
    done = command(site, "train spirals")
    assert done.stderr == "paribus: task=spirals is a plugin of spiral 1.2 and twin 1.2: uninstall all but one\n"


def test_the_list_says_how_each_plugin_does(site: Path) -> None:
    done = command(site, "list plugins")
    assert done.returncode == 0, done.stderr
    states = {tuple(line.split()[:2]): line for line in done.stdout.splitlines()[1:]}
    for ready in (("task", "spirals"), ("model", "wide"), ("optimizer", "slow"), ("implementation", "mine")):
        assert states[ready].rstrip().endswith("ready")
    assert "is not used: that name is built in" in states["task", "moons"]
    assert "cannot be loaded: OSError" in states["task", "broken_task"]
    assert "has to be a subclass of" in states["implementation", "odd"]
