"""What a function, class or object of the user's is made of, followed as far as the user's own code and values go."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from types import CellType, FunctionType, ModuleType
from typing import Any

from paribus.config.identity.bytecode import Bytecode, Reference, read
from paribus.config.identity.graph import Node, graph_hash
from paribus.config.identity.library import is_library_code, is_library_file, is_library_module, is_named
from paribus.config.identity.parts import Fact, Keyed, Parts, Unreadable, Untellable, Whole
from paribus.config.identity.plain import joined, plain
from paribus.config.identity.values import parts_of

INTROSPECTED = frozenset({"__doc__", "__name__", "__qualname__", "__module__", "__annotations__"})
"""Facts about a function or class that count only where code asks for them."""

_ANNOTATION_READERS = {"get_type_hints", "get_annotations", "signature", "getfullargspec"}
_WHOLE_NAMESPACE = {"globals", "eval", "exec"}
_IMPORTERS = {"import_module", "__import__"}

_THIS_PROCESS = os.urandom(16)
"""Stands for what cannot be told: another in each process."""


@dataclass(frozen=True)
class Found:
    """The hash of all that was reached, and why it cannot tell a thing from a changed one, if it cannot."""

    fingerprint: str
    reason: str | None = None


def identify(thing: object) -> Found:
    """The fingerprint of a thing. Facts that only introspection sees are left out unless some code reached asks."""
    introspected: frozenset[str] = frozenset()
    while True:
        walk = Walk(introspected)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's, about reading some attribute of its own
            found = walk.run(thing)
        if walk.introspecting <= introspected:
            return found
        introspected |= walk.introspecting


class Walk:
    """One walk from a thing through all that it holds."""

    def __init__(self, introspected: frozenset[str]) -> None:
        self.introspected = introspected
        self.introspecting: set[str] = set()
        self._nodes: list[Node] = []
        self._numbers: dict[object, int] = {}
        self._waiting: list[tuple[int, object, str]] = []
        self._kept_alive: list[object] = []
        self._reason: str | None = None

    def run(self, thing: object) -> Found:
        """Walk, breadth first, and hash."""
        self._number(thing, "it")
        at = 0
        while at < len(self._waiting):
            number, one, where = self._waiting[at]
            at += 1
            self._fill(self._nodes[number], one, where)
        return Found(graph_hash(self._nodes), self._reason)

    def _number(self, thing: object, where: str) -> int:
        encoded = plain(thing)
        key: object = encoded if encoded is not None else _place(thing)
        if key in self._numbers:
            return self._numbers[key]
        number = self._numbers[key] = len(self._nodes)
        self._nodes.append(Node(encoded or b""))
        if encoded is None:
            self._kept_alive.append(thing)
            self._waiting.append((number, thing, where))
        return number

    def _fill(self, node: Node, thing: object, where: str) -> None:
        try:
            parts = self._code_parts(thing) or parts_of(thing, self.introspected)
        except Untellable as answer:
            parts = self._untellable(where, str(answer))
        except Exception as error:  # whatever an object does when it is looked at
            kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
            parts = self._untellable(where, f"an object of the class {kind}, which cannot be read ({error!r})")
        if parts.changeable:
            node.place = id(thing.values if isinstance(thing, Keyed) else thing)
        # numbers and texts become part of the node: a list of many has no node for each
        encoded = [plain(one) for _, one in parts.held]
        texts = [one or b"" for one in encoded]
        node.own, node.ordered = joined([parts.own, *(texts if parts.ordered else sorted(texts))]), parts.ordered
        rest = [pair for pair, one in zip(parts.held, encoded, strict=True) if one is None]
        node.parts = [self._number(one, name) for name, one in rest]

    def _untellable(self, where: str, what: str) -> Parts:
        self._reason = self._reason or f"{where} is {what}"
        return Parts(b"untellable " + _THIS_PROCESS, [])

    def _code_parts(self, thing: object) -> Parts | None:
        """Of a function or a module; None for anything else."""
        if isinstance(thing, FunctionType):
            return self._library_function(thing) if is_library_code(thing) else self._function(thing)
        if isinstance(thing, ModuleType):
            if is_library_module(thing):
                return Parts(b"library " + thing.__name__.encode(), [])
            return Parts(b"module", [("a module", Whole(vars(thing)))])
        if isinstance(thing, Whole):
            names = sorted(name for name in thing.namespace if not name.startswith("__"))
            own = b"namespace " + joined(name.encode() for name in names)
            return Parts(own, [(f"the global {name}", thing.namespace[name]) for name in names])
        return None

    def _library_function(self, function: FunctionType) -> Parts:
        if is_named(function):  # not by its code, which all functions that one decorator wraps have in common
            return Parts(f"library {function.__module__}.{function.__qualname__}".encode(), [])
        own = f"library {function.__globals__.get('__name__')}.{function.__code__.co_qualname}".encode()
        if inside := vars(function).get("_torchdynamo_orig_callable"):
            return Parts(b"compiled by PyTorch", [("its function", inside)])
        if function.__code__.co_qualname == "singledispatch.<locals>.wrapper":
            return Parts(own, [("its functions", dict(vars(function)["registry"]))])  # not the cache of those called
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        held = [*cells, *_numbered(function.__defaults__ or ()), ("an attribute", Keyed(vars(function)))]
        return Parts(own + b" enclosing", held)

    def _function(self, function: FunctionType) -> Parts:
        code = read(function.__code__, self.introspected)
        self._look_for_introspection(code)
        defaults, by_name = function.__defaults__ or (), function.__kwdefaults__ or {}
        closure = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        held: list[tuple[str, object]] = []
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        held += [(name, _seen(code, name, one)) for name, one in zip(names[-len(defaults) :], defaults, strict=False)]
        held += [(name, _seen(code, name, by_name[name])) for name in sorted(by_name)]
        held += [(name, _seen(code, name, _content(closure[name]))) for name in code.free]
        looked_up = [(one.name, self._looked_up(one, code, function.__globals__)) for one in code.references]
        held += looked_up
        if code.names & _WHOLE_NAMESPACE:
            held.append(("a global", Whole(function.__globals__)))
        of_sys = "sys" in code.names and "modules" in code.attributes
        if of_sys or (code.names | code.attributes) & _IMPORTERS:
            held += self._imported_by_text(code)
        if function.__dict__:
            held.append(("an attribute", Keyed(function.__dict__)))
        facts = [getattr(function, fact, None) for fact in sorted(self.introspected)]
        held += [("a fact", Keyed(fact) if isinstance(fact, dict) else fact) for fact in facts]
        counts = (len(defaults), sorted(by_name), len(code.free), len(looked_up))
        return Parts(b"function " + joined([repr(counts).encode(), code.template]), held)

    def _look_for_introspection(self, code: Bytecode) -> None:
        self.introspecting |= (code.attributes | code.strings) & INTROSPECTED
        if (code.names | code.attributes) & _ANNOTATION_READERS:
            self.introspecting.add("__annotations__")

    def _looked_up(self, reference: Reference, code: Bytecode, namespace: dict[str, Any]) -> object:
        """The value that code finds under a name: through modules of the user's down to the thing that it takes."""
        if reference.imported:
            return _imported(reference, namespace)
        name = reference.name
        if name not in namespace:
            # a fact of Python itself, or a name that does not exist (yet)
            return Fact(f"builtin {name}" if hasattr(builtins, name) else f"undefined {name}")
        value = namespace[name]
        for attribute in reference.attributes:
            if not isinstance(value, ModuleType) or is_library_module(value):
                break
            try:
                value = getattr(value, attribute)
            except AttributeError:
                return Fact(f"undefined {attribute}")
        return _seen(code, name, value)

    def _imported_by_text(self, code: Bytecode) -> Iterable[tuple[str, object]]:
        """Modules that `importlib.import_module("name")` or `sys.modules["name"]` brings, if code has the names."""
        found = [(text, module) for text in sorted(code.strings) if (module := sys.modules.get(text))]
        return found or [("what it imports by name", Unreadable("a module whose name is not a constant"))]


def _place(thing: object) -> object:
    if isinstance(thing, Keyed):
        return ("keyed", id(thing.values))
    if isinstance(thing, Whole):
        return ("whole", id(thing.namespace))
    if isinstance(thing, Fact):
        return thing
    return id(thing)


def _seen(code: Bytecode, name: str, value: object) -> object:
    """A value as a piece of code sees it: a dict of which it only asks for single keys has no order."""
    return Keyed(value) if type(value) is dict and name in code.keyed else value


def _content(cell: CellType) -> object:
    return cell.cell_contents if cell != CellType() else Fact("undefined cell")


def _numbered(values: Iterable[object]) -> list[tuple[str, object]]:
    return [("a default", value) for value in values]


def _imported(reference: Reference, namespace: dict[str, Any]) -> object:
    """What an import inside a function brings. A module of the user's that is not loaded yet is loaded now."""
    package = str(namespace.get("__package__") or str(namespace.get("__name__", "")).rpartition(".")[0])
    name = "." * reference.level + reference.name
    try:
        if reference.level:
            name = importlib.util.resolve_name(name, package)
        spec = None if name in sys.modules else importlib.util.find_spec(name.partition(".")[0])
        if spec is not None and is_library_file(spec.origin or ""):
            return Fact(f"library {name}")
        module = importlib.import_module(name)
    except Exception:  # it is not there, or it raises: the function itself will say so
        return Unreadable(f"the module {name}, which cannot be imported")
    if is_library_module(module) or reference.taken in (None, ("*",)):
        return module
    return tuple(_taken(module, one) for one in reference.taken or ())


def _taken(module: ModuleType, name: str) -> object:
    """What `from module import name` gives: an attribute, or a module inside a package."""
    if not hasattr(module, name):
        try:
            return importlib.import_module(f"{module.__name__}.{name}")
        except Exception:  # as above
            return Fact(f"undefined {name}")
    return getattr(module, name)
