"""Whether a model and its settings fit the data, before anything is trained."""

from __future__ import annotations

import math
from itertools import pairwise

from paribus.config.architecture import cnn_layers
from paribus.config.models import RECURRENT, Cnn, Mlp, UserModel
from paribus.config.settings import Settings
from paribus.tasks import Task
from paribus.training.sampling import smallest_batch


def model_mistakes(settings: Settings, task: Task) -> list[str]:
    """What the data refuse of a model's settings."""
    found = []
    if settings.told_loss.kind == "binary" and task.outputs != 2:
        found.append(f"loss=binary is of two classes, and {task.info.name} has {task.outputs}: take loss=cross_entropy")
    if isinstance(settings.model, RECURRENT) and task.sequence is None:
        found.append(
            f"model={settings.model.name} takes sequences, and an example of {task.info.name} has shape "
            f"{task.info.input_shape}: take another model, or data of shape (examples, steps) or (examples, steps, "
            "inputs)"
        )
    if task.steps is not None and not isinstance(settings.model, (*RECURRENT, UserModel)):
        found.append(
            f"model={settings.model.name} predicts one class for an example, and {task.info.name} has one for each of "
            f"{task.steps} steps: take model=rnn, lstm or gru, or a module of your own"
        )
    if task.image is None:
        shape = task.info.input_shape
        asked = [name for name in ("flip", "crop", "cutout") if getattr(settings, name)]
        if isinstance(settings.model, Cnn):
            found.append(
                f"model=cnn takes images, and an example of {task.info.name} has shape {shape}: take model=mlp, or "
                "data of shape (examples, channels, height, width)"
            )
        found += [f"{name} has no effect on {task.info.name}: an example has shape {shape}, no image" for name in asked]
    elif isinstance(settings.model, Cnn):
        found += _norm_mistakes(settings, settings.model, task, task.image)
    if isinstance(settings.model, Mlp):
        found += _mlp_mistakes(settings, settings.model, task)
    return found


def _mlp_mistakes(settings: Settings, model: Mlp, task: Task) -> list[str]:
    """Batch normalisation on one example, and `skip` where no sizes are the same."""
    found = []
    inputs = math.prod(task.info.input_shape) * (10 if task.encoding == "onehot" else 1)
    if model.skip and not any(n_in == n_out for n_in, n_out in pairwise((inputs, *model.hidden))):
        sizes = " -> ".join(map(str, (inputs, *model.hidden)))
        found.append(
            f"skip=true has no effect: no hidden layer has an input and an output of the same size ({sizes}); take "
            "hidden layers of one size, as in hidden=64x64"
        )
    if model.norm == "batch" and smallest_batch(settings, len(task.train)) < 2:
        found.append(
            f"batch_size={settings.batch_size} leaves a batch of one example ({len(task.train)} for training): batch "
            "normalisation has no variance over a single value; take another batch_size"
        )
    return found


def _norm_mistakes(settings: Settings, model: Cnn, task: Task, image: tuple[int, int, int]) -> list[str]:
    """Batch normalisation has no variance over a single value."""
    fewest = smallest_batch(settings, len(task.train))
    convolutions = [layer.output for layer in cnn_layers(image, model.width) if layer.kind == "conv"]
    _, rows, columns = convolutions[-1]
    if fewest * rows * columns > 1:
        return []
    return [
        f"batch_size={settings.batch_size} leaves a batch of one example ({len(task.train)} for training), and images "
        f"of {image[1]}x{image[2]} end in maps of one pixel: batch normalisation has no variance over a single value; "
        "take another batch_size"
    ]


def recurrent(settings: Settings) -> str:
    """How the matrix from state to state begins, where the model has one."""
    return settings.model.recurrent if isinstance(settings.model, RECURRENT) else "same"
