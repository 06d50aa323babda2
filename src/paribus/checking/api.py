"""`paribus.check`: a file, a class, an object, a function or a pair of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from paribus.checking.build import NotBuiltError, adapter, all_made, of_loss, of_object, of_pair
from paribus.checking.compare import Comparison
from paribus.checking.discover import Found, find, read_names
from paribus.checking.inputs import operation_of
from paribus.checking.isolation import Generators, UsersError, callers_generators
from paribus.checking.optimizers import check_rule
from paribus.checking.result import UNCHECKED, Checked, CheckResult
from paribus.checking.scalars import check_scalar
from paribus.checking.shapes.operation import required
from paribus.config.overrides import SettingsError, near_miss
from paribus.handwritten.construct import takes_sizes

__all__ = ["check", "check_file"]


def check_file(word: str, reference: str | Path | None = None) -> CheckResult:
    """All that FILE or FILE:NAME has. `reference`: a file that is right, whose things of the same name say what is
    meant. SettingsError for what cannot be read.
    """
    file, _, name = word.partition(":") if not Path(word).is_file() else (word, "", "")
    home, names = read_names(file)
    with callers_generators():
        generators = Generators(names)
        found = find(names, home)
        if name:
            known = [one.name for one in found]
            if name not in known:
                raise SettingsError([f"{file} has no {name!r}: {near_miss(name, known)}"])
            found = [_maker(one) for one in found if one.name == name]
        things = [check_found(one, generators) for one in found]
        if reference is not None:
            from paribus.checking.reference import against

            things = against(things, found, str(reference), generators)
    return CheckResult(source=word, things=tuple(things))


def check(thing: Any, *, name: str | None = None, reference: str | Path | None = None) -> CheckResult:
    """Where a hand-written layer, loss or optimizer departs, and the likely mistake.

    `thing`: a class, an object with forward and backward, a pair (forward, backward), a function, a dict of several, or
    the path of a file. The code runs in this process: it is no sandbox. SettingsError for what cannot be taken.

    >>> import numpy as np
    >>> class ReLU:
    ...     def forward(self, x):
    ...         self.x = x
    ...         return np.maximum(x, 0)
    ...     def backward(self, dout):
    ...         return dout * (dout > 0)
    >>> found = check(ReLU)
    >>> found.right, found.things[0].departures[0].code
    (False, 'mask')
    """
    if isinstance(thing, str | Path):
        return check_file(str(thing), reference)
    if reference is not None:
        raise SettingsError(["reference is for a file: paribus.check('mine.py', reference='solution.py')"])
    if isinstance(thing, Mapping):
        if odd := [one for one in thing if not isinstance(one, str)]:
            raise SettingsError([f"a dict of things to check has names as keys, not {odd[0]!r}: {{'ReLU': ReLU}}"])
        return _several(dict(thing))
    if isinstance(thing, ModuleType):
        raise SettingsError([f"{thing.__name__} is a module: give the path of its file, or one of its classes"])
    if isinstance(thing, tuple):
        name = name or getattr(thing[0], "__name__", "operation").replace("_forward", "")
        return _several({}, [Found(name=name, shape="pair", thing=thing)])
    if isinstance(thing, type) or (callable(thing) and hasattr(thing, "__name__")):
        return _several({name or thing.__name__: thing})
    return _several({}, [Found(name=name or type(thing).__name__, shape="object", thing=thing)])


def _maker(found: Found) -> Found:
    """A function that makes a network for sizes is taken as a class is; only where it was asked for, as it is called."""
    thing = found.thing
    makes = found.shape == "unknown" and callable(thing) and not isinstance(thing, type) and takes_sizes(thing)
    return replace(found, shape="class") if makes else found


def _several(names: dict[str, Any], found: list[Found] | None = None) -> CheckResult:
    with callers_generators():
        homes = [getattr(sys.modules.get(getattr(one, "__module__", "")), "__dict__", {}) for one in names.values()]
        generators = Generators({key: one for home in homes for key, one in home.items()})
        things = tuple(check_found(one, generators) for one in (found or map(_maker, find(names, None))))
    return CheckResult(source="Python", things=things)


def check_found(found: Found, generators: Generators) -> Checked:
    """One thing. What its code raises is told; an error of ours is raised."""
    try:
        return _checked(found, generators)
    except NotBuiltError as error:
        return Checked(name=found.name, verdict=UNCHECKED, notes=(str(error),))
    except UsersError as error:
        return Checked(name=found.name, verdict=UNCHECKED, notes=(f"it raises {error}; {adapter(found.name)}",))


def _checked(found: Found, generators: Generators) -> Checked:
    name, thing = found.name, found.thing
    if found.shape == "unknown":
        return Checked(name=name, verdict=UNCHECKED, notes=(found.why,))
    if found.shape == "rule":
        return check_rule(thing, name, generators)
    if found.shape == "scalar":
        return check_scalar(thing, name)
    op = operation_of(name) or (operation_of(type(thing).__name__) if found.shape == "object" else None)
    steps = op == "rnn_step" and found.shape in {"class", "object", "module"}
    if steps and len(required(getattr(thing, "forward", thing)) or []) < (2 + isinstance(thing, type)):
        op = None  # it takes a whole sequence
    if found.shape == "module" or _is_module(thing):
        from paribus.checking.shapes.torch_modules import of_module

        operation, make = of_module(thing, name, op, generators)
    elif found.shape == "pair":
        operation, make = of_pair(thing, name, op, generators)
    elif found.shape == "loss":
        operation, make = of_loss(thing, name, op, generators)
    else:
        return _of_objects(
            [thing] if found.shape == "object" else all_made(thing, name, op, generators), name, op, generators
        )
    return Comparison(name, op, operation, make).result()


def _of_objects(things: Iterable[Any], name: str, op: str | None, generators: Generators) -> Checked:
    """The first that can be driven: the first that could be made need not be one that works."""
    reasons = []
    for thing in islice(things, 4):
        network = None if op == "rnn_step" else _network(thing, name, generators)
        if network is not None:
            return network
        try:
            operation, make = of_object(thing, name, op, generators)
        except NotBuiltError as error:
            reasons.append(error)
            continue
        return Comparison(name, op, operation, make).result()
    raise reasons[0]


def _network(thing: Any, name: str, generators: Generators) -> Checked | None:
    from paribus.checking.networks.compare import check_network

    return check_network(thing, name, generators)


def _is_module(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)
