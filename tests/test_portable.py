"""Windows and macOS, by reading: what only POSIX has stands behind a guard, and text is read as it was written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent / "src" / "paribus"

POSIX_ALONE = {
    "os.fork", "os.forkpty", "os.nice", "os.getuid", "os.geteuid", "os.getgid", "os.getegid", "os.getppid", "os.killpg",
    "os.getpgid", "os.setsid", "os.setpgrp", "os.sched_getaffinity", "os.sched_setaffinity", "os.getloadavg", "os.uname",
    "os.chown", "os.fchmod", "os.fchown", "os.mkfifo", "os.statvfs", "os.sysconf", "os.wait", "os.O_NOFOLLOW",
    "os.O_DIRECTORY", "os.O_NONBLOCK", "os.posix_fadvise", "os.fdatasync", "signal.SIGKILL", "signal.SIGHUP", "signal.SIGUSR1",
    "signal.SIGUSR2", "signal.SIGALRM", "signal.SIGQUIT", "signal.SIGSTOP", "signal.SIGCONT", "signal.SIGCHLD", "signal.SIGPIPE",
    "signal.alarm", "signal.setitimer", "signal.pause", "signal.pthread_kill", "signal.pthread_sigmask", "time.tzset",
    "socket.AF_UNIX", "select.poll", "select.epoll", "asyncio.get_child_watcher",
}  # fmt: skip
"""What Windows has not: to name one raises AttributeError there. But for os.getppid: there it stays after the parent."""

LINUX_ALONE = {"os.sched_getaffinity", "os.sched_setaffinity", "os.posix_fadvise"}
"""What macOS has not either: that the system is POSIX is no guard."""

MODULES = {"fcntl", "grp", "pwd", "pty", "resource", "termios", "tty", "syslog", "posix", "curses", "readline"}
GUARDS = ("os.name", "sys.platform", "hasattr", "getattr", "platform.system", "suppress")
LINUX_GUARDS = ("hasattr", "getattr", "linux", "suppress")
FORKS = ('"fork"', "'fork'", '"forkserver"', "'forkserver'")
PLACES = ("/dev/", "/tmp", "/proc", "/etc/", "/var/")


def departures(code: str) -> Iterator[str]:
    """What of the code works on POSIX alone and is not guarded, or depends on the machine's locale."""
    tree = ast.parse(code)
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        for what in (*_calls(node), *_texts(node)):
            if not _guarded(node, above, LINUX_GUARDS if what in LINUX_ALONE else GUARDS):
                yield f"line {getattr(node, 'lineno', 0)}: {what}"
        yield from (f"line {getattr(node, 'lineno', 0)}: {what}" for what in _encodings(node))


def _calls(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in POSIX_ALONE:
        yield name
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names if one.name.partition(".")[0] in MODULES)
    if isinstance(node, ast.ImportFrom):
        if str(node.module) in MODULES:
            yield str(node.module)
        yield from (name for one in node.names if (name := f"{node.module}.{one.name}") in POSIX_ALONE)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.rename":
        yield "os.rename, which does not replace a file on Windows: os.replace"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "rename":
        owner = ast.unparse(node.func.value)
        if owner != "os" and len(node.args) == 1 and not node.keywords:
            yield f"{owner}.rename, which does not replace a file on Windows: replace, or say that nothing is there"
    if isinstance(node, ast.keyword) and node.arg in ("preexec_fn", "pass_fds"):
        yield f"{node.arg} of subprocess"


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if f'"{node.value}"' in FORKS:
            yield f"{node.value!r}: how processes start"
        if node.value.startswith(PLACES) and "\n" not in node.value:
            yield f"{node.value!r}, a place that Windows has not"


def _encodings(node: ast.AST) -> Iterator[str]:
    """Text whose encoding is the locale's: not UTF-8 on Windows."""
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = {one.arg for one in node.keywords}
    if name in ("read_text", "write_text") and "encoding" not in given and _is_path(node, name):
        yield f"{name} without encoding"
    if name == "open" and "encoding" not in given and not _is_other(node) and "b" not in _mode(node):
        yield "open without encoding"
    asked = {one.arg: one.value for one in node.keywords}
    if {"text", "universal_newlines"} & given and "encoding" not in given and _is_true(asked.get("text")):
        yield "text of a process without encoding"


def _is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def _is_path(node: ast.Call, name: str) -> bool:
    """Of `read_text()` the first argument is the encoding, of `write_text(text)` the second."""
    return len(node.args) < {"read_text": 1, "write_text": 2}[name]


def _is_other(node: ast.Call) -> bool:
    """`open` of a module whose files are no text, or a method that takes no encoding."""
    if not isinstance(node.func, ast.Attribute):
        return False
    return ast.unparse(node.func.value) in ("os", "paribus", "tarfile", "zipfile", "webbrowser", "Image", "Store")


def _mode(node: ast.Call) -> str:
    """What a file is opened for: `r` where nothing is said."""
    place = 0 if isinstance(node.func, ast.Attribute) else 1
    asked = [one.value for one in node.keywords if one.arg == "mode"] or node.args[place : place + 1]
    return str(asked[0].value) if asked and isinstance(asked[0], ast.Constant) else "r"


def _guarded(node: ast.AST, above: dict[ast.AST, ast.AST], guards: tuple[str, ...]) -> bool:
    """Whether an `if`, `and` or `with suppress` around it, or a `return` before it in its function, asks where it is."""
    while node in above:
        inner, node = node, above[node]
        if isinstance(node, ast.If | ast.IfExp | ast.While) and _asks(node.test, guards):
            return True
        if isinstance(node, ast.BoolOp) and any(_asks(one, guards) for one in node.values[: node.values.index(inner)]):  # type: ignore[arg-type]
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
            return True
        if isinstance(node, ast.With) and any(_asks(one.context_expr, guards) for one in node.items):
            return True
        if isinstance(node, ast.comprehension) and any(_asks(one, guards) for one in node.ifs):
            return True
        if isinstance(node, ast.Try) and any(
            "AttributeError" in ast.unparse(one.type or node) for one in node.handlers
        ):
            return True
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            before = [one for one in node.body if one.lineno < getattr(inner, "lineno", 0)]
            if any(isinstance(one, ast.If) and _asks(one.test, guards) and _leaves(one) for one in before):
                return True
    return False


def _asks(test: ast.AST, guards: tuple[str, ...]) -> bool:
    return any(guard in ast.unparse(test) for guard in guards)


def _leaves(branch: ast.If) -> bool:
    return isinstance(branch.body[-1], ast.Return | ast.Raise | ast.Continue)


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda path: path.relative_to(SOURCES).as_posix())
def test_nothing_works_on_posix_alone(path: Path) -> None:
    assert [*departures(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "code",
    [
        "os.kill(pid, signal.SIGKILL)",
        "cores = len(os.sched_getaffinity(0))",
        "import fcntl",
        "from os import getuid",
        "from resource import getrusage",
        "os.rename(a, b)",
        "part.rename(path)",
        "multiprocessing.get_context('fork')",
        "Path('/dev/null').open('wb')",
        "log = '/tmp/log'",
        "path.read_text()",
        "path.write_text(text)",
        "open(path)",
        "path.open('w')",
        "open(path, mode='a')",
        "subprocess.run(words, text=True)",
        "subprocess.Popen(words, preexec_fn=os.setsid)",
        "if wanted:\n    os.nice(5)",
        "if os.name == 'posix':\n    os.sched_setaffinity(0, {0})",
        "def f():\n    if busy:\n        return\n    os.nice(5)",
    ],
)
def test_what_works_on_posix_alone_is_found(code: str) -> None:
    assert [*departures(code)]


@pytest.mark.parametrize(
    "code",
    [
        "cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()",
        "if os.name == 'posix':\n    os.nice(5)",
        "def f():\n    if os.name != 'posix':\n        return False\n    return os.geteuid()",
        "with suppress(AttributeError):\n    os.nice(5)",
        "known = getattr(signal, 'SIGHUP', None)",
        "os.name == 'posix' and os.geteuid()",
        "path.replace(other)",
        "path.read_text(encoding='utf-8')",
        "path.read_text('utf-8')",
        "open(path, 'rb')",
        "path.open('wb')",
        "frame.rename(columns=names)",
        "subprocess.run(words, text=True, encoding='utf-8')",
    ],
)
def test_what_is_guarded_is_not_told(code: str) -> None:
    assert [*departures(code)] == []
