"""The tables and pictures that `paribus report` writes beside the page."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

from paribus.findings.findings import Findings
from paribus.report.files.curves import curves
from paribus.report.files.files import write_files
from paribus.report.page.tables import Cell, Table, markdown, results_csv, runs_csv
from tests.test_page import NAMES, VERDICTS, evil, made, of_images, view_of


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
    assert {path.suffix for path in written} == {".csv", ".md", ".png", ".svg", ".toml", ".pdf", ".tex", ".bib"}
    names = {path.name for path in written if path.parent.name == next(f for f in folders if f.startswith("script"))}
    assert {"differences.png", "curves.svg", "boundary.png", "results.csv", "results.md", "study.toml"} <= names
    assert any(path.name == "confusion.svg" for path in written)
    for path in written:
        if path.suffix == ".svg":
            ElementTree.parse(path)
        elif path.suffix == ".png":
            Image.open(path).verify()
    assert not list(tmp_path.rglob(".*"))


def test_the_title_of_the_curves_counts_the_seeds_that_were_trained() -> None:
    """Seeds until it is decided may end before all that were asked for."""

    def title(*trained: int) -> str:
        study = made([f"a{i}" for i in range(len(trained))], seeds=60, evaluations=2)
        arms = [replace(arm, runs=arm.runs[:count]) for arm, count in zip(study.arms, trained, strict=True)]
        figure = curves(Findings.of(replace(study, arms=arms, least=6)))
        assert figure is not None
        return " ".join(figure.get_suptitle().split())

    assert title(9, 9).endswith("(9 seeds, one line each)")
    assert title(6, 9).endswith("(6 to 9 seeds, one line each)")
    assert title(1).endswith("(1 seed, one line each)")
    assert title(60, 60).endswith("(the first 50 of 60 seeds, one line each)")
