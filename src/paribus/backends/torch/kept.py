"""What modules keep, as bytes that can be compared: whether an evaluation changes a module, and whether a checkpoint
holds everything."""

from __future__ import annotations

import copy
import functools
import io
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from paribus.config.identity.library import is_library_class
from paribus.config.user_copies import global_generator


def copied(model: nn.Module, memo: dict[int, Any] | None = None) -> nn.Module:
    """A deep copy of a module, with what `deepcopy` leaves behind: what a module keeps of its last step (a tensor that
    was computed), and the attributes and hooks of parameters.

    `memo`: that of `deepcopy`, for what is copied after it and belongs to the module.
    """
    memo = {} if memo is None else memo
    for module in model.modules():
        for value in vars(module).values():
            _copy_first(value, memo)
    found = copy.deepcopy(model, memo)
    for theirs, mine in zip(model.parameters(), found.parameters(), strict=True):
        vars(mine).update(copy.deepcopy(vars(theirs), memo))
        for hook in (theirs._backward_hooks or {}).values():
            mine.register_hook(hook)  # type: ignore[no-untyped-call]
    return found


def _copy_first(value: Any, memo: dict[int, Any]) -> None:
    """What `deepcopy` refuses, as tensors that were computed, and what it takes long for, as empty dicts."""
    if isinstance(value, Tensor):
        if value.grad_fn is not None:
            memo[id(value)] = value.detach().clone()
    elif type(value) in _CONTAINERS:
        if not value and isinstance(value, dict):
            memo[id(value)] = type(value)()
        for part in value.values() if isinstance(value, dict) else value:
            _copy_first(part, memo)


def is_pytorchs_own(model: nn.Module) -> bool:
    """Whether a module consists of PyTorch's layers alone, without hooks or functions of anybody's: evaluated, they
    write into parameters and buffers at most (`writes`).

    >>> mine = type("Mine", (nn.ReLU,), {})
    >>> is_pytorchs_own(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), is_pytorchs_own(nn.Sequential(mine()))
    (True, False)
    """
    return all(
        type(module).__module__.startswith("torch.nn.modules.")
        and is_library_class(type(module))
        and not any(
            callable(value) or (value and key in _OF_EACH_MODULE and key not in _REGISTRIES)
            for key, value in vars(module).items()
        )
        for module in model.modules()
    )


def changeable(model: nn.Module) -> dict[str, bytes]:
    """What an evaluation might change: attributes, tensors among them, parameters and buffers."""
    found = attributes(model)
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, Tensor):
                found[f"tensor {name}.{key}"] = f"{id(value)} {_version(value)}".encode()
    for name, one in model.named_parameters():  # by its numbers: `weight.data.mul_(0.9)` is not counted
        found[f"parameter {name}"] = f"{id(one)} {one.requires_grad} ".encode() + packed(one)
    return found


def _version(tensor: Tensor) -> int:
    """How often it was written into, as PyTorch counts; an inference tensor is not counted."""
    return 0 if tensor.is_inference() else tensor._version


def writes(modules: Iterable[nn.Module]) -> list[tuple[int, int]]:
    """Which parameters and buffers modules have, and how often each was written into. It is asked at each evaluation:
    `Module.parameters` takes ten times longer."""
    return [
        (id(one), _version(one))
        for module in modules
        for registry in (module._parameters, module._buffers)
        for one in registry.values()
        if one is not None
    ]


def held(model: nn.Module) -> list[Any]:
    """What modules keep beside other modules and tensors."""
    values = [value for module in model.modules() for key, value in vars(module).items() if key not in _REGISTRIES]
    return [value for value in values if not isinstance(value, Tensor | nn.Module | bool | int | float | str)]


def of_parameters(model: nn.Module) -> dict[str, bytes]:
    """What stands in parameters beside their numbers, and in no state dictionary."""
    return {
        f"what the parameter {name} holds": packed(vars(one)) + f" {one.requires_grad}".encode()
        for name, one in model.named_parameters()
    }


def attributes(model: nn.Module, *, of_checkpoint: bool = False) -> dict[str, bytes]:
    """What modules keep in attributes, packed; tensors, which a module keeps to be looked at, are left out. With
    `of_checkpoint` everything that a state dictionary does not hold: tensors too, and buffers that are not persistent;
    without, all buffers."""
    found = {}
    for name, module in model.named_modules():
        in_state = set(module.state_dict(keep_vars=True)) if of_checkpoint else set()
        for key, value in vars(module).items():
            if key in _REGISTRIES or (key in _OF_EACH_MODULE and not value):
                continue
            if isinstance(value, nn.Module) or (isinstance(value, Tensor) and not of_checkpoint):
                continue
            found[f"attribute {'.'.join(filter(None, (name, key)))}"] = packed(value)
        for key, buffer in module.named_buffers(recurse=False):
            if key not in in_state:
                found[f"buffer {'.'.join(filter(None, (name, key)))}"] = packed(buffer)
    return found


def structure(module: nn.Module) -> dict[str, bytes]:
    """The classes of modules, and the shapes and types of their parameters and buffers."""
    found = {f"the class of {name or 'the module'}": repr(type(one)).encode() for name, one in module.named_modules()}
    for name, one in (*module.named_parameters(), *module.named_buffers()):
        found[f"the shape of {name}"] = f"{tuple(one.shape)} {one.dtype} {one.requires_grad}".encode()
    return found


def unlike(module: nn.Module, first: Mapping[str, bytes]) -> str | None:
    """In what a module differs from a first one, `likeness` of it, beside the numbers in its parameters and buffers;
    None where it differs in nothing else."""
    return first_difference(first, likeness(module))


def likeness(module: nn.Module) -> dict[str, bytes]:
    """All that modules of one factory have in common, if they differ in the numbers of parameters and buffers alone."""
    theirs = {f"the {name}": value for name, value in attributes(module).items() if name.startswith("attribute ")}
    return structure(module) | theirs


_OF_EACH_MODULE = set(vars(nn.Module()))
"""What PyTorch keeps in each module, hooks above all; most of it is empty."""

_REGISTRIES = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training"}
_REGISTRIES |= {"_flat_weights", "_flat_weight_refs"}  # a recurrent layer's own parameters once more


_PLAIN, _CONTAINERS = (bool, int, float, str), (dict, OrderedDict, list, tuple, set)


def packed(value: Any) -> bytes:
    """A value as bytes, the same for the same: a tensor or a generator by its numbers, wherever it stands in it.

    PyTorch's own way to pickle a tensor writes where in memory its numbers stand.

    >>> import torch
    >>> packed([torch.zeros(2)]) == packed([torch.zeros(2)]), packed([torch.zeros(2)]) == packed([torch.ones(2)])
    (True, False)
    """
    if value is None or type(value) in _PLAIN or (type(value) in _CONTAINERS and not value):
        return f"{type(value).__name__} {value!r}".encode()  # as most are, such as the hooks of a module that has none
    return _pickled(value, set())


def _pickled(value: Any, seen: set[int]) -> bytes:
    content = io.BytesIO()
    try:
        _pickler()(content).dump(value)
    except Exception:  # whatever is raised by what cannot be pickled, as a lock: which one it is, and what it holds
        if id(value) in seen:
            return b""
        seen.add(id(value))
        inside = value if isinstance(value, _CONTAINERS) else getattr(value, "__dict__", ())
        parts = (*inside.keys(), *inside.values()) if isinstance(inside, dict) else inside
        return f"{type(value).__name__} {id(value)} ".encode() + b" ".join(_pickled(part, seen) for part in parts)
    return content.getvalue()


@functools.cache
def _pickler() -> type[Any]:
    import cloudpickle

    class ByNumbers(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, one: Any) -> Any:
            if (name := global_generator(one)) is not None:  # where it stands is not a part of what holds it
                return str, (name,)
            if isinstance(one, Tensor) and one.layout == torch.strided:
                numbers = one.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
                return _Numbers, (str(one.dtype), tuple(one.shape), numbers.tobytes())
            return super().reducer_override(one)

    return ByNumbers


class _Numbers(tuple):  # type: ignore[type-arg]
    """Stands for a tensor in what is compared; it is never read back."""


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first name under which two differ, to the last bit."""
    for name in dict.fromkeys((*one, *other)):
        mine, theirs = one.get(name), other.get(name)
        if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
            if mine.shape != theirs.shape or not np.array_equal(mine, theirs, equal_nan=True):
                return name
        elif mine != theirs or type(mine) is not type(theirs):
            return name
    return None
