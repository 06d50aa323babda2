"""CIFAR-10 in every form in which it is published becomes the same arrays; they are read, checked and cut into subsets."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from paribus.config.tasks import Cifar10
from paribus.plan import Plan
from paribus.tasks.cifar10 import DataError, Official, Stored, balanced, cifar10, get, stored
from tests import cifar10_copies
from tests.cifar10_copies import (
    BATCHES,
    HTML,
    IMAGES,
    LABELS,
    TINY,
    N,
    Recorder,
    as_python2,
    batches,
    contents,
    encoded,
    hub,
    official,
    packed,
    put,
    refused,
    rows,
    shortened,
)

home, made = cifar10_copies.home, cifar10_copies.made

REAL = os.environ.get("PARIBUS_CIFAR10_SOURCE")


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


@pytest.mark.parametrize(("classes", "asked", "train"), [(2, 50_000, 100), (2, 30, 30), (3, 40, 40), (10, 40, 40)])
def test_the_first_classes_alone(monkeypatch: pytest.MonkeyPatch, classes: int, asked: int, train: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.concatenate([rng.permutation(np.arange(n) % 10).astype(np.uint8) for n in (500, 100)])
    images = rng.integers(0, 255, (600, 3, 2, 2), dtype=np.uint8)
    there = Stored(images=images, labels=labels, test=100, source="s", original=True, fingerprint="5daf164b")
    monkeypatch.setattr("paribus.tasks.cifar10.stored", lambda: there)
    pool = cifar10(Cifar10(classes=classes, n_train=asked, n_test=10 * classes))
    assert pool.classes == classes
    assert (len(pool.y) - pool.test, pool.test) == (train, 10 * classes)
    assert set(pool.y.tolist()) == set(range(classes))
    for row, label in zip(pool.x, pool.y, strict=True):
        assert label in labels[(images == row).all(axis=(1, 2, 3))]
    assert (f"the first {classes} classes" in pool.source) == (classes < 10)


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
