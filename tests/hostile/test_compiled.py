"""What is read from the folder of compiled code is run: it has to be the user's own, and what was written there."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paribus.fused import compile as loops
from paribus.fused import compiled
from paribus.fused.compile import ready, whole
from paribus.fused.compiled import FOLDER, mistrusted
from tests.hostile import damaged, tries

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")


@pytest.fixture(scope="module")
def kept() -> Path:
    """The loops of this installation, compiled."""
    ready("float32", lambda line: None)
    if FOLDER is None:
        pytest.skip("no folder can be written")
    return FOLDER / "mlp-float32"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("mode", "trusted"), [(0o700, True), (0o755, True), (0o775, False), (0o757, False), (0o777, False), (0o1777, False)]
)
def test_a_folder_that_others_may_write_in_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, trusted: bool
) -> None:
    base = tmp_path / "compiled"
    base.mkdir()
    base.chmod(mode)
    monkeypatch.setenv("PARIBUS_COMPILED", str(base))
    folder, why = compiled._folder()
    if trusted:
        assert (folder, why) == (base / compiled._sources(), "")
        assert folder.stat().st_mode & 0o777 == 0o700
    else:
        assert folder is None
        assert why.startswith(f"{base} is not yours alone to write: chmod go-w, or PARIBUS_COMPILED=")
        assert not list(base.iterdir())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_elses_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "compiled"
    (base / compiled._sources()).mkdir(parents=True)
    os.chown(base / compiled._sources(), 12345, 12345)
    assert mistrusted(base / compiled._sources())
    monkeypatch.setenv("PARIBUS_COMPILED", str(base))
    assert compiled._folder()[0] is None


def test_a_pickle_that_somebody_laid_there_is_not_run(kept: Path, tmp_path: Path) -> None:
    """It is compiled in the process, and the reason is said."""
    marker, base = tmp_path / "run", tmp_path / "compiled"

    class Runs:
        def __reduce__(self) -> object:
            return os.system, (f"touch {marker}",)

    folder = base / compiled._sources() / "mlp-float32"
    shutil.copytree(kept, folder)
    for path in files(folder):
        path.write_bytes(pickle.dumps(Runs()))
    (folder / "SHA256SUMS").write_bytes(loops._sums(folder))
    base.chmod(0o777)
    code = (
        "from paribus.fused import compile as c, compiled; from paribus.fused.engine import Mlp; said = []\n"
        "c._try_out = lambda *_: None; Mlp.compiled_here = classmethod(lambda *_: [])\n"
        "c.ready('float32', said.append); print(compiled.FOLDER, said)"
    )
    environment = {**os.environ, "PARIBUS_COMPILED": str(base)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("None ['compiling the training loops for float32, as ")
    assert "is not yours alone to write" in done.stdout
    assert not marker.exists()


def test_any_damage_to_what_is_kept_is_seen(kept: Path, tmp_path: Path) -> None:
    assert whole(kept)
    assert not whole(tmp_path / "none")
    for source in tries(10):
        shutil.rmtree(tmp_path / "kept", ignore_errors=True)
        shutil.copytree(kept, tmp_path / "kept")
        path = source.choice(files(tmp_path / "kept"))
        if source.random() < 0.2:
            path.unlink()
        else:
            path.write_bytes(damaged(path.read_bytes(), source))
        assert not whole(tmp_path / "kept")


def test_what_is_damaged_is_compiled_again(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, said = tmp_path / "mlp-float32", list[str]()
    shutil.copytree(kept, folder)
    (folder / "SHA256SUMS").write_text("")
    monkeypatch.setattr(loops, "FOLDER", tmp_path)
    monkeypatch.setattr(loops, "_done", set())
    monkeypatch.setattr(loops, "_compile", lambda model, precision, place: shutil.copytree(kept, place))
    ready("float32", said.append)
    assert said == ["compiling the training loops for float32, again, as what is kept is damaged: about half a minute"]
    assert whole(folder)
    monkeypatch.setattr(loops, "FOLDER", kept.parent)
    loops._done.clear()
    ready("float32", said.append)
    assert said[1:] == []


def test_another_processor_or_numpy_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from llvmlite import binding

    before = compiled._sources()
    assert compiled._sources() == before
    with monkeypatch.context() as patch:
        patch.setattr(binding, "get_host_cpu_name", lambda: "another")
        assert compiled._sources() != before
    with monkeypatch.context() as patch:
        patch.setattr(compiled.np, "__version__", "another")
        assert compiled._sources() != before
    with monkeypatch.context() as patch:
        patch.setattr(compiled.numba, "__version__", "another")
        assert compiled._sources() != before
