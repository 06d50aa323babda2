"""CIFAR-10 in the forms in which it is published, tiny, and every way in which they can be wrong."""

from __future__ import annotations

import errno
import functools
import gc
import hashlib
import http.server
import io
import json
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from rich.console import Console
from typer.testing import CliRunner

from paribus import cli
from paribus.plan import Plan
from paribus.report.terminal.progress import DownloadBar
from paribus.tasks import cifar10
from paribus.tasks.cifar10 import OFFICIAL, DataError, Official, balanced, get, stored
from paribus.tasks.cifar10_files import Archive

N = 20
BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
REAL = os.environ.get("PARIBUS_CIFAR10_SOURCE")

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


# What is published is read, whatever its form


@dataclass(frozen=True)
class Case:
    make: Callable[[Path], tuple[Path, Official]]
    source: str
    original: bool | None


def archive_of(layout: str) -> Callable[[Path], tuple[Path, Official]]:
    def make(folder: Path) -> tuple[Path, Official]:
        archive = packed(batches(folder, layout))
        known = official(archive, None) if layout == "binary" else official(None, archive)
        return archive, known

    return make


def folder_of(layout: str, *, known: bool = False, outer: bool = False) -> Callable[[Path], tuple[Path, Official]]:
    def make(folder: Path) -> tuple[Path, Official]:
        made = batches(folder, layout)
        sums = [hashlib.md5((made / batch).read_bytes()).hexdigest() for batch in BATCHES] if known else TINY.python_md5
        return made.parent if outer else made, replace(TINY, python_md5=tuple(sums))

    return make


FORMS = {
    "binary archive": Case(archive_of("binary"), "CIFAR-10, official binary archive (sha256 {sha}...)", original=True),
    "python archive": Case(archive_of("python2"), "CIFAR-10, official python archive (sha256 {sha}...)", original=True),
    "binary folder": Case(folder_of("binary"), "CIFAR-10, binary batches from a folder: whether the pixels are the original's is not known", None),
    "its parent": Case(folder_of("binary", outer=True), "CIFAR-10, binary batches from a folder: whether the pixels are the original's is not known", None),
    "python folder": Case(folder_of("python2", known=True), "CIFAR-10, python batches from a folder, the official files (md5)", original=True),
    "unknown python folder": Case(folder_of("python3"), "CIFAR-10, python batches from a folder: whether the pixels are the original's is not known", None),
    "text keys": Case(folder_of("text keys", outer=True), "CIFAR-10, python batches from a folder: whether the pixels are the original's is not known", None),
    "hub": Case(lambda folder: (hub(folder), TINY), "CIFAR-10 from the Hub's parquet files, images encoded as PNG (lossless)", None),
    "its parent, hub": Case(lambda folder: (hub(folder).parent, TINY), "CIFAR-10 from the Hub's parquet files, images encoded as PNG (lossless)", None),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_every_form_becomes_the_same_arrays(case: Case, made: Path, home: Path) -> None:
    source, known = case.make(made)
    bar = Recorder()
    where = get(source, [].append, bar, known)
    assert where == home / "cifar10"
    assert {path.name for path in where.iterdir()} == {"images.npy", "labels.npy", "card.json"}
    assert contents(home) == {"cifar10"}
    for name, values in (("images", IMAGES), ("labels", LABELS)):  # as anybody's NumPy reads them
        array = np.load(where / f"{name}.npy", allow_pickle=False)
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, values)
        assert array.flags.c_contiguous
    there = stored()
    np.testing.assert_array_equal(there.images, IMAGES)
    np.testing.assert_array_equal(there.labels, LABELS)
    assert isinstance(there.images, np.memmap)
    assert not there.images.flags.writeable
    sha = hashlib.sha256(source.read_bytes()).hexdigest()[:8] if source.is_file() else ""
    assert (there.test, there.original, there.source) == (N, case.original, case.source.format(sha=sha))
    assert sum(n for call, n in bar.calls if call == "update") == bar.total == 6 * N
    assert bar.calls[-1][0] == "close"


def test_jpeg_is_said_to_be_near(made: Path) -> None:
    get(hub(made, "JPEG"), [].append, None, TINY)
    there = stored()
    assert there.original is False
    assert there.source == (
        "CIFAR-10 from the Hub's parquet files, images encoded as JPEG: "
        "pixels are close to the original's, not equal to them"
    )
    theirs = np.asarray(Image.open(io.BytesIO(encoded(IMAGES[-1], "JPEG")))).transpose(2, 0, 1)
    np.testing.assert_array_equal(there.images[-1], theirs)
    assert not (there.images[-1] == IMAGES[-1]).all()


def test_the_pickle_of_this_test_is_one_for_pickle_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's old module names
        content = pickle.loads(as_python2(*rows(2)), encoding="bytes")
    np.testing.assert_array_equal(content[b"data"].reshape(-1, 3, 32, 32), rows(2)[0])
    assert content[b"labels"] == rows(2)[1].tolist()


def test_the_fingerprint_is_of_the_arrays(made: Path, home: Path) -> None:
    get(batches(made, "binary"), [].append, None, TINY)
    mine = stored().fingerprint
    digest = hashlib.sha256(b"|u1(120, 3, 32, 32)" + IMAGES.tobytes() + b"|u1(120,)" + LABELS.tobytes())
    assert mine == digest.hexdigest()
    (home / "cifar10").rename(home / "before")
    get(hub(made), [].append, None, TINY)
    assert stored().fingerprint == mine


def test_a_second_import_does_nothing(made: Path, home: Path) -> None:
    source = batches(made, "binary")
    said: list[str] = []
    get(source, said.append, None, TINY)
    before = {path.name: path.stat().st_mtime_ns for path in (home / "cifar10").iterdir()}
    (source / "test_batch.bin").unlink()
    assert get(source, said.append, None, TINY) == home / "cifar10"
    assert {path.name: path.stat().st_mtime_ns for path in (home / "cifar10").iterdir()} == before
    assert said == [
        f"reading {source}",
        f"{home / 'cifar10'} is there already, and whole; to replace it, delete that folder and run this again",
    ]


# What is not as published is refused, by name


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def changed(layout: str, change: Callable[[Path], object]) -> Callable[[Path], tuple[Path, Official]]:
    """A folder of batches with one thing wrong in it."""

    def make(folder: Path) -> tuple[Path, Official]:
        made = batches(folder, layout)
        change(made)
        return made, TINY

    return make


def label_of_ten(layout: str) -> Callable[[Path], object]:
    _, suffix, write = LAYOUTS[layout]
    labels = rows(2)[1].copy()
    labels[7] = 10
    return lambda folder: put(folder / f"data_batch_3{suffix}", write(rows(2)[0], labels))


def shortened(name: str, by: int) -> Callable[[Path], object]:
    return lambda folder: put(folder / name, (folder / name).read_bytes()[:-by])


def in_hub(split: str, rows: pa.Table | bytes) -> Callable[[Path], tuple[Path, Official]]:
    def make(folder: Path) -> tuple[Path, Official]:
        path = hub(folder) / f"{split}-00000-of-00001.parquet"
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        else:
            parquet.write_table(rows, path)
        return folder, TINY

    return make


def archived(
    change: Callable[[tarfile.TarFile, str, bytes], object], cut: int = 0
) -> Callable[[Path], tuple[Path, Official]]:
    """An archive with whatever stands for its third batch, and the checksum of what is official."""

    def make(folder: Path) -> tuple[Path, Official]:
        path = folder / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for number, batch in enumerate(BATCHES):
                name, content = f"cifar-10-batches-bin/{batch}.bin", as_binary(*rows(number))
                (change if number == 2 else member)(tar, name, content)
        if cut:
            put(path, path.read_bytes()[:-cut])
        return path, official(path)

    return make


def member(tar: tarfile.TarFile, name: str, content: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    tar.addfile(info, io.BytesIO(content))


def other_archive(content: Callable[[bytes], bytes]) -> Callable[[Path], tuple[Path, Official]]:
    """Not the archive whose checksum is known."""

    def make(folder: Path) -> tuple[Path, Official]:
        path = packed(batches(folder, "binary"))
        known = official(path)
        return put(path, content(path.read_bytes())), known

    return make


class Touch:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch owned",)


PNGS = [encoded(image, "PNG") for image in rows(5)[0]]
SMALL, GREY = encoded(IMAGES[0, :, :16, :16], "PNG"), io.BytesIO()
Image.new("L", (32, 32)).save(GREY, "PNG")
LAST = rows(5)[1].tolist()
HTML = b"<!DOCTYPE html><title>Sign in</title>" + b" " * 500
SIZE = f"{3073 * N:,}"

FAULTS: dict[str, tuple[Callable[[Path], tuple[Path, Official]], list[str]]] = {
    "no such path": (lambda folder: (folder / "none", TINY), ["made/none does not exist"]),
    "no data": (lambda folder: (folder, TINY), ["made holds no CIFAR-10", "cifar-10-batches-bin (data_batch_1.bin, ...)", "plain_text"]),
    "two copies": (lambda folder: (batches(folder, "binary").parent, batches(folder, "python2") and TINY), ["holds several copies", "cifar-10-batches-py/data_batch_1"]),
    "cut off archive": (other_archive(lambda raw: raw[:-1000]), ["cifar-10-binary.tar.gz is another file", "expected cifar-10-binary.tar.gz (170,052,171 bytes, sha256", "found ", "bytes, sha256"]),
    "changed archive": (other_archive(lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])), ["expected cifar-10-binary.tar.gz", f"or cifar-10-python.tar.gz (170,498,071 bytes, sha256 {OFFICIAL.python.sha256})"]),
    "web page": (other_archive(lambda _: HTML), ["cifar-10-binary.tar.gz is a web page (it begins with b'<!DOCTYPE html>')", "expected", "found 537 bytes"]),
    "batch cut off": (changed("binary", shortened("data_batch_2.bin", 3000)), ["data_batch_2.bin has 58,460 bytes", f"expected {SIZE} for {N} images"]),
    "batch too long": (changed("binary", lambda folder: put(folder / "test_batch.bin", bytes(3074 * N))), ["test_batch.bin has 61,480 bytes", f"expected {SIZE}"]),
    "batch missing": (changed("binary", lambda folder: (folder / "data_batch_4.bin").unlink()), ["cifar-10-batches-bin lacks data_batch_4.bin"]),
    "label of 10": (changed("binary", label_of_ten("binary")), ["data_batch_3.bin: image 7 has the label 10, expected 0 to 9"]),
    "label of 10, python": (changed("python2", label_of_ten("python2")), ["data_batch_3: image 7 has the label 10, expected 0 to 9"]),
    "pickle missing": (changed("python2", lambda folder: (folder / "test_batch").unlink()), ["cifar-10-batches-py lacks test_batch"]),
    "half a pickle": (changed("python2", shortened("data_batch_5", 40000)), ["data_batch_5 has ", "bytes, expected 61,440 to 229,376 for 20 images"]),
    "pickle cut off": (changed("python2", shortened("data_batch_5", 100)), ["data_batch_5 is no pickle of CIFAR-10: pickle data was truncated"]),
    "no pickle": (changed("python2", lambda folder: put(folder / "data_batch_1", bytes(70000))), ["data_batch_1 is no pickle of CIFAR-10"]),
    "pickle of a list": (changed("python2", lambda folder: put(folder / "data_batch_1", pickle.dumps(["a" * 70000], 2))), ["data_batch_1 holds a list, expected a dictionary"]),
    "pickle without labels": (changed("python2", lambda folder: put(folder / "data_batch_1", pickle.dumps({b"data": rows(0)[0].reshape(N, -1)}, 2))), ["data_batch_1 lacks data (an array) or labels (a list)"]),
    "too few rows": (changed("python3", lambda folder: put(folder / "data_batch_1", as_python3(np.repeat(IMAGES[:10], 2, axis=1), LABELS[:20]))), ["data_batch_1 has data of shape (10, 6144) and type u1, expected (20, 3072)"]),
    "floats": (changed("python3", lambda folder: put(folder / "data_batch_1", as_python3(rows(0)[0].astype(np.float16), rows(0)[1]))), ["data_batch_1 has data of shape (20, 3072) and type f2, expected (20, 3072) and u1"]),
    "columns first": (changed("python3", lambda folder: put(folder / "data_batch_1", pickle.dumps({"data": np.asfortranarray(rows(0)[0].reshape(N, -1)), "labels": LAST}, 2))), ["data_batch_1 has data of shape (20, 3072) and type u1, columns first"]),
    "too few labels": (changed("python3", lambda folder: put(folder / "data_batch_1", as_python3(rows(0)[0], rows(0)[1][:-1]))), ["data_batch_1 has 19 labels, expected 20"]),
    "labels no numbers": (changed("python3", lambda folder: put(folder / "data_batch_1", as_python3(rows(0)[0], rows(0)[1].astype(str)))), ["data_batch_1: image 0 has the label '", "expected 0 to 9"]),
    "malicious pickle": (changed("python2", lambda folder: put(folder / "data_batch_1", pickle.dumps({b"data": b"a" * 70000, b"x": Touch()}, 2))), ["data_batch_1 is no pickle of CIFAR-10: it names posix.system", "refused, and nothing was run"]),
    "pickle of an object": (changed("python3", lambda folder: put(folder / "data_batch_1", pickle.dumps({b"data": b"a" * 70000, b"x": np.float64(1)}, 2))), ["it names numpy.", "core.multiarray.scalar, which no array needs"]),
    "another encoding": (changed("python3", lambda folder: put(folder / "data_batch_1", as_python3(*rows(0)).replace(b"latin1", b"zlib_1"))), ["bytes are encoded as 'zlib_1', expected latin1"]),
    "hub, missing file": (lambda folder: ((hub(folder) / "test-00000-of-00001.parquet").unlink() or folder, TINY), ["plain_text lacks test-00000-of-00001.parquet"]),
    "hub, too few rows": (in_hub("test", table(PNGS[:-1], LAST[:-1])), ["test-00000-of-00001.parquet has 19 rows, expected 20"]),
    "hub, swapped files": (in_hub("train", table(PNGS, LAST)), ["train-00000-of-00001.parquet has 20 rows, expected 100"]),
    "hub, label of 10": (in_hub("test", table(PNGS, [*LAST[:-2], 10, 0])), ["test-00000-of-00001.parquet: image 18 has the label 10, expected 0 to 9"]),
    "hub, no label": (in_hub("test", table(PNGS, [None, *LAST[1:]])), ["test-00000-of-00001.parquet: image 0 has the label None"]),
    "hub, 16x16": (in_hub("test", table([*PNGS[:3], SMALL, *PNGS[4:]], LAST)), ["test-00000-of-00001.parquet: the image of row 3 is 16x16 RGB, expected 32x32 RGB"]),
    "hub, grey": (in_hub("test", table([*PNGS[:3], GREY.getvalue(), *PNGS[4:]], LAST)), ["the image of row 3 is 32x32 L, expected 32x32 RGB"]),
    "hub, cut off image": (in_hub("test", table([*PNGS[:-1], PNGS[-1][:1500]], LAST)), ["test-00000-of-00001.parquet: the image of row 19 is no PNG or JPEG that can be decoded"]),
    "hub, no image": (in_hub("test", table([None, *PNGS[1:]], LAST)), ["the image of row 0 is no PNG or JPEG"]),
    "hub, no such column": (in_hub("test", table(PNGS, LAST, label=None, fine_label=pa.array(LAST))), ["test-00000-of-00001.parquet has the columns img (struct<bytes: binary, path: string>), fine_label (int64); expected img"]),
    "hub, images are text": (in_hub("test", table(PNGS, LAST, img=pa.array(["1.png"] * N))), ["has the columns img (string), label (int64); expected img (a struct"]),
    "hub, labels are text": (in_hub("test", table(PNGS, [str(label) for label in LAST])), ["label (string); expected", "label (whole numbers)"]),
    "hub, no parquet": (in_hub("test", HTML), ["test-00000-of-00001.parquet is no parquet file that can be read"]),
    "tar: path outside": (archived(lambda tar, name, content: member(tar, f"../{name}", content)), ["cifar-10-binary.tar.gz lacks cifar-10-batches-bin/data_batch_3.bin"]),
    "tar: absolute path": (archived(lambda tar, name, content: member(tar, f"/{name}", content)), ["lacks cifar-10-batches-bin/data_batch_3.bin"]),
    "tar: symlink": (archived(lambda tar, name, _: member(tar, name, b"", tarfile.SYMTYPE, "/etc/passwd")), ["cifar-10-binary.tar.gz: cifar-10-batches-bin/data_batch_3.bin is no regular file (tar type b'2'): refused"]),
    "tar: hard link": (archived(lambda tar, name, _: member(tar, name, b"", tarfile.LNKTYPE, "cifar-10-batches-bin/data_batch_1.bin")), ["data_batch_3.bin is no regular file (tar type b'1')"]),
    "tar: too long": (archived(lambda tar, name, content: member(tar, name, content * 2)), [f"data_batch_3.bin has {6146 * N:,} bytes, expected {SIZE}"]),
    "tar: too short": (archived(lambda tar, name, content: member(tar, name, content[:-1])), [f"data_batch_3.bin has 61,459 bytes, expected {SIZE}"]),
    "tar: missing": (archived(lambda tar, name, _: member(tar, f"{name}.bak", b"")), ["cifar-10-binary.tar.gz lacks cifar-10-batches-bin/data_batch_3.bin"]),
    "tar: cut off": (archived(member, cut=20000), ["cifar-10-binary.tar.gz is cut off or damaged"]),
    "tar: no tar": (lambda folder: (put(folder / "x.tar.gz", HTML), official(folder / "x.tar.gz")), ["x.tar.gz is cut off or damaged"]),
}  # fmt: skip


@pytest.mark.parametrize(("make", "parts"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_named(
    make: Callable[[Path], tuple[Path, Official]], parts: list[str], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.parent)
    source, known = make(made)
    before = sorted(made.parent.rglob("*"))
    message = refused(source, known)
    for part in parts:
        assert part in message
    after = [path for path in sorted(made.parent.rglob("*")) if "home" not in path.parts]
    assert after == before  # nothing was run, nothing unpacked


def test_a_file_that_may_not_be_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = batches(made, "binary")
    (source / "data_batch_2.bin").unlink()
    (source / "data_batch_2.bin").symlink_to(source / "data_batch_2.bin")
    assert "lacks data_batch_2.bin" in refused(source)
    (source / "data_batch_2.bin").unlink()
    put(source / "data_batch_2.bin", b"")
    usual = Path.open

    def forbidden(path: Path, *given: object) -> object:
        if path.name == "data_batch_2.bin":
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path, *given)

    monkeypatch.setattr(Path, "open", forbidden)
    assert refused(source) == f"{source / 'data_batch_2.bin'} cannot be read: Permission denied"


# Downloads


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An address, and the folder that is served there; a file named *.short is promised longer than it is."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

        def send_header(self, keyword: str, value: str) -> None:
            longer = keyword == "Content-Length" and self.path.endswith(".short")
            super().send_header(keyword, str(int(value) + 1000) if longer else value)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/", folder
        serving.shutdown()
        thread.join()


def test_a_download_is_imported_and_shown(made: Path, server: tuple[str, Path], home: Path) -> None:
    url, served = server
    archive = packed(batches(made, "binary")).rename(served / "a.tar.gz")
    said, bar = list[str](), Recorder()
    get(None, said.append, bar, official(archive, url=url + "a.tar.gz"))
    np.testing.assert_array_equal(stored().images, IMAGES)
    assert stored().original is True
    assert contents(home) == {"cifar10"}
    assert {path.name for path in (home / "cifar10").iterdir()} == {"images.npy", "labels.npy", "card.json"}
    assert said == [f"downloading {url}a.tar.gz (170 MB)", "reading it"]
    size = archive.stat().st_size
    assert ("close", size) in bar.calls
    before = bar.calls[: bar.calls.index(("reset", 0))]
    assert sum(n for _, n in before) >= size  # pooch counts whole chunks
    assert bar.total == 6 * N


@pytest.mark.parametrize("what", ["page", "python archive", "short", "none"])
def test_a_download_of_something_else(what: str, made: Path, server: tuple[str, Path]) -> None:
    url, served = server
    archive = packed(batches(made, "binary"))
    known = official(archive, url=f"{url}a.{what}")
    if what == "page":
        put(served / "a.page", HTML)
        expected = f"{url}a.page is a web page (it begins with b'<!DOCTYPE html>'): expected cifar-10-binary.tar.gz"
    elif what == "python archive":  # official, and not what was asked for
        other = packed(batches(made, "python2")).rename(served / "a.python archive")
        known = official(archive, other, url=f"{url}a.python%20archive")
        expected = f"{url}a.python%20archive is another file: expected cifar-10-binary.tar.gz"
    elif what == "short":
        archive.rename(served / "a.short")
        expected = f"{url}a.short cannot be downloaded: "
    else:
        expected = f"{url}a.none cannot be downloaded: 404 Client Error: File not found"
    assert refused(None, known).startswith(expected)
    gc.collect()  # a connection that was left open says so now


def test_no_network() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = refused(None, replace(TINY, url=f"http://127.0.0.1:{port}/a.tar.gz"))
    assert message == (
        f"http://127.0.0.1:{port}/a.tar.gz cannot be downloaded: [Errno {errno.ECONNREFUSED}] Connection refused; "
        "a copy from elsewhere is imported with `paribus data get cifar10 --from PATH`"
    )


# Writing


def test_a_disk_that_takes_no_more(made: Path, home: Path) -> None:
    source = batches(made, "binary")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, usual[1]))  # the images take 368,640 bytes
    try:
        message = refused(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert message == (
        f"{home} cannot be written: File too large; nothing was imported. PARIBUS_DATA=FOLDER names another folder for data"
    )
    get(source, [].append, None, TINY)
    assert len(stored().images) == 6 * N


@pytest.mark.parametrize("inner", ["", "inner"])
def test_a_data_folder_that_cannot_be(inner: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIBUS_DATA", str(put(tmp_path / "file", b"") / inner))
    with pytest.raises(DataError, match=r"file.* cannot be written: .*PARIBUS_DATA=FOLDER names another"):
        get(batches(made, "binary"), [].append, None, TINY)


def test_a_folder_that_may_not_be_written(made: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = batches(made, "binary")

    def forbidden(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "rename", forbidden)
    assert f"{home / 'cifar10.part-'}{os.getpid()} cannot be written: Permission denied" in refused(source)


def test_ctrl_c_leaves_nothing(made: Path, home: Path) -> None:
    def interrupt() -> None:
        assert contents(home) == {f"cifar10.part-{os.getpid()}"}
        raise KeyboardInterrupt

    bar = Recorder(interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(batches(made, "binary"), [].append, bar, TINY)
    assert contents(home) == set()
    assert bar.calls[-1][0] == "close"


def test_after_a_kill_the_next_import_starts_clean(made: Path, home: Path) -> None:
    source = batches(made, "binary")
    script = f"""
import os, time
from dataclasses import replace
from pathlib import Path
from paribus.tasks.cifar10 import OFFICIAL, get
def stop(_):
    print("writing", flush=True)
    time.sleep(60)
os.fsync = stop
get(Path({str(source)!r}), lambda line: None, None, replace(OFFICIAL, batch={N}))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        os.kill(child.pid, signal.SIGKILL)
    left = home / f"cifar10.part-{child.pid}"
    assert (left / "images.npy").stat().st_size > 0
    with pytest.raises(DataError, match="cifar10 is not on this machine"):
        stored()
    get(source, [].append, None, TINY)
    assert contents(home) == {"cifar10"}
    np.testing.assert_array_equal(stored().images, IMAGES)


def test_one_import_at_a_time(made: Path, home: Path) -> None:
    home.mkdir()
    said, waiting = list[str](), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        waiting.set()

    source = batches(made, "binary")
    with FileLock(home / "cifar10.lock"):
        thread = threading.Thread(target=get, args=(source, say, None, TINY))
        thread.start()
        assert waiting.wait(10)
        assert contents(home) == set()
    thread.join(10)
    assert said == ["another import is under way: waiting for it to end", f"reading {source}"]
    assert len(stored().labels) == 6 * N


# Reading what is kept


def test_nothing_is_there() -> None:
    with pytest.raises(DataError) as caught:
        stored()
    assert str(caught.value) == (
        "cifar10 is not on this machine: `paribus data get cifar10` downloads it (170 MB), `--from PATH` imports a copy"
    )


def edited(**values: object) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps({**card, **values}))

    return edit


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "images cut off": (shortened("images.npy", 1), r"images.npy has 368,767 bytes, expected 368,768"),
    "labels cut off": (shortened("labels.npy", 7), r"labels.npy has 241 bytes, expected 248"),
    "empty": (lambda folder: put(folder / "labels.npy", b""), r"labels.npy cannot be read: EOF"),
    "no array": (lambda folder: put(folder / "images.npy", HTML), r"images.npy cannot be read: the magic string"),
    "longer": (lambda folder: put(folder / "labels.npy", (folder / "labels.npy").read_bytes() + b"1"), r"labels.npy has 249 bytes"),
    "other images": (lambda folder: np.save(folder / "images.npy", IMAGES[:-1]), r"images.npy holds uint8 of shape \(119, 3, 32, 32\), expected uint8 of shape \(120, 3, 32, 32\) as in card.json"),
    "other type": (lambda folder: np.save(folder / "labels.npy", LABELS.view(np.int8)), r"labels.npy holds int8 of shape \(120,\), expected uint8"),
    "columns first": (lambda folder: np.save(folder / "images.npy", np.asfortranarray(IMAGES)), r"images.npy holds"),
    "no labels": (lambda folder: (folder / "labels.npy").unlink(), r"labels.npy cannot be read: .*No such file"),
    "no card": (lambda folder: (folder / "card.json").unlink(), r"card.json cannot be read: No such file"),
    "half a card": (shortened("card.json", 20), r"card.json is damaged: "),
    "another card": (edited(test="all"), r"card.json is damaged: test Input should be a valid integer"),
    "another format": (edited(format=2), r"card.json is of format 2, expected 1"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named_with_its_cure(damage: Callable[[Path], object], message: str, made: Path, home: Path) -> None:
    source = batches(made, "binary")
    where = get(source, [].append, None, TINY)
    damage(where)
    with pytest.raises(DataError, match=message) as caught:
        stored()
    assert str(caught.value).endswith(f"delete {where} and run `paribus data get cifar10` again")
    assert str(caught.value) == refused(source)  # and is not taken for data by an import


def test_a_flipped_bit_is_found_by_the_next_import(made: Path, home: Path) -> None:
    where = get(batches(made, "binary"), [].append, None, TINY)
    raw = bytearray((where / "images.npy").read_bytes())
    raw[-5] ^= 1
    put(where / "images.npy", bytes(raw))
    assert f"{where} holds arrays with the fingerprint" in refused(made)


# Subsets


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda more: [0, 1, 2, 3, 4, *more]),
    st.integers(0, 2**32 - 1).map(lambda word: f"{word:08x}" + "0" * 56),
)
@settings(max_examples=60, deadline=None)
def test_subsets_are_balanced_and_nested(labels: list[int], fingerprint: str) -> None:
    classes, before = np.array(labels), set[int]()
    counts = np.bincount(classes)
    most = 5 * int(counts.min()) + int((counts > counts.min()).sum())
    for n in range(5, most + 1):
        subset = balanced(classes, n, fingerprint)
        assert subset.dtype == np.int64
        assert subset.tolist() == sorted(set(subset.tolist()))
        assert len(subset) == n
        taken = np.bincount(classes[subset], minlength=5)
        assert taken.max() - taken.min() <= 1
        assert before <= set(subset.tolist())
        before = set(subset.tolist())
    for n in (-1, 0, 4, most + 1, len(labels) + 1):
        with pytest.raises(
            ValueError, match=f"no subset of {n} examples with 5 equal classes: 5 to {most} are possible"
        ):
            balanced(classes, n, fingerprint)


def test_a_subset_is_the_first_of_each_class_in_the_plans_order() -> None:
    fingerprint = hashlib.sha256(b"data").hexdigest()
    labels = np.random.default_rng(3).permutation(np.arange(400, dtype=np.uint8) % 10)
    room, taken = dict.fromkeys(range(10), 7), []
    for index in Plan(int(fingerprint[:8], 16)).split_permutation(400).tolist():
        if room[int(labels[index])]:
            room[int(labels[index])] -= 1
            taken.append(index)
    assert balanced(labels, 70, fingerprint).tolist() == sorted(taken)
    other = balanced(labels, 70, hashlib.sha256(b"others").hexdigest())
    assert other.tolist() != sorted(taken)


# The command


@pytest.fixture
def tiny_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "get", functools.partial(get, official=TINY))


@pytest.mark.usefixtures("tiny_command")
def test_the_command_says_where_and_what(made: Path, home: Path) -> None:
    source = batches(made, "binary")
    done = CliRunner().invoke(cli.app, ["data", "get", "cifar10", "--from", str(source)])
    assert done.exit_code == 0, done.output
    line = f"cifar10 is in {home / 'cifar10'}: CIFAR-10, binary batches from a folder: whether the pixels are the original's is not known\n"
    assert done.stdout == line
    assert done.stderr == f"reading {source}\n"
    again = CliRunner().invoke(cli.app, ["data", "get", "cifar10", "--from", str(source)])
    assert (again.exit_code, again.stdout) == (0, line)
    assert "is there already, and whole; to replace it, delete that folder" in again.stderr
    quiet = CliRunner().invoke(cli.app, ["data", "get", "cifar10", "--from", str(source), "--quiet"])
    assert (quiet.exit_code, quiet.output) == (0, "")


@pytest.mark.usefixtures("tiny_command")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["imagenet"], "paribus: there are no data 'imagenet' to get: there is cifar10\n"),
        (["cifar100"], "paribus: there are no data 'cifar100' to get: did you mean 'cifar10'?\n"),
        (
            ["cifar10", "--from", "/nowhere"],
            "paribus: /nowhere does not exist: expected an archive or a folder of CIFAR-10\n",
        ),
    ],
)
def test_the_command_refuses(words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli.app, ["data", "get", *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith(said)


def test_the_command_interrupted_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cifar10, "get", interrupted)
    done = CliRunner().invoke(cli.app, ["data", "get", "cifar10"])
    assert (done.exit_code, done.stderr) == (130, "interrupted; nothing was imported\n")


def test_the_bar_is_drawn_and_can_be_used_again() -> None:
    drawn = io.StringIO()
    bar = DownloadBar(Console(file=drawn, force_terminal=True, width=80))
    for total, chunks in ((0, 0), (1000, 4), (300, 3)):  # as pooch does with an empty file and another
        bar.total = total
        for _ in range(chunks):
            bar.update(total / chunks)
        bar.reset()
        bar.update(total)
        bar.close()
        bar.close()
    assert drawn.getvalue().count("100%") >= 2


# The real thing, where there is one


@pytest.mark.skipif(not REAL, reason="PARIBUS_CIFAR10_SOURCE names no copy of CIFAR-10")
def test_a_real_copy() -> None:
    get(Path(str(REAL)), [].append)
    there = stored()
    assert there.images.shape == (60_000, 3, 32, 32)
    assert there.test == 10_000
    assert np.bincount(there.labels[:-10_000]).tolist() == [5000] * 10
    assert np.bincount(there.labels[-10_000:]).tolist() == [1000] * 10
    means = there.images[:-10_000].mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=2e-4)
