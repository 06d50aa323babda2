"""The buggy programs of two papers as settings and small networks of ours, with the fault that each paper's list has.

`right` and `also` were written down before any of these programs was diagnosed.

- DeepLocalize: M. Wardat, W. Le and H. Rajan, DeepLocalize: fault localization for deep neural networks, ICSE 2021
  (github.com/Wardat-ISU/DeepLocalize). The fault is what its file of patches changes. Of the 30 programs from Stack
  Overflow those are left out that predict several numbers or labels at once (38648195, 39217567, 58609115) and the one
  that the list says has no fault (41372874). Of the 11 from GitHub there are the three whose change is one of training;
  the others change a network's size or several layers.
- TheDeepChecker: H. Ben Braiek and F. Khomh, Testing feedforward neural networks training programs, ACM Transactions on
  Software Engineering and Methodology 2022 (github.com/thedeepchecker/thedeepchecker). The fault is what the program's
  comment says, and of the programs from elsewhere what the code and its comments show. Of the synthetic ones there are
  those of `baseCNN` and `regrNN`; those of `deepCNN` have the same faults in a larger network. Lowering the penalty of
  baseCNN to 1e-12 is left out, as on these data that does no harm; so are programs whose fault cannot be seen from the
  code. The rate of `baseCNN_high_lr` is 1, and not its 0.5, with which the images of 8 x 8 are learned well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from buggy_programs_parts import (
    Loss,
    absolute_after_sigmoid,
    every_output_with_every_target,
    log_of_clipped_logits,
    log_of_logits,
    log_of_numbers,
    mean_over_classes_summed,
    negative_cross_entropy,
    negative_squares,
    softmax_over_examples,
    squared_after_softmax,
    squared_of_classes,
    squares_times,
    sum_of_squares_times,
    summed_cross_entropy,
    summed_log_of_softmax,
    summed_over_examples,
    unclipped_logs,
)

Words = dict[str, Any]

REFUSED = "refused"
"""In the place of a code: Paribus does not train it, and says why."""


@dataclass(frozen=True)
class Program:
    """One program. `source`: whose, `name`: its number on Stack Overflow, or its file; `fault`: what the paper's list
    says; `right`: the codes that name that fault, none where no code of ours is meant to; `also`: codes of what the
    program plainly has beside it, which are no false causes.

    `data`: of `buggy_programs_parts.DATA`; `network`: its line; `words`: settings; `kind`: how the targets are taken.
    """

    source: str
    name: str
    fault: str
    right: tuple[str, ...]
    data: str
    network: str
    words: Words
    loss: Loss | None = None
    also: tuple[str, ...] = ()
    weights: str = ""
    biases: str = ""
    kind: str | None = None


def _adam(lr: float = 0.001, epochs: int = 15, batch: int = 32, **more: Any) -> Words:
    """Keras' own rate where none is given."""
    return {"optimizer": "adam", "optimizer.lr": lr, "epochs": epochs, "batch_size": batch, **_full(more)}


def _sgd(lr: float = 0.01, epochs: int = 15, batch: int = 32, **more: Any) -> Words:
    return {"optimizer": "sgd", "optimizer.lr": lr, "epochs": epochs, "batch_size": batch, **_full(more)}


def _full(more: Words) -> Words:
    return {name.replace("__", "."): value for name, value in more.items()}


_NESTEROV = {"optimizer__momentum": 0.9, "optimizer__nesterov": True}

# --- DeepLocalize, Stack Overflow ---

_SO = "DeepLocalize"
STACK_OVERFLOW = (
    Program(_SO, "48385830", "no activation, and squared error of classes", ("regression-as-classes",),
            "flat", "30 10", _sgd(3.0, 10, 10), squared_of_classes, ("diverged", "exploding-signal", "rate-too-high", "rate-out-of-range"),
            weights="normal:1", biases="normal:1"),
    Program(_SO, "44164749", "softmax with cross-entropy in the place of sigmoid with binary cross-entropy", (),
            "flat", "200 relu drop 60 relu drop 10", _sgd(0.01, 5, 200, **_NESTEROV), also=("still-improving", "rate-too-low")),
    Program(_SO, "31556268", "plain gradient descent with too few steps for the absolute error", ("rate-too-low", "still-improving"),
            "xor", "4 sigmoid 2", _sgd(0.05, 30, 4, optimizer__momentum=0.11, optimizer__nesterov=True), absolute_after_sigmoid,
            ("regression-as-classes",)),
    Program(_SO, "50306988", "softmax of two outputs in the place of sigmoid of one", (),
            "two clouds", "2 sigmoid 2", _adam(epochs=5), also=("rate-too-low", "still-improving")),
    Program(_SO, "48251943", "ReLU after the last layer of a regression", ("activation-on-outputs",),
            "miles", "4 relu 1 relu", _sgd(epochs=50, batch=10)),
    Program(_SO, "33969059", "softmax of one output in a regression", ("activation-on-outputs",),
            "wide numbers", "3 tanh drop 2 tanh drop 1 softmax", _sgd(0.1, 20, **_NESTEROV), also=("unscaled-inputs",),
            weights="uniform:0.05"),
    Program(_SO, "55328966", "inputs are not scaled; sigmoid before cross-entropy of classes", ("unscaled-inputs", "softmax-before-loss"),
            "flat to 255", "64 50 relu 10 sigmoid", _sgd(0.0001, 10), also=("rate-too-low",)),
    Program(_SO, "34311586", "softmax of one output; the rate and the number of epochs are too low",
            ("activation-on-outputs", "rate-too-low", "still-improving"), "xor", "2 sigmoid 3 sigmoid 1 softmax",
            _sgd(0.001, 20, **_NESTEROV), also=("regression-as-classes",), weights="uniform:0.05", kind="regression"),
    Program(_SO, "31880720", "softmax of one output before binary cross-entropy", ("softmax-before-loss", "activation-on-outputs"),
            "ones or zeros", "50 relu relu drop 50 relu drop 1 softmax", {**_adam(0.001, 3, 8), "optimizer": "rmsprop", "loss": "binary"},
            also=("train-test-overlap",)),
    Program(_SO, "39525358", "inputs are not scaled", ("unscaled-inputs",),
            "three inputs", "12 relu 3 relu 1", _adam(epochs=40, batch=8, loss="binary"), weights="uniform:0.05"),
    Program(_SO, "48934338", "the rate is too high", ("rate-too-high", "diverged"),
            "parabola", "50 relu 30 relu 1", _sgd(0.1, 60), squares_times(38.0**2)),
    Program(_SO, "47724077", "Adam in the place of plain gradient descent", (),
            "adults", "21 relu 2", _adam(epochs=50, batch=100), also=("unscaled-inputs",)),
    Program(_SO, "59325381", "every label is divided by 255; the test images are not scaled", (REFUSED,),
            "raw test, labels / 255", "conv8 pool conv8 pool flat 128 relu 10", _adam(epochs=2)),
    Program(_SO, "59278771", "inputs are not scaled; sigmoid before cross-entropy of classes; too few units",
            ("softmax-before-loss", "unscaled-inputs"), "iris", "4 relu 3 sigmoid", _adam(epochs=100, batch=5), weights="normal:0.05"),
    Program(_SO, "52800582", "inputs and targets are not scaled", ("unscaled-inputs",),
            "power", "50 sigmoid 50 elu 1", _adam(epochs=300, batch=320)),
    Program(_SO, "34673164", "squared error of classes after softmax; no batch norm", ("regression-as-classes",),
            "sixteen inputs", "64 tanh drop 64 tanh drop 2", _sgd(0.1, 20, 16, **_NESTEROV), squared_after_softmax,
            weights="uniform:0.05"),
    Program(_SO, "48221692", "sigmoid after the last layer of a regression", ("activation-on-outputs",),
            "line", "5 sigmoid 1 sigmoid", _sgd(epochs=300, batch=80)),
    Program(_SO, "50079585", "one output for three classes", (REFUSED,),
            "iris", "64 relu drop 1 sigmoid", {**_adam(epochs=10, batch=16), "optimizer": "rmsprop"}),
    Program(_SO, "45337371", "softmax of one output before binary cross-entropy", ("softmax-before-loss", "activation-on-outputs"),
            "random", "60 relu 50 relu 1 softmax", _adam(epochs=5, batch=8, loss="binary"), also=("label-noise-or-shuffle",)),
    Program(_SO, "44066044", "inputs are not scaled; ReLU after the last layer", ("unscaled-inputs", "activation-on-outputs"),
            "packets", "12 relu 12 relu 1 relu", _adam(epochs=40, batch=5, loss="binary"), weights="normal:0.05"),
    Program(_SO, "51930566", "sigmoid before cross-entropy of classes", ("softmax-before-loss",),
            "iris", "4 relu 3 sigmoid", _adam(epochs=50, batch=5), weights="normal:0.05"),
    Program(_SO, "47352366", "ReLU after the last layer", ("activation-on-outputs",),
            "images to 255", "conv8 relu pool conv16 relu pool flat 128 relu drop 10 relu", _adam(epochs=5, batch=50),
            also=("unscaled-inputs",), biases="constant:0.1"),
    Program(_SO, "45442843", "softmax of one output, and absolute error of classes", ("activation-on-outputs", "regression-as-classes"),
            "one input", "1 sigmoid 1 softmax", {**_adam(epochs=60, batch=200), "optimizer": "rmsprop", "loss": "mae"}, kind="regression"),
    Program(_SO, "48594888", "inputs are not scaled", ("unscaled-inputs",),
            "images to 255", "conv8 relu pool conv32 relu pool flat 64 relu drop 10", _adam(epochs=5), weights="he:1"),
    Program(_SO, "31627380", "softmax with cross-entropy in the place of sigmoid with binary cross-entropy", (),
            "passengers", "512 relu drop 2", _adam(epochs=10, batch=4), also=("unscaled-inputs",)),
    Program(_SO, "50481178", "sigmoid of one output in the place of softmax of two", (),
            "four inputs", "10 relu 20 relu 30 relu 40 relu 50 relu 1", _adam(epochs=25, batch=10, loss="binary")),
)  # fmt: skip

# --- DeepLocalize, GitHub ---

GITHUB = (
    Program(_SO, "kerasma", "too few layers and units", (),
            "patients", "12 relu 8 relu 1", _adam(epochs=40, batch=10, loss="binary"), also=("unscaled-inputs",)),
    Program(_SO, "MovieReviews_Keras", "no dropout: it overfits", ("overfitting",),
            "words", "16 relu 16 relu 1", {**_adam(epochs=30, batch=64, loss="binary"), "optimizer": "rmsprop"}),
    Program(_SO, "FacialKeypointsDetection", "Adam with a rate of 0.1 in the place of gradient descent with 0.01 and clipping",
            ("rate-too-high", "rate-out-of-range"), "ink", "100 relu 1", _adam(0.1, 30)),
)  # fmt: skip

# --- TheDeepChecker, programs from Stack Overflow and GitHub ---

_CHECKER = "TheDeepChecker"
_CNN = "conv8 relu pool conv16 relu pool flat 64 relu 10"
FROM_ELSEWHERE = (
    Program(_CHECKER, "IPS_1", "the log of a softmax that may be 0", (),
            "images", "conv8 relu pool conv16 relu pool flat 128 relu drop 10", _adam(0.0001, 10, 50), summed_log_of_softmax,
            ("summed-loss", "diverged"), weights="normal:0.1", biases="constant:0.1"),
    Program(_CHECKER, "IPS_4", "initial values are too large", ("exploding-signal",),
            "flat", "200 relu 200 relu 200 relu 10", _adam(0.003, 10, 100), weights="normal:1", biases="normal:1"),
    Program(_CHECKER, "IPS_5", "the rate is too high", ("rate-too-high", "diverged"),
            "few of a line", "1", _sgd(0.1, 60, 32), squares_times(20.0**2), weights="constant:0", biases="constant:0"),
    Program(_CHECKER, "IPS_7", "binary cross-entropy of outputs without a sigmoid", (),
            "flat", "128 sigmoid 10", _sgd(0.05, 10, 100), unclipped_logs, ("diverged",), weights="normal:1"),
    Program(_CHECKER, "IPS_11", "ReLU after the last layer", ("activation-on-outputs",),
            "images", "conv8 relu pool conv16 relu pool flat 128 relu 10 relu", _adam(epochs=10, batch=50), weights="normal:0.1",
            biases="constant:0.1"),
    Program(_CHECKER, "IPS_12", "the share to keep is taken for the share to drop: in evaluation all is dropped", (),
            "fourteen inputs", "20 relu wrong-drop 20 relu wrong-drop 15 relu wrong-drop 1", _adam(0.005, 20, loss="binary"),
            also=("plateau-at-chance", "majority-class-only"), weights="normal:0.5", biases="constant:0"),
    Program(_CHECKER, "IPS_13", "inputs are not scaled; the rate and the penalty are too high",
            ("unscaled-inputs", "rate-too-high", "rate-out-of-range"), "hearts", "2",
            _adam(0.5, 40, 7, optimizer__weight_decay=1.0), weights="normal:1", biases="constant:0"),
    Program(_CHECKER, "IPS_14", "cross-entropy is summed over the batch", ("summed-loss",),
            "flat", "10", _sgd(0.01, 15, 100), summed_cross_entropy, ("exploding-signal", "rate-too-high"), weights="normal:1", biases="constant:0"),
    Program(_CHECKER, "IPS_15", "inputs are not scaled; the rate is too high", ("unscaled-inputs", "rate-too-high", "diverged"),
            "long line", "1", _sgd(0.5, 60, 80), squares_times(58.0**2), weights="constant:0", biases="constant:0"),
    Program(_CHECKER, "IPS_17", "squares are summed over the batch", ("summed-loss", "rate-too-high", "diverged"),
            "parabola", "1", _sgd(0.01, 60, 64), sum_of_squares_times(38.0**2), weights="constant:0", biases="constant:0"),
    Program(_CHECKER, "DLT_0edb182", "softmax before a cross-entropy of logits", ("softmax-before-loss",),
            "images", f"{_CNN} softmax", _sgd(0.01, 10, 10), also=("rate-too-low", "still-improving")),
    Program(_CHECKER, "DLT_20d1b59", "binary cross-entropy of outputs without a sigmoid, clipped", (),
            "images", _CNN, _sgd(0.01, 10, 10), log_of_clipped_logits, ("plateau-at-chance",)),
    Program(_CHECKER, "TFE_368", "no activation between the layers", (),
            "flat", "200 200 10", _adam(0.1, 10, 128), also=("exploding-signal", "rate-too-high", "rate-out-of-range"), weights="normal:1",
            biases="normal:1"),
    Program(_CHECKER, "TFE_742675d", "cross-entropy is summed over the batch", ("summed-loss",),
            "flat", "10", _sgd(0.01, 15, 100), summed_cross_entropy, ("rate-too-high",), weights="constant:0", biases="constant:0"),
    Program(_CHECKER, "TFE_bc09f95", "cross-entropy is summed over the batch", ("summed-loss",),
            "flat", "128 relu 128 relu 10", _sgd(0.01, 15, 100), summed_cross_entropy,
            ("exploding-signal", "diverged", "rate-too-high"), weights="normal:1", biases="normal:1"),
)  # fmt: skip

# --- TheDeepChecker, synthetic ---

_NUMBERS = "64 relu 64 relu 1"
_HE = {"weights": "he:1", "biases": "constant:0"}
_TRAINED: Words = _sgd(0.1)
_OF_NUMBERS: Words = _adam(0.001, 60)
SYNTHETIC = (
    Program(_CHECKER, "baseCNN_constant", "every weight begins with 0.01", ("aligned-units",),
            "images", _CNN, _TRAINED, weights="constant:0.01", biases="constant:0"),
    Program(_CHECKER, "regrNN_constant", "every weight begins with 0.01", ("aligned-units",),
            "miles", _NUMBERS, _OF_NUMBERS, weights="constant:0.01", biases="constant:0"),
    Program(_CHECKER, "baseCNN_random", "initial values are too large", ("exploding-signal",),
            "images", _CNN, _TRAINED, weights="he:4", biases="constant:0"),
    Program(_CHECKER, "baseCNN_high_lr", "the rate is too high", ("rate-too-high", "diverged"),
            "images", "conv8 relu pool conv16 relu pool flat 128 relu 10", _sgd(1.0), **_HE),
    Program(_CHECKER, "regrNN_high_lr", "the rate is too high", ("rate-too-high", "rate-out-of-range"),
            "miles", _NUMBERS, _adam(0.1, 60), **_HE),
    Program(_CHECKER, "baseCNN_low_lr", "the rate is too low", ("rate-too-low", "rate-out-of-range"),
            "images", _CNN, _sgd(0.001), **_HE),
    Program(_CHECKER, "regrNN_low_lr", "the rate is too low", ("rate-too-low", "rate-out-of-range"),
            "miles", _NUMBERS, _adam(0.00001, 60), **_HE),
    Program(_CHECKER, "baseCNN_low_eps", "Adam's epsilon is too low", (),
            "images", _CNN, _adam(0.1, 15, optimizer__eps=1e-16), also=("rate-too-high", "rate-out-of-range"), **_HE),
    Program(_CHECKER, "regrNN_low_eps", "Adam's epsilon is too low", (),
            "miles", _NUMBERS, _adam(0.001, 60, optimizer__eps=1e-16), **_HE),
    Program(_CHECKER, "baseCNN_miss_norm", "inputs are not scaled", ("unscaled-inputs",),
            "images to 255", _CNN, _TRAINED, **_HE),
    Program(_CHECKER, "regrNN_miss_norm", "inputs are not scaled", ("unscaled-inputs",),
            "raw miles", _NUMBERS, _OF_NUMBERS, **_HE),
    Program(_CHECKER, "baseCNN_dbl_norm", "inputs are scaled twice", ("unscaled-inputs",),
            "images over 255", _CNN, _TRAINED, also=("rate-too-low", "still-improving"), **_HE),
    Program(_CHECKER, "regrNN_dbl_norm", "inputs are scaled twice", ("unscaled-inputs",),
            "miles over range", _NUMBERS, _OF_NUMBERS, also=("rate-too-low", "still-improving"), **_HE),
    Program(_CHECKER, "regrNN_miss_reg", "no penalty: it overfits", ("overfitting",),
            "few noisy miles", _NUMBERS, _adam(0.001, 300), **_HE),
    Program(_CHECKER, "baseCNN_over_reg", "the penalty is too strong", ("plateau-at-chance",),
            "images", _CNN, {**_TRAINED, "optimizer.weight_decay": 0.2, "optimizer.decay": "weights"}, **_HE),
    Program(_CHECKER, "regrNN_over_reg", "the penalty is too strong", ("plateau-at-chance",),
            "miles", _NUMBERS, {**_OF_NUMBERS, "optimizer.weight_decay": 0.2, "optimizer.decay": "weights"}, **_HE),
    Program(_CHECKER, "regrNN_over_scaled_outputs", "targets are not scaled", (),
            "miles", _NUMBERS, _OF_NUMBERS, squares_times(78.0**2), ("rate-too-low", "still-improving"), **_HE),
    Program(_CHECKER, "baseCNN_red_soft", "softmax before a cross-entropy of logits", ("softmax-before-loss",),
            "images", f"{_CNN} softmax", _TRAINED, **_HE),
    Program(_CHECKER, "baseCNN_miss_soft", "the log of outputs without a softmax", (),
            "images", _CNN, _TRAINED, log_of_logits, ("plateau-at-chance", "diverged"), **_HE),
    Program(_CHECKER, "baseCNN_wrong_soft", "softmax over the examples, not over the classes", (),
            "images", _CNN, _TRAINED, softmax_over_examples, **_HE),
    Program(_CHECKER, "baseCNN_wrong_loss", "the mean over the classes, summed over the batch", ("summed-loss",),
            "images", _CNN, _TRAINED, mean_over_classes_summed, ("rate-too-high",), **_HE),
    Program(_CHECKER, "baseCNN_wrong_loss2", "the sum over the batch, its mean over the classes", ("summed-loss",),
            "images", _CNN, _TRAINED, summed_over_examples, ("rate-too-high",), **_HE),
    Program(_CHECKER, "regrNN_wrong_loss", "squares are summed over the batch, of targets that are not scaled", ("summed-loss",),
            "miles", _NUMBERS, _OF_NUMBERS, sum_of_squares_times(78.0**2), **_HE),
    Program(_CHECKER, "regrNN_wrong_loss2", "shapes of outputs and targets differ: every output meets every target", ("broadcast-loss",),
            "miles", _NUMBERS, _OF_NUMBERS, every_output_with_every_target, ("plateau-at-chance",), **_HE),
    Program(_CHECKER, "baseCNN_inap_loss", "squared error of classes", ("regression-as-classes",),
            "images", _CNN, _TRAINED, squared_after_softmax, ("rate-too-low", "still-improving"), **_HE),
    Program(_CHECKER, "regrNN_inap_loss", "cross-entropy of numbers to predict", (),
            "miles", _NUMBERS, _OF_NUMBERS, log_of_numbers, ("summed-loss", "plateau-at-chance"), **_HE),
    Program(_CHECKER, "baseCNN_wrong_act", "softmax between the layers", ("vanishing-signal",),
            "images", "conv8 relu pool conv16 relu pool flat 64 softmax 10", _TRAINED, **_HE),
    Program(_CHECKER, "regrNN_wrong_act", "softmax of one output in a regression", ("activation-on-outputs",),
            "miles", f"{_NUMBERS} softmax", _OF_NUMBERS, **_HE),
    Program(_CHECKER, "regrNN_inapp_act", "sigmoid after the last layer of a regression with targets from -1 to 1", ("activation-on-outputs",),
            "miles", f"{_NUMBERS} sigmoid", _OF_NUMBERS, **_HE),
    Program(_CHECKER, "baseCNN_unb_data", "the classes are not equally frequent", ("majority-class-only",),
            "unbalanced images", _CNN, _TRAINED, **_HE),
    Program(_CHECKER, "baseCNN_wrong_augm", "augmentation that is too strong", (),
            "images", f"erase {_CNN}", _TRAINED, **_HE),
    Program(_CHECKER, "baseCNN_wrong_lbl", "only the features are shuffled", ("label-noise-or-shuffle",),
            "shuffled images", _CNN, _TRAINED, **_HE),
    Program(_CHECKER, "regrNN_wrong_lbl", "only the features are shuffled", ("label-noise-or-shuffle",),
            "shuffled miles", _NUMBERS, _OF_NUMBERS, also=("overfitting",), **_HE),
    Program(_CHECKER, "baseCNN_flip_sign", "the sign of the gradient is turned", ("flipped-loss",),
            "images", _CNN, _TRAINED, negative_cross_entropy, ("diverged", "rate-too-high"), **_HE),
    Program(_CHECKER, "regrNN_flip_sign", "the sign of the gradient is turned", ("flipped-loss",),
            "miles", _NUMBERS, _OF_NUMBERS, negative_squares, ("diverged", "rate-too-high"), **_HE),
)  # fmt: skip

PROGRAMS: tuple[Program, ...] = (*STACK_OVERFLOW, *GITHUB, *FROM_ELSEWHERE, *SYNTHETIC)
