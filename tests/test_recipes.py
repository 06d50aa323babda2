"""A recipe is a set of settings, and each of them can be another."""

from __future__ import annotations

from tests.conftest import settings_of


def test_a_recipe_is_settings_and_each_can_be_another() -> None:
    flat = settings_of("task=cifar10 recipe=modern").flat()
    assert (flat["optimizer"], flat["optimizer.nesterov"], flat["precision"]) == ("sgd", True, "bf16")
    other = settings_of("task=cifar10 recipe=modern lr=0.3 precision=float32 epochs=2").flat()
    changed = {name for name in flat if flat[name] != other[name]}
    assert changed == {"optimizer.lr", "precision", "epochs"}
    report = settings_of("task=cifar10 recipe=report").flat()
    assert {**report, "recipe": "none"} == settings_of("task=cifar10 model=cnn").flat()
