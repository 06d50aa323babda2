"""Flips, crops and cutouts: those of the definition, an image's own, and in training alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import paribus
from paribus.backends.dispatch import resolve
from paribus.backends.torch.augment import Augmentation, EpochDraws
from paribus.plan import Plan
from paribus.tasks import load
from tests.conftest import Recorder, settings_of
from tests.helpers import make_learner
from tests.test_cnn import images

Fit = Callable[..., Recorder]


def by_pixels(image: np.ndarray, words: np.ndarray, how: Augmentation) -> np.ndarray:
    """One image at a time, in Python, from the definition."""
    channels, height, width = image.shape
    if how.flip and int(words[0]) >= 2**31:
        image = image[:, :, ::-1]
    if how.crop:
        down, right = (int(word) * (2 * how.crop + 1) >> 32 for word in words[1:3])
        padded = np.zeros((channels, height + 2 * how.crop, width + 2 * how.crop), image.dtype)
        padded[:, how.crop : how.crop + height, how.crop : how.crop + width] = image
        if how.flip and int(words[0]) >= 2**31:  # the corner is chosen in the picture as it was, then it is turned
            right = 2 * how.crop - right
        image = padded[:, down : down + height, right : right + width]
    return image


@pytest.mark.parametrize(("flip", "crop"), [(True, 0), (False, 3), (True, 2)])
def test_flips_and_crops_are_those_of_the_definition(flip: bool, crop: int) -> None:
    x, _ = images()
    how, plan, order = (
        Augmentation(flip=flip, crop=crop, cutout=0, height=12, width=10),
        Plan(5),
        np.random.default_rng(1).permutation(60),
    )
    draws = EpochDraws(how, plan, 7, order, torch.device("cpu"))
    taken = draws.taken(how.padded(torch.from_numpy(x)), torch.from_numpy(order[20:50]), slice(20, 50)).numpy()
    words = plan.augment(7, order[20:50])
    expected = np.stack([by_pixels(x[i], word, how) for i, word in zip(order[20:50], words, strict=True)])
    np.testing.assert_array_equal(taken, expected)
    assert (taken != x[order[20:50]]).any()


def test_cutout_blots_a_square_out_around_a_centre_in_the_image() -> None:
    how, plan, order = Augmentation(flip=False, crop=0, cutout=5, height=12, width=10), Plan(0), np.arange(500)
    draws = EpochDraws(how, plan, 0, order, torch.device("cpu"))
    blotted = (draws.blot(torch.ones(500, 3, 12, 10), slice(0, 500)) == 0).numpy()
    assert (blotted[:, 0] == blotted[:, 1]).all()
    assert blotted[:, 0].sum(axis=(1, 2)).max() == 25
    assert blotted[:, 0].sum(axis=(1, 2)).min() >= 9  # at a corner 3 x 3 of it are left
    rows, columns = blotted[:, 0].any(axis=2), blotted[:, 0].any(axis=1)
    assert (blotted[:, 0] == rows[:, :, None] & columns[:, None, :]).all()
    centres = {(int(w[3]) & 0xFFFF) * 12 >> 16 for w in plan.augment(0, order)}
    assert centres == set(range(12))
    shares = blotted[:, 0].mean(axis=0)
    assert 0.05 < shares.min() < shares.max() < 0.35  # everywhere, less at the border


def test_an_images_augmentation_is_its_own_whatever_the_batch(fit: Fit) -> None:
    """Two batch sizes, two orders: the same image in the same epoch looks the same."""
    x, y = images()
    looks = []
    for batch in (7, 60):
        settings = resolve({"task": paribus.data(x, y), "model": "cnn", "model.width": 0.125, "flip": True, "crop": 2,
                          "cutout": 3, "batch_size": batch, "epochs": 2})  # fmt: skip
        task, plan = load(settings, 4), Plan(4)
        learner = make_learner(settings, task, plan)
        order = plan.permutations(1, 1, len(task.train))[0]
        learner.begin_epoch(1, [order[i : i + batch] for i in range(0, len(order), batch)])
        taken = torch.cat([learner._batch(order[i : i + batch])[0] for i in range(0, len(order), batch)])
        looks.append(taken.numpy())
    np.testing.assert_array_equal(*looks)


def test_augmentation_changes_training_alone(fit: Fit) -> None:
    """Evaluations see the images as they are, and every epoch looks other."""
    settings = settings_of("task=digits model=cnn width=0.125 flip=true crop=1")
    task = load(settings, 0)
    learner, plain = (
        make_learner(s, task, Plan(0)) for s in (settings, settings_of("task=digits model=cnn width=0.125"))
    )
    assert learner.evaluate("test") == plain.evaluate("test")
    batches = []
    for epoch in (0, 1):
        learner.begin_epoch(epoch, [np.arange(100)])
        batches.append(learner._batch(np.arange(100))[0])
    assert not torch.equal(*batches)
