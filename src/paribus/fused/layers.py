"""A layer forward and backward, feature-major: the example is the innermost index, so that loops vectorise.

`s`: the run's rows (`rows.py`); `a`, `z`: where the rows of a layer's inputs and outputs begin, `da`, `dz`: those of
the loss's gradients with respect to them. `w`, `b`: where the layer's weights, (out, in), and biases begin in the flat
parameters `p` and their gradients `g`. Small layers are loops in tiles of 2 x 4, which keep both of a core's
multipliers busy; wide ones are BLAS.
"""

from __future__ import annotations

import numpy as np

from paribus.fused.compiled import compiled
from paribus.fused.rows import ROW, get, put


@compiled
def forward(p, w, b, x, a, s, z, n_in, n_out, n, hidden):
    """z_j = b_j + sum_k W_jk x_k, and max(z_j, 0) of a hidden layer; NaN stays NaN. `x`: where the rows `a` lie."""
    zero = s.dtype.type(0)
    for j in range(0, n_out - 1, 2):
        y = z + j * ROW
        _forward_two(p, w + j * n_in, w + (j + 1) * n_in, p[b + j], p[b + j + 1], x, a, s, y, n_in, n)
        if hidden:
            for i in range(n):
                value, other = get(s, y + i), get(s, y + ROW + i)
                put(s, y + i, zero if value <= zero else value)
                put(s, y + ROW + i, zero if other <= zero else other)
    if n_out % 2:
        y = z + (n_out - 1) * ROW
        _forward_one(p, w + (n_out - 1) * n_in, p[b + n_out - 1], x, a, s, y, n_in, n)
        if hidden:
            relu(s, y, 1, n)


@compiled
def _forward_two(p, u, v, e, f, x, a, s, z, n_in, n):
    k = 0
    if n_in == 2:  # the plane: in one go
        u0, u1, v0, v1, k = p[u], p[u + 1], p[v], p[v + 1], 2
        for i in range(n):
            x0, x1 = get(x, a + i), get(x, a + ROW + i)
            put(s, z + i, e + u0 * x0 + u1 * x1)
            put(s, z + ROW + i, f + v0 * x0 + v1 * x1)
    else:
        for i in range(n):
            put(s, z + i, e)
            put(s, z + ROW + i, f)
    while k + 4 <= n_in:
        o = a + k * ROW
        u0, u1, u2, u3 = p[u + k], p[u + k + 1], p[u + k + 2], p[u + k + 3]
        v0, v1, v2, v3 = p[v + k], p[v + k + 1], p[v + k + 2], p[v + k + 3]
        for i in range(n):
            x0, x1, x2, x3 = get(x, o + i), get(x, o + ROW + i), get(x, o + 2 * ROW + i), get(x, o + 3 * ROW + i)
            put(s, z + i, get(s, z + i) + u0 * x0 + u1 * x1 + u2 * x2 + u3 * x3)
            put(s, z + ROW + i, get(s, z + ROW + i) + v0 * x0 + v1 * x1 + v2 * x2 + v3 * x3)
        k += 4
    while k < n_in:
        u0, v0 = p[u + k], p[v + k]
        for i in range(n):
            x0 = get(x, a + k * ROW + i)
            put(s, z + i, get(s, z + i) + u0 * x0)
            put(s, z + ROW + i, get(s, z + ROW + i) + v0 * x0)
        k += 1


@compiled
def _forward_one(p, u, e, x, a, s, z, n_in, n):
    for i in range(n):
        put(s, z + i, e)
    k = 0
    while k + 4 <= n_in:
        o = a + k * ROW
        u0, u1, u2, u3 = p[u + k], p[u + k + 1], p[u + k + 2], p[u + k + 3]
        for i in range(n):
            x0, x1, x2, x3 = get(x, o + i), get(x, o + ROW + i), get(x, o + 2 * ROW + i), get(x, o + 3 * ROW + i)
            put(s, z + i, get(s, z + i) + u0 * x0 + u1 * x1 + u2 * x2 + u3 * x3)
        k += 4
    while k < n_in:
        u0 = p[u + k]
        for i in range(n):
            put(s, z + i, get(s, z + i) + u0 * get(x, a + k * ROW + i))
        k += 1


@compiled
def relu(s, z, units, n):
    """max(z, 0), in place; NaN stays NaN."""
    zero = s.dtype.type(0)
    for j in range(units):
        for i in range(n):
            value = get(s, z + j * ROW + i)
            put(s, z + j * ROW + i, zero if value <= zero else value)


@compiled
def weight_gradient(g, w, b, s, a, dz, n_in, n_out, n, more):
    """dL/dW_jk = sum_i dz_ji a_ki, dL/db_j = sum_i dz_ji; with `more` added to what stands there."""
    zero = g.dtype.type(0)
    if not more:
        for k in range(n_in * n_out):
            g[w + k] = zero
        for j in range(n_out):
            g[b + j] = zero
    for j in range(0, n_out - 1, 2):
        _weight_gradient_two(g, w + j * n_in, w + (j + 1) * n_in, b + j, s, a, dz + j * ROW, n_in, n)
    if n_out % 2:
        u, y = w + (n_out - 1) * n_in, dz + (n_out - 1) * ROW
        for k in range(n_in):
            total = zero
            for i in range(n):
                total += get(s, y + i) * get(s, a + k * ROW + i)
            g[u + k] += total
        total = zero
        for i in range(n):
            total += get(s, y + i)
        g[b + n_out - 1] += total


@compiled
def _weight_gradient_two(g, u, v, b, s, a, y, n_in, n):
    zero = g.dtype.type(0)
    s0 = t0 = zero
    for i in range(n):
        s0 += get(s, y + i)
        t0 += get(s, y + ROW + i)
    g[b] += s0
    g[b + 1] += t0
    k = 0
    while k + 4 <= n_in:
        s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = zero
        o = a + k * ROW
        for i in range(n):
            e, f = get(s, y + i), get(s, y + ROW + i)
            x0, x1, x2, x3 = get(s, o + i), get(s, o + ROW + i), get(s, o + 2 * ROW + i), get(s, o + 3 * ROW + i)
            s0 += e * x0
            s1 += e * x1
            s2 += e * x2
            s3 += e * x3
            t0 += f * x0
            t1 += f * x1
            t2 += f * x2
            t3 += f * x3
        g[u + k] += s0
        g[u + k + 1] += s1
        g[u + k + 2] += s2
        g[u + k + 3] += s3
        g[v + k] += t0
        g[v + k + 1] += t1
        g[v + k + 2] += t2
        g[v + k + 3] += t3
        k += 4
    while k + 2 <= n_in:
        s0 = s1 = t0 = t1 = zero
        o = a + k * ROW
        for i in range(n):
            e, f, x0, x1 = get(s, y + i), get(s, y + ROW + i), get(s, o + i), get(s, o + ROW + i)
            s0 += e * x0
            s1 += e * x1
            t0 += f * x0
            t1 += f * x1
        g[u + k] += s0
        g[u + k + 1] += s1
        g[v + k] += t0
        g[v + k + 1] += t1
        k += 2
    if k < n_in:
        s0 = t0 = zero
        for i in range(n):
            x0 = get(s, a + k * ROW + i)
            s0 += get(s, y + i) * x0
            t0 += get(s, y + ROW + i) * x0
        g[u + k] += s0
        g[v + k] += t0


@compiled
def input_gradient(p, w, s, a, da, dz, n_in, n_out, n, scale):
    """da_k = scale [a_k > 0] sum_j W_jk dz_j: back through the layer, and through the ReLU and dropout before it, whose
    output a is 0 where either took the unit. `scale`: 1 / (1 - dropout)."""
    for k in range(0, n_in - 1, 2):
        _input_gradient_two(p, w + k, s, a + k * ROW, da + k * ROW, dz, n_in, n_out, n, scale)
    if n_in % 2:
        zero, u, x, y = p.dtype.type(0), w + n_in - 1, a + (n_in - 1) * ROW, da + (n_in - 1) * ROW
        for i in range(n):
            put(s, y + i, zero)
        for j in range(n_out):
            u0 = p[u + j * n_in]
            for i in range(n):
                put(s, y + i, get(s, y + i) + u0 * get(s, dz + j * ROW + i))
        for i in range(n):
            value = scale * get(s, y + i)
            put(s, y + i, value if get(s, x + i) > zero else zero)


@compiled
def _input_gradient_two(p, u, s, x, y, dz, n_in, n_out, n, scale):
    zero = p.dtype.type(0)
    if n_out == 2:  # two classes: in one go
        u0, u1, v0, v1 = scale * p[u], scale * p[u + n_in], scale * p[u + 1], scale * p[u + n_in + 1]
        for i in range(n):
            e0, e1 = get(s, dz + i), get(s, dz + ROW + i)
            value, other = u0 * e0 + u1 * e1, v0 * e0 + v1 * e1  # before the question: no branch, a selection
            put(s, y + i, value if get(s, x + i) > zero else zero)
            put(s, y + ROW + i, other if get(s, x + ROW + i) > zero else zero)
        return
    j = n_out % 4  # first what is over, so that all the rest are whole tiles
    if j >= 2:
        u0, u1, v0, v1 = p[u], p[u + n_in], p[u + 1], p[u + n_in + 1]
        for i in range(n):
            e0, e1 = get(s, dz + i), get(s, dz + ROW + i)
            put(s, y + i, u0 * e0 + u1 * e1)
            put(s, y + ROW + i, v0 * e0 + v1 * e1)
    else:
        for i in range(n):
            put(s, y + i, zero)
            put(s, y + ROW + i, zero)
    if j % 2:
        u0, v0, q = p[u + (j - 1) * n_in], p[u + (j - 1) * n_in + 1], dz + (j - 1) * ROW
        for i in range(n):
            e0 = get(s, q + i)
            put(s, y + i, get(s, y + i) + u0 * e0)
            put(s, y + ROW + i, get(s, y + ROW + i) + v0 * e0)
    while j + 4 <= n_out:
        o, q = u + j * n_in, dz + j * ROW
        u0, u1, u2, u3 = p[o], p[o + n_in], p[o + 2 * n_in], p[o + 3 * n_in]
        v0, v1, v2, v3 = p[o + 1], p[o + n_in + 1], p[o + 2 * n_in + 1], p[o + 3 * n_in + 1]
        for i in range(n):
            e0, e1, e2, e3 = get(s, q + i), get(s, q + ROW + i), get(s, q + 2 * ROW + i), get(s, q + 3 * ROW + i)
            put(s, y + i, get(s, y + i) + u0 * e0 + u1 * e1 + u2 * e2 + u3 * e3)
            put(s, y + ROW + i, get(s, y + ROW + i) + v0 * e0 + v1 * e1 + v2 * e2 + v3 * e3)
        j += 4
    for i in range(n):
        value, other = scale * get(s, y + i), scale * get(s, y + ROW + i)
        put(s, y + i, value if get(s, x + i) > zero else zero)
        put(s, y + ROW + i, other if get(s, x + ROW + i) > zero else zero)


# --- wide layers: x (n, n_in) is example-major; `room`, `room2` have a place for every unit of every example --------


@compiled
def forward_blas(p, w, b, x, s, z, n_in, n_out, n, room):
    """As `forward`. A wide layer's weights are kept as (n_in, n_out): this way round BLAS is a third faster."""
    out = room[: n_out * n].reshape(n, n_out)
    np.dot(x, p[w : w + n_out * n_in].reshape(n_in, n_out), out)
    for j in range(n_out):
        e = p[b + j]
        for i in range(n):
            put(s, z + j * ROW + i, out[i, j] + e)


@compiled
def weight_gradient_blas(g, w, b, x, s, dz, n_in, n_out, n, more, room, gradients):
    """As `weight_gradient`. `gradients`: room for the layer's weights, where they are added to."""
    delta = room[: n_out * n].reshape(n, n_out)
    for j in range(n_out):
        total = g[b + j] if more else g.dtype.type(0)
        for i in range(n):
            value = get(s, dz + j * ROW + i)
            delta[i, j] = value
            total += value
        g[b + j] = total
    size = n_out * n_in
    if not more:
        np.dot(x.T, delta, g[w : w + size].reshape(n_in, n_out))
        return
    np.dot(x.T, delta, gradients[:size].reshape(n_in, n_out))
    for k in range(size):
        g[w + k] += gradients[k]


@compiled
def input_gradient_blas(p, w, s, a, da, dz, n_in, n_out, n, scale, room, room2):
    """As `input_gradient`."""
    zero = p.dtype.type(0)
    delta, back = room[: n_out * n].reshape(n, n_out), room2[: n_in * n].reshape(n, n_in)
    for j in range(n_out):
        for i in range(n):
            delta[i, j] = get(s, dz + j * ROW + i)
    np.dot(delta, p[w : w + n_out * n_in].reshape(n_in, n_out).T, back)
    for k in range(n_in):
        for i in range(n):
            value = scale * back[i, k]
            put(s, da + k * ROW + i, value if get(s, a + k * ROW + i) > zero else zero)


@compiled
def example_major(s, a, units, n, x):
    """Rows as x (n, units)."""
    for k in range(units):
        for i in range(n):
            x[i, k] = get(s, a + k * ROW + i)
