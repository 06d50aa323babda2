"""As `mlp.py`, with any activation, norms and skips, and losses of numbers to predict: `y` are their float64.

They have loops of their own, which are compiled where a run needs them: those of the plain network, a ReLU after each
layer, stay as small and as fast as they are.
"""

from __future__ import annotations

import numpy as np

from paribus.fused.clock import seconds
from paribus.fused.compiled import compiled
from paribus.fused.draws import masks
from paribus.fused.hidden import (
    activate,
    activate_back,
    add_examples,
    add_rows,
    copy_rows,
    normalise,
    normalise_back,
)
from paribus.fused.layers import (
    forward,
    forward_blas,
    input_gradient,
    input_gradient_blas,
    weight_gradient,
    weight_gradient_blas,
)
from paribus.fused.layout import (
    BIAS,
    CARRIED,
    INPUT,
    INPUT_GRADIENT,
    N_IN,
    N_OUT,
    ONES,
    OUTPUT,
    OUTPUT_GRADIENT,
    SKIP,
    SLOPE,
    WEIGHT,
    WIDE,
)
from paribus.fused.losses import CROSS_ENTROPY, residuals
from paribus.fused.mlp import gather, in_rows, inputs_of, penalise
from paribus.fused.rows import BATCH, ROW, get, put
from paribus.fused.softmax import softmax
from paribus.fused.steps import (
    DONE,
    FIRST_METRIC,
    MEASURED,
    RUNNING,
    choose,
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
    """As `mlp.train`. A batch for batch normalisation has at most BATCH examples."""
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
    """As `mlp.evaluate`."""
    run, layers, finite = runs[0], len(layout), True
    one = s.dtype.type(1)
    z, dz, classes = layout[layers - 1, OUTPUT], layout[layers - 1, OUTPUT_GRADIENT], layout[layers - 1, N_OUT]
    block = 0
    for split in range(len(bounds) - 1):
        loss, right, sizes = 0.0, 0.0, 0.0
        for begin in range(bounds[split], bounds[split + 1], BATCH):
            n = min(BATCH, bounds[split + 1] - begin)
            labels(s, y, begin, n, run.work)
            _forward(layout, p, blocks, block * layout[0, N_IN] * ROW, s, n, wide, x[begin : begin + n], exponents)
            block += 1
            if run.loss_of == CROSS_ENTROPY:
                loss, right = score(s, z, dz, run.work, classes, n, exponents, loss, right)
            else:
                told, squares, absolutes = residuals(s, z, dz, run.work, n, one, run.loss_of, run.quantile)
                loss, right, sizes = loss + told, right + squares, sizes + absolutes
        count = bounds[split + 1] - bounds[split]
        finite = enter(run, rows, split, loss, right, count) and finite
        rows[run.row, FIRST_METRIC + MEASURED * split + 2] = sizes / count
    return finite


@compiled
def logits(layout, p, s, x, wide, out, exponents):
    """As `mlp.logits`."""
    z = layout[len(layout) - 1, OUTPUT]
    for begin in range(0, len(x), BATCH):
        n = min(BATCH, len(x) - begin)
        if not layout[0, WIDE]:
            in_rows(x, begin, n, s, layout[0, INPUT])
        _forward(layout, p, s, layout[0, INPUT], s, n, wide, x[begin : begin + n], exponents)
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
    _forward_training(run, layout, p, s, n, wide, inputs, exponents, chosen, np.uint64(epoch), words)
    z, dz, classes = layout[layers - 1, OUTPUT], layout[layers - 1, OUTPUT_GRADIENT], layout[layers - 1, N_OUT]
    share = s.dtype.type(1.0 / batch)
    if run.loss_of == CROSS_ENTROPY:
        told = softmax(s, z, dz, run.work, classes, n, share, bits, powers, constants)
    else:
        told = residuals(s, z, dz, run.work, n, share, run.loss_of, run.quantile)[0]
    _backward(layout, p, g, s, n, wide, inputs, more)
    return told


@compiled
def _linear(layout, l, p, x, a, s, n, wide, inputs):
    """A layer's linear part. `inputs` (n, n_in): those of a wide one; others take the rows `a` of `x`."""
    n_in, n_out, w, b = layout[l, N_IN], layout[l, N_OUT], layout[l, WEIGHT], layout[l, BIAS]
    if layout[l, WIDE]:
        forward_blas(p, w, b, inputs, s, layout[l, OUTPUT], n_in, n_out, n, wide[1])
    else:
        forward(p, w, b, x, a, s, layout[l, OUTPUT], n_in, n_out, n, False)


@compiled
def _hidden(layout, l, p, x, a, s, n, wide, inputs, exponents, training):
    """A hidden layer but for dropout and skip."""
    _linear(layout, l, p, x, a, s, n, wide, inputs)
    normalise(s, p, layout[l], n, training)
    activate(s, layout[l], n, exponents)


@compiled
def _skip(layout, l, x, a, s, n, inputs):
    """The layer's input, added to its output."""
    if layout[l, SKIP]:
        if layout[l, WIDE]:
            add_examples(s, layout[l, OUTPUT], inputs, n)
        else:
            add_rows(s, layout[l, OUTPUT], x, a, layout[l, N_OUT], n)


@compiled
def _forward(layout, p, x, a, s, n, wide, inputs, exponents):
    """In evaluation. The first layer takes `inputs`, or the rows `a` of `x`."""
    last = len(layout) - 1
    if last == 0:
        _linear(layout, 0, p, x, a, s, n, wide, inputs)
        return
    _hidden(layout, 0, p, x, a, s, n, wide, inputs, exponents, False)
    _skip(layout, 0, x, a, s, n, inputs)
    for l in range(1, last):
        own, place = inputs_of(layout, l, s, n, wide), layout[l, INPUT]
        _hidden(layout, l, p, s, place, s, n, wide, own, exponents, False)
        _skip(layout, l, s, place, s, n, own)
    _linear(layout, last, p, s, layout[last, INPUT], s, n, wide, inputs_of(layout, last, s, n, wide))


@compiled
def _forward_training(run, layout, p, s, n, wide, inputs, exponents, chosen, epoch, words):
    """In training: norms by the batch, dropout."""
    last = len(layout) - 1
    for l in range(last):
        own, place = inputs if l == 0 else inputs_of(layout, l, s, n, wide), layout[l, INPUT]
        _hidden(layout, l, p, s, place, s, n, wide, own, exponents, True)
        if run.dropout:
            _drop(run, layout, l, s, n, chosen, epoch, words)
        _skip(layout, l, s, place, s, n, own)
    own = inputs if last == 0 else inputs_of(layout, last, s, n, wide)
    _linear(layout, last, p, s, layout[last, INPUT], s, n, wide, own)


@compiled
def _drop(run, layout, l, s, n, chosen, epoch, words):
    """Dropout of a layer's rows and of its slopes."""
    real = s.dtype.type
    zero, scale = real(0), real(run.keep_scale)
    units = layout[l, N_OUT]
    for block in range((units + 3) // 4):
        masks(words, np.uint64(block), chosen, n, epoch, np.uint64(l), run.seed)
        for lane in range(min(4, units - 4 * block)):
            place = (4 * block + lane) * ROW
            z, slope = layout[l, OUTPUT] + place, layout[l, SLOPE] + place
            for i in range(n):
                kept = scale if words[lane, i] >= run.drop_below else zero
                put(s, z + i, get(s, z + i) * kept)
                put(s, slope + i, get(s, slope + i) * kept)


@compiled
def _backward(layout, p, g, s, n, wide, inputs, more):
    """The gradient of every parameter. `input_gradient` takes rows of ones for the activations: it lets all through, as
    the slopes are those of this layer's own rows."""
    one = p.dtype.type(1)
    for l in range(len(layout) - 1, -1, -1):
        n_in, n_out, w, b = layout[l, N_IN], layout[l, N_OUT], layout[l, WEIGHT], layout[l, BIAS]
        a, da, dz, ones = layout[l, INPUT], layout[l, INPUT_GRADIENT], layout[l, OUTPUT_GRADIENT], layout[l, ONES]
        if l < len(layout) - 1:
            if layout[l, SKIP]:
                copy_rows(s, layout[l, CARRIED], dz, n_out, n)
            activate_back(s, layout[l], n)
            normalise_back(s, p, g, layout[l], n, more)
        if layout[l, WIDE]:
            own = inputs if l == 0 else inputs_of(layout, l, s, n, wide)
            weight_gradient_blas(g, w, b, own, s, dz, n_in, n_out, n, more, wide[1], wide[3])
            if l > 0:
                input_gradient_blas(p, w, s, ones, da, dz, n_in, n_out, n, one, wide[1], wide[2])
        else:
            weight_gradient(g, w, b, s, a, dz, n_in, n_out, n, more)
            if l > 0:
                input_gradient(p, w, s, ones, da, dz, n_in, n_out, n, one)
        if l > 0 and layout[l, SKIP]:
            add_rows(s, da, s, layout[l, CARRIED], n_in, n)
