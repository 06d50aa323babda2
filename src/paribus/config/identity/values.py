"""What values are made of: containers, classes, objects, arrays, generators of random numbers."""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import functools
import hashlib
import logging
import random
import sys
import threading
import types
import typing
import weakref
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, cast

import numpy as np

from paribus.config.identity.library import is_library_class, is_library_module
from paribus.config.identity.parts import Fact, Keyed, Pair, Parts, Unreadable, Untellable
from paribus.config.identity.plain import joined, plain

_LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Event, threading.Semaphore)

_NOT_BEHAVIOUR = {
    "__module__", "__qualname__", "__name__", "__doc__", "__dict__", "__weakref__", "__annotations__",
    "__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__",
    "_abc_impl", "__slotnames__", "__dataclass_params__",
}  # fmt: skip
"""In a class's namespace: where it stands, what it says of itself, and what Python keeps for itself."""

_TYPING = (types.GenericAlias, types.UnionType, typing.TypeVar, typing.ParamSpec)
_DESCRIPTORS = (
    types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType,
)  # fmt: skip


def parts_of(thing: object, introspected: frozenset[str]) -> Parts:
    """What a value is made of; Untellable for one whose state cannot be read."""
    if isinstance(thing, type):
        return _class(thing, introspected)
    for reader in (_plumbing, _container, _global, _callable, _numbers, _known):
        if (found := reader(thing)) is not None:
            return found
    return _object(thing)


def _held(things: Any, where: str = "an item") -> list[tuple[str, object]]:
    return [(where, one) for one in things]


def _dictionary(kind: bytes, values: Any, *, ordered: bool, changeable: bool = True) -> Parts:
    """Keys and values. Keys that are numbers or text are sorted where their order does not count."""
    keys = [plain(key) for key in values]
    if not ordered and all(key is not None for key in keys):
        pairs = sorted(zip(cast("list[bytes]", keys), values.values(), strict=True), key=lambda pair: pair[0])
        held = [(f"the item {key.decode(errors='replace')}", value) for key, value in pairs]
        return Parts(kind + joined(key for key, _ in pairs), held, changeable=changeable)
    if ordered:
        both = [one for pair in values.items() for one in pair]
        return Parts(kind, _held(both), changeable=changeable)
    return Parts(kind, _held(Pair(*pair) for pair in values.items()), ordered=False, changeable=changeable)


def _plumbing(thing: object) -> Parts | None:
    match thing:
        case Unreadable():
            raise Untellable(thing.what)
        case Fact():
            return Parts(b"fact " + thing.words.encode(), [])
        case Keyed():
            return _dictionary(b"dict ", thing.values, ordered=False)
        case Pair():
            return Parts(b"pair", [("a key", thing.key), ("a value", thing.value)])
    return None


def _container(thing: object) -> Parts | None:
    kind = type(thing)
    if kind is list or kind is tuple:
        return Parts(kind.__name__.encode(), _held(thing), changeable=kind is list)
    if kind is set or kind is frozenset:
        return Parts(kind.__name__.encode(), _held(thing), ordered=False, changeable=kind is set)
    if kind is dict:
        return _dictionary(b"ordered dict ", thing, ordered=True)
    if kind is types.MappingProxyType:
        return _dictionary(b"mapping ", thing, ordered=True)
    if kind is bytearray:
        return Parts(b"bytearray " + cast("bytearray", thing), [], changeable=True)
    if kind is memoryview:
        view = cast("memoryview", thing)
        return Parts(joined([b"memoryview", view.format.encode(), repr(view.shape).encode(), view.tobytes()]), [])
    return None


def _global(thing: object) -> Parts | None:
    """The generators that Paribus sets before each step, and the streams of the process: theirs is no state of the
    user's."""
    torch = sys.modules.get("torch")
    if thing is getattr(random, "_inst", None):
        return Parts(b"library random", [])
    if thing is getattr(np.random.mtrand, "_rand", None):
        return Parts(b"library numpy.random", [])
    if torch is not None and thing is torch.default_generator:
        return Parts(b"library torch.random", [])
    for name in ("stdin", "stdout", "stderr"):
        if thing is getattr(sys, name) or thing is getattr(sys, f"__{name}__"):
            return Parts(b"library sys." + name.encode(), []) if thing is not None else None
    return None


def _callable(thing: object) -> Parts | None:
    match thing:
        case functools.partial():
            held = [
                ("its function", thing.func),
                *_held(thing.args, "an argument"),
                ("an argument", Keyed(thing.keywords)),
            ]
            return Parts(b"partial", [*held, ("an attribute", Keyed(vars(thing)))])
        case types.MethodType():
            return Parts(b"method", [("a method", thing.__func__), ("the object of a method", thing.__self__)])
        case staticmethod() | classmethod():
            return Parts(type(thing).__name__.encode(), [("a method", thing.__func__)])
        case property():
            return Parts(b"property", _held((thing.fget, thing.fset, thing.fdel), "a property"))
        case functools.cached_property():
            return Parts(b"cached property", [("a property", thing.func)])
        case types.CellType():
            return Parts(b"cell", [("a variable", thing.cell_contents)] if thing != types.CellType() else [])
        case types.CodeType():
            return Parts(b"code", [("code", types.FunctionType(thing, {}))] if not thing.co_freevars else [])
        case types.BuiltinFunctionType():
            return _builtin(thing)
        case types.MethodWrapperType():
            return Parts(b"method " + thing.__name__.encode(), [("the object of a method", thing.__self__)])
    if isinstance(thing, _DESCRIPTORS):
        return Parts(f"descriptor {type(thing).__name__} {thing.__name__}".encode(), [])
    if callable(thing) and (inside := _wrapped(thing)):
        options = getattr(thing, "targetoptions", None)  # Numba's
        return Parts(b"wrapper", [("its class", type(thing)), ("its function", inside), ("its options", options)])
    return None


def _builtin(thing: types.BuiltinFunctionType) -> Parts:
    """A compiled function: by its name; a method of an object with that object; in a module of the user's, with the
    bytes of the file that it was compiled to."""
    owner = thing.__self__
    if owner is not None and not isinstance(owner, types.ModuleType):
        return Parts(b"method " + thing.__name__.encode(), [("the object of a method", owner)])
    name = f"{thing.__module__}.{thing.__qualname__}"
    module = sys.modules.get(str(thing.__module__))
    if module is None or is_library_module(module):
        return Parts(b"library " + name.encode(), [])
    return Parts(b"compiled " + thing.__qualname__.encode() + _file_hash(module), [])


def _is_compiled(module: types.ModuleType) -> bool:
    return str(getattr(module, "__file__", "")).endswith(tuple(EXTENSION_SUFFIXES))


def _file_hash(module: types.ModuleType) -> bytes:
    try:
        return hashlib.sha256(Path(str(module.__file__)).read_bytes()).digest()
    except (OSError, AttributeError):
        raise Untellable("something compiled whose file cannot be read") from None


def _wrapped(thing: object) -> object:
    """What a library's object that wraps a function holds inside, as `functools.lru_cache`, Numba, `torch.compile`."""
    if not is_library_class(type(thing)):
        return None
    attributes = getattr(thing, "__dict__", {})
    inside = attributes.get("__wrapped__") or attributes.get("_torchdynamo_orig_callable")
    modules = attributes.get("_modules")
    return modules.get("_orig_mod") if inside is None and isinstance(modules, dict) else inside


def _numbers(thing: object) -> Parts | None:
    """Arrays, tensors, and numbers of NumPy's."""
    if isinstance(thing, np.generic) and type(thing).__module__ == "numpy":
        return Parts(joined([b"number", thing.dtype.str.encode(), thing.tobytes()]), [])
    if type(thing) is np.dtype or isinstance(thing, np.dtype):
        return Parts(joined([b"dtype", thing.str.encode(), repr(thing.descr).encode()]), [])
    if isinstance(thing, np.ufunc):
        return Parts(b"library numpy." + thing.__name__.encode(), [])
    if isinstance(thing, np.ndarray):
        facts = (thing.dtype.str, thing.dtype.descr if thing.dtype.names else "", thing.shape)
        head = joined([b"array", repr(facts).encode()])
        held: list[tuple[str, object]] = []
        if type(thing) is not np.ndarray:
            held = [("its class", type(thing)), *_own_state(thing)]
        if thing.dtype.hasobject:
            return Parts(head, [*held, *_held(thing.tolist())], changeable=True)
        return Parts(head + hashlib.sha256(np.ascontiguousarray(thing).tobytes()).digest(), held, changeable=True)
    torch = sys.modules.get("torch")  # PyTorch's things come from an imported PyTorch
    if torch is None:
        return None
    if isinstance(thing, torch.Tensor):
        return _tensor(thing, torch)
    if isinstance(thing, torch.Generator):
        state = thing.get_state().numpy().tobytes()
        return Parts(joined([b"generator", str(thing.device).encode(), state]), [], changeable=True)
    if isinstance(thing, torch.nn.Module):
        return _module(thing)
    if isinstance(thing, torch.dtype | torch.device | torch.layout | torch.memory_format):
        return Parts(b"library " + repr(thing).encode(), [])
    return None


def _tensor(thing: Any, torch: Any) -> Parts:
    facts = (str(thing.dtype), tuple(thing.shape), thing.device.type, thing.requires_grad, str(thing.layout))
    head = joined([b"tensor", repr(facts).encode()])
    held: list[tuple[str, object]] = [("its class", type(thing))]
    held += [("an attribute", Keyed(vars(thing)))] if getattr(thing, "__dict__", None) else []
    if thing.device.type == "meta":
        return Parts(head, held, changeable=True)
    try:
        dense = thing.detach().cpu().to_dense() if thing.layout != torch.strided else thing.detach().cpu()
        content = dense.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise Untellable(f"a tensor whose values cannot be read ({error})") from None
    return Parts(head + hashlib.sha256(content).digest(), held, changeable=True)


def _module(thing: Any) -> Parts:
    """A module of PyTorch's: its class and attributes. Hooks are kept under numbers that the process counts, which say
    nothing: their order does."""
    state = [
        (name, tuple(value.values()) if "_hooks" in name and isinstance(value, dict) else value)
        for name, value in sorted(vars(thing).items())
    ]
    return Parts(
        b"nn.Module " + joined(name.encode() for name, _ in state),
        [("its class", type(thing)), *state],
        changeable=True,
    )


def _known(thing: object) -> Parts | None:
    """Objects whose state is no behaviour, or is read in a way of their own."""
    if isinstance(thing, enum.Enum):
        return Parts(b"member " + thing.name.encode(), [("its class", type(thing)), ("its value", thing.value)])
    if isinstance(thing, logging.Logger | logging.LoggerAdapter):
        return Parts(b"logger", [])
    if type(thing) is types.SimpleNamespace:
        return Parts(b"namespace", [("its attributes", Keyed(vars(thing)))], changeable=True)
    if isinstance(thing, _LOCKS):
        return Parts(b"lock " + type(thing).__name__.encode(), [])
    if isinstance(thing, weakref.ref):
        return Parts(b"weak reference", [("what it refers to", thing())])
    if isinstance(thing, dataclasses.Field):
        facts = [name for name in type(thing).__slots__ if name != "type"]
        return Parts(b"field", [(name, getattr(thing, name)) for name in facts])
    if isinstance(thing, _TYPING) or type(thing).__module__ in ("typing", "typing_extensions"):
        return Parts(b"type " + repr(thing).encode(), [])
    return None


def _class(kind: type, introspected: frozenset[str]) -> Parts:
    if is_library_class(kind):
        return Parts(f"class {kind.__module__}.{kind.__qualname__}".encode(), [])
    left_out = _NOT_BEHAVIOUR - introspected
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(kind, torch.autograd.Function):
        left_out = left_out | {"_backward_cls"}  # PyTorch makes it, with a number that counts such classes
    names = sorted(
        name for name in vars(kind)
        if name not in left_out and (not name.startswith("__pydantic_") or name == "__pydantic_fields__")
    )  # fmt: skip
    held: list[tuple[str, object]] = [("the class of a class", type(kind)), *_held(kind.__bases__, "a class")]
    held += [(f"{kind.__name__}.{name}", _member(kind, name)) for name in names]
    module = sys.modules.get(str(kind.__module__))
    if module is not None and _is_compiled(module) and not is_library_module(module):
        held.append(("a compiled class", _file_hash(module)))
    facts = sorted(introspected & {"__name__", "__qualname__", "__module__"})
    held += [("a fact", getattr(kind, fact)) for fact in facts]
    return Parts(b"class " + joined([str(len(kind.__bases__)).encode(), *(name.encode() for name in names)]), held)


def _member(kind: type, name: str) -> object:
    member = vars(kind)[name]
    return Keyed(member) if name in ("__annotations__", "__dataclass_fields__") and type(member) is dict else member


def _object(thing: object) -> Parts:
    """Any other object: its class, and its state."""
    kind = type(thing)
    held: list[tuple[str, object]] = [("its class", kind)]
    reduce = copyreg.dispatch_table.get(kind)
    if reduce is None and _has_own_state(kind):
        try:
            if kind.__reduce__ is object.__reduce__ and kind.__reduce_ex__ is object.__reduce_ex__:
                _check_readable(thing)
        except TypeError:
            raise Untellable(f"{_spoken(kind)}, whose state cannot be read") from None
        return Parts(b"object", [*held, *_base_state(thing), *_own_state(thing)], changeable=True)
    try:
        state: Any = reduce(thing) if reduce else thing.__reduce_ex__(4)
    except Exception:  # whatever a library says of what cannot be stored
        raise Untellable(f"{_spoken(kind)}, whose state cannot be read") from None
    if isinstance(state, str):
        return Parts(b"library " + f"{kind.__module__}.{state}".encode(), held)
    items = [part if i < 3 or part is None else list(part) for i, part in enumerate(state[:5])]
    return Parts(b"object", [*held, *_held(items, "the state of " + _spoken(kind))], changeable=True)


def _spoken(kind: type) -> str:
    return f"an object of the class {kind.__module__}.{kind.__qualname__}"


def _has_own_state(kind: type) -> bool:
    """Whether the state is in `__dict__` and slots, as nothing but a user's class says how it is stored."""
    for method in ("__reduce__", "__reduce_ex__", "__getstate__"):
        definer = next((base for base in kind.__mro__ if method in vars(base)), object)
        if definer not in (object, *_BASES) and is_library_class(definer):
            return False
    return True


def _check_readable(thing: object) -> None:
    """TypeError where an object has a state that is in none of its attributes, as a file or a running generator."""
    kind = type(thing)
    definer = next((base for base in kind.__mro__ if "__getstate__" in vars(base)), object)
    if definer is object and not isinstance(thing, _BASES):
        copyreg_state = cast("Callable[[object, int], Any]", object.__reduce_ex__)
        copyreg_state(thing, 2)


_PLAIN: dict[type, Callable[[Any], object]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__pos__,
    str: str.__str__,
    bytes: lambda one: b"".join([one]),
    bytearray: bytearray.copy,
    tuple: lambda one: (*tuple.__iter__(one),),
    list: list.copy,
    dict: dict.copy,
    set: set.copy,
    frozenset: lambda one: frozenset(set().union(one)),
}
"""The value that an object of a class made from a built-in one is, whatever that class makes of it."""

_BASES = tuple(_PLAIN)


def _base_state(thing: object) -> list[tuple[str, object]]:
    """Of an object whose class is made from a built-in one: the value that it is."""
    for base in _BASES:
        if isinstance(thing, base):
            return [("its value", _PLAIN[base](thing))]
    return []


def _own_state(thing: object) -> list[tuple[str, object]]:
    """The attributes of an object, in `__dict__` and slots."""
    found: list[tuple[str, object]] = []
    for name, value in sorted(getattr(thing, "__dict__", {}).items()):
        found += [("a name", name), (f"its attribute {name}", value)]
    for base in type(thing).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            mangled = (
                f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
            )
            if mangled not in ("__dict__", "__weakref__") and hasattr(thing, mangled):
                found += [("a slot", mangled), (mangled, getattr(thing, mangled))]
    return found
