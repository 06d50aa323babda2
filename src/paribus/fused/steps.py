"""What the steps of every run have in common: which examples, clipping, learning rate, update, evaluation, the end."""

# Compiled functions take their types from what they are called with.
# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs

from __future__ import annotations

import math

import numpy as np

from paribus.fused.compiled import compiled
from paribus.fused.draws import permutation, repeats
from paribus.fused.optimizers import clip, update
from paribus.fused.rows import ROW, get, put
from paribus.fused.softmax import LABEL, RIGHT, TOTAL, rightly, softmax

RUN = np.dtype([
    # what it is
    ("seed", np.uint64), ("optimizer", np.int64), ("repeats", np.int64), ("batch", np.int64), ("examples", np.int64),
    ("epoch_examples", np.int64), ("steps_per_epoch", np.int64), ("total", np.int64), ("interval", np.int64),
    ("rates", np.int64), ("dropout", np.int64), ("drop_below", np.uint64), ("keep_scale", np.float64),
    ("clip", np.float64), ("l1", np.float64), ("work", np.int64), ("loss_of", np.int64), ("quantile", np.float64),
    # how far it is
    ("step", np.int64), ("row", np.int64), ("ended", np.int64), ("loss", np.float64), ("norms", np.float64),
    ("clipped", np.int64), ("told", np.int64), ("train_seconds", np.float64), ("eval_seconds", np.float64),
    ("halt", np.int64),
])  # fmt: skip
"""The numbers of a run. `rates`: whether there is one learning rate in all, one an epoch or one a step; `work`: where
its rows of work begin; `loss_of`, `quantile`: what is minimised, see `losses.py`; `loss`: finite as long as all losses
of the epoch are; `norms`, `clipped`: of the steps since
the evaluation at step `told`, the sum of the gradients' norms before clipping, and how many were clipped; `halt`: set
from outside, to have it stop where it is."""

ONE_RATE, RATE_AN_EPOCH, RATE_A_STEP = 0, 1, 2
RUNNING, DONE, LOSS_NOT_FINITE, EVALUATION_NOT_FINITE = 0, 1, 2, 3
STEP, TRAIN_SECONDS, EVAL_SECONDS, GRADIENT_NORM, CLIPPED_SHARE, FIRST_METRIC = 0, 1, 2, 3, 4, 5
"""Columns of an evaluation's row; after the last, those of each split: `MEASURED` numbers."""

MEASURED = 3
"""Of a split: mean loss and accuracy; or mean loss, mean square and mean size of the residuals, of scaled numbers."""


@compiled
def choose(run, order, words, spare):
    """The next step's examples: where in `order` they begin, and how many they are."""
    epoch, place = run.step // run.steps_per_epoch, run.step % run.steps_per_epoch
    begin = place * run.batch
    n = min(run.batch, run.epoch_examples - begin)
    if run.repeats:
        repeats(order, begin, n, run.examples, words, spare, np.uint64(epoch), run.seed)
        begin = 0
    elif place == 0:
        permutation(order, run.examples, words, spare, np.uint64(epoch), run.seed)
    return begin, n


@compiled
def move(run, h, lrs, p, g, states):
    """A step of the parameters along their gradients, clipped."""
    if run.clip > 0:
        norm = clip(g, run.clip)
        run.norms += norm
        run.clipped += norm > run.clip
    rate = lrs[0]
    if run.rates == RATE_AN_EPOCH:
        rate = lrs[run.step // run.steps_per_epoch]
    elif run.rates == RATE_A_STEP:
        rate = lrs[run.step]
    run.step += 1
    update(run.optimizer, p, g, states, h, rate, run.step)


@compiled
def due(run):
    """Whether it is to be evaluated now."""
    return run.step % run.interval == 0 or run.step == run.total


@compiled
def record(run, rows, finite):
    """An evaluation that was made, in its row, or the end of the run, where it was not finite."""
    if not finite:
        run.ended = EVALUATION_NOT_FINITE
        return
    steps = run.step - run.told
    rows[run.row, STEP] = run.step
    rows[run.row, TRAIN_SECONDS], rows[run.row, EVAL_SECONDS] = run.train_seconds, run.eval_seconds
    rows[run.row, GRADIENT_NORM], rows[run.row, CLIPPED_SHARE] = run.norms / steps, run.clipped / steps
    run.row += 1
    run.told, run.norms, run.clipped = run.step, 0.0, 0


@compiled
def look_at_losses(run):
    """At the end of an epoch: the end of the run, where a loss was not finite."""
    if run.step % run.steps_per_epoch == 0 and run.ended == RUNNING:
        if not math.isfinite(run.loss):
            run.ended = LOSS_NOT_FINITE
        run.loss = 0.0


@compiled
def labels(s, y, begin, n, work):
    """The classes of n examples in a row, as numbers."""
    real, label = s.dtype.type, work + LABEL * ROW
    for i in range(n):
        put(s, label + i, real(y[begin + i]))


@compiled
def chosen_labels(s, y, chosen, n, work):
    """The classes of chosen examples, as numbers."""
    real, label = s.dtype.type, work + LABEL * ROW
    for i in range(n):
        put(s, label + i, real(y[chosen[i]]))


@compiled
def score(s, z, dz, work, classes, n, exponents, loss, right):
    """The sum of losses and the number of right answers, with those of n examples added; their logits are rows at z."""
    bits, powers, constants = exponents
    right += rightly(s, z, work, classes, n)
    softmax(s, z, dz, work, classes, n, s.dtype.type(1), bits, powers, constants)
    for i in range(n):
        told = math.log(np.float64(get(s, work + TOTAL * ROW + i)))
        loss += told - np.float64(get(s, work + RIGHT * ROW + i))
    return loss, right


@compiled
def enter(run, rows, split, loss, right, count):
    """A split's mean loss and accuracy into the next row; whether they are finite."""
    rows[run.row, FIRST_METRIC + MEASURED * split] = loss / count
    rows[run.row, FIRST_METRIC + MEASURED * split + 1] = right / count
    return math.isfinite(loss)
