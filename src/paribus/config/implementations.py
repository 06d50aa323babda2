"""An implementation of the user's own, in the place of one that is built in: a network written by hand in NumPy."""

from __future__ import annotations

from typing import ClassVar

from paribus.config.base import Config
from paribus.config.user_code import UserDefined


class UserImplementation(Config):
    """A class, or a function of the sizes, that makes the multilayer perceptron with forward and backward by hand.

    `backend`: the name of the backend that trains it.
    """

    summary: ClassVar[str] = "a network of your own, written in NumPy"
    backend: ClassVar[str] = "network"

    name: str
    network: UserDefined
