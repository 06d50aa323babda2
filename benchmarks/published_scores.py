"""The example data of autorank and rliable, judged by them and by Paribus.

    pip install autorank rliable     # in an environment of their own, beside Paribus
    python benchmarks/published_scores.py

autorank's first example draws 50 scores of each of six populations; its second compares six classifiers on 20 data
sets by ten-fold cross-validation; both are made here from their parameters. rliable's benchmark scores lie in a
bucket and are not downloaded: the scores of its own tests are used, 5 runs of 16 tasks. A peer that is not installed
is left out, with a word.
"""

from __future__ import annotations

import argparse
import warnings
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO

import numpy as np
import pandas as pd

import paribus

_RESAMPLES = 2000  # of rliable's bootstrap


def populations() -> pd.DataFrame:
    """autorank's examples/example.py: six normal populations, cut to 0 and 1."""
    random = np.random.RandomState(42)
    means = (0.2, 0.3, 0.5, 0.8, 0.85, 0.9)
    return pd.DataFrame({f"pop_{i}": random.normal(mean, 0.3, 50).clip(0, 1) for i, mean in enumerate(means)})


def classifiers() -> pd.DataFrame:
    """autorank's examples/example_sklearn.py: the accuracy of six classifiers on 20 data sets."""
    from sklearn.datasets import make_circles, make_classification, make_hastie_10_2, make_moons
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    compared = {
        "linear SVM": SVC(kernel="linear", C=0.025),
        "RBF SVM": SVC(gamma=2, C=1),
        "decision tree": DecisionTreeClassifier(max_depth=5, random_state=0),
        "random forest": RandomForestClassifier(max_depth=5, n_estimators=100, max_features=1, random_state=0),
        "neural net": MLPClassifier(alpha=1, max_iter=1000, random_state=0),
        "naive Bayes": GaussianNB(),
    }
    rows = []
    for i in range(5):
        x, y = make_classification(n_features=2, n_redundant=0, n_informative=2, random_state=i, n_clusters_per_class=1)
        x += 2 * np.random.RandomState(i).uniform(size=x.shape)
        for data in (
            make_moons(noise=0.3, random_state=i),
            make_circles(noise=0.2, factor=0.5, random_state=i),
            (x, y),
            make_hastie_10_2(1000, random_state=i),
        ):
            inputs = StandardScaler().fit_transform(data[0])
            rows.append({name: cross_val_score(one, inputs, data[1], cv=10).mean() for name, one in compared.items()})
    return pd.DataFrame(rows)


def beside_autorank(name: str, frame: pd.DataFrame) -> None:
    """Which pairs either finds."""
    found = paribus.judge(frame.rename_axis("seed").reset_index(), seed="seed", wide=True).judgement.found
    ours = {frozenset((one.a, one.b)) for one in found if one.verdict in ("a higher", "b higher")}
    pairs = len(found)
    print(f"\n{name}: {frame.shape[1]} arms, {len(frame)} pairs of scores each; Paribus finds {len(ours)} of {pairs}")
    if find_spec("autorank") is None:
        print("autorank is not installed: left out (pip install autorank)")
        return
    from autorank import autorank

    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        result = autorank(frame, alpha=0.05, verbose=False)
    if result.omnibus == "friedman":  # means of ranks further apart than the critical distance
        ranks = result.rankdf["meanrank"]
        theirs = {frozenset((a, b)) for a in ranks.index for b in ranks.index if abs(ranks[a] - ranks[b]) > result.cd}
    else:  # intervals of Tukey's test that do not meet
        low, high = result.rankdf["ci_lower"], result.rankdf["ci_upper"]
        theirs = {frozenset((a, b)) for a in low.index for b in low.index if low[a] > high[b]}
    test = (
        f"{result.omnibus} and {result.posthoc}, as the populations are {'' if result.all_normal else 'not '}all normal"
    )
    print(f"autorank ({test}) finds {len(theirs)} of {pairs}")
    for said, which in (("Paribus alone", ours - theirs), ("autorank alone", theirs - ours)):
        for one in found:
            if {one.a, one.b} in which:
                low_high = "" if one.interval is None else f", {one.interval[0]:+.4f} to {one.interval[1]:+.4f}"
                print(f"  {said}: {one.a} - {one.b} {one.mean:+.4f}{low_high}, p (Holm) {one.p_adjusted:.2g}")


def beside_rliable() -> None:
    """Two algorithms whose runs are the same in another order: no difference is there."""
    x = np.arange(80.0).reshape(5, 16)
    scores = {"x": x, "y": np.flip(x, axis=0)}
    frame = pd.DataFrame({name: of.mean(axis=1) for name, of in scores.items()}).rename_axis("seed").reset_index()
    for how, options in (("paired by run", {}), ("unpaired", {"unpaired": True})):
        table = frame.melt("seed", var_name="arm", value_name="mean")
        judged = paribus.judge(table, "mean", **options).judgement
        one, (low, high) = judged.found[0], judged.summaries["mean"]["x"].ci95 or (np.nan, np.nan)
        print(f"\nrliable's tests, {how}: Paribus says {one.verdict}, {one.mean:+.2f}, p {one.p}")
        print(f"  mean of x over its 5 runs {np.mean(scores['x']):.2f} ({low:.2f} to {high:.2f})")
    if find_spec("rliable") is None:
        print("rliable is not installed: left out (pip install rliable)")
        return
    from rliable import library, metrics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points, intervals = library.get_interval_estimates(
            scores, lambda of: np.array([metrics.aggregate_mean(of), metrics.aggregate_iqm(of)]),
            reps=_RESAMPLES, random_state=np.random.RandomState(0),
        )  # fmt: skip
        better, limits = library.get_interval_estimates(
            {"x,y": (scores["x"], scores["y"])}, metrics.probability_of_improvement,
            reps=_RESAMPLES, random_state=np.random.RandomState(0),
        )  # fmt: skip
    for name in scores:
        (mean, iqm), limit = points[name], intervals[name]
        print(
            f"rliable: {name} has mean {mean:.2f} ({limit[0, 0]:.2f} to {limit[1, 0]:.2f}), IQM {iqm:.2f} "
            f"({limit[0, 1]:.2f} to {limit[1, 1]:.2f})"
        )
    limit = np.ravel(limits["x,y"])
    print(f"rliable: P(x > y) = {np.ravel(better['x,y'])[0]:.3f} ({limit[0]:.3f} to {limit[1]:.3f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    beside_autorank("autorank's populations", populations())
    beside_autorank("autorank's classifiers", classifiers())
    beside_rliable()
