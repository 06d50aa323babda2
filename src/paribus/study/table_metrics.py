"""What a study of a table measures beside loss and accuracy: recall of the rarest class, which accuracy hides."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from paribus.config.settings import Settings
from paribus.config.tasks import TableData
from paribus.config.user_code import UserDefined
from paribus.records.metrics import MEASURED, Metric
from paribus.study.arms import Design
from paribus.training.recall import Recall

NAME = "recall"


def recall_of(design: Design) -> tuple[UserDefined, Metric] | None:
    """The metric `recall` with what it is called, as in "test recall of churned"; None where the arms have several
    tasks or none of a table, where its classes are as frequent as each other, or are too few to tell."""
    tasks = {arm.settings.task for arm in design.arms if isinstance(arm.settings, Settings)}
    targets = {(task.arrays, task.target) for task in tasks if isinstance(task, TableData)}
    if len(targets) != 1 or not all(isinstance(task, TableData) for task in tasks):
        return None
    table, target = targets.pop()
    try:
        rarest = table.thing.rarest(target)
    except ValueError:  # a target that is no class is refused when the data are looked at
        return None
    if rarest is None:
        return None
    number, label = rarest
    mark = hashlib.sha256(f"recall of {label!r}, class {number}".encode()).hexdigest()
    shown = replace(MEASURED["accuracy"].format, called=f"recall of {label}", quantity="recall", axis="recall")
    return UserDefined(name=NAME, fingerprint=mark, thing=Recall(number)), Metric(NAME, "higher", "share", shown)
