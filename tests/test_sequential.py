"""Seeds until decided, and studies that were extended: what chance finds, by counting every sign; and the engine."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paribus.config.overrides import SettingsError
from paribus.findings.anytime import anytime_p, e_values
from paribus.findings.compared import Lost
from paribus.findings.differences import differences
from paribus.findings.findings import Findings, undecided
from paribus.findings.pairs import with_worst
from paribus.findings.sequential import found_at, nominal_levels, spent
from paribus.findings.stopping import Extended, Signal, UntilDecided, ends_of
from paribus.records.record import ArmRecord, DatasetInfo, RunRecord, Status, StudyRecord
from paribus.study.arms import parse_seeds, seeds_of
from paribus.study.file import read_file
from paribus.study.reading import read
from paribus.study.repair import repair
from paribus.study.runner import carry_out
from paribus.study.spec import request
from paribus.study.store import StoreError
from paribus.study.toml import as_toml
from tests.helpers import ask, assert_same_curves, edited

SIZES = st.lists(st.integers(0, 4), min_size=7, max_size=9)


def signal(d: np.ndarray) -> Signal:
    return Signal(d, np.zeros(len(d)), 0)


def signed(size: np.ndarray) -> np.ndarray:
    """Every way to sign these sizes, shape (ways, seeds)."""
    return size * np.array(list(product((-1.0, 1.0), repeat=len(size))))


@settings(max_examples=15)
@given(SIZES, st.integers(2, 6), st.sampled_from([0.05, 0.2, 0.9]))
def test_of_all_signs_no_more_are_found_than_may_be_spent(sizes: list[int], least: int, alpha: float) -> None:
    """By each look, ties and zeros among them."""
    size = np.array(sizes, dtype=float)
    found = [found_at(d, alpha, (least, len(size))) for d in signed(size)]
    for n in range(least, len(size) + 1):
        share = np.mean([at is not None and at <= n for at in found])
        assert share <= alpha * (n / len(size)) ** 2 + 1e-9, (n, share)


def test_nearly_all_that_may_be_spent_is() -> None:
    size = np.array([1.0, 1.3, 0.7, 2.1, 0.4, 1.9, 1.1, 0.9, 1.6, 0.3])
    found = [found_at(d, 0.2, (4, 10)) for d in signed(size)]
    for n in (6, 8, 10):
        assert np.mean([at is not None and at <= n for at in found]) > 0.8 * spent(0.2, n, 10)


def test_beyond_the_paths_that_are_all_followed_the_share_is_kept() -> None:
    rng = np.random.default_rng(0)
    found = [found_at(rng.standard_normal(22), 0.2, (6, 22)) is not None for _ in range(600)]
    assert 0.14 < np.mean(found) < 0.25  # 0.2 give or take three standard errors


def test_levels_are_those_of_a_normal_test_that_is_looked_at_every_time() -> None:
    least, most, alpha = 6, 20, 0.05
    levels = np.array(nominal_levels(alpha, least, most))
    from scipy.special import ndtri

    rng = np.random.default_rng(1)
    z = rng.standard_normal((400_000, most)).cumsum(axis=1) / np.sqrt(np.arange(1, most + 1))
    beyond = np.abs(z[:, least - 1 :]) >= -ndtri(levels / 2)
    first = np.where(beyond.any(axis=1), beyond.argmax(axis=1), most)
    for n in (8, 12, 16, 20):
        assert (first <= n - least).mean() == pytest.approx(spent(alpha, n, most), rel=0.05)


@settings(max_examples=25)
@given(SIZES)
def test_bets_on_signs_are_fair(sizes: list[int]) -> None:
    """Over all signs E is 1 on average, and comes to 20 in at most a twentieth."""
    ways = signed(np.array(sizes, dtype=float))
    wealth = np.array([e_values(d) for d in ways])
    assert wealth.mean(axis=0) == pytest.approx(1.0, rel=1e-9)
    assert np.mean([(anytime_p(d) or 1.0) <= 0.05 for d in ways]) <= 0.05


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.sampled_from([-1, 0, 1])), min_size=1, max_size=12), st.integers(1, 12)
)
def test_a_lost_run_changes_nothing_of_what_was_before_it(rows: list[tuple[int, int]], n: int) -> None:
    """But for the size of those that nothing else came before, which no test knows."""
    d, side = np.array(rows, dtype=float).T
    whole, part = with_worst(d, side), with_worst(d[:n], side[:n])
    assert np.sign(whole[:n]).tolist() == np.sign(part).tolist()
    begun = np.cumsum((side == 0) & (d != 0))[:n] > 0
    assert whole[:n][begun].tolist() == part[begun].tolist()
    assert (np.abs(whole[side != 0]) >= 1).all()


def test_whoever_looks_and_whenever_finds_the_same_end() -> None:
    rng, until = np.random.default_rng(3), UntilDecided(6, 24)
    d = [rng.standard_normal(24) + shift for shift in (2.0, 1.0, 0.7, 0.0)]
    whole = ends_of([signal(one) for one in d], until, 0.05, None)
    assert [one.why for one in whole][::3] == ["found", "most"]
    for n in range(6, 25):
        sofar = ends_of([signal(one[:n]) for one in d], until, 0.05, None)
        for end, last in zip(sofar, whole, strict=True):
            assert (end.n, end.why) == ((last.n, last.why) if last.n <= n else (n, ""))


def test_one_that_is_found_lets_others_be_found() -> None:
    """As by Holm's method: alone at 0.05 / 2, beside one that is found at 0.05, its earlier looks too."""
    until = UntilDecided(6, 12)
    weak = np.array([1.0, 0.8, 1.2, -0.3, 0.9, 1.1, 1.0, -0.2, 0.2, 1.0, 1.3, 0.6])
    level = lambda alpha: found_at(weak, alpha, (6, 12))  # noqa: E731
    strong, none = np.arange(1.0, 13.0), np.array([1.0, -1.0] * 6)
    beside = ends_of([signal(weak), signal(strong)], until, 0.05, None)[0]
    alone = ends_of([signal(weak), signal(none)], until, 0.05, None)[0]
    assert alone.n == level(0.025)
    assert beside.n < alone.n
    assert beside.why == "found"


def test_one_that_is_equivalent_lets_no_other_be_found() -> None:
    rng = np.random.default_rng(4)
    same, other = rng.standard_normal(40) * 0.01, rng.standard_normal(40)
    pairs = [signal(same), signal(other), signal(np.arange(1.0, 41.0))]
    first, second, third = ends_of(pairs, UntilDecided(6, 40), 0.05, 0.4)
    assert (first.why, third.why) == ("equivalent", "found")
    assert first.n < third.n
    assert second.level == 0.05 / 2


@pytest.mark.parametrize("why", ["equivalent", "futile"])
def test_a_pair_ends_where_nothing_is_left_to_find(why: str) -> None:
    rng = np.random.default_rng(4)
    d = rng.standard_normal(40) * (0.1 if why == "equivalent" else 1.0) - 0.02
    (end,) = ends_of([signal(d)], UntilDecided(6, 40), 0.05, 0.4)
    assert end.why == why
    assert end.n < 40


def test_a_verdict_is_found_exactly_where_the_pair_ended_as_found() -> None:
    rng, until = np.random.default_rng(5), UntilDecided(6, 16)
    for _ in range(40):
        base = rng.standard_normal(16)
        arms = {name: list(base + rng.standard_normal(16) + shift) for name, shift in (("a", 0), ("b", 1), ("c", 2))}
        for one in differences(arms, "m", stopping=until):
            assert (one.ended == "found") == (one.verdict in ("a higher", "b higher"))
            assert (one.ended == "found") == ((one.p_adjusted or 1.0) <= 0.05)
            assert one.interval is not None
            assert (one.interval[0] > 0 or one.interval[1] < 0) == (one.ended == "found")


def test_an_extended_study_is_judged_so_that_looks_do_no_harm() -> None:
    a = {"a": [1.0, 2, 3, 2.5, 4, 3, 2, 1], "b": [0.0] * 8}
    (found,) = differences(a, "m", stopping=Extended((6, 8)))
    d = np.array(a["a"])
    assert found.p == anytime_p(d)
    assert found.interval_of == "e-process"
    assert found.interval is not None
    assert found.interval[0] > 0
    assert found.note.startswith("looked at after 6, 8 seeds")
    assert "the usual p, 0.0078, is not adjusted" in found.note
    for end, out in zip(found.interval, (-1e-3, 1e-3), strict=True):
        assert (anytime_p(d - end) or 0) > 0.05 >= (anytime_p(d - end - out) or 0)


def test_what_comes_after_the_end_changes_nothing() -> None:
    """A score that blew up, and a run that was lost, while other pairs went on."""
    rng, until = np.random.default_rng(7), UntilDecided(6, 20)
    whole = {"a": list(rng.standard_normal(20) + 2.0), "b": list(rng.standard_normal(20))}
    (plain,) = differences(whole, "m", stopping=until)
    assert plain.ended_after is not None
    assert plain.ended_after < 14
    (blown,) = differences({**whole, "a": [*whole["a"][:15], 1e17, *whole["a"][16:]]}, "m", stopping=until)
    lost = Lost({"a": [False] * 20, "b": [seed == 16 for seed in range(20)]}, "higher")
    gone = {**whole, "b": [*whole["b"][:16], None, *whole["b"][17:]]}
    (without,) = differences(gone, "m", lost=lost, stopping=until)
    assert plain == blown == without


@pytest.mark.parametrize("margin", [None, 0.6])
def test_with_margins_and_losses_verdict_and_end_say_the_same(margin: float | None) -> None:
    rng, until = np.random.default_rng(8), UntilDecided(6, 16)
    told = {"found": ("a higher", "b higher"), "equivalent": ("equivalent",), "futile": ("no difference shown",)}
    for _ in range(60):
        base, n = rng.standard_normal(16), 16
        scores = {
            name: base + rng.standard_normal(n) + shift for name, shift in zip("abcd", (0, 0, 0.5, 2), strict=True)
        }
        gone = {name: list(rng.random(n) < 0.05) for name in scores}
        arms = {
            name: [None if out else x for x, out in zip(of, gone[name], strict=True)] for name, of in scores.items()
        }
        for one in differences(arms, "m", lost=Lost(gone, "higher"), stopping=until, margin=margin):
            assert one.ended is not None
            assert one.verdict in told.get(one.ended, ("no difference shown", "too few seeds"))
            assert ((one.p_adjusted or 1.0) <= 0.05) == (one.ended == "found")
            if one.interval is not None and one.ended != "equivalent":
                assert (one.interval[0] > 0 or one.interval[1] < 0) == (one.ended == "found")


def test_a_pair_that_cannot_go_on_is_at_its_end() -> None:
    """At one seed both runs were lost; or nobody knows which way is better."""
    until, rng = UntilDecided(6, 8), np.random.default_rng(9)
    gone = {name: [seed == 3 for seed in range(8)] for name in "ab"}
    arms = {name: [None if seed == 3 else float(rng.standard_normal()) for seed in range(8)] for name in "ab"}
    (found,) = differences(arms, "m", lost=Lost(gone, "higher"), stopping=until)
    assert (found.ended, found.ended_after, found.verdict) == ("most", 7, "no difference shown")
    one = {"a": gone["a"], "b": [False] * 8}
    arms["b"][3] = 0.5
    (found,) = differences(arms, "m", lost=Lost(one, None), stopping=until)
    assert (found.ended, found.verdict) == ("most", "not judged")


def test_many_pairs_can_be_told_apart_too() -> None:
    assert found_at(np.arange(1.0, 41.0), 0.05 / 2000, (6, 40)) is not None
    assert UntilDecided(6, 40).least_p(40) < 0.05 / 2000


def test_what_later_seeds_took_back_is_not_shown() -> None:
    d = [1.0, 1.1, 0.9, 1.2, 1.0, 0.8, 1.1, 1.3, 1.0, 0.9, 1.0, 1.1, -30.0]
    (found,) = differences({"a": d, "b": [0.0] * 13}, "m", stopping=Extended((6, 13)))
    assert found.verdict == "no difference shown"
    (found,) = differences({"a": d[:-1], "b": [0.0] * 12}, "m", stopping=Extended((6, 12)))
    assert found.verdict == "a higher"


def test_lost_runs_are_the_worst_of_a_sequential_test_too() -> None:
    n, until = 12, UntilDecided(6, 12)
    rng = np.random.default_rng(6)
    columns = {"a": [None] * n, "b": list(rng.standard_normal(n))}
    lost = Lost({"a": [True] * n, "b": [False] * n}, "higher")
    (found,) = differences(columns, "m", lost=lost, stopping=until)
    assert (found.verdict, found.ended, found.by_ranks, found.mean) == ("b higher", "found", True, None)


INFO = DatasetInfo(
    name="moons",
    fingerprint="f",
    pool="p",
    source="s",
    classes=2,
    input_shape=(2,),
    train=80,
    validation=0,
    test=20,
    overlap=0,
)


def recorded(scores: list[float | str]) -> list[RunRecord]:
    """Of each score a run; one that is lost diverged."""
    return [
        RunRecord(
            seed=seed,
            status=Status.DIVERGED if one == "lost" else Status.DONE,
            error=None,
            epochs=1,
            curve={} if one == "lost" else {"test_accuracy": np.array([one], dtype=float)},
            task=INFO,
            plan_hash="h",
            attempt=1,
        )
        for seed, one in enumerate(scores)
    ]


OF_AN_ARM = st.builds(
    lambda scores, lost: [*scores[:lost], "lost", *scores[lost + 1 :]] if lost < len(scores) else scores,
    st.lists(st.floats(0, 1), min_size=5, max_size=10),
    st.integers(0, 20),
)


@settings(max_examples=60, deadline=None)
@given(OF_AN_ARM, OF_AN_ARM, st.sampled_from([None, 0.5, 3.0]), st.sampled_from([None, "c"]))
def test_the_arms_that_train_on_are_those_of_pairs_that_are_not_decided(
    a: list[float | str], b: list[float | str], margin: float | None, baseline: str | None
) -> None:
    above = [9.0 + seed % 3 for seed in range(8)]
    arms = [ArmRecord(name, {}, recorded(one)) for name, one in (("a", a), ("b", b), ("c", above))]
    whole = StudyRecord(
        name="s",
        factors=["lr"],
        seeds=list(range(10)),
        primary_metric="test_accuracy",
        arms=arms,
        least=6,
        margin=margin,
        baseline=baseline,
    )
    open_ = [one for one in Findings(whole).primary if one.verdict == "not decided yet"]
    assert undecided(whole) == {name for one in open_ for name in (one.a, one.b)}


# --- the study ---


def test_seeds_until_decided_are_read() -> None:
    assert (parse_seeds("6..40"), parse_seeds("6..40").least) == (list(range(40)), 6)
    assert seeds_of(" 6 .. 8 ").least == 6
    assert seeds_of("8").least is None
    for text in ("1..5", "6..6", "8..6", "6..5000"):
        with pytest.raises(SettingsError, match=r"--seeds \d+\.\.\d+ is not allowed"):
            parse_seeds(text)
    with pytest.raises(SettingsError, match="is not allowed"):
        parse_seeds("6..")


def study(folder: Path, words: str, seeds: str, **more: object):  # type: ignore[no-untyped-def]
    asked = ask(folder, words, "1").replaced(seeds=list(seeds_of(seeds)), least=seeds_of(seeds).least, **more)
    return carry_out(asked, undecided=undecided)


CLEAR = "moons lr=0.001,0.5 epochs=5 init=default implementation=numpy"


def test_it_ends_when_all_is_decided_and_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = study(tmp_path / "s", CLEAR, "6..20")
    (found,) = Findings.of(whole).primary
    assert found.ended == "found"
    counts = {arm.name: len(arm.runs) for arm in whole.arms}
    assert set(counts.values()) < set(range(6, 20))
    assert max(counts.values()) <= found.pairs + 2  # what trains at once
    assert (whole.least, len(whole.seeds)) == (6, 20)
    assert_same_curves(study(tmp_path / "s", CLEAR, "6..20"), whole)
    assert_same_curves(read(tmp_path / "s"), whole)


def test_arms_end_with_their_pairs(tmp_path: Path) -> None:
    words = "moons lr=0.001,0.5,0.500001 epochs=5 init=default implementation=numpy"
    counts = {arm.name: len(arm.runs) for arm in study(tmp_path / "s", words, "6..12").arms}
    assert counts["lr=0.001"] < 12
    assert (counts["lr=0.5"], counts["lr=0.500001"]) == (12, 12)


def test_what_was_declared_cannot_be_changed_when_it_was_looked_at(tmp_path: Path) -> None:
    study(tmp_path / "s", CLEAR, "6..8")
    with pytest.raises(StoreError, match=r"--seeds \(6\.\.8 there, 6\.\.20 here\)"):
        study(tmp_path / "s", CLEAR, "6..20")
    with pytest.raises(StoreError, match=r"--seeds \(6\.\.8 there, 20 here\)"):
        study(tmp_path / "s", CLEAR, "20")
    study(tmp_path / "t", CLEAR, "6")
    with pytest.raises(StoreError, match=r"--seeds \(6 there, 6\.\.20 here\)"):
        study(tmp_path / "t", CLEAR, "6..20")
    with pytest.raises(StoreError, match=r"--margin \(none there, 0\.1 here\)"):
        study(tmp_path / "s", CLEAR, "6..8", margin=0.1)
    with pytest.raises(StoreError, match=r"--baseline \(none there, lr=0\.5 here\)"):
        study(tmp_path / "s", CLEAR, "6..8", baseline="lr=0.5")
    with pytest.raises(StoreError, match=r"arms \(2 there, 3 here\)"):
        study(tmp_path / "s", CLEAR.replace("0.5", "0.5,0.6"), "6..8")


def test_a_run_that_failed_is_tried_again_wherever_it_is(tmp_path: Path) -> None:
    whole = study(tmp_path / "s", CLEAR, "6..20")
    last = len(whole.arms[0].runs) - 1
    with edited(tmp_path / "s") as database:
        worse = "SELECT id FROM arms WHERE name = 'lr=0.001'"  # of which it would say the same
        database.execute(f"UPDATE runs SET status = 'failed' WHERE seed = ? AND arm = ({worse})", (last,))
    again = study(tmp_path / "s", CLEAR, "6..20")
    assert {run.status for arm in again.arms for run in arm.runs} == {Status.DONE}
    assert [len(arm.runs) for arm in again.arms] == [len(arm.runs) for arm in whole.arms]


def test_the_file_of_such_a_study_repeats_it(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(as_toml(study(tmp_path / "s", CLEAR, "6..8")))
    assert (read_file(tmp_path / "s.toml").seeds, read_file(tmp_path / "s.toml").least) == (list(range(8)), 6)


def test_one_arm_has_nothing_to_decide() -> None:
    with pytest.raises(SettingsError, match=r"--seeds 6\.\.8 is for two arms or more"):
        request("moons", ["lr=0.1"], compare=False, seeds=parse_seeds("6..8"))


def test_more_seeds_when_results_are_known_are_looks(tmp_path: Path) -> None:
    assert study(tmp_path / "s", CLEAR, "6").looks == ()
    assert study(tmp_path / "s", CLEAR, "6").looks == ()
    assert study(tmp_path / "s", CLEAR, "8").looks == (6, 8)
    found = study(tmp_path / "s", CLEAR, "12")
    assert found.looks == (6, 8, 12)
    (one,) = Findings.of(found).primary
    assert "looked at after 6, 8, 12 seeds" in one.note


def test_seeds_that_are_new_are_looks_however_many_there_are(tmp_path: Path) -> None:
    assert study(tmp_path / "s", CLEAR, "10,11,12,13,14,15").looks == ()
    found = study(tmp_path / "s", CLEAR, "0,1,2,3,4,5")
    assert (found.looks, found.seeds) == ((6, 12), [10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5])
    assert study(tmp_path / "t", CLEAR, "4").looks == ()
    assert study(tmp_path / "t", CLEAR, "2").looks == study(tmp_path / "t", CLEAR, "4").looks == ()


def test_a_record_that_lost_what_was_asked_for_grows_all_the_same(tmp_path: Path) -> None:
    study(tmp_path / "s", CLEAR, "6")
    with edited(tmp_path / "s") as database:
        database.execute("UPDATE study SET value = 'x' WHERE key IN ('seeds', 'asked')")
    repair(tmp_path / "s")
    assert study(tmp_path / "s", CLEAR, "8").looks == (6, 8)
