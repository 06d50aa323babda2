"""Recipes: named bundles of ordinary settings, each of which can be given another value."""

from __future__ import annotations

from dataclasses import dataclass

from paribus.config.values import Value


@dataclass(frozen=True)
class Recipe:
    """A bundle for one model. What a command gives beside it counts more."""

    model: str
    summary: str
    settings: dict[str, Value]


RECIPES: dict[str, Recipe] = {
    "report": Recipe(
        "cnn",
        "the source report's: Adam at 0.0001, batches of 512, 200 epochs",
        {
            "optimizer": "adam",
            "optimizer.lr": 0.0001,
            "batch_size": 512,
            "epochs": 200,
            "eval_every": "500steps",
            "init": "he_fan_out",
        },
    ),
    "modern": Recipe(
        "cnn",
        "Nesterov SGD on one cycle, label smoothing, decoupled decay of the weights alone, flips and crops, bfloat16",
        {
            "optimizer": "sgd",
            "optimizer.lr": 0.05,
            "optimizer.momentum": 0.9,
            "optimizer.nesterov": True,
            "optimizer.weight_decay": 0.005,
            "optimizer.decoupled": True,
            "optimizer.decay": "weights",
            "schedule": "onecycle:0.25",
            "label_smoothing": 0.1,
            "flip": True,
            "crop": 2,
            "batch_size": 64,
            "epochs": 16,
            "eval_every": 1,
            "eval_train": 5000,
            "init": "he_fan_out",
            "precision": "bf16",
            "memory": "channels_last",
        },
    ),
}


def parse_recipe(value: object) -> str:
    """A recipe's name, or `none`."""
    name = str(value)
    if name != "none" and name not in RECIPES:
        raise ValueError
    return name
