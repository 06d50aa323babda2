"""What looking at a run costs: processor time with the looks that a diagnosis needs, over that without.

    python benchmarks/looks.py

By turns in one process, the median ratio of several rounds. A study looks at one run of each arm: of ten seeds a tenth
of what stands here.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from paribus.backends.dispatch import resolve, train
from paribus.config.overrides import parse_overrides
from paribus.records.run import Callback, Run
from paribus.tasks import load
from paribus.training.vitals import Looks

ROUNDS = 7
WORDS = (
    "task=moons epochs=150 implementation=fused",
    "task=digits model.hidden=64x64 epochs=20 implementation=fused",
    "task=digits model.hidden=64x64 epochs=20 implementation=torch",
    "task=digits model.hidden=64x64 epochs=20 implementation=numpy",
    "task=palindrome epochs=10 implementation=fused",
    "task=digits model=cnn model.width=0.125 epochs=3 implementation=torch",
)


def seconds(words: str, *, looks: bool) -> float:
    """Of the processor, for one run with its pictures."""
    settings = resolve({name: values[0] for name, values in parse_overrides(words.split()).items()})
    task, real = load(settings, 1), Looks.take
    if not looks:
        Looks.take = lambda *_: None  # type: ignore[method-assign]
    try:
        begun = time.process_time()
        train([Run(settings, 1, pictures=True)], lambda _: task, Callback())
        return time.process_time() - begun
    finally:
        Looks.take = real  # type: ignore[method-assign]


def main(wanted: str = "") -> None:
    """Print the ratios."""
    for words in WORDS:
        if wanted not in words:
            continue
        seconds(words, looks=True)  # compiled, imported
        pairs = [(seconds(words, looks=True), seconds(words, looks=False)) for _ in range(ROUNDS)]
        ratio, alone = median(a / b for a, b in pairs), median(b for _, b in pairs)
        print(f"{words:75s} {1e3 * alone:8.1f} ms without looks, {100 * (ratio - 1):+6.1f} % with them")


if __name__ == "__main__":
    main(*sys.argv[1:])
