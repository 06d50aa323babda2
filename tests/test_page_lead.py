"""What stands first on a page: which arm scored best, and no more of it than the differences show."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paribus.findings.compared import HIGHER
from paribus.findings.findings import Findings
from paribus.records.record import StudyRecord
from paribus.report.page.lead import MOST_ARMS, lead
from paribus.report.page.page import page
from paribus.report.page.text import View
from tests.test_page import CARD, made


def scored(scores: list[list[float]], metric: str = "test_accuracy", **more: object) -> StudyRecord:
    """An arm for each list, a run for each score."""
    study = made([f"o{i}" for i in range(len(scores))], seeds=len(scores[0]), evaluations=2)
    arms = [
        replace(arm, runs=[replace(run, curve={**run.curve, metric: np.full(2, score)}) for run, score in zip(arm.runs, of, strict=True)])
        for arm, of in zip(study.arms, scores, strict=True)
    ]  # fmt: skip
    return replace(study, arms=arms, primary_metric=metric, **more)  # type: ignore[arg-type]


def view_of(scores: list[list[float]], **more: object) -> View:
    return View.of(Findings.of(scored(scores, **more)))  # type: ignore[arg-type]


def sentence(scores: list[list[float]], **more: object) -> str:
    found = lead(view_of(scores, **more))
    assert found is not None
    return found.sentence


RNG = np.random.default_rng(0)


def around(mean: float, seeds: int = 10) -> list[float]:
    return [float(x) for x in mean + 0.01 * RNG.random(seeds)]


@pytest.mark.parametrize(
    ("scores", "more", "said"),
    [
        ([around(0.9), around(0.5)], {}, "o0 has the highest mean test accuracy, 90.* % over 10 seeds. It is shown to be better than o1."),
        ([around(0.5), around(0.9), around(0.7)], {}, "o1 has the highest mean .* better than all of the 2 other arms."),
        ([around(0.9), around(0.9), around(0.5)], {}, "o. has .* better than 1 of the 2 other arms. Which is better, it or o., is not shown."),
        ([around(0.9, 3), around(0.5, 3)], {}, "o0 has .* over 3 seeds. There are too few seeds to tell it, as one of a pair, from o1."),
        ([[0.5] * 10, [0.5] * 10], {}, "o0 and o1 share the highest mean test accuracy, 50.00 % over 10 seeds. Which is better, it or .*"),
        ([around(0.9), around(0.5)], {"metric": "test_loss"}, "o1 has the lowest mean test loss, 0.50.. over 10 seeds. It is shown to be better than o0."),
        ([around(0.9), around(0.7), around(0.5)], {"baseline": "optimizer=o2"}, "o0 has the highest .* It is shown to be better than o2."),
        ([around(0.9, 1), around(0.5, 1)], {}, "o0 has the highest mean test accuracy, 90.* % over 1 seed."),
        ([around(0.9), [*around(0.5, 9), float("nan")]], {}, "o0 has the highest .* over 10 seeds.*"),
        ([[*around(0.9, 9), float("nan")], around(0.5)], {}, "o0 has the highest .* over 9 of 10 seeds.*"),
    ],
)  # fmt: skip
def test_the_sentence(scores: list[list[float]], more: dict[str, object], said: str) -> None:
    found = sentence(scores, **more)
    assert re.fullmatch(said, found), found


@given(
    means=st.lists(st.sampled_from([0.3, 0.5, 0.52, 0.9]), min_size=2, max_size=6),
    seeds=st.integers(1, 10),
    noise=st.sampled_from([0.0, 0.02, 0.2]),
    seed=st.integers(0, 99),
)
def test_it_says_no_more_than_the_differences(means: list[float], seeds: int, noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    view = view_of([(mean + noise * rng.random(seeds)).tolist() for mean in means])
    found = lead(view)
    assert found is not None
    summaries = {arm: one["test_accuracy"].mean for arm, one in view.findings.summaries.items()}
    best = max(summaries, key=lambda arm: summaries[arm] or 0.0)
    pairs = [one for one in view.found if best in (one.a, one.b)]
    beaten = [one for one in pairs if one.verdict in HIGHER and (one.a == best) == (one.verdict == "a higher")]
    assert ("shown to be better than" in found.sentence) == bool(beaten)
    assert ("all of the" in found.sentence) == (1 < len(pairs) == len(beaten))
    assert ("not shown" in found.sentence or "too few seeds" in found.sentence) == (len(beaten) < len(pairs))
    values = [row.mean for row in found.rows]
    assert values == sorted(values, key=lambda one: -(one or 0.0))
    for row in found.rows:
        assert row.mean is not None
        assert 0 <= (row.low or 0) <= row.mean <= (row.high or 240) <= 240


def test_no_arm_is_called_the_best_where_nothing_says_which_values_are_better() -> None:
    assert lead(view_of([around(0.9), around(0.5)], metric="test_thing")) is None
    assert lead(view_of([around(0.9)])) is None


def test_of_many_arms_the_best_are_drawn_and_the_rest_is_said() -> None:
    found = lead(view_of([around(0.3 + 0.01 * i, 4) for i in range(MOST_ARMS + 3)]))
    assert found is not None
    assert len(found.rows) == MOST_ARMS
    assert found.rows[0].name == f"o{MOST_ARMS + 2}"
    assert "3 more stand in the table of results" in found.caption


def test_it_stands_on_the_page_and_says_that_there_are_warnings() -> None:
    sane = page([Findings.of(scored([around(0.9), around(0.7)]))])
    assert '<p class="lead">o0 has the highest mean test accuracy' in sane
    counts = {CARD.fingerprint: {"test": [50, 50]}}  # both are no better than a guess
    warned = Findings.of(scored([around(0.3), around(0.2)], class_counts=counts))
    assert re.search(r"Before you rely on it, read the \d+ warnings? below\.", page([warned]))
