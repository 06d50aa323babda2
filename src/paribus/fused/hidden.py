"""What a hidden layer has between its linear part and its output: norms, activations and dropout, over rows.

With the formulas of `byhand.norms` and `byhand.activations`. `layer`: a layer's row of the layout, see `layout.py`. A
new activation is a function, its number in `ACTIVATIONS` and a branch of `activate`.
"""

# Compiled functions take their types from what they are called with.
# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs

from __future__ import annotations

import math

import numpy as np

from paribus.config.architecture import NORM_EPS, NORM_MOMENTUM
from paribus.fused.compiled import compiled
from paribus.fused.layout import (
    ACTIVATION,
    N_OUT,
    NORM,
    NORMAL,
    OUTPUT,
    OUTPUT_GRADIENT,
    ROOM,
    SCALE,
    SHIFT,
    SLOPE,
    STATISTICS,
)
from paribus.fused.rows import ROW, get, put
from paribus.fused.softmax import exp
from paribus.fused.tanh import tanh

RELU, TANH, SIGMOID, GELU, SILU, LEAKY_RELU, ELU, IDENTITY = range(8)
ACTIVATIONS = {
    "relu": RELU,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "gelu": GELU,
    "silu": SILU,
    "leaky_relu": LEAKY_RELU,
    "elu": ELU,
    "identity": IDENTITY,
}
NO_NORM, BATCH_NORM, LAYER_NORM = range(3)
NORMS = {"none": NO_NORM, "batch": BATCH_NORM, "layer": LAYER_NORM}


# --- activations: of the n numbers at z, in place; the derivative goes to d ------------------------------------------


@compiled
def activate(s, layer, n, exponents):
    """A layer's rows, in place; the derivatives into its rows of slopes."""
    kind = layer[ACTIVATION]
    for j in range(layer[N_OUT]):
        z, d = layer[OUTPUT] + j * ROW, layer[SLOPE] + j * ROW
        if kind == RELU:
            _relu(s, z, d, n)
        elif kind == TANH:
            _tanh(s, z, d, n, exponents[2])
        elif kind == SIGMOID:
            _sigmoid(s, z, d, n, exponents)
        elif kind == GELU:
            _gelu(s, z, d, n)
        elif kind == SILU:
            _silu(s, z, d, n, exponents)
        elif kind == LEAKY_RELU:
            _two_slopes(s, z, d, n, 0.01)
        elif kind == ELU:
            _elu(s, z, d, n, exponents[2])
        elif kind == IDENTITY:
            _two_slopes(s, z, d, n, 1.0)
        else:
            raise ValueError("the activation is not in the compiled engine")


@compiled
def _relu(s, z, d, n):
    """NaN stays NaN."""
    zero, one = s.dtype.type(0), s.dtype.type(1)
    for i in range(n):
        x = get(s, z + i)
        put(s, d + i, one if x > zero else zero)
        put(s, z + i, zero if x <= zero else x)


@compiled
def _two_slopes(s, z, d, n, slope):
    """x where x > 0, else slope x: the leaky ReLU and the identity."""
    zero, one, low = s.dtype.type(0), s.dtype.type(1), s.dtype.type(slope)
    for i in range(n):
        x = get(s, z + i)
        factor = one if x > zero else low
        put(s, d + i, factor)
        put(s, z + i, factor * x)


@compiled
def _tanh(s, z, d, n, constants):
    one = s.dtype.type(1)
    tanh(s, z, n, constants)
    for i in range(n):
        y = get(s, z + i)
        put(s, d + i, one - y * y)


@compiled
def _shares(s, z, d, n, exponents):
    """1 / (1 + exp(-x)) of the numbers at z, into d; by exp(-|x|), which does not overflow."""
    zero, one = s.dtype.type(0), s.dtype.type(1)
    for i in range(n):
        put(s, d + i, -abs(get(s, z + i)))
    exp(s, d, n, exponents[0], exponents[1], exponents[2])
    for i in range(n):
        e = get(s, d + i)
        put(s, d + i, (e if get(s, z + i) < zero else one) / (one + e))


@compiled
def _sigmoid(s, z, d, n, exponents):
    one = s.dtype.type(1)
    _shares(s, z, d, n, exponents)
    for i in range(n):
        y = get(s, d + i)
        put(s, z + i, y)
        put(s, d + i, y * (one - y))


@compiled
def _silu(s, z, d, n, exponents):
    one = s.dtype.type(1)
    _shares(s, z, d, n, exponents)
    for i in range(n):
        x, share = get(s, z + i), get(s, d + i)
        put(s, z + i, x * share)
        put(s, d + i, share * (one + x * (one - share)))


@compiled
def _elu(s, z, d, n, constants):
    """exp(x) - 1 = 2 t / (1 - t) with t = tanh(x / 2): for small x no difference is taken."""
    zero, one, half = s.dtype.type(0), s.dtype.type(1), s.dtype.type(0.5)
    for i in range(n):
        x = get(s, z + i)
        put(s, d + i, zero if x > zero else half * x)
    tanh(s, d, n, constants)
    for i in range(n):
        x, t = get(s, z + i), get(s, d + i)
        low = (t + t) / (one - t)
        put(s, z + i, x if x > zero else low)
        put(s, d + i, low + one)  # 1 where x > 0, as t is 0


@compiled
def _gelu(s, z, d, n):
    """x P(x) with P(x) = erfc(-x / sqrt 2) / 2, number by number and in float64."""
    real = s.dtype.type
    for i in range(n):
        x = np.float64(get(s, z + i))
        below = 0.5 * math.erfc(-x * math.sqrt(0.5))
        put(s, z + i, real(x * below))
        put(s, d + i, real(below + x * math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)))


@compiled
def activate_back(s, layer, n):
    """dL/d(the activation's input) from dL/d(its output), in place."""
    for j in range(layer[N_OUT]):
        dz, slope = layer[OUTPUT_GRADIENT] + j * ROW, layer[SLOPE] + j * ROW
        for i in range(n):
            put(s, dz + i, get(s, dz + i) * get(s, slope + i))


# --- norms: of a layer's n examples, in place ------------------------------------------------------------------------


@compiled
def normalise(s, p, layer, n, training):
    """A layer's rows, in place, where it has a norm; with `training` by the batch's statistics."""
    if layer[NORM] == BATCH_NORM:
        _batch(s, p, layer, n, training)
    elif layer[NORM] == LAYER_NORM:
        _layer(s, p, layer, n)


@compiled
def normalise_back(s, p, g, layer, n, more):
    """Back through a norm, in place; its gradients into g or, with `more`, added to it."""
    if layer[NORM] == NO_NORM:
        return
    for j in range(layer[N_OUT]):
        dz, normal = layer[OUTPUT_GRADIENT] + j * ROW, layer[NORMAL] + j * ROW
        dw = db = g.dtype.type(0)
        for i in range(n):
            dw += get(s, dz + i) * get(s, normal + i)
            db += get(s, dz + i)
        scale, shift = layer[SCALE] + j, layer[SHIFT] + j
        if layer[NORM] == BATCH_NORM:
            _batch_back(s, dz, normal, n, p[scale] * get(s, layer[STATISTICS] + 2 * layer[N_OUT] + j), dw, db)
        g[scale] = g[scale] + dw if more else dw
        g[shift] = g[shift] + db if more else db
    if layer[NORM] == LAYER_NORM:
        _layer_back(s, p, layer, n)


@compiled
def _batch(s, p, layer, n, training):
    """Each unit over the batch, or by its running statistics."""
    real, units = s.dtype.type, layer[N_OUT]
    means, variances = layer[STATISTICS], layer[STATISTICS] + units
    momentum, keep, eps = real(NORM_MOMENTUM), real(1 - NORM_MOMENTUM), real(NORM_EPS)
    for j in range(units):
        z, out = layer[OUTPUT] + j * ROW, layer[NORMAL] + j * ROW
        mean, variance = get(s, means + j), get(s, variances + j)
        if training:
            mean = variance = real(0)
            for i in range(n):
                mean += get(s, z + i)
            mean /= real(n)
            for i in range(n):
                off = get(s, z + i) - mean
                variance += off * off
            put(s, means + j, keep * get(s, means + j) + momentum * mean)
            put(s, variances + j, keep * get(s, variances + j) + momentum * (variance / real(n - 1)))
            variance /= real(n)
        r = real(1) / np.sqrt(variance + eps)
        put(s, variances + units + j, r)
        scale, shift = p[layer[SCALE] + j], p[layer[SHIFT] + j]
        for i in range(n):
            normal = (get(s, z + i) - mean) * r
            put(s, out + i, normal)
            put(s, z + i, scale * normal + shift)


@compiled
def _batch_back(s, dz, normal, n, factor, dw, db):
    """A unit's dL/dx = w r (dy - db / n - normal dw / n), with `factor` = w r."""
    real = s.dtype.type
    mean, slant = db / real(n), dw / real(n)
    for i in range(n):
        put(s, dz + i, factor * (get(s, dz + i) - mean - get(s, normal + i) * slant))


@compiled
def _layer(s, p, layer, n):
    """Each example over the units; 1 / deviation is left in the first row of room."""
    real, units = s.dtype.type, layer[N_OUT]
    zero, one, m, eps = real(0), real(1), real(units), real(NORM_EPS)
    z, out, r, mean = layer[OUTPUT], layer[NORMAL], layer[ROOM], layer[ROOM] + ROW
    for i in range(n):
        put(s, mean + i, zero)
        put(s, r + i, zero)
    for j in range(units):
        for i in range(n):
            put(s, mean + i, get(s, mean + i) + get(s, z + j * ROW + i))
    for i in range(n):
        put(s, mean + i, get(s, mean + i) / m)
    for j in range(units):
        for i in range(n):
            off = get(s, z + j * ROW + i) - get(s, mean + i)
            put(s, out + j * ROW + i, off)
            put(s, r + i, get(s, r + i) + off * off)
    for i in range(n):
        put(s, r + i, one / np.sqrt(get(s, r + i) / m + eps))
    for j in range(units):
        scale, shift = p[layer[SCALE] + j], p[layer[SHIFT] + j]
        for i in range(n):
            normal = get(s, out + j * ROW + i) * get(s, r + i)
            put(s, out + j * ROW + i, normal)
            put(s, z + j * ROW + i, scale * normal + shift)


@compiled
def _layer_back(s, p, layer, n):
    """dL/dx_j = r (g_j - mean of g - normal_j mean of (g normal)) with g = w dy."""
    real, units = s.dtype.type, layer[N_OUT]
    zero, m = real(0), real(units)
    dz, normal, r, mean, slant = (
        layer[OUTPUT_GRADIENT],
        layer[NORMAL],
        layer[ROOM],
        layer[ROOM] + ROW,
        layer[ROOM] + 2 * ROW,
    )
    for i in range(n):
        put(s, mean + i, zero)
        put(s, slant + i, zero)
    for j in range(units):
        scale = p[layer[SCALE] + j]
        for i in range(n):
            push = scale * get(s, dz + j * ROW + i)
            put(s, dz + j * ROW + i, push)
            put(s, mean + i, get(s, mean + i) + push)
            put(s, slant + i, get(s, slant + i) + push * get(s, normal + j * ROW + i))
    for i in range(n):
        put(s, mean + i, get(s, mean + i) / m)
        put(s, slant + i, get(s, slant + i) / m)
    for j in range(units):
        for i in range(n):
            rest = get(s, dz + j * ROW + i) - get(s, mean + i) - get(s, normal + j * ROW + i) * get(s, slant + i)
            put(s, dz + j * ROW + i, get(s, r + i) * rest)


# --- skips -----------------------------------------------------------------------------------------------------------


@compiled
def add_rows(s, z, x, a, units, n):
    """The rows a of x, added to those at z."""
    for j in range(units):
        for i in range(n):
            put(s, z + j * ROW + i, get(s, z + j * ROW + i) + get(x, a + j * ROW + i))


@compiled
def add_examples(s, z, inputs, n):
    """inputs (n, units), added to the rows at z."""
    for j in range(inputs.shape[1]):
        for i in range(n):
            put(s, z + j * ROW + i, get(s, z + j * ROW + i) + inputs[i, j])


@compiled
def copy_rows(s, to, a, units, n):
    """The rows at a, to other rows."""
    for j in range(units):
        for i in range(n):
            put(s, to + j * ROW + i, get(s, a + j * ROW + i))
