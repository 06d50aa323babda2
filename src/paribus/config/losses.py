"""A loss of the user's own, in the place of one that is built in."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from paribus.config.base import Config
from paribus.config.user_code import UserDefined
from paribus.config.values import Loss


class UserLoss(Config):
    """A function of the outputs and the targets of a batch that gives the loss as one number, a tensor.

    Of classes the outputs have shape (examples, classes), the targets (examples,); of numbers to predict both have
    (examples,), and both are scaled. It is minimised; an evaluation tells the loss that the task has otherwise.
    """

    summary: ClassVar[str] = "a loss of your own, in Python"

    name: str
    function: UserDefined


def _parse(value: object) -> object:
    return value if isinstance(value, UserLoss) else Loss.parse(value)


LossOf = Annotated[Loss | UserLoss, BeforeValidator(_parse)]
