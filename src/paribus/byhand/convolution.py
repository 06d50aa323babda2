"""Layers of images by hand: convolution, max pooling, batch normalisation. `layers` says what a layer is.

A batch of images has shape (examples, channels, height, width). In memory the examples come last: a channel is one row
of height * width * examples numbers, so that a convolution is a product of matrices, a channel's statistics are sums
along a row, and a shift by a pixel copies long runs. Images in any other layout are taken too, at the price of a copy.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike

from paribus.byhand.layers import Array

Shape = tuple[int, ...]


def _rows(x: Array) -> Array:
    """(examples, channels, height, width) -> (channels, height * width * examples)."""
    return x.transpose(1, 2, 3, 0).reshape(x.shape[1], -1)


def _images(rows: Array, shape: Shape) -> Array:
    """(channels, height * width * examples) -> shape (examples, channels, height, width)."""
    examples, channels, height, width = shape
    return rows.reshape(channels, height, width, examples).transpose(3, 0, 1, 2)


def _frame(shape: Shape, padding: int, value: float, dtype: DTypeLike) -> Array:
    """Images of `value` alone, on every side `padding` pixels larger than the shape says."""
    examples, channels, height, width = shape
    whole: Array = np.full((channels, height + 2 * padding, width + 2 * padding, examples), value, dtype)
    return whole.transpose(3, 0, 1, 2)


def _inside(framed: Array, padding: int) -> Array:
    """The images within their frame: a view."""
    height, width = framed.shape[2:]
    return framed[:, :, padding : height - padding, padding : width - padding]


def _padded(x: Array, padding: int, value: float) -> Array:
    framed = _frame(x.shape, padding, value, x.dtype)
    _inside(framed, padding)[...] = x
    return framed


def _windows(x: Array, kernel: int, stride: int = 1) -> Array:
    """[n, c, h, w, i, j] is x[n, c, s h + i, s w + j]: a view, through which x can be written."""
    windows: Array = sliding_window_view(x, (kernel, kernel), axis=(2, 3), writeable=True)
    return windows[:, :, ::stride, ::stride]


def _columns(x: Array, kernel: int, padding: int) -> Array:
    """im2col: every window of x as a column, shape (channels * kernel * kernel, height * width * examples)."""
    windows = _windows(_padded(x, padding, 0.0), kernel)
    return windows.transpose(1, 4, 5, 2, 3, 0).reshape(x.shape[1] * kernel**2, -1)


class Conv2d:
    """Convolution at stride 1 with W of shape (out, in, k, k), b of shape (out,) and p pixels of zeros around x.

        y[n, o, h, w] = b[o] + sum over c, i, j of W[o, c, i, j] x[n, c, h + i - p, w + j - p]

    for h and w from 0 to size + 2 p - k. With X the windows of x as columns (im2col), so that X[(c, i, j), (h, w, n)] =
    x[n, c, h + i - p, w + j - p], and W as a matrix (out, in k k), this is Y = W X + b.

    Backward:  dW = dY X^T,  db = sum over n, h, w of dy,  and

        dx[n, c, h, w] = sum over o, i, j of W[o, c, i, j] dy[n, o, h - i + p, w - j + p]
                       = sum over o, i, j of W[o, c, k - 1 - i, k - 1 - j] dy[n, o, h + i - q, w + j - q]

    with q = k - 1 - p: again a convolution, of dy padded by q, with the kernels turned by 180 degrees and `in` and
    `out` exchanged.

    X is made again for dW instead of kept: it is k k times as large as x.

    Raises ValueError for a padding below 0 or above k - 1.

    Source: K. Chellapilla, S. Puri and P. Simard, High performance convolutional neural networks for document
    processing (2006); `torch.nn.Conv2d`.

    >>> layer = Conv2d(np.ones((1, 1, 3, 3)), np.zeros(1))
    >>> layer.forward(np.ones((1, 1, 2, 3)))[0, 0].tolist()  # how many pixels each window sees
    [[4.0, 6.0, 4.0], [4.0, 6.0, 4.0]]
    >>> layer.backward(np.ones((1, 1, 2, 3))).shape, layer.gradients["bias"].tolist()
    ((1, 1, 2, 3), [6.0])
    """

    def __init__(self, weight: Array, bias: Array, padding: int = 1) -> None:
        self.kernel = weight.shape[-1]
        if not 0 <= padding < self.kernel:
            raise ValueError(f"padding={padding} is not allowed: 0 to {self.kernel - 1}, one less than the kernel")
        self.padding = padding
        self.parameters = {"weight": weight, "bias": bias}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        """x (examples, in, height, width) -> y (examples, out, height + 2 p - k + 1, width + 2 p - k + 1)."""
        self._x = x
        y = self._convolve(x, self.parameters["weight"], self.padding)
        y += self.parameters["bias"][:, None, None]
        return y

    def backward(self, dy: Array) -> Array:
        """dy, of y's shape -> dx, of x's shape."""
        self.backward_to_parameters(dy)
        turned = self.parameters["weight"][:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        return self._convolve(dy, turned, self.kernel - 1 - self.padding)

    def backward_to_parameters(self, dy: Array) -> None:
        """dW and db alone: all that the first layer of a network needs, since nobody asks for dL/d(data)."""
        rows = _rows(dy)
        dw = rows @ _columns(self._x, self.kernel, self.padding).T
        self.gradients = {"weight": dw.reshape(self.parameters["weight"].shape), "bias": rows.sum(axis=1)}

    def _convolve(self, x: Array, weight: Array, padding: int) -> Array:
        out, shrink = len(weight), self.kernel - 1 - 2 * padding
        rows = weight.reshape(out, -1) @ _columns(x, self.kernel, padding)
        return _images(rows, (len(x), out, x.shape[2] - shrink, x.shape[3] - shrink))


class MaxPool2d:
    """The largest of each window of k x k pixels, s apart; p pixels of minus infinity around x never win.

        y[n, c, h, w] = max over i, j of x[n, c, s h + i - p, s w + j - p]

    for h and w from 0 to floor((size + 2 p - k) / s).

    Backward: dy goes to the pixel that won, of equals to the first in the order of (i, j); a pixel that won in several
    windows (they overlap where s < k) gets the sum.

    Raises ValueError for a padding below 0 or above k / 2: a window could lie in the padding alone.

    Source: `torch.nn.MaxPool2d`.

    >>> layer = MaxPool2d(kernel=3, stride=2, padding=1)
    >>> layer.forward(np.array([[[[-1.0, -2.0, -3.0], [-4.0, -5.0, -3.0]]]])).tolist()
    [[[[-1.0, -2.0]]]]
    >>> layer.backward(np.array([[[[10.0, 20.0]]]])).tolist()
    [[[[10.0, 20.0, 0.0], [0.0, 0.0, 0.0]]]]
    """

    def __init__(self, kernel: int = 3, stride: int = 2, padding: int = 1) -> None:
        if not 0 <= 2 * padding <= kernel:
            raise ValueError(f"padding={padding} is not allowed: 0 to {kernel // 2}, half of the kernel")
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        """x (examples, channels, height, width) -> y (examples, channels, fewer rows, fewer columns)."""
        self._shape = x.shape
        windows = _windows(_padded(x, self.padding, -np.inf), self.kernel, self.stride)
        y = windows[..., 0, 0].copy(order="K")
        self._winner = np.zeros_like(y, dtype=np.int32)  # i k + j
        for i, j in np.ndindex(self.kernel, self.kernel):
            challenger = windows[..., i, j]
            np.copyto(self._winner, i * self.kernel + j, where=challenger > y)  # not >=: of equals the first
            np.maximum(y, challenger, out=y)
        return y

    def backward(self, dy: Array) -> Array:
        """dy, of y's shape -> dx, of x's shape."""
        framed = _frame(self._shape, self.padding, 0.0, dy.dtype)
        windows = _windows(framed, self.kernel, self.stride)
        for i, j in np.ndindex(self.kernel, self.kernel):  # at one (i, j) no two windows share a pixel
            windows[..., i, j] += np.where(self._winner == i * self.kernel + j, dy, 0)
        return _inside(framed, self.padding)


class BatchNorm2d:
    """Each channel with mean 0 and variance 1 over the batch, then a scale w and a shift b, both of shape (channels,).

    With m = examples * height * width values x_1 ... x_m in a channel, each channel for itself:

        mu = (1/m) sum x_i,  v = (1/m) sum (x_i - mu)^2,  r = 1 / sqrt(v + eps),  n_i = r (x_i - mu),  y_i = w n_i + b

    While `training`, the running statistics follow, in place, that of the variance with m / (m - 1) v (unbiased):

        running <- (1 - momentum) running + momentum batch

    In evaluation mu and v are the running statistics, constants in x.

    Backward:  db = sum dy_i,  dw = sum dy_i n_i,  and with g_i = dL/dn_i = w dy_i, since x_j moves every n_i through mu
    and v (all sums over i):

        dmu/dx_j = 1/m
        dv/dx_j  = (2/m) sum (x_i - mu) ([i = j] - 1/m) = (2/m) (x_j - mu)            as sum (x_i - mu) = 0
        dr/dx_j  = -(1/2) (v + eps)^(-3/2) dv/dx_j = -(r^3 / m) (x_j - mu) = -(r^2 / m) n_j
        dn_i/dx_j = r ([i = j] - 1/m) + (x_i - mu) dr/dx_j = r ([i = j] - 1/m - n_i n_j / m)   as x_i - mu = n_i / r
        dx_j = sum g_i dn_i/dx_j = r (g_j - (1/m) sum g_i - n_j (1/m) sum g_i n_i)
             = w r (dy_j - db / m - n_j dw / m)

    In evaluation only the first term is there: dx_j = w r dy_j.

    Raises ValueError while training on fewer than two values in a channel, which have no variance.

    Source: S. Ioffe and C. Szegedy, Batch normalization (2015); `torch.nn.BatchNorm2d`.

    >>> layer = BatchNorm2d(np.ones(1), np.zeros(1), np.zeros(1), np.ones(1))
    >>> layer.forward(np.array([[[[1.0, 3.0]]]])).round(4).tolist()  # mean 2, variance 1
    [[[[-1.0, 1.0]]]]
    >>> {name: value.round(4).tolist() for name, value in layer.buffers.items()}
    {'running_mean': [0.2], 'running_var': [1.1]}
    """

    def __init__(
        self,
        weight: Array,
        bias: Array,
        running_mean: Array,
        running_var: Array,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        self.parameters = {"weight": weight, "bias": bias}
        self.gradients: dict[str, Array] = {}
        self.buffers = {"running_mean": running_mean, "running_var": running_var}
        self.momentum, self.eps = momentum, eps
        self.training = True

    def forward(self, x: Array) -> Array:
        """x (examples, channels, height, width) -> y, of the same shape."""
        self._trained = self.training
        rows = _rows(x)
        if self._trained and rows.shape[1] < 2:
            raise ValueError(
                f"x of shape {x.shape} has too few values in a channel for a variance, {rows.shape[1]}: "
                "train on a batch of 2 or more examples"
            )
        mean = rows.mean(axis=1) if self._trained else self.buffers["running_mean"]
        n = rows - mean[:, None]
        variance = np.square(n).mean(axis=1) if self._trained else self.buffers["running_var"]
        if self._trained:
            self._follow(mean, variance, rows.shape[1])
        self._r = 1 / np.sqrt(variance + self.eps)
        n *= self._r[:, None]
        self._n = n
        y = n * self.parameters["weight"][:, None]
        y += self.parameters["bias"][:, None]
        return _images(y, x.shape)

    def backward(self, dy: Array) -> Array:
        """dy -> dx, both of x's shape."""
        rows, m = _rows(dy), self._n.shape[1]
        dw, db = (rows * self._n).sum(axis=1), rows.sum(axis=1)
        self.gradients = {"weight": dw, "bias": db}
        if self._trained:
            rows = rows - self._n * (dw / m)[:, None]
            rows -= (db / m)[:, None]
        return _images(rows * (self.parameters["weight"] * self._r)[:, None], dy.shape)

    def _follow(self, mean: Array, variance: Array, m: int) -> None:
        now: dict[str, Array] = {"running_mean": mean, "running_var": variance * (m / (m - 1))}
        for name, running in self.buffers.items():
            running *= 1 - self.momentum
            running += self.momentum * now[name]


class Flatten:
    """(examples, channels, height, width) -> (examples, channels * height * width), the last axis fastest.

    Backward:  dx is dy in x's shape.

    >>> Flatten().forward(np.zeros((5, 8, 2, 2))).shape
    (5, 32)
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        """Images to rows."""
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy: Array) -> Array:
        """Rows to images."""
        return dy.reshape(self._shape)
