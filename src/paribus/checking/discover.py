"""What there is in a file, or in a notebook, that can be checked; and what is left over, by name."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paribus.checking.isolation import FAILS
from paribus.checking.optimizers import rule_of
from paribus.checking.shapes.operation import required
from paribus.config.overrides import SettingsError
from paribus.config.user_errors import told

ADAPTER = "paribus_check"
_MOST_LETTERS = 3


@dataclass(frozen=True, kw_only=True)
class Found:
    """A thing and its shape: `class`, `object`, `pair`, `loss`, `rule`, `scalar`, `module`, `function` or `unknown`."""

    name: str
    shape: str
    thing: Any
    why: str = ""


def read_names(file: str) -> tuple[str, dict[str, Any]]:
    """The file's module name and what it defines. SettingsError for one that is not there, raises or asks for input."""
    path = Path(file)
    if not path.is_file():
        raise SettingsError([f"there is no file {file}"])
    if path.suffix != ".py":
        raise SettingsError([f"{file} is not a Python file: check takes FILE.py or FILE.py:NAME"])
    folder, name = str(path.resolve().parent), f"paribus_checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, folder)
    before, written = sys.stdin, sys.dont_write_bytecode
    sys.stdin, sys.dont_write_bytecode = io.StringIO(), True
    try:
        with redirect_stdout(sys.stderr):  # --json is alone on standard output
            spec.loader.exec_module(module)
    except EOFError:
        raise SettingsError(
            [f"{file} asks for input when it is imported: put that under if __name__ == '__main__':"]
        ) from None
    except (SyntaxError, *FAILS) as error:
        raise SettingsError([f"{file} cannot be imported: {told(error)}"]) from None
    finally:
        sys.stdin, sys.dont_write_bytecode = before, written
        sys.path.remove(folder)
    return name, vars(module)


def find(names: Mapping[str, Any], home: str | None) -> list[Found]:
    """Everything of the file's own, in its order. `home`: the module's name; None takes all that is given."""
    own = {
        name: one
        for name, one in names.items()
        if not name.startswith("__") and (home is None or getattr(one, "__module__", None) == home) and callable(one)
    }
    found, used = list[Found](), set[str]()
    for name, one in own.items():
        if name in used or name == ADAPTER or name.startswith("_"):
            continue
        pair = _pair(name, own)
        if pair is not None:
            used |= {name, pair[0]}
            stem = name.replace("_forward", "").replace("forward_", "")
            found.append(Found(name=stem, shape="pair", thing=(one, own[pair[0]])))
        elif isinstance(one, type):
            found.append(_of_class(name, one))
        elif not _is_backward(name, own):
            found.append(_of_function(name, one))
    if ADAPTER in own:
        made = {one.name: one for one in found}
        for name, one in _adapted(own[ADAPTER]).items():
            made[name] = Found(name=name, shape="object", thing=one)
        return list(made.values())
    return found


def _adapted(adapter: Any) -> dict[str, Any]:
    try:
        returned = adapter()
    except FAILS as error:
        raise SettingsError([f"{ADAPTER}() raises {told(error)}"]) from None
    if isinstance(returned, dict):
        return returned
    several = returned if isinstance(returned, list | tuple) else [returned]
    return {type(one).__name__: one for one in several}


def _pair(name: str, own: Mapping[str, Any]) -> tuple[str] | None:
    for a, b in (("forward", "backward"), ("fwd", "bwd"), ("forward", "grad")):
        other = name.replace(a, b)
        if a in name and other in own and not isinstance(own[name], type):
            return (other,)
    for other in (f"{name}_backward", f"{name}_grad", f"d_{name}", f"d{name}", f"backward_{name}"):
        if other in own and len(required(own[other]) or []) == 2 and not isinstance(own[name], type):
            return (other,)
    return None


def _is_backward(name: str, own: Mapping[str, Any]) -> bool:
    return any(name == (pair or ("",))[0] for pair in (_pair(one, own) for one in own))


def _of_class(name: str, cls: type) -> Found:
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(cls, torch.nn.Module | torch.autograd.Function):
        return Found(name=name, shape="module", thing=cls)
    if torch is not None and issubclass(cls, torch.optim.Optimizer):
        return Found(name=name, shape="rule", thing=cls)
    if vars(cls).get("_is_protocol", False):
        return Found(name=name, shape="unknown", thing=cls, why="it is a protocol: it says what others do")
    if getattr(cls, "__abstractmethods__", None):
        return Found(name=name, shape="unknown", thing=cls, why="it is abstract")
    if hasattr(cls, "backward") and (
        any("__call__" in vars(one) or "forward" in vars(one) for one in cls.__mro__[:-1])
    ):
        if hasattr(cls, "__add__") and hasattr(cls, "__mul__"):
            return Found(name=name, shape="scalar", thing=cls)
        if any(
            getattr(getattr(cls, one, None), "__code__", None) and _raises(getattr(cls, one))
            for one in ("forward", "backward")
        ):
            return Found(name=name, shape="unknown", thing=cls, why="its forward or backward is not written yet")
        return Found(name=name, shape="class", thing=cls)
    if hasattr(cls, "backward") and hasattr(cls, "__add__"):
        return Found(name=name, shape="scalar", thing=cls)
    if any(hasattr(cls, one) for one in ("step", "update")):
        return Found(name=name, shape="rule", thing=cls)
    why = "it has no forward with backward, nor a step"
    if callable(getattr(cls, "loss", None)):
        why = (
            "its gradients come from loss(x, y) alone, without a backward: paribus compare ... implementation=FILE:NAME "
            "compares them with central differences"
        )
    return Found(name=name, shape="unknown", thing=cls, why=why)


def _raises(function: Any) -> bool:
    return "NotImplementedError" in function.__code__.co_names


def _of_function(name: str, function: Any) -> Found:
    names = required(function) or []
    if rule_of(name) and len(names) >= 2:
        return Found(name=name, shape="rule", thing=function)
    if any(word in name.lower() for word in ("loss", "entropy", "nll", "mse", "bce")) and len(names) == 2:
        return Found(name=name, shape="loss", thing=function)
    return Found(name=name, shape="unknown", thing=function, why=f"a function without a {name}_backward beside it")
