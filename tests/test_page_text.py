"""What the page says in sentences, and that no text of the user's becomes markup."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from paribus.findings.compared import Difference
from paribus.findings.findings import Findings
from paribus.records.metrics import metric_named
from paribus.report.files.files import write_files
from paribus.report.page.json import literal, to_json
from paribus.report.page.page import page, write_page
from paribus.report.page.text import amount, answers, sentence, tally
from tests.test_page import EVIL, NAMES, VERDICTS, Seen, evil, made, view_of

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
        interval=(low, high),
        interval_of="t",
        pairs=10,
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
            0.001,
            "No difference is shown between adam and sgd in test accuracy: 0.1 points (-0.5 to 0.6), p = 1, 10 seeds; "
            "120 would find the margin with 80 % power.",
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
            replace(difference(-0.02, -0.05, -0.001, "b higher"), interval_of="sign flips"),
            None,
            "sgd is higher than adam in test accuracy by 2.0 points (0.1 to 5.0, of the sign-flip test), p = 0.002, "
            "10 seeds.",
        ),
        (
            replace(difference(0.0, 0, 0, "no difference shown", p=1.0), interval=None, note="all 10 are the same"),
            None,
            "No difference is shown between adam and sgd in test accuracy: 0 points, p = 1, 10 seeds; all 10 are the "
            "same.",
        ),
        (
            replace(
                difference(0.02, 0, 0, "b higher"), interval=None, by_ranks=True, note="2 of 12 were lost: by ranks"
            ),
            None,
            "sgd is higher than adam in test accuracy, p = 0.002; 2 of 12 were lost: by ranks.",
        ),
        (
            replace(difference(0.02, 0, 0, "not judged"), interval=None, note="2 of 12 were lost"),
            None,
            "adam and sgd are not judged in test accuracy; 2 of 12 were lost.",
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
