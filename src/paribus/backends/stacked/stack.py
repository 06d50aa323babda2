"""Many runs in one computation: their data, their modules, a step of all, an evaluation of all."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import vmap

from paribus.backends.compatibility import recurrent
from paribus.backends.stacked.modules import Modules
from paribus.backends.stacked.optimizers import OPTIMIZERS
from paribus.backends.torch.initial import at_initial_values
from paribus.backends.torch.inputs import DeviceInputs
from paribus.backends.torch.kept import copied
from paribus.backends.torch.learner import DTYPES
from paribus.backends.torch.look import look, move
from paribus.backends.torch.losses import both_logits, told_loss, training_loss
from paribus.backends.torch.models import evaluated_at_once, input_shape, make_module, users_module
from paribus.config.models import Mlp, UserModel
from paribus.config.settings import Settings, steps_in_epoch
from paribus.config.user_errors import RAISED
from paribus.models.initialisation import initial_values
from paribus.plan import Indices, Plan
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs
from paribus.training.clipping import Clipping
from paribus.training.isolation import isolated
from paribus.training.learner import Scores
from paribus.training.measures import measured
from paribus.training.meters import synchronise
from paribus.training.vitals import Look, Moves

_LOOKED_AT = 32
"""Of each half of the examples that are looked at, so many are, as in `TorchLearner`."""


@dataclass(frozen=True)
class Part:
    """What one run of a stack is made from."""

    settings: Settings
    task: Task
    plan: Plan


class Stack:
    """Runs whose settings agree in all but numbers, one row each.

    A run whose numbers are no longer finite keeps its row: no other sees it, and the others' arithmetic stays what it
    was. `train_seconds`, `eval_seconds`: one run's share of what steps and evaluations took until now.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts, self.settings, self._task = parts, parts[0].settings, parts[0].task
        self._dtype, self._device = DTYPES[self.settings.precision], torch.device(self.settings.device)
        self._per_step = self._task.steps is not None
        self._users = isinstance(self.settings.model, UserModel)
        model = self.settings.model
        self._dropout, self._hidden = (model.dropout, model.hidden) if isinstance(model, Mlp) else (0.0, ())
        self.modules = Modules([self._module(part) for part in parts], drops=self._users)
        self._data = self._inputs()
        theta = self.modules.theta
        self._weights = self.modules.weights_of_numbers()
        kind = OPTIMIZERS[self.settings.optimizer.name]
        self._optimizer = kind([part.settings.optimizer for part in parts], theta, self._weights)  # type: ignore[misc]
        self._l1 = self._column([part.settings.l1 for part in parts])
        self._limits = self._column([part.settings.clip or math.inf for part in parts])
        self._clips = any(part.settings.clip is not None for part in parts)
        self._clipping = Clipping(self._limits if self._clips else None)
        self._penalised = any(part.settings.l1 for part in parts)
        self._loss = training_loss(self.settings, self._task, self._dtype, self._device)
        self._told_loss = told_loss(self.settings.told_loss)
        self._binary = self.settings.told_loss.kind == "binary"
        self._per_epoch = steps_in_epoch(self.settings, len(self._task.train))
        self._states: list[list[int]] = []
        self.train_seconds = self.eval_seconds = 0.0

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self._device)[:, None].to(self._dtype)

    def _shape(self) -> tuple[int, ...]:
        return self._task.info.input_shape if self._users else input_shape(self.settings.model, self._task)

    def _module(self, part: Part) -> nn.Module:
        """A run's module at its initial values."""
        model = part.settings.model
        if isinstance(model, UserModel):
            (state,) = part.plan.generator_states(0, 1)
            with isolated(state):
                made = at_initial_values(users_module(part.settings), part.settings, self._dtype, part.plan)
            return made.to(self._device)
        outputs = part.task.outputs_for(part.settings.told_loss)
        module = make_module(model, self._shape(), outputs, self._dtype, every_step=self._per_step)
        named = dict(module.named_parameters())
        shapes = {name: tuple(one.shape) for name, one in named.items()}
        values = initial_values(shapes, part.settings.init, part.plan, recurrent(part.settings))
        with torch.no_grad():
            for name, parameter in named.items():
                parameter.copy_(torch.from_numpy(values[name]))
        return module.to(self._device)

    def _inputs(self) -> list[DeviceInputs]:
        """One for all where all have the same data, else one for each run."""
        tasks = [part.task for part in self.parts]
        same = all(one is tasks[0] or _same_data(one, tasks[0]) for one in tasks[1:])
        return [
            DeviceInputs(self.settings, part.task, part.plan, self._shape(), self._dtype)
            for part in (self.parts[:1] if same else self.parts)
        ]

    # --- training ---

    def begin_epoch(self, epoch: int) -> None:
        """What each run's generator stands at in each step of an epoch, where a module of the user's drops units."""
        masks = self.modules.masks
        if masks is not None and masks.layers:
            first = epoch * self._per_epoch + 1
            self._states = [list(part.plan.generator_states(first, self._per_epoch)) for part in self.parts]

    def step(self, batches: Sequence[Indices], epoch: int, place: int, factors: Sequence[float]) -> Tensor:
        """One step of every run on examples of its own, at its rate times its factor; the mean losses before it,
        (runs,). `place`: the step's in the epoch, from 0."""
        begun = perf_counter()
        x, y = self._batch(batches)
        losses = self.modules.call(x, self._objective, y, self._masks(x, batches, epoch, place))
        g = self.modules.gradients(losses)
        with torch.no_grad():
            if self._penalised:
                g.addcmul_(self._weights * self.modules.theta.sign(), self._l1)
            if self._clips:
                g = self._clipped(g)
            columns = torch.tensor(factors, dtype=torch.float64, device=self._device)[:, None]
            self._optimizer.step(g, columns)
        self.train_seconds += (perf_counter() - begun) / len(self.parts)
        return losses.detach()

    def rest(self) -> None:
        """Wait until the steps are done: on a GPU they are only asked for, and their time is training's."""
        begun = perf_counter()
        synchronise(self._device.type)
        self.train_seconds += (perf_counter() - begun) / len(self.parts)

    def _batch(self, batches: Sequence[Indices]) -> tuple[Tensor, Tensor]:
        rows = torch.from_numpy(np.stack(batches)).to(self._device)  # (runs, examples)
        if len(self._data) == 1:
            (data,) = self._data
            x = data.scaled(data.x[rows.flatten()])
            return x.view(*rows.shape, *x.shape[1:]), data.y[rows]
        each = [(data.scaled(data.x[mine]), data.y[mine]) for data, mine in zip(self._data, rows, strict=True)]
        return torch.stack([x for x, _ in each]), torch.stack([y for _, y in each])

    def _masks(self, x: Tensor, batches: Sequence[Indices], epoch: int, place: int) -> list[Tensor]:
        """Of the plan, for the hidden layers of Paribus's own perceptron; of a generator at the plan's state, for the
        dropout layers of a user's module, as that draws them alone."""
        masks = self.modules.masks
        if masks is not None and masks.layers:
            calls = masks.calls(self.modules.template, x[0])
            return masks.drawn(calls, [states[place] for states in self._states])
        if not self._dropout:
            return []
        found = []
        for layer, units in enumerate(self._hidden):
            kept = [
                part.plan.keep(epoch, rows, layer, units, self._dropout)
                for part, rows in zip(self.parts, batches, strict=True)
            ]
            found.append(torch.from_numpy(np.stack(kept)).to(self._device))
        return found

    def _objective(self, outputs: Tensor, y: Tensor) -> Tensor:
        return self._loss(self._as_logits(outputs), y.flatten() if self._per_step else y)

    def _as_logits(self, outputs: Tensor) -> Tensor:
        rows = outputs.flatten(0, 1) if self._per_step else outputs
        return both_logits(rows) if self._binary else rows

    def _clipped(self, g: Tensor) -> Tensor:
        """As `torch.nn.utils.clip_grad_norm_`, run by run."""
        norms = torch.linalg.vector_norm(g, dim=1, keepdim=True)
        self._clipping.add(norms)
        shrunk: Tensor = g * (self._limits / (norms + 1e-6)).clamp(max=1.0)
        return shrunk

    # --- evaluation ---

    def _evaluated(self, split: str) -> tuple[Tensor, Tensor]:
        """Logits of each run, (runs, rows, outputs), and targets, (runs, rows), of what is looked at."""
        most = self.settings.eval_train if split == "train" else "all"
        found = [data.splits[split] for data in self._data]
        xs, ys = zip(*((x, y) if most == "all" else (x[:most], y[:most]) for x, y in found), strict=True)
        logits = self._logits(xs[0] if len(xs) == 1 else torch.stack(xs), shared=len(xs) == 1)
        targets = torch.stack([y.flatten() for y in ys]).expand(len(self.parts), -1)
        return logits, targets

    def _logits(self, x: Tensor, *, shared: bool) -> Tensor:
        """Of kept examples, (examples, ...) or (runs, examples, ...), in evaluation mode."""
        one = x if shared else x[0]
        at_once = evaluated_at_once(self.settings.model, one, self._device, len(self.parts))
        with torch.no_grad():
            parts = []
            for part in torch.split(x, at_once, dim=0 if shared else 1):
                scaled = self._data[0].scaled(part.clone()) if shared else self._scaled_each(part)
                outputs = self.modules.outputs(scaled, shared=shared)
                parts.append(vmap(self._as_logits)(outputs).to(self._dtype))
            return torch.cat(parts, dim=1)

    def _scaled_each(self, x: Tensor) -> Tensor:
        return torch.stack([data.scaled(mine.clone()) for data, mine in zip(self._data, x, strict=True)])

    def scores(self, split: str) -> list[Scores]:
        """Of every run."""
        begun = perf_counter()
        logits, targets = self._evaluated(split)
        losses = vmap(self._told_loss)(logits, targets).tolist()
        right = (logits.argmax(dim=2) == targets).double().mean(dim=1).tolist()
        found = []
        for run, (part, loss) in enumerate(zip(self.parts, losses, strict=True)):
            told = {"accuracy": right[run]}
            if part.task.target is not None:
                y = part.task.splits[split].y[: logits.shape[1]]
                told = measured(part.task, logits[run].cpu().numpy(), y)
            found.append(Scores(loss, told, functools.partial(self._whole, split, run, logits)))
        self.eval_seconds += (perf_counter() - begun) / len(self.parts)
        return found

    def _whole(self, split: str, run: int, logits: Tensor) -> NDArray[np.floating]:
        """A run's logits of a whole split, of which `logits` of each run may be a part."""
        x = self.parts[run].task.splits[split].x
        found: NDArray[np.floating] = logits[run].cpu().numpy()
        return found if len(found) >= len(x) else self.logits(run, x)

    def logits(self, run: int, x: Inputs) -> NDArray[np.floating]:
        """Of one run, for any inputs; the others go along."""
        data = self._data[run if len(self._data) > 1 else 0]
        kept = data.to_device(x)
        at_once = evaluated_at_once(self.settings.model, kept, self._device, len(self.parts))
        with torch.no_grad():
            parts = [
                self._as_logits(self.modules.outputs(data.scaled(part.clone()), shared=True)[run])
                for part in torch.split(kept, at_once)
            ]
        found: NDArray[np.floating] = torch.cat(parts).to(self._dtype).cpu().numpy()
        return found

    def clipping(self) -> list[dict[str, float]]:
        """Of each run what clipping did since this was asked last; nothing of those that have no limit."""
        return self._clipping.read_each([part.settings.clip for part in self.parts])

    def weights(self, run: int) -> dict[str, NDArray[np.floating]]:
        """Copies of a run's parameters and buffers."""
        state = self.modules.state(run)
        return {
            name: value.cpu().numpy().copy()
            for name, value in state.items()
            if not name.endswith("num_batches_tracked")
        }

    def look(self, run: int, x: Inputs, y: Targets, moved: Moves) -> Look | None:
        """At one run's layers, as `TorchLearner.look`: in training mode without dropout. A user's module is looked at
        in evaluation, and None where it cannot be."""
        if not self._users:
            return self._looked(run, x, y, moved, training=True)
        with isolated(self.parts[run].plan.evaluation_state(0)):
            try:
                return self._looked(run, x, y, moved, training=False)
            except RAISED:  # whatever the user's code raises
                return None

    def _looked(self, run: int, x: Inputs, y: Targets, moved: Moves, *, training: bool) -> Look:
        model = copied(self.modules.plain)
        model.load_state_dict(self.modules.state(run))
        model.train(training)
        data = self._data[run if len(self._data) > 1 else 0]
        targets = data.targets(self.parts[run].task, y[:_LOOKED_AT])
        inputs = data.scaled(data.to_device(x[:_LOOKED_AT].copy()))
        flat = targets.flatten() if self._per_step else targets
        move(model, moved)
        return look(model, inputs, self._as_logits, lambda z: self._told_loss(z, flat))


def _same_data(one: Task, other: Task) -> bool:
    """Whether two tasks hold the same numbers in the same splits."""
    return one.splits.keys() == other.splits.keys() and all(
        np.array_equal(split.x, other.splits[name].x) and np.array_equal(split.y, other.splits[name].y)
        for name, split in one.splits.items()
    )


class Member:
    """A run of a stack, as its clock and its probes see it; see `learner.Trained`. `scores`: by split, those of the
    evaluation that was made last, and what `clipped` until then."""

    def __init__(self, stack: Stack, run: int) -> None:
        self._stack, self._run = stack, run
        self.scores: Mapping[str, Scores] = {}
        self.clipped: dict[str, float] = {}
        self._evaluated = stack.eval_seconds

    def seconds(self) -> float:
        """This run's share of the time; an evaluation's is passed when it is asked for."""
        return self._stack.train_seconds + self._evaluated

    def evaluate(self, split: str) -> Scores:
        self._evaluated = self._stack.eval_seconds
        return self.scores[split]

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        return self._stack.logits(self._run, x)

    def weights(self) -> dict[str, NDArray[np.floating]]:
        return self._stack.weights(self._run)

    def look(self, x: Inputs, y: Targets, moved: Moves) -> Look | None:
        return self._stack.look(self._run, x, y, moved)

    def clipping(self) -> dict[str, float]:
        return self.clipped

    def state(self) -> bytes:
        raise NotImplementedError("runs of a stack leave no checkpoints")

    def restore(self, state: bytes) -> None:
        raise NotImplementedError("runs of a stack leave no checkpoints")

    def doubt(self) -> str | None:
        return "runs of a stack leave no checkpoints"

    def watches_generators(self) -> bool:
        return False

    def confirm(self) -> None:
        pass
