"""What can be learned: the settings of every task, and their registry."""

from __future__ import annotations

from typing import ClassVar, Literal

from paribus.config.base import Config, setting
from paribus.config.user_code import UserDefined
from paribus.config.values import AutoCount, Value

Defaults = dict[str, Value]


class TaskConfig(Config):
    """What a task is made from. `defaults`: the settings that its runs start from; `by_model`: those of a model on it.

    `image`: the shape of an example as an image, where it is one and is not stored as one.
    """

    summary: ClassVar[str]
    defaults: ClassVar[Defaults]
    by_model: ClassVar[dict[str, Defaults]] = {}
    image: ClassVar[tuple[int, int, int] | None] = None

    name: str

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers to predict, and not classes."""
        return False

    @property
    def per_step(self) -> bool:
        """Whether the targets are a class for each step of a sequence."""
        return False


class Tabular(TaskConfig):
    """A task whose test split is held out here, from examples with features."""

    test_share: float = setting(
        0.2, "share of the data held out as the test split", "a number between 0 and 1", gt=0, lt=1
    )
    standardise: bool = setting(
        False, "subtract the training split's mean, divide by its standard deviation", "true or false"
    )


_REPORT: Defaults = {
    "model.hidden": 20,
    "init": "normal:0.001",
    "optimizer.lr": 0.01,
    "eval_every": 10,
}


def _classes() -> int:
    """Of a task with ten classes."""
    found: int = setting(10, "classes that are kept, from the first on", "a whole number from 2 to 10", ge=2, le=10)
    return found


class Moons(Tabular):
    """`sklearn.datasets.make_moons` with the source report's arguments."""

    summary = "two interleaved half circles (scikit-learn), 2 classes in the plane"
    defaults: ClassVar[Defaults] = {**_REPORT, "epochs": 1500}

    name: Literal["moons"] = "moons"
    n: int = setting(1000, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    noise: float = setting(0.08, "standard deviation of the noise on each coordinate", "a number of at least 0", ge=0)
    random_state: int = setting(1, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Circles(Tabular):
    """`sklearn.datasets.make_circles` with the source report's arguments."""

    summary = "one circle inside another (scikit-learn), 2 classes in the plane"
    defaults: ClassVar[Defaults] = {**_REPORT, "epochs": 5000}

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
    defaults: ClassVar[Defaults] = {**_REPORT, "epochs": 1500}

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
    defaults: ClassVar[Defaults] = {
        "model.hidden": 64,
        "init": "default",
        "optimizer.lr": 0.1,
        "epochs": 60,
        "eval_every": 1,
    }

    by_model: ClassVar[dict[str, Defaults]] = {
        "cnn": {"model.width": 0.25, "init": "he_fan_out", "optimizer.lr": 0.01, "epochs": 20}
    }
    image = (1, 8, 8)

    name: Literal["digits"] = "digits"
    classes: int = _classes()


_NUMBERS: Defaults = {
    "loss": "mse",
    "model.hidden": 32,
    "init": "default",
    "optimizer.lr": 0.03,
    "batch_size": 32,
    "epochs": 100,
    "eval_every": 1,
}


class _Regression(Tabular):
    """Its targets are numbers to predict."""

    @property
    def regression(self) -> bool:
        """Always."""
        return True


class Diabetes(_Regression):
    """`sklearn.datasets.load_diabetes`."""

    summary = (
        "442 patients, 10 measurements, how far their diabetes is a year later (scikit-learn): a number to predict"
    )
    defaults: ClassVar[Defaults] = {**_NUMBERS, "task.standardise": True, "optimizer.lr": 0.01}

    name: Literal["diabetes"] = "diabetes"


class Friedman(_Regression):
    """`sklearn.datasets.make_friedman1`: y = 10 sin(pi x0 x1) + 20 (x2 - 1/2)^2 + 10 x3 + 5 x4 + noise."""

    summary = "Friedman's function of 5 of 10 inputs, with noise (scikit-learn): a number to predict"
    defaults: ClassVar[Defaults] = {**_NUMBERS, "task.standardise": True}

    name: Literal["friedman"] = "friedman"
    n: int = setting(1000, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    features: int = setting(
        10, "number of inputs, of which the first 5 matter", "a whole number from 5 to 1000", ge=5, le=1000
    )
    noise: float = setting(1.0, "standard deviation of the noise on the target", "a number of at least 0", ge=0)
    random_state: int = setting(1, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Sine(_Regression):
    """y = sin(x) + noise, x even between -pi and pi."""

    summary = "y = sin(x) + noise, one input: a number to predict"
    defaults: ClassVar[Defaults] = {**_NUMBERS, "optimizer.lr": 0.1, "epochs": 200}

    name: Literal["sine"] = "sine"
    n: int = setting(400, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    noise: float = setting(0.1, "standard deviation of the noise on the target", "a number of at least 0", ge=0)
    random_state: int = setting(1, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Cifar10(TaskConfig):
    """CIFAR-10 (Krizhevsky 2009), imported by `paribus data get cifar10`."""

    summary = "50,000 and 10,000 colour images, 32x32, 10 classes; `paribus data get cifar10` brings them"
    # The source report's; its milestones for the perceptron are not given, half and three quarters stand for them.
    defaults: ClassVar[Defaults] = {"model": "cnn"}
    by_model: ClassVar[dict[str, Defaults]] = {
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
    classes: int = _classes()
    normalise: bool = setting(
        True, "subtract each channel's training mean, divide by its standard deviation; else by 255", "true or false"
    )


class Palindrome(TaskConfig):
    """Palindromes of decimal digits, whose last digit is to be told from the others: `tasks.palindrome`."""

    summary = "palindromes: read all digits but the last, tell the last, which is the first again; 10 classes"
    # The source report's; that its batches are drawn with repeats, 100 an epoch, is inferred, as is the optimizer.
    defaults: ClassVar[Defaults] = {
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
    defaults: ClassVar[Defaults] = {}

    arrays: UserDefined

    @property
    def regression(self) -> bool:
        """Whether they were taken as numbers to predict."""
        return numbers_to_predict(self.arrays)

    @property
    def per_step(self) -> bool:
        """Of a table no row has several targets."""
        return getattr(getattr(self.arrays.thing, "y", None), "ndim", 1) > 1


def numbers_to_predict(data: UserDefined) -> bool:
    """Whether the targets of a user's data are numbers to predict: a pool of no classes."""
    return int(data.thing.classes) == 0


class TableData(UserData):
    """A table whose columns are of any kind: the command names a file, Python gives a frame. What is given of columns
    joins their names by +, so that a comma still lists values of a factor, as in drop=none,age."""

    summary = "a file of your own: CSV, TSV or Parquet; as in `paribus compare table.csv target=COLUMN hidden=16,64`"
    defaults: ClassVar[Defaults] = {
        "model.hidden": 32,
        "optimizer": "adam",
        "optimizer.lr": 0.001,
        "batch_size": 32,
        "epochs": 60,
    }

    standardise: bool = setting(
        True, "subtract the training split's mean, divide by its standard deviation", "true or false"
    )
    target: str = setting("none", "the column that is to be predicted", "a column's name")
    drop: str = setting("none", "columns that are left out", "columns joined by +, as in a+b, or none")
    keep: str = setting(
        "none",
        "columns that would be left out (row numbers, names of rows, too many levels) and are not",
        "columns joined by +, as in a+b, or none",
    )
    text: str = setting(
        "none", "columns of numbers that are codes: an input for each level", "columns joined by +, as in a+b, or none"
    )
    stratify: bool = setting(True, "every split has each class by its share in the table", "true or false")

    @property
    def regression(self) -> bool:
        """Whether the target's column holds numbers to predict."""
        found: bool = self.arrays.thing.predicts_numbers(self.target)
        return found

    def mistakes(self) -> list[str]:
        """What of these settings does not go with the table's columns."""
        found: list[str] = self.arrays.thing.mistakes(self.target, drop=self.drop, keep=self.keep, text=self.text)
        return found


TASKS: dict[str, type[TaskConfig]] = {
    "moons": Moons,
    "circles": Circles,
    "blobs": Blobs,
    "digits": Digits,
    "diabetes": Diabetes,
    "friedman": Friedman,
    "sine": Sine,
    "cifar10": Cifar10,
    "palindrome": Palindrome,
}
