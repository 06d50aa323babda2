"""A module, optimizer or metric of the user's own, known by what it does on a fixed probe.

Two that are written alike may still behave differently, as where a constant comes from a file that is read. Their
behaviour is added to the fingerprint of their code: `UserDefined.behaving`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from paribus.training.behaviour import Digest, metric_behaviour, probe_generators, probe_labels

_EXAMPLES = 8
_STEPS = 3
_RATE = 0.1
_SEED = 20_241


def behaviour(
    thing: Callable[..., Any],
    kind: Literal["model", "optimizer", "metric"],
    *,
    shape: tuple[int, ...] = (),
    classes: int = 2,
    dtype: torch.dtype = torch.float32,
    lr: float | None = None,
    inputs: Tensor | None = None,
) -> str:
    """SHA-256 of what a thing of the user's does, its numbers rounded to 6 significant digits.

    Of a `model`, a function that makes an `nn.Module`: the parameters and buffers that it is born with; its logits in
    evaluation and in training on a batch of 8 inputs of `shape` (or on `inputs`, shape (examples, *shape));
    the gradient of the cross entropy against fixed classes; the parameters and buffers after one step of gradient
    descent, and its logits in evaluation then.
    Of an `optimizer`, a function of parameters (and of `lr`, where it is given): its settings, and the parameters after
    each of 3 steps on fixed gradients.
    Of a `metric`: `training.behaviour.metric_behaviour`.

    All generators (PyTorch's, NumPy's, Python's) are in a fixed state inside and afterwards as they were. The thing is
    called: what else it changes, as a counter or a generator of its own, stays changed. What it raises is raised. A
    small module takes some milliseconds.

    >>> one = behaviour(lambda: nn.Linear(3, 2), "model", shape=(3,))
    >>> one == behaviour(lambda: nn.Linear(3, 2), "model", shape=(3,))
    True
    >>> one == behaviour(lambda: nn.Linear(3, 2, bias=False), "model", shape=(3,))
    False
    """
    if kind == "metric":
        return metric_behaviour(thing, classes)
    digest = Digest()
    with probe_generators() as begin, _as_they_were():
        if kind == "optimizer":
            _probe_optimizer(thing, digest, dtype, lr)
        else:
            x = _inputs(shape, dtype) if inputs is None else inputs.detach().clone()
            _probe_model(thing, digest, x, classes, dtype, begin)
    return digest.hex()


@contextmanager
def _as_they_were() -> Iterator[None]:
    """PyTorch's mode of gradients on inside, and as it was after it."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _inputs(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    values = np.random.Generator(np.random.Philox(_SEED)).normal(size=(_EXAMPLES, *shape))
    return torch.from_numpy(values).to(dtype)


def _probe_model(
    make: Callable[[], Any], digest: Digest, x: Tensor, classes: int, dtype: torch.dtype, begin: Callable[[], None]
) -> None:
    module = make()
    if not isinstance(module, nn.Module):
        raise TypeError(f"its function gave {type(module).__name__}, not an nn.Module")
    module = module.to(dtype).train()
    _add_state(digest, module, "born")
    begin()
    with torch.no_grad():
        _add(digest, "evaluated as born", module.eval()(x.clone()))
    module.train()
    begin()
    logits = module(x.clone())
    _add(digest, "logits", logits)
    cross_entropy(logits, torch.from_numpy(probe_labels(len(x), classes))).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.grad is None:
                digest.say(f"{name} has no gradient")
                continue
            _add(digest, f"gradient of {name}", parameter.grad)
            if parameter.requires_grad:
                parameter.sub_(_RATE * parameter.grad)
        _add_state(digest, module, "after a step")
        begin()
        _add(digest, "evaluated after a step", module.eval()(x.clone()))


def _probe_optimizer(make: Callable[..., Any], digest: Digest, dtype: torch.dtype, lr: float | None) -> None:
    generator = np.random.Generator(np.random.Philox(_SEED))
    shapes = [(4, 3), (4,), (2, 4), (2,)]
    parameters = [nn.Parameter(torch.from_numpy(generator.normal(size=shape)).to(dtype)) for shape in shapes]
    optimizer = make(parameters, **({} if lr is None else {"lr": lr}))
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"its function gave {type(optimizer).__name__}, not a torch.optim.Optimizer")
    for group in optimizer.param_groups:
        numbers = {name: value for name, value in sorted(group.items()) if isinstance(value, bool | int | float | str)}
        digest.say(repr((len(group["params"]), numbers)))
    for step in range(_STEPS):
        for parameter in parameters:
            parameter.grad = torch.from_numpy(generator.normal(size=tuple(parameter.shape))).to(dtype)
        optimizer.step()
        for number, parameter in enumerate(parameters):
            _add(digest, f"parameter {number} after step {step}", parameter)


def _add_state(digest: Digest, module: nn.Module, when: str) -> None:
    for name, parameter in module.named_parameters():
        digest.say(f"{name} {parameter.requires_grad}")
        _add(digest, f"{name} {when}", parameter)
    for name, buffer in module.named_buffers():
        _add(digest, f"{name} {when}", buffer)


def _add(digest: Digest, name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"it gives {type(value).__name__}, not a tensor of logits")
    found = value.detach().cpu()
    digest.add(name, (found.float() if found.dtype == torch.bfloat16 else found).numpy())
