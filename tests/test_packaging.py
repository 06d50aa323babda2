"""What is installed: the core works without the libraries of the extras, and says which extra brings what is missing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from paribus.extras import EXTRAS

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src" / "paribus"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = (*EXTRAS, "scikit-learn")

SCORES = "arm,seed,accuracy\n" + "".join(
    f"{arm},{seed},0.{base + seed}\n" for arm, base in (("a", 80), ("b", 71)) for seed in range(7)
)
LAYER = """
import numpy as np
class ReLU:
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)
    def backward(self, dout):
        return dout * (self.x > 0)
"""
LOOP = """
def train(run, idea):
    loss = 1.0
    for epoch in range(3):
        loss *= (0.9 if idea == "base" else 0.8) + 0.01 * run.generator().normal()
        run.log(epoch=epoch + 1, val_loss=loss)
    return {"test_mse": loss}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scores.csv").write_text(SCORES, encoding="utf-8")
    (tmp_path / "layer.py").write_text(LAYER, encoding="utf-8")
    (tmp_path / "loop.py").write_text(LOOP, encoding="utf-8")
    return tmp_path


def without(names: tuple[str, ...], words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tests" / "without.py"), *names, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("--help", "Usage: paribus"),
        ("judge scores.csv", "a higher"),
        ("judge scores.csv --json", '"verdict"'),
        ("check layer.py", "1 checked, all right"),
        ("list settings", "optimizer.lr"),
        ("train palindrome implementation=numpy epochs=1 task.n_train=64 task.n_test=64", "no pictures: curves.png"),
        ("compare loop.py:train idea=base,new --metric test_mse --lower --seeds 6", "new lower"),
    ],
)
def test_the_core_works_without_the_libraries_of_the_extras(words: str, shown: str, folder: Path) -> None:
    done = without(HEAVY, ["--", *words.split()], folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert shown in done.stdout
    assert not [*folder.rglob("events")], "TensorBoard's files, without TensorBoard"


def test_python_works_without_the_libraries_of_the_extras(folder: Path) -> None:
    code = (
        "import paribus; print(paribus.judge('scores.csv')); paribus.check; "
        "study = paribus.train; print(paribus.__version__)"
    )
    done = without(HEAVY, ["-c", code], folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a higher" in done.stdout


@pytest.mark.parametrize(
    ("names", "words", "needs", "extra"),
    [
        (HEAVY, "train digits implementation=numpy", "load_digits needs scikit-learn", "train"),
        (HEAVY, "train palindrome epochs=1", "implementation=torch needs PyTorch", "torch"),
        (("torch",), "train palindrome implementation=torch epochs=1", "implementation=torch needs PyTorch", "torch"),
        (("numba",), "train palindrome implementation=fused epochs=1", "implementation=fused needs Numba", "fused"),
        (("sklearn", "scikit-learn"), "train moons implementation=numpy", "make_moons needs scikit-learn", "train"),
        (("plotly",), "report scores.csv", "the page needs Plotly", "report"),
        (("jinja2",), "report scores.csv", "the page needs Jinja2", "report"),
        (("matplotlib",), "reproduce", "paribus reproduce needs Matplotlib", "report"),
        (("tensorboard",), "live .", "paribus live needs TensorBoard", "train"),
        (("torch",), "bench moons", "paribus bench needs PyTorch", "torch"),
        (("pandas",), "train table.csv target=c", "paribus train needs pandas", "report"),
    ],
)
def test_what_is_missing_is_told_in_one_line_with_its_extra(
    names: tuple[str, ...], words: str, needs: str, extra: str, folder: Path
) -> None:
    (folder / "table.csv").write_text("a,b,c\n" + "1,2,x\n3,4,y\n" * 20, encoding="utf-8")
    done = without(names, ["--", *words.split()], folder)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr == f'paribus: {needs}, which is not installed: pip install "paribus[{extra}]"\n'


def test_python_says_which_extra_a_frame_and_a_figure_need(folder: Path) -> None:
    code = (
        "import paribus\n"
        "scored = paribus.judge('scores.csv')\n"
        "for f in (scored.differences, lambda: scored.report('page.html')):\n"
        "    try: f()\n"
        "    except ModuleNotFoundError as error: print(error)\n"
    )
    done = without(HEAVY, ["-c", code], folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition(",")[0] for line in done.stdout.splitlines()] == [
        "a frame needs pandas", "the page needs Jinja2",
    ]  # fmt: skip


def test_auto_says_that_it_takes_a_slower_backend_for_lack_of_a_library(folder: Path) -> None:
    words = ["train", "palindrome", "epochs=1", "task.n_train=64", "task.n_test=64"]
    done = without(("numba", "llvmlite"), ["--", *words], folder)
    assert (done.returncode, done.stderr) == (0, "")
    told = " ".join(done.stdout.split())
    assert "implementation=auto takes torch: implementation=fused needs Numba, which is not installed" in told
    named = without(("numba", "llvmlite"), ["--", *words, "implementation=torch"], folder)
    assert "Numba" not in named.stdout


def imports(path: Path) -> set[str]:
    """What a file imports, where and when it may be."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    found |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) - {"paribus"}


def projects(requirements: list[str]) -> set[str]:
    """The projects that requirements name, extras of Paribus's own opened."""
    found = set()
    for one in requirements:
        name, own = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", one).groups()  # type: ignore[union-attr]
        if name == "paribus":
            found |= {each for extra in own.split(",") for each in projects(PROJECT["optional-dependencies"][extra])}
        else:
            found.add(name.lower())
    return found


_PEERS = {"jax", "keras", "skorch", "xgboost"}
"""Imported by the bench alone, where they are installed."""

_WITH = {"llvmlite": "numba", "pydantic_core": "pydantic", "pytorch_lightning": "lightning"}
"""What comes with another project, or is another name of it."""


def test_every_library_is_of_the_core_or_of_the_extra_that_its_absence_names() -> None:
    core = projects(PROJECT["dependencies"])
    known = packages_distributions()
    used = {name for path in SOURCES.rglob("*.py") for name in imports(path)} - _PEERS
    assert {"torch", "numba", "numpy", "pandas"} <= used
    for name in used | EXTRAS.keys():
        called = {_WITH[name]} if name in _WITH else {one.lower() for one in known.get(name, [name])}
        brings = core if name not in EXTRAS else projects(PROJECT["optional-dependencies"][EXTRAS[name]])
        assert called & brings, f"{name} is in no dependency"


def test_what_the_readme_uses_is_in_all() -> None:
    everything = projects(["paribus[all]"])
    for extra in ("report", "train", "torch", "fused", "optuna"):
        assert projects(PROJECT["optional-dependencies"][extra]) <= everything
    assert "'.[all]'" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_papers_of_the_project_agree() -> None:
    """The version, the Pythons that are named and those that are tried, and what the sdist has."""
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation
    named = re.findall(r"Python :: (3\.\d+)'", str(PROJECT["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    assert f"python: {named}".replace("'", '"') in workflow
    assert PROJECT["requires-python"] == f">={named[0]}"
    for words in re.findall(
        r"^(?:include|graft) (.+)$", (ROOT / "MANIFEST.in").read_text(encoding="utf-8"), re.MULTILINE
    ):
        for name in words.split():
            assert (ROOT / name).exists(), name
