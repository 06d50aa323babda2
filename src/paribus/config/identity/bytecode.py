"""What a function's bytecode does, without what does not matter to it: lines, docstrings, annotations, names of locals.

Source of the instructions' meaning: the `dis` module's documentation; of the exception table: CPython's
Objects/exception_handling_notes.txt.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType

from paribus.config.identity.plain import joined, plain

_NO_EFFECT = {"NOP", "CACHE", "EXTENDED_ARG", "RESUME", "MAKE_CELL", "COPY_FREE_VARS", "NOT_TAKEN"}
"""Instructions that do nothing, or set up what the others say too."""

_DEFAULTS, _ANNOTATIONS, _CLOSURE = 0x01, 0x04, 0x08
_CLASS_FACTS = {"__module__", "__qualname__", "__doc__", "__firstlineno__"}
"""What the body of a class says about where it stands."""

_KINDS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
_KINDS |= inspect.CO_ASYNC_GENERATOR

BY_NAME = frozenset({"locals", "vars", "eval", "exec", "dir"})
"""Functions that can read variables by their names: where one is called, the names of locals count."""

_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_LOADS = (*_GLOBAL, "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_DEREF", "LOAD_CLASSDEREF")
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What code looks up outside itself: `name`, then attributes of it; or, of an import, the module and what is taken
    from it (None: the module itself)."""

    name: str
    attributes: tuple[str, ...] = ()
    imported: bool = False
    level: int = 0
    taken: tuple[str, ...] | None = None


@dataclass(kw_only=True)
class Bytecode:
    """A code object and those inside it.

    `template`: what it does; `references`: what it looks up, in their order; `free`: the variables of its closure, in
    their order; `names`, `attributes` and `strings`: all global names, names of attributes and texts in it; `keyed`:
    variables that are only asked for single keys (`CONFIG["width"]`), so that the order of their keys has no effect.
    """

    template: bytes = b""
    references: list[Reference] = field(default_factory=list)
    free: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    strings: set[str] = field(default_factory=set)
    keyed: set[str] = field(default_factory=set)


@lru_cache(maxsize=4096)  # a code object never changes
def read(code: CodeType, introspected: frozenset[str] = frozenset()) -> Bytecode:
    """The bytecode of a function, normalised. `introspected`: which of `__doc__` and `__name__` count.

    >>> def one(width):
    ...     '''Says what it does.'''
    ...     double: int = 2 * width
    ...     return double
    >>> def two(width: int) -> int:
    ...     twice = 2 * width  # a comment
    ...     return twice
    >>> read(one.__code__).template == read(two.__code__).template
    True
    """
    found = Bytecode()
    named = any(BY_NAME.intersection(each.co_names) for each in _with_those_inside(code))
    reader = _Reader(found, introspected, named=named)
    found.template = reader.code(code, [])
    found.free += sorted({*code.co_freevars} - {*found.free})
    found.keyed = reader.loaded - reader.whole
    return found


def _with_those_inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_those_inside(constant)


def _strings(constants: Sequence[object]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple | frozenset):
            yield from _strings(tuple(constant))


class _Reader:
    def __init__(self, found: Bytecode, introspected: frozenset[str], *, named: bool) -> None:
        self._found, self._introspected, self._named = found, introspected, named
        self._scopes = 0
        self.loaded: set[str] = set()
        self.whole: set[str] = set()

    def code(self, code: CodeType, around: list[_Scope]) -> bytes:
        """One code object. `around`: the scopes of the functions around it, from the outermost."""
        scope = _Scope(self._scopes, code, around, self._found.free, named=self._named)
        self._scopes += 1
        every = list(dis.get_instructions(code))
        kept = self._kept(code, every)
        places = _places(every, kept)
        parts = [_signature(code)]
        if "__name__" in self._introspected:
            parts.append(code.co_name.encode())
        if "__doc__" in self._introspected and code.co_consts:
            parts.append(plain(code.co_consts[0]) or b"")
        for at, one in enumerate(kept):
            self._note(kept, at)
            parts += [one.opname.encode(), self._argument(kept, at, scope, places)]
        for entry in getattr(dis.Bytecode(code), "exception_entries", ()):
            where = (places[entry.start], places[entry.end], places[entry.target], entry.depth, bool(entry.lasti))
            parts.append(repr(where).encode())
        return joined(parts)

    def _argument(self, kept: list[dis.Instruction], at: int, scope: _Scope, places: dict[int, int]) -> bytes:
        one = kept[at]
        if one.opcode in dis.hasconst:
            if isinstance(one.argval, CodeType):
                return self.code(one.argval, [*scope.around, scope])
            self._found.strings.update(_strings((one.argval,)))
            return plain(one.argval) or repr(one.argval).encode()
        if one.opcode in dis.haslocal or one.opcode in dis.hasfree:
            names = one.argval if isinstance(one.argval, tuple) else (one.argval,)
            return joined(scope.variable(str(name)) for name in names)
        if one.opcode in dis.hasname:
            self._refer(kept, at)
            return str(one.argval).encode()
        if one.opcode in dis.hasjrel or one.opcode in dis.hasjabs:
            return b"to %d" % places[one.argval]
        if one.opname in ("MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE"):
            return b"%d" % ((one.arg or 0) & ~_ANNOTATIONS)
        return (one.argval if isinstance(one.argval, str) else str(one.arg)).encode()

    def _refer(self, kept: list[dis.Instruction], at: int) -> None:
        one = kept[at]
        (self._found.attributes if one.opname in _ATTRIBUTE else self._found.names).add(str(one.argval))
        if one.opname in _GLOBAL:
            attributes = []
            for after in kept[at + 1 :]:
                if after.opname not in _ATTRIBUTE:
                    break
                attributes.append(str(after.argval))
            self._found.references.append(Reference(name=str(one.argval), attributes=tuple(attributes)))
        elif one.opname == "IMPORT_NAME":
            level, taken = (before.argval for before in kept[at - 2 : at])
            whole = taken if isinstance(taken, tuple) else None
            reference = Reference(name=str(one.argval), imported=True, level=int(level or 0), taken=whole)
            self._found.references.append(reference)

    def _note(self, kept: list[dis.Instruction], at: int) -> None:
        """Whether a variable is asked for one key, or used as a whole."""
        one = kept[at]
        names = one.argval if isinstance(one.argval, tuple) else (one.argval,)
        if one.opcode in dis.hasconst or not all(isinstance(name, str) for name in names):
            return
        if one.opname.startswith(("STORE_", "DELETE_")) and one.opname not in ("STORE_ATTR", "DELETE_ATTR"):
            self.whole.update(names)
        elif one.opname in _LOADS:
            self.loaded.update(names)
            if not _one_key(kept[at + 1 : at + 3]):
                self.whole.update(names)
        elif one.opcode in dis.haslocal or one.opname == "LOAD_FROM_DICT_OR_DEREF":
            self.whole.update(names)

    def _kept(self, code: CodeType, every: list[dis.Instruction]) -> list[dis.Instruction]:
        """The instructions that count."""
        kept = [one for one in every if one.opname not in _NO_EFFECT]
        left_out: set[int] = set()
        for at, one in enumerate(kept):
            if one.opname == "MAKE_FUNCTION":
                left_out |= _surroundings(kept, at)
            elif one.opname == "STORE_NAME" and one.argval in _CLASS_FACTS - self._introspected and _is_class(code):
                before = kept[at - 1]
                if before.opname in ("LOAD_NAME", "LOAD_CONST"):
                    left_out |= {at - 1, at}
        return [one for at, one in enumerate(kept) if at not in left_out]


class _Scope:
    """The variables of one code object: parameters by their place, others in the order in which they come up."""

    def __init__(self, number: int, code: CodeType, around: list[_Scope], free: list[str], *, named: bool) -> None:
        self.around, self._number, self._free, self._named = around, number, free, named
        self._outside, self._enclosed = {*code.co_freevars}, {*code.co_cellvars}
        self._mine: dict[str, bytes] = {}
        for name in code.co_varnames[: _parameters(code)]:
            self._add(name)

    def _add(self, name: str) -> bytes:
        text = name if self._named else str(len(self._mine))
        return self._mine.setdefault(name, f"{self._number}.{text}".encode())

    def variable(self, name: str) -> bytes:
        """What stands for a variable."""
        if name not in self._outside:
            return self._mine.get(name) or self._add(name)
        for scope in reversed(self.around):
            if name in scope._enclosed:
                return scope.variable(name)
        if name not in self._free:
            self._free.append(name)
        return f"free {name if self._named else self._free.index(name)}".encode()


def _parameters(code: CodeType) -> int:
    stars = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_argcount + code.co_kwonlyargcount + stars


def _signature(code: CodeType) -> bytes:
    """How it can be called: numbers of parameters, and the names of those that can be given by name."""
    by_name = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _KINDS)
    return repr((numbers, by_name)).encode()


def _is_class(code: CodeType) -> bool:
    return not code.co_flags & inspect.CO_OPTIMIZED


def _one_key(after: list[dis.Instruction]) -> bool:
    """Whether the next instructions look up one key that is a constant."""
    if len(after) < 2:
        return False
    first, second = after
    subscript = second.opname == "BINARY_SUBSCR" or (second.opname == "BINARY_OP" and second.argrepr == "[]")
    return first.opcode in dis.hasconst and subscript


def _surroundings(kept: list[dis.Instruction], at: int) -> set[int]:
    """Of a function that is made: the instructions for its annotations, and for the tuple of its closure's cells,
    which lists in the order of names what the code inside says too."""
    flags, after = kept[at].arg or 0, at + 1
    left_out: set[int] = set()
    while after < len(kept) and kept[after].opname == "SET_FUNCTION_ATTRIBUTE":  # Python 3.13 and later
        flags |= kept[after].arg or 0
        left_out |= {after} if kept[after].arg == _ANNOTATIONS else set()
        after += 1
    end = at - 1  # the code itself
    if flags & _CLOSURE:
        start = _expression(kept, end)
        left_out |= {*range(start, end)}
        end = start
    if flags & _ANNOTATIONS:
        left_out |= {*range(_expression(kept, end), end)}
    return left_out


def _expression(kept: list[dis.Instruction], end: int) -> int:
    """Where the expression begins whose value is on the stack just before instruction `end`."""
    pushed, start = 0, end
    while pushed < 1 and start > 0:
        start -= 1
        one = kept[start]
        pushed += dis.stack_effect(one.opcode, one.arg, jump=False)
    return start


def _places(every: list[dis.Instruction], kept: list[dis.Instruction]) -> dict[int, int]:
    """Offset in the bytecode -> place among the instructions that are kept, of the next one where it is left out."""
    offsets = {one.offset: place for place, one in enumerate(kept)}
    places: dict[int, int] = {}
    following = len(kept)
    last = every[-1].offset + 2 if every else 0
    for offset in range(last + 64, -1, -2):  # 64: the last instruction's caches
        following = offsets.get(offset, following)
        places[offset] = following
    return places
