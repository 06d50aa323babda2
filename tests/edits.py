"""Edits of a user's files: those that change what `build()` gives, and those that do not.

An edit is its title, the files (`=== name.py` begins another; the first is `main.py`), and what is replaced by what.
`build` gives a value that can be printed, so that the tests see whether an edit changes it. A file that is named twice
goes on where it ended.
"""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """An edit: in `files`, `old` becomes `new`."""

    title: str
    files: str
    old: str
    new: str


NET = """
import torch
from torch import nn
class Net(nn.Module):
    width = 3
    scale = {"a": 1.0, "b": [2, 3]}
    def __init__(self, hidden=4):
        super().__init__()
        self.first = nn.Linear(2, hidden)
        self.last = nn.Linear(hidden, self.width)
    @staticmethod
    def squash(x):
        return torch.tanh(x)
    @classmethod
    def make(cls):
        return cls(5)
    @property
    def shift(self):
        return 0.5
    def forward(self, x):
        return self.last(self.squash(self.first(x))) + self.shift
class Deeper(Net):
    def forward(self, x):
        return 2 * super().forward(x)
def build():
    torch.manual_seed(0)
    net = Deeper.make()
    return sum(one.sum().item() for one in net.parameters()), net(torch.ones(1, 2)).sum().item(), net.scale
"""

HELPERS = """
import helpers
from helpers import double, Config, WIDTHS
from package.inner import triple
def build():
    import helpers as again
    from package import deep
    return helpers.single(3), double(3), Config().width, WIDTHS["a"], triple(3), again.unused, deep.VALUE
=== helpers.py
WIDTHS = {"a": 1, "b": 2}
FACTOR = 1
unused = 5
def single(x): return FACTOR * x
def double(x): return single(x) + single(x)
class Config:
    width = 7
=== package/__init__.py
=== package/deep.py
VALUE = 3
=== package/inner.py
from .deep import VALUE
def triple(x): return VALUE * x
"""

VALUES = """
import collections, dataclasses, decimal, enum, fractions, functools, operator, random, types
import numpy as np, torch
from torch import nn
NESTED = {"layers": [{"width": 4}, {"width": (5, 6)}], "names": {"relu", "tanh"}}
ARRAY = np.array([1.0, 2.0])
TENSOR = torch.tensor([3.0, 4.0])
SPACE = types.SimpleNamespace(width=8)
@dataclasses.dataclass
class Settings:
    width: int = 9
    names: list = dataclasses.field(default_factory=lambda: [10])
SETTINGS = Settings()
class Kind(enum.Enum):
    SMALL = 11
    LARGE = 12
KIND = Kind.SMALL
Point = collections.namedtuple("Point", "x y")
POINT = Point(13, 14)
QUEUE = collections.deque([15], maxlen=3)
RANDOM = random.Random(16)
GENERATOR = np.random.default_rng(17)
TORCH = torch.Generator().manual_seed(18)
HELD = nn.Linear(1, 1)
nn.init.constant_(HELD.weight, 19.0)
nn.init.zeros_(HELD.bias)
NORM = nn.BatchNorm1d(1)
NORM.running_mean += 20
class Callable:
    __slots__ = ("by",)
    def __init__(self, by): self.by = by
    def __call__(self, x): return self.by * x
TIMES = Callable(21)
BOUND = TIMES.__call__
def power(x, *, exponent=2): return x ** exponent
PARTIAL = functools.partial(power, exponent=3)
@functools.lru_cache
def cached(x): return x + 22
def decorate(function):
    @functools.wraps(function)
    def inside(x): return function(x) + 23
    return inside
@decorate
def decorated(x): return x + 24
TABLE = {"f": power, "g": lambda x: x + 25}
def build():
    return (NESTED["layers"], sorted(NESTED["names"]), ARRAY.tolist(), TENSOR.tolist(), SPACE.width, SETTINGS.width,
            SETTINGS.names, KIND.value, POINT.x, list(QUEUE), random.Random.getstate(RANDOM)[1][:3],
            GENERATOR.bit_generator.state["state"]["state"], TORCH.initial_seed(), HELD(torch.ones(1, 1)).item(),
            NORM.running_mean.item(), TIMES(1), BOUND(2), PARTIAL(2), cached(1), decorated(1), TABLE["g"](1), ARRAY.dtype.name)
"""

CODE = """
LIMIT = 3
def outer(width, config):
    offset = 10
    def inner(x, scale=2, *, power=1):
        return (x * scale + offset) ** power + width + config["k"]
    return inner
def texts(): return "a" + f"{LIMIT}b"
def build(first=1, *, second=2):
    found = []
    for i in range(LIMIT):
        if i % 2 == 0:
            continue
        found.append(i + 1)
    try:
        1 / 0
    except ZeroDivisionError:
        found.append(100)
    class Local:
        size = 5
        def area(self): return self.size * 4
    def counted():
        for i in range(2):
            yield i
    chosen = [one for one in found if one > 0]
    named = {"one": 1, **{"two": 2}}
    return first, second, outer(6, {"k": 7})(8), texts(), found, Local().area(), list(counted()), chosen, named, 1.0, 0.0, -1
"""

ORDER = """
LAYERS = {"a": 1, "b": 2}
def build(): return list(LAYERS.items())
"""

KEYS = """
WIDTHS = {"a": 1, "b": 2}
def build(): return [WIDTHS["a"], (lambda: WIDTHS["b"])()]
"""

TOOLS = """
import tools
import tools.parts as parts
def build(): return tools.used(1), parts.used(1)
=== tools/__init__.py
def used(x): return x + 1
def unused(x): return x + 2
=== tools/parts.py
def used(x): return x + 3
def unused(x): return x + 4
"""

LATER = """
def build():
    def first(x): return second(x) + offset
    offset = 3
    def second(x): return 2 * x if x else first(x + 1)
    def third():
        def count():
            nonlocal offset
            offset += 1
            return offset
        return count() * count()
    return first(0), third()
"""

STATEFUL = """
class Base:
    step = 1
    def move(self, x): return x + self.step
class Mine(Base):
    def __init__(self): self.at = {"x": 5}
    def __call__(self): return self.move(self.at["x"])
build = Mine()
"""

BASE = """class Base:
    step = 1
    def move(self, x): return x + self.step
"""

TEXTS = 'def texts(): return "a" + f"{LIMIT}b"\n'

CHANGES = [
    Edit("function of a helper package", TOOLS, "x + 1", "x + 5"),
    Edit("function of a package's module", TOOLS, "x + 3", "x + 5"),
    Edit("variable that is set after its function", LATER, "offset = 3", "offset = 4"),
    Edit("function that is made after its caller", LATER, "return 2 * x if", "return 3 * x if x else 1 if"),
    Edit("a variable of the function around is written", LATER, "offset += 1", "offset += 2"),
    Edit("two variables exchanged", LATER, "return count() * count()", "return count() * offset"),
    Edit("class attribute", NET, "width = 3", "width = 4"),
    Edit("nested class attribute", NET, "[2, 3]", "[2, 4]"),
    Edit("default of a method", NET, "cls(5)", "cls()"),
    Edit("argument in a class method", NET, "cls(5)", "cls(6)"),
    Edit("static method", NET, "torch.tanh(x)", "torch.relu(x)"),
    Edit("property", NET, "return 0.5", "return 0.25"),
    Edit("inherited forward", NET, "self.last(self.squash(self.first(x)))", "self.last(self.first(x))"),
    Edit("overriding forward", NET, "2 * super()", "3 * super()"),
    Edit("a method taken away", NET, "    def forward(self, x):\n        return 2 * super().forward(x)", "    pass"),
    Edit("which layer", NET, "nn.Linear(hidden, self.width)", "nn.Linear(hidden, self.width, bias=False)"),
    Edit(
        "base class",
        NET,
        "class Deeper(Net)",
        "class Deeper(type('Other', (Net,), {'squash': staticmethod(torch.relu)}))",
    ),
    Edit("class of the factory", NET, "Deeper.make()", "Net.make()"),
    Edit("function of a helper module", HELPERS, "return FACTOR * x", "return FACTOR * x + 1"),
    Edit("global of a helper module", HELPERS, "FACTOR = 1", "FACTOR = 2"),
    Edit("imported function", HELPERS, "single(x) + single(x)", "single(x) - single(x)"),
    Edit("imported class", HELPERS, "width = 7", "width = 8"),
    Edit("imported dict", HELPERS, '{"a": 1,', '{"a": 3,'),
    Edit("function of a package", HELPERS, "return VALUE * x", "return VALUE + x"),
    Edit("value in a package's module", HELPERS, "VALUE = 3", "VALUE = 4"),
    Edit("module imported inside", HELPERS, "unused = 5", "unused = 6"),
    Edit("nested dict", VALUES, '"width": 4', '"width": 3'),
    Edit("tuple in a list in a dict", VALUES, "(5, 6)", "(5, 7)"),
    Edit("set", VALUES, '"tanh"', '"gelu"'),
    Edit("array", VALUES, "np.array([1.0, 2.0])", "np.array([1.0, 2.5])"),
    Edit("type of an array", VALUES, "np.array([1.0, 2.0])", "np.array([1.0, 2.0], dtype=np.float32)"),
    Edit("tensor", VALUES, "torch.tensor([3.0, 4.0])", "torch.tensor([3.0, 4.5])"),
    Edit("namespace", VALUES, "SimpleNamespace(width=8)", "SimpleNamespace(width=7)"),
    Edit("dataclass's default", VALUES, "width: int = 9", "width: int = 8"),
    Edit("dataclass's factory", VALUES, "lambda: [10]", "lambda: [9]"),
    Edit("dataclass's value", VALUES, "SETTINGS = Settings()", "SETTINGS = Settings(1)"),
    Edit("enum member's value", VALUES, "SMALL = 11", "SMALL = 10"),
    Edit("enum member", VALUES, "KIND = Kind.SMALL", "KIND = Kind.LARGE"),
    Edit("named tuple", VALUES, "Point(13, 14)", "Point(12, 14)"),
    Edit("deque", VALUES, "deque([15]", "deque([16]"),
    Edit("generator of Python's", VALUES, "Random(16)", "Random(15)"),
    Edit("generator of NumPy's", VALUES, "default_rng(17)", "default_rng(16)"),
    Edit("generator of PyTorch's", VALUES, "manual_seed(18)", "manual_seed(17)"),
    Edit("parameter of a held module", VALUES, "19.0", "18.0"),
    Edit("buffer of a held module", VALUES, "running_mean += 20", "running_mean += 19"),
    Edit("slot of a held object", VALUES, "Callable(21)", "Callable(20)"),
    Edit("method of a held object's class", VALUES, "self.by * x", "self.by + x"),
    Edit("keyword of a partial", VALUES, "exponent=3", "exponent=4"),
    Edit("function inside a cache", VALUES, "x + 22", "x + 21"),
    Edit("decorator", VALUES, "function(x) + 23", "function(x) + 22"),
    Edit("decorated function", VALUES, "return x + 24", "return x + 23"),
    Edit("function in a dict", VALUES, "lambda x: x + 25", "lambda x: x + 26"),
    Edit("global number", CODE, "LIMIT = 3", "LIMIT = 4"),
    Edit("integer becomes float", CODE, "first=1", "first=1.0"),
    Edit("integer becomes bool", CODE, "first=1", "first=True"),
    Edit("zero's sign", CODE, "1.0, 0.0, -1", "1.0, -0.0, -1"),
    Edit("float becomes integer", CODE, "1.0, 0.0, -1", "1, 0.0, -1"),
    Edit("keyword default", CODE, "second=2", "second=3"),
    Edit("closure over a number", CODE, "outer(6,", "outer(5,"),
    Edit("closure over a dict", CODE, '{"k": 7}', '{"k": 8}'),
    Edit("variable of the function around", CODE, "offset = 10", "offset = 11"),
    Edit("default of a nested function", CODE, "scale=2", "scale=3"),
    Edit("keyword default of a nested function", CODE, "power=1", "power=2"),
    Edit("operator in a nested function", CODE, "x * scale + offset", "x * scale - offset"),
    Edit(
        "variables exchanged",
        CODE,
        "(x * scale + offset) ** power + width",
        "(x * scale + width) ** power + offset * 2",
    ),
    Edit("formatted text", CODE, "{LIMIT}b", "{LIMIT}c"),
    Edit("comparison", CODE, "i % 2 == 0", "i % 2 != 0"),
    Edit("continue becomes break", CODE, "continue", "break"),
    Edit(
        "what is caught",
        CODE,
        "1 / 0\n    except ZeroDivisionError",
        "found[9]\n        found.append(5)\n    except IndexError:\n        found.append(99)\n    except ZeroDivisionError",
    ),
    Edit("attribute of a local class", CODE, "size = 5", "size = 6"),
    Edit("method of a local class", CODE, "self.size * 4", "self.size * 3"),
    Edit("generator function", CODE, "yield i", "yield i * 2"),
    Edit("condition of a comprehension", CODE, "if one > 0", "if one > 5"),
    Edit("key of a dict", CODE, '"one": 1', '"eins": 1'),
    Edit("order of a dict that is listed", ORDER, '{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
    Edit("state of a callable object", STATEFUL, '{"x": 5}', '{"x": 6}'),
    Edit("attribute of its base class", STATEFUL, "step = 1", "step = 2"),
    Edit("method of its base class", STATEFUL, "x + self.step", "x - self.step"),
]

SAME = [
    Edit("a function of a helper module that is not used", TOOLS, "x + 2", "x + 5"),
    Edit("a function of a package's module that is not used", TOOLS, "x + 4", "x + 5"),
    Edit("variable that is set after its function renamed", LATER, LATER, LATER.replace("offset", "added")),
    Edit(
        "variables exchange their names",
        LATER,
        LATER,
        LATER.replace("first", "@").replace("second", "first").replace("@", "second"),
    ),
    Edit("comment at the top", NET, "import torch\n", "# a comment\nimport torch\n"),
    Edit("comment in a function", NET, "    torch.manual_seed(0)\n", "    torch.manual_seed(0)  # the same draws\n"),
    Edit("comment in a class", NET, "    width = 3\n", "    # how wide\n    width = 3\n"),
    Edit("blank lines", NET, "    net = Deeper", "\n\n    net = Deeper"),
    Edit("docstring of the function", NET, "def build():\n", 'def build():\n    """Makes it."""\n'),
    Edit("docstring of a class", NET, "class Net(nn.Module):\n", 'class Net(nn.Module):\n    """A net."""\n'),
    Edit("docstring of a method", NET, "    def squash(x):\n", '    def squash(x):\n        """Below one."""\n'),
    Edit(
        "local renamed",
        NET,
        "    net = Deeper.make()\n    return sum(one.sum().item() for one in net.parameters()), net(torch.ones(1, 2)).sum().item(), net.scale",
        "    model = Deeper.make()\n    return sum(p.sum().item() for p in model.parameters()), model(torch.ones(1, 2)).sum().item(), model.scale",
    ),
    Edit(
        "annotation of a method",
        NET,
        "def forward(self, x):\n        return self",
        "def forward(self, x: torch.Tensor) -> torch.Tensor:\n        return self",
    ),
    Edit("annotation of a class attribute", NET, "    width = 3", "    width: int = 3"),
    Edit("annotation of the function", NET, "def build():", "def build() -> tuple:"),
    Edit("postponed annotations", NET, "\nimport torch\n", "from __future__ import annotations\nimport torch\n"),
    Edit(
        "methods in another order",
        NET,
        "    @staticmethod\n    def squash(x):\n        return torch.tanh(x)\n    @classmethod\n    def make(cls):\n        return cls(5)\n",
        "    @classmethod\n    def make(cls):\n        return cls(5)\n    @staticmethod\n    def squash(x):\n        return torch.tanh(x)\n",
    ),
    Edit("a function that is not used", NET, "def build():", "def other(): return 5\ndef build():"),
    Edit("a global that is not used", NET, "def build():", "OTHER = 5\ndef build():"),
    Edit("an import that is not used", NET, "import torch\n", "import torch\nimport json\n"),
    Edit(
        "over several lines",
        NET,
        "self.last(self.squash(self.first(x))) + self.shift",
        "(\n            self.last(self.squash(self.first(x)))\n            + self.shift\n        )",
    ),
    Edit("other quotes", NET, '"a": 1.0', "'a': 1.0"),
    Edit("number in another spelling", NET, "0.5", "5e-1"),
    Edit("parentheses", NET, "return 0.5", "return (0.5)"),
    Edit("trailing comma", NET, "nn.Linear(2, hidden)", "nn.Linear(2, hidden,)"),
    Edit("semicolon", NET, "    torch.manual_seed(0)\n", "    torch.manual_seed(0);\n"),
    Edit("pass", NET, "    torch.manual_seed(0)\n", "    torch.manual_seed(0)\n    pass\n"),
    Edit("another function before it", CODE, "LIMIT = 3\n", "def unused(): return 4\nLIMIT = 3\n"),
    Edit(
        "local of a nested function renamed",
        CODE,
        "for i in range(2):\n            yield i",
        "for number in range(2):\n            yield number",
    ),
    Edit(
        "variable of a closure renamed",
        CODE,
        "    offset = 10\n    def inner(x, scale=2, *, power=1):\n        return (x * scale + offset)",
        "    beyond = 10\n    def inner(x, scale=2, *, power=1):\n        return (x * scale + beyond)",
    ),
    Edit(
        "variable of a closure renamed, sorted elsewhere",
        CODE,
        "    offset = 10\n    def inner(x, scale=2, *, power=1):\n        return (x * scale + offset)",
        "    zzz = 10\n    def inner(x, scale=2, *, power=1):\n        return (x * scale + zzz)",
    ),
    Edit(
        "nested function renamed",
        CODE,
        'def inner(x, scale=2, *, power=1):\n        return (x * scale + offset) ** power + width + config["k"]\n    return inner',
        'def inside(x, scale=2, *, power=1):\n        return (x * scale + offset) ** power + width + config["k"]\n    return inside',
    ),
    Edit(
        "annotation of a nested function",
        CODE,
        "def inner(x, scale=2, *, power=1)",
        "def inner(x: int, scale: float = 2, *, power: 'int' = 1) -> list[float]",
    ),
    Edit("annotation of a local", CODE, "    found = []", "    found: list[int] = []"),
    Edit("docstring of a nested function", CODE, "    def counted():\n", '    def counted():\n        """Counts."""\n'),
    Edit("docstring of a local class", CODE, "    class Local:\n", '    class Local:\n        """Local."""\n'),
    Edit("annotation in a local class", CODE, "def area(self): return", "def area(self) -> int: return"),
    Edit(
        "variable of a comprehension renamed",
        CODE,
        "[one for one in found if one > 0]",
        "[each for each in found if each > 0]",
    ),
    Edit("comment in a loop", CODE, "            continue", "            # the even ones\n            continue"),
    Edit(
        "loop variable renamed",
        CODE,
        "for i in range(LIMIT):\n        if i % 2 == 0:\n            continue\n        found.append(i + 1)",
        "for at in range(LIMIT):\n        if at % 2 == 0:\n            continue\n        found.append(at + 1)",
    ),
    Edit("constant expression", CODE, "offset = 10", "offset = 5 + 5"),
    Edit(
        "decorator's inner function renamed",
        VALUES,
        "def inside(x): return function(x) + 23\n    return inside",
        "def within(x): return function(x) + 23\n    return within",
    ),
    Edit("order of a set", VALUES, '{"relu", "tanh"}', '{"tanh", "relu"}'),
    Edit("annotation of a dataclass", VALUES, "width: int = 9", "width: float = 9"),
    Edit("docstring of a dataclass", VALUES, "class Settings:\n", 'class Settings:\n    """Settings."""\n'),
    Edit("docstring of an enum", VALUES, "class Kind(enum.Enum):\n", 'class Kind(enum.Enum):\n    """Kinds."""\n'),
    Edit("comment in a dict", VALUES, '"names": {', '# which\n          "names": {'),
    Edit("order of a dict that is asked for single keys", KEYS, '{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
    Edit("comment in a helper module", HELPERS, "FACTOR = 1", "FACTOR = 1  # once"),
    Edit("docstring of a helper module", HELPERS, "=== helpers.py\n", '=== helpers.py\n"""Helpers."""\n'),
    Edit(
        "docstring of a helper function", HELPERS, "def double(x): return", 'def double(x):\n    "Twice."\n    return'
    ),
    Edit("annotation in a package", HELPERS, "def triple(x)", "def triple(x: int)"),
    Edit(
        "class moved to another module",
        STATEFUL,
        BASE,
        "from other import Base\n=== other.py\n" + BASE + "=== main.py\n",
    ),
    Edit(
        "function moved to another module",
        CODE,
        TEXTS,
        "from other import texts\n=== other.py\nLIMIT = 3\n" + TEXTS + "=== main.py\n",
    ),
    Edit("all moved to another module", NET, NET, "from other import build\n=== other.py\n" + NET),
    Edit(
        "a class moved into a package",
        NET,
        NET,
        "from mine.nets import build\n=== mine/__init__.py\n=== mine/nets.py\n" + NET,
    ),
    Edit("docstring of a callable's class", STATEFUL, "class Mine(Base):\n", 'class Mine(Base):\n    """Mine."""\n'),
    Edit("comment in a callable's method", STATEFUL, 'self.at = {"x": 5}', 'self.at = {"x": 5}  # where'),
    Edit("an unused helper function in its module", HELPERS, "unused = 5", "unused = 5\n# nothing more"),
]
