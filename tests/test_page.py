"""The page that `paribus report` writes, as text: what stands on it, and in which order."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import paribus
from paribus.config.registries import USER_DEFINED
from paribus.findings.claims import Found, Verdict
from paribus.findings.findings import Findings
from paribus.records.record import (
    ArmRecord,
    Boundary,
    Candidate,
    DatasetInfo,
    Fits,
    Frames,
    Mistakes,
    Pictures,
    Residuals,
    RunRecord,
    Status,
    StudyRecord,
    Tuned,
    Tuning,
)
from paribus.report.files.files import write_files
from paribus.report.page.page import page, write_page
from paribus.report.page.text import View
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


def of_numbers(
    i: int, rng: np.random.Generator, rows: int = 40, curves: int = 4, spread: float = 0.1
) -> dict[str, Any]:
    """Predictions of a sine that are `spread` off, and curves that come near to it."""
    x, grid = np.sort(rng.uniform(-3, 3, rows)), np.linspace(-3, 3, 200)
    predicted = np.sin(x) + spread * rng.standard_normal(rows)
    left = Residuals(np.arange(rows), predicted, np.sin(x), np.quantile(np.sin(x) - predicted, [0.05, 0.95]))
    epochs = np.array([1.0, 2.0, 6.0, 20.0, 60.0, 120.0])[-curves:]
    shapes = np.stack([(k + 1) / curves * np.sin(grid + 0.1 * i) for k in range(curves)])
    return {"pictures": Pictures(residuals=left, fits=Fits(grid, epochs, shapes, x, np.sin(x), np.sin(grid)))}


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
    study = made(["adam", "sgd", "rmsprop"], seeds=8, pictured=in_the_plane, margin=0.001)
    study.arms[1].runs[2] = replace(study.arms[1].runs[2], status=Status.DIVERGED, error="in epoch 3: the loss is nan")
    text = page([Findings.of(study)], VERDICTS)
    order = place(
        text,
        "<h1>a study</h1>",
        "Of 3 claims, 1 holds, 1 does not hold, 1 is not shown.",
        "260 and 270 epochs",
        "the loss is nan",
        "optimizer=sgd diverged",
        "adam is higher than sgd in test accuracy, p",
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
