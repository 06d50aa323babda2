"""Every way in which a copy of CIFAR-10 can be wrong is refused by name, and nothing is left of the import."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from paribus.tasks.cifar10 import OFFICIAL, Official
from tests import cifar10_copies
from tests.cifar10_copies import (
    BATCHES,
    HTML,
    IMAGES,
    LABELS,
    LAYOUTS,
    TINY,
    N,
    as_binary,
    as_python3,
    batches,
    encoded,
    hub,
    official,
    packed,
    put,
    refused,
    rows,
    shortened,
    table,
)

home, made = cifar10_copies.home, cifar10_copies.made


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
