"""A user's module as a graph, by `torch.fx`; and what stands in no graph, as hooks and shared parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from paribus.backends.torch.kept import changeable, first_difference
from paribus.config.user_errors import RAISED, told
from paribus.training.randomness import other_states


class NotLowered(ValueError):  # noqa: N818 (an answer, in words of ours)
    """Why a module cannot be trained by the compiled engine."""


NORMS = (nn.BatchNorm1d, nn.LayerNorm)
ACTIVATIONS = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.LeakyReLU: "leaky_relu",
    nn.ELU: "elu",
}
LAYERS = (nn.Linear, *NORMS, *ACTIVATIONS)
"""What a graph has as one node each, a user's subclass of it too."""


def check_parts(module: nn.Module) -> None:
    """What stands in no graph: hooks, shared or frozen parameters, other types."""
    if torch.nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        raise NotLowered("there are hooks on all modules")
    for name, one in module.named_modules():
        called = f"{name or 'the module'} ({type(one).__name__})"
        if any(value for key, value in vars(one).items() if key.endswith("_hooks")):
            raise NotLowered(f"{called} has hooks")
        if "forward" in vars(one):
            raise NotLowered(f"the forward of {called} was replaced")
    every = list(module.named_parameters(remove_duplicate=False))
    first: dict[int, str] = {}
    for name, parameter in every:
        if (before := first.setdefault(id(parameter), name)) != name:
            raise NotLowered(f"{before} and {name} are one parameter")
        if type(parameter) is not nn.Parameter:
            raise NotLowered(f"{name} is a {type(parameter).__name__}, not a Parameter")
        if not parameter.requires_grad:
            raise NotLowered(f"{name} is frozen (requires_grad=False)")
        if parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None):
            raise NotLowered(f"{name} has hooks")


class _Whole(nn.Module):
    """Calls the module, which then is a layer itself if it is one of PyTorch's."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Any:
        return self.module(x)


PREFIX = "module"


class _Tracer(fx.Tracer):
    """A user's subclass of a layer is told of by its name, and not read."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LAYERS) or super().is_leaf_module(m, module_qualified_name)


def traced(module: nn.Module) -> tuple[fx.Graph, dict[str, nn.Module]]:
    """The graph of its forward in training, which has to be that in evaluation, and its layers by their names there."""
    whole, graphs = _Whole(module), []
    modes = {one: one.training for one in module.modules()}
    before, drawn = changeable(module), (other_states(), torch.random.get_rng_state())
    try:
        for training in (True, False, True):  # twice the same, so that one which changes from call to call is seen
            whole.train(training)
            if any(one.training != training for one in whole.modules()):
                raise NotLowered("a part of it stays in evaluation, or in training, whatever the whole is in")
            graphs.append(_Tracer().trace(whole))
    except NotLowered:
        raise
    except RAISED as error:
        raise NotLowered(f"torch.fx cannot read its forward: {_in_words(told(error))}") from None
    finally:
        for one, training in modes.items():
            one.training = training
    states, rng = drawn
    if other_states() != states or not torch.equal(torch.random.get_rng_state(), rng):
        raise NotLowered("its forward draws random numbers")
    if (name := first_difference(before, changeable(module))) is not None:
        raise NotLowered(f"its forward changes the {name}")
    first, *others = ([_spelled(node) for node in graph.nodes] for graph in graphs)
    if first != others[0]:
        raise NotLowered("its forward is another in training than in evaluation")
    if first != others[1]:
        raise NotLowered("its forward is another from call to call")
    return graphs[0], dict(whole.named_modules())


_OF_VALUES = (
    "symbolically traced variables cannot be used as inputs to control flow",
    "Proxy object cannot be iterated",
)


def _in_words(text: str) -> str:
    """What torch.fx says, shorter."""
    if any(one in text for one in _OF_VALUES):
        return "what it does depends on the values of a tensor"
    return text.splitlines()[0][:200]


def _spelled(node: fx.Node) -> tuple[Any, ...]:
    return node.op, node.target, repr(node.args), repr(node.kwargs)
