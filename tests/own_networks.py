"""Multilayer perceptrons as people write them by hand in NumPy, each in another way; none knows of Paribus."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Linear:
    """UvA's: parameters and gradients in dicts, weights (out, in)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        self.params = {"weight": np.random.normal(0, 0.0001, (n_out, n_in)), "bias": np.zeros(n_out)}  # noqa: NPY002
        self.grads = {"weight": np.zeros((n_out, n_in)), "bias": np.zeros(n_out)}

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.params["weight"].T + self.params["bias"]

    def backward(self, dout: Array) -> Array:
        self.grads["weight"] = dout.T @ self.x
        self.grads["bias"] = dout.sum(axis=0)
        return dout @ self.params["weight"]


class ReLU:
    def forward(self, x: Array) -> Array:
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dout: Array) -> Array:
        return dout * (self.x > 0)


class Tanh(ReLU):
    def forward(self, x: Array) -> Array:
        self.y = np.tanh(x)
        return self.y

    def backward(self, dout: Array) -> Array:
        return dout * (1 - self.y**2)


class SoftMax:
    def forward(self, x: Array) -> Array:
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y = e / e.sum(axis=1, keepdims=True)
        return self.y

    def backward(self, dout: Array) -> Array:
        return self.y * (dout - (dout * self.y).sum(axis=1, keepdims=True))


class Layers:
    """UvA's MLP(n_inputs, n_hidden, n_classes): a list of layers."""

    activation: Any = ReLU
    linear: Any = Linear

    def __init__(self, n_inputs: int, n_hidden: list[int], n_classes: int) -> None:
        sizes = [n_inputs, *n_hidden]
        self.layers: list[Any] = []
        for n_in, n_out in zip(sizes, n_hidden, strict=False):
            self.layers += [self.linear(n_in, n_out), self.activation()]
        self.layers.append(self.linear(sizes[-1], n_classes))

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout: Array) -> Array:
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


class WithTanh(Layers):
    activation = Tanh


class WithSoftmax(Layers):
    """The softmax stands inside: backward takes dL/d(probabilities)."""

    def __init__(self, n_inputs: int, n_hidden: list[int], n_classes: int) -> None:
        super().__init__(n_inputs, n_hidden, n_classes)
        self.layers.append(SoftMax())


class NaiveSoftmax(SoftMax):
    """It overflows for large numbers."""

    def forward(self, x: Array) -> Array:
        e = np.exp(x)
        self.y = e / e.sum(axis=1, keepdims=True)
        return self.y


class LogSoftmax(Layers):
    """Its outputs are logarithms of probabilities."""

    def forward(self, x: Array) -> Array:
        z = super().forward(x)
        self.log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return self.log_p

    def backward(self, dout: Array) -> Array:
        return super().backward(dout - np.exp(self.log_p) * dout.sum(axis=1, keepdims=True))


class WithNaiveSoftmax(Layers):
    def __init__(self, n_inputs: int, n_hidden: list[int], n_classes: int) -> None:
        super().__init__(n_inputs, n_hidden, n_classes)
        self.layers.append(NaiveSoftmax())


class ShortSoftmax(Layers):
    """The softmax stands inside, and backward takes dL/d(logits) all the same, as the usual short cut has it."""

    def __init__(self, n_inputs: int, n_hidden: list[int], n_classes: int) -> None:
        super().__init__(n_inputs, n_hidden, n_classes)
        self._softmax = SoftMax()

    def forward(self, x: Array) -> Array:
        return self._softmax.forward(super().forward(x))


class Attributes:
    """W and dW in attributes of the layers, weights (in, out), biases as rows; numbers of float32 are kept."""

    class Dense:
        def __init__(self, n_in: int, n_out: int) -> None:
            self.W = (np.random.randn(n_in, n_out) * 0.01).astype(np.float32)  # noqa: NPY002
            self.b = np.zeros((1, n_out), np.float32)
            self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

        def __call__(self, x: Array) -> Array:
            self.x = x
            return x @ self.W + self.b

        def backward(self, dout: Array) -> Array:
            self.dW[...] = self.x.T @ dout
            self.db[...] = dout.sum(axis=0, keepdims=True)
            return dout @ self.W.T

    def __init__(self, sizes: list[int]) -> None:
        self.stack = {f"fc{i}": self.Dense(*pair) for i, pair in enumerate(pairwise(sizes))}

    def __call__(self, x: Array) -> Array:
        self.masks = []
        for i, dense in enumerate(self.stack.values()):
            x = dense(x)
            if i < len(self.stack) - 1:
                self.masks.append(x > 0)
                x = x * self.masks[-1]
        return x

    def backward(self, dout: Array) -> Array:
        for i, dense in reversed(list(enumerate(self.stack.values()))):
            dout = dense.backward(dout * self.masks[i] if i < len(self.masks) else dout)
        return dout


class Param:
    """As an optimizer of one's own wants it."""

    def __init__(self, data: Array) -> None:
        self.data = data
        self.grad = np.zeros_like(data)


class Accumulating(Layers):
    """Parameters with .data and .grad, which add up until they are set to 0."""

    class linear:  # noqa: N801 (see Layers.linear)
        def __init__(self, n_in: int, n_out: int) -> None:
            self.weight, self.bias = Param(np.zeros((n_out, n_in))), Param(np.zeros(n_out))

        def forward(self, x: Array) -> Array:
            self.x = x
            return x @ self.weight.data.T + self.bias.data

        def backward(self, dout: Array) -> Array:
            self.weight.grad += dout.T @ self.x
            self.bias.grad += dout.sum(axis=0)
            return dout @ self.weight.data


class Lists:
    """Nielsen's: lists of weights and biases, an example is a column; what backward returns is their gradients."""

    def __init__(self, sizes: list[int]) -> None:
        self.biases = [np.zeros((n, 1)) for n in sizes[1:]]
        self.weights = [np.zeros((n, m)) for m, n in pairwise(sizes)]

    def forward(self, a: Array) -> Array:
        assert len(a) == self.weights[0].shape[1], "an example is a column"
        self.zs, self.activations = [], [a]
        for w, b in zip(self.weights, self.biases, strict=True):
            z = w @ a + b
            self.zs.append(z)
            a = np.maximum(z, 0) if len(self.zs) < len(self.weights) else z
            self.activations.append(a)
        return a

    def backward(self, delta: Array) -> tuple[list[Array], list[Array]]:
        nabla_b, nabla_w = [], []
        for i in reversed(range(len(self.weights))):
            nabla_b.insert(0, delta.sum(axis=1, keepdims=True))
            nabla_w.insert(0, delta @ self.activations[i].T)
            if i:
                delta = (self.weights[i].T @ delta) * (self.zs[i - 1] > 0)
        return nabla_b, nabla_w


class TwoLayerNet:
    """cs231n's: a dict of parameters, loss(X, y) gives the loss and a dict of gradients, loss(X) the scores."""

    def __init__(
        self, input_dim: int = 3072, hidden_dim: int = 100, num_classes: int = 10, std: float = 1e-3, reg: float = 0.0
    ) -> None:
        self.params = {
            "W1": std * np.random.randn(input_dim, hidden_dim),  # noqa: NPY002
            "b1": np.zeros(hidden_dim),
            "W2": std * np.random.randn(hidden_dim, num_classes),  # noqa: NPY002
            "b2": np.zeros(num_classes),
        }
        self.reg = reg

    def loss(self, X: Array, y: Array | None = None) -> Any:
        p = self.params
        h = np.maximum(X @ p["W1"] + p["b1"], 0)
        scores = h @ p["W2"] + p["b2"]
        if y is None:
            return scores
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs = e / e.sum(axis=1, keepdims=True)
        n = len(X)
        loss = -np.log(probs[np.arange(n), y]).mean() + self.reg * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())
        dscores = probs.copy()
        dscores[np.arange(n), y] -= 1
        dscores /= n
        dh = (dscores @ p["W2"].T) * (h > 0)
        grads = {
            "W1": X.T @ dh + 2 * self.reg * p["W1"],
            "b1": dh.sum(axis=0),
            "W2": h.T @ dscores + 2 * self.reg * p["W2"],
            "b2": dscores.sum(axis=0),
        }
        return loss, grads


class Numbered:
    """One hidden layer; all in attributes W1, b1, dW1, ..., the last layer first; arrays are made anew in backward."""

    def __init__(self, n_in: int, n_hidden: int, n_out: int) -> None:
        self.W2, self.b2 = np.zeros((n_hidden, n_out)), np.zeros(n_out)
        self.W1, self.b1 = np.zeros((n_in, n_hidden)), np.zeros(n_hidden)

    def forward(self, x: Array) -> Array:
        self.x, self.h = x, np.maximum(x @ self.W1 + self.b1, 0)
        return self.h @ self.W2 + self.b2

    def backward(self, dout: Array) -> None:
        self.dW2, self.db2 = self.h.T @ dout, dout.sum(axis=0)
        dh = (dout @ self.W2.T) * (self.h > 0)
        self.dW1, self.db1 = self.x.T @ dh, dh.sum(axis=0)
        self.W1 = self.W1.copy()  # the same numbers in another array


class Book:
    """As in a book of Saito's: lists of all parameters and gradients, gathered from layers that hold them too."""

    class Affine:
        def __init__(self, w: Array, b: Array) -> None:
            self.params = [w, b]
            self.grads = [np.zeros_like(w), np.zeros_like(b)]

        def forward(self, x: Array) -> Array:
            w, b = self.params
            self.x = x
            return x @ w + b

        def backward(self, dout: Array) -> Array:
            self.grads[0][...] = self.x.T @ dout
            self.grads[1][...] = dout.sum(axis=0)
            return dout @ self.params[0].T

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        self.layers = [
            self.Affine(np.zeros((input_size, hidden_size)), np.zeros(hidden_size)),
            ReLU(),
            self.Affine(np.zeros((hidden_size, output_size)), np.zeros(output_size)),
        ]
        self.params: list[Array] = []
        self.grads: list[Array] = []
        for layer in self.layers:
            self.params += getattr(layer, "params", [])
            self.grads += getattr(layer, "grads", [])

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout: Array) -> Array:
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


DEEP: dict[str, Any] = {
    "layers": Layers,
    "softmax": WithSoftmax,
    "short softmax": ShortSoftmax,
    "naive softmax": WithNaiveSoftmax,
    "log-softmax": LogSoftmax,
    "attributes": Attributes,
    "accumulating": Accumulating,
    "lists": Lists,
    "function": lambda inputs, hidden, outputs: Attributes([inputs, *hidden, outputs]),
}
"""Of any number of hidden layers."""


class GradientOnly:
    """As in another book of Saito's: predict(x) gives probabilities, gradient(x, t) the gradients for one-hot t."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        self.net = TwoLayerNet(input_size, hidden_size, output_size)

    @property
    def params(self) -> dict[str, Array]:
        return self.net.params

    def predict(self, x: Array) -> Array:
        return SoftMax().forward(self.net.loss(x))

    def gradient(self, x: Array, t: Array) -> dict[str, Array]:
        assert t.shape == (len(x), self.params["b2"].size), "t is one-hot"
        grads: dict[str, Array] = self.net.loss(x, t.argmax(axis=1))[1]
        return grads


SHALLOW: dict[str, Any] = {"loss": TwoLayerNet, "gradient": GradientOnly, "numbered": Numbered, "book": Book}
"""Of one hidden layer."""
