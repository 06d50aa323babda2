"""What each factor does: against means and contrasts that are worked out here, and where there is nothing to say."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from paribus.findings.compared import Lost
from paribus.findings.factors import Crossed, factor_effects
from paribus.findings.findings import Findings
from paribus.records.record import ArmRecord, Status, StudyRecord
from paribus.report.page.page import page
from paribus.report.show import as_json
from paribus.report.terminal.tables import interaction_lines
from tests.test_page import made

SIZES = {"model.hidden": ["16", "64"], "dropout": [0.0, 0.25, 0.5]}


def crossed_scores(seeds: int = 9) -> tuple[Crossed, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    cells = {cell: " ".join(map(str, cell)) for cell in product(*SIZES.values())}
    base = rng.standard_normal(seeds)
    scores = {
        name: base + 3 * (cell[0] == "64") - 2 * (cell[0] == "64") * (cell[1] == 0.5) + rng.standard_normal(seeds)
        for cell, name in cells.items()
    }
    return Crossed(factors=SIZES, cells=cells), scores


def test_they_are_the_contrasts_of_the_cells() -> None:
    crossed, scores = crossed_scores()
    found = factor_effects(crossed, {name: list(of) for name, of in scores.items()}, "m")
    assert [one.kind for one in found] == ["main effect"] * 4 + ["interaction"] * 3
    whole = np.array([[scores[f"{h} {d}"] for d in SIZES["dropout"]] for h in SIZES["model.hidden"]])
    hidden = found[0].difference
    assert (hidden.a, hidden.b) == ("hidden=16", "hidden=64")
    d = (whole[0] - whole[1]).mean(axis=0)
    assert hidden.mean == pytest.approx(d.mean())
    assert hidden.ci95 == pytest.approx(tuple(stats.ttest_1samp(d, 0).confidence_interval(0.95)))
    low, high = stats.ttest_1samp(d, 0).confidence_interval(1 - 0.05 / 4)
    assert hidden.ci95_family == pytest.approx((low, high))
    assert hidden.verdict == "b higher"
    interaction = found[5].difference
    assert interaction.a == "hidden=16 to 64 at dropout=0.0"
    assert interaction.b == "hidden=16 to 64 at dropout=0.5"
    d = (whole[1, 0] - whole[0, 0]) - (whole[1, 2] - whole[0, 2])
    assert found[5].means == pytest.approx(((whole[1, 0] - whole[0, 0]).mean(), (whole[1, 2] - whole[0, 2]).mean()))
    assert interaction.mean == pytest.approx(d.mean())
    flipped = [abs((d * signs).sum()) for signs in product((-1, 1), repeat=9)]
    assert interaction.p == pytest.approx(np.mean(np.array(flipped) >= abs(d.sum()) - 1e-12))


def test_a_lost_cell_is_the_worst_of_its_value_and_of_no_interaction() -> None:
    crossed, scores = crossed_scores()
    gone = {name: [name == "64 0.5" and seed < 8 for seed in range(9)] for name in scores}
    columns = {n: [None if out else x for x, out in zip(of, gone[n], strict=True)] for n, of in scores.items()}
    found = factor_effects(crossed, columns, "m", lost=Lost(gone, "higher"))
    assert (found[0].difference.verdict, found[0].difference.by_ranks) == ("a higher", True)
    verdicts = {one.difference.b: one.difference.verdict for one in found if one.kind == "interaction"}
    assert verdicts["hidden=16 to 64 at dropout=0.5"] == "not judged"
    assert verdicts["hidden=16 to 64 at dropout=0.25"] != "not judged"


def two_factors(**more: Any) -> StudyRecord:
    """Four arms of a study that was made for pages."""
    study = made(["adam", "sgd", "rmsprop", "muon"], seeds=8)
    arms = [
        ArmRecord(f"{lr} {size}", {**arm.settings, "lr": lr, "batch_size": size}, arm.runs)
        for arm, (lr, size) in zip(study.arms, product((0.1, 0.2), (32, 64)), strict=True)
    ]
    return replace(study, factors=["lr", "batch_size"], arms=arms, named=False, **more)


def test_they_stand_first_on_page_and_in_json() -> None:
    found = Findings.of(two_factors())
    assert [one.kind for one in found.effects] == ["main effect", "main effect", "interaction"]
    assert [one["factors"] for one in as_json(found)["effects"]] == [["lr"], ["batch_size"], ["lr", "batch_size"]]
    json.dumps(as_json(found), allow_nan=False)
    html = page([found])
    assert 0 < html.index("Each factor, over all values of the others") < html.index("Each pair")
    assert "lr=0.1" in html
    (line,) = interaction_lines(found.effects, found.primary_metric)
    assert line.startswith("lr and batch_size: ")
    assert "lr=0.1 to 0.2 changes test accuracy % by " in line
    assert " at batch_size=32 and by " in line


@pytest.mark.parametrize("what", ["missing", "one factor", "named", "until decided"])
def test_where_there_are_none(what: str) -> None:
    study = two_factors()
    less = {
        "missing": replace(study, arms=study.arms[:3]),
        "one factor": replace(study, factors=["lr"], arms=study.arms[::2]),
        "named": replace(study, named=True),
        "until decided": replace(study, least=6),
    }[what]
    found = Findings.of(less)
    assert found.effects == []
    assert any("no effect of a factor is told" in one for one in found.warnings) == (
        what in ("missing", "until decided")
    )


def test_a_cell_of_which_a_run_is_under_way_is_left_out_at_its_seed() -> None:
    study = two_factors()
    first = study.arms[0]
    begun = replace(study, arms=[replace(first, runs=first.runs[1:]), *study.arms[1:]])
    assert {one.difference.pairs for one in Findings.of(begun).effects} == {7}
    lost = [replace(run, status=Status.DIVERGED) for run in first.runs]
    gone = Findings.of(replace(study, arms=[replace(first, runs=lost), *study.arms[1:]])).effects
    assert gone[0].difference.by_ranks
