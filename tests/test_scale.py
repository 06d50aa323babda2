"""Studies of very many arms and runs: which pairs are judged, what is drawn, and that it is said what is not."""

from __future__ import annotations

import json
from io import StringIO
from itertools import combinations

import numpy as np
import pytest
from rich.console import Console

from paribus.findings.agreement import _differ_in, agreements
from paribus.findings.compared import HIGHER
from paribus.findings.differences import differences, holm
from paribus.findings.findings import Findings
from paribus.findings.many import ranked_arms
from paribus.records.metrics import Metric
from paribus.records.record import ArmRecord, StudyRecord, Target
from paribus.report.page import page as pages
from paribus.report.page.page import page
from paribus.report.terminal.over import sweep_lines
from paribus.report.terminal.tables import results
from paribus.study.packing import pack, unpack
from tests.test_page import made


def study(arms: int, seeds: int = 6, **more: object) -> StudyRecord:
    """Arms by a word of their own, the best somewhere in the middle."""
    found = made([f"m{i:03}" for i in range(arms)], seeds=seeds, evaluations=3, **more)
    rng = np.random.default_rng(1)
    for i, arm in enumerate(found.arms):
        for run in arm.runs:
            score = 0.9 - 0.002 * abs(i - arms // 2) + 0.002 * rng.standard_normal()
            run.curve["test_accuracy"] = np.full(3, score)
            run.curve["test_loss"] = np.full(3, score)
    return found


def with_settings(found: StudyRecord, settings: list[dict[str, object]]) -> StudyRecord:
    """The same runs by other factors."""
    arms = [
        ArmRecord(" ".join(f"{k}={v}" for k, v in own.items()), {**arm.settings, **own}, arm.runs)
        for arm, own in zip(found.arms, settings, strict=True)
    ]
    return StudyRecord(
        name="many", factors=list(settings[0]), seeds=found.seeds, primary_metric="test_accuracy", arms=arms
    )


def printed(findings: Findings) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(results(findings, 200))
    return console.export_text()


def test_every_pair_of_forty_five_arms_is_judged() -> None:
    findings = Findings.of(study(45))
    assert len(findings.primary) == findings.asked.family == 990
    assert not findings.asked.told
    assert not any("Judged are" in line for line in findings.warnings)


def test_of_more_arms_those_with_the_best_are_judged_among_all_pairs() -> None:
    """What is found is found among all pairs too, at the same intervals: some left out make none of the others true."""
    findings = Findings.of(study(46, seeds=16))
    found, family = findings.primary, 46 * 45 // 2
    best = findings.ranked[0]
    assert [(one.a, one.b) for one in found] == [(best, arm) for arm in findings.values if arm != best]
    columns = {arm: of["test_accuracy"] for arm, of in findings.values.items()}
    every = {frozenset((one.a, one.b)): one for one in differences(columns, "test_accuracy")}
    assert len(every) == family
    told = {one.verdict for one in found}
    assert "a higher" in told
    assert "no difference shown" in told
    for one in found:
        same = every[frozenset((one.a, one.b))]
        assert one.ci95_family is not None
        assert same.ci95_family is not None
        assert sorted(map(abs, one.ci95_family)) == pytest.approx(sorted(map(abs, same.ci95_family)))
        assert one.verdict not in HIGHER or same.verdict in HIGHER
    (line,) = [line for line in findings.warnings if "Judged are" in line]
    assert line.startswith(
        f"46 arms make 1,035 pairs. Judged are the 45 of {best}, whose mean test accuracy is highest"
    )
    assert "of 1035 pairs at once" in printed(findings)


def test_a_family_counts_pairs_that_are_not_there() -> None:
    ps = [0.001, 0.02, None, 0.04]
    assert holm(ps, 10) == holm([*ps, *[None] * 6])[:4]


def test_too_few_seeds_for_all_pairs_are_too_few_for_some() -> None:
    """Twelve seeds find one of 45 pairs, and none of 1,035."""
    findings = Findings.of(study(46, seeds=12))
    assert {one.verdict for one in findings.primary} == {"too few seeds"}
    assert findings.least_seeds == 16


def test_against_a_baseline_all_are_judged_among_these_alone() -> None:
    found = study(60, baseline="optimizer=m003")
    findings = Findings.of(found)
    assert {one.b for one in findings.primary} == {"optimizer=m003"}
    assert findings.asked.family == 59
    assert not findings.asked.told


def test_the_best_is_by_the_metrics_direction_and_lost_no_run() -> None:
    columns = {"a": [1.0, 1.0], "b": [2.0, 2.0], "c": [0.0, None]}
    assert ranked_arms(columns, Metric("test_loss", "lower")) == ["a", "b", "c"]
    assert ranked_arms(columns, Metric("test_accuracy", "higher")) == ["b", "a", "c"]


def test_who_is_earlier_is_judged_of_the_same_pairs() -> None:
    findings = Findings.of(study(46, seeds=12, target=Target("test_accuracy", 0.88, "higher")))
    assert [(one.a, one.b) for one in findings.earlier] == findings.asked.pairs
    least = min(one.p_adjusted for one in findings.earlier if one.p_adjusted is not None)
    assert least == pytest.approx(1035 * 2.0**-11)


def test_of_very_many_interactions_none_is_judged_and_that_is_said() -> None:
    grid = [{"optimizer.lr": k / 100, "model.hidden": 10 * n} for k in range(1, 11) for n in range(1, 11)]
    findings = Findings.of(with_settings(study(100), grid))
    assert {one.kind for one in findings.effects} == {"main effect"}
    assert sum("none of 2,025 interactions is judged" in line for line in findings.warnings) == 1
    few = Findings.of(with_settings(study(4), [grid[i] for i in (0, 1, 10, 11)]))
    assert {one.kind for one in few.effects} == {"main effect", "interaction"}
    assert not any("interactions" in line for line in few.warnings)


def test_very_many_lines_of_a_sweep_are_not_told_one_by_one() -> None:
    words = [{"optimizer.lr": lr, "optimizer": f"m{i:02}"} for i in range(46) for lr in (0.1, 0.2, 0.3)]
    findings = Findings.of(with_settings(study(138), words))
    (sweep,) = findings.sweeps
    assert len(sweep.lines) == 46
    assert not sweep.pairs
    lines = sweep_lines(findings)
    assert len(lines) == 11
    assert lines[-1] == ("36 more lines have each a best lr, which --json tells; no two of these 46 are compared in it")
    few = Findings.of(with_settings(study(135), words[:135]))
    assert len(few.sweeps[0].pairs) == 990
    assert len(sweep_lines(few)) >= 45


def test_agreements_are_those_of_all_pairs() -> None:
    names = ("numpy", "torch")
    both = [{"optimizer.lr": k / 100, "implementation": name, "optimizer": "sgd"} for k in range(20) for name in names]
    found = with_settings(study(40), both)
    named = [(one.a, one.b) for one in agreements(found)]
    assert named == [(a.name, b.name) for a, b in combinations(found.arms, 2) if _differ_in(a, b, "implementation")]
    assert len(named) == 20


def test_a_table_of_very_many_arms_has_the_best() -> None:
    findings = Findings.of(study(101))
    text = printed(findings)
    rows = [line.split()[0] for line in text.splitlines() if "6/6" in line]
    assert rows == [name.partition("=")[2] for name in findings.ranked[:40]]
    assert "the 40 best of 101 arms by their mean test accuracy; --json has them all" in text
    whole = printed(Findings.of(study(100)))
    assert sum("6/6" in line for line in whole.splitlines()) == 100
    assert "best of" not in whole


def test_a_page_of_very_many_arms_draws_the_best_and_says_so() -> None:
    findings = Findings.of(study(101))
    html = page([findings])
    best = findings.ranked
    assert html.count("Here are the 40 best of 101 arms by their mean test accuracy.") == 1
    assert "Drawn are the 40 best of 101 arms by their mean test accuracy." in html
    table = html[html.index("Results of") :]
    assert f'<th scope="row">{best[0].partition("=")[2]}</th>' in table
    assert f'<th scope="row">{best[40].partition("=")[2]}</th>' not in table
    payload = json.loads(html.partition('id="s0-data">')[2].partition("</script>")[0])
    drawn = {trace["name"].partition(",")[0] for trace in payload["figures"]["test_loss"]["data"] if "name" in trace}
    assert drawn == {name.partition("=")[2] for name in best[:40]}
    assert len(payload["csv"]["results"].splitlines()) == 102


def test_tables_too_large_for_a_page_are_left_out_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = Findings.of(study(3))
    whole = json.loads(page([findings]).partition('id="s0-data">')[2].partition("</script>")[0])["csv"]
    assert list(whole) == ["results", "runs", "differences"]
    html = ""
    rooms = (len("".join(whole.values())) - 1, len(whole["runs"]), len(whole["results"]) + len(whole["differences"]))
    for room in rooms:
        monkeypatch.setattr(pages, "_MOST_CSV", room)
        html = page([findings])
        held = json.loads(html.partition('id="s0-data">')[2].partition("</script>")[0])["csv"]
        assert held == {name: whole[name] for name in ("results", "differences")}
    assert 'data-csv="runs"' not in html
    assert 'data-csv="differences"' in html
    told = "Too large for a page are 18 runs: <code>paribus report RUNS --files FOLDER</code> writes them as CSV."
    assert told in html
    monkeypatch.setattr(pages, "_MOST_CSV", 0)
    assert "Too large for a page are the results of 3 arms and 3 differences and 18 runs" in page([findings])


def test_more_than_a_megabyte_is_unpacked_as_it_was() -> None:
    """What does not come with the first line is unpacked after it is known how much it is."""
    large = {"a": np.random.default_rng(0).standard_normal(2**18), "b": np.zeros(2**18)}
    told: list[int] = []
    found = unpack(pack(large), told.append)
    assert told == [2**22]
    for name, column in large.items():
        np.testing.assert_array_equal(found[name], column)

    def refuse(size: int) -> None:
        raise MemoryError(size)

    with pytest.raises(MemoryError):
        unpack(pack(large), refuse)
