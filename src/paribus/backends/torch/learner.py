"""The PyTorch models in the loop."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, TensorDataset

from paribus.backends.torch.inputs import DeviceInputs
from paribus.backends.torch.kept import copied
from paribus.backends.torch.look import look, move
from paribus.backends.torch.losses import both_logits, told_loss, training_loss
from paribus.backends.torch.models import evaluated_at_once, input_shape, make_module
from paribus.backends.torch.optimizers import add_l1, decoupled_decay, make_optimizer
from paribus.config.models import Mlp as MlpConfig
from paribus.config.optimizers import Sgd
from paribus.config.settings import Settings
from paribus.models.mlp import Mlp
from paribus.plan import Indices, Plan
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs
from paribus.training.clipping import Clipping
from paribus.training.learner import Scores
from paribus.training.measures import measured
from paribus.training.vitals import Look, Moves

_NUMPYS: list[Any] = [
    np.ndarray,
    np.dtype,
    np.zeros(1).__reduce__()[0],
    np.float64(0).__reduce__()[0],
    codecs.encode,
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefdg"},
]
"""What NumPy's numbers and arrays are pickled with: people give an optimizer `lr=np.float64(0.1)`. None of it runs
anything."""

_LOOKED_AT = 32
"""Of each half of the examples that are looked at, so many are: a convolution keeps a million numbers of each."""

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bf16": torch.float32}


class PlannedBatches:
    """A batch sampler that hands a `DataLoader` the plan's batches."""

    def __init__(self) -> None:
        self.batches: list[Indices] = []

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class TorchLearner:
    """Autograd and `torch.optim`; see `learner.Learner`."""

    _without_gradients: Callable[[], AbstractContextManager[Any]] = torch.inference_mode

    def __init__(self, settings: Settings, task: Task, plan: Plan) -> None:
        self._dtype, self._plan, self._settings, self._task = DTYPES[settings.precision], plan, settings, task
        self._bf16 = settings.precision == "bf16"
        self._device = torch.device(settings.device)
        self._per_step = task.steps is not None
        self._hidden: tuple[int, ...] = ()
        self._dropout = 0.0
        self._data = DeviceInputs(settings, task, plan, self._input_shape(settings, task), self._dtype)
        self._x, self._y = self._data.splits["train"]
        self.model = self._make_model(settings, task).to(self._device)
        if settings.memory == "channels_last":
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._train_forward = torch.compile(self.model) if settings.compile else self.model
        self._parameters = dict(self.model.named_parameters())
        self.optimizer = make_optimizer(settings.optimizer, self._parameters.values())
        self._keeps_statistics = any(True for _ in self.model.buffers())
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._clip = settings.clip
        self._loss = training_loss(settings, task, self._dtype, self._device)
        self._told_loss = told_loss(settings.told_loss)
        self.binary = settings.told_loss.kind == "binary"
        self._clipping = Clipping(settings.clip)
        one = settings.optimizer
        self._decoupled_decay = one if isinstance(one, Sgd) and one.decoupled and one.weight_decay else None
        self._planned = PlannedBatches()
        self._loader = (
            # a generator of its own: the loader draws a seed for its workers from the global one
            DataLoader(TensorDataset(self._x, self._y), batch_sampler=self._planned, generator=torch.Generator())
            if settings.loader == "dataloader"
            else None
        )

    def _input_shape(self, settings: Settings, task: Task) -> tuple[int, ...]:
        return input_shape(settings.model, task)

    def _make_model(self, settings: Settings, task: Task) -> nn.Module:
        model = settings.model
        if isinstance(model, MlpConfig):
            self._hidden, self._dropout = model.hidden, model.dropout
        outputs = task.outputs_for(settings.told_loss)
        every_step = task.steps is not None
        return make_module(model, self._input_shape(settings, task), outputs, self._dtype, every_step=every_step)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in self._parameters.items()}

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(torch.from_numpy(values[name]))

    def scale_lr(self, factor: float) -> None:
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def begin_epoch(self, epoch: int, batches: list[Indices]) -> None:
        if self._loader is not None:
            self._planned.batches = batches
            self._batches = iter(self._loader)
        elif not self._data.plain:
            self._data.begin_epoch(epoch, batches)

    def _batch(self, examples: Indices) -> tuple[Tensor, Tensor]:
        if self._loader is not None:
            x, y = next(self._batches)
            return self._data.scaled(x), y
        if self._data.plain:
            rows = torch.from_numpy(examples)
            return self._x[rows], self._y[rows]
        return self._data.next_batch(len(examples))

    def step(self, examples: Indices, epoch: int) -> Tensor:
        x, y = self._batch(examples)
        if self._bf16:
            with torch.autocast(self._device.type, torch.bfloat16):
                logits = self._training_logits(x, examples, epoch).float()
        else:
            logits = self._training_logits(x, examples, epoch)
        loss = self._loss(logits, y.flatten() if self._per_step else y)
        for parameter in self._parameters.values():
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self._settings.l1:
            add_l1(self._parameters.values(), self._settings.l1)
        if self._clip is not None:
            self._clipping.add(clip_grad_norm_(self._parameters.values(), self._clip))
        if self._decoupled_decay is not None:
            decoupled_decay(self.optimizer, self._decoupled_decay)
        self.optimizer.step()
        return loss.detach()

    def _training_logits(self, x: Tensor, examples: Indices, epoch: int) -> Tensor:
        return self._as_logits(self._training_outputs(x, examples, epoch))

    def _as_logits(self, outputs: Tensor) -> Tensor:
        """A row for each example, or each step of each; of two classes that have one output, a logit for each."""
        rows = outputs.flatten(0, 1) if self._per_step else outputs
        return both_logits(rows) if self.binary else rows

    def _training_outputs(self, x: Tensor, examples: Indices, epoch: int) -> Tensor:
        if not self._dropout:
            logits: Tensor = self._train_forward(x)
            return logits
        keep = [
            torch.from_numpy(self._plan.keep(epoch, examples, i, units, self._dropout)).to(self._device)
            for i, units in enumerate(self._hidden)
        ]
        dropped: Tensor = self._train_forward(x, keep)
        return dropped

    def _logits(self, x: Tensor) -> Tensor:
        """Logits of kept examples in evaluation mode, as many at once as fit easily."""
        return self._as_logits(self._outputs(x))

    def _outputs(self, x: Tensor) -> Tensor:
        if self._data.plain and isinstance(self.model, Mlp) and not self._keeps_statistics:
            logits: Tensor = self.model(x)
            return logits
        self.model.eval()
        chunk = evaluated_at_once(self._settings.model, x, self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            parts = torch.split(x, chunk)
            # a user's module may write the next part's logits over those that it gave
            found = [self.model(self._data.scaled(part)).clone() for part in parts]
        self.model.train()
        return torch.cat(found).to(self._dtype)

    def evaluate(self, split: str) -> Scores:
        x, y = self._data.splits[split]
        looked_at = len(x) if split != "train" or self._settings.eval_train == "all" else self._settings.eval_train
        y = y[:looked_at].flatten() if self._per_step else y[:looked_at]
        with self._without_gradients():
            logits = self._logits(x[:looked_at])
            loss = self._told_loss(logits, y).item()
            if self._task.target is None:
                found = {"accuracy": (logits.argmax(dim=1) == y).double().mean().item()}
            else:
                found = measured(self._task, logits.cpu().numpy(), self._task.splits[split].y[:looked_at])
        whole = self._task.splits[split].x
        return Scores(loss, found, lambda: logits.cpu().numpy() if looked_at >= len(whole) else self.logits(whole))

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        with self._without_gradients():
            found: NDArray[np.floating] = self._logits(self._data.to_device(x)).cpu().numpy()
        return found

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """With the buffers, as batch normalisation's running statistics."""
        return {
            name: value.detach().cpu().numpy().copy()
            for name, value in self.model.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }

    def look(self, x: Inputs, y: Targets, moved: Moves) -> Look | None:
        """With the statistics of the examples where it normalises by those of a batch, as a step does; nothing is
        dropped."""
        model = copied(self.model).train()
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
        return self._looked(model, x, y, moved)

    def _looked(self, model: nn.Module, x: Inputs, y: Targets, moved: Moves) -> Look:
        most = _LOOKED_AT
        targets = self._data.targets(self._task, y[:most])
        flat = targets.flatten() if self._per_step else targets
        inputs = self._data.scaled(self._data.to_device(x[:most].copy()))
        move(model, moved)
        return look(model, inputs, self._as_logits, lambda z: self._told_loss(z, flat))

    def known_by_weights(self) -> bool:
        return True

    def clipping(self) -> dict[str, float]:
        return self._clipping.read()

    def state(self) -> bytes:
        content = io.BytesIO()
        parts = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "clipping": self._clipping.state(),
        }
        torch.save(parts, content)
        return content.getvalue()

    def doubt(self) -> str | None:
        return None

    def watches_generators(self) -> bool:
        return False

    def confirm(self) -> None:
        pass

    def restore(self, state: bytes) -> None:
        with torch.serialization.safe_globals(_NUMPYS):
            found = torch.load(io.BytesIO(state), map_location=self._device, weights_only=True)
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        self._clipping.restore(found["clipping"])
