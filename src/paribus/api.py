"""The same words in Python: `paribus.train`, `paribus.compare`, `paribus.open`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paribus.core.record import StudyRecord
from paribus.core.settings import Word, spell, word
from paribus.findings.study import all_differences, study_differences, warnings
from paribus.findings.summary import derived_metrics, metrics, values
from paribus.findings.unequal import unequal
from paribus.study.request import DEFAULT_METRIC, Options, request
from paribus.study.runner import carry_out, read

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Values = Word | Sequence[Word]


@dataclass(frozen=True)
class Study:
    """Arms x seeds and what they left; `record` holds it as plain values, `folder` on disk."""

    folder: Path
    record: StudyRecord

    def table(self) -> DataFrame:
        """A row for each arm and seed: the factors, the status, and every final metric (NaN where missing)."""
        import pandas as pd

        record = self.record
        names = [*metrics(record), *derived_metrics(record)]
        rows = []
        for arm in record.arms:
            final = {name: dict(zip(record.seeds, values(record, arm, name), strict=True)) for name in names}
            rows += [
                {
                    "arm": arm.name,
                    **{factor: arm.settings.get(factor) for factor in record.factors},
                    "seed": run.seed,
                    "status": str(run.status),
                    "epochs": run.epochs,
                    **{name: final[name][run.seed] for name in names},
                }
                for run in arm.runs
            ]
        frame = pd.DataFrame(rows)
        return frame.astype({name: float for name in names if name in frame})

    def curves(self) -> DataFrame:
        """Every evaluation, tidy: arm, seed, step, epoch, seconds, and a column for each metric."""
        import pandas as pd

        frames = [
            pd.DataFrame({"arm": arm.name, "seed": run.seed, **run.curve})
            for arm in self.record.arms
            for run in arm.runs
            if run.curve
        ]
        return (
            pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["arm", "seed", "step", "epoch"])
        )

    def differences(self, metric: str | None = None) -> DataFrame:
        """Every pair of arms on one metric, or on all of them; verdicts on the primary one."""
        import pandas as pd

        found = all_differences(self.record) if metric is None else study_differences(self.record, metric)
        return pd.DataFrame([asdict(one) for one in found])

    def warnings(self) -> list[str]:
        """What has to be said before any difference: unequal arms, runs that are missing."""
        return [*unequal(self.record), *warnings(self.record)]

    def plot(self) -> Figure | None:
        """Loss and accuracy on every split, a colour an arm, a line a seed; None where nothing was evaluated."""
        from paribus.report.curves import curves

        return curves(self.record)

    def __str__(self) -> str:
        from rich.console import Console

        from paribus.report.tables import results

        console = Console(width=100)
        with console.capture() as shown:
            console.print(results(self.record, console.width))
        return shown.get()

    def _repr_html_(self) -> str:
        from rich.console import Console

        from paribus.report.tables import results

        console = Console(width=110, record=True, file=io.StringIO())
        console.print(results(self.record, console.width))
        return console.export_html(inline_styles=True, code_format="<pre style='line-height:1.2'>{code}</pre>")


def compare(
    task: str | Sequence[str],
    *,
    seeds: int | Sequence[int] = 3,
    name: str | None = None,
    out: str | Path | None = None,
    metric: str = DEFAULT_METRIC,
    keep: Sequence[str] = (),
    jobs: int = 1,
    timing: bool = False,
    target: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
    **settings: Values,
) -> Study:
    """Train arms x seeds and compare; a setting with a list of values is a factor.

    The same description as the command's, with the same checks, and the same folder: run again, it does only what is
    missing. A dotted name is given as `**{"optimizer.lr": [0.1, 0.01]}`. Raises `SettingsError` (a ValueError) with
    every mistake before anything is trained.

    >>> import paribus, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = paribus.compare("moons", lr=[0.1, 0.01], epochs=5, seeds=2, out=folder + "/s")
    ...     study.table().shape, list(study.differences("test_loss")["pairs"])
    ((4, 11), [2])
    """
    return _study(task, settings, True, seeds, name, out, metric, keep, jobs, timing, target, baseline, margin)


def train(
    task: str,
    *,
    seeds: int | Sequence[int] = 1,
    name: str | None = None,
    out: str | Path | None = None,
    metric: str = DEFAULT_METRIC,
    keep: Sequence[str] = (),
    jobs: int = 1,
    timing: bool = False,
    target: str | None = None,
    **settings: Values,
) -> Study:
    """Train one arm.

    >>> import paribus, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paribus.train("moons", hidden="5x5", epochs=3, out=folder + "/s").curves()["epoch"].tolist()
    [3.0]
    """
    return _study(task, settings, False, seeds, name, out, metric, keep, jobs, timing, target, None, None)


def open(folder: str | Path) -> Study:  # noqa: A001 (as gzip.open, h5py.open)
    """The study that a folder holds."""
    return Study(Path(folder), read(Path(folder)))


def _study(
    task: str | Sequence[str],
    settings: dict[str, Values],
    comparing: bool,
    seeds: int | Sequence[int],
    name: str | None,
    out: str | Path | None,
    metric: str,
    keep: Sequence[str],
    jobs: int,
    timing: bool,
    target: str | None,
    baseline: str | None,
    margin: float | None,
) -> Study:
    words = [f"{key}={_values(value)}" for key, value in settings.items()]
    options = Options(
        str(seeds) if isinstance(seeds, int) else "".join(f"{seed}," for seed in seeds),
        name, None if out is None else Path(out), metric, ",".join(keep) or None, jobs, timing, target, baseline,
        margin, "python",
    )  # fmt: skip
    asked = request(_values(task), words, options, compare=comparing)
    return Study(asked.folder, carry_out(asked))


def _values(value: Any) -> str:
    listed = list(value) if isinstance(value, list | tuple) else [value]
    return ",".join(spell(word(one)) for one in listed)
