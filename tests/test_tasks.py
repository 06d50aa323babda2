"""Tasks: scikit-learn's data, honest splits, fingerprints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs, make_circles, make_moons
from sklearn.model_selection import train_test_split

from paribus.config.tasks import TASKS, Moons
from paribus.tasks import POOLS, load
from paribus.tasks.pool import cached, fingerprint
from paribus.tasks.task import overlap
from tests.conftest import settings_of

REPORT = {
    "moons": lambda: make_moons(n_samples=1000, noise=0.08, shuffle=True, random_state=1),
    "circles": lambda: make_circles(n_samples=1000, noise=0.08, factor=0.5, shuffle=True, random_state=1),
    "blobs": lambda: make_blobs(n_samples=1000, n_features=2, centers=2, random_state=2),
    "digits": lambda: (load_digits().data / 16, load_digits().target),
}


def test_every_task_has_its_data() -> None:
    assert (
        set(TASKS) == set(POOLS) == {*REPORT, "cifar10", "palindrome", "diabetes", "friedman", "sine"}
    )  # of those, test_cifar10.py, test_palindrome.py and test_objectives.py


@pytest.mark.parametrize("name", REPORT)
def test_the_data_are_the_reports_and_the_split_scikit_learns(name: str) -> None:
    x, y = REPORT[name]()
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.2, random_state=1)
    task = load(settings_of(f"task={name}"), seed=3)
    for mine, theirs in ((task.train, (train_x, train_y)), (task.test, (test_x, test_y))):
        np.testing.assert_array_equal(mine.x, theirs[0])
        np.testing.assert_array_equal(mine.y, theirs[1])
    card = task.info
    assert (card.train, card.validation, card.test) == (len(train_y), 0, len(test_y))
    assert card.classes == len(np.unique(y))
    assert card.input_shape == x.shape[1:]
    assert card.overlap == sum((train_x == row).all(axis=1).any() for row in test_x)
    assert "scikit-learn" in card.source


def test_each_argument_is_a_setting() -> None:
    task = load(settings_of("task=circles n=300 noise=0.2 factor=0.3 random_state=5 test_share=0.1"), 0)
    x, _ = make_circles(n_samples=300, noise=0.2, factor=0.3, random_state=5)
    everything = np.concatenate([task.train.x, task.test.x])
    assert len(task.test) == 30
    np.testing.assert_array_equal(np.sort(everything, axis=0), np.sort(x, axis=0))
    blobs = load(settings_of("task=blobs centers=4 features=3 cluster_std=0.5"), 0)
    assert (blobs.info.classes, blobs.info.input_shape) == (4, (3,))


def test_the_seed_deals_the_data_only_where_it_is_asked_to() -> None:
    fixed = [load(settings_of("task=moons"), seed) for seed in (0, 1)]
    dealt = [load(settings_of("task=moons split=by_seed"), seed) for seed in (0, 1, 0)]
    assert fixed[0].info == fixed[1].info
    assert dealt[0].info == dealt[2].info
    assert dealt[0].info.fingerprint != dealt[1].info.fingerprint
    assert dealt[0].info.pool == dealt[1].info.pool == fixed[0].info.pool
    everything = np.sort(np.concatenate([dealt[1].train.x, dealt[1].test.x]), axis=0)
    np.testing.assert_array_equal(everything, np.sort(np.concatenate([fixed[0].train.x, fixed[0].test.x]), axis=0))


def test_validation_is_carved_from_the_training_data_alone() -> None:
    plain, carved = (load(settings_of(f"task=moons {words}"), 0) for words in ("", "validation=0.1"))
    assert carved.validation is not None
    assert (len(carved.train), len(carved.validation)) == (720, 80)
    np.testing.assert_array_equal(carved.test.x, plain.test.x)
    both = np.concatenate([carved.train.x, carved.validation.x])
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(plain.train.x, axis=0))


def test_digits_of_the_first_classes() -> None:
    whole, two = (load(settings_of(f"task=digits {words}"), 0) for words in ("", "classes=2"))
    assert (whole.info.classes, two.info.classes) == (10, 2)
    y = load_digits().target
    assert len(two.train) + len(two.test) == (y < 2).sum()
    assert set(two.train.y.tolist()) == {0, 1}
    assert two.info.fingerprint != whole.info.fingerprint
    assert "the first 2 classes" in two.info.source


def test_standardisation_is_fitted_on_the_training_split() -> None:
    task = load(settings_of("task=digits standardise=true validation=0.2"), 0)
    varying = task.train.x.std(axis=0) > 0
    np.testing.assert_allclose(task.train.x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(task.train.x[:, varying].std(axis=0), 1, atol=1e-12)
    assert np.abs(task.test.x.mean(axis=0)).max() > 0.01
    assert np.isfinite(task.test.x).all()


def test_the_fingerprint_moves_with_every_value() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert fingerprint(x) == fingerprint(x.copy()) == fingerprint(np.asfortranarray(x))
    other = x.copy()
    other[1, 2] = np.nextafter(5.0, 6.0)
    different = {fingerprint(a) for a in (x, other, x.reshape(3, 2), x.astype(np.float32), x.astype(">f4") + 1)}
    assert len(different) == 5
    assert fingerprint(x) == fingerprint(x.astype(">f8"))


def test_overlap_is_counted() -> None:
    rng = np.random.default_rng(0)
    train = rng.standard_normal((50, 4))
    test = np.concatenate([rng.standard_normal((7, 4)), train[[3, 3, 9]]])
    assert overlap(train, test) == 3


@pytest.mark.parametrize("words", ["n=12 test_share=0.99", "n=10 test_share=0.05 validation=0.001"])
def test_an_empty_split_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"split of moons is empty: 1[02] examples"):
        load(settings_of(f"task=moons {words}"), 0)


def test_a_spoilt_cache_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIBUS_CACHE", str(tmp_path))
    calls = []

    def make() -> tuple[np.ndarray, np.ndarray]:
        calls.append(1)
        return np.ones((3, 2)), np.array([0, 1, 0])

    first = cached("call", make)
    assert (cached("call", make).x == first.x).all()
    assert len(calls) == 1
    (file,) = tmp_path.rglob("*.npz")
    for spoil in (b"", b"not a file", file.read_bytes()[:-40]):
        file.write_bytes(spoil)
        assert (cached("call", make).x == first.x).all()
    np.savez(file, x=np.zeros((3, 2)), y=np.array([0, 1, 0]), checksum="wrong")
    assert (cached("call", make).x == first.x).all()
    assert len(calls) == 5


def test_an_unwritable_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARIBUS_CACHE", str(tmp_path / "file"))
    assert POOLS["moons"](Moons(n=20)).x.shape == (20, 2)
