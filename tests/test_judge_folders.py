"""Folders of runs that MLflow and TensorBoard wrote: judged as the same scores in a table are, or refused clearly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

import paribus as library
from paribus.config.overrides import SettingsError
from paribus.findings.judge import Judgement, judge
from paribus.findings.score_folders import _recognised, is_scores
from tests.helpers import ask
from tests.test_cli import paribus

RUNS = {(arm, seed): round(0.9 + 0.02 * (arm == "gated") + 0.001 * (seed * 7 % 5), 4) for arm in ("base", "gated") for seed in range(8)}  # fmt: skip
Curve = Sequence[tuple[int, float]]


def event_file(folder: Path, curves: Mapping[str, Curve], *, tensors: bool = False, suffix: str = "") -> None:
    """As TensorBoard's own writer makes it: numbers as PyTorch writes them, or as TensorFlow does."""
    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for tag, curve in curves.items():
        for step, value in curve:
            one = Summary.Value(tag=tag, tensor=make_tensor_proto(np.float32(value))) if tensors else Summary.Value(tag=tag, simple_value=value)  # fmt: skip
            writer.add_event(Event(step=step, wall_time=1.0, summary=Summary(value=[one])))
    writer.close()


def events(folder: Path, form: str = "{arm}-seed{seed}", **options: Any) -> Path:
    for (arm, seed), score in RUNS.items():
        curves = {"acc": [(0, 0.5), (1, score + 0.01), (2, score)], "loss": [(0, 1.0), (1, 0.2), (2, 0.3)]}
        event_file(folder / form.format(arm=arm, seed=seed), curves, **options)
    return folder


def mlflow_run(
    folder: Path, name: str, *, params: Mapping[str, object], metrics: Mapping[str, Curve], status: int = 3, **meta: str
) -> None:
    """As MLflow 3 lays it out in its file store."""
    run = folder / name
    for kind, texts in (
        ("params", {key: str(value) for key, value in params.items()}),
        ("metrics", {key: "".join(f"1795913146463 {v} {step}\n" for step, v in curve) for key, curve in metrics.items()}),
        ("tags", {"mlflow.runName": name, "team": "x"}),
    ):  # fmt: skip
        for key, text in texts.items():
            (run / kind / key).parent.mkdir(parents=True, exist_ok=True)
            (run / kind / key).write_text(text)
    lines = {"run_name": name, "status": str(status), "lifecycle_stage": "active", "run_id": name, "tags": "[]", **meta}
    (run / "meta.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))


def mlruns(folder: Path, *, failed: Sequence[tuple[str, int]] = (), **more: Any) -> Path:
    experiment = folder / "mlruns" / "343707411725486885"
    for (arm, seed), score in RUNS.items():
        status = 4 if (arm, seed) in failed else 3
        mlflow_run(
            experiment,
            f"{arm}-seed{seed}",
            params={"idea": arm, "seed": seed, "lr": 0.1, **more},
            metrics={"val/acc": [(0, 0.5), (1, score + 0.01), (2, score)], "val/loss": [(0, 1.0), (1, 0.2), (2, 0.3)]},
            status=status,
        )
    (experiment / "meta.yaml").write_text("experiment_id: '343707411725486885'\nname: 'my: exp'\n")
    return folder / "mlruns"


def table(folder: Path) -> Judgement:
    path = folder / "table.csv"
    path.write_text("arm,seed,acc\n" + "".join(f"{arm},{seed},{score}\n" for (arm, seed), score in RUNS.items()))
    return judge(path)


def same_as_table(found: Judgement, folder: Path, by: float = 0.0) -> None:
    (of_table,) = table(folder).found
    (of_folder,) = found.on_primary
    assert (of_folder.a, of_folder.b, of_folder.verdict) == ("base", "gated", "b higher")
    assert of_folder.mean == pytest.approx(of_table.mean, abs=1e-12)
    assert of_folder.p == of_table.p
    means = [found.summaries[found.primary][arm].mean for arm in ("base", "gated")]
    assert means == pytest.approx([np.mean([v for (a, _), v in RUNS.items() if a == arm]) + by for arm in ("base", "gated")])  # fmt: skip


# --- TensorBoard ---


@pytest.mark.parametrize("form", ["{arm}-seed{seed}", "{arm}/seed_{seed}", "{arm}/{seed}", "seed{seed}/{arm}"])
@pytest.mark.parametrize("tensors", [False, True])
def test_event_files_are_judged_as_their_scores_in_a_table(tmp_path: Path, form: str, tensors: bool) -> None:
    found = judge(events(tmp_path / "runs", form, tensors=tensors), "acc")
    same_as_table(found, tmp_path)
    told = "; ".join(found.scores.taken)
    assert f"run {form.format(arm='base', seed=0)} is taken for arm 'base', seed 0" in told
    assert "of each run the last step counts" in told
    best = judge(tmp_path / "runs", "acc", best="loss")
    same_as_table(best, tmp_path, by=0.01)
    assert any("the lowest loss counts" in line for line in best.scores.taken)


def test_a_pattern_says_where_arm_and_seed_stand(tmp_path: Path) -> None:
    runs = events(tmp_path / "runs", "{arm}-{seed}")
    with pytest.raises(SettingsError, match=r"the run 'base-0' is; --pattern '\{arm\}-\{seed\}' would say it"):
        judge(runs, "acc")
    same_as_table(judge(runs, "acc", pattern="{arm}-{seed}"), tmp_path)
    event_file(runs / "old run", {"acc": [(0, 1.0)]})
    left = judge(runs, "acc", pattern="{arm}-{seed}")
    same_as_table(left, tmp_path)
    assert "left out: 1 run (old run) that the pattern does not fit" in left.scores.taken


def test_parts_of_a_pattern_are_factors(tmp_path: Path) -> None:
    for optimizer, width, seed in ((o, w, s) for o in ("adam", "sgd") for w in (16, 64) for s in range(8)):
        score = 0.8 + 0.1 * (optimizer == "adam") + 0.001 * (seed * 5 % 7)
        event_file(tmp_path / f"{optimizer}-{width}" / f"s{seed}" / "logs", {"acc": [(0, score)]})
    found = judge(tmp_path, pattern="{optimizer}-{width}/s{seed}/*")
    assert found.scores.arms == ["adam width=16", "adam width=64", "sgd width=16", "sgd width=64"]
    assert [one.difference.verdict for one in found.effects][:2] == ["a higher", "no difference shown"]
    assert [one.factors for one in found.effects] == [("optimizer",), ("width",), ("optimizer", "width")]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"metric": None}, "has 2 metrics: --metric NAME says which is judged: acc, loss"),
        ({"metric": "ac"}, "--metric ac is no metric of"),
        ({"pattern": "{arm}-{seed}-{seed}"}, "it names one twice"),
        ({"pattern": "{arm}"}, "it has no {seed}"),
        ({"pattern": "seed{seed}"}, "it names no arm"),
        ({"pattern": "{arm}_{seed}"}, "fits no run of"),
        ({"arm": ("idea",)}, "a run's name has no 'idea'; --pattern {idea}-seed{seed} would say where it stands"),
        ({"best": "acc:best"}, "--best acc:best is not allowed"),
    ],
)
def test_what_is_not_clear_is_asked_for(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    runs = events(tmp_path / "runs")
    with pytest.raises(SettingsError) as caught:
        judge(runs, **{"metric": "acc", **options})
    assert len(caught.value.mistakes) == 1
    assert told in caught.value.mistakes[0]


def test_names_that_may_be_read_in_two_ways_are_not_guessed() -> None:
    assert _recognised(["seed0/a1", "seed1/a1"]) == [("a1", "0"), ("a1", "1")]
    for names in (["seed0/1", "seed1/1"], ["0/1", "1/1"], ["a-seed0", "b_0"], ["lr-0.1"], ["resnet-50"]):
        assert _recognised(names) is None


@given(
    arm=st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1).filter(lambda one: "seed" not in one),
    seeds=st.sets(st.integers(0, 10**6), min_size=1),
    form=st.sampled_from(
        ["{arm}-seed{seed}", "{arm}/seed_{seed}", "{arm}/{seed}", "seed{seed}/{arm}", "{arm}_seed={seed}"]
    ),
)
def test_a_name_is_read_as_it_was_made(arm: str, seeds: set[int], form: str) -> None:
    names = [form.format(arm=arm, seed=seed) for seed in seeds]
    assert _recognised(names) == [(arm, str(seed)) for seed in seeds]


def test_folders_of_splits_belong_to_their_run(tmp_path: Path) -> None:
    for (arm, seed), score in RUNS.items():
        for split, less in (("train", 0.0), ("validation", 0.1)):
            event_file(tmp_path / f"{arm}-seed{seed}" / split, {"acc": [(0, score - less)]}, tensors=True)
    found = judge(tmp_path, "validation/acc")
    same_as_table(found, tmp_path, by=-0.1)
    assert set(found.scores.values) == {"train/acc", "validation/acc"}


def test_a_run_that_was_gone_on_with_is_one(tmp_path: Path) -> None:
    runs = events(tmp_path / "runs")
    again = runs / "base-seed0"
    (first,) = again.iterdir()
    first.rename(again / "events.out.tfevents.0000000001.a")  # the earlier one
    event_file(again, {"acc": [(1, 0.7)], "loss": [(1, 0.2)]})  # what was at step 2 is begun again
    found = judge(runs, "acc")
    assert found.scores.values["acc"]["base"][0] == 0.7
    assert "runs end at different steps: base-seed0 at 1, most at 2" in found.scores.taken
    assert "several event files are one run that was gone on with: base-seed0" in found.scores.taken


def test_runs_that_end_early_are_named(tmp_path: Path) -> None:
    runs = events(tmp_path / "runs")
    event_file(runs / "gated-seed8", {"acc": [(0, 0.1)], "loss": [(0, 0.1)]})
    event_file(runs / "base-seed8", {"acc": [(0, 0.1), (2, float("inf"))], "loss": [(2, float("nan"))]})
    event_file(runs / "base-seed9", {})
    found = judge(runs, "acc", missing="at-random")
    assert "runs end at different steps: gated-seed8 at 0, most at 2" in found.scores.taken
    assert "1 run (base-seed8) with infinite values: these count as missing" in found.scores.taken
    assert "left out: 1 folder whose event files hold no number" in found.scores.taken
    assert found.scores.values["acc"]["base"][8] is None
    assert found.scores.values["loss"]["base"][8] is None


def test_a_folder_without_scores_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder that holds no scores"):
        judge(tmp_path)
    event_file(tmp_path / "a-seed0", {})
    with pytest.raises(SettingsError, match="hold no number"):
        judge(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0")
    with pytest.raises(SettingsError, match=r"mlflow\.search_runs\(\)\.to_csv"):
        judge(tmp_path / "mlflow.db")


def test_a_study_is_no_folder_of_scores(tmp_path: Path) -> None:
    from paribus.study.runner import carry_out

    folder = carry_out(ask(tmp_path / "runs" / "s", "moons lr=0.1,0.2 epochs=1", "2")) and tmp_path / "runs"
    event_file(folder / "s" / "events" / "a-seed0", {"acc": [(0, 1.0)]})
    for one in (folder, folder / "s"):
        assert not is_scores(one)
        with pytest.raises(SettingsError, match="holds a study of Paribus: paribus show"):
            judge(one)


# --- MLflow ---


def test_mlflows_runs_are_judged_as_their_scores_in_a_table(tmp_path: Path) -> None:
    folder = mlruns(tmp_path)
    for path in (folder, folder / "343707411725486885", tmp_path):
        found = judge(path, "val/acc")
        same_as_table(found, tmp_path)
        assert "MLflow's runs: an arm is the value of idea (the param that varies), the seed is the param 'seed'" in found.scores.taken  # fmt: skip
    same_as_table(judge(folder, "val/acc", best="val/loss"), tmp_path, by=0.01)
    same_as_table(judge(folder, "val/acc", pattern="{arm}-seed{seed}"), tmp_path)
    shown = paribus(tmp_path, "judge", "mlruns", "--metric", "val/acc")
    assert shown.returncode == 0
    assert "gated higher" in shown.stdout
    assert "gated higher" in str(library.judge(folder, "val/acc"))


def test_runs_that_did_not_finish_have_no_score(tmp_path: Path) -> None:
    folder = mlruns(tmp_path, failed=[("gated", 2)])
    mlflow_run(folder / "343707411725486885", "broken", params={"seed": 9}, metrics={}, status=5)
    mlflow_run(folder / "343707411725486885", "gone", params={"seed": 9}, metrics={}, lifecycle_stage="deleted")
    found = judge(folder, "val/acc")
    assert found.found[0].verdict == "not judged"
    assert found.scores.values["val/acc"]["gated"][2] is None
    told = "; ".join(found.scores.taken)
    assert "1 of 16 runs did not finish: their scores count as missing" in told
    assert "left out: 1 run (broken) that did not finish, nor log what makes an arm" in told
    assert "left out: 1 deleted run;" in told


def test_what_makes_an_arm_of_mlflows_runs(tmp_path: Path) -> None:
    experiment = tmp_path / "mlruns" / "1"
    for lr, seed in ((lr, seed) for lr in (0.1, 0.2) for seed in range(7)):
        name, score = f"x{lr}-{seed}", [(0, lr + seed % 3)]
        mlflow_run(experiment, name, params={"lr": lr, "trainer.seed": seed, "out": name}, metrics={"m": score})
    with pytest.raises(SettingsError, match="lr, out, each run is an arm of its own; --arm PARAM,PARAM says"):
        judge(tmp_path / "mlruns")
    found = judge(tmp_path / "mlruns", arm=("lr",), baseline="0.10")
    assert [(one.a, one.b) for one in found.found] == [("lr=0.2", "lr=0.1")]
    assert "the seed is the param 'trainer.seed'" in found.scores.taken[0]
    with pytest.raises(SettingsError, match="no run has a param or tag 'lrr'"):
        judge(tmp_path / "mlruns", arm=("lrr",))
    with pytest.raises(SettingsError, match=r"runs x0\.1-0 and x0\.2-0 are both of arm 'x' with seed 0"):
        judge(tmp_path / "mlruns", arm=("team",))
    mlflow_run(tmp_path / "mlruns" / "2", "other", params={}, metrics={"m": [(0, 1)]})
    with pytest.raises(SettingsError, match="has runs of 2 experiments"):
        judge(tmp_path / "mlruns", arm=("lr",))
    (experiment / "x0.1-0" / "metrics" / "m").write_text("1 high 0\n")
    with pytest.raises(SettingsError, match="line 1: '1 high 0' is not `timestamp value step`"):
        judge(experiment, arm=("lr",))


def test_metrics_that_are_logged_at_their_own_steps_keep_their_last_value(tmp_path: Path) -> None:
    for (arm, seed), score in RUNS.items():
        event_file(tmp_path / f"{arm}-seed{seed}", {"acc": [(0, 0.1), (10, score)], "loss": [(k, 20 - k) for k in range(13)], "test": [(0, score)]})  # fmt: skip
    same_as_table(judge(tmp_path, "acc"), tmp_path)
    same_as_table(judge(tmp_path, "acc", best="loss"), tmp_path)
    found = judge(tmp_path, "test", best="loss")
    same_as_table(found, tmp_path)
    assert "logged once a run, and taken at every step: test" in found.scores.taken
