"""What a report or a paper takes of a study: PDF figures, captions, LaTeX, the paragraph on methods, references.

There is no LaTeX where these tests run: files are read by `Reader`, which knows what they may consist of.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

import paribus
from paribus.findings.findings import Findings
from paribus.records.metrics import Metric
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord
from paribus.report.files.captions import CAPTIONS, caption
from paribus.report.files.figures import figures, fonts
from paribus.report.files.files import write_files
from paribus.report.files.latex import escaped, plain, tabular
from paribus.report.files.methods import methods
from paribus.report.files.paper import differences, paper_files
from paribus.report.files.prose import cited, in_latex, in_markdown
from paribus.report.files.references import METHODS, Source, bibliography
from paribus.report.files.references import paribus as cites_paribus
from paribus.report.page.tables import Cell, Table
from paribus.study.reading import read
from tests.test_page import by_length, evil, in_the_plane, made, of_images, of_numbers, view_of, with_tuning

ROOT = Path(__file__).parent.parent
SIGNS = "&%_#{}\\~^$<>|`\"'*[]-,?! –—µ±²αΩ×≤“”é"

# --- a reader of LaTeX -------------------------------------------------------------------------------------------------

WORDS = {
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">",
    "textbar": "|", "textasciigrave": "`", "textendash": "–", "textemdash": "—", "textquotedblleft": "“",
    "textquotedblright": "”", "mu": "µ", "pm": "±", "times": "×", "leq": "≤", "alpha": "α", "Omega": "Ω", "neg": "¬", "div": "÷", "cdot": "·",
    "ldots": "…", "textquoteleft": "‘", "textquoteright": "’",
}  # fmt: skip
RAISED = {"-": "−", "{}^{1}": "¹", "{}^{2}": "²", "{}^{3}": "³", "{}^{\\circ}": "°"}
TOKEN = re.compile(
    r"\\ensuremath\{(?P<sign>-|\{\}\^\{(?:[123]|\\circ)\}|\\[A-Za-z]+)\}|\\(?P<word>[A-Za-z]+)\{\}|\\(?P<escaped>[{}$&#%_])"
    r"|\{(?:\\char(?P<code>\d+)|(?P<kept>[-',?!*\[\]]))\}|(?P<bare>[^\\{}$&#%_~^<>|`\"*\[\]\n])|(?P<nothing>\{\})"
)
JOINED = re.compile(r"--|''|,,|[?!]`|``|!!")
"""Signs that LaTeX would make another of."""


def text_of(source: str) -> str:
    """What a piece of LaTeX prints; an error where it holds more than text."""
    found, place = [], 0
    assert not JOINED.search(source), source
    while place < len(source):
        token = TOKEN.match(source, place)
        assert token is not None, f"no text: {source[place : place + 20]!r} in {source!r}"
        if token["sign"] is not None:
            found.append(RAISED.get(token["sign"]) or WORDS[token["sign"][1:]])
        elif token["word"] is not None:
            found.append(WORDS[token["word"]])
        elif token["nothing"] is None:
            found.append(token["escaped"] or token["kept"] or token["bare"] or chr(int(token["code"])))
        place = token.end()
    return "".join(found)


def argument(source: str, command: str) -> list[str]:
    """What stands in the braces after each `\\command`."""
    found = []
    for start in re.finditer(rf"\\{command}\{{", source):
        depth, place = 1, start.end()
        while depth:
            step = 2 if source[place] == "\\" else 1
            depth += {"{": 1, "}": -1}.get(source[place], 0)
            place += step
        found.append(source[start.end() : place - 1])
    return found


def rows_of(source: str) -> list[list[str]]:
    """The cells of every row of a table, as printed."""
    lines = [line.strip() for line in source.splitlines() if line.rstrip().endswith("\\\\")]
    return [[text_of(cell) for cell in re.split(r"(?<!\\) & ", line.removesuffix("\\\\").strip(" "))] for line in lines]


SHELL = re.compile(
    r"%.*|\\(?:begin|end)\{(?:figure|table|tabular)\}(?:\[tbp\]|\{[lr]+\})?%?|\\centering"
    r"|\\resizebox\{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi\}\{!\}\{(?:%|\\includegraphics\{[a-z-]+\.pdf\}\})"
    r"|\\caption\{(?P<caption>.*)\}|\\label\{(?:fig|tab):[A-Za-z0-9.=+;_-]+\}|\\(?:top|mid|bottom)rule|\}"
)
CITE = re.compile(r"~\\cite\{([a-z0-9]+)\}")


def check(name: str, source: str) -> None:
    """A whole file: commands that stand there, and text."""
    stack: list[str] = []
    for kind, what in re.findall(r"\\(begin|end)\{(\w+)\}", source):
        if kind == "begin":
            stack.append(what)
        else:
            assert stack.pop() == what
    assert not stack, name
    for line in map(str.strip, source.splitlines()):
        if not line or line.endswith("\\\\"):
            continue
        shell = SHELL.fullmatch(line)
        if shell is None:
            assert name == "methods.tex", line
            text_of(CITE.sub("", line))
        elif shell["caption"] is not None:
            text_of(shell["caption"])
    widths = {len(row) for row in rows_of(source)}
    columns = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", source)
    assert widths == {len(one) for one in columns}, name


# --- escaping ----------------------------------------------------------------------------------------------------------

NAMES = st.text(alphabet=st.one_of(st.sampled_from(SIGNS), st.characters(max_codepoint=0x17F)), max_size=40)


@given(NAMES)
def test_every_name_is_printed_as_it_is(name: str) -> None:
    assert text_of(escaped(name)) == plain(name)


@pytest.mark.parametrize("sign", SIGNS.replace(" ", ""))
def test_every_sign_and_two_of_it(sign: str) -> None:
    for name in (sign, 2 * sign, f"a{sign}b", f"{sign}`"):
        assert text_of(escaped(name)) == name


@settings(max_examples=25)
@given(st.lists(NAMES.filter(lambda name: plain(name) not in ("", "-")), min_size=1, max_size=4))
def test_a_table_of_any_names(names: list[str]) -> None:
    table = Table([*names, "n"], [[*map(Cell, names), Cell("-1.5 ±0.2", -1.5)]] * 2, len(names))
    source = tabular(table, " ".join(names), "label")
    check("a table", source)
    shown = [plain(name) for name in names]
    assert rows_of(source) == [[*shown, "n"], *[[*shown, "−1.5 ± 0.2"]] * 2]
    assert text_of(argument(source, "caption")[0]) == plain(" ".join(names))


def test_other_scripts_are_said_to_take_another_latex() -> None:
    files = files_of(evil(2))
    assert "U+5B66" in files["results.tex"].partition("\\begin")[0]
    assert "XeLaTeX" not in files_of(made(["ä–µ", "b"]))["results.tex"]


# --- files -------------------------------------------------------------------------------------------------------------


def files_of(study: StudyRecord) -> dict[str, str]:
    view = view_of(study)
    with fonts():
        return dict(paper_files(view, [name for name, _ in figures(view)], "a-label"))


def said(study: StudyRecord) -> str:
    """The paragraphs on methods."""
    return "\n".join(in_markdown(one).replace("\\", "") for one in methods(view_of(study)))


def settings_of(study: StudyRecord, **more: Any) -> StudyRecord:
    return replace(study, arms=[replace(arm, settings={**arm.settings, **more}) for arm in study.arms])


def swept() -> StudyRecord:
    one = made(["0.01", "0.1", "1"], seeds=7)
    arms = [
        ArmRecord(f"lr={lr}", {**arm.settings, "optimizer.lr": lr}, arm.runs)
        for lr, arm in zip((0.01, 0.1, 1.0), one.arms, strict=True)
    ]
    return replace(one, arms=arms, factors=["optimizer.lr"])


def changed(study: StudyRecord, arm: int, run: int, **more: Any) -> StudyRecord:
    runs = [replace(one, **more) if i == run else one for i, one in enumerate(study.arms[arm].runs)]
    arms = [replace(one, runs=runs) if i == arm else one for i, one in enumerate(study.arms)]
    return replace(study, arms=arms)


def lost() -> StudyRecord:
    return changed(made(["adam", "sgd"], seeds=8), 1, 2, status=Status.DIVERGED, error="the loss is nan")


def by_seed(**more: Any) -> StudyRecord:
    return settings_of(made(["adam", "sgd"], seeds=8, **more), split="by_seed")


def in_order(seeds: int, **more: Any) -> StudyRecord:
    return replace(made(["adam", "sgd", "rmsprop"], seeds=seeds), **more)


STUDIES: dict[str, Callable[[], StudyRecord]] = {
    "plane": lambda: made(["adam", "sgd"], pictured=in_the_plane, margin=0.01),
    "images": lambda: made(["adam", "sgd"], pictured=of_images),
    "numbers": lambda: made(["a", "b"], pictured=of_numbers),
    "lengths": by_length,
    "tuned": with_tuning,
    "swept": swept,
    "evil": lambda: evil(12),
    "lost": lost,
    "by seed": by_seed,
    "one run": lambda: made(["adam"], seeds=1),
    "until decided": lambda: in_order(20, least=6),
    "extended": lambda: in_order(10, asked=(tuple(range(6)), (6, 7), (8, 9))),
}


@pytest.mark.parametrize("kind", STUDIES)
def test_every_file_is_latex_and_cites_what_is_there(kind: str) -> None:
    study = STUDIES[kind]()
    files = files_of(study)
    for name, content in files.items():
        if name.endswith(".tex"):
            check(name, content)
    keys = re.findall(r"^@\w+\{(\w+),$", files.get("references.bib", ""), re.MULTILINE)
    assert keys == list(dict.fromkeys(CITE.findall(files["methods.tex"])))
    assert len(set(keys)) == len(keys)
    paragraphs = methods(view_of(study))
    assert [one.key for one in cited(paragraphs)] == keys
    plainly = CITE.sub("", "".join(map(in_latex, paragraphs)))
    assert "  " not in plainly
    assert all(line.endswith(".") for line in plainly.splitlines() if line)


def test_every_figure_has_a_caption() -> None:
    seen = set()
    for make in STUDIES.values():
        view = view_of(make())
        with fonts():
            drawn = [name for name, _ in figures(view)]
        seen |= {*drawn}
        assert all(caption(view, name).endswith(".") for name in drawn)
        files = files_of(view.study)
        assert [f"fig:a-label-{name}" for name in drawn] == argument(files.get("figures.tex", ""), "label")
    assert seen == CAPTIONS.keys()


def test_a_pdf_has_its_fonts_and_no_date(tmp_path: Path) -> None:
    study = made(["ä–µ", "sgd"], pictured=in_the_plane)
    files = [sorted(write_files([Findings.of(study)], tmp_path / place)) for place in ("one", "two")]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    for one, two in zip(*files, strict=True):
        assert one.read_bytes() == two.read_bytes()
    pdfs = [path for path in files[0] if path.suffix == ".pdf"]
    assert {path.stem for path in pdfs} == {path.stem for path in files[0] if path.suffix == ".png"}
    for path in pdfs:
        content = path.read_bytes()
        assert b"Date" not in content
        descriptors = re.findall(rb"<<[^>]*/Type /FontDescriptor[^>]*>>", content)
        assert descriptors
        assert all(b"/FontFile2" in one for one in descriptors)
        assert b"/Type3" not in content
        streams = re.findall(rb"/FlateDecode[^>]*>>\s*stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
        assert any(b" Tf" in zlib.decompress(one) for one in streams)  # text is text


@settings(max_examples=15)
@example(names=["", "\x1b"], name="", unit="")
@given(st.lists(NAMES, min_size=2, max_size=3, unique=True), NAMES, NAMES)
def test_a_study_of_any_names(names: list[str], name: str, unit: str) -> None:
    one = made(["a"] * len(names), seeds=3, name=name or "s", named=True)
    arms = [replace(arm, name=called) for arm, called in zip(one.arms, names, strict=True)]
    metrics = {"loss": Metric("loss", "lower", unit)}
    view = view_of(replace(one, arms=arms, metrics=metrics, primary_metric="test_loss"))
    for path, content in paper_files(view, ["curves", "differences"], "a-label"):
        if path.endswith(".tex"):
            check(path, content)


def test_arms_without_a_run_have_files() -> None:
    study = made(["a", "b"])
    assert files_of(replace(study, arms=[])) == {}
    files = files_of(replace(study, arms=[replace(arm, runs=[]) for arm in study.arms]))
    assert "No run has a value yet." in argument(files["results.tex"], "caption")[0]
    assert "No run is recorded yet." in files["methods.md"]


def test_labels_of_two_studies_are_not_the_same(tmp_path: Path) -> None:
    one = made(["a", "b"], name="x y")
    written = write_files([Findings.of(one), Findings.of(replace(one, name="x-y"))], tmp_path)
    labels = [label for path in written if path.suffix == ".tex" for label in argument(path.read_text(), "label")]
    assert len(labels) > 4
    assert len(set(labels)) == len(labels)


# --- captions ----------------------------------------------------------------------------------------------------------


def test_a_caption_counts_the_seeds_that_are_drawn() -> None:
    assert "8 seeds for each arm" in caption(view_of(made(["a", "b"], seeds=8)), "curves")
    many = caption(view_of(made(["a", "b"], seeds=60, evaluations=2)), "curves")
    assert "50 seeds for each arm" in many
    assert "the first 50 seeds" in many
    shorter = made(["a", "b"], seeds=8)
    del shorter.arms[1].runs[3:]
    assert "3 to 8 seeds for each arm" in caption(view_of(shorter), "curves")
    assert "mean over 3 seeds that both have" in caption(view_of(shorter), "differences")
    assert "1 run diverged or failed" in caption(view_of(lost()), "curves")


def test_a_caption_says_what_a_bar_is() -> None:
    two = caption(view_of(made(["a", "b"], seeds=8)), "differences")
    assert "95 % intervals by Student's t for the mean difference." in two
    three = caption(view_of(made(["a", "b", "c"], seeds=8)), "differences")
    assert "for all 3 pairs at once (level 1 - 0.05/3 each)" in three
    assert "at the level of the look" in caption(view_of(in_order(20, least=6)), "differences")
    assert "95 % intervals of the e-process" in caption(view_of(STUDIES["extended"]()), "differences")
    assert "corrected resampled t test" in caption(view_of(by_seed()), "differences")
    margin = caption(view_of(made(["a", "b"], seeds=8, margin=0.02)), "differences")
    assert "two one-sided t tests that decide equivalence (90 %)" in margin
    assert "Shaded: within the margin of 2 points." in margin
    assert "Shaded" not in two
    means = caption(view_of(swept()), "sweeps")
    assert "looks" not in means
    assert "not adjusted for the looks" in files_of(in_order(20, least=6))["results.tex"]
    assert "Means over 7 seeds." in means
    assert "Bars: 95 % interval of the mean (Student's t)" in means
    assert "not corrected" in caption(view_of(settings_of(swept(), split="by_seed")), "sweeps")
    single = replace(swept(), seeds=[0], arms=[replace(arm, runs=arm.runs[:1]) for arm in swept().arms])
    assert "95 %" not in caption(view_of(single), "sweeps")


def test_the_tables_have_units_and_the_numbers_of_the_verdicts() -> None:
    study = made(["a", "b"], seeds=8)
    files = files_of(study)
    head, *rows = rows_of(files["differences.tex"])
    assert head[2] == "a - b (percentage points)"
    (found,) = Findings.of(study).primary
    assert found.mean is not None
    assert float(rows[0][2]) == pytest.approx(100 * found.mean, abs=0.06)
    assert rows[0][-1] == "optimizer=a higher" or rows[0][-1] == "a higher"
    assert found.p_adjusted == pytest.approx(float(rows[0][5]), rel=0.1)
    assert {"test accuracy (%)", "test loss (nats)"} <= {*rows_of(files["results.tex"])[0]}
    mine = replace(study, metrics={"height": Metric("height", "lower", "m")}, primary_metric="test_height")
    for arm in mine.arms:
        arm.runs[:] = [replace(run, curve={**run.curve, "test_height": run.curve["test_loss"]}) for run in arm.runs]
    assert differences(view_of(mine)).columns[2] == "a - b (m)"


# --- methods -----------------------------------------------------------------------------------------------------------

ALWAYS = ["80 training and 20 test examples", "The primary metric is test accuracy (in percent; higher is better"]


@pytest.mark.parametrize(
    ("study", "there", "absent"),
    [
        (lambda: made(["adam", "sgd", "rmsprop"], seeds=8), ["sign-flip test over seeds (Fisher 1935), which counts every way", "for the 3 pairs by Holm's method (Holm 1979)", "the adjusted p is at most 0.05", "8 seeds are recorded of each arm (seeds 0 to 7)", "scores are paired by seed"], ["margin", "e-process", "Lan", "Early stopping", "tuned", "resampled", "too few", "baseline"]),
        (lambda: made(["adam", "sgd"], seeds=2), ["too few seeds", "it takes at least 6", "p is at most 0.05"], ["Holm", "adjusted"]),
        (lambda: made(["adam", "sgd"], seeds=41), ["gives an upper bound where more are"], ["too few"]),
        (lambda: made(["adam"], seeds=3), ["No difference was tested, as the study has one arm.", "Student's t (Student 1908)"], ["sign-flip", "Holm", "paired"]),
        (lambda: made(["adam"], seeds=1), ["single value"], ["95 %", "Student", "sign-flip"]),
        (lambda: made(["adam", "sgd"], seeds=1), ["as the study has one seed"], ["95 %", "sign-flip", "Holm"]),
        (lambda: in_order(20, least=6), ["after 6 seeds and after every further one, up to a declared maximum of 20", "0.05 (n/20)² by the look at n (Lan and DeMets 1983)", "(Jennison and Turnbull 1989)", "How they ended: of 3 pairs"], ["Fisher", "every way to flip"]),
        (STUDIES["extended"], ["looked at after 6, 8 and 10 seeds", "e-process", "(Ramdas and others 2020)"], ["Fisher", "Student", "Lan"]),
        (by_seed, ["Each seed dealt the data into splits of its own", "corrected resampled t test (Nadeau and Bengio 2003)", "(1/J + 0.25)"], ["same data in the same splits", "Student"]),
        (lambda: by_seed(margin=0.01), ["margin of 1 point, by two one-sided t tests at level 0.05 each, corrected for shared examples"], []),
        (lambda: made(["a", "b", "c"], seeds=8, margin=0.01), ["margin of 1 point, by two one-sided t tests at level 0.05/3 each"], []),
        (lambda: made(["a", "b", "c"], seeds=8, baseline="optimizer=b"), ["each other arm and the baseline b (2 pairs)", "for the 2 pairs by Holm's"], ["all 3 pairs"]),
        (lost, ["1 run of 16 is recorded as diverged", "counts as the worst, the pair is tested by ranks"], ["Student"]),
        (lambda: replace(lost(), least=6), ["a difference as large as the largest before it"], ["by ranks"]),
        (with_tuning, ["lr was tuned: every arm was given the same 3 candidates", "10 % of the training data", "adam lr=0.1; sgd lr=0.1", "(Dodge and others 2019)", "trained at lr=0.01 (given beforehand)"], ["over repeats"]),
        (by_length, ["4 main effects and 3 interactions", "They differ in length (20, 5 and 10) and model (rnn and lstm)"], []),
        (swept, ["Of lr the best value is taken at each seed"], ["main effect"]),
    ],
)  # fmt: skip
def test_the_paragraph_says_what_was_done_and_nothing_else(
    study: Callable[[], StudyRecord], there: list[str], absent: list[str]
) -> None:
    text = said(study())
    assert [one for one in [*ALWAYS, *there] if one not in text] == []
    assert [one for one in absent if one in text] == []


def test_the_plan_is_said_to_be_shared_only_where_it_was() -> None:
    study = made(["a", "b"])
    assert "the same for every arm, so that" in said(study)
    other = changed(study, 1, 2, plan_hash="e" * 64)
    assert "the same for every arm, so that" not in said(other)
    assert "not all runs of a seed have the same recorded plan" in said(other)


def test_one_split_is_said_only_where_it_was() -> None:
    study = made(["a", "b"])
    assert "Every run had the same data in the same splits." in said(study)
    card = replace(study.arms[0].runs[0].task, fingerprint="e" * 64)
    assert "The data are not the same in every run." in said(changed(study, 1, 2, task=card))
    for i in range(len(study.seeds)):
        study = changed(study, 1, i, task=card)
    assert "within an arm all seeds had the same data in the same splits" in said(study)


def test_every_version_and_processor_is_named() -> None:
    study = made(["a", "b"])
    elsewhere = {
        "python": "3.12.1", "versions": {"torch": "2.9.9", "numpy": "2.0.1", "paribus": "0.0.9"},
        "machine": {"processor": "arm64", "cpus": 8, "host": "a-secret-name"},
    }  # fmt: skip
    text = said(changed(changed(study, 0, 1, environment=elsewhere), 1, 1, environment={}))
    for named in ("PyTorch 2.13.0 and 2.9.9", "NumPy 2.0.1", "Python 3.11.7 and 3.12.1", "Paribus 0.0.9"):
        assert named in text
    assert "2 logical CPUs; arm64, 8 logical CPUs" in text
    assert "Of 1 of 12 runs no versions are recorded." in text
    assert "secret" not in text


def early(run: RunRecord) -> RunRecord:
    curve = {**run.curve, "validation_loss": run.curve["test_loss"]}
    return replace(run, curve=curve, reported_by=Metric("validation_loss", "lower"))


def test_early_stopping_is_told_with_its_rule() -> None:
    study = settings_of(made(["a", "b"]), patience=3, min_delta=0.01, monitor="validation_loss")
    study = replace(study, arms=[replace(arm, runs=list(map(early, arm.runs))) for arm in study.arms])
    text = said(study)
    assert "after 3 evaluations in a row that did not improve validation loss by more than 0.01" in text
    assert "at the evaluation that early stopping reports" in text


def test_a_loop_of_ones_own_and_numbers_to_predict(tmp_path: Path) -> None:
    def train(seed: int, gain: float = 1.0) -> dict[str, float]:
        return {"val_loss": gain * (2 + (7 * seed) % 5)}

    paribus.compare(train, gain=[1.0, 2.0], seeds=6, metric="val_loss", lower=True, out=tmp_path / "loop")
    text = said(read(tmp_path / "loop"))
    assert "nothing of them is recorded" in text
    assert "The training loop got the same seeds in each arm" in text
    assert "val loss (lower is better; at the last evaluation)" in text
    assert "plan" not in text
    assert "initial values" not in text
    paribus.compare("sine", lr=[0.1, 0.01], epochs=2, hidden=2, implementation="numpy", seeds=2, out=tmp_path / "sine")
    text = said(read(tmp_path / "sine"))
    assert "320 training and 80 test examples, numbers to predict" in text
    assert "test rmse (in unit of y; lower is better" in text


def test_several_tasks(tmp_path: Path) -> None:
    one = made(["sgd", "adam"], seeds=8)
    arms = []
    for task in ("moons", "blobs"):
        for arm in one.arms:
            runs = [replace(run, task=replace(run.task, name=task, fingerprint=task * 12)) for run in arm.runs]
            arms.append(ArmRecord(f"task={task} {arm.name}", {**arm.settings, "task": task}, runs))
    text = said(replace(one, arms=arms, factors=["task", "optimizer"]))
    assert "all 2 pairs of arms on the same task" in text
    assert "(Benjamini and Heller 2008) (Dror and others 2017)" in text
    assert "On each task every run had the same data in the same splits." in text


# --- references --------------------------------------------------------------------------------------------------------


def test_paribus_is_cited_as_its_citation_file_says() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    of = dict(cites_paribus().fields)
    assert of["title"] == citation["title"]
    assert of["author"] == " and ".join(f"{{{one['name']}}}" for one in citation["authors"])
    assert of["version"] == str(citation["version"])
    assert citation["license"] in of["note"]


def test_every_source_is_named_where_its_method_is_computed() -> None:
    """None is made up: title and year stand in a docstring of the findings."""
    docs = " ".join(
        " ".join(path.read_text(encoding="utf-8").split()) for path in (ROOT / "src/paribus/findings").glob("*.py")
    )
    for one in METHODS:
        of = dict(one.fields)
        title = of["title"].partition(": testing")[0]
        place = docs.find(title)
        assert place >= 0, title
        assert of["year"] in docs[place : place + 400]
        assert of["author"].strip("{}").partition(",")[0] in docs[place - 160 : place]


def test_a_bibliography_is_bibtex() -> None:
    mine = Source.of("me1", "misc", "Me 1", author="Me", title="50 % of {a_b} & c", year="1", note="x")
    for entry, one in zip(bibliography([*METHODS, mine]).split("\n\n"), [*METHODS, mine], strict=True):
        assert re.match(rf"@{one.kind}\{{{one.key},\n", entry)
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))
        assert fields.keys() == dict(one.fields).keys()
        assert text_of(fields["title"][1:-1]) == dict(one.fields)["title"]
