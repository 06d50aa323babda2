"""The optimizers over flat parameters, as `byhand.optimizers` writes them out."""

from __future__ import annotations

import math

import numpy as np

from paribus.fused.compiled import compiled

SGD, ADAM, ADAMW, RMSPROP = 0, 1, 2, 3


@compiled
def clip(g, limit):
    """Scale the gradients by min(1, limit / (norm + 1e-6)), in place; returns the norm before."""
    total = 0.0
    for i in range(len(g)):
        total += np.float64(g[i]) * np.float64(g[i])
    norm = math.sqrt(total)
    scale = limit / (norm + 1e-6)
    if scale < 1:
        factor = g.dtype.type(scale)
        for i in range(len(g)):
            g[i] *= factor
    return norm


@compiled
def update(kind, p, g, s1, s2, s3, h, lr, t):
    """Move the parameters, in place. `t`: this step's number, from 1.

    `h`: weight decay; momentum, beta1 or alpha; dampening or beta2; eps; RMSprop's momentum; nesterov or centered.
    """
    real = p.dtype.type
    decay, rate, n = real(h[0]), real(lr), len(p)
    if kind == ADAMW:
        keep = real(1 - lr * h[0])
        for i in range(n):
            p[i] *= keep
    elif h[0] != 0:
        for i in range(n):
            g[i] += decay * p[i]
    if kind == SGD:
        momentum = real(h[1])
        if h[1] == 0:
            for i in range(n):
                p[i] -= rate * g[i]
            return
        if t == 1:
            for i in range(n):
                s1[i] = g[i]
        else:
            rest = real(1 - h[2])
            for i in range(n):
                s1[i] = momentum * s1[i] + rest * g[i]
        if h[5] != 0:
            for i in range(n):
                p[i] -= rate * (g[i] + momentum * s1[i])
        else:
            for i in range(n):
                p[i] -= rate * s1[i]
    elif kind == RMSPROP:
        _rmsprop(p, g, s1, s2, s3, h, rate)
    else:
        rest1, beta2, rest2, eps = real(1 - h[1]), real(h[2]), real(1 - h[2]), real(h[3])
        root, first = real(math.sqrt(1 - h[2] ** t)), real(1 - h[1] ** t)
        for i in range(n):
            m = s1[i] + rest1 * (g[i] - s1[i])
            v = beta2 * s2[i] + rest2 * g[i] * g[i]
            s1[i], s2[i] = m, v
            p[i] -= rate * (m / (np.sqrt(v) / root + eps) / first)


@compiled
def _rmsprop(p, g, s1, s2, s3, h, rate):
    real = p.dtype.type
    alpha, rest, eps, momentum = real(h[1]), real(1 - h[1]), real(h[3]), real(h[4])
    for i in range(len(p)):
        s1[i] = alpha * s1[i] + rest * g[i] * g[i]
    if h[5] != 0:
        for i in range(len(p)):
            s2[i] += rest * (g[i] - s2[i])
            g[i] /= np.sqrt(s1[i] - s2[i] * s2[i]) + eps
    else:
        for i in range(len(p)):
            g[i] /= np.sqrt(s1[i]) + eps
    if h[4] != 0:
        for i in range(len(p)):
            s3[i] = momentum * s3[i] + g[i]
            p[i] -= rate * s3[i]
    else:
        for i in range(len(p)):
            p[i] -= rate * g[i]
