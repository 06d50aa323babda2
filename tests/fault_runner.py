"""Plants faults in copies of the code, several at a time, and demands that the tests named beside each go red.

A fault counts as caught when a test fails with it, and the same test passes without it (the control run).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path("src") / "paribus"
_COPIED = ("src", "tests", "docs", "pyproject.toml", "README.md", "CITATION.cff")
_SECONDS = 600  # the slowest test file, on a busy machine, and the compiler
_WRONG_TABLE = 2

# Writes the name of each failed test; a test that could not be set up is no evidence.
_PLUGIN = """
import os

def pytest_runtest_logreport(report):
    if report.failed and report.when == "call":
        with open(os.environ["FAULT_FAILURES"], "a", encoding="utf-8") as file:
            file.write(report.nodeid + "\\n")
"""

Entry = tuple[str, str, str, str]


@dataclass(frozen=True)
class Fault:
    """A line of the table: in `file`, `original` becomes `fault`, and one of `tests` must fail."""

    number: int
    file: str
    original: str
    fault: str
    tests: str

    def __str__(self) -> str:
        return f"{self.number} {self.file}: {self.original!r} -> {self.fault!r} ({self.tests})"


@dataclass(frozen=True)
class Verdict:
    """How the tests ended: the first test that failed, or why none did."""

    failed: str | None
    told: str
    out_of_time: bool = False
    passed: bool = False


def mistakes(faults: Iterable[Fault], root: Path = ROOT) -> list[str]:
    """What is wrong with the table: text that is gone or stands in two places, tests that are not there."""
    found = []
    for fault in faults:
        path, tests = root / SOURCES / fault.file, root / "tests" / fault.tests.partition("::")[0]
        places = path.read_text(encoding="utf-8").count(fault.original) if path.is_file() else 0
        if not path.is_file():
            found.append(f"{fault}: there is no such file")
        elif places != 1:
            found.append(f"{fault}: the original text stands in {places} places, not in one")
        if fault.fault == fault.original:
            found.append(f"{fault}: changes nothing")
        if not tests.is_file():
            found.append(f"{fault}: there is no tests/{tests.name}")
    return found


class Bench:
    """Runs tests in copies of the code; `stop` ends what is running."""

    def __init__(self, root: Path = ROOT, seconds: float = _SECONDS) -> None:
        self._root, self._seconds = root, seconds
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard, self._stopped = threading.Lock(), False

    def plant(self, fault: Fault) -> Verdict:
        """The tests of a fault, with the fault in place."""
        return self._try([f"tests/{fault.tests}"], fault)

    def control(self, tests: Sequence[str]) -> Verdict:
        """Some tests, by their full names, without any fault."""
        return self._try(tests, None)

    def stop(self) -> None:
        with self._guard:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def _try(self, tests: Sequence[str], fault: Fault | None) -> Verdict:
        with tempfile.TemporaryDirectory(prefix="paribus-fault-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            code = folder / "code"
            self._copy(code)
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(code / "src"), str(folder)]),
                "FAULT_FAILURES": str(folder / "failures"),
                "TMPDIR": str(folder / "tmp"),
                "PARIBUS_COMPILED": str(folder / "compiled"),  # of this copy alone: it goes when the copy goes
            }
            (folder / "tmp").mkdir()
            (folder / "fault_plugin.py").write_text(_PLUGIN, encoding="utf-8")
            if fault is not None:
                path = code / SOURCES / fault.file
                path.write_text(path.read_text(encoding="utf-8").replace(fault.original, fault.fault), encoding="utf-8")
            return self._run(tests, code, environment)

    def _copy(self, code: Path) -> None:
        code.mkdir()
        for name in _COPIED:
            source = self._root / name
            if source.is_dir():
                shutil.copytree(source, code / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            elif source.exists():
                shutil.copy(source, code / name)

    def _run(self, tests: Sequence[str], code: Path, environment: dict[str, str]) -> Verdict:
        words = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "fault_plugin"]
        said = code.parent / "said"
        with said.open("wb") as output:
            with self._guard:
                if self._stopped:
                    return Verdict(None, "stopped")
                process = subprocess.Popen(
                    [sys.executable, *words, *tests],
                    cwd=code,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                status = process.wait(self._seconds)
            except subprocess.TimeoutExpired:
                return Verdict(None, f"did not end within {self._seconds:g} s", out_of_time=True)
            finally:
                with self._guard:
                    self._running.discard(process)
                _kill(process)
        failures = Path(environment["FAULT_FAILURES"])
        if failures.exists():
            failed = failures.read_text(encoding="utf-8").splitlines()[0]
            return Verdict(failed, f"fails {failed}")
        last = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return Verdict(None, "passes" if status == 0 else f"pytest ended with {status}: {last}", passed=status == 0)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    if process.poll() is None:
        process.kill()
        process.wait()


def judge(faults: Sequence[Fault], jobs: int, bench: Bench) -> tuple[list[str], list[str]]:
    """The faults that no test caught, and those whose test fails without the fault too."""
    caught: dict[Fault, str] = {}
    green: list[str] = []

    def planted(fault: Fault) -> tuple[Fault, Verdict, float]:
        begun = time.monotonic()
        return fault, bench.plant(fault), time.monotonic() - begun

    with ThreadPoolExecutor(jobs) as pool:
        try:
            # the compiler's faults first: they take longest
            slow_first = sorted(faults, key=lambda fault: not fault.file.startswith("fused/"))
            for planting in as_completed([pool.submit(planted, fault) for fault in slow_first]):
                fault, verdict, seconds = planting.result()
                red = verdict.failed is not None or verdict.out_of_time  # one that waits for ever is seen too
                _say(f"{'red  ' if red else 'GREEN'} {fault}: {verdict.told} [{seconds:.0f} s]")
                if red:
                    caught[fault] = verdict.failed or f"tests/{fault.tests}"
                else:
                    green.append(f"{fault}: {verdict.told}")
            controls = _by_file(caught.values())
            broken = set()
            for file, verdict in zip(controls, pool.map(bench.control, controls.values()), strict=True):
                _say(f"{'ok   ' if verdict.passed else 'RED  '} without a fault, {file}: {verdict.told}")
                broken |= set() if verdict.passed else {file}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            bench.stop()
            raise
    doubtful = [f"{fault}: {test}" for fault, test in caught.items() if test.partition("::")[0] in broken]
    return green, doubtful


def _by_file(tests: Iterable[str]) -> dict[str, list[str]]:
    """Each test file's tests, once; the file alone where all of it is named."""
    found: dict[str, list[str]] = {}
    for test in sorted(set(tests)):
        found.setdefault(test.partition("::")[0], []).append(test)
    return {file: [file] if file in names else names for file, names in found.items()}


def chosen(faults: Sequence[Fault], words: Sequence[str]) -> list[Fault]:
    """The faults with one of these numbers, or of files whose names hold one of these words."""
    return [f for f in faults if not words or any(_is_called(f, word) for word in words)]


def _is_called(fault: Fault, word: str) -> bool:
    return fault.number == int(word) if word.isdecimal() else word in fault.file


def main(table: Sequence[Entry], arguments: Sequence[str] | None = None) -> None:
    """Plant all faults, those named, or a random sample."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs is ended then too
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", help="numbers of faults, or parts of their files' names; none: all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--sample", type=int, metavar="N", help="N of them, chosen at random")
    parser.add_argument("--seed", default="0", help="chooses the sample; any text")
    asked = parser.parse_args(arguments)
    faults = [Fault(number, *entry) for number, entry in enumerate(table)]
    if wrong := mistakes(faults):
        _say("\n".join([*wrong, f"{len(wrong)} mistakes in the table of faults: nothing was run"]))
        sys.exit(_WRONG_TABLE)
    faults = chosen(faults, asked.faults)
    if asked.sample is not None and asked.sample < len(faults):
        faults = random.Random(asked.seed).sample(faults, asked.sample)
        _say(f"a sample of {asked.sample}, seed {asked.seed}")
    if not faults:
        parser.error(f"no fault is called {' or '.join(asked.faults)}")
    green, doubtful = judge(faults, max(1, asked.jobs), Bench())
    for one in green:
        _say(f"stayed green: {one}")
    for one in doubtful:
        _say(f"red without the fault too: {one}")
    missed = len(green) + len(doubtful)
    _say(f"{len(faults) - missed} of {len(faults)} faults were caught")
    sys.exit(missed > 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
