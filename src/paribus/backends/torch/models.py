"""PyTorch's module for a model's settings, and the inputs that it takes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from paribus.config.models import RECURRENT, Cnn, Gru, Lstm, Mlp, ModelConfig, Rnn, UserModel
from paribus.config.settings import Settings
from paribus.models import rnn
from paribus.models.cnn import Cnn as CnnModule
from paribus.models.mlp import Mlp as MlpModule
from paribus.tasks import Task

_AT_ONCE = {"cpu": 2**21, "cuda": 2**24}
_MOST = 4096


def input_shape(model: ModelConfig, task: Task) -> tuple[int, ...]:
    """An example's shape as the model takes it."""
    if isinstance(model, Cnn):
        assert task.image is not None
        return task.image
    if isinstance(model, RECURRENT):
        assert task.sequence is not None
        return task.sequence
    return (math.prod(task.info.input_shape) * (10 if task.encoding == "onehot" else 1),)


def make_module(
    model: ModelConfig, inputs: tuple[int, ...], classes: int, dtype: torch.dtype, *, every_step: bool = False
) -> nn.Module:
    """The module, its parameters unset. `every_step`: whether a recurrent one gives logits for each step."""
    match model:
        case Mlp():
            sizes = [*inputs, *model.hidden, classes]
            return MlpModule(sizes, model.dropout, dtype, activation=model.activation, norm=model.norm, skip=model.skip)
        case Cnn():
            channels, height, width = inputs
            return CnnModule((channels, height, width), classes, model.width, dtype)
        case Rnn():
            return rnn.Rnn(inputs[1], model.hidden, classes, dtype, every_step=every_step)
        case Lstm():
            return rnn.Lstm(inputs[1], model.hidden, classes, dtype, every_step=every_step)
        case Gru():
            return rnn.Gru(inputs[1], model.hidden, classes, dtype, every_step=every_step)
    raise NotImplementedError(model.name)


def users_module(settings: Settings) -> nn.Module:
    """A module of the user's own, made anew."""
    model = settings.with_copies().model
    assert isinstance(model, UserModel)
    made = model.factory.thing()
    if not isinstance(made, nn.Module):
        raise TypeError(f"its function gave {type(made).__name__}, not an nn.Module")
    return made


def evaluated_at_once(model: ModelConfig, x: Tensor, device: torch.device, runs: int = 1) -> int:
    """How many examples are evaluated at once, by so many runs together, so that what their layers keep is some hundred
    MB at most."""
    numbers = math.prod(x.shape[1:])
    if isinstance(model, RECURRENT):
        numbers = x.shape[1] * model.hidden // 8
    return min(_MOST, max(1, _AT_ONCE[device.type] // max(numbers * runs, 1)))
