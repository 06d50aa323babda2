"""What the readings of a study are worth where it is known what is true: one part for each, on random data.

    python benchmarks/verdicts.py              # every part, some minutes
    python benchmarks/verdicts.py jitter ties  # these alone

It runs with older versions too: PYTHONPATH=CHECKOUT/src gives what docs/statistics.md calls `before`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from paribus.findings import differences as module
from paribus.findings.differences import Difference, differences
from paribus.findings.findings import Findings
from paribus.findings.summary import jitter
from paribus.findings.targets import earlier
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord, Target

NAMED = ("a higher", "b higher")
TARGET = Target("test_accuracy", 0.9, "higher")


def compared(a: Any, b: Any, margin: float | None = None) -> Difference:
    (found,) = differences({"a": list(map(float, a)), "b": list(map(float, b))}, "m", margin=margin)
    return found


def percent(found: list[bool]) -> str:
    return f"{100 * float(np.mean(found)):.1f} %"


def run(seed: int, curve: Mapping[str, Any], status: Status = Status.DONE) -> RunRecord:
    columns = {name: np.asarray(column, dtype=np.float64) for name, column in curve.items()}
    unknown: Any = None
    return RunRecord(
        seed=seed, status=status, error=None, epochs=1, curve=columns, task=unknown, plan_hash="", attempt=1
    )


def study(arms: Mapping[str, list[RunRecord]]) -> StudyRecord:
    return StudyRecord(
        name="s",
        factors=[],
        seeds=[one.seed for one in next(iter(arms.values()))],
        primary_metric="test_accuracy",
        arms=[ArmRecord(name, {}, runs) for name, runs in arms.items()],
        target=TARGET,
    )


def jitters(rng: np.random.Generator) -> None:
    """Curves with the same noise, of which one still falls: is its jitter said to be higher?"""
    found = []
    t = np.arange(200)
    for _ in range(300):
        scores = []
        for depth in (1.0, 0.0):
            curves = depth * np.exp(-t / 60) + 1e-4 * rng.standard_normal((10, 200))
            scores.append([jitter(run(0, {"train_loss": one, "epoch": t}), "train_loss") for one in curves])
        found.append(compared(*scores).verdict in NAMED)
    print(f"jitter: the same noise on a falling and on a flat curve, 10 seeds: told apart in {percent(found)}")


def crossings(rng: np.random.Generator) -> None:
    """Two arms that converge alike; one of them has a spike over the target long before, and falls back."""
    found = []
    epochs = np.arange(1, 101)
    for _ in range(300):
        arms = {}
        for name, spiked in (("a", True), ("b", False)):
            runs = []
            for seed in range(10):
                curve = np.where(epochs >= rng.integers(50, 60), 0.95, 0.75)
                if spiked:
                    curve[rng.integers(5, 15)] = 0.95
                runs.append(run(seed, {"epoch": epochs, "test_accuracy": curve}))
            arms[name] = runs
        (pair,) = earlier(study(arms), TARGET)
        found.append(pair.p_adjusted is not None and pair.p_adjusted <= 0.05)
    print(f"crossings: arms that converge alike, one with a spike before, 10 seeds: earlier in {percent(found)}")


def horizons(rng: np.random.Generator) -> None:
    """The same arm, trained for 1,500 epochs and for 100."""
    found = []
    for _ in range(300):
        arms: dict[str, list[RunRecord]] = {"a": [], "b": []}
        for seed in range(8):
            at = rng.integers(60, 400)
            for name, epochs in (("a", np.arange(10, 1501, 10)), ("b", np.arange(10, 101, 10))):
                curve = np.where(epochs >= at + rng.integers(-5, 6), 0.95, 0.75)
                arms[name].append(run(seed, {"epoch": epochs, "test_accuracy": curve}))
        (pair,) = earlier(study(arms), TARGET)
        found.append(pair.p_adjusted is not None and pair.p_adjusted <= 0.05)
    print(f"horizons: one arm at 1,500 and at 100 epochs, 8 seeds: earlier in {percent(found)}")


def spreads(rng: np.random.Generator) -> None:
    """Arm a loses half its accuracy in a tenth of its runs: 5 points on average; the margin is 1 point."""
    for noise in (0.0, 1e-3):
        for n in (6, 10, 20, 59):
            found, told = [], []
            for _ in range(1000):
                base = 0.9 + noise * rng.standard_normal(n)
                a = base - 0.5 * (rng.random(n) < 0.1) + noise * rng.standard_normal(n)
                one = compared(a, base, 0.01)
                found.append(one.verdict == "equivalent")
                told.append(one.verdict == "equivalent" and "may still come" not in getattr(one, "note", ""))
            what = f"{n} seeds, noise {noise:g}"
            print(f"spreads: rare collapses, {what}: equivalent in {percent(found)}, without a caution {percent(told)}")


def ties(rng: np.random.Generator) -> None:
    """Accuracies with one decimal: whole numbers of tenths, whose p can be told exactly, written as percent and as
    shares."""
    false, units = [], []
    for _ in range(1500):
        n = int(rng.integers(8, 13))
        old = rng.integers(800, 960, n)
        new = old + rng.choice([-1, 1], n, p=[0.2, 0.8]) * rng.integers(1, 4, n)
        exact = compared(new, old)
        others = [
            compared([float(f"{x / 10:.1f}") for x in new], [float(f"{x / 10:.1f}") for x in old]),
            compared([float(f"{x / 1000:.3f}") for x in new], [float(f"{x / 1000:.3f}") for x in old]),
        ]
        false.append(any(one.verdict != exact.verdict for one in others))
        units.append(len({one.p for one in (exact, *others)}) > 1)
    print(
        f"ties: tables of percents, 8 to 12 seeds: another verdict in {percent(false)}, another p in {percent(units)}"
    )
    moved = []
    for _ in range(200):
        d = np.round(rng.standard_normal(20) + 0.45, 2)
        ps = {compared(order, np.zeros(20)).p for order in (d, d[::-1], rng.permutation(d))}
        moved.append(len(ps) > 1)
    print(f"ties: 20 seeds in another order: another p in {percent(moved)}")


def pictures(rng: np.random.Generator) -> None:
    """Whether the interval that is drawn leaves 0 out where the verdict says so, and only there."""
    for n in (6, 8, 12, 20):
        for effect in (0.5, 1.0, 1.5):
            found = []
            for _ in range(1000):
                one = compared(rng.standard_normal(n) + effect, np.zeros(n))
                low, high = getattr(one, "interval", one.ci95_family) or (-1.0, 1.0)
                found.append((low > 0 or high < 0) != (one.verdict in NAMED))
            print(f"pictures: {n} seeds, effect {effect} sd: verdict and drawn interval disagree in {percent(found)}")


def losses(rng: np.random.Generator) -> None:
    """The same arm twice, of which one loses the worst 30 % of its runs, as those of a divergence; and both."""
    for n in (8, 12, 20, 40):
        for who in ("one arm", "both"):
            false = []
            for _ in range(500):
                runs = {}
                for name in "ab":
                    scores = rng.standard_normal(n)
                    lost = scores < (np.quantile(scores, 0.3) if name == "a" or who == "both" else -np.inf)
                    runs[name] = [
                        run(seed, {"epoch": [1], "test_accuracy": [score]}, Status.DIVERGED if gone else Status.DONE)
                        for seed, (score, gone) in enumerate(zip(scores, lost, strict=True))
                    ]
                (one,) = Findings.of(study(runs)).primary
                false.append(one.verdict == "a higher" or (who == "both" and one.verdict == "b higher"))
            print(
                f"losses: the worst 30 % of {who} lost, {n} seeds: the arm that lost them is higher in {percent(false)}"
            )


def needed(rng: np.random.Generator) -> None:
    """How many seeds are asked for, where a difference of 0.3 sd needs 90."""
    for n in (6, 10, 20):
        for margin in (None, 0.3):
            asked = [compared(rng.standard_normal(n) + 0.3, np.zeros(n), margin).seeds_needed for _ in range(2000)]
            known = [one for one in asked if one is not None]
            if not known:
                print(f"needed: {n} seeds, no declared effect: nothing is asked for")
                continue
            low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
            of = "observed" if margin is None else "declared"
            print(f"needed: {n} seeds, the {of} effect: {low:.0f} to {high:.0f} (5 to 95 %), median {middle:.0f}")
    # by the sign-flip test itself
    for effect in (1.8, 1.3, 1.0, 0.5):
        seeds = _seeds_for(effect)
        found = [compared(rng.standard_normal(seeds) + effect, np.zeros(seeds)).verdict in NAMED for _ in range(2000)]
        print(f"needed: {effect} sd declared: {seeds} seeds, which find it in {percent(found)} (80 % is promised)")


def _seeds_for(effect: float) -> int:
    if hasattr(module, "power"):  # before
        return int(module.seeds_for(effect, 1.0, 1) or 0)
    from paribus.findings.power import seeds_for

    return int(seeds_for(effect, 1) or 0)


def effects(rng: np.random.Generator) -> None:
    """Whether 95 % intervals of effect sizes cover what is true, and Pitman's and Morgan's test under no difference."""
    spread, alike = 1.5, 0.6
    variance = spread**2 + 1 - 2 * alike * spread
    true = {
        "d_z": 0.8 / np.sqrt(variance),
        "share_a_higher": stats.norm.cdf(0.8 / np.sqrt(variance)),
        "pairing_gain": (spread**2 + 1) / variance,
        "sd_ratio": spread,
    }
    for n in (6, 10, 20):
        covered: dict[str, list[bool]] = {name: [] for name in true}
        alarms = []
        for _ in range(2000):
            z = rng.standard_normal((2, n))
            other = alike * z[0] + np.sqrt(1 - alike**2) * z[1]
            one = compared(spread * z[0] + 0.8, other).effects
            for name, value in true.items():
                low, high = getattr(one, f"{name}_ci95")
                covered[name].append(low <= value <= high)
            alarms.append(compared(z[0], other).effects.sd_ratio_p <= 0.05)
        told = ", ".join(f"{name} {percent(of)}" for name, of in covered.items())
        print(f"effects: {n} seeds, covered: {told}; spreads told apart where they are equal: {percent(alarms)}")


PARTS: Mapping[str, Callable[[np.random.Generator], None]] = {
    "jitter": jitters,
    "crossings": crossings,
    "horizons": horizons,
    "spreads": spreads,
    "ties": ties,
    "pictures": pictures,
    "losses": losses,
    "needed": needed,
    "effects": effects,
}


def main(parts: list[str]) -> None:
    for number, (name, part) in enumerate(PARTS.items()):
        if (not parts or name in parts) and (name != "effects" or hasattr(Difference, "as_data")):
            part(np.random.default_rng(number))


if __name__ == "__main__":
    main(sys.argv[1:])
