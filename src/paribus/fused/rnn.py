"""One run of the recurrent network as one compiled loop over its steps, with the formulas of `byhand.rnn`.

Example-major: a state is (examples, units), and weights are kept turned, (in, out). Where inputs are symbols (digits in
some encoding), what a state gets of them, W_hx x + b_h, is a table of one row a symbol, and the table's gradient gives
those of W_hx and b_h. A batch goes through time in parts so small that BLAS multiplies them without packing them first,
a fifth faster; the gradient of W_hh is one product for some steps of time at once.
"""

# Compiled functions take their types from what they are called with.
# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paribus.fused.clock import seconds
from paribus.fused.compiled import compiled
from paribus.fused.layers import forward_blas, weight_gradient_blas
from paribus.fused.optimizers import add_l1
from paribus.fused.rows import ROW, get, put
from paribus.fused.softmax import softmax
from paribus.fused.steps import (
    DONE,
    RUNNING,
    choose,
    chosen_labels,
    due,
    enter,
    look_at_losses,
    move,
    record,
    score,
)
from paribus.fused.tanh import tanh

SIZES = np.dtype([
    ("length", np.int64), ("inputs", np.int64), ("hidden", np.int64), ("classes", np.int64), ("symbols", np.int64),
    ("part", np.int64), ("block", np.int64), ("times", np.int64),
    ("w_hx", np.int64), ("w_hh", np.int64), ("b_h", np.int64), ("w_ph", np.int64), ("b_o", np.int64),
])  # fmt: skip
"""`symbols`: how many there are, 0 where inputs are numbers; `part`, `block`: examples that are trained and evaluated
at once; `times`: steps of time whose gradient of W_hh is one product; then where each parameter begins."""


_TILE = 16


class Data(NamedTuple):
    """All splits, one after another, split t from bounds[t] to bounds[t + 1], the training split first.

    `symbols` (examples, T) and `alphabet` (symbols, inputs), what each stands for; or `numbers` (examples, T, inputs).
    What is not there is empty.
    """

    symbols: NDArray[np.uint8]
    alphabet: NDArray[Any]
    numbers: NDArray[Any]
    y: NDArray[np.int64]
    bounds: NDArray[np.int64]


class Room(NamedTuple):
    """To work in: states h(1), h(2), ..., or two by turns; the gradients dz of some steps and dh of one; W_hh as it is;
    what states get of inputs, and its gradient; inputs; products; logits; which examples. Flat, but for the last."""

    h: NDArray[Any]
    dz: NDArray[Any]
    dh: NDArray[Any]
    w_hh: NDArray[Any]
    table: NDArray[Any]
    dtable: NDArray[Any]
    inputs: NDArray[Any]
    product: NDArray[Any]
    out: NDArray[Any]
    which: NDArray[np.int64]


@compiled
def train(runs, sizes, h, lrs, p, g, states, s, data, order, words, spare, room, exponents, rows, clock, until):
    """Train run `runs[0]` up to step `until`, or to its end; every evaluation is a row of `rows`.

    `s`: rows (`rows.py`) of logits, of their gradients, and those of `softmax`; `exponents`: what `softmax.exp` needs;
    `clock`: see `clock.py`. The rest is room to work in.
    """
    run, size = runs[0], sizes[0]
    since = seconds(clock)
    while run.step < until:
        begin, n = choose(run, order, words, spare)
        _begin_step(size, p, g, data, room)
        for first in range(0, n, size.part):
            chosen = order[begin + first : begin + min(n, first + size.part)]
            run.loss += _gradient(run, size, p, g, s, data, chosen, n, first > 0, room, exponents)
            if run.halt:  # a step over long sequences may take seconds
                return
        if size.symbols > 0:
            _inputs_gradient(size, g, data.alphabet, room.dtable, room.product)
        if run.l1 > 0:  # W_hx and W_hh lie together
            add_l1(p, g, size.w_hx, size.b_h - size.w_hx, run.l1)
            add_l1(p, g, size.w_ph, size.b_o - size.w_ph, run.l1)
        move(run, h, lrs, p, g, states)
        if due(run):
            now = seconds(clock)
            run.train_seconds += now - since
            finite = evaluate(runs, sizes, p, s, data, room, exponents, rows)
            since = seconds(clock)
            run.eval_seconds += since - now
            if run.halt:
                return
            record(run, rows, finite)
        look_at_losses(run)
        if run.ended != RUNNING:
            return
    if run.step == run.total:
        run.ended = DONE
    run.train_seconds += seconds(clock) - since


@compiled
def evaluate(runs, sizes, p, s, data, room, exponents, rows):
    """Mean loss and accuracy of every split, into the next row; whether all are finite, or nothing where it is to
    halt."""
    run, size, finite = runs[0], sizes[0], True
    if size.symbols > 0:
        _table(size, p, data.alphabet, room.table)
    for split in range(len(data.bounds) - 1):
        loss, right = 0.0, 0
        end = data.bounds[split + 1]
        for begin in range(data.bounds[split], end, size.block):
            which = _in_a_row(room, begin, min(size.block, end - begin))
            chosen_labels(s, data.y, which, len(which), run.work)
            _logits(size, p, s, data, which, room, exponents)
            if run.halt:
                return False
            loss, right = score(s, 0, size.classes * ROW, run.work, size.classes, len(which), exponents, loss, right)
        finite = enter(run, rows, split, loss, right, end - data.bounds[split]) and finite
    return finite


@compiled
def logits(sizes, p, s, data, room, exponents, out):
    """Logits of all examples of `data`, into out (examples, classes)."""
    size = sizes[0]
    if size.symbols > 0:
        _table(size, p, data.alphabet, room.table)
    for begin in range(0, len(out), size.block):
        which = _in_a_row(room, begin, min(size.block, len(out) - begin))
        _logits(size, p, s, data, which, room, exponents)
        for c in range(size.classes):
            for i in range(len(which)):
                out[begin + i, c] = get(s, c * ROW + i)


@compiled
def _in_a_row(room, begin, n):
    which = room.which[:n]
    for i in range(n):
        which[i] = begin + i
    return which


@compiled
def _logits(size, p, s, data, which, room, exponents):
    last = _states(size, p, data, which, room, exponents[2], False)
    forward_blas(p, size.w_ph, size.b_o, last, s, 0, size.hidden, size.classes, len(which), room.out)


@compiled
def _begin_step(size, p, g, data, room):
    """What all parts of a batch need: W_hh as it is, the table, and gradients of 0 to add to."""
    _turn(p, size.w_hh, room.w_hh, size.hidden)
    g[size.w_hx : size.b_h + size.hidden] = 0
    if size.symbols > 0:
        _table(size, p, data.alphabet, room.table)
        room.dtable[:] = 0


@compiled
def _turn(p, w, turned, hidden):
    """The matrix that begins at `w` with its axes exchanged, a tile at a time."""
    for first in range(0, hidden, _TILE):
        for second in range(0, hidden, _TILE):
            for j in range(first, min(first + _TILE, hidden)):
                for k in range(second, min(second + _TILE, hidden)):
                    put(turned, j * hidden + k, get(p, w + k * hidden + j))


@compiled
def _table(size, p, inputs, table):
    """inputs W_hx^T + b_h, a row for each of the inputs."""
    n, hidden = len(inputs), size.hidden
    out = table[: n * hidden].reshape(n, hidden)
    np.dot(inputs, p[size.w_hx : size.w_hx + size.inputs * hidden].reshape(size.inputs, hidden), out)
    b = p[size.b_h : size.b_h + hidden]
    for i in range(n):
        for j in range(hidden):
            out[i, j] += b[j]


@compiled
def _inputs_gradient(size, g, inputs, dtable, product):
    """The gradients of W_hx and b_h from those of the table's rows, added."""
    n, hidden = len(inputs), size.hidden
    rows = dtable[: n * hidden].reshape(n, hidden)
    _add_product(g, size.w_hx, inputs, rows, product)
    b = g[size.b_h : size.b_h + hidden]
    for i in range(n):
        for j in range(hidden):
            b[j] += rows[i, j]


@compiled
def _add_product(g, at, a, b, product):
    """a^T b added to the weights at `at`. a: (n, in), b: (n, out)."""
    count = a.shape[1] * b.shape[1]
    np.dot(a.T, b, product[:count].reshape(a.shape[1], b.shape[1]))
    own = g[at : at + count]
    for k in range(count):
        own[k] += product[k]


@compiled
def _numbers(size, data, which, t, room):
    """x(t) of the examples, (examples, inputs)."""
    inputs = room.inputs[: len(which) * size.inputs].reshape(len(which), size.inputs)
    for i in range(len(which)):
        for k in range(size.inputs):
            inputs[i, k] = data.numbers[which[i], t, k]
    return inputs


@compiled
def _states(size, p, data, which, room, constants, keep):
    """h(T), with all states before it if they are to be kept; else two places by turns."""
    n, hidden = len(which), size.hidden
    count = n * hidden
    w = p[size.w_hh : size.w_hh + hidden * hidden].reshape(hidden, hidden)
    at = 0
    for t in range(size.length):
        if size.symbols == 0:
            _table(size, p, _numbers(size, data, which, t, room), room.table)
        before, at = at, (t if keep else t % 2) * count
        if t > 0:
            now = room.h[at : at + count].reshape(n, hidden)
            np.dot(room.h[before : before + count].reshape(n, hidden), w, now)
        _add_inputs(size, data, which, t, room.table, room.h, at, t > 0)
        tanh(room.h, at, count, constants)
    return room.h[at : at + count].reshape(n, hidden)


@compiled
def _add_inputs(size, data, which, t, table, h, at, more):
    """What each example's state gets of its input, added to what stands there, or written if there is nothing yet."""
    hidden = size.hidden
    for i in range(len(which)):
        row = i if size.symbols == 0 else np.int64(data.symbols[which[i], t])
        now, own = h[at + i * hidden : at + (i + 1) * hidden], table[row * hidden : (row + 1) * hidden]
        if more:
            for j in range(hidden):
                now[j] += own[j]
        else:
            for j in range(hidden):
                now[j] = own[j]


@compiled
def _gradient(run, size, p, g, s, data, chosen, batch, more, room, exponents):
    """The gradient of the chosen examples' share of the batch's mean loss, into g or, with `more`, added to it."""
    n, hidden, classes = len(chosen), size.hidden, size.classes
    bits, powers, constants = exponents
    last = _states(size, p, data, chosen, room, constants, True)
    chosen_labels(s, data.y, chosen, n, run.work)
    forward_blas(p, size.w_ph, size.b_o, last, s, 0, hidden, classes, n, room.out)
    place = classes * ROW
    told = softmax(s, 0, place, run.work, classes, n, s.dtype.type(1.0 / batch), bits, powers, constants)
    weight_gradient_blas(g, size.w_ph, size.b_o, last, s, place, hidden, classes, n, more, room.out, room.product)
    # that left the logits' gradients in room.out
    w_ph = p[size.w_ph : size.w_ph + hidden * classes].reshape(hidden, classes)
    np.dot(room.out[: n * classes].reshape(n, classes), w_ph.T, room.dh[: n * hidden].reshape(n, hidden))
    _back(size, g, data, chosen, room)
    return told


@compiled
def _back(size, g, data, which, room):
    """Back through time from dL/dh(T), which stands in room.dh."""
    n, hidden = len(which), size.hidden
    count = n * hidden
    w = room.w_hh[: hidden * hidden].reshape(hidden, hidden)
    dh = room.dh[:count].reshape(n, hidden)
    end = size.length
    while end > 0:
        begin = max(0, end - size.times)
        for t in range(end - 1, begin - 1, -1):
            at = (t - begin) * count
            _through_tanh(room.h, t * count, room.dh, room.dz, at, count)
            dz = room.dz[at : at + count].reshape(n, hidden)
            if size.symbols == 0:
                _inputs_gradient(size, g, _numbers(size, data, which, t, room), room.dz[at : at + count], room.product)
            else:
                _add_rows(size, data, which, t, dz, room.dtable)
            if t > 0:
                np.dot(dz, w, dh)
        first = max(begin, 1)
        if end > first:
            before = room.h[(first - 1) * count : (end - 1) * count].reshape((end - first) * n, hidden)
            dz = room.dz[(first - begin) * count : (end - begin) * count].reshape((end - first) * n, hidden)
            _add_product(g, size.w_hh, before, dz, room.product)
        end = begin


@compiled
def _through_tanh(h, now, dh, dz, at, count):
    """dz = dh (1 - h^2)."""
    one = h.dtype.type(1)
    for k in range(count):
        value = get(h, now + k)
        put(dz, at + k, get(dh, k) * (one - value * value))


@compiled
def _add_rows(size, data, which, t, dz, dtable):
    """The gradients of the table's rows, each example's added to its symbol's."""
    hidden = size.hidden
    for i in range(len(which)):
        row = np.int64(data.symbols[which[i], t])
        own = dtable[row * hidden : (row + 1) * hidden]
        for j in range(hidden):
            own[j] += dz[i, j]
