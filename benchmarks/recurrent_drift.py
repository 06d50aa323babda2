"""How fast two implementations of the recurrent network part, beside what one unit in the last place of every initial
value makes of one of them: the report's settings, 5,000 steps, float64.

    python benchmarks/recurrent_drift.py docs/images/recurrent-drift.png
"""

from __future__ import annotations

import argparse

import numpy as np
from drift import WAYS, losses
from matplotlib.figure import Figure

from paribus.backends.dispatch import resolve
from paribus.report.files.curves import COLOURS
from paribus.tasks import load


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("picture", nargs="?")
    options.add_argument("--epochs", type=int, default=50)
    asked = options.parse_args()
    words = {"task": "palindrome", "precision": "float64", "epochs": asked.epochs}
    numpy, torch = (resolve({**words, "implementation": name}) for name in ("numpy", "torch"))
    task = load(numpy, 0)
    hand = losses(numpy, task, 0)
    gaps = {"PyTorch against NumPy": np.abs(losses(torch, task, 0) - hand)}
    gaps |= {f"one ulp, {way}": np.abs(losses(numpy, task, 0, way) - hand) for way in WAYS}
    drift = np.max([gap for name, gap in gaps.items() if name.startswith("one")], axis=0)
    print("epoch   PyTorch - NumPy   one ulp (largest of three)   largest so far, over the drift's")
    for epoch in sorted({1, 2, 3, 5, 10, 20, 30, 40, asked.epochs} & set(range(1, asked.epochs + 1))):
        mine, theirs = gaps["PyTorch against NumPy"][:epoch], drift[:epoch]
        ratio = mine.max() / max(theirs.max(), np.finfo(float).eps)
        print(f"{epoch:5} {mine[-1]:17.1e} {theirs[-1]:28.1e} {ratio:20.2f}")
    if asked.picture:
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axis = figure.subplots()
        for i, (name, gap) in enumerate(gaps.items()):
            style = {
                "color": COLOURS[i],
                "linewidth": 1.8 if not i else 1.0,
                "linestyle": "solid" if not i else "dashed",
            }
            axis.semilogy(100 * np.arange(1, len(gap) + 1), np.maximum(gap, 1e-17), label=name, **style)
        axis.set(xlabel="step", ylabel="|difference| in train loss")
        axis.grid(alpha=0.25)
        axis.legend(frameon=False, fontsize=9)
        figure.savefig(asked.picture, dpi=120)


if __name__ == "__main__":
    main()
