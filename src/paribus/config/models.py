"""What learns: the settings of every model, and their registry."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from paribus.config.base import Config, setting
from paribus.config.user_code import UserDefined
from paribus.config.values import Sizes

Activation = Literal["relu", "tanh", "sigmoid", "gelu", "silu", "leaky_relu", "elu", "identity"]


class ModelConfig(Config):
    """The sizes of a model. `takes`: the settings of a run that count of it beside its own and the task's, None for
    all; `has_own`: those of which it has what they begin with, whatever a task's or a recipe's runs begin with."""

    summary: ClassVar[str]
    takes: ClassVar[frozenset[str] | None] = None
    has_own: ClassVar[frozenset[str]] = frozenset()

    name: str

    @classmethod
    def counts(cls, name: str) -> bool:
        """Whether a setting, by its full name, counts of such a model: those of any other kind of model do not.

        >>> UserEstimator.counts("task.noise"), UserEstimator.counts("model.hidden"), Mlp.counts("epochs")
        (True, False, True)
        """
        kind, _, own = name.partition(".")
        if cls.takes is None or kind == "task":
            return True
        return name in cls.takes or (kind == "model" and (not own or own in cls.model_fields))


class Mlp(ModelConfig):
    """Hidden layers, each linear -> norm -> activation -> dropout, and a linear layer to the classes."""

    summary = "multilayer perceptron: linear layers with an activation after every hidden one"

    name: Literal["mlp"] = "mlp"
    hidden: Sizes = setting(
        (20,), "sizes of the hidden layers", "whole numbers above 0 joined by x, as in 64x64, or none"
    )
    dropout: float = setting(
        0.0,
        "share of each hidden layer's units dropped while training",
        "a number from 0 to below 1",
        ge=0,
        lt=1,
    )
    activation: Activation = setting(
        "relu",
        "function of every hidden unit; gelu is the exact one, by erf",
        f"one of {', '.join(get_args(Activation))}",
    )
    norm: Literal["none", "batch", "layer"] = setting(
        "none",
        "normalisation of each hidden layer, before its activation: of each unit over the batch, or each example over "
        "the layer",
        "none, batch or layer",
    )
    skip: bool = setting(
        False, "a hidden layer f whose input and output have the same size gives x + f(x)", "true or false"
    )


class Cnn(ModelConfig):
    """The source report's convolutional network: `config.architecture`."""

    summary = "the source report's thirteen-layer convolutional network, with batch normalisation"

    name: Literal["cnn"] = "cnn"
    width: float = setting(1.0, "every number of channels is multiplied with this", "a number above 0", gt=0, le=16)


class _Recurrent(ModelConfig):
    hidden: int = setting(128, "units of the state", "a whole number above 0", ge=1)
    recurrent: Literal["same", "orthogonal", "identity"] = setting(
        "same",
        "initial values of the matrix from state to state; same: by init, as the others",
        "same, orthogonal or identity",
    )


class Rnn(_Recurrent):
    """h(t) = tanh(W_hx x(t) + W_hh h(t-1) + b_h), read out after the last step."""

    summary = "the source report's recurrent network: a tanh cell, read out after the last step"

    name: Literal["rnn"] = "rnn"


class Lstm(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), as `torch.nn.LSTM`."""

    summary = "long short-term memory, read out after the last step"

    name: Literal["lstm"] = "lstm"


class Gru(_Recurrent):
    """Gated recurrent units (Cho et al. 2014), as `torch.nn.GRU`."""

    summary = "gated recurrent units, read out after the last step"

    name: Literal["gru"] = "gru"


class UserModel(ModelConfig):
    """A module of the user's own: a function without arguments that makes it."""

    summary = "an nn.Module of your own, in Python"
    has_own = frozenset({"init"})

    factory: UserDefined


class UserEstimator(UserModel):
    """An estimator of scikit-learn's, or one that is like it: it is fitted as a whole, by its own parameters. `kind`
    stands in a record, and tells such an arm from others. `loss` is what is measured of it."""

    summary = "an estimator of scikit-learn's, in Python"
    takes = frozenset({"implementation", "loss", "validation", "split", "eval_train", "threads"})

    kind: Literal["estimator"] = "estimator"


ESTIMATOR = "model.kind"
"""The recorded setting that only an estimator's arm has."""


MODELS: dict[str, type[ModelConfig]] = {"mlp": Mlp, "cnn": Cnn, "rnn": Rnn, "lstm": Lstm, "gru": Gru}
RECURRENT = (Rnn, Lstm, Gru)
