"""Studies whose process is killed go on to the same end."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from paribus.records.record import Status
from paribus.study.reading import read
from paribus.study.runner import carry_out
from paribus.study.store import FILE, StoreError
from tests.helpers import (
    ask,
    assert_same_curves,
    begun,
    command_of,
    killed_when,
    kills_itself,
    let_end,
    runs,
    statuses,
    wait_until,
)

LONG = "moons implementation=numpy,torch epochs=150 eval_every=5 init=default"


def test_killed_at_any_point_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """SIGKILL at ever later points, from before the folder stands to the middle of a run; then left to end."""
    whole, folder = carry_out(ask(tmp_path / "whole", LONG, "3")), tmp_path / "s"
    points: list[Callable[[], bool]] = [
        lambda: True,
        folder.exists,
        (folder / FILE).exists,
        lambda: Status.RUNNING in statuses(folder),
        lambda: statuses(folder).count(Status.DONE) >= 1,
        lambda: statuses(folder).count(Status.DONE) >= 3,
    ]
    for point in points:
        killed_when(point, folder, LONG, "3")
        try:
            study = read(folder)
        except StoreError:
            continue  # killed before the first transaction: nothing was recorded, nothing is lost
        for key, run in runs(study).items():
            assert run.status in (Status.DONE, Status.INTERRUPTED)
            theirs = runs(whole)[key].curve
            if run.status is Status.DONE:
                assert len(run.curve["train_loss"]) == len(theirs["train_loss"])
            if run.curve:
                rows = len(run.curve["train_loss"])
                np.testing.assert_array_equal(run.curve["train_loss"], theirs["train_loss"][:rows])
    assert statuses(folder).count(Status.DONE) >= 3
    assert_same_curves(let_end(folder, LONG, "3"), whole)


def test_a_second_process_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    words = "moons implementation=numpy,torch epochs=100000 eval_every=5"
    process = begun(tmp_path / "s", words, "3")
    try:
        wait_until(lambda: Status.RUNNING in statuses(tmp_path / "s"), "a run in another process")
        with pytest.raises(StoreError, match=f"carried out by another process: process {process.pid} on "):
            carry_out(ask(tmp_path / "s", words, "3"))
    finally:
        process.kill()
        process.join()


@pytest.mark.slow
def test_200_runs_under_20_kills_are_the_runs_of_an_undisturbed_study(tmp_path: Path) -> None:
    words, folder = "moons lr=0.01,0.02,0.05,0.1 epochs=60 eval_every=20 init=default", tmp_path / "s"
    whole = carry_out(ask(tmp_path / "whole", words, "50"))
    rng = np.random.default_rng(0)
    for _ in range(20):
        kills_itself(folder, words, "50", after=int(rng.integers(0, 20)))
    assert 20 <= statuses(folder).count(Status.DONE) < 200
    assert_same_curves(let_end(folder, words, "50"), whole)
    with sqlite3.connect(folder / FILE) as database:
        kept = database.execute(
            "SELECT arm, seed, count(*) FROM runs WHERE status = 'done' GROUP BY arm, seed"
        ).fetchall()
    database.close()
    assert len(kept) == 200  # none lost
    assert {count for _, _, count in kept} == {1}  # none twice


def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    words = "moons lr=0.1,0.2 epochs=1000000 eval_every=1000000 implementation=torch"
    command = [sys.executable, "-m", "paribus", "compare", *words.split(), "--seeds", "1", "--jobs", "2"]
    driver = subprocess.Popen([*command, "--out", str(tmp_path / "s"), "--quiet"])
    try:
        wait_until(lambda: statuses(tmp_path / "s").count(Status.RUNNING) == 2, "both runs in a worker each")
        children = psutil.Process(driver.pid).children(recursive=True)
        assert sum("spawn_main" in command_of(one) for one in children) >= 2
    finally:
        driver.kill()
        driver.communicate()
    _, alive = psutil.wait_procs(children, timeout=60)
    for one in alive:
        one.kill()
    assert alive == []
