"""A study's folder that came from somebody else, and a current folder that somebody else has filled: they are read, and
nothing outside is written, removed or run."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paribus.execution.environment import environment
from paribus.findings.findings import Findings
from paribus.fused import compiled
from paribus.records.files import replacing
from paribus.report.files.files import write_files
from paribus.report.page.page import write_page
from paribus.report.tensorboard import Events
from paribus.study.reading import read
from paribus.study.runner import carry_out
from paribus.study.store import FILE, WRITTEN, Store, StoreError
from tests.helpers import ask, edited
from tests.hostile.test_records import bomb

WORDS = "moons hidden=5,none epochs=2 init=default"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with everything that may stand in its folder."""
    folder = tmp_path_factory.mktemp("made") / "s"
    carry_out(ask(folder, WORDS, "2"))
    used(folder)
    return folder


def used(folder: Path) -> None:
    """What is done with a folder: shown, its events, page, files and pictures written, extended."""
    findings = Findings.of(read(folder))
    events = Events(folder)
    try:
        events.sync(findings)
    finally:
        events.close()
    write_page([findings], folder / "report.html")
    write_files([findings], folder / "files")
    carry_out(ask(folder, WORDS, "3"))


def everything(folder: Path) -> dict[str, bytes | None]:
    """All files and folders, and what the files hold."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def victim(folder: Path) -> Path:
    """A folder that is not to be touched, with files and folders that are named as a study's."""
    (folder / "seed-0").mkdir(parents=True)
    (folder / "seed-0" / "thesis.txt").write_text("three years")
    (folder / "thesis.txt").write_text("three years")
    return folder


LINKS = [
    *WRITTEN,
    "events/hidden=5",
    "events/hidden=5/seed-0",
    "events/hidden=5/mean",
    "report.html",
    "files/results.csv",
    "curves.png",
    ".report.html.part",
    ".curves.png.part",
    "events/written.part",
    "events/written.json",
    "events/.lock",
]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(LINKS), min_size=1, max_size=4, unique=True), st.booleans())
def test_links_lead_nothing_out(
    study: Path, tmp_path_factory: pytest.TempPathFactory, links: list[str], of_files: bool
) -> None:
    """Links in place of what is written, to a file or to a folder: the study is used, or refused in a sentence."""
    here = tmp_path_factory.mktemp("received")
    outside = victim(here / "outside")
    before = everything(outside)
    shutil.copytree(study, here / "s")
    for name in links:
        path = here / "s" / name
        if any(parent.is_symlink() for parent in path.parents):
            continue  # it lies behind another link
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(outside / "thesis.txt" if of_files else outside)
    try:
        used(here / "s")
    except (StoreError, OSError) as error:
        assert str(error)
    finally:
        assert everything(outside) == before


@pytest.mark.parametrize("name", WRITTEN)
def test_a_folder_with_a_link_is_not_even_read(study: Path, tmp_path: Path, name: str) -> None:
    """SQLite writes beside the database when it reads."""
    outside = victim(tmp_path / "outside")
    shutil.copytree(study, tmp_path / "s")
    path, file = tmp_path / "s" / name, name.startswith((FILE, ".lock"))
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(outside / "thesis.txt" if file else outside)
    with pytest.raises(StoreError, match="leads out of the study's folder, by a link: remove the link"):
        read(tmp_path / "s")


def test_the_name_of_a_part_file_is_never_twice_the_same(tmp_path: Path) -> None:
    """And it is made, not opened: a link that stands there already is not followed."""
    names = []
    for _ in range(20):
        with replacing(tmp_path / "a.txt") as part:
            names.append(part.name)
    assert len(set(names)) == 20


def test_a_part_file_that_is_there_already_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    (tmp_path / ".a.txt.guessed.part").symlink_to(tmp_path / "thesis.txt")
    with pytest.raises(FileExistsError), replacing(tmp_path / "a.txt"):
        pass
    assert not (tmp_path / "thesis.txt").exists()


@pytest.mark.thinned(3)
@pytest.mark.parametrize("seed", ["/../../../outside", "../../outside", "x", -1, 1.5, None])
def test_a_seed_is_a_whole_number(study: Path, tmp_path: Path, seed: object) -> None:
    outside = victim(tmp_path / "outside")
    before = everything(outside)
    shutil.copytree(study, tmp_path / "s")
    with closing(sqlite3.connect(tmp_path / "s" / FILE)) as database:
        schema = "UPDATE sqlite_master SET sql = replace(sql, 'seed INTEGER NOT NULL', 'seed') WHERE name = 'runs'"
        database.execute("PRAGMA writable_schema = ON")
        database.execute(schema)
        database.commit()
    with edited(tmp_path / "s") as database:
        database.execute("UPDATE runs SET seed = ? WHERE id = 1", (seed,))
    with pytest.raises(StoreError, match="which is no whole number"):
        used(tmp_path / "s")
    with closing(Store.open(tmp_path / "s")) as store:  # what asks the store itself, without the rest of the record
        for asked in (store.statuses, store.recorded_at, store.begun):
            with pytest.raises(StoreError, match="which is no whole number"):
                asked()
    assert everything(outside) == before


# --- the current folder ---

SHADOWED = (
    "random",
    "types",
    "math",
    "json",
    "tensorboard",
    "numpy",
    "signal",
    "selectors",
    "pickle",
    "struct",
    "site",
)


@pytest.mark.parametrize("words", [["--jobs", "2"], []], ids=["workers", "events"])
def test_nothing_of_the_current_folder_is_run(tmp_path: Path, words: list[str]) -> None:
    """Files that are called as Python's own modules and as libraries: neither by workers nor by the writer of events."""
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'a').write({name!r})\n")
    asked = ["compare", "moons", "lr=0.1,0.2", "epochs=2", "implementation=torch", "--seeds", "2", "--out", "s", *words]
    command = [str(Path(sys.executable).with_name("paribus")), *asked]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert (tmp_path / "s" / "events" / "lr=0.1" / "seed-0").is_dir()
    assert not (tmp_path / "run").exists()


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., str]:
    """In a repository with a commit."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    (tmp_path / "repository").mkdir()

    def asked(*words: str) -> str:
        identity = ["-c", "user.name=me", "-c", "user.email=me@here", "-c", "protocol.file.allow=always"]
        command = ["git", *identity, *words]
        return subprocess.run(command, cwd=tmp_path / "repository", capture_output=True, text=True, check=True).stdout

    asked("init", "-q")
    return asked


@pytest.mark.parametrize("where", ["clean", "process", "fsmonitor", "submodule"])
def test_git_runs_no_program_of_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: Callable[..., str], where: str
) -> None:
    """And says which commit it is, and whether files differ from it."""
    folder = tmp_path / "repository"
    marker = tmp_path / "run"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    program.chmod(0o755)
    (folder / ".gitattributes").write_text("*.txt filter=mine\n")
    (folder / "a.txt").write_text("a\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    inside = folder
    if where == "submodule":
        shutil.copytree(folder, tmp_path / "other")
        git("submodule", "-q", "add", str(tmp_path / "other"), "sub")
        git("commit", "-q", "-m", "two")
        inside = folder / "sub"
    monkeypatch.chdir(folder)
    commit = git("rev-parse", "HEAD").strip()
    assert environment("")["git"] == commit
    name = {"fsmonitor": "core.fsmonitor", "process": "filter.mine.process"}.get(where, "filter.mine.clean")
    subprocess.run(["git", "config", name, str(program)], cwd=inside, check=True)
    if where != "fsmonitor":
        subprocess.run(["git", "config", "filter.mine.required", "true"], cwd=inside, check=True)
    (inside / "a.txt").write_text("a\n")  # as it was, but Git has to look
    assert environment("")["git"] == commit
    if where != "submodule":
        (inside / "a.txt").write_text("b\n")
        assert environment("")["git"] == f"{commit}+changes"
    assert not marker.exists()


def test_every_trick_at_once(study: Path, tmp_path: Path, git: Callable[..., str]) -> None:
    """A folder that holds a study and means harm: paths in seeds, links, modules by the names of Python's own, programs
    of Git's, code in the folder of compiled loops, and a chunk of half a gigabyte. It is shown, drawn, watched and
    extended from within: nothing outside of it is touched, and nothing in it run."""
    outside, home, marker = victim(tmp_path / "outside"), tmp_path / "repository", tmp_path / "run"
    folder = home / "s"
    shutil.copytree(study, folder)
    with edited(folder) as database:
        database.execute("PRAGMA writable_schema = ON")
        schema = "UPDATE sqlite_master SET sql = replace(sql, 'seed INTEGER NOT NULL', 'seed') WHERE name = 'runs'"
        database.execute(schema)
    with edited(folder) as database:
        database.execute("UPDATE runs SET seed = '/../../../../outside' WHERE id = 1")
        database.execute("UPDATE chunks SET columns = ? WHERE run = 2", (bomb(0.5),))
    for name in set(LINKS) - set(WRITTEN) - {"events/.lock", "files/results.csv"}:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if not any(parent.is_symlink() for parent in path.parents):
            path.symlink_to(outside if name.startswith("events/hidden") else outside / "thesis.txt")
    for name in SHADOWED:
        (home / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r})\n")
    (home / ".gitattributes").write_text("* filter=mine\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    for key in ("filter.mine.clean", "filter.mine.process", "core.fsmonitor"):
        git("config", key, f"sh -c 'touch {marker}; cat'")
    base = tmp_path / "compiled"
    planted = base / compiled._sources() / "mlp-float32"
    planted.mkdir(parents=True)
    (planted / "x.nbi").write_bytes(b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")
    base.chmod(0o777)
    before = everything(outside)
    program = str(Path(sys.executable).with_name("paribus"))
    environment = {**os.environ, "PARIBUS_COMPILED": str(base)}
    for words in (["show", "s"], ["show", "s", "--json"], ["report", "s"], ["show", "s", "--repair"],
                  ["compare", *WORDS.split(), "implementation=numpy", "--seeds", "3", "--out", "s"], ["report", "s"]):  # fmt: skip
        done = subprocess.run([program, *words], cwd=home, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 2, 3), (words, done.stderr)
        assert "Traceback" not in done.stderr, (words, done.stderr)
    with pytest.raises((StoreError, OSError)):
        used(folder)
    assert everything(outside) == before
    assert not marker.exists()
