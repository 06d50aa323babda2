"""Augmentation: what the plan's words say of each image, and a batch of images made so, on the device.

    flip     left to right, with probability 1/2
    crop p   p black pixels are added on every side; an image of the old size is cut out, its corner uniform over the
             (2 p + 1)^2 places
    cutout k a square of k x k pixels, its centre uniform over the image, becomes 0 after scaling; what of it lies
             outside is lost

Source: for crop and flip, He et al., Deep residual learning (2016); DeVries and Taylor, Improved regularization of
convolutional neural networks with cutout (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from paribus.config.settings import Settings
from paribus.plan import Indices, Plan, Words


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to images of `height` x `width`; `words`: the plan's, four for each image."""

    flip: bool
    crop: int
    cutout: int
    height: int
    width: int

    @classmethod
    def of(cls, settings: Settings, image: tuple[int, int, int] | None) -> Augmentation | None:
        """What the settings ask for, None where that is nothing."""
        if image is None or not (settings.flip or settings.crop or settings.cutout):
            return None
        return cls(flip=settings.flip, crop=settings.crop, cutout=settings.cutout, height=image[1], width=image[2])

    def places(self, words: Words) -> tuple[Indices, Indices]:
        """Of each pixel of each image, the row and the column that it is taken from, in the padded image:
        shapes (images, height), (images, width)."""
        down, right = (_below(words[:, i], 2 * self.crop + 1)[:, None] for i in (1, 2))
        columns = np.arange(self.width)[None, :]
        if self.flip:
            turned = (words[:, 0] >> np.uint32(31)).astype(bool)[:, None]
            columns = np.where(turned, self.width - 1 - columns, columns)
        return np.arange(self.height)[None, :] + down, columns + right

    def blotted(self, words: Words) -> tuple[np.ndarray, np.ndarray]:
        """Which rows and columns of each image the square of cutout covers: bool (images, height), (images, width)."""
        centre = (
            _below(words[:, 3] << np.uint32(16), self.height),
            _below(words[:, 3] & np.uint32(0xFFFF0000), self.width),
        )
        first = [(place - self.cutout // 2)[:, None] for place in centre]
        rows, columns = np.arange(self.height)[None, :], np.arange(self.width)[None, :]
        return (
            (rows >= first[0]) & (rows < first[0] + self.cutout),
            (columns >= first[1]) & (columns < first[1] + self.cutout),
        )

    def padded(self, images: Tensor) -> Tensor:
        """Images with their black border, made once for all epochs."""
        return torch.nn.functional.pad(images, (self.crop,) * 4) if self.crop else images


class EpochDraws:
    """One epoch's augmentation on the device: rows and columns of every image in the order of its batches."""

    def __init__(self, how: Augmentation, plan: Plan, epoch: int, order: Indices, device: torch.device) -> None:
        words = plan.augment(epoch, order)
        self._rows, self._columns = (torch.from_numpy(place).to(device) for place in how.places(words))
        self._blots = [torch.from_numpy(one).to(device) for one in how.blotted(words)] if how.cutout else None

    def taken(self, padded: Tensor, examples: Tensor, at: slice) -> Tensor:
        """The images of some examples, cut and turned; `at`: where they stand in the epoch's order.

        `padded` (examples, channels, rows, columns) -> (batch, channels, height, width).
        """
        channels = torch.arange(padded.shape[1], device=padded.device)
        rows, columns = self._rows[at], self._columns[at]
        return padded[
            examples[:, None, None, None],
            channels[None, :, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]

    def blot(self, images: Tensor, at: slice) -> Tensor:
        """The same images with the squares of cutout at 0."""
        if self._blots is None:
            return images
        rows, columns = (one[at] for one in self._blots)
        return images.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0.0)


def _below(words: Words, bound: int) -> Indices:
    """A number from 0 to bound - 1 of each word: the high half of word * bound."""
    product: Indices = ((words.astype(np.uint64) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)
    return product
