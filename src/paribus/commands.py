"""What the commands do with what their words mean: carry out, tell, write. Heavy imports happen inside."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from paribus.findings.findings import Findings
    from paribus.findings.judge import Judgement
    from paribus.records.record import StudyRecord
    from paribus.study.runner import Work
    from paribus.study.spec import PlainOptions, StudyOptions, StudySpec


def reproduce_report(
    part: str | None, scale: str | None, seeds: str | None, out: Path | None, *, as_json: bool, quiet: bool
) -> None:
    """Every experiment of the source report, the cures of what went wrong in it, then the verdicts and the page."""
    from paribus.config.cuda import sees_cuda
    from paribus.config.overrides import SettingsError, near_miss
    from paribus.curing import try_cures
    from paribus.extras import need
    from paribus.findings.findings import Findings
    from paribus.reproduction import CLAIMS, CURED, PARTS, SCALES, TITLE, files
    from paribus.study.arms import parse_seeds
    from paribus.study.file import read_file
    from paribus.study.reading import read
    from paribus.study.store import StoreError

    chosen = scale or ("full" if sees_cuda() else "laptop")
    if chosen not in SCALES:
        refuse([f"--scale {scale} is not allowed: scale is {', '.join(SCALES[:-1])} or {SCALES[-1]}"])
    part = part and part.lower()
    if part is not None and part not in (*PARTS, *CLAIMS):
        refuse([f"there is no part or claim {part!r}: {near_miss(part, PARTS, 'there is part1 to part3, c1 to c12')}"])
    need("paribus reproduce", "sklearn", "jinja2", "plotly", "PIL", "matplotlib")  # the page comes after all training
    folder = out or Path("runs") / f"reproduction-{chosen}"
    console = console_(stderr=as_json, quiet=quiet)
    try:
        others = None if seeds is None else parse_seeds(seeds)
        asked = [read_file(path, folder / path.stem, typed(), others) for path in files(part, chosen)]
        prepared = prepare_all(asked)  # before any compute is spent
        whole = True
        for request, work in prepared:
            console.print(
                f"{request.name}: {len(request.design.arms)} arms, {len(request.seeds)} seeds", highlight=False
            )
            done, _ = carry_out_stage(
                request, work, request, console=console, as_json=False, quiet=True, pictures=False
            )
            whole = whole and done
        for request in asked:
            if arms := CURED[chosen].get(request.folder.name):
                found = Findings.of(read(request.folder))
                list(try_cures(found, request.folder, partial(_train_cures, console), command=typed(), arms=arms))
    except (SettingsError, StoreError) as error:
        refuse(str(error).splitlines())
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on with the runs that are missing")
        raise typer.Exit(130) from None
    out = folder / (f"report-{part}.html" if part else "report.html")
    page = tell_and_write(
        [request.folder for request in asked], out, TITLE.format(chosen), as_json=as_json, quiet=quiet
    )
    console.print(f"written: {page}", markup=False, highlight=False, soft_wrap=True)
    if not whole:
        raise typer.Exit(3)


def prepare_all(asked: list[StudySpec]) -> list[tuple[StudySpec, Work]]:
    """Each study with what there is to do in it; SettingsError with what stands in the way of any of them."""
    from paribus.config.overrides import SettingsError
    from paribus.study.runner import prepare
    from paribus.study.store import StoreError

    found, mistakes = [], []
    for request in asked:
        try:
            found.append((request, prepare(request)))
        except (SettingsError, StoreError) as error:
            mistakes += [f"{request.name}: {line}" for line in str(error).splitlines()]
    if mistakes:
        raise SettingsError(mistakes)
    return found


def _train_cures(console: Console, asked: StudySpec) -> StudyRecord:
    """Trains what is missing of a study of cures, without a word but its name, and returns all of it."""
    from paribus.study.reading import read
    from paribus.study.runner import prepare

    console.print(f"{asked.name}: {len(asked.design.arms)} arms", markup=False, highlight=False)
    carry_out_stage(asked, prepare(asked), asked, console=console, as_json=False, quiet=True, pictures=False)
    return read(asked.folder)


def tell_and_write(folders: list[Path], out: Path, title: str, *, as_json: bool, quiet: bool) -> Path:
    """Say the verdicts on all claims, and write the page."""
    from dataclasses import asdict

    from paribus.curing import recorded
    from paribus.findings.claims import verdicts
    from paribus.findings.findings import Findings
    from paribus.report.page.page import write_page
    from paribus.report.terminal.tables import verdicts_table
    from paribus.study.reading import read

    studies = list(map(read, folders))
    found = verdicts(*studies)
    if as_json:
        sys.stdout.write(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False) + "\n")
    elif not quiet:
        console_().print(verdicts_table(found))
    findings = list(map(Findings.of, studies))
    return write_page(findings, out, found, title, cures=list(map(recorded, findings, folders)))


@dataclass(frozen=True, kw_only=True)
class LoopWords:
    """What a command says of a loop of the user's own."""

    command: str | None = None
    reads: str | None = None
    retries: int = 0
    shell: bool = False
    lower: bool | None = None
    data: str | None = None

    def of_programs(self) -> list[str]:
        """The options that are for `--command` alone."""
        given = {"--metrics-file": self.reads, "--retries": self.retries, "--shell": self.shell}
        return [name for name, value in given.items() if value]

    def of_loops(self) -> list[str]:
        """The options that are for loops alone."""
        direction = [] if self.lower is None else ["--lower" if self.lower else "--higher"]
        return [*self.of_programs(), *direction, *(["--data"] if self.data else [])]


def described(
    task: str,
    words: Sequence[str],
    *,
    compare: bool,
    seeds: str,
    device: str | None = None,
    out: Path | None = None,
    keep: str | None = None,
    target: str | None = None,
    tune: Sequence[str] = (),
    command: str = "",
    loop: LoopWords | None = None,
    **options: Unpack[PlainOptions],
) -> StudySpec:
    """The study of a command: its text is read here, and nowhere after. SettingsError with every mistake."""
    from paribus.config.overrides import Listed, Mistakes, SettingsError, split_words
    from paribus.config.values import Value
    from paribus.study.arms import parse_seeds
    from paribus.study.named import is_named
    from paribus.study.spec import keep_of, request, target_of

    loop = loop or LoopWords()
    if loop.command is None and not task:
        raise SettingsError(
            ["say what to train: a task, as in moons; your own loop, FILE.py:FUNCTION; or a program, by --command"]
        )
    mistakes, numbers, wanted, listed = Mistakes(), None, None, list[Listed[Value]]()
    with mistakes.noted():
        numbers = parse_seeds(seeds)
    if target is not None:
        with mistakes.noted():
            wanted = target_of(target)
    with mistakes.noted("--tune: "):
        listed += split_words(tune)
    if loop.command is not None or is_named(task):
        return _of_a_loop(
            task,
            words,
            loop,
            compare=compare,
            seeds=numbers,
            mistakes=mistakes,
            out=out,
            keep=keep_of(keep),
            target=wanted,
            tune=listed,
            command=command,
            **options,
        )
    if wrong := loop.of_loops():
        mistakes.append(f"{', '.join(wrong)}: for a loop of your own alone, FILE.py:FUNCTION or --command")
    return request(
        task,
        [*words, *([f"device={device}"] if device else [])],
        compare=compare,
        seeds=numbers,
        out=out,
        keep=keep_of(keep),
        target=wanted,
        tune=listed,
        command=command,
        mistakes=mistakes,
        **options,
    )


def _of_a_loop(
    task: str,
    words: Sequence[str],
    loop: LoopWords,
    *,
    compare: bool,
    seeds: Sequence[int] | None,
    mistakes: Sequence[str],
    **options: Unpack[StudyOptions],
) -> StudySpec:
    """The study of a function in a file, or of a program."""
    from paribus.backends.program import Program, program
    from paribus.config.overrides import SettingsError
    from paribus.records.metrics import Metric
    from paribus.study.loops import loop_design, read_words
    from paribus.study.named import read_function
    from paribus.study.spec import loop_request

    if loop.command is None:
        if wrong := loop.of_programs():
            raise SettingsError([f"{', '.join(wrong)}: for --command alone"])
        mine, name = read_function(task), task
    else:
        words = [*([task] if task else []), *words]
        limit = options.pop("timeout", None)  # it ends what the program started too
        mine = program(Program(loop.command, loop.reads, limit, loop.retries, loop.shell))
        name = loop.command
    values = read_words(mine, words)
    metric = options.get("metric")
    if loop.lower is not None and metric is not None:
        options["measured"] = (Metric(metric, "lower" if loop.lower else "higher"),)
    return loop_request(
        lambda: loop_design([mine], values, loop.data),
        " ".join([name, *words]),
        compare=compare,
        seeds=seeds,
        mistakes=mistakes,
        **options,
    )


def carry_out(ask: Callable[[], StudySpec], *, dry_run: bool, as_json: bool, quiet: bool, file: bool = False) -> None:
    from paribus.config.overrides import SettingsError
    from paribus.execution.base import ExecutorError
    from paribus.findings.power import repeats_note
    from paribus.findings.tasks import note_on_seeds
    from paribus.study.stages import foreseen, stages
    from paribus.study.store import StoreError

    console = console_(stderr=as_json, quiet=quiet)
    whole, written = True, list[Path]()
    try:
        asked = ask()
        design, baseline = asked.design, asked.baseline is not None
        if note := note_on_seeds(
            design.factors,
            {arm.name: arm.settings.flat() for arm in design.arms},
            len(asked.seeds),
            named=design.named,
            baseline=baseline,
            options=not file,
        ):
            several = "; what each factor does takes fewer" * (len({*design.factors} - {"task"}) > 1)
            later = ". Seeds that are added when results are known count for less: ask for enough at once"
            console.print(f"{note}{several}{later}", markup=False, highlight=False)
        if asked.tune is not None and (note := repeats_note(len(design.arms), asked.tune.repeats, baseline=baseline)):
            console.print(note, markup=False, highlight=False)
        if dry_run:
            from paribus.report.terminal.tables import dry_run_table
            from paribus.study.dry_run import expected

            console_().print(dry_run_table(asked.folder, [expected(stage) for stage in foreseen(asked)]))
            return
        for stage, work in stages(asked):
            completed, files = carry_out_stage(stage, work, asked, console=console, as_json=as_json, quiet=quiet)
            whole, written = whole and completed, written + files
    except (SettingsError, StoreError, ExecutorError) as error:
        refuse(str(error).splitlines())
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on with the runs that are missing")
        raise typer.Exit(130) from None
    console.print(
        "written: " + "  ".join(map(str, dict.fromkeys(written))), markup=False, highlight=False, soft_wrap=True
    )
    if not whole:
        raise typer.Exit(3)


def carry_out_stage(
    stage: StudySpec,
    work: Work,
    asked: StudySpec,
    *,
    console: Console,
    as_json: bool,
    quiet: bool,
    pictures: bool = True,
) -> tuple[bool, list[Path]]:
    """Train what is missing, `work` by `prepare`; whether all that counts is done, and the files that were written."""
    from paribus.extras import installed, not_installed
    from paribus.findings.findings import Findings, undecided
    from paribus.report.files.curves import draw
    from paribus.report.tensorboard import Follower
    from paribus.report.terminal.progress import Bar
    from paribus.study.reading import REPEATS, read
    from paribus.study.runner import carry_out as train_missing
    from paribus.study.runner import complete
    from paribus.study.stages import is_last, is_of_repeat

    last, repeated = is_last(stage, asked), is_of_repeat(stage, asked)
    if asked.tune:
        what = f"{stage.name}: each arm at its own best" if stage.tune else stage.name
        console.print(what, markup=False, highlight=False)
    for line in work.lines():
        console.print(line, markup=False, highlight=False)
    epochs = sum(arm.settings.epochs for arm, _ in work.missing)
    if pictures and not installed("matplotlib"):
        pictures = False
        console.print(f"no pictures: {not_installed('curves.png', 'matplotlib')}", markup=False, highlight=False)
    stage.folder.mkdir(parents=True, exist_ok=True)
    # beside timed runs nothing else runs: their events are written when they are done
    with Follower(stage.folder, 0 if stage.timing else len(work.missing)):
        with Bar(console, len(work.missing), epochs) as bar:
            study = train_missing(stage, [bar], work=work, undecided=undecided)
        # of a tuned study the folder holds more than its last stage: what was tried, all arms at one value, repeats
        if last and (not quiet or as_json):
            print_study(Findings.of(read(asked.folder) if asked.tune else study), as_json=as_json)
        # each repeat is a study of its own, of which `report` makes a page: their files are too many to name
        drawn = draw(Findings.of(study), stage.folder) if pictures and not (stage.hidden_test or repeated) else []
        written = [] if repeated else [stage.folder / "study.sqlite", *drawn]
        if last and repeated:
            written = [asked.folder / REPEATS]
    with Follower(stage.folder, len(work.missing) if stage.timing else 0):
        pass
    # a candidate that diverges is what tuning finds out, and no failure of the study
    return stage.hidden_test or complete(stage, study), written


def diagnose_study(runs: Path, *, cure: bool, seeds: str | None, as_json: bool) -> None:
    """What went wrong in a study; with `cure` what cures it, each arm's in a study of its own."""
    from paribus.config.overrides import SettingsError
    from paribus.curing import try_cures
    from paribus.findings.findings import Findings
    from paribus.report.cures import Tried
    from paribus.report.diagnoses import diagnoses_as_json
    from paribus.report.terminal.diagnoses import diagnosis_text
    from paribus.study.arms import parse_seeds
    from paribus.study.reading import read
    from paribus.study.store import StoreError
    from paribus.study.words import SEEDS

    if seeds is not None and not cure:
        refuse([f"--seeds {seeds} has no effect without --cure: it says on how many seeds cures are tried"])
    console = console_(stderr=True)

    def say(text: str) -> None:  # names of arms and layers may hold what would steer a terminal, or is no text
        shown = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)
        console_().print(shown, end="", markup=False, highlight=False, soft_wrap=True)

    tried = list[Tried]()
    try:
        parse_seeds(seeds or SEEDS)
        findings = Findings.of(read(runs))
        if not as_json:
            say(diagnosis_text(findings))
        if cure:
            for one in try_cures(findings, runs, partial(_train_cures, console), seeds=seeds, command=typed()):
                tried.append(one)
                if not as_json:
                    say(f"\n{one.told}")
    except (SettingsError, StoreError) as error:
        refuse(str(error).splitlines())
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on with the runs that are missing")
        raise typer.Exit(130) from None
    if as_json:
        found = diagnoses_as_json(findings) | ({"cures": [one.as_data() for one in tried]} if cure else {})
        sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    elif cure and not tried:
        sys.stdout.write("no cure to try: no diagnosis names one\n")


def print_study(findings: Findings, *, as_json: bool) -> None:
    if as_json:
        from paribus.report.show import as_json as contract

        sys.stdout.write(json.dumps(contract(findings), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        from paribus.report.terminal.tuned import study_results

        console = console_()
        console.print(study_results(findings, console.width), crop=False)  # a command to paste is one line


def console_(*, stderr: bool = False, quiet: bool = False):  # type: ignore[no-untyped-def]
    from rich.console import Console

    return Console(stderr=stderr, quiet=quiet)


def typed() -> str:
    return shlex.join(["paribus", *sys.argv[1:]])


def write_report(runs: list[Path], out: Path | None, *, title: str | None, files: Path | None, **options: Any) -> None:
    """The page of studies, or of scores: which all other `options` are for."""
    from paribus.curing import recorded
    from paribus.findings.claims import verdicts
    from paribus.findings.findings import Findings
    from paribus.findings.score_folders import is_scores
    from paribus.report.files.files import write_files
    from paribus.report.page.page import write_page
    from paribus.study.reading import read_all
    from paribus.study.store import StoreError

    if any(map(is_scores, runs)):
        if len(runs) > 1:
            refuse([f"scores are reported one by one: {', '.join(map(str, runs))} are {len(runs)}"])
        if files is not None:
            refuse(["--files is for studies: of scores there is the page, and its tables as CSV on it"])
        page = out or _page_of(runs[0])
        written = [write_page([judged_scores(runs[0], **options)], page, title=title)]
    else:
        if given := [name for name, value in options.items() if value is not None and value is not False]:
            refuse([f"--{given[0]} is for scores, and a study has its own: {runs[0]} holds no scores"])
        try:
            studies = read_all(runs)
        except StoreError as error:
            refuse([str(error)])
        found, judged = list(map(Findings.of, studies.values())), verdicts(*studies.values())
        try:
            cures = list(map(recorded, found, studies))
        except StoreError as error:
            refuse([str(error)])
        written = [write_page(found, out or runs[0] / "report.html", judged, title, cures=cures)]
        written += write_files(found, files, judged) if files is not None else []
    print("written: " + "  ".join(map(str, written)))


def list_plugins() -> Table:
    """What other packages bring, each loaded for once, and how it does."""
    from rich.table import Table
    from rich.text import Text

    from paribus.backends import BUILT_IN
    from paribus.backends.base import backend_named
    from paribus.config.overrides import SettingsError
    from paribus.config.plugins import GROUPS, brought, plugins
    from paribus.config.registries import REGISTRIES

    table = Table("setting", "name", "package", "state", box=None, pad_edge=False)
    for kind in GROUPS:
        for one in plugins(kind):
            try:
                if one.name in REGISTRIES.get(kind, BUILT_IN):
                    raise one.refused("is not used: that name is built in")
                if kind == "implementation":
                    backend_named(one.name)
                else:
                    brought(kind, one.name)
                state = "ready"
            except SettingsError as error:
                state = str(error)
            table.add_row(*map(Text, (kind, one.name, one.package, state)))
    table.caption = None if table.row_count else "no other package brings anything: docs/plugins.md says how one does"
    return table


def check_code(word: str, reference: str | None, *, as_json: bool) -> NoReturn:
    """Check what a file has; exit status 0 right, 1 something departs, 2 nothing was checked."""
    from paribus.checking.api import check_file
    from paribus.config.overrides import SettingsError

    try:
        found = check_file(word, reference)
    except SettingsError as error:
        refuse(error.mistakes)
    if as_json:
        sys.stdout.write(json.dumps(found.as_data(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        from paribus.checking.table import check_table

        console_().print(check_table(found))
    raise typer.Exit(found.status)


def _page_of(scores: Path) -> Path:
    """Where the page of scores goes: beside a table, into a folder."""
    if str(scores) == "-":
        return Path("report.html")
    return scores / "report.html" if scores.is_dir() else scores.with_name(f"{scores.stem}.html")


def judged_scores(path: Path, **options: Any) -> Judgement:
    """The verdicts on scores from elsewhere; what cannot be judged is refused."""
    from paribus.config.overrides import SettingsError
    from paribus.findings.judge import judge

    arm = options.pop("arm")
    try:
        return replace(judge(path, arm=tuple(arm.split(",")) if arm else (), **options), command=typed())
    except SettingsError as error:
        refuse(error.mistakes, f"{path} is not judged:")


def refuse(mistakes: list[str], head: str | None = None) -> NoReturn:
    """Say what is wrong, all of it, under a `head`; exit status 2."""
    several = head or f"{len(mistakes)} mistakes, nothing was started"
    head = "paribus: " if len(mistakes) == 1 else f"paribus: {several}\n  "
    sys.stderr.write(head + "\n  ".join(mistakes) + "\n")
    raise typer.Exit(2)
