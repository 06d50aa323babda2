"""Tables as tasks: how files are read, what becomes of each column, and that no test row is looked at for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.findings.findings import Findings
from paribus.records.run import Run
from paribus.report.show import as_json
from paribus.study.reading import read
from paribus.study.runner import carry_out, prepare
from paribus.study.store import StoreError
from paribus.study.toml import as_toml
from paribus.tasks.encoding import Layout, encode
from paribus.tasks.stratified import stratified
from paribus.tasks.table import as_task, of_frame, opened
from paribus.tasks.task import Task, load
from tests.conftest import Called, Recorder
from tests.helpers import ask, assert_same_curves, kills_itself

OFTEN = settings(max_examples=60, deadline=None)
SHORT = "hidden=3,4 epochs=2 implementation=numpy"


def shop(rows: int = 60, *, seed: int = 0) -> pd.DataFrame:
    """A column of every kind, and a target that one row in five has otherwise."""
    draw = np.random.default_rng(seed)
    day = pd.Timestamp("2024-01-05")
    frame = pd.DataFrame(
        {
            "customer": np.arange(rows) + 100,
            "since": [(day + pd.Timedelta(days=int(n))).strftime("%Y-%m-%d") for n in draw.integers(0, 400, rows)],
            "plan": draw.choice(["basic", "plus", "pro"], rows),
            "age": np.where(draw.random(rows) < 0.2, np.nan, draw.integers(20, 80, rows)),
            "usage": np.round(draw.normal(10, 3, rows), 2),
            "member": draw.random(rows) < 0.5,
            "country": "CH",
            "note": [None] * rows,
            "mail": [f"{n}@example.org" for n in range(rows)],
        }
    )
    frame["left"] = np.where(np.arange(rows) % 5 == 0, "yes", "no")
    return frame


def settings_of(table: Any, **words: Any) -> Settings:
    return resolve({"task": table, **{f"task.{key}": value for key, value in words.items()}})


def task_of(frame: pd.DataFrame, seed: int = 0, **words: Any) -> Task:
    common = {key: words.pop(key) for key in ("split", "validation") if key in words}
    return load(
        resolve({**settings_of(as_task(of_frame(frame, "shop")), **{"target": "left"} | words).values(), **common}),
        seed,
    )


def refused(table: Any, **words: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        settings_of(table, **words)
    return str(caught.value)


# --- files -----------------------------------------------------------------------------------------------------------

WRITTEN: dict[str, Callable[[pd.DataFrame, Path], Path]] = {
    "commas": lambda frame, to: written(frame, to / "a.csv"),
    "semicolons, decimal commas": lambda frame, to: written(frame, to / "b.csv", sep=";", decimal=","),
    "tabs": lambda frame, to: written(frame, to / "c.tsv", sep="\t"),
    "bars": lambda frame, to: written(frame, to / "d.txt", sep="|"),
    "a byte order mark": lambda frame, to: written(frame, to / "e.csv", encoding="utf-8-sig"),
    "quoted": lambda frame, to: written(frame, to / "f.csv", quoting=1),
    "Windows' line ends": lambda frame, to: written(frame, to / "g.csv", lineterminator="\r\n"),
    "a name in capitals": lambda frame, to: written(frame, to / "H.CSV"),
}


def written(frame: pd.DataFrame, to: Path, **how: Any) -> Path:
    frame.to_csv(to, index=False, **how)
    return to


def as_parquet(frame: pd.DataFrame, to: Path) -> Path:
    frame.to_parquet(to / "p.parquet", index=False)
    return to / "p.parquet"


def test_a_table_is_the_same_in_every_file(tmp_path: Path) -> None:
    """By its fingerprint, and by what is trained on."""
    frame = shop()
    files = {name: write(frame, tmp_path) for name, write in WRITTEN.items()} | {"parquet": as_parquet(frame, tmp_path)}
    tables = {name: opened(str(path)) for name, path in files.items()}
    assert {name: table.fingerprint for name, table in tables.items()} == dict.fromkeys(
        files, tables["commas"].fingerprint
    )
    first = load(settings_of(tables["commas"], target="left"), 0)
    np.testing.assert_array_equal(first.train.x, task_of(frame).train.x)
    assert (
        "decimals stand after a comma"
        in load(settings_of(tables["semicolons, decimal commas"], target="left"), 0).info.source
    )
    other = frame.assign(usage=frame["usage"].replace(frame["usage"][3], 0.5))
    assert opened(str(written(other, tmp_path / "a.csv"))).fingerprint != tables["commas"].fingerprint


NO_TABLES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank lines": (b"\n\n", "is empty"),
    "no rows": (b"a,b\n", "has no rows"),
    "Latin-1": ("a,b\nZürich,1\n".encode("latin-1"), "is not a file in UTF-8"),
    "a row too long": (b"a,b\n1,2\n1,2,3\n", "line 3: 2 columns are named, this row has another number (3)"),
    "a column without a name": (b"a,b\n1,2,3\n", "line 2: 2 columns are named, this row has another number (3)"),
    "a row too short": (b"a,b\n1\n", "line 2: 2 columns are named, this row has another number (1)"),
    "a column twice": (b"a,a\n1,2\n", "names the column 'a' twice"),
    "two decimals": (b"a;b\n1,5;2\n1.5;3\n", "has numbers like 1,5 and like 1.5: write decimals in one way"),
}


@pytest.mark.parametrize("kind", NO_TABLES)
def test_what_is_no_table_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    content, why = NO_TABLES[kind]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(SettingsError, match=re.escape(why)) as caught:
        opened(str(tmp_path / "t.csv"))
    assert len(caught.value.mistakes) == 1
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(SettingsError, match="is not a Parquet file"):
        opened(str(tmp_path / "t.parquet"))


# --- columns ---------------------------------------------------------------------------------------------------------


def test_what_becomes_of_each_column_is_said() -> None:
    task = task_of(shop())
    said = "\n".join(task.notes)
    for line in (
        "60 rows; target left: no 48 (80 %), yes 12 (20 %)",
        "numbers: age, usage, member; gaps become the median, and an input says where they were (training rows: age",
        "dates: since as days since 2024-",
        "text, an input for each level: plan (3 levels)",
        "left out: customer (counts the rows), country (constant (CH)), note (empty), mail (names the rows: another text",
        "fitted on the 48 training rows alone",
        "each class by its share in every split",
    ):
        assert line in said
    assert "plan (3 levels)" in task.info.source
    assert task.info.input_shape == (3 + 3 + 1 + 3,)  # numbers; days, month, weekday; where gaps were; plan


def test_columns_are_left_out_kept_and_taken_for_codes_as_asked() -> None:
    frame = shop()
    plain = task_of(frame).info.input_shape[0]
    assert task_of(frame, drop="age+plan").info.input_shape == (plain - 2 - 3,)
    assert task_of(frame, keep="customer").info.input_shape == (plain + 1,)
    codes = frame.assign(zone=np.arange(60) % 4)
    assert task_of(codes).info.input_shape == (plain + 1,)
    assert task_of(codes, text="zone").info.input_shape == (plain + 4,)
    plus = frame.rename(columns={"age": "age+1"})
    assert task_of(plus, drop="age+1").info.input_shape == (plain - 2,)


DATES = {
    "ISO": ["2024-01-31", "2024-02-01", None],
    "with times": ["2024-01-31 13:45", "2024-02-01T00:00:30", ""],
    "dots": ["31.01.2024", "1.2.2024", None],
    "the British way": ["31/01/2024", "01/02/2024", None],
    "the American way": ["01/31/2024", "02/01/2024", None],
    "slashes": ["2024/01/31", "2024/2/1", None],
    "pandas": pd.to_datetime(["2024-01-31", "2024-02-01", None]),
    "of a zone": pd.to_datetime(["2024-01-31", "2024-02-01", None], utc=True).tz_convert("Asia/Tokyo"),
    "Python's": [one.date() for one in pd.to_datetime(["2024-01-31", "2024-02-01"])] + [None],
}


@pytest.mark.parametrize("how", DATES)
def test_dates_are_known_however_they_are_written(how: str) -> None:
    column = of_frame(pd.DataFrame({"when": DATES[how]}), "t").columns["when"]
    assert column.kind == "date"
    days = (np.datetime64("2024-01-31") - np.datetime64("1970-01-01")).astype(int)
    np.testing.assert_array_equal(np.floor(column.values), [days, days + 1, np.nan])
    assert not column.doubts


def test_dates_that_can_be_read_in_two_ways_are_told() -> None:
    column = of_frame(pd.DataFrame({"when": ["01/02/2024", "03/04/2024"]}), "t").columns["when"]
    assert "were taken as day/month/year: month/day/year fits as well" in column.doubts[0]


def test_parts_of_dates() -> None:
    """Month, day of the week from Monday on, hour; days since the first that training has, and no later one."""
    when = ["2024-02-29 18:30", "2024-03-04 06:00", "2025-01-01 00:00", "2023-12-31 18:30"]
    columns = list(of_frame(pd.DataFrame({"when": when}), "t").columns.values())
    x = encode(columns, Layout(dates=("when",)), np.array([0, 1])).x
    np.testing.assert_allclose(x[:, 1:], [[2, 3, 18], [3, 0, 6], [1, 2, 0], [12, 6, 18]])
    np.testing.assert_allclose(x[:, 0], [0, 3 + 11.5 / 24, 306 + 5.5 / 24, -60])


def test_times_that_training_does_not_have_are_no_input() -> None:
    columns = list(
        of_frame(pd.DataFrame({"when": ["2024-02-29", "2024-03-04", "2025-01-01 10:00"]}), "t").columns.values()
    )
    assert encode(columns, Layout(dates=("when",)), np.array([0, 1])).x.shape == (3, 3)


def test_text_that_was_meant_as_numbers_is_told() -> None:
    frame = shop().assign(usage=[*map(str, range(59)), "?"])
    assert any("1 value that is no number ('?')" in remark for remark in task_of(frame, keep="usage").remarks)


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    frame = shop().assign(left=lambda one: one["left"].where(one.index > 4))
    task = task_of(frame)
    assert len(task.train) + len(task.test) == 55
    assert "5 rows have no left and are left out" in task.info.source


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no target": ({}, "which column of shop is to be predicted? Write target=COLUMN; there is customer, since, plan,"),
    "what looks like one": ({}, "plan (3 classes)"),
    "a near miss": ({"target": "lef"}, "target=lef is no column of shop: did you mean 'left'?"),
    "drop what is not there": (
        {"target": "left", "drop": "agee"},
        "drop=agee: 'agee' is no column of shop: did you mean 'age'?",
    ),
    "drop the target": ({"target": "left", "drop": "left"}, "drop=left: 'left' is the target, and no input"),
    "drop and keep": ({"target": "left", "drop": "age", "keep": "age"}, "'age' is in drop= and in keep=: choose one"),
    "keep what is empty": ({"target": "left", "keep": "note"}, "keep=note: 'note' cannot be an input: it is empty"),
    "dates as codes": ({"target": "left", "text": "since"}, "text=since: 'since' holds dates, no codes"),
    "nothing left": (
        {"target": "left", "drop": "since+plan+age+usage+member"},
        "shop has no column to predict left from",
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_about_columns_has_one_answer(kind: str) -> None:
    words, answer = MISTAKES[kind]
    assert answer in refused(as_task(of_frame(shop(), "shop")), **words)


def test_a_target_that_is_no_class_is_refused_before_training(tmp_path: Path) -> None:
    for target, why in {"note": "is missing in every row", "country": "holds 1 different value"}.items():
        path = written(shop(), tmp_path / "shop.csv")
        with pytest.raises(SettingsError, match=rf"the target '{target}' of shop\.csv {why}"):
            prepare(ask(tmp_path / "s", f"{path} target={target} {SHORT}"))
    path = written(shop(30_000)[["age", "mail"]], tmp_path / "shop.csv")
    with pytest.raises(SettingsError, match=r"the target 'mail' of shop\.csv holds 30000 different values"):
        prepare(ask(tmp_path / "s", f"{path} target=mail {SHORT}"))
    assert not (tmp_path / "s").exists()


# --- fitted on the training rows alone -------------------------------------------------------------------------------

TEXTS = st.sampled_from(["a", "b", "c", "d", "rare", "", None])
NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))
DAYS = st.one_of(st.datetimes(pd.Timestamp("1950-01-01"), pd.Timestamp("2100-01-01")), st.none())


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Columns of any mixture of kinds with gaps; the same with other values in all rows but the training rows; and
    these."""
    rows, kept = draw(st.integers(8, 24)), draw(st.integers(4, 8))
    train = np.array(sorted(draw(st.permutations(range(rows)))[:kept]))
    frame, other = {}, {}
    for number, kind in enumerate(draw(st.lists(st.sampled_from("tnd"), min_size=1, max_size=5))):
        of = {"t": TEXTS, "n": NUMBERS, "d": DAYS}[kind]
        values, others = (
            draw(st.lists(of, min_size=rows, max_size=rows)),
            draw(st.lists(of, min_size=rows, max_size=rows)),
        )
        if kind == "t" and draw(st.booleans()):
            others = [f"new {one}" for one in others]  # levels that no training row has
        mixed = [values[row] if row in train else others[row] for row in range(rows)]
        name = f"{kind}{number}"
        as_series = {
            "t": lambda one: pd.Series(one, dtype=object),
            "n": pd.Series,
            "d": lambda one: pd.Series(one, dtype="datetime64[us]"),
        }[kind]
        frame[name], other[name] = as_series(values), as_series(mixed)
    return pd.DataFrame(frame), pd.DataFrame(other), train


@OFTEN
@given(tables())
def test_no_row_but_the_training_rows_is_looked_at(given_: tuple[pd.DataFrame, pd.DataFrame, np.ndarray]) -> None:
    """Whatever stands in the others, the training rows are the same numbers; and every number is finite."""
    frame, other, train = given_
    names = {kind: tuple(name for name in frame if name[0] == kind) for kind in "tnd"}
    layout = Layout(numbers=names["n"], dates=names["d"], texts=names["t"])
    found = [encode(list(of_frame(one, "t").columns.values()), layout, train) for one in (frame, other)]
    np.testing.assert_array_equal(found[0].x[train], found[1].x[train])
    assert found[0].lines == found[1].lines
    assert np.isfinite(found[1].x).all()
    assert len(found[0].amounts) == found[0].x.shape[1]


@OFTEN
@given(st.integers(0, 100), st.sampled_from(["fixed", "by_seed"]), st.sampled_from([0.0, 0.25]))
def test_so_are_standardised_splits(seed: int, split: str, validation: float) -> None:
    """Of a whole task: other values in its test and validation rows change nothing that is trained on."""
    frame = shop()
    before = task_of(frame, seed, split=split, validation=validation, keep="customer")
    numbered = load(
        resolve(
            {
                **settings_of(
                    as_task(of_frame(frame, "shop")),
                    target="left",
                    keep="customer",
                    drop="since+plan+age+usage+member",
                    standardise=False,
                ).values(),
                "split": split,
                "validation": validation,
            }
        ),
        seed,
    )
    train = numbered.train.x[:, 0].astype(int) - 100
    others = ~np.isin(np.arange(60), train)
    changed = frame.assign(
        usage=frame["usage"].mask(others, 1e4), age=frame["age"].mask(others, np.nan), plan=frame["plan"].mask(others, "new"),
        since=frame["since"].mask(others, "1999-12-31"),
    )  # fmt: skip
    after = task_of(changed, seed, split=split, validation=validation, keep="customer")
    np.testing.assert_array_equal(before.train.x, after.train.x)
    assert not np.array_equal(before.test.x, after.test.x)
    assert (after.validation is None) == (validation == 0)
    np.testing.assert_allclose(before.train.x[:, 2].mean(), 0, atol=1e-12)  # usage


def test_levels_of_test_rows_alone_share_the_input_of_the_rare_ones() -> None:
    levels = ["a"] * 6 + ["b"] * 6 + ["once"] + [None, "new", "new", "new"]
    columns = list(of_frame(pd.DataFrame({"t": levels}), "t").columns.values())
    x = encode(columns, Layout(texts=("t",)), np.arange(13)).x
    np.testing.assert_array_equal(x[[0, 6, 12, 13, 14]], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]])


# --- splits ----------------------------------------------------------------------------------------------------------


@OFTEN
@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.floats(0, 1), st.floats(0, 1), st.randoms())
def test_every_split_has_each_class_by_its_share(classes: list[int], one: float, two: float, random: Any) -> None:
    y = np.array(classes)
    order = np.arange(len(y))
    random.shuffle(order)
    sizes = int(one * len(y)), int(two * (len(y) - int(one * len(y))))
    found = stratified(order, y, sizes)
    assert sorted(found.tolist()) == list(range(len(y)))
    place = {row: number for number, row in enumerate(order.tolist())}
    parts = np.split(found, np.cumsum(sizes))
    for part in parts:
        assert [place[row] for row in part.tolist()] == sorted(place[row] for row in part.tolist())
    test, rest = parts[0], np.concatenate(parts[1:])
    counts, taken = np.bincount(y, minlength=5), np.bincount(y[test], minlength=5)
    if len(rest) >= 2 * len(set(classes)):
        assert (abs(taken - counts * sizes[0] / len(y)) < 2).all()
        assert (np.bincount(y[rest], minlength=5)[counts > 0] > 0).all()


def test_a_rare_class_is_in_every_split() -> None:
    y = np.array([0] * 9 + [1])
    assert y[stratified(np.arange(10), y, (5,))][5:].sum() == 1  # of one row it is learned, and not tested
    frame = shop().assign(left=["yes"] * 3 + ["no"] * 57)
    for split in ("fixed", "by_seed"):
        for seed in range(5):
            task = task_of(frame, seed, split=split, validation=0.2)
            assert [int((part.y == 1).sum()) for part in task.splits.values()] == [1, 1, 1]
    without = {int((task_of(frame, seed, split="by_seed", stratify=False).test.y == 1).sum()) for seed in range(9)}
    assert len(without) > 1
    assert any(
        "yes has fewer than 3 rows" in one for one in task_of(shop().assign(left=["yes"] * 2 + ["no"] * 58)).remarks
    )


# --- columns that tell the target ------------------------------------------------------------------------------------

LEAKS: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "under another name": (lambda frame: frame["left"].map({"yes": "J", "no": "N"}), "is left under another name"),
    "as a number": (lambda frame: (frame["left"] == "yes") * 7, "is left under another name"),
    "by levels": (
        lambda frame: [f"{one}{n % 3}" for n, one in enumerate(frame["left"])],
        "tells left: every row of one",
    ),
    "by size": (
        lambda frame: np.arange(60) * 1.5 + 500.0 * (frame["left"] == "yes"),
        "tells left: its classes lie apart",
    ),
    "by gaps": (lambda frame: frame["usage"].where(frame["left"] == "yes"), "its gaps tell the class"),
}


@pytest.mark.parametrize("how", LEAKS)
def test_a_column_that_tells_the_target_is_warned_of(how: str) -> None:
    make, why = LEAKS[how]
    frame = shop()
    remarks = task_of(frame.assign(tells=make(frame))).remarks
    (told,) = [one for one in remarks if "'tells'" in one]
    assert why in told
    assert told.endswith("leave it out: drop=tells")
    assert not [one for one in task_of(frame).remarks if "leave it out" in one]
    assert not [one for one in task_of(frame.assign(tells=make(frame)), drop="tells").remarks if "'tells'" in one]


# --- studies ---------------------------------------------------------------------------------------------------------


def test_recall_of_the_rare_class_is_measured_and_named(tmp_path: Path) -> None:
    path = written(shop(), tmp_path / "shop.csv")
    asked = ask(tmp_path / "s", f"{path} target=left {SHORT}", metric="test_recall")
    study = carry_out(asked)
    assert study.metric("test_recall").label == "test recall of yes %"
    assert study.metric("test_recall").direction == "higher"
    chosen, recorder = asked.design.arms[0].settings, Recorder()
    task = load(chosen, 0)
    train([Run(chosen, 0, frozenset({"predictions"}), metrics=asked.metrics)], lambda _: task, recorder)
    predicted, *_ = (outcome.predictions for outcome in recorder.outcomes)
    assert study.arms[0].runs[0].curve["test_recall"][-1] == recall_score(task.test.y, predicted, pos_label=1)
    said = [*Findings.of(study).warnings]
    assert any(
        one.startswith("80.0 % of the rows are no: a network that always answers no has that accuracy; recall of yes")
        for one in said
    )
    assert "recall of yes" in str([one for one in said if "80.0 %" in one])


def test_recall_is_that_of_scikit_learn() -> None:
    from paribus.training.recall import Recall

    draw = np.random.default_rng(0)
    for _ in range(20):
        y, predicted = draw.integers(0, 3, 30), draw.integers(0, 3, 30)
        for number in range(3):
            theirs = recall_score(y, predicted, labels=[number], average=None)[0]
            assert Recall(number)(y, predicted) == pytest.approx(theirs)


def test_the_same_data_train_nothing_again_and_others_are_another_study(called: Called, tmp_path: Path) -> None:
    frame = shop()
    written(frame, tmp_path / "shop.csv")
    words = ("compare", "shop.csv", "target=left", *SHORT.split(), "--seeds", "2")
    first = called(*words)
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "runs" / "shop-target=left-hidden=3,4-epochs=2-implementation=numpy"
    assert (folder / "study.sqlite").exists()
    assert "left out: customer (counts the rows)" in first.stdout
    (tmp_path / "deep").mkdir()
    written(frame, tmp_path / "deep" / "shop.csv", sep=";")
    again = called("compare", "deep/shop.csv", *words[2:])
    assert "4 of 4 runs are recorded already" in again.stdout
    assert "nothing was trained" in again.stdout
    written(frame.assign(usage=1.25 * frame["usage"]), tmp_path / "shop.csv")
    other = called(*words)
    assert other.returncode == 2
    assert other.stderr.count("the data in shop.csv are not those that were recorded") == 1
    assert "--fresh" in other.stderr


def test_a_study_file_repeats_it_and_jobs_and_kills_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(shop(), tmp_path / "shop.csv")
    words = f"shop.csv target=left drop=age+mail split=by_seed {SHORT}"
    whole = carry_out(ask(tmp_path / "whole", words, "3"))
    (tmp_path / "again.toml").write_text(as_toml(whole))
    from paribus.study.file import read_file

    repeated = read_file(tmp_path / "again.toml", tmp_path / "whole")
    assert not prepare(repeated).missing
    monkeypatch.chdir("/")
    beside = read_file(tmp_path / "again.toml", tmp_path / "jobs").replaced(jobs=2)
    assert_same_curves(carry_out(beside), whole)
    monkeypatch.chdir(tmp_path)
    kills_itself(tmp_path / "killed", words, "3", after=5)
    assert_same_curves(carry_out(ask(tmp_path / "killed", words, "3")), whole)
    assert_same_curves(read(tmp_path / "killed"), whole)
    assert as_json(Findings.of(whole))["arms"][0]["task"]["name"] == "shop.csv"


def test_columns_as_a_factor(tmp_path: Path) -> None:
    path = written(shop(), tmp_path / "shop.csv")
    study = carry_out(ask(tmp_path / "s", f"{path} target=left drop=none,age hidden=3 epochs=1 implementation=numpy"))
    assert [arm.name for arm in study.arms] == ["drop=none", "drop=age"]
    notes = prepare(
        ask(tmp_path / "t", f"{path} target=left drop=none,age hidden=3 epochs=1 implementation=numpy")
    ).notes
    whole, other = (note.splitlines() for note in notes if "left out: " in note)
    assert whole[0].startswith("shop.csv: 60 rows")
    assert other[0] == "drop=age:"
    assert "  numbers: usage, member" in other
    assert not [line for line in other if "dates" in line]


# --- Python ----------------------------------------------------------------------------------------------------------


def test_a_frame_of_any_columns_is_a_table_and_one_of_numbers_is_not(tmp_path: Path) -> None:
    frame = shop()
    own = paribus.data(frame, target="left", drop=["mail"], name="shop")
    study = paribus.compare(own, hidden=[3, 4], epochs=2, implementation="numpy", seeds=2, out=tmp_path / "s")
    table = as_task(of_frame(frame, "shop"), target="left", drop="mail")
    assert study.record.arms[0].runs[0].task == load(resolve({"task": table}), 0).info
    assert {"task.drop", "task.target"} <= study.record.arms[0].settings.keys()
    with pytest.raises(SettingsError, match="holds what is your own in Python"):
        as_toml(study.record)
    numbers = frame[["usage", "member", "left"]]
    assert paribus.data(numbers, target="left").thing.x.shape == (60, 2)
    assert paribus.data(numbers, target="left", keep="usage").name == "my data"
    path = written(frame, tmp_path / "shop.csv")
    assert paribus.data(path, target="left").fingerprint == paribus.data(str(path), target="left").fingerprint


def test_a_test_split_of_its_own(tmp_path: Path) -> None:
    frame = shop()
    own = paribus.data(frame[:40], target="left", test=frame[40:].assign(plan="new"))
    task = load(resolve({"task": own, "validation": 0.25}), 0)
    assert [len(part) for part in task.splits.values()] == [30, 10, 20]
    np.testing.assert_array_equal(task.test.y, [int(one == "yes") for one in frame["left"][40:]])
    with pytest.raises(ValueError, match="the test data have no column age"):
        paribus.data(frame[:40], target="left", test=frame[40:].drop(columns="age"))


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda frame: paribus.data(frame, target="lefd", drop="age"), "target='lefd' is no column"),
        (lambda frame: paribus.data(frame, target="left", drop="agee"), "did you mean 'age'?"),
        (lambda frame: paribus.data(frame[["usage"]], frame["left"], drop="usage"), "about the columns of a table"),
        (
            lambda frame: paribus.data(frame.assign(usage=np.inf), target="left"),
            "the column 'usage' holds inf in row 1",
        ),
        (
            lambda frame: paribus.data(frame.assign(when=pd.Timestamp("2024-01-05")), target="when"),
            "classes are asked for",
        ),
        (lambda frame: paribus.data("nowhere.csv", target="left"), "there is no file nowhere.csv"),
    ],
)
def test_mistakes_in_python(call: Callable[[pd.DataFrame], Any], answer: str) -> None:
    with pytest.raises(ValueError, match=re.escape(answer)):
        call(shop())


def test_a_changed_file_in_python_is_refused_too(tmp_path: Path) -> None:
    def study(frame: pd.DataFrame) -> None:
        paribus.train(
            paribus.data(frame, target="left", name="shop"),
            hidden=3,
            epochs=1,
            implementation="numpy",
            out=tmp_path / "s",
        )

    study(shop())
    with pytest.raises(StoreError, match="the data in shop are not those that were recorded"):
        study(shop().assign(usage=1.0))


def test_a_column_of_numbers_is_predicted(tmp_path: Path) -> None:
    """Numbers that are not whole, or too many whole ones for classes, are no classes."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"area": rng.normal(100, 30, 200).round(1), "city": rng.choice(["Rome", "Oslo"], 200)})
    frame["price"] = (2000 * frame["area"] + 50_000 * (frame["city"] == "Oslo") + rng.normal(0, 5000, 200)).round(2)
    frame["whole"] = frame["price"].round().astype(int)
    frame["size"] = np.where(frame["area"] > 100, "large", "small")
    for target, numbers in (("price", True), ("whole", True), ("size", False)):
        others = "+".join({"price", "whole", "size"} - {target})
        task = paribus.data(frame, target=target, drop=others, name="houses")
        study = paribus.compare(
            task, hidden=["none", 8], implementation="torch", epochs=2, seeds=2, out=tmp_path / target, name=target
        )
        assert study.record.primary_metric == ("test_rmse" if numbers else "test_accuracy")
        run = study.record.arms[0].runs[0]
        assert (run.task.classes == 0) == numbers
        assert ("numbers from" in run.task.source) == numbers
        assert (f"test_{'r2' if numbers else 'accuracy'}") in run.curve
