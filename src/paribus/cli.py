"""The commands: words in, words out, no logic. Heavy imports happen inside them, so that `--help` answers at once."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from paribus.commands import LoopWords, carry_out, console_, described, print_study, refuse, typed
from paribus.extras import explained
from paribus.process import listen
from paribus.report.terminal.listings import LISTINGS

if TYPE_CHECKING:
    from paribus.study.spec import StudySpec


class _WithSettings(TyperCommand):
    """A command with settings, which says how one is written where it is given as an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)  # the parser takes them away
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # typer keeps its own copy of click: the class is known by its attribute
            option = str(getattr(error, "option_name", ""))
            if option.startswith("--") and type(error).__name__ == "NoSuchOption":
                _refuse_setting(option, given)
            raise


def _refuse_setting(option: str, args: list[str]) -> None:
    from paribus.config.overrides import SettingsError, full_name

    name = option.lstrip("-").replace("-", "_")
    try:
        full_name(name)
    except SettingsError:
        return
    joined = [arg.partition("=")[2] for arg in args if arg.startswith(f"{option}=")]
    after = [value for arg, value in pairwise(args) if arg == option]
    refuse([f"there is no option {option}: {name} is a setting: write {name}={(joined + after + ['VALUE'])[0]}"])


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Words = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as key=value; `paribus list settings` names them.", metavar="[KEY=VALUE]..."),
]
TaskName = Annotated[
    str,
    typer.Argument(
        help="moons, digits, diabetes, ...: `paribus list tasks`; a table, table.csv target=COLUMN; or your own loop, "
        "FILE.py:FUNCTION.",
        metavar="TASK",
    ),
]
Seeds = Annotated[
    str, typer.Option(help="How many seeds (10: 0 to 9), which (3,5,8; one as 3,), or until all is decided (6..40).")
]
Name = Annotated[str | None, typer.Option(help="The study's name; by default made from its words.")]
Out = Annotated[Path | None, typer.Option(help="The folder for its records; by default runs/NAME.")]
Metric = Annotated[
    str | None,
    typer.Option(help="The primary metric: test_accuracy where nothing is given, of numbers to predict test_rmse."),
]
Keep = Annotated[
    str | None,
    typer.Option(help="Keep these in the record too: weights, predictions, best (on validation data); with commas."),
]
Jobs = Annotated[
    int | None,
    typer.Option(help="How many runs train at once; by default one, and of fused runs as many as there are cores."),
]
Timing = Annotated[bool, typer.Option("--timing", help="Each run alone, in a process of its own: its seconds count.")]
TargetWord = Annotated[
    str | None, typer.Option("--target", help="Count epochs to this: test_accuracy=0.9.", metavar="METRIC=VALUE")
]
TuneWords = Annotated[
    list[str] | None,
    typer.Option(
        help="Choose each arm's value on validation data: lr=1e-5:1e-1:9 (log grid), lr=0.1,0.01; may be repeated.",
        metavar="KEY=CANDIDATES",
    ),
]
Budget = Annotated[int | None, typer.Option(help="Draw this many candidates from --tune's, instead of all.")]
Sampler = Annotated[
    str | None,
    typer.Option(
        "--sampler",
        "--tune-sampler",
        help="Who proposes candidates: grid, random (with --budget), or tpe (Optuna's, with --budget).",
    ),
]
TuneRepeats = Annotated[
    int, typer.Option(help="How often the whole tuning is done: then arms that are tuned like this are compared.")
]
TuneSeeds = Annotated[int, typer.Option(help="How many seeds, apart from the comparison's, --tune chooses on.")]
Device = Annotated[str | None, typer.Option(help="Where torch computes: cpu, cuda or auto; the setting device.")]
CheckpointEvery = Annotated[
    float, typer.Option(help="Seconds between a long run's checkpoints, from which it goes on if it is interrupted.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Train all anew; what is recorded is kept in a folder beside it.")]
CommandLine = Annotated[
    str | None,
    typer.Option(
        "--command",
        help="Any program as the loop: 'python train.py --lr {lr} --seed {seed}'; it prints metrics as JSON lines.",
        metavar="COMMAND",
    ),
]
MetricsFile = Annotated[
    str | None,
    typer.Option(
        help="What --command writes its metrics into: a file (JSON, CSV), or a folder of TensorBoard's events."
    ),
]
Timeout = Annotated[float | None, typer.Option(help="Seconds after which a run is ended, and failed.")]
Where = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="Where runs are carried out: dask:local, dask:tcp://HOST:PORT, or dask:FILE.",
        metavar="WHERE",
    ),
]
Retries = Annotated[int, typer.Option(help="How often --command is started again where it fails.", min=0)]
Shell = Annotated[bool, typer.Option("--shell", help="A shell reads --command.")]
LoopLower = Annotated[bool | None, typer.Option("--lower/--higher", help="Which values of a loop's metric are better.")]
LoopData = Annotated[str | None, typer.Option("--data", help="A task that a loop gets as run.data.", metavar="TASK")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List arms, runs and expected time; train and write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors (and JSON, where asked for).")]


_SCORES = "Of scores"
ScoreMetric = Annotated[
    str | None, typer.Option(help="The primary metric; by default the first.", rich_help_panel=_SCORES)
]
ScoreBaseline = Annotated[
    str | None,
    typer.Option(help="Compare all arms with this one, instead of all pairs.", rich_help_panel=_SCORES),
]
ScoreMargin = Annotated[
    float | None,
    typer.Option(
        help="The largest difference that does not matter, in the unit of the scores.", rich_help_panel=_SCORES
    ),
]
Missing = Annotated[
    str | None,
    typer.Option(
        help="What a missing score counts as: worst, or at-random, where it is missing for no reason of its own. "
        "Without it pairs that lack one are not judged.",
        rich_help_panel=_SCORES,
    ),
]
Lower = Annotated[
    bool | None,
    typer.Option(
        "--lower/--higher", help="Which scores are better; --missing worst needs it.", rich_help_panel=_SCORES
    ),
]
ScoreArm = Annotated[
    str | None,
    typer.Option(
        help="The column of the arms, of MLflow's runs a param or tag; several with a comma make an arm together, and "
        "each gets its effect.",
        rich_help_panel=_SCORES,
    ),
]
ScoreSeed = Annotated[
    str | None, typer.Option(help="The column of the seeds, of MLflow's runs a param.", rich_help_panel=_SCORES)
]
Last = Annotated[
    bool,
    typer.Option("--last", help="Of several epochs the last one counts; so it is in folders.", rich_help_panel=_SCORES),
]
Best = Annotated[
    str | None,
    typer.Option(
        help="Of several epochs that with the best of this metric counts: val_loss, or f:lower.",
        metavar="METRIC",
        rich_help_panel=_SCORES,
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        help="Where a run's name, in a folder, has arm and seed: {arm}/seed{seed}, {optimizer}-{lr}/{seed}/*.",
        rich_help_panel=_SCORES,
    ),
]
Unpaired = Annotated[
    bool,
    typer.Option(
        "--unpaired",
        help="Runs of different arms have nothing in common: Welch, and permutations.",
        rich_help_panel=_SCORES,
    ),
]
Wide = Annotated[bool, typer.Option("--wide", help="Each column of numbers is an arm.", rich_help_panel=_SCORES)]
Looked = Annotated[
    bool,
    typer.Option(
        "--looked", help="Seeds were added as somebody saw fit: a test that allows it.", rich_help_panel=_SCORES
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        from paribus import __version__

        sys.stdout.write(f"paribus {__version__}\n")
        raise typer.Exit


@app.callback()
def paribus(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train neural networks under matched conditions, and say which differences are real."""


@app.command(cls=_WithSettings)
def train(
    task: TaskName = "",
    words: Words = None,
    seeds: Seeds = "1",
    name: Name = None,
    out: Out = None,
    metric: Metric = None,
    keep: Keep = None,
    jobs: Jobs = None,
    timing: Timing = False,
    target: TargetWord = None,
    tune: TuneWords = None,
    budget: Budget = None,
    tune_seeds: TuneSeeds = 3,
    tune_repeats: TuneRepeats = 1,
    tune_sampler: Sampler = None,
    device: Device = None,
    checkpoint_every: CheckpointEvery = 120.0,
    fresh: Fresh = False,
    timeout: Timeout = None,
    executor: Where = None,
    command: CommandLine = None,
    metrics_file: MetricsFile = None,
    retries: Retries = 0,
    shell: Shell = False,
    lower: LoopLower = None,
    data: LoopData = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train one arm: paribus train moons hidden=20 lr=0.01"""

    def ask() -> StudySpec:
        return described(
            task,
            words or [],
            compare=False,
            seeds=seeds,
            device=device,
            keep=keep,
            target=target,
            tune=tune or (),
            name=name,
            out=out,
            metric=metric,
            jobs=jobs,
            timing=timing,
            budget=budget,
            tune_seeds=tune_seeds,
            tune_repeats=tune_repeats,
            tune_sampler=tune_sampler,
            checkpoint_seconds=checkpoint_every,
            fresh=fresh,
            timeout=timeout,
            executor=executor,
            command=typed(),
            loop=LoopWords(
                command=command,
                reads=metrics_file,
                retries=retries,
                shell=shell,
                lower=lower,
                data=data,
            ),
        )

    carry_out(ask, dry_run=dry_run, as_json=as_json, quiet=quiet)


@app.command(cls=_WithSettings)
def compare(
    task: TaskName = "",
    words: Words = None,
    seeds: Seeds = "3",
    name: Name = None,
    out: Out = None,
    metric: Metric = None,
    keep: Keep = None,
    jobs: Jobs = None,
    timing: Timing = False,
    target: TargetWord = None,
    baseline: Annotated[str | None, typer.Option(help="Compare all arms with this one, instead of all pairs.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="The largest difference that does not matter; of accuracies as a share, 0.01.")
    ] = None,
    tune: TuneWords = None,
    budget: Budget = None,
    tune_seeds: TuneSeeds = 3,
    tune_repeats: TuneRepeats = 1,
    tune_sampler: Sampler = None,
    device: Device = None,
    checkpoint_every: CheckpointEvery = 120.0,
    fresh: Fresh = False,
    timeout: Timeout = None,
    executor: Where = None,
    command: CommandLine = None,
    metrics_file: MetricsFile = None,
    retries: Retries = 0,
    shell: Shell = False,
    lower: LoopLower = None,
    data: LoopData = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train arms x seeds and compare: paribus compare moons implementation=numpy,torch --seeds 20"""

    def ask() -> StudySpec:
        return described(
            task,
            words or [],
            compare=True,
            seeds=seeds,
            device=device,
            keep=keep,
            target=target,
            tune=tune or (),
            name=name,
            out=out,
            metric=metric,
            jobs=jobs,
            timing=timing,
            baseline=baseline,
            margin=margin,
            budget=budget,
            tune_seeds=tune_seeds,
            tune_repeats=tune_repeats,
            tune_sampler=tune_sampler,
            checkpoint_seconds=checkpoint_every,
            fresh=fresh,
            timeout=timeout,
            executor=executor,
            command=typed(),
            loop=LoopWords(
                command=command,
                reads=metrics_file,
                retries=retries,
                shell=shell,
                lower=lower,
                data=data,
            ),
        )

    carry_out(ask, dry_run=dry_run, as_json=as_json, quiet=quiet)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="A study as a TOML file.", metavar="STUDY.toml")],
    out: Out = None,
    fresh: Fresh = False,
    executor: Where = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Carry out the study in a file; run again, it goes on where it stopped."""
    from paribus.study.file import read_file

    carry_out(
        lambda: read_file(file, out, typed()).replaced(fresh=fresh, **({"executor": executor} if executor else {})),
        dry_run=dry_run,
        as_json=as_json,
        quiet=quiet,
        file=True,
    )


@app.command()
def show(
    runs: Annotated[Path, typer.Argument(help="A study's folder.", metavar="RUNS")],
    as_json: Json = False,
    toml: Annotated[bool, typer.Option("--toml", help="Print the file that repeats the study.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Leave out of the record what is damaged; the damaged file is kept.")
    ] = False,
) -> None:
    """Show the results that a folder holds."""
    from paribus.config.overrides import SettingsError
    from paribus.study.reading import read
    from paribus.study.store import StoreError

    try:
        if repair:
            from paribus.study.repair import repair as mend

            sys.stderr.write("".join(f"{line}\n" for line in mend(runs)))
        study = read(runs)
    except StoreError as error:
        refuse([str(error)])
    if toml:
        from paribus.study.toml import as_toml

        try:
            sys.stdout.write(as_toml(study))
        except SettingsError as error:
            refuse([f"{runs} {mistake}" for mistake in error.mistakes])
        return
    from paribus.findings.findings import Findings

    print_study(Findings.of(study), as_json=as_json)


@app.command()
def diagnose(
    runs: Annotated[Path, typer.Argument(help="A study's folder.", metavar="RUNS")],
    cure: Annotated[
        bool,
        typer.Option("--cure", help="Train each proposed cure beside the arm as it is, in RUNS/cures, and judge it."),
    ] = False,
    seeds: Annotated[
        str | None, typer.Option(help="How many seeds cures are tried on; by default 6..20, until it is decided.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What went wrong in training, where and why; with --cure, what cures it: paribus diagnose RUNS"""
    from paribus.commands import diagnose_study

    diagnose_study(runs, cure=cure, seeds=seeds, as_json=as_json)


@app.command()
def reproduce(
    part: Annotated[
        str | None, typer.Argument(help="part1 to part3, or c1 to c12; all by default.", metavar="[PART]")
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            help="laptop: reduced settings, minutes, nothing to download; hour: the most that two cores do in an hour, "
            "with CIFAR-10; full: the report's own settings, for a GPU. Without it, full with a GPU, else laptop."
        ),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Other seeds than the files'.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder; by default runs/reproduction-SCALE.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The source report again, with repeats: every experiment, and the verdict on each claim."""
    from paribus.commands import reproduce_report

    reproduce_report(part, scale, seeds, out, as_json=as_json, quiet=quiet)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Studies' folders, or one that holds several; or scores as `paribus judge` takes them.", metavar="RUNS"
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The page; by default report.html in the first folder, and beside a table NAME.html."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The page's title; by default the study's name.")] = None,
    files: Annotated[
        Path | None,
        typer.Option(
            help="Also write there, of studies: figures (PNG, SVG, PDF) with captions, tables (CSV, Markdown, LaTeX), "
            "and a paragraph on methods with its references."
        ),
    ] = None,
    metric: ScoreMetric = None,
    baseline: ScoreBaseline = None,
    margin: ScoreMargin = None,
    missing: Missing = None,
    lower: Lower = None,
    arm: ScoreArm = None,
    seed: ScoreSeed = None,
    last: Last = False,
    best: Best = None,
    pattern: Pattern = None,
    unpaired: Unpaired = False,
    wide: Wide = False,
    looked: Looked = False,
) -> None:
    """One HTML page with verdicts, differences, curves and tables; it opens with no network."""
    from paribus.commands import write_report

    write_report(
        runs,
        out,
        title=title,
        files=files,
        metric=metric,
        baseline=baseline,
        margin=margin,
        missing=missing,
        lower=lower,
        arm=arm,
        seed=seed,
        last=last,
        best=best,
        pattern=pattern,
        unpaired=unpaired,
        wide=wide,
        looked=looked,
    )


@app.command()
def judge(
    scores: Annotated[
        Path,
        typer.Argument(
            help="A row for each arm and seed, or a column for each arm; a folder of MLflow's or TensorBoard's; - "
            "reads standard input.",
            metavar="SCORES",
        ),
    ],
    metric: ScoreMetric = None,
    baseline: ScoreBaseline = None,
    margin: ScoreMargin = None,
    missing: Missing = None,
    lower: Lower = None,
    arm: ScoreArm = None,
    seed: ScoreSeed = None,
    last: Last = False,
    best: Best = None,
    pattern: Pattern = None,
    unpaired: Unpaired = False,
    wide: Wide = False,
    looked: Looked = False,
    as_json: Json = False,
) -> None:
    """The same statistics for scores from anywhere: paribus judge SCORES.csv"""
    from paribus.commands import judged_scores
    from paribus.report.show import judgement_as_json
    from paribus.report.terminal.judge import judgement_table

    found = judged_scores(
        scores,
        metric=metric,
        baseline=baseline,
        margin=margin,
        missing=missing,
        lower=lower,
        arm=arm,
        seed=seed,
        last=last,
        best=best,
        pattern=pattern,
        unpaired=unpaired,
        wide=wide,
        looked=looked,
    )
    if as_json:
        sys.stdout.write(json.dumps(judgement_as_json(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        console_().print(judgement_table(found))


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="A Python file, or one thing of it.", metavar="FILE[:NAME]")],
    reference: Annotated[
        str | None, typer.Option(help="A file that is right, with things of the same names.", metavar="FILE")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hand-written layers, losses and optimizers: where they depart, and the likely mistake."""
    from paribus.commands import check_code

    check_code(file, reference, as_json=as_json)


@app.command()
def live(
    runs: Annotated[Path, typer.Argument(help="A study's folder, or one that holds several.", metavar="RUNS")],
    port: Annotated[int, typer.Option(min=1, max=65000, help="The first port to try.")] = 6006,
) -> None:
    """Watch a folder in TensorBoard, while it trains or later."""
    from paribus.report.tensorboard import serve
    from paribus.study.store import StoreError

    try:
        raise typer.Exit(serve(runs, port, lambda line: print(line, flush=True)))
    except StoreError as error:
        refuse([str(error)])
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


data = typer.Typer(no_args_is_help=True, help="Data sets that do not come with Paribus.")
app.add_typer(data, name="data")


@data.command(name="get")
def get(
    name: Annotated[str, typer.Argument(help="cifar10.", metavar="NAME")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A copy to import: the binary or python archive, its folder, or the Hub's parquet folder.",
            metavar="PATH",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Download a data set, or import a copy of it: paribus data get cifar10 --from PATH"""
    from paribus.report.terminal.progress import DownloadBar
    from paribus.tasks import cifar10

    if name != "cifar10":
        from paribus.config.overrides import near_miss

        refuse([f"there are no data {name!r} to get: {near_miss(name, ['cifar10'])}"])
    console = console_(stderr=True, quiet=quiet)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    try:
        folder = cifar10.get(source, say, DownloadBar(console))
        if not quiet:
            sys.stdout.write(f"cifar10 is in {folder}: {cifar10.stored().source}\n")
    except cifar10.DataError as error:
        refuse([str(error)])
    except KeyboardInterrupt:
        say("interrupted; nothing was imported")
        raise typer.Exit(130) from None


@app.command()
def bench(
    words: Annotated[
        list[str] | None, typer.Argument(help="TASK and settings.", metavar="[TASK] [KEY=VALUE]...")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 5,
    peers: Annotated[
        bool, typer.Option("--peers", help="Lightning, skorch and JAX too, where they are installed.")
    ] = False,
    runs: Annotated[
        int | None,
        typer.Option(min=1, help="Time that many runs at once instead, seeds 0, 1, ...: torch.func, with --peers JAX."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Speed side by side on this machine: what people write today, and Paribus."""
    from paribus.bench.command import Result, run_bench
    from paribus.bench.many.table import ManyResult, run_many
    from paribus.config.overrides import SettingsError

    found: Result | ManyResult
    try:
        if runs is None:
            found = run_bench(words or [], rounds, peers=peers, console=console_(stderr=True))
        else:
            found = run_many(words or [], runs, rounds, peers=peers, console=console_(stderr=True))
    except SettingsError as error:
        refuse(error.mistakes)
    if as_json:
        sys.stdout.write(json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n")
    else:
        console_().print(found.table())
    if not found.all_learned:
        raise typer.Exit(3)


@app.command(name="list")
def list_(what: Annotated[str, typer.Argument(metavar="|".join(LISTINGS))]) -> None:
    """List what there is, with defaults, one line each."""
    from paribus.report.terminal.listing import listing

    if what not in LISTINGS:
        from paribus.config.overrides import near_miss

        refuse([f"there is no list of {what!r}: {near_miss(what, LISTINGS)}"])
    if what == "plugins":
        from paribus.commands import list_plugins

        console_().print(list_plugins())
        return
    console_().print(listing(what))


def main() -> None:
    """The `paribus` command."""
    import sqlite3

    listen()
    try:
        app()
    except KeyboardInterrupt:  # where nothing had begun that could be told
        sys.exit(130)
    except ModuleNotFoundError as error:
        line = explained(error, " ".join(["paribus", *sys.argv[1:2]]))
        if line is None:
            raise
        sys.stderr.write(f"paribus: {line}\n")
        sys.exit(2)
    except (OSError, MemoryError, sqlite3.Error) as error:
        what = str(error) or type(error).__name__
        sys.stderr.write(f"paribus: the machine refused: {what}; what was recorded until then is kept\n")
        sys.exit(2)
