"""CIFAR-10: downloaded or imported once, kept as two memory-mapped arrays and a card that says what they are."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from paribus.config.tasks import Cifar10
from paribus.plan import Plan
from paribus.tasks.cifar10_files import CLASSES, IMAGE, OFFICIAL, Bar, DataError, Found, Official, read, read_archive
from paribus.tasks.pool import Pool, fingerprint

__all__ = [
    "CLASSES",
    "OFFICIAL",
    "Bar",
    "DataError",
    "Official",
    "Stored",
    "balanced",
    "cifar10",
    "folder",
    "get",
    "stored",
]

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What is kept: images (n, 3, 32, 32) and labels (n,), both uint8; the last `test` of them are the test split.

    `original`: whether the pixels are those of the published files; None where nothing tells.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    test: int
    source: str
    original: bool | None
    fingerprint: str


class _Card(BaseModel):
    """card.json: how many images, how many of them are the test split, where they come from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    format: PositiveInt
    images: PositiveInt
    test: NonNegativeInt
    source: str
    original: bool | None
    fingerprint: str


class _Silent:
    """The progress bar of those who want none."""

    total: float = 0

    def _nothing(self, *_: float) -> None:
        return

    update = reset = close = _nothing


def folder() -> Path:
    """Where CIFAR-10 is kept: `PARIBUS_DATA`, or else the user's data folder, and in it `cifar10`.

    >>> folder().name
    'cifar10'
    """
    from platformdirs import user_data_path

    return Path(os.environ.get("PARIBUS_DATA") or user_data_path("paribus")) / "cifar10"


def stored() -> Stored:
    """What the folder holds, memory-mapped: nothing is read before it is used.

    Raises DataError with the command to run where nothing is there, and one that names the file where arrays and card
    do not agree or a file was cut off.
    """
    where = folder()
    if not where.exists():
        raise DataError(
            "cifar10 is not on this machine: `paribus data get cifar10` downloads it (170 MB), "
            "`--from PATH` imports a copy"
        )
    card = _card(where)
    images = _mapped(where / "images.npy", (card.images, *IMAGE))
    labels = _mapped(where / "labels.npy", (card.images,))
    return Stored(
        images=images,
        labels=labels,
        test=card.test,
        source=card.source,
        original=card.original,
        fingerprint=card.fingerprint,
    )


def cifar10(settings: Cifar10) -> Pool:
    """The images that are kept on this machine, or a class-balanced subset of them."""
    there = stored()
    n = len(there.labels) - there.test
    parts = [(settings.n_train, slice(0, n)), (settings.n_test, slice(n, None))]
    labels = there.labels.astype(np.int64)
    if [count for count, _ in parts] == [n, there.test] and settings.classes == len(CLASSES):
        return Pool(
            x=there.images,
            y=labels,
            classes=len(CLASSES),
            source=there.source,
            test=there.test,
            normalise=settings.normalise,
        )
    rows = []
    for count, part in parts:
        kept = np.arange(n + there.test)[part][labels[part] < settings.classes]
        count = count if settings.classes == len(CLASSES) else min(count, len(kept))
        rows.append(kept[balanced(labels[kept], count, there.fingerprint)])
    train, test = map(len, rows)
    source = f"{there.source}; {train} and {test} of them, the same of each class"
    source += f", the first {settings.classes} classes" if settings.classes < len(CLASSES) else ""
    chosen = np.concatenate(rows)
    return Pool(
        x=there.images[chosen],
        y=labels[chosen],
        classes=settings.classes,
        source=source,
        test=test,
        normalise=settings.normalise,
    )


def get(source: Path | None, say: Callable[[str], None], bar: Bar | None = None, official: Official = OFFICIAL) -> Path:
    """Download CIFAR-10, or import it from `source`, an archive or a folder; returns the folder that holds it.

    What is there already stays as it is. One import runs at a time, and nothing is left behind by one that fails.
    `say` is told each step in a line, `bar` how far it is, first in bytes of a download, then in images.

    Raises DataError for a source that is not as published, a download that fails, and a folder that cannot be written.
    """
    where = folder()
    try:
        with _alone(where, say):
            if where.exists():
                _check_whole(where)
                say(f"{where} is there already, and whole; to replace it, delete that folder and run this again")
            else:
                with _part(where) as part:
                    found = _found(source, part, say, bar or _Silent(), official)
                    _write(part, found, official)
                    part.replace(where)
                    _sync(where.parent)
    except OSError as error:  # those of reading and downloading were said by those who read and download
        raise DataError(
            f"{error.filename or where.parent} cannot be written: {error.strerror or error}; nothing was imported. "
            "PARIBUS_DATA=FOLDER names another folder for data"
        ) from None
    return where


def balanced(labels: NDArray[np.integer], n: int, fingerprint: str) -> NDArray[np.int64]:
    """The indices of `n` examples, sorted, of which each class has as many as any other, or one more.

    The first of each class in the order that the data's fingerprint fixes, so that a smaller subset is part of a
    larger one. Raises ValueError where `n` is less than one a class, or more than the smallest class can serve.

    >>> balanced(np.array([0, 1, 0, 1, 1, 0]), 4, "5daf164b").tolist()
    [0, 1, 3, 5]
    """
    order = Plan(int(fingerprint[:8], 16)).split_permutation(len(labels))
    classes, numbers, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    each, more = divmod(n, len(classes))
    if each < 1 or counts.min() < each or np.count_nonzero(counts > each) < more:
        most = len(classes) * int(counts.min()) + np.count_nonzero(counts > counts.min())
        raise ValueError(
            f"there is no subset of {n} examples with {len(classes)} equal classes: "
            f"{len(classes)} to {most} are possible"
        )
    by_class = np.argsort(numbers, kind="stable")
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[by_class] = np.concatenate([np.arange(count) for count in counts])
    return np.sort(order[np.argsort(ranks, kind="stable")[:n]])


@contextmanager
def _alone(where: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One import at a time; the operating system lets go of the lock when its holder dies, however it dies."""
    where.parent.mkdir(parents=True, exist_ok=True)
    guard = FileLock(where.with_name(f"{where.name}.lock"))
    try:
        guard.acquire(timeout=0)
    except Timeout:
        say("another import is under way: waiting for it to end")
        guard.acquire()
    try:
        yield
    finally:
        guard.release()


@contextmanager
def _part(where: Path) -> Iterator[Path]:
    """A folder to make the data in; what a killed import left of its own is removed."""
    for left in where.parent.glob(f"{where.name}.part-*"):
        shutil.rmtree(left)
    part = where.with_name(f"{where.name}.part-{os.getpid()}")
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)  # nothing is there to remove when all went well


def _found(source: Path | None, part: Path, say: Callable[[str], None], bar: Bar, official: Official) -> Found:
    if source is not None:
        say(f"reading {source}")
        return read(source, official, bar)
    say(f"downloading {official.url} ({official.binary.size / 1e6:.0f} MB)")
    archive = part / official.binary.name
    _download(official.url, archive, bar)
    say("reading it")
    found = read_archive(archive, official, bar, official.url)
    archive.unlink()
    return found


def _download(url: str, archive: Path, bar: Bar) -> None:
    """Its checksum is for the reader to check, as that of any archive."""
    from pooch import HTTPDownloader

    with ExitStack() as ends:
        ends.callback(bar.close)

        def keep(answer: Any, **_: Any) -> None:
            ends.callback(answer.close)  # which pooch leaves open where it fails

        try:
            download = HTTPDownloader(progressbar=bar, chunk_size=2**16, timeout=30, hooks={"response": keep})
            download(url, str(archive), None)
        except OSError as error:  # of the network, all of requests' are; or of the disk
            cause: BaseException = error
            while deeper := cause.__cause__ or cause.__context__:
                cause = deeper
            raise DataError(
                f"{url} cannot be downloaded: {cause}; a copy from elsewhere is imported with "
                "`paribus data get cifar10 --from PATH`"
            ) from None


def _write(part: Path, found: Found, official: Official) -> None:
    card = _Card(
        format=_FORMAT,
        images=len(found.images),
        test=official.batch,
        source=found.source,
        original=found.original,
        fingerprint=fingerprint(found.images, found.labels),
    )
    for name, array in (("images.npy", found.images), ("labels.npy", found.labels)):
        header = io.BytesIO()
        npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(array))
        _save(part / name, header.getvalue(), array.data)
    _save(part / "card.json", card.model_dump_json(indent=1).encode() + b"\n")
    _sync(part)


def _save(path: Path, *pieces: bytes | memoryview) -> None:
    """Written as any file: a full disk is an error here; of a memory map it would be the end of the process."""
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    if os.name != "posix":
        return  # no other system opens folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_whole(where: Path) -> None:
    there = stored()
    if (found := fingerprint(there.images, there.labels)) != there.fingerprint:
        raise DataError(
            f"{where} holds arrays with the fingerprint {found}, expected {there.fingerprint} as in card.json: "
            f"{_again(where)}"
        )


def _card(where: Path) -> _Card:
    path = where / "card.json"
    try:
        card = _Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {_again(where)}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path} is damaged: {'.'.join(map(str, first['loc']))} {first['msg']}; {_again(where)}"
        ) from None
    if card.format != _FORMAT:
        raise DataError(f"{path} is of format {card.format}, expected {_FORMAT}: {_again(where)}")
    return card


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        with path.open("rb") as file:
            npy.read_magic(file)
            found, in_columns, dtype = npy.read_array_header_1_0(file)
            start = file.tell()
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; {_again(path.parent)}") from None
    if (found, in_columns, dtype) != (shape, False, np.dtype(np.uint8)):
        raise DataError(
            f"{path} holds {dtype} of shape {found}, expected uint8 of shape {shape} as in card.json: "
            f"{_again(path.parent)}"
        )
    if size != (expected := start + int(np.prod(shape))):
        raise DataError(f"{path} has {size:,} bytes, expected {expected:,}: {_again(path.parent)}")
    return np.memmap(path, dtype=np.uint8, mode="r", offset=start, shape=shape)


def _again(where: Path) -> str:
    return f"delete {where} and run `paribus data get cifar10` again"
