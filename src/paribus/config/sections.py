"""The sections of the settings: what can be learned, what learns, and how it is moved; and their registries.

Each field says its meaning and what is allowed; `paribus list settings` and every error message are made from that.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from paribus.config.user_code import UserDefined
from paribus.config.values import AutoCount, Sizes, Value


def setting(default: Any, meaning: str, allowed: str, **bounds: Any) -> Any:
    """A field with its meaning and, for people, what is allowed."""
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed}, **bounds)


class Config(BaseModel):
    """Frozen, closed to unknown names, and without NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)


# --- tasks -------------------------------------------------------------------------------------------------------


class TaskConfig(Config):
    """What a task is made from. `defaults`: the settings that its runs start from; `by_model`: those of a model on it.

    `image`: the shape of an example as an image, where it is one and is not stored as one.
    """

    summary: ClassVar[str]
    defaults: ClassVar[dict[str, Value]]
    by_model: ClassVar[dict[str, dict[str, Value]]] = {}
    image: ClassVar[tuple[int, int, int] | None] = None

    name: str


class Tabular(TaskConfig):
    """A task whose test split is held out here, from examples with features."""

    test_share: float = setting(
        0.2, "share of the data held out as the test split", "a number between 0 and 1", gt=0, lt=1
    )
    standardise: bool = setting(
        False, "subtract the training split's mean, divide by its standard deviation", "true or false"
    )


_REPORT: dict[str, Value] = {
    "model.hidden": 20,
    "init": "normal:0.001",
    "optimizer.lr": 0.01,
    "eval_every": 10,
}


class Moons(Tabular):
    """`sklearn.datasets.make_moons` with the source report's arguments."""

    summary = "two interleaved half circles (scikit-learn), 2 classes in the plane"
    defaults = {**_REPORT, "epochs": 1500}

    name: Literal["moons"] = "moons"
    n: int = setting(1000, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    noise: float = setting(0.08, "standard deviation of the noise on each coordinate", "a number of at least 0", ge=0)
    random_state: int = setting(1, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Circles(Tabular):
    """`sklearn.datasets.make_circles` with the source report's arguments."""

    summary = "one circle inside another (scikit-learn), 2 classes in the plane"
    defaults = {**_REPORT, "epochs": 5000}

    name: Literal["circles"] = "circles"
    n: int = setting(1000, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    noise: float = setting(0.08, "standard deviation of the noise on each coordinate", "a number of at least 0", ge=0)
    factor: float = setting(
        0.5, "radius of the inner circle over the outer's", "a number from 0 to below 1", ge=0, lt=1
    )
    random_state: int = setting(1, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Blobs(Tabular):
    """`sklearn.datasets.make_blobs` with the source report's arguments."""

    summary = "normal clouds (scikit-learn), 2 classes in the plane"
    defaults = {**_REPORT, "epochs": 1500}

    name: Literal["blobs"] = "blobs"
    n: int = setting(1000, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    features: int = setting(2, "number of input features", "a whole number of at least 1", ge=1)
    centers: int = setting(2, "number of clouds, one a class", "a whole number from 2 to 255", ge=2, le=255)
    cluster_std: float = setting(1.0, "standard deviation of each cloud", "a number above 0", gt=0)
    random_state: int = setting(2, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Digits(Tabular):
    """`sklearn.datasets.load_digits`, pixels divided by 16."""

    summary = "1,797 images of handwritten digits, 8x8 (scikit-learn), 10 classes"
    # Not in the source report: an ordinary initialisation and a rate at which plain SGD learns the task in seconds.
    defaults = {"model.hidden": 64, "init": "default", "optimizer.lr": 0.1, "epochs": 60, "eval_every": 1}

    by_model = {"cnn": {"model.width": 0.25, "init": "he_fan_out", "optimizer.lr": 0.01, "epochs": 20}}
    image = (1, 8, 8)

    name: Literal["digits"] = "digits"


class Cifar10(TaskConfig):
    """CIFAR-10 (Krizhevsky 2009), imported by `paribus data get cifar10`."""

    summary = "50,000 and 10,000 colour images, 32x32, 10 classes; `paribus data get cifar10` brings them"
    # The source report's; its milestones for the perceptron are not given, half and three quarters stand for them.
    defaults = {"model": "cnn"}
    by_model = {
        "mlp": {
            **_REPORT,
            "model.hidden": "64x64x64",
            "epochs": 1500,
            "schedule": "multistep:750+1125:0.1",
        },
        "cnn": {
            "init": "he_fan_out",
            "optimizer": "adam",
            "optimizer.lr": 0.0001,
            "batch_size": 512,
            "epochs": 200,
            "eval_every": "500steps",
            "threads": "all",
        },
    }

    name: Literal["cifar10"] = "cifar10"
    n_train: int = setting(
        50_000,
        "training examples; fewer are a class-balanced subset, fixed by the data's fingerprint",
        "a whole number from 10 to 50000",
        ge=10,
        le=50_000,
    )
    n_test: int = setting(
        10_000,
        "test examples; fewer are a class-balanced subset, fixed by the data's fingerprint",
        "a whole number from 10 to 10000",
        ge=10,
        le=10_000,
    )
    normalise: bool = setting(
        True, "subtract each channel's training mean, divide by its standard deviation; else by 255", "true or false"
    )


class Palindrome(TaskConfig):
    """Palindromes of decimal digits, whose last digit is to be told from the others: `tasks.palindrome`."""

    summary = "palindromes: read all digits but the last, tell the last, which is the first again; 10 classes"
    # The source report's; that its batches are drawn with repeats, 100 an epoch, is inferred, as is the optimizer.
    defaults = {
        "model": "rnn",
        "init": "default",
        "optimizer": "rmsprop",
        "optimizer.lr": 0.001,
        "clip": 10,
        "sampler": "replacement",
        "steps_per_epoch": 100,
        "epochs": 50,
    }

    name: Literal["palindrome"] = "palindrome"
    length: int = setting(
        10, "digits that are read; the whole palindrome has one more", "a whole number from 1 to 1000", ge=1, le=1000
    )
    n_train: AutoCount = setting(
        "auto",
        "training sequences; auto: 12800, or 6 in 7 of all there are",
        "auto, or a whole number from 1 to 1000000",
    )
    n_test: AutoCount = setting(
        "auto",
        "test sequences; auto: 2000, or 1 in 7 of all there are",
        "auto, or a whole number from 1 to 1000000",
    )
    encoding: Literal["scalar", "onehot"] = setting(
        "scalar", "how a digit is given: as one number, or as ten of which one is 1", "scalar or onehot"
    )
    overlap: bool = setting(
        False, "test sequences may stand in the training split too, where there are few", "true or false"
    )
    random_state: int = setting(
        1, "what the sequences are drawn by", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1
    )


class UserData(Tabular):
    """Data of the user's own, made by `paribus.data`."""

    summary = "arrays, frames or data sets of your own, in Python"
    defaults = {}

    arrays: UserDefined


# --- models and optimizers ---------------------------------------------------------------------------------------


class ModelConfig(Config):
    """The sizes of a model."""

    summary: ClassVar[str]

    name: str


class Mlp(ModelConfig):
    """Linear, ReLU, ..., Linear."""

    summary = "multilayer perceptron: linear layers with a ReLU after every hidden one"

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

    factory: UserDefined


class OptimizerConfig(Config):
    """What every optimizer takes."""

    summary: ClassVar[str]

    name: str
    lr: float = setting(0.01, "learning rate: the size of a step", "a finite number above 0", gt=0)
    weight_decay: float = setting(
        0.0,
        "L2 penalty: this times the weights is added to the gradient",
        "a finite number of at least 0",
        ge=0,
    )
    decay: Literal["all", "weights"] = setting(
        "all", "what weight decay acts on: all parameters, or weights alone (no biases, no norms)", "all or weights"
    )


class _Adaptive(OptimizerConfig):
    eps: float = setting(1e-8, "added to the denominator", "a finite number of at least 0", ge=0)


class _Moments(_Adaptive):
    beta1: float = setting(
        0.9, "share of the mean gradient that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )
    beta2: float = setting(
        0.999, "share of the mean square that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )


class Adam(_Moments):
    """Adam, as `torch.optim.Adam`."""

    summary = "adaptive moments; weight decay is a penalty in the gradient"

    name: Literal["adam"] = "adam"


class AdamW(_Moments):
    """Adam with decoupled weight decay, as `torch.optim.AdamW`."""

    summary = "adaptive moments; weight decay apart from the gradient"

    name: Literal["adamw"] = "adamw"
    weight_decay: float = setting(
        0.01, "this times lr times the weights is taken off them", "a finite number of at least 0", ge=0
    )


class RmsProp(_Adaptive):
    """Root mean square propagation, as `torch.optim.RMSprop`."""

    summary = "gradient over its root mean square, with momentum, and centered"

    name: Literal["rmsprop"] = "rmsprop"
    alpha: float = setting(
        0.99, "share of the mean square that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )
    momentum: float = setting(0.0, "share of the last step that is kept", "a finite number of at least 0", ge=0)
    centered: bool = setting(False, "divide by the standard deviation instead", "true or false")


class Sgd(OptimizerConfig):
    """Stochastic gradient descent, as `torch.optim.SGD`."""

    summary = "stochastic gradient descent, with momentum, dampening and Nesterov"

    name: Literal["sgd"] = "sgd"
    momentum: float = setting(
        0.0, "share of the last step's direction that is kept", "a finite number of at least 0", ge=0
    )
    dampening: float = setting(
        0.0,
        "share of the new gradient that momentum leaves out",
        "a finite number",
    )
    nesterov: bool = setting(False, "look ahead: Nesterov's momentum", "true or false")
    decoupled: bool = setting(
        False,
        "weight decay apart from the gradient: this times lr times the weights is taken off them",
        "true or false",
    )


class UserOptimizer(Config):
    """An optimizer of the user's own: a function that makes it from the parameters, and `lr` where it takes that."""

    summary: ClassVar[str] = "an optimizer of your own, in Python"

    name: str
    factory: UserDefined
    lr: float | None = setting(None, "learning rate, where the function takes one", "a finite number above 0", gt=0)


TASKS: dict[str, type[TaskConfig]] = {
    "moons": Moons,
    "circles": Circles,
    "blobs": Blobs,
    "digits": Digits,
    "cifar10": Cifar10,
    "palindrome": Palindrome,
}
MODELS: dict[str, type[ModelConfig]] = {"mlp": Mlp, "cnn": Cnn, "rnn": Rnn, "lstm": Lstm, "gru": Gru}
RECURRENT = (Rnn, Lstm, Gru)
OPTIMIZERS: dict[str, type[OptimizerConfig]] = {"sgd": Sgd, "adam": Adam, "adamw": AdamW, "rmsprop": RmsProp}
REGISTRIES: dict[str, dict[str, type[Config]]] = {
    "task": dict(TASKS),
    "model": dict(MODELS),
    "optimizer": dict(OPTIMIZERS),
}
USER_DEFINED: dict[str, tuple[type[Config], str]] = {
    "task": (UserData, "arrays"),
    "model": (UserModel, "factory"),
    "optimizer": (UserOptimizer, "factory"),
}
"""The section of what is the user's own, and the field that holds it."""
