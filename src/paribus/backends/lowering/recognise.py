"""What a user's module computes, read by `torch.fx`: which perceptron of the compiled engine it is, if it is one.

Nothing is assumed of what is not known: a module is recognised where every node of its graph is one that is listed
here, and every parameter, buffer and attribute of its layers is what the engine has.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from paribus.backends.lowering.trace import ACTIVATIONS, LAYERS, NORMS, PREFIX, NotLowered, check_parts, traced
from paribus.config.architecture import NORM_EPS, NORM_MOMENTUM
from paribus.config.user_errors import RAISED, told
from paribus.fused.network import Network


@dataclass(frozen=True)
class Recognised:
    """`network`: what the module is. `names`: of each parameter and running statistic, as the engine calls it, the
    module's own name."""

    network: Network
    names: Mapping[str, str]


def recognise(module: nn.Module, inputs: tuple[int, ...]) -> Recognised:
    """The perceptron that a module is; NotLowered with the reason where it is none. `inputs`: an example's shape.

    >>> module = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> found = recognise(module, (2, 3))
    >>> print(found.network)
    6 -> 4 tanh -> 2
    >>> found.names["linears.1.bias"]
    '3.bias'
    """
    check_parts(module)
    graph, layers = traced(module)
    found = _Reader(layers, inputs).read(graph)
    names = found.names(module)
    left = [name for name, _ in (*module.named_parameters(), *module.named_buffers()) if name not in names.values()]
    if left := [name for name in left if not name.endswith("num_batches_tracked")]:
        raise NotLowered(f"its forward does not use {left[0]}")
    return Recognised(found.network(), names)


_AS_THE_ENGINE: dict[str, Any] = {"approximate": "none", "negative_slope": 0.01, "alpha": 1.0}
"""Parameters of activations; whether one writes in place makes no difference."""


@dataclass
class _Layer:
    """One on its way: its linear layer, the node that it is given, and what has followed until now."""

    linear: str
    source: fx.Node
    sizes: tuple[int, int]
    norm: str = ""
    norm_kind: str = "none"
    activation: str | None = None
    skip: bool = False


@dataclass
class _Reader:
    """Reads a graph node by node. `current`: the node that holds what has been computed; all else is refused but the
    input of the layer, which a residual addition takes."""

    modules: Mapping[str, nn.Module]
    inputs: tuple[int, ...]
    layers: list[_Layer] = field(default_factory=list)
    current: fx.Node | None = None
    given: dict[fx.Node, Any] = field(default_factory=dict)
    """Before the first layer: each node's value for a few examples."""
    done: bool = False

    _EXAMPLES = 3

    def read(self, graph: fx.Graph) -> _Reader:
        """All of it."""
        for node in graph.nodes:
            if self.done:
                raise NotLowered(f"there is {_called(node, self.modules)} after its output")
            match node.op:
                case "placeholder":
                    self._begin(node)
                case "output":
                    self._end(node)
                case "call_module":
                    self._module(node)
                case "call_function" | "call_method":
                    self._function(node)
                case _:
                    raise NotLowered(f"its forward takes the tensor {_short(node.target)} by itself, not in a layer")
        return self

    def network(self) -> Network:
        """What was read."""
        *hidden, last = self.layers
        sizes = (*(layer.sizes[0] for layer in self.layers), last.sizes[1])
        return Network(
            sizes,
            tuple(layer.activation or "identity" for layer in hidden),
            tuple(layer.norm_kind for layer in hidden),
            tuple(layer.skip for layer in hidden),
        )

    def names(self, module: nn.Module) -> dict[str, str]:
        """The module's name of each parameter and statistic of the engine, in the engine's order."""
        found = {f"linears.{i}.{key}": _joined(layer.linear, key)
                 for i, layer in enumerate(self.layers) for key in ("weight", "bias")}  # fmt: skip
        normed = [(i, layer) for i, layer in enumerate(self.layers) if layer.norm_kind != "none"]
        for keys, kinds in ((("weight", "bias"), ("batch", "layer")), (("running_mean", "running_var"), ("batch",))):
            found |= {f"norms.{i}.{key}": _joined(layer.norm, key)
                      for i, layer in normed if layer.norm_kind in kinds for key in keys}  # fmt: skip
        there = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
        assert there >= {*found.values()}
        return found

    # --- before the first layer ---

    def _begin(self, node: fx.Node) -> None:
        self.current = node
        rows = torch.arange(self._EXAMPLES * math.prod(self.inputs), dtype=torch.float32)
        self.given[node] = rows.reshape(self._EXAMPLES, *self.inputs)

    def _flattens(self, node: fx.Node, compute: Callable[[list[Any], dict[str, Any]], Any]) -> None:
        """A step on the way from an example to its features, as `view(len, -1)`: computed for a few examples."""
        args = [self._value(one) for one in node.args]
        try:
            found = compute(args, {key: self._value(one) for key, one in node.kwargs.items()})
        except RAISED as error:
            raise NotLowered(
                f"{_called(node, self.modules)} does not take {self._EXAMPLES} examples: {told(error)}"
            ) from None
        self.given[node] = found
        if isinstance(found, Tensor):
            self.current = node

    def _value(self, one: Any) -> Any:
        if isinstance(one, fx.Node):
            if one not in self.given:
                raise NotLowered("a shape is taken of what a layer gives")
            return self.given[one]
        return type(one)(self._value(part) for part in one) if isinstance(one, tuple | list) else one

    # --- layers ---

    def _module(self, node: fx.Node) -> None:
        module = self.modules[str(node.target)]
        kind = type(module)
        nothing = kind is nn.Identity or (kind is nn.Dropout and module.p == 0)
        if (nothing or kind is nn.Flatten) and not self.layers:
            self._flattens(node, lambda args, kwargs: module(*args, **kwargs))
            return
        self._follows(node)
        if nothing:
            self.current = node
        elif kind is nn.Linear:
            self._linear(node, module)  # type: ignore[arg-type]
        elif kind in NORMS:
            self._norm(node, module)
        elif kind in ACTIVATIONS:
            self._activation(node, ACTIVATIONS[kind], vars(module))
        elif kind is nn.Dropout:
            raise NotLowered(
                f"{_short(node.target)} (Dropout) draws its masks from PyTorch's generator, and the compiled engine "
                "cannot draw the same"
            )
        else:
            self._refuse(node)

    def _function(self, node: fx.Node) -> None:
        what = node.target
        if not self.layers and (what in _FLATTENING or (node.op == "call_function" and what in _OF_SHAPES)):
            self._flattens(node, lambda args, kwargs: _compute(node, args, kwargs))
        elif what in _ADDS:
            self._add(node)
        elif what in _FUNCTIONS:
            if len(node.args) != 1:
                raise NotLowered(f"{_called(node, self.modules)} is given more than its input")
            self._follows(node)
            self._activation(node, _FUNCTIONS[what], node.kwargs)
        else:
            self._refuse(node)

    def _refuse(self, node: fx.Node) -> None:
        """What the engine has not, in words."""
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            for known in LAYERS:
                if isinstance(module, known):
                    raise NotLowered(
                        f"{_short(node.target)} is a {type(module).__name__}, a subclass of nn.{known.__name__}"
                    )
        raise NotLowered(f"the compiled engine has no {_called(node, self.modules)}")

    def _follows(self, node: fx.Node) -> None:
        """That it is given what has been computed, and nothing else."""
        if list(node.all_input_nodes) != [self.current]:
            raise NotLowered(
                f"{_called(node, self.modules)} is not given what comes before it: layers have to follow each other"
            )

    def _layer(self, node: fx.Node) -> _Layer:
        if not self.layers:
            raise NotLowered(f"{_called(node, self.modules)} comes before the first linear layer")
        return self.layers[-1]

    def _linear(self, node: fx.Node, module: nn.Linear) -> None:
        name, source = _short(node.target), self.current
        assert source is not None
        if module.bias is None:
            raise NotLowered(f"{name} has no bias, and each linear layer of the engine has one")
        if any(layer.linear == name for layer in self.layers):
            raise NotLowered(f"{name} is called more than once")
        if not self.layers:
            flat = self.given[source]
            expected = self.given[next(iter(self.given))].reshape(self._EXAMPLES, -1)
            if flat.shape != expected.shape or not torch.equal(flat, expected):
                raise NotLowered(f"{name} is given examples of shape {tuple(flat.shape[1:])}, not all their features")
        self.layers.append(_Layer(name, source, (module.in_features, module.out_features)))
        self.current = node

    def _norm(self, node: fx.Node, module: nn.Module) -> None:
        layer, name = self._layer(node), _short(node.target)
        if layer.norm or layer.activation is not None or layer.skip:
            raise NotLowered(f"{name} does not come right after a linear layer, as a norm of the engine does")
        if any(one.norm == name for one in self.layers):
            raise NotLowered(f"{name} is called more than once")
        for key, value in _norm_settings(module, layer.sizes[1]):
            if getattr(module, key) != value:
                raise NotLowered(f"{name} has {key}={getattr(module, key)}, and the engine {value}")
        for key in ("weight", "bias"):
            if getattr(module, key) is None:
                raise NotLowered(f"{name} has no {key}, and a norm of the engine has both")
        layer.norm, layer.norm_kind = name, "batch" if isinstance(module, nn.BatchNorm1d) else "layer"
        self.current = node

    def _activation(self, node: fx.Node, name: str, settings: Mapping[str, Any]) -> None:
        layer = self._layer(node)
        if layer.activation is not None or layer.skip:
            raise NotLowered(f"{_called(node, self.modules)} does not follow a linear layer or its norm")
        for key, expected in _AS_THE_ENGINE.items():
            if (value := settings.get(key, expected)) != expected:
                raise NotLowered(f"{_called(node, self.modules)} has {key}={value}, and the engine {expected}")
        layer.activation, self.current = name, node

    def _add(self, node: fx.Node) -> None:
        """A residual addition: the layer's output and its input, in any order."""
        layer = self._layer(node)
        if len(node.args) != 2 or node.kwargs or {*node.args} != {self.current, layer.source} or layer.skip:
            raise NotLowered(f"{_called(node, self.modules)} adds something else than the input of the layer before it")
        if layer.sizes[0] != layer.sizes[1]:
            raise NotLowered(f"{_called(node, self.modules)} adds {layer.sizes[0]} numbers to {layer.sizes[1]}")
        layer.skip, self.current = True, node

    def _end(self, node: fx.Node) -> None:
        if not self.layers:
            raise NotLowered("there is no linear layer in it")
        self._follows(node)
        if node.args[0] is not self.current:
            raise NotLowered("it gives more than one tensor")
        last = self.layers[-1]
        if last.norm or last.activation is not None or last.skip:
            what = "a norm" if last.norm else "an activation" if last.activation else "an addition"
            raise NotLowered(f"{what} follows its last linear layer")
        self.done = True


def _norm_settings(module: nn.Module, units: int) -> Iterator[tuple[str, Any]]:
    """What a norm of the engine has."""
    yield "eps", NORM_EPS
    if isinstance(module, nn.BatchNorm1d):
        yield from (("momentum", NORM_MOMENTUM), ("affine", True), ("track_running_stats", True))
        yield "num_features", units
    else:
        yield from (("normalized_shape", (units,)), ("elementwise_affine", True))


_ADDS: tuple[Any, ...] = (operator.add, torch.add, "add")
_FLATTENING: tuple[Any, ...] = ("view", "reshape", "flatten", "size", torch.flatten, torch.reshape)
_OF_SHAPES: tuple[Any, ...] = (getattr, operator.getitem, operator.mul)
_FUNCTIONS: dict[Any, str] = {
    torch.relu: "relu",
    functional.relu: "relu",
    "relu": "relu",
    torch.tanh: "tanh",
    functional.tanh: "tanh",
    "tanh": "tanh",
    torch.sigmoid: "sigmoid",
    functional.sigmoid: "sigmoid",
    "sigmoid": "sigmoid",
    functional.gelu: "gelu",
    functional.silu: "silu",
    functional.leaky_relu: "leaky_relu",
    functional.elu: "elu",
}


def _compute(node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> Any:
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    if node.target is getattr and args[1:] != ["shape"]:
        raise NotLowered(f"its forward reads .{args[1]} of its input")
    return node.target(*args, **kwargs)


def _called(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    """A node, as its user knows it."""
    if node.op == "call_module":
        return f"{_short(node.target)} ({type(modules[str(node.target)]).__name__})"
    if node.op == "call_method":
        return f".{node.target}()"
    return f"{getattr(node.target, '__name__', node.target)}()"


def _short(target: Any) -> str:
    """Without the name that the module has in `_Whole`."""
    found = str(target).removeprefix(PREFIX).removeprefix(".")
    return found or "the module"


def _joined(name: str, key: str) -> str:
    return key if name == "the module" else f"{name}.{key}"
