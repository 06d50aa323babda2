"""The bench: every contestant does the whole job, and one that does not learn is named."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from paribus.bench.clock import flops_of_a_step
from paribus.bench.command import run_bench
from paribus.bench.contestants import CONTESTANTS, PEERS
from paribus.config.overrides import SettingsError
from paribus.tasks import load
from tests.conftest import Called, settings_of

QUIET = Console(quiet=True)


@pytest.mark.parametrize("contestant", [*CONTESTANTS, *PEERS], ids=lambda contestant: contestant.name)
def test_every_contestant_learns(contestant: object) -> None:
    from paribus.bench.contestants import Contestant

    assert isinstance(contestant, Contestant)
    if not contestant.installed:
        pytest.skip(f"{contestant.needs} is not installed: pip install 'paribus[peers]'")
    settings = settings_of("task=moons init=default lr=0.1 epochs=50 batch_size=60")
    assert contestant.way(settings, load(settings, 0)) >= 0.8


def test_ratios_are_to_the_first_and_the_floor_is_counted() -> None:
    result = run_bench(["moons", "epochs=10", "lr=0.5"], 2, peers=False, console=QUIET)
    found = json.loads(json.dumps(result.as_json()))
    assert [one["name"] for one in found["contestants"]] == [contestant.name for contestant in CONTESTANTS]
    assert found["contestants"][0]["ratios"] == [1.0, 1.0]
    assert all(one["microseconds"] > 0 for one in found["contestants"])
    assert found["microseconds_floor"] == pytest.approx(found["flops_a_step"] / found["matrix_product_gflops"] / 1e3)


def test_flops_are_those_of_the_products() -> None:
    settings = settings_of("task=moons batch_size=800")
    assert flops_of_a_step(settings, load(settings, 0)) == (4 * 2 * 20 + 6 * 20 * 2) * 800


def test_a_contestant_that_did_not_learn_is_named(called: Called) -> None:
    done = called("bench", "moons", "init=normal:0.001", "epochs=10", "--rounds", "1")
    assert done.returncode == 2
    assert "init=normal:0.001 cannot be timed" in done.stderr
    done = called("bench", "moons", "lr=1e-9", "epochs=10", "--rounds", "1")
    assert done.returncode == 3
    assert "NOT" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["moons", "optimizer=adam"],
        ["moons", "lr=0.1,0.2"],
        ["moons", "epochs=15"],
        ["mons"],
        ["sine"],
        ["moons", "class_weight=balanced"],
    ],
)
def test_what_not_every_contestant_has_is_refused(words: list[str]) -> None:
    with pytest.raises(SettingsError):
        run_bench(words, 1, peers=False, console=QUIET)
