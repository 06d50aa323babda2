"""The page and the files that `paribus report` writes, as text; what a browser makes of the page is in another file."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import t as student

import paribus
from paribus.config.registries import USER_DEFINED
from paribus.findings.bands import band
from paribus.findings.claims import Found, Verdict
from paribus.findings.differences import Difference
from paribus.findings.findings import Findings
from paribus.records.metrics import metric_named
from paribus.records.record import (
    ArmRecord,
    Boundary,
    Candidate,
    DatasetInfo,
    Frames,
    Mistakes,
    Pictures,
    RunRecord,
    Status,
    StudyRecord,
    Tuned,
    Tuning,
)
from paribus.report.files.files import write_files
from paribus.report.page.curves import curve_figures, drawn, most_points, thinned
from paribus.report.page.figures import boundaries, confusions, forest, lengths, state_gradients, tuned
from paribus.report.page.json import Columns, literal, to_json
from paribus.report.page.page import page, write_page
from paribus.report.page.tables import Cell, Table, markdown, results_csv, runs_csv
from paribus.report.page.text import View, amount, answers, sentence, tally
from paribus.report.series import boundary_frames, class_png, mistake_png
from paribus.study.file import read_file

CARD = DatasetInfo(
    name="moons",
    fingerprint="f" * 64,
    pool="b" * 64,
    source="scikit-learn make_moons",
    classes=2,
    input_shape=(2,),
    train=80,
    validation=0,
    test=20,
    overlap=0,
)
SURROUNDINGS = {
    "command": "paribus compare moons optimizer=adam,sgd", "python": "3.11.7", "versions": {"torch": "2.13.0"},
    "machine": {"host": "here", "cpus": 2}, "executable": "/home/somebody/python",
}  # fmt: skip
EVIL = "<script>alert(1)</script>"
NAMES = [
    "\"quoted\" 'arm'", "a/b\\c", "学习率 一", "🚀 emoji", "</script><script>alert(2)</script>\u2028",
    '<b>bold</b> <a href="javascript:alert(3)">l</a> $x^2$ %{y} &amp; {{ 7 * 7 }} | `x`',
]  # fmt: skip


def curve(rng: np.random.Generator, evaluations: int, level: float) -> dict[str, np.ndarray]:
    epoch = np.arange(1, evaluations + 1) * 10.0
    loss = level * np.exp(-epoch / (4 * evaluations)) + 0.01 * rng.random(evaluations)
    accuracy = 1 - loss / 2
    return {
        "step": 7 * epoch, "epoch": epoch, "train_seconds": epoch / 1e3, "eval_seconds": epoch / 1e4,
        "train_loss": loss, "train_accuracy": accuracy, "test_loss": 1.1 * loss, "test_accuracy": accuracy - 0.02,
    }  # fmt: skip


def view_of(study: StudyRecord) -> View:
    return View.of(Findings.of(study))


def made(
    names: list[str],
    seeds: int = 6,
    evaluations: int = 12,
    name: str = "a study",
    factor: str = "optimizer",
    pictured: Callable[[int, np.random.Generator], dict[str, Any]] | None = None,
    **more: Any,
) -> StudyRecord:
    """Arms that differ in one factor, the first the best; `pictured`: what the first run of an arm has beside."""
    rng, arms = np.random.default_rng(0), []
    for i, one in enumerate(names):
        runs = [
            RunRecord(
                seed=seed, status=Status.DONE, error=None, epochs=10 * evaluations, curve=curve(rng, evaluations, 0.5 + 0.1 * i), task=CARD, plan_hash=f"{seed:064x}",
                attempt=1, started=1.76e9, environment=SURROUNDINGS, **(pictured(i, rng) if pictured and not seed else {}),
            )
            for seed in range(seeds)
        ]  # fmt: skip
        settings = {"task": "moons", "implementation": "numpy", "split": "fixed", "optimizer.lr": 0.1, factor: one}
        arms.append(ArmRecord(f"{factor}={one}", settings, runs))
    return StudyRecord(
        name=name, factors=[factor], seeds=list(range(seeds)), primary_metric="test_accuracy", arms=arms, **more
    )


def in_the_plane(i: int, rng: np.random.Generator) -> dict[str, Any]:
    yy, xx = np.mgrid[-1:1:24j, -1:2:30j]
    frames = np.stack([(np.sin(2 * xx) * k / 5 > yy + 0.1 * i).astype(np.uint8) for k in range(6)])
    extent = np.array([-1.0, 2.0, -1.0, 1.0])
    points = {"train_x": rng.random((80, 2)), "train_y": rng.integers(0, 2, 80) * 1.0}
    points |= {"test_x": rng.random((20, 2)), "test_y": rng.integers(0, 2, 20) * 1.0}
    moving = Frames(extent, np.arange(6) * 20.0, frames)
    return {"points": points, "boundary": Boundary(extent, frames[-1]), "pictures": Pictures(frames=moving)}


def of_images(i: int, rng: np.random.Generator) -> dict[str, Any]:
    counts = np.diag(rng.integers(80, 110, 10)) + rng.integers(0, 6, (10, 10))
    images = rng.integers(0, 256, (4, 3 if i else 1, 8, 8)).astype(np.uint8)
    mistakes = Mistakes(images, np.arange(4), np.arange(4) + 1, np.array([0.99, 0.9, 0.8, 0.7]))
    return {"pictures": Pictures(confusion=counts, mistakes=mistakes)}


def of_sequences(i: int, rng: np.random.Generator) -> dict[str, Any]:
    return {"pictures": Pictures(state_gradients=rng.random((2, 8)) * [[0.0] + [1.0] * 7, [1.0] * 8])}


def by_length() -> StudyRecord:
    found = [made(["rnn", "lstm"], factor="model", pictured=of_sequences) for _ in (5, 10, 20)]
    arms = [
        ArmRecord(f"length={length} {arm.name}", {**arm.settings, "task.length": length}, arm.runs)
        for length, one in zip((20, 5, 10), found, strict=True)
        for arm in one.arms
    ]
    return replace(found[0], arms=arms, factors=["task.length", "model"], name="by length")


def with_tuning() -> StudyRecord:
    own = made(["adam", "sgd"], name="tuned")
    candidates = [
        Candidate({"optimizer.lr": lr}, [lr], None if lr > 1 else 0.5 - abs(lr - 0.1)) for lr in (10.0, 0.01, 0.1)
    ]
    arms = [Tuned(arm.name, candidates, {"optimizer.lr": 0.1}, []) for arm in own.arms]
    shared = {"optimizer.lr": 0.01}
    return replace(
        own,
        tuning=Tuning(
            words=["lr=0.01,0.1,10"],
            budget=None,
            seeds=[100],
            validation=0.1,
            metric="validation_accuracy",
            given=True,
            shared_values=shared,
            arms=arms,
            shared=replace(own),
        ),
    )


def evil(seeds: int = 12) -> StudyRecord:
    found = made(["x"] * len(NAMES), seeds=seeds, name=EVIL, pictured=in_the_plane)
    arms = [replace(arm, name=name) for arm, name in zip(found.arms, NAMES, strict=True)]
    return replace(found, arms=arms, named=True)


VERDICTS = [
    Verdict(
        id="C1",
        claim="it converges",
        answer="holds",
        reason="",
        study="a study",
        conditions=[Found("supported", "260 and 270 epochs", (0.9, 1.1))],
    ),
    Verdict(id="C2", claim=EVIL, answer="does not hold", reason=EVIL, study=EVIL),
    Verdict(id="C3", claim=EVIL, answer="not shown", reason="", study=EVIL, conditions=[Found("open", EVIL)]),
]


class Seen(HTMLParser):
    """Elements, and the text between them, as a browser reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attrs, before = self.scripts[-1]
            self.scripts[-1] = attrs, before + data
        elif self._inside != "style":
            self.text += data

    def payloads(self) -> list[Any]:
        def refuse(word: str) -> None:
            raise AssertionError(f"{word} in JSON")

        return [
            json.loads(text, parse_constant=refuse)
            for attrs, text in self.scripts
            if attrs.get("type") == "application/json"
        ]


def place(text: str, *parts: str) -> list[int]:
    missing = [part for part in parts if part not in text]
    assert not missing
    return [text.index(part) for part in parts]


# --- contents and order ----------------------------------------------------------------------------------------------


def test_the_answer_comes_first_and_what_repeats_it_last() -> None:
    study = made(["adam", "sgd"], seeds=8, pictured=in_the_plane, margin=0.001)
    study.arms[1].runs[2] = replace(study.arms[1].runs[2], status=Status.DIVERGED, error="in epoch 3: the loss is nan")
    text = page([Findings.of(study)], VERDICTS)
    order = place(
        text,
        "<h1>a study</h1>",
        "Of 3 claims, 1 holds, 1 does not hold, 1 is not shown.",
        "260 and 270 epochs",
        "the loss is nan",
        "optimizer=sgd diverged",
        "adam is higher than sgd in test accuracy by",
        "<h3>Differences</h3>",
        "<h3>Curves</h3>",
        "<h3>Results</h3>",
        "<h3>Time and memory</h3>",
        "<h3>Data and decision boundary</h3>",
        "To repeat it",
        SURROUNDINGS["command"],
        "paribus run STUDY.toml",
        "seeds</dt><dd>0 to 7",
        CARD.fingerprint,
        "2.13.0",
    )
    assert order == sorted(order)
    assert "/home/somebody" not in text  # nobody's paths


@pytest.mark.parametrize(
    ("study", "headings"),
    [
        (made(["cnn", "mlp"], pictured=of_images), ["Results", "Confusion", "Most confident mistakes"]),
        (by_length(), ["Results", "Accuracy by length", "Gradient through time"]),
        (
            with_tuning(),
            ["Differences, each at its own best", "Differences, all at lr=0.01", "Tuning", "What was tried"],
        ),
    ],
    ids=["images", "sequences", "tuned"],
)
def test_each_kind_of_study_has_its_figures(study: StudyRecord, headings: list[str]) -> None:
    text = page([Findings.of(study)])
    order = place(text, *(f"<h3>{heading}</h3>" for heading in headings), "To repeat it")
    assert order == sorted(order)


def test_several_studies_are_answered_before_any_of_them_is_shown() -> None:
    one, other = made(["adam", "sgd"], name="one"), made(["adam", "sgd"], name="other")
    text = page([Findings.of(one), Findings.of(other)], title="both")
    order = place(text, "<h1>both</h1>", 'href="#s0"', 'href="#s1"', 'id="s0"', 'id="s1"', 'id="repeat"')
    assert order == sorted(order)


def test_meters_are_shown_of_timed_runs_alone() -> None:
    study = made(["adam", "sgd"])
    assert "ms per epoch" not in page([Findings.of(study)])
    timed = [
        replace(arm, runs=[
            replace(run, timed=True, curve={**run.curve, "peak_memory_mb": np.full(12, 321.5)}) for run in arm.runs
        ])
        for arm in study.arms
    ]  # fmt: skip
    text = Seen(page([Findings.of(replace(study, arms=timed, timing=True))])).text
    assert "ms per epoch" in text
    assert "peak memory" in text
    assert "321.5" in text


def test_what_is_ones_own_is_said_to_have_no_file() -> None:
    (kind, (_, field)) = next(iter(USER_DEFINED.items()))
    study = made(["adam", "sgd"])
    mine = [replace(arm, settings={**arm.settings, f"{kind}.{field}": "f"}) for arm in study.arms]
    text = Seen(page([Findings.of(replace(study, arms=mine))])).text
    assert "The study holds what is your own in Python" in text
    assert "paribus run STUDY.toml" not in text


def test_a_study_without_runs_has_a_page_and_files(tmp_path: Path) -> None:
    empty = StudyRecord(name="none", factors=[], seeds=[0], primary_metric="test_accuracy", arms=[])
    assert "No run is recorded." in page(
        list(map(Findings.of, [empty, replace(empty, arms=[ArmRecord("a", {"task": "moons"}, [])])]))
    )
    assert [path.name for path in write_files([Findings.of(empty)], tmp_path)] == [
        "results.csv",
        "results.md",
        "runs.csv",
    ]


def test_a_real_study_and_its_file(tmp_path: Path) -> None:
    study = paribus.compare(
        "moons", hidden=["5", "none"], epochs=4, eval_every=2, seeds=2, implementation="numpy", out=tmp_path / "s"
    ).record
    out = write_page([Findings.of(study)], tmp_path / "deep" / "page.html")
    seen = Seen(out.read_text(encoding="utf-8"))
    (payload,) = seen.payloads()
    assert {"test_loss", "train_accuracy", "boundary-0", "boundary-1", "differences"} <= payload["figures"].keys()
    toml = seen.text[seen.text.index('name = "') : seen.text.index("Data, seeds, versions")]
    (tmp_path / "again.toml").write_text(toml)
    asked = read_file(tmp_path / "again.toml")
    assert [arm.settings.flat() for arm in asked.design.arms] == [arm.settings for arm in study.arms]
    assert asked.seeds == study.seeds
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]


# --- sentences -------------------------------------------------------------------------------------------------------


def difference(
    mean: float, low: float, high: float, verdict: str, needed: int | None = None, p: float = 0.002
) -> Difference:
    return Difference(
        a="a",
        b="b",
        metric="test_accuracy",
        mean=mean,
        ci95=(low, high),
        p=p,
        p_adjusted=p,
        ci95_family=(low, high),
        pairs=10,
        pairing_gain=None,
        verdict=verdict,
        seeds_needed=needed,
    )


LABELS = {"a": "adam", "b": "sgd"}


@pytest.mark.parametrize(
    ("one", "margin", "said"),
    [
        (
            difference(0.7761, 0.7464, 0.8058, "a higher"),
            None,
            "adam is higher than sgd in test accuracy by 77.6 points (74.6 to 80.6), p = 0.002, 10 seeds.",
        ),
        (
            difference(-0.7761, -0.8058, -0.7464, "b higher", p=1e-6),
            None,
            "sgd is higher than adam in test accuracy by 77.6 points (74.6 to 80.6), p < 0.0001, 10 seeds.",
        ),
        (
            difference(0.0006, -0.0051, 0.0062, "no difference shown", 120, p=1.0),
            None,
            "No difference is shown between adam and sgd in test accuracy: 0.1 points (-0.5 to 0.6), p = 1, 10 seeds; "
            "120 would find such a one with 80 % power.",
        ),
        (
            difference(-0.0006, -0.0062, 0.0051, "equivalent"),
            0.01,
            "sgd and adam are equivalent in test accuracy, within 1 point: 0.1 points (-0.5 to 0.6), 10 seeds.",
        ),
        (
            difference(0.02, -0.01, 0.05, "too few seeds", 12),
            0.01,
            "Too few seeds to tell adam from sgd in test accuracy: 2.0 points (-1.0 to 5.0), 10 seeds; 12 would find the "
            "margin with 80 % power.",
        ),
        (
            replace(difference(0, 0, 0, "too few seeds"), mean=None, ci95_family=None, pairs=0),
            None,
            "adam and sgd have no seed in common that is done: nothing can be said of them in test accuracy.",
        ),
    ],
)
def test_a_difference_in_a_sentence(one: Difference, margin: float | None, said: str) -> None:
    assert sentence(one, LABELS, metric_named("test_accuracy"), margin) == said


@pytest.mark.parametrize(
    ("metric", "value", "interval", "said"),
    [
        ("test_accuracy", 0.0119, (-0.0003, 0.024), ("1.19 points", "-0.03 to 2.40")),  # no -0.0
        ("test_accuracy", -1e-17, (-0.01, 0.01), ("0.0 points", "-1.0 to 1.0")),
        ("test_accuracy", 0.0, (0.0, 0.0), ("0 points", "0 to 0")),
        ("test_accuracy", 0.00012, (0.0001, 0.00014), ("0.012 points", "0.010 to 0.014")),
        ("test_loss", 1e-7, (-1e-7, 3e-7), ("1e-07", "-1e-07 to 3e-07")),
        ("seconds_per_epoch", 0.0021, (0.0020, 0.0022), ("2.10 ms", "2.00 to 2.20")),
    ],
)
def test_amounts_have_the_digits_that_their_interval_warrants(
    metric: str, value: float, interval: tuple[float, float], said: tuple[str, str]
) -> None:
    assert amount(metric_named(metric), value, interval) == said


def test_arms_are_called_by_a_word_or_by_name() -> None:
    assert list(view_of(made(["adam", "sgd"])).labels.values()) == ["adam", "sgd"]
    assert list(view_of(made(["64x64", "none"], factor="hidden")).labels.values()) == ["hidden=64x64", "hidden=none"]
    assert list(view_of(evil()).labels.values()) == NAMES


def test_one_seed_and_one_arm_are_told_by_their_level() -> None:
    (one,) = answers(view_of(made(["adam", "sgd"], seeds=1)))
    assert one.sentences[0].startswith("adam: test accuracy ")
    assert one.sentences[-1] == "One seed: nothing can be said of differences between arms."
    (alone,) = answers(view_of(made(["adam"])))
    assert re.fullmatch(r"adam: test accuracy [\d.]+ ± [\d.]+ %, 6 seeds\.", alone.sentences[0])


def test_many_pairs_with_too_few_seeds_are_told_at_once() -> None:
    (found,) = answers(view_of(made(["adam", "sgd", "rmsprop"], seeds=3)))
    assert found.sentences[0].endswith("p could not have come to 0.05. It takes at least 7.")
    assert len(found.sentences) == 4


def test_beside_claims_each_studys_sentences_stand_with_the_study() -> None:
    both = [made(["adam", "sgd"], name="first"), made(["adam", "sgd"], name="second")]
    sentences = '<ul class="sentences">'
    for verdicts, expected in ((VERDICTS, False), ((), True)):
        text = page(list(map(Findings.of, both)), verdicts)
        assert text.count(sentences) == 2
        assert (text.index(sentences) < text.index('<section class="study" id="s0"')) == expected


def test_claims_are_counted() -> None:
    assert tally([*VERDICTS, *VERDICTS]) == "Of 6 claims, 2 hold, 2 do not hold, 2 are not shown."


# --- text is text ----------------------------------------------------------------------------------------------------


def test_no_text_of_the_users_is_markup() -> None:
    text = page([Findings.of(evil())], VERDICTS, title=EVIL)
    seen = Seen(text)
    kinds = [attrs.get("type") for attrs, _ in seen.scripts]
    assert kinds == ["application/json", "text/plain", None]
    assert not [tag for tag, _ in seen.tags if tag == "b"]
    assert all(str(attrs.get("href", "#")).startswith(("#", "data:,")) for _, attrs in seen.tags)
    for name in (EVIL, *NAMES):
        assert name.strip() in seen.text
        assert name not in text.replace(html.escape(name), "")
    (payload,) = seen.payloads()
    assert EVIL not in to_json(payload)
    assert pd.read_csv(io.StringIO(payload["csv"]["results"]))["arm"].tolist() == NAMES
    assert {attrs["data-file"] for _, attrs in seen.tags if attrs.get("data-file")} == {
        f"script-alert-1---script-5c140d-{what}.csv" for what in ("results", "runs", "differences")
    }


def test_only_the_two_scripts_of_the_page_may_run() -> None:
    seen = Seen(page([Findings.of(evil())]))
    (policy,) = [attrs["content"] for _, attrs in seen.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    allowed = re.findall(r"'sha256-([^']+)'", str(policy))
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for _, text in seen.scripts[1:]]
    assert allowed == hashes
    assert str(policy).startswith("default-src 'none'; script-src 'sha256-")


@pytest.mark.parametrize("text", [EVIL, *NAMES, "a\nb", "&#36;", "&lt;b&gt;"])
def test_plotly_is_told_no_markup(text: str) -> None:
    told = literal(text)
    assert not set(told) & set("<>$\n")
    assert html.unescape(told) == text.replace("\n", " ")  # Plotly decodes these entities, once


def test_json_can_stand_in_a_script() -> None:
    value = {"a": [EVIL, "<!--", "\u2028\u2029", float("nan"), float("inf")], "b": 0.5}
    told = to_json(value)
    assert "<" not in told
    assert "\u2028" not in told
    assert json.loads(told) == {"a": [EVIL, "<!--", "\u2028\u2029", None, None], "b": 0.5}


def test_a_name_that_is_no_text_is_written_all_the_same(tmp_path: Path) -> None:
    study = made(["a\udcff", "b\x00\x1b"], name="s\udcff")
    assert b"a?" in write_page([Findings.of(study)], tmp_path / "p.html").read_bytes()
    for path in write_files([Findings.of(study)], tmp_path / "f"):
        if path.suffix == ".svg":
            ElementTree.parse(path)


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 299, 300, 301, 1000, 12345])
@pytest.mark.parametrize("most", [6, 40, 300])
def test_thinning_keeps_ends_and_extremes(n: int, most: int) -> None:
    y = np.random.default_rng(n).standard_normal(n)
    y[n // 3] = np.nan
    kept = thinned(y, y, most)
    assert len(kept) <= max(most, min(n, most))
    assert (np.diff(kept) > 0).all()
    assert {0, n - 1} <= set(kept.tolist())
    if np.isfinite(y).any():
        assert {int(np.nanargmin(y)), int(np.nanargmax(y))} <= set(kept.tolist())
    if n <= most:
        assert len(kept) == n


def test_thinning_keeps_the_extremes_of_a_bands_ends() -> None:
    rng = np.random.default_rng(1)
    low = rng.standard_normal(5000)
    high = low + rng.random(5000)
    high[1234], low[4321] = 50, -50  # each where the other end is like its neighbours
    kept = set(thinned(low, high, 100).tolist())
    assert {1234, 4321} <= kept


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_band_is_students_interval(n: int) -> None:
    rows = np.random.default_rng(n).standard_normal((n, 7))
    mean, low, high = band(rows)
    expected = student.interval(0.95, n - 1, loc=rows.mean(axis=0), scale=rows.std(axis=0, ddof=1) / np.sqrt(n))
    np.testing.assert_allclose([low, high], expected, rtol=1e-12)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-12)
    rows[0, 3], rows[1, 4] = np.inf, np.nan
    for one in band(rows):
        assert np.isnan(one).tolist() == [False] * 3 + [True] * 2 + [False] * 2


def figure_of(study: StudyRecord, metric: str = "test_loss", most: int = 300) -> tuple[list[dict[str, Any]], Columns]:
    columns = Columns()
    (figure,) = [f for f in curve_figures(Findings.of(study), view_of(study).labels, columns, most) if f.name == metric]
    return figure.data, columns


def test_curves_are_the_records() -> None:
    study = made(["adam", "sgd"], seeds=3)
    traces, columns = figure_of(study)
    lines = [one for one in traces if one["part"] == "seed"]
    assert [one["name"] for one in lines] == [f"{arm}, seed {seed}" for arm in ("adam", "sgd") for seed in range(3)]
    for line, run in zip(lines, (run for arm in study.arms for run in arm.runs), strict=True):
        np.testing.assert_allclose(line["y"], run.curve["test_loss"], rtol=1e-5)
        assert columns.columns[line["x"]] == run.curve["epoch"].tolist()
    stacked = np.stack([run.curve["test_loss"] for run in study.arms[1].runs])
    told = {one["part"]: one["y"] for one in traces if one["arm"] == 1 and one["part"] != "seed"}
    for part, expected in zip(("mean", "low", "band"), band(stacked), strict=True):
        np.testing.assert_allclose(told[part], expected, rtol=1e-5)
    assert len(columns.columns) == 1  # kept once


@pytest.mark.parametrize("evaluations", [5, 12])
def test_a_run_that_is_not_done_is_drawn_but_in_no_mean(evaluations: int) -> None:
    study = made(["adam"], seeds=3)
    columns = {name: column[:evaluations] for name, column in study.arms[0].runs[1].curve.items()}
    study.arms[0].runs[1] = replace(study.arms[0].runs[1], status=Status.DIVERGED, curve=columns)
    traces, _ = figure_of(study)
    assert [len(one["y"]) for one in traces if one["part"] == "seed"] == [12, evaluations, 12]
    (mean,) = [one for one in traces if one["part"] == "mean"]
    assert mean["name"] == "adam, mean of 2 seeds"
    expected = np.mean([study.arms[0].runs[k].curve["test_loss"] for k in (0, 2)], axis=0)
    np.testing.assert_allclose(mean["y"], expected, rtol=1e-5)


def test_fifty_lines_of_many_runs_and_all_in_the_bands() -> None:
    study = made(["adam", "sgd", "rmsprop"], seeds=30)
    traces, _ = figure_of(study)
    assert sum(one["part"] == "seed" for one in traces) == 50
    assert {name for name, _ in drawn(study.arms)} == {arm.name for arm in study.arms}
    assert "mean of 30 seeds" in str(traces)
    assert "The first 50 of 90 runs are drawn as lines" in page([Findings.of(study)])


def test_what_is_not_finite_is_null() -> None:
    study = made(["adam", "sgd"], seeds=2)
    for arm in study.arms:
        arm.runs[0].curve["test_loss"][[2, 5]] = np.nan, np.inf
    text = page([Findings.of(study)], [Verdict(id="C", claim="c", answer="not shown", reason="r")])
    (payload,) = Seen(text).payloads()
    lines = [one["y"] for one in payload["figures"]["test_loss"]["data"] if one["part"] == "seed"]
    assert [lines[0][k] for k in (2, 5)] == [None, None]
    assert None not in lines[1]


def test_a_page_of_a_hundred_runs_is_small() -> None:
    study = made([f"arm {i}" for i in range(4)], seeds=25, evaluations=150, pictured=in_the_plane)
    text = page([Findings.of(study)])
    assert len(text.encode()) <= 8e6
    assert text.count("* plotly.js v") == 1


def test_a_page_of_many_studies_is_small_too() -> None:
    studies = [made([f"arm {i}" for i in range(10)], seeds=10, evaluations=400, name=f"{i}") for i in range(12)]
    found = list(map(Findings.of, studies))
    assert most_points(found) < 100
    assert most_points(found[:1]) == 300
    assert len(page(found).encode()) <= 8e6


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_forest_shows_the_interval_that_goes_with_the_verdict() -> None:
    study = made(["adam", "sgd", "rmsprop"], seeds=8, margin=0.02)
    figure = forest(view_of(study))
    assert figure is not None
    found = {(one.a, one.b): one for one in Findings.of(study).primary}
    shown = view_of(study).found
    assert len(figure.data) == 3
    for trace, one in zip(figure.data, shown, strict=True):
        expected = found[one.a, one.b]
        low, high = expected.ci95_family or (0, 0)
        (x,) = trace["x"]
        assert x == pytest.approx(100 * (expected.mean or 0), rel=1e-4)
        assert x - trace["error_x"]["arrayminus"][0] == pytest.approx(100 * low, abs=1e-3)
        assert x + trace["error_x"]["array"][0] == pytest.approx(100 * high, abs=1e-3)
    (zero, margin) = figure.layout["shapes"]
    assert (zero["x0"], zero["x1"], margin["x0"], margin["x1"]) == (0, 0, -2, 2)


def test_boundaries_are_those_recorded_upright() -> None:
    study = made(["adam", "sgd"], pictured=in_the_plane)
    run = study.arms[1].runs[0]
    figure = boundaries(study, view_of(study).labels, Columns())[1]
    sources = figure.facts["frames"]
    assert run.pictures.frames is not None
    assert run.boundary is not None
    # after the frames the last boundary, at the run's end
    assert [one["epoch"] for one in sources] == [0, 20, 40, 60, 80, 100, 120]
    for one, classes in zip(sources, [*run.pictures.frames.classes, run.boundary.classes], strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(one["source"].partition(",")[2])))
        np.testing.assert_array_equal(np.array(image)[::-1], classes)
    (picture,) = figure.layout["images"]
    dx, dy = 3 / 29, 2 / 23
    assert picture["x"] == pytest.approx(-1 - dx / 2, rel=1e-4)
    assert picture["y"] == pytest.approx(1 + dy / 2, rel=1e-4)
    assert (picture["sizex"], picture["sizey"]) == (pytest.approx(3 + dx, rel=1e-4), pytest.approx(2 + dy, rel=1e-4))


def test_without_frames_the_last_boundary_is_shown() -> None:
    study = made(["adam"], pictured=in_the_plane)
    run = replace(study.arms[0].runs[0], pictures=Pictures())
    found = boundary_frames(run)
    assert found is not None
    assert run.boundary is not None
    assert [epoch for epoch, _ in found[1]] == [120]
    np.testing.assert_array_equal(found[1][0][1], run.boundary.classes)


def test_classes_are_told_apart_in_the_picture() -> None:
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    colours = np.array(Image.open(io.BytesIO(class_png(classes))).convert("RGBA"))
    assert len({tuple(one) for one in colours.reshape(-1, 4)[:, :3].tolist()}) == 8  # eight colours, then again
    assert (colours[..., 3] < 128).all()  # the points on it are to be seen


def test_mistakes_are_the_images_as_they_are() -> None:
    rng = np.random.default_rng(0)
    for i, mode in ((0, "L"), (1, "RGB")):
        mistakes = of_images(i, rng)["pictures"].mistakes
        image = Image.open(io.BytesIO(mistake_png(mistakes, 2)))
        assert image.mode == mode
        np.testing.assert_array_equal(np.array(image).reshape(8, 8, -1), mistakes.images[2].transpose(1, 2, 0))
    seen = Seen(page([Findings.of(made(["cnn"], pictured=of_images))]))
    pictures = [attrs for tag, attrs in seen.tags if tag == "img"]
    assert pictures[0]["alt"] == "test image of class 0, taken for class 1 with probability 0.990"
    assert all(str(one["src"]).startswith("data:image/png;base64,") for one in pictures)
    assert "0 taken for 1, 99.0 %" in seen.text


def test_confusions_are_counted_by_class() -> None:
    study = made(["cnn"], pictured=of_images)
    (figure,) = confusions(study, view_of(study).labels)
    counts = study.arms[0].runs[0].pictures.confusion
    assert counts is not None
    (trace,) = figure.data
    assert trace["text"] == counts.tolist()
    np.testing.assert_allclose(np.square(trace["z"]), counts / counts.sum(axis=1, keepdims=True), rtol=1e-4)
    off = counts - np.diag(np.diag(counts))
    t, p = divmod(int(off.argmax()), 10)
    assert f"{t} as {p} ({off.max()} of {counts[t].sum()})" in figure.caption


def test_accuracy_by_length_is_a_line_for_each_other_factor() -> None:
    study = by_length()
    figure = lengths(Findings.of(study))
    assert figure is not None
    assert [trace["name"] for trace in figure.data] == ["rnn", "lstm"]
    for trace, model in zip(figure.data, ("rnn", "lstm"), strict=True):
        assert trace["x"] == [5, 10, 20]
        for length, y in zip(trace["x"], trace["y"], strict=True):
            (arm,) = [a for a in study.arms if a.settings["task.length"] == length and a.settings["model"] == model]
            assert y == pytest.approx(np.mean([run.curve["test_accuracy"][-1] for run in arm.runs]), rel=1e-5)
    assert lengths(Findings.of(made(["rnn"], factor="model"))) is None


def test_gradients_stand_before_and_after_and_a_zero_has_no_place() -> None:
    study = by_length()
    figure = state_gradients(study, view_of(study).labels)
    assert figure is not None
    norms = study.arms[0].runs[0].pictures.state_gradients
    assert norms is not None
    assert figure.layout["yaxis"]["type"] == "log"
    before, after = figure.data[:2]
    assert before["y"][0] is None
    np.testing.assert_allclose(before["y"][1:], norms[0, 1:], rtol=1e-5)
    np.testing.assert_allclose(after["y"], norms[1], rtol=1e-5)


def test_what_was_tried_is_in_order_and_the_chosen_is_large() -> None:
    study = with_tuning()
    figure = tuned(Findings.of(study), view_of(study).labels)
    assert figure is not None
    trace = figure.data[0]
    assert trace["x"] == [0.01, 0.1]  # that at 10 did not end
    assert trace["marker"]["size"] == [7, 15]
    seen = Seen(page([Findings.of(study)])).text
    assert "did not end" in seen
    assert "50.00 (chosen)" in seen
    assert "Every arm was given the same 3 candidates." in seen


# --- files -----------------------------------------------------------------------------------------------------------


def test_tables_hold_every_digit() -> None:
    study = made(["adam", "sgd"], seeds=3)
    runs = pd.read_csv(io.StringIO(runs_csv(Findings.of(study))))
    assert runs["test_loss"].tolist() == [run.curve["test_loss"][-1] for arm in study.arms for run in arm.runs]
    assert runs["seed"].tolist() == [0, 1, 2] * 2
    means = pd.read_csv(io.StringIO(results_csv(view_of(study))))
    assert means["test_loss"].tolist() == pytest.approx(runs.groupby("arm")["test_loss"].mean().tolist(), rel=1e-14)


def test_markdown_is_escaped() -> None:
    table = markdown(Table(["arm", "x"], [[Cell(name), Cell("1", 1)] for name in NAMES]))
    rows = table.splitlines()
    assert len(rows) == 2 + len(NAMES)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
    assert not re.search(r"(?<!\\)[<>`*$]", table)


def test_files_are_written_and_named_safely(tmp_path: Path) -> None:
    plain = made(["adam", "sgd"], pictured=of_images, name="CON")
    written = write_files(list(map(Findings.of, [evil(2), plain, replace(plain, arms=[])])), tmp_path, VERDICTS)
    assert all(path.is_file() for path in written)
    folders = {path.parent.name for path in written[2:]}
    assert len(folders) == 3
    assert all(re.fullmatch(r"[\w.,=+-]+", path.name, re.ASCII) for path in (*written, *map(Path, folders)))
    assert {path.suffix for path in written} == {".csv", ".md", ".png", ".svg", ".toml"}
    names = {path.name for path in written if path.parent.name == next(f for f in folders if f.startswith("script"))}
    assert {"differences.png", "curves.svg", "boundary.png", "results.csv", "results.md", "study.toml"} <= names
    assert any(path.name == "confusion.svg" for path in written)
    for path in written:
        if path.suffix == ".svg":
            ElementTree.parse(path)
        elif path.suffix == ".png":
            Image.open(path).verify()
    assert not list(tmp_path.rglob(".*"))
