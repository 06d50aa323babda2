"""The pictures of docs/explained.md, and every number in its text: python docs/images/explained.py

Each function draws one idea from random numbers of its own, and returns the picture and the phrases of the text that
have numbers. They are kept in the picture's description, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

import paribus
from paribus.findings.differences import holm
from paribus.findings.effects import Effects
from paribus.findings.intervals import t_interval
from paribus.findings.pairs import Pairs
from paribus.findings.resplit import Resplit
from paribus.findings.sequential import found_at
from paribus.findings.sign_flips import sign_flip_p

FOLDER = Path(__file__).parent
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#595959"  # of Okabe and Ito: apart for colour-blind readers, too
ALPHA = 0.05
Values = NDArray[np.float64]
Drawn = tuple[Figure, list[str]]
STYLE: dict[str, Any] = {
    "font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "paribus",
    "figure.facecolor": "white",  # a white card on a dark page
}  # fmt: skip


def canvas(height: float = 2.6, columns: int = 1) -> tuple[Figure, Any]:
    """As wide as a telephone's screen shows without making letters small."""
    figure = Figure(figsize=(4.8, height), layout="constrained")
    return figure, figure.subplots(1, columns)


def arms() -> tuple[Values, Values]:
    """Two arms at the same 8 seeds, in percent: a seed moves both by the same, and b is half a point better."""
    draws = np.random.default_rng(12)
    seed = draws.normal(90, 1.5, 8)
    return seed + draws.normal(0, 0.6, 8), seed + 0.5 + draws.normal(0, 0.6, 8)


def one_run() -> Drawn:
    scores = np.random.default_rng(0).normal(90, 1.2, 30)
    figure, axis = canvas(1.7)
    axis.plot(scores, np.random.default_rng(1).uniform(-1, 1, 30), "o", color=BLUE, alpha=0.7)
    axis.axvline(scores.mean(), color=GREY, linewidth=1.5)
    axis.annotate("mean", (scores.mean(), 1.5), textcoords="offset points", xytext=(4, 0), color=GREY)
    axis.set(xlabel="test accuracy, %", yticks=[], ylim=(-2, 2.3))
    axis.spines["left"].set_visible(False)
    apart = np.mean([abs(a - b) > 1 for a, b in combinations(scores, 2)])
    return figure, [
        "30 times",
        f"from {scores.min():.1f} % to {scores.max():.1f} %",
        f"more than 1 point apart in {100 * apart:.0f} % of all pairs",
    ]


def pairing() -> Drawn:
    a, b = arms()
    figure, (left, right) = canvas(columns=2)
    seeds = np.arange(len(a))
    left.plot(seeds, a, "o", color=BLUE, label="A")
    left.plot(seeds, b, "^", color=ORANGE, label="B")
    left.vlines(seeds, a, b, color=GREY, linewidth=1)
    left.set(xlabel="seed", ylabel="test accuracy, %", xticks=seeds[::2])
    left.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.25), handletextpad=0.1)
    right.axhline(0, color=GREY, linewidth=1)
    right.plot(seeds, b - a, "D", color="black", markersize=5)
    right.set(xlabel="seed", ylabel="B - A, points", xticks=seeds[::2], ylim=(-2.2, 3.2))
    gain = Effects.of(Pairs.of(list(b), list(a))).pairing_gain
    assert gain is not None
    return figure, [
        "8 seeds",
        f"a standard deviation of {a.std(ddof=1):.1f} points",
        f"have one of {(b - a).std(ddof=1):.2f}",
        f"{gain:.0f} times as many seeds",
    ]


def sign_flips() -> Drawn:
    a, b = arms()
    d = b - a
    ways = np.array(list(product((-1, 1), repeat=len(d)))) @ d / len(d)
    far = np.abs(ways) >= abs(d.mean()) - 1e-12
    p = sign_flip_p(d)
    assert p == far.mean()
    figure, axis = canvas()
    edges = np.linspace(-abs(ways).max() * 1.05, abs(ways).max() * 1.05, 32)
    axis.hist([ways[~far], ways[far]], bins=list(edges), stacked=True, color=["#9ecae1", ORANGE])
    axis.annotate(
        "as observed", (d.mean(), far.sum() / 2), textcoords="offset points", xytext=(0, 55), ha="center", color=ORANGE,
        arrowprops={"arrowstyle": "->", "color": ORANGE},
    )  # fmt: skip
    axis.set(xlabel="mean difference with signs flipped, points", ylabel="ways", yticks=[0, 5, 10, 15])
    return figure, [
        f"the {len(d)} differences",
        f"Below {ALPHA}",
        f"{len(ways)} ways",
        f"{far.sum()} of them",
        f"p is {far.sum()} / {len(ways)} = {p:.3f}",
    ]


def interval() -> Drawn:
    draws, true = np.random.default_rng(4), 0.5
    found = [t_interval(draws.normal(true, 1, 8), ALPHA) for _ in range(100)]
    figure, axis = canvas(3.0)
    missed = 0
    for i, ends in enumerate(found):
        assert ends is not None
        outside = not ends[0] <= true <= ends[1]
        missed += outside
        axis.plot([i, i], ends, color=ORANGE if outside else BLUE, linewidth=2.4 if outside else 1.2)
    axis.axhline(true, color="black", linewidth=1.2)
    axis.set(xlabel="100 studies of 8 seeds", ylabel="interval for B - A", xticks=[])
    return figure, [
        "100 studies", "8 seeds", f"the true difference, {true} points", f"{100 - missed} of the 100 intervals",
        f"other {missed}", "95 %",
    ]  # fmt: skip


def many_pairs() -> Drawn:
    draws, studies, sizes = np.random.default_rng(3), 500, (2, 3, 4, 6)
    plain, corrected, pairs = [], [], []
    for arms_ in sizes:
        ps = [[sign_flip_p(a - b) for a, b in combinations(draws.normal(size=(arms_, 10)), 2)] for _ in range(studies)]
        pairs.append(len(ps[0]))
        plain.append(np.mean([min(p or 0 for p in of) <= ALPHA for of in ps]))
        corrected.append(np.mean([min(p or 0 for p in holm(of)) <= ALPHA for of in ps]))
    figure, axis = canvas()
    x = np.arange(len(sizes))
    axis.bar(x - 0.2, 100 * np.array(plain), 0.4, color=ORANGE, label="each pair alone", hatch="//", edgecolor="white")
    axis.bar(x + 0.2, 100 * np.array(corrected), 0.4, color=BLUE, label="with Holm's correction")
    axis.axhline(100 * ALPHA, color="black", linewidth=1, linestyle="--")
    axis.set(xlabel="pairs compared", ylabel="false alarm, % of studies", xticks=x, xticklabels=pairs)
    axis.legend(frameon=False, loc="upper left")
    return figure, [
        f"{studies} studies",
        f"{sizes[-1]} arms",
        f"{pairs[-1]} pairs",
        f"{pairs[-1]} chances",
        f"{100 * plain[-1]:.0f} % of such studies",
        f"With it {100 * corrected[-1]:.1f} %",
        "5 %",
        f"smallest p of {pairs[-1]} by {pairs[-1]}",
        f"the next by {pairs[-1] - 1}",
    ]


def margin() -> Drawn:
    draws, limit = np.random.default_rng(5), 0.5
    cases = (("6 seeds, noisy", 0.0, 1.5, 6), ("20 seeds", 0.0, 0.5, 20), ("20 seeds, B better", 1.5, 0.9, 20))
    figure, axis = canvas(2.4)
    axis.axvspan(-limit, limit, color="#d9d9d9")
    axis.axvline(0, color=GREY, linewidth=1)
    facts = [f"a margin of {limit} points", f"-{limit} to {limit}"]
    for row, (name, mean, sd, n) in enumerate(cases):
        b = 90 + draws.normal(mean, sd, n)
        judged = paribus.judge(pd.DataFrame({"B": b, "A": np.full(n, 90.0)}), margin=limit)
        (found,) = judged.differences().to_dict("records")
        low, high = found["interval"] if "interval" in found else (found["low"], found["high"])
        verdict = {"a higher": "B higher"}.get(found["verdict"], found["verdict"])
        axis.plot([low, high], [-row, -row], color=(ORANGE, BLUE, "black")[row], linewidth=2.5)
        axis.plot(b.mean() - 90, -row, ("o", "s", "D")[row], color=(ORANGE, BLUE, "black")[row])
        axis.annotate(f"{name}: {verdict}", (-2.2, -row + 0.28), fontsize=10)
        facts.append(f"{low:.2f} to {high:.2f}")
    axis.set(xlabel="B - A, points (grey: the margin)", yticks=[], ylim=(-2.4, 0.8), xlim=(-2.3, 2.7))
    axis.spines["left"].set_visible(False)
    return figure, facts


def until_decided() -> Drawn:
    draws, studies, least, most = np.random.default_rng(6), 1000, 6, 20
    d = draws.normal(size=(studies, most))
    looks = np.arange(least, most + 1)
    usual = np.array([ttest_1samp(d[:, :n], 0, axis=1).pvalue <= ALPHA for n in looks])
    peeked = 100 * np.maximum.accumulate(usual, axis=0).mean(axis=1)
    ends = [found_at(row, ALPHA, (least, most)) or most + 1 for row in d]
    spent = np.array([100 * np.mean([end <= n for end in ends]) for n in looks])
    figure, axis = canvas()
    axis.plot(looks, peeked, color=ORANGE, linewidth=2.2, linestyle="--")
    axis.plot(looks, spent, color=BLUE, linewidth=2.2)
    axis.axhline(100 * ALPHA, color="black", linewidth=1, linestyle=":")
    axis.annotate("stop when p looks good", (looks[1], peeked[-1] * 0.97), color=ORANGE)
    axis.annotate("seeds until decided", (12.2, 0.6), color=BLUE)
    axis.set(xlabel="seeds so far", ylabel="false alarms so far, %", ylim=(0, peeked[-1] * 1.12), xticks=looks[::2])
    return figure, [
        f"{studies} studies",
        f"after each seed from {least} to {most}",
        f"{peeked[-1]:.0f} % of them",
        f"below {ALPHA}",
        f"--seeds {least}..{most}",
        f"{spent[-1]:.1f} %",
        "5 %",
    ]


def tuning() -> Drawn:
    draws, rates = np.random.default_rng(7), 10.0 ** np.arange(-4, 0.1, 0.5)
    scores = {
        name: 92 - 3 * (np.log10(rates) - best) ** 2 + draws.normal(0, 0.15, len(rates))
        for name, best in (("A", -1.0), ("B", -2.5))
    }
    figure, axis = canvas()
    for of, colour, marker in zip(scores.values(), (BLUE, ORANGE), "o^", strict=True):
        axis.semilogx(rates, of, marker=marker, color=colour)
        axis.plot(rates[of.argmax()], of.max(), marker="o", markersize=14, fillstyle="none", color=colour)
    shared = list(rates).index(0.1)
    axis.axvline(0.1, color=GREY, linestyle="--", linewidth=1)
    axis.annotate("one rate for both", (0.08, 66), ha="right", color=GREY)
    axis.set(xlabel="learning rate", ylabel="validation accuracy, %")
    axis.annotate("A", (rates[0], scores["A"][0] + 4), color=BLUE, ha="center")
    axis.annotate("B", (rates[-1], scores["B"][-1] + 4), color=ORANGE, ha="center")
    gap = scores["A"][shared] - scores["B"][shared]
    best = scores["A"].max() - scores["B"].max()
    return figure, [
        "rate of 0.1",
        f"A is {gap:.1f} points better",
        f"the same {len(rates)} rates",
        f"only {abs(best):.2f} points apart",
    ]


def split_anew() -> Drawn:
    draws, share, favour = np.random.default_rng(8), 0.25, 0.4
    d = favour + draws.normal(0, 1, 100)
    counts = np.array([10, 20, 40, 70, 100])
    figure, axis = canvas()
    rule, ends = Resplit(share), {}
    for shift, colour, name in ((-0.015, ORANGE, "usual"), (0.015, BLUE, "corrected")):
        for n in counts:
            found = t_interval(d[:n], ALPHA) if name == "usual" else t_interval(d[:n], rule.level(ALPHA, int(n)))
            assert found is not None
            ends[name] = found
            x = n * (1 + 2 * shift)
            axis.plot([x, x], found, color=colour, linewidth=5 if name == "usual" else 1.8,
                      label=f"{name} interval" if n == counts[0] else None)  # fmt: skip
    axis.axhline(0, color="black", linewidth=1)
    axis.set(
        xscale="log",
        xlabel="seeds, each with a split of its own",
        ylabel="B - A, points",
        xticks=counts,
        ylim=(-2.2, 3.2),
    )
    axis.set_xticks([], minor=True)
    axis.set_xticklabels(list(map(str, counts)))
    axis.legend(frameon=False, loc="upper right")
    (low, high), (wide_low, wide_high) = ends["usual"], ends["corrected"]
    return figure, [
        f"by {favour} points",
        f"At {counts[-1]} seeds",
        f"{low:.2f} to {high:.2f}",
        f"{wide_low:.2f} to {wide_high:.2f}",
        "one example for testing to 4 for training",
    ]


PICTURES: dict[str, Callable[[], Drawn]] = {
    "one-run": one_run,
    "pairing": pairing,
    "sign-flips": sign_flips,
    "interval": interval,
    "many-pairs": many_pairs,
    "margin": margin,
    "until-decided": until_decided,
    "tuning": tuning,
    "split-anew": split_anew,
}


def drawn() -> Iterator[tuple[str, Figure, list[str]]]:
    """Name, picture and phrases of each."""
    with rc_context(STYLE):
        for name, make in PICTURES.items():
            yield name, *make()


def main() -> None:
    with rc_context(STYLE):
        for name, figure, facts in drawn():
            path = FOLDER / f"explained-{name}.svg"
            figure.savefig(path, metadata={"Date": None, "Description": "; ".join(facts)})
            print(f"{path.name}: {'; '.join(facts)}")


if __name__ == "__main__":
    main()
