"""A task's examples on the device, and batches of them as the model takes them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from paribus.backends.torch.augment import Augmentation, EpochDraws
from paribus.config.settings import Settings
from paribus.plan import Indices, Plan
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs


class DeviceInputs:
    """All splits, resident on the device for the whole run; bytes stay bytes there, and become numbers batch by batch.

    `shape`: an example's as the model takes it: (features,), (channels, height, width) or (steps, inputs).
    """

    def __init__(self, settings: Settings, task: Task, plan: Plan, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.device, self._dtype, self._shape, self._plan = torch.device(settings.device), dtype, shape, plan
        self._format = torch.channels_last if settings.memory == "channels_last" else torch.contiguous_format
        self._augmentation = Augmentation.of(settings, task.image)
        # an image until it is cut out of its border, whatever the model takes
        self._kept_shape = shape if self._augmentation is None or task.image is None else task.image
        self._scale = None
        if task.scale is not None:
            parts = (task.scale.mean, task.scale.std)
            self._scale = tuple(torch.from_numpy(part).to(self.device, dtype) for part in parts)
            self._kept_shape = task.info.input_shape
        self._encoding = task.encoding
        if self._encoding is not None:
            self._kept_shape = task.info.input_shape
        self.splits = {
            name: (self.to_device(split.x), self.targets(task, split.y)) for name, split in task.splits.items()
        }
        self.x, self.y = self.splits["train"]
        as_kept = self._augmentation is None and self._scale is None and self._encoding is None
        self.plain = as_kept and self.device.type == "cpu"
        self._padded = self.x if self._augmentation is None else self._augmentation.padded(self.x)
        self._draws: EpochDraws | None = None

    def targets(self, task: Task, y: Targets) -> Tensor:
        """Classes, or scaled numbers of the run's type."""
        if task.target is None:
            return torch.from_numpy(y.copy()).to(self.device)
        return torch.from_numpy(task.targets(y, np.dtype(np.float64))).to(self.device, self._dtype)

    def to_device(self, x: Inputs) -> Tensor:
        """Examples as they are kept: bytes, or numbers of the run's type."""
        found = torch.from_numpy(np.ascontiguousarray(x).reshape(len(x), *self._kept_shape))
        return found.to(self.device) if found.dtype == torch.uint8 else found.to(self.device, self._dtype)

    def begin_epoch(self, epoch: int, batches: list[Indices]) -> None:
        """Hand the device the epoch's order and draws at once, so that no step waits for them."""
        order = np.concatenate(batches) if batches else np.zeros(0, np.int64)
        self._order, self._at = torch.from_numpy(order).to(self.device), 0
        if self._augmentation is not None:
            self._draws = EpochDraws(self._augmentation, self._plan, epoch, order, self.device)

    def next_batch(self, size: int) -> tuple[Tensor, Tensor]:
        """The next examples in the epoch's order, augmented and scaled, and their classes."""
        at = slice(self._at, self._at + size)
        self._at += size
        examples = self._order[at]
        if self._draws is None:
            return self.scaled(self.x[examples]), self.y[examples]
        images = self.scaled(self._draws.taken(self._padded, examples, at), flat=False)
        return self._laid_out(self._draws.blot(images, at)), self.y[examples]

    def scaled(self, x: Tensor, *, flat: bool = True) -> Tensor:
        """Kept examples as the model takes them."""
        if self._encoding == "onehot":
            x = one_hot(x.long(), 10).to(self._dtype)
        elif self._encoding == "scalar":
            x = x.to(self._dtype)
        elif self._scale is not None:
            x = x.to(self._dtype).sub_(self._scale[0]).div_(self._scale[1])
        return self._laid_out(x) if flat else x

    def _laid_out(self, x: Tensor) -> Tensor:
        if math.prod(self._shape) != math.prod(x.shape[1:]):
            raise ValueError(f"inputs of shape {tuple(x.shape[1:])} are no inputs of shape {self._shape}")
        x = x.reshape(len(x), *self._shape)
        return x.contiguous(memory_format=self._format) if x.dim() == 4 else x
