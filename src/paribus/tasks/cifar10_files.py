"""CIFAR-10 as it is published: the binary and the python archive, their folders, and the Hub's parquet files.

Nothing is unpacked to disk and nothing in a file is run: archives are read as streams, member by member, after their
checksum; pickles see stand-ins for the few names that an array needs.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGE = (3, 32, 32)
"""Channels first, the order of the binary and the python files."""
_PIXELS = 3 * 32 * 32
_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_SPLITS = ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet")
_ROWS = 1000  # of a parquet file, decoded between two moves of the progress bar


class DataError(ValueError):
    """A file, a download or the data folder is not what it has to be; the message names it, expected and found."""


class Bar(Protocol):
    """A progress bar as pooch asks for it: set `total`, `update` by what was done, `close`."""

    total: float

    def update(self, n: float, /) -> object: ...
    def reset(self) -> object: ...
    def close(self) -> object: ...


@dataclass(frozen=True)
class Archive:
    """A published archive: its name, how many bytes it has, their SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Official:
    """What is published, and where: images in a batch, the two archives, the MD5 of the six python batches.

    Sources: https://www.cs.toronto.edu/~kriz/cifar.html; the SHA-256 of TensorFlow Datasets (binary) and Keras
    (python); the batches' MD5 of torchvision.

    >>> OFFICIAL.binary.name, OFFICIAL.batch
    ('cifar-10-binary.tar.gz', 10000)
    """

    url: str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    batch: int = 10_000
    binary: Archive = Archive(
        "cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    )
    python: Archive = Archive(
        "cifar-10-python.tar.gz", 170_498_071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    )
    python_md5: tuple[str, ...] = (
        "c99cafc152244af753f735de768cd75f",
        "d4bba439e000b95fd0a9bffe97cbabec",
        "54ebc095f3ab1f0389bbae665268c751",
        "634d18415352ddfa80567beed471001a",
        "482c414d41f54cd18b22e5b47cb7c3cb",
        "40351d587109b95175f43aff81a1287e",
    )


OFFICIAL = Official()


class Found:
    """What a source held: images (6 batches, *IMAGE), labels, training images first; filled batch by batch.

    `original`: whether the pixels are those of the published files; None where nothing tells.
    """

    def __init__(self, official: Official) -> None:
        self.images = np.empty((len(_BATCHES) * official.batch, *IMAGE), dtype=np.uint8)
        self.labels = np.empty(len(self.images), dtype=np.uint8)
        self.source = ""
        self.original: bool | None = None

    def fill(self, start: int, images: NDArray[np.uint8], labels: Sequence[Any], where: str, first: int = 0) -> None:
        """The images from `start` on, which in the file `where` are those from `first` on."""
        for row, label in enumerate(labels, first):
            if type(label) is not int or not 0 <= label < len(CLASSES):
                raise DataError(f"{where}: image {row} has the label {label!r}, expected 0 to {len(CLASSES) - 1}")
        self.images[start : start + len(labels)] = images.reshape(-1, *IMAGE)
        self.labels[start : start + len(labels)] = labels


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """One of the two forms of batch files: binary or python."""

    what: str
    folder: str
    suffix: str
    sizes: Callable[[int], tuple[int, int]]
    """The least and the most bytes of a batch, from how many images it has."""
    parse: Callable[[bytes, str, int], tuple[NDArray[np.uint8], Sequence[Any]]]

    @property
    def files(self) -> list[str]:
        return [name + self.suffix for name in _BATCHES]

    def read(self, found: Found, number: int, opened: IO[bytes], *, size: int, where: str, n: int) -> bytes:
        """Check a batch and put it into its place; returns its bytes."""
        least, most = self.sizes(n)
        if not least <= size <= most:
            expected = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            raise DataError(f"{where} has {size:,} bytes, expected {expected} for {n:,} images")
        raw = opened.read(most)
        found.fill(number * n, *self.parse(raw, where, n), where)
        return raw


def read(source: Path, official: Official, bar: Bar) -> Found:
    """The images of an archive or a folder; which of the forms it has is seen from what it holds.

    Raises DataError, which names the file, for all that is not as published.
    """
    try:
        if source.is_file():
            return read_archive(source, official, bar)
        if source.is_dir():
            return _read_folder(source, official, bar)
    except OSError as error:
        raise DataError(f"{error.filename or source} cannot be read: {error.strerror or error}") from None
    raise DataError(f"{source} does not exist: expected an archive or a folder of CIFAR-10")


def read_archive(path: Path, official: Official, bar: Bar, url: str | None = None) -> Found:
    """The images of an official archive; of the binary one, where it came from `url`."""
    known = [(_BINARY, official.binary), (_PYTHON, official.python)]
    layout, archive = _recognised(path, known[:1] if url else known, url or str(path))
    wanted = {f"{layout.folder}/{name}": number for number, name in enumerate(layout.files)}
    found = Found(official)
    bar.total = len(found.images)
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                number = wanted.pop(member.name, None)
                if number is None:
                    continue
                where = f"{url or path}: {member.name}"
                opened = tar.extractfile(member) if member.isreg() else None
                if opened is None:
                    raise DataError(f"{where} is no regular file (tar type {member.type!r}): refused")
                layout.read(found, number, opened, size=member.size, where=where, n=official.batch)
                bar.update(official.batch)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{url or path} is cut off or damaged: {error}") from None
    finally:
        bar.close()
    if wanted:
        raise DataError(f"{url or path} lacks {', '.join(wanted)}")
    found.source = f"CIFAR-10, official {layout.what} archive (sha256 {archive.sha256[:8]}...)"
    found.original = True
    return found


def _recognised(path: Path, known: list[tuple[_Layout, Archive]], shown: str) -> tuple[_Layout, Archive]:
    with path.open("rb") as file:
        begins = file.read(64).lstrip()
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    for layout, archive in known:
        if archive.sha256 == sha256:
            return layout, archive
    what = f"a web page (it begins with {begins[:15]!r})" if begins.startswith(b"<") else "another file"
    expected = " or ".join(f"{a.name} ({a.size:,} bytes, sha256 {a.sha256})" for _, a in known)
    raise DataError(f"{shown} is {what}: expected {expected}, found {path.stat().st_size:,} bytes, sha256 {sha256}")


def _read_folder(source: Path, official: Official, bar: Bar) -> Found:
    kinds: list[tuple[list[str], str, Callable[[Path, Official, Bar], Found]]] = [
        (_BINARY.files, _BINARY.folder, lambda *given: _read_batches(_BINARY, *given)),
        (_PYTHON.files, _PYTHON.folder, lambda *given: _read_batches(_PYTHON, *given)),
        (list(_SPLITS), "plain_text", _read_parquet),
    ]
    there = [
        (folder, names, reader)
        for names, inner, reader in kinds
        for folder in (source, source / inner)
        if any((folder / name).exists() for name in names)
    ]
    if not there:
        expected = ", ".join(f"{inner} ({names[0]}, ...)" for names, inner, _ in kinds)
        raise DataError(f"{source} holds no CIFAR-10: expected one of the folders {expected}, or what is in it")
    if len(there) > 1:
        copies = ", ".join(str(folder / names[0]) for folder, names, _ in there)
        raise DataError(f"{source} holds several copies ({copies}): name the folder of one")
    folder, names, reader = there[0]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise DataError(f"{folder} lacks {', '.join(missing)}: expected {', '.join(names)}")
    try:
        return reader(folder, official, bar)
    finally:
        bar.close()


def _read_batches(layout: _Layout, folder: Path, official: Official, bar: Bar) -> Found:
    found, sums = Found(official), list[str]()
    bar.total = len(found.images)
    for number, name in enumerate(layout.files):
        path = folder / name
        with path.open("rb") as opened:
            raw = layout.read(found, number, opened, size=path.stat().st_size, where=str(path), n=official.batch)
        sums.append(hashlib.md5(raw, usedforsecurity=False).hexdigest())
        bar.update(official.batch)
    found.original = True if layout is _PYTHON and tuple(sums) == official.python_md5 else None
    found.source = f"CIFAR-10, {layout.what} batches from a folder" + (
        ", the official files (md5)" if found.original else ": whether the pixels are the original's is not known"
    )
    return found


def _binary(raw: bytes, where: str, n: int) -> tuple[NDArray[np.uint8], Sequence[Any]]:  # noqa: ARG001 (all parse alike)
    """Each image: its label, a byte, then its pixels."""
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(n, 1 + _PIXELS)
    return rows[:, 1:], rows[:, 0].tolist()


class _Array:
    """Stands in for numpy.ndarray: keeps what a pickle says of an array."""

    shape: Any = None
    kind: Any = None
    data: Any = None

    def __setstate__(self, state: Any) -> None:
        _, self.shape, dtype, in_columns, self.data = state
        self.kind = f"{dtype.kind}, columns first" if in_columns else dtype.kind


class _Dtype:
    """Stands in for numpy.dtype: keeps its name; a byte has no byte order, so its state says nothing more."""

    def __init__(self, kind: Any, *_: Any) -> None:
        self.kind = kind.decode("ascii") if isinstance(kind, bytes) else kind

    def __setstate__(self, _: Any) -> None:
        return


def _encoded(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into a pickle of protocol 2; no other encoding is needed."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are encoded as {encoding!r}, expected latin1")
    return text.encode("latin1")


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encoded,
}


class _Unpickler(pickle.Unpickler):
    """Source: Python's documentation of pickle, "Restricting Globals"."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which no array needs: refused, and nothing was run"
            )
        return _NAMES[module, name]


def _pickled(raw: bytes, where: str, n: int) -> tuple[NDArray[np.uint8], Sequence[Any]]:
    """A dictionary with `data`, an array (n, 3072), and `labels`, a list; the keys that Python 2 wrote are bytes."""
    try:
        content = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except Exception as error:  # what is no pickle of an array may end in any of them
        raise DataError(f"{where} is no pickle of CIFAR-10: {str(error) or type(error).__name__}") from None
    if not isinstance(content, dict):
        raise DataError(f"{where} holds a {type(content).__name__}, expected a dictionary with data and labels")
    data, labels = (content.get(key.encode(), content.get(key)) for key in ("data", "labels"))
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise DataError(f"{where} lacks data (an array) or labels (a list)")
    if (data.shape, data.kind, type(data.data)) != ((n, _PIXELS), "u1", bytes) or len(data.data) != n * _PIXELS:
        raise DataError(
            f"{where} has data of shape {data.shape} and type {data.kind}, expected ({n}, {_PIXELS}) and u1"
        )
    if len(labels) != n:
        raise DataError(f"{where} has {len(labels):,} labels, expected {n:,}")
    return np.frombuffer(data.data, dtype=np.uint8), labels


_BINARY = _Layout(
    what="binary", folder="cifar-10-batches-bin", suffix=".bin", sizes=lambda n: (n * (1 + _PIXELS),) * 2, parse=_binary
)
# protocol 2 of Python 3 writes half of all pixel values with two bytes; names and labels take the rest
_PYTHON = _Layout(
    what="python",
    folder="cifar-10-batches-py",
    suffix="",
    sizes=lambda n: (n * _PIXELS, n * 8192 + 65536),
    parse=_pickled,
)


def _read_parquet(folder: Path, official: Official, bar: Bar) -> Found:
    import pyarrow as pa

    found, kinds = Found(official), set[str]()
    bar.total = len(found.images)
    training = (len(_BATCHES) - 1) * official.batch
    for name, start, n in ((_SPLITS[0], 0, training), (_SPLITS[1], training, official.batch)):
        try:
            kinds |= _read_split(folder / name, found, start, n, bar)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{folder / name} is no parquet file that can be read: {error}") from None
    found.original = None if kinds == {"PNG"} else False
    found.source = f"CIFAR-10 from the Hub's parquet files, images encoded as {' and '.join(sorted(kinds))}" + (
        " (lossless)" if kinds == {"PNG"} else ": pixels are close to the original's, not equal to them"
    )
    return found


def _read_split(path: Path, found: Found, start: int, n: int, bar: Bar) -> set[str]:
    """Decode a file's images into their places; returns the formats in which they were encoded."""
    from pyarrow import types
    from pyarrow.parquet import ParquetFile

    kinds = set[str]()
    with ParquetFile(path) as file:
        columns = {field.name: field.type for field in file.schema_arrow}
        image, label = columns.get("img"), columns.get("label")
        inside = {field.name: field.type for field in image} if image and types.is_struct(image) else {}
        if not ("bytes" in inside and types.is_binary(inside["bytes"]) and label and types.is_integer(label)):
            there = ", ".join(f"{name} ({kind})" for name, kind in columns.items())
            raise DataError(
                f"{path} has the columns {there}; expected img (a struct of bytes and path) and label (whole numbers)"
            )
        if (rows := file.metadata.num_rows) != n:
            raise DataError(f"{path} has {rows:,} rows, expected {n:,}")
        row = 0
        for batch in file.iter_batches(_ROWS, columns=["img", "label"]):
            images = np.empty((len(batch), *IMAGE), dtype=np.uint8)
            for at, encoded in enumerate(batch.column("img").field("bytes").to_pylist()):
                images[at], kind = _decoded(encoded, path, row + at)
                kinds.add(kind)
            found.fill(start + row, images, batch.column("label").to_pylist(), str(path), row)
            row += len(batch)
            bar.update(len(batch))
    return kinds


def _decoded(encoded: bytes | None, path: Path, row: int) -> tuple[NDArray[np.uint8], str]:
    """The pixels of an encoded image, (3, 32, 32), and how it was encoded."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(encoded or b""), formats=("PNG", "JPEG"))
        fits = (image.size, image.mode) == ((32, 32), "RGB")  # known from the header, before anything is decoded
        pixels = image.tobytes() if fits else b""
    except Exception as error:  # Pillow's decoders meet broken bytes with any of them
        raise DataError(f"{path}: the image of row {row} is no PNG or JPEG that can be decoded: {error}") from None
    if not fits:
        width, height = image.size
        raise DataError(f"{path}: the image of row {row} is {width}x{height} {image.mode}, expected 32x32 RGB")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(32, 32, 3).transpose(2, 0, 1), str(image.format)
