"""Tiny copies of CIFAR-10 in the forms in which it is published, and what the tests of its import share."""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from paribus.tasks import cifar10
from paribus.tasks.cifar10 import OFFICIAL, DataError, Official, get
from paribus.tasks.cifar10_files import Archive

N = 20
BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (6 * N, 3, 32, 32), dtype=np.uint8)
LABELS = np.concatenate([rng.permutation(N) % 10 for _ in BATCHES]).astype(np.uint8)


def rows(number: int) -> tuple[np.ndarray, np.ndarray]:
    return IMAGES[number * N : (number + 1) * N], LABELS[number * N : (number + 1) * N]


def as_binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    return np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1).tobytes()


def as_python2(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Opcode by opcode what Python 2 wrote: protocol 2, its strings as such, NumPy's module names of 2009."""
    names = b"".join(b"U" + bytes([len(name)]) + name for name in (f"cat_s_{i:06}.png".encode() for i in labels))
    pixels = images.tobytes()
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05("
        + b"".join(b"K" + bytes([label]) for label in labels)
        + b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t(K\x01"
        + b"K" + bytes([len(images)]) + b"M\x00\x0c\x86"
        + b"cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"T" + len(pixels).to_bytes(4, "little") + pixels + b"tb"
        + b"U\tfilenamesq\x0c]q\r(" + names + b"eu."
    )  # fmt: skip


def as_python3(images: np.ndarray, labels: np.ndarray, keys: Callable[[str], object] = str.encode) -> bytes:
    content = {
        keys("data"): images.reshape(len(images), -1),
        keys("labels"): labels.tolist(),
        keys("batch_label"): b"1",
    }
    return pickle.dumps(content, protocol=2)


LAYOUTS = {
    "binary": ("cifar-10-batches-bin", ".bin", as_binary),
    "python2": ("cifar-10-batches-py", "", as_python2),
    "python3": ("cifar-10-batches-py", "", as_python3),
    "text keys": ("cifar-10-batches-py", "", functools.partial(as_python3, keys=str)),
}


def batches(folder: Path, layout: str) -> Path:
    """The folder of an extracted archive."""
    name, suffix, write = LAYOUTS[layout]
    (folder / name).mkdir()
    for number, batch in enumerate(BATCHES):
        (folder / name / (batch + suffix)).write_bytes(write(*rows(number)))
    (folder / name / "readme.html").write_text("<html>")
    return folder / name


def packed(folder: Path) -> Path:
    archive = folder.parent / ("cifar-10-python.tar.gz" if folder.name.endswith("py") else "cifar-10-binary.tar.gz")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    return archive


def encoded(image: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(file, kind)
    return file.getvalue()


def table(images: list[bytes | None], labels: list[object], **changed: pa.Array) -> pa.Table:
    cells = [{"bytes": image, "path": "1.png"} for image in images]
    columns = {
        "img": pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "label": pa.array(labels),
    }
    return pa.table({name: values for name, values in {**columns, **changed}.items() if values is not None})


def hub(folder: Path, kind: str = "PNG") -> Path:
    """The Hub's folder; its training file has several row groups, as the real one."""
    (folder / "plain_text").mkdir()
    for split, part in (("train", slice(0, 5 * N)), ("test", slice(5 * N, None))):
        images = [encoded(image, kind) for image in IMAGES[part]]
        path = folder / "plain_text" / f"{split}-00000-of-00001.parquet"
        parquet.write_table(table(images, LABELS[part].tolist()), path, row_group_size=30)
    return folder / "plain_text"


def official(binary: Path | None = None, python: Path | None = None, url: str = "http://localhost/") -> Official:
    """Official is what this archive holds, whatever it is."""

    def known(path: Path | None, usual: Archive) -> Archive:
        return replace(usual, sha256=hashlib.sha256(path.read_bytes()).hexdigest()) if path else usual

    return replace(
        OFFICIAL, url=url, batch=N, binary=known(binary, OFFICIAL.binary), python=known(python, OFFICIAL.python)
    )


TINY = official()
HTML = b"<!DOCTYPE html><title>Sign in</title>" + b" " * 500


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, which is not there yet."""
    monkeypatch.setenv("PARIBUS_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


def contents(home: Path) -> set[str]:
    """What an import left; a lock is no data."""
    return {path.name for path in home.glob("*") if path.suffix != ".lock"}


class Recorder:
    """A progress bar that writes down what it is told."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.calls: list[tuple[str, float]] = []
        self.total, self._then = 0.0, then

    def update(self, n: float) -> None:
        self.calls.append(("update", n))
        self._then()

    def reset(self) -> None:
        self.calls.append(("reset", 0))

    def close(self) -> None:
        self.calls.append(("close", self.total))


def refused(source: Path | None, known: Official = TINY) -> str:
    """The one line that says why; nothing may be left of the import."""
    home = cifar10.folder().parent
    before = contents(home)
    bar = Recorder()
    with pytest.raises(DataError) as caught:
        get(source, [].append, bar, known)
    assert [call for call, _ in bar.calls[-1:]] in ([], ["close"])  # else a line of it would stand before the message
    assert contents(home) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def shortened(name: str, by: int) -> Callable[[Path], object]:
    return lambda folder: put(folder / name, (folder / name).read_bytes()[:-by])
