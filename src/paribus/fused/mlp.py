"""One run of a multilayer perceptron as one compiled loop over its steps: order, batch, forward, backward, update,
evaluation."""

from __future__ import annotations

import numpy as np

from paribus.fused.clock import seconds
from paribus.fused.compiled import compiled
from paribus.fused.draws import masks
from paribus.fused.layers import (
    example_major,
    forward,
    forward_blas,
    input_gradient,
    input_gradient_blas,
    relu,
    weight_gradient,
    weight_gradient_blas,
)
from paribus.fused.layout import (
    BIAS,
    INPUT,
    INPUT_GRADIENT,
    N_IN,
    N_OUT,
    OUTPUT,
    OUTPUT_GRADIENT,
    WEIGHT,
    WIDE,
)
from paribus.fused.optimizers import add_l1
from paribus.fused.rows import BATCH, LINE, ROW, get, put
from paribus.fused.softmax import softmax
from paribus.fused.steps import (
    DONE,
    RUNNING,
    choose,
    chosen_labels,
    due,
    enter,
    labels,
    look_at_losses,
    move,
    record,
    score,
)


@compiled
def train(
    runs,
    layout,
    h,
    lrs,
    p,
    g,
    states,
    s,
    x,
    y,
    bounds,
    blocks,
    order,
    words,
    spare,
    wide,
    exponents,
    rows,
    clock,
    until,
):
    """Train run `runs[0]` up to step `until`, or to its end; every evaluation is a row of `rows`.

    `layout`: a row for each layer, see `layout.py`; `s`: see `rows.py`; `x` (examples, inputs), `y`: all splits, one
    after another, split t from bounds[t] to bounds[t + 1], the training split first; `blocks`: the same inputs as rows,
    BATCH of a split at once; `wide`: room for wide layers;
    `exponents`: what `softmax.exp` needs; `clock`: see `clock.py`. The rest is room to work in.
    """  # fmt: skip
    run = runs[0]
    since = seconds(clock)
    while run.step < until:
        epoch = run.step // run.steps_per_epoch
        begin, n = choose(run, order, words, spare)
        for first in range(0, n, BATCH):
            chosen = order[begin + first : begin + min(n, first + BATCH)]
            run.loss += _gradient(run, layout, p, g, s, x, y, chosen, n, first > 0, words, wide, exponents, epoch)
        if run.l1 > 0:
            penalise(layout, p, g, run.l1)
        move(run, h, lrs, p, g, states)
        if due(run):
            now = seconds(clock)
            run.train_seconds += now - since
            finite = evaluate(runs, layout, p, s, x, y, bounds, blocks, wide, exponents, rows)
            since = seconds(clock)
            run.eval_seconds += since - now
            record(run, rows, finite)
        look_at_losses(run)
        if run.ended != RUNNING:
            return
    if run.step == run.total:
        run.ended = DONE
    run.train_seconds += seconds(clock) - since


@compiled
def evaluate(runs, layout, p, s, x, y, bounds, blocks, wide, exponents, rows):
    """Mean loss and accuracy of every split, into the next row; whether all are finite."""
    run, layers, finite = runs[0], len(layout), True
    z, dz, classes = layout[layers - 1, OUTPUT], layout[layers - 1, OUTPUT_GRADIENT], layout[layers - 1, N_OUT]
    block = 0
    for split in range(len(bounds) - 1):
        loss, right = 0.0, 0
        for begin in range(bounds[split], bounds[split + 1], BATCH):
            n = min(BATCH, bounds[split + 1] - begin)
            labels(s, y, begin, n, run.work)
            inputs = x[begin : begin + n]
            _forward(layout, p, blocks, block * layout[0, N_IN] * ROW, s, n, wide, inputs)
            block += 1
            loss, right = score(s, z, dz, run.work, classes, n, exponents, loss, right)
        finite = enter(run, rows, split, loss, right, bounds[split + 1] - bounds[split]) and finite
    return finite


@compiled
def logits(layout, p, s, x, wide, out):
    """Logits of the inputs x (examples, inputs), into out (examples, classes)."""
    z = layout[len(layout) - 1, OUTPUT]
    for begin in range(0, len(x), BATCH):
        n = min(BATCH, len(x) - begin)
        if not layout[0, WIDE]:
            in_rows(x, begin, n, s, layout[0, INPUT])
        _forward(layout, p, s, layout[0, INPUT], s, n, wide, x[begin : begin + n])
        for c in range(layout[len(layout) - 1, N_OUT]):
            for i in range(n):
                out[begin + i, c] = get(s, z + c * ROW + i)


@compiled
def _gradient(run, layout, p, g, s, x, y, chosen, batch, more, words, wide, exponents, epoch):
    """The gradient of the chosen examples' share of the batch's mean loss, into g or, with `more`, added to it."""
    layers, n = len(layout), len(chosen)
    bits, powers, constants = exponents
    gather(s, x, y, chosen, n, layout, wide[0], run.work)
    features = layout[0, N_IN]
    inputs = wide[0][: n * features * layout[0, WIDE]].reshape(n * layout[0, WIDE], features)
    if run.dropout:
        _forward_dropping(run, layout, p, s, n, wide, inputs, chosen, np.uint64(epoch), words)
    else:
        _forward(layout, p, s, layout[0, INPUT], s, n, wide, inputs)
    z, dz, classes = layout[layers - 1, OUTPUT], layout[layers - 1, OUTPUT_GRADIENT], layout[layers - 1, N_OUT]
    share = s.dtype.type(1.0 / batch)
    told = softmax(s, z, dz, run.work, classes, n, share, bits, powers, constants)
    _backward(layout, p, g, s, n, wide, inputs, run.keep_scale, more)
    return told


@compiled
def gather(s, x, y, chosen, n, layout, inputs, work):
    """A batch: its classes, and its inputs as rows, or example-major for a wide first layer."""
    features, a = layout[0, N_IN], layout[0, INPUT]
    chosen_labels(s, y, chosen, n, work)
    if layout[0, WIDE]:
        _copy(x, chosen, n, inputs[: n * features].reshape(n, features))
        return
    for first in range(0, n, LINE):  # a line of the cache at a time, whole
        last = min(n, first + LINE)
        for k in range(features):
            for i in range(first, last):
                put(s, a + k * ROW + i, x[chosen[i], k])


@compiled
def penalise(layout, p, g, l1):
    """The l1 penalty of all weights, in the gradient."""
    for l in range(len(layout)):
        add_l1(p, g, layout[l, WEIGHT], layout[l, N_IN] * layout[l, N_OUT], l1)


@compiled
def _copy(x, chosen, n, inputs):
    """The chosen examples, example-major."""
    for i in range(n):
        for k in range(x.shape[1]):
            inputs[i, k] = x[chosen[i], k]


@compiled
def in_rows(x, begin, n, s, a):
    """n examples in a row of x (examples, inputs), feature-major at `a`."""
    for first in range(0, n, LINE):
        last = min(n, first + LINE)
        for k in range(x.shape[1]):
            for i in range(first, last):
                put(s, a + k * ROW + i, x[begin + i, k])


@compiled
def _layer(layout, l, p, x, a, s, n, wide, inputs):
    """One layer, with the ReLU after a hidden one. `inputs` (n, n_in): those of a wide one; others take the rows `a` of
    `x`, of the first layer the data."""
    hidden = l < len(layout) - 1
    n_in, n_out, w, b = layout[l, N_IN], layout[l, N_OUT], layout[l, WEIGHT], layout[l, BIAS]
    if layout[l, WIDE]:
        forward_blas(p, w, b, inputs, s, layout[l, OUTPUT], n_in, n_out, n, wide[1])
        if hidden:
            relu(s, layout[l, OUTPUT], n_out, n)
    else:
        forward(p, w, b, x, a, s, layout[l, OUTPUT], n_in, n_out, n, hidden)


@compiled
def _forward(layout, p, x, a, s, n, wide, inputs):
    _layer(layout, 0, p, x, a, s, n, wide, inputs)
    for l in range(1, len(layout)):
        _layer(layout, l, p, s, layout[l, INPUT], s, n, wide, inputs_of(layout, l, s, n, wide))


@compiled
def inputs_of(layout, l, s, n, wide):
    """A layer's inputs example-major, if it is wide; in room of their own, as the first layer's are needed again."""
    n_in = layout[l, N_IN]
    inputs = wide[4][: n * n_in * layout[l, WIDE]].reshape(n * layout[l, WIDE], n_in)
    if layout[l, WIDE]:
        example_major(s, layout[l, INPUT], n_in, n, inputs)
    return inputs


@compiled
def _forward_dropping(run, layout, p, s, n, wide, inputs, chosen, epoch, words):
    """As `_forward`, with dropout after every hidden layer."""
    real = s.dtype.type
    zero, scale = real(0), real(run.keep_scale)
    for l in range(len(layout)):
        _layer(layout, l, p, s, layout[l, INPUT], s, n, wide, inputs if l == 0 else inputs_of(layout, l, s, n, wide))
        if l == len(layout) - 1:
            return
        units, z = layout[l, N_OUT], layout[l, OUTPUT]
        for block in range((units + 3) // 4):
            masks(words, np.uint64(block), chosen, n, epoch, np.uint64(l), run.seed)
            for lane in range(min(4, units - 4 * block)):
                place = z + (4 * block + lane) * ROW
                for i in range(n):
                    kept = scale if words[lane, i] >= run.drop_below else zero
                    put(s, place + i, get(s, place + i) * kept)


@compiled
def _backward(layout, p, g, s, n, wide, inputs, keep_scale, more):
    """The gradient of every parameter."""
    scale = p.dtype.type(keep_scale)
    for l in range(len(layout) - 1, -1, -1):
        n_in, n_out, w, b = layout[l, N_IN], layout[l, N_OUT], layout[l, WEIGHT], layout[l, BIAS]
        a, da, dz = layout[l, INPUT], layout[l, INPUT_GRADIENT], layout[l, OUTPUT_GRADIENT]
        if layout[l, WIDE]:
            own = inputs if l == 0 else inputs_of(layout, l, s, n, wide)
            weight_gradient_blas(g, w, b, own, s, dz, n_in, n_out, n, more, wide[1], wide[3])
            if l > 0:
                input_gradient_blas(p, w, s, a, da, dz, n_in, n_out, n, scale, wide[1], wide[2])
        else:
            weight_gradient(g, w, b, s, a, dz, n_in, n_out, n, more)
            if l > 0:
                input_gradient(p, w, s, a, da, dz, n_in, n_out, n, scale)
