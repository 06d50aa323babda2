"""How a metric is told to people: what its values are multiplied with, and its name with the unit that makes."""

from __future__ import annotations


def scale(metric: str) -> tuple[float, int]:
    """What a metric is multiplied with for people, and its decimal places; `label` names the unit that makes.

    >>> scale("test_accuracy"), label("seconds_per_epoch")
    ((100, 2), 'ms per epoch')
    """
    if metric.endswith(("accuracy", "accuracy_jitter")) or metric in ("gpu_utilisation", "clipped_share"):
        return 100, 2
    if metric in ("seconds_per_epoch", "seconds_per_evaluation"):
        return 1e3, 3
    if metric == "epochs_to_target":
        return 1, 0
    if metric in ("examples_per_second", "peak_memory_mb") or metric.startswith("gpu_"):
        return 1, 1
    return (1e6, 1) if metric.endswith("jitter") else (1, 4)


def title(metric: str) -> str:
    """A metric's name and unit, words joined by underscores."""
    if metric.startswith("seconds_per_"):
        return "ms_per_" + metric.removeprefix("seconds_per_")
    percent = metric.endswith(("accuracy", "accuracy_jitter")) or metric in ("gpu_utilisation", "clipped_share")
    return metric + " %" * percent + "_x 1e6" * metric.endswith("loss_jitter")


def label(metric: str) -> str:
    """A metric's name and unit in a sentence.

    >>> label("test_accuracy"), label("peak_memory_mb")
    ('test accuracy %', 'peak memory MB')
    """
    words = title(metric).replace("_", " ")
    return words.removesuffix(" mb") + " MB" if words.endswith(" mb") else words
