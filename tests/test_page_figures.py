"""The figures on the page beside the curves: each shows what the records hold."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from paribus.findings.findings import Findings
from paribus.records.record import Pictures, Status
from paribus.report.page.figures import boundaries, confusions, forest, lengths, state_gradients, tuned
from paribus.report.page.json import Columns
from paribus.report.page.page import page
from paribus.report.series import boundary_frames, class_png, mistake_png
from tests.test_page import Seen, by_length, in_the_plane, made, of_images, view_of, with_tuning


def test_the_forest_shows_the_interval_that_goes_with_the_verdict() -> None:
    study = made(["adam", "sgd", "rmsprop"], seeds=8, margin=0.02)
    figure = forest(view_of(study).pairs)
    assert figure is not None
    found = {(one.a, one.b): one for one in Findings.of(study).primary}
    shown = view_of(study).found
    assert len(figure.data) == 3
    for trace, one in zip(figure.data, shown, strict=True):
        expected = found[one.a, one.b]
        low, high = expected.interval or (0, 0)
        (x,) = trace["x"]
        assert x == pytest.approx(100 * (expected.mean or 0), rel=1e-4)
        assert x - trace["error_x"]["arrayminus"][0] == pytest.approx(100 * low, abs=1e-3)
        assert x + trace["error_x"]["array"][0] == pytest.approx(100 * high, abs=1e-3)
    (zero, margin) = figure.layout["shapes"]
    assert (zero["x0"], zero["x1"], margin["x0"], margin["x1"]) == (0, 0, -2, 2)


def test_where_no_difference_has_a_mean_the_page_says_why() -> None:
    study = made(["adam", "sgd"], seeds=8)
    first = study.arms[0]
    runs = [replace(first.runs[0], status=Status.DIVERGED), *first.runs[1:]]
    lost = replace(study, arms=[replace(first, runs=runs), study.arms[1]])
    assert forest(view_of(lost).pairs) is None
    assert "All pairs are judged by ranks, which have no mean to draw." in page([Findings.of(lost)])
    assert "All pairs are judged by ranks" not in page([Findings.of(study)])


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
