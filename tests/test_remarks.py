"""What makes a verdict meaningless is said beside it, and of healthy studies nothing is said."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import paribus
from paribus.findings.findings import Findings
from paribus.findings.meaningless import meaningless
from paribus.records.record import ArmRecord, DatasetInfo, Pictures, RunRecord, Status, StudyRecord
from paribus.report.page.page import write_page
from paribus.report.show import as_json
from paribus.study.reading import read

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
TASK = paribus.data(X, (X[:, 0] > 0.1).astype(int), name="mine")
SMALL: dict[str, Any] = {"epochs": 4, "batch_size": 16, "lr": 0.1}


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))


def soft() -> nn.Module:
    return nn.Sequential(plain(), nn.Softmax(dim=1))


def log_soft() -> nn.Module:
    return nn.Sequential(plain(), nn.LogSoftmax(dim=1))


def sigmoid() -> nn.Module:
    return nn.Sequential(plain(), nn.Sigmoid())


class SumsToOne(nn.Module):
    """As logits may: some of them are negative."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = plain()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.inner(5 * x)
        return found - found.mean(dim=1, keepdim=True) + 0.5


class SoftOnceTrained(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = plain()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.inner(x)
        return found if self.training else found.softmax(dim=1)


def first_two(parameters: Iterator[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(list(parameters)[:2], lr=lr)


# --- records by hand: 100 training examples, 60 of class 0; 20 test examples, 12 of class 0 --------------------------

INFO = DatasetInfo(
    name="t", fingerprint="f", pool="p", source="s", classes=2, input_shape=(3,), train=100, validation=0, test=20,
    overlap=0,
)  # fmt: skip
COUNTS = {"f": {"train": [60, 40], "test": [12, 8]}}
GUESSING = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))


def run(seed: int, test: float, loss: list[float], train: float = 0.9, **more: Any) -> RunRecord:
    n = len(loss)
    curve = {
        "step": np.arange(1.0, n + 1),
        "train_loss": np.array(loss),
        "train_accuracy": np.full(n, train),
        "test_loss": np.array(loss) + 0.1,
        "test_accuracy": np.full(n, test),
        "train_seconds": np.arange(n) + 0.1 * seed,
    }
    facts: dict[str, Any] = {"error": None, "epochs": n, "task": INFO, "plan_hash": "", "attempt": 1}
    return RunRecord(seed=seed, status=Status.DONE, curve=curve, **{**facts, **more})


def study(*runs: RunRecord, **more: Any) -> StudyRecord:
    facts: dict[str, Any] = {"primary_metric": "test_accuracy", "class_counts": COUNTS}
    arm = ArmRecord("a", {"eval_train": "all"}, list(runs))
    return StudyRecord(name="s", factors=["lr"], seeds=[one.seed for one in runs], arms=[arm], **{**facts, **more})


def healthy(seed: int, **more: Any) -> RunRecord:
    return run(seed, 0.85 + seed / 100, [0.5 + seed / 100, 0.3 + seed / 100], **more)


def test_nothing_is_said_of_healthy_runs() -> None:
    assert meaningless(study(healthy(0), healthy(1))) == []
    assert Findings.of(study(healthy(0), healthy(1))).warnings == []


def test_guessing_is_by_the_mean_over_the_seeds() -> None:
    at, below, above = (run(seed, 0.6 + by, [0.6, 0.5 + seed / 50]) for seed, by in enumerate((0.0, -0.05, 0.1)))
    (told,) = meaningless(study(at, below))
    assert "no better than a guess" in told
    assert "it is 0.575 (2 seeds), and always guessing the most frequent class of the test split gives 0.6" in told
    assert len(meaningless(study(at))) == 1
    assert meaningless(study(below, above)) == []
    # the primary metric's own split, if that is an accuracy
    assert "train accuracy" in meaningless(study(replace_accuracy(at, 0.59), primary_metric="train_accuracy"))[0]
    assert meaningless(study(replace_accuracy(at, 0.7), primary_metric="train_accuracy")) == []
    # what is not known is no reason to warn: no counts, as in older folders, or no such metric
    assert meaningless(study(at, below, class_counts={})) == []
    without = replace(at, curve={name: column for name, column in at.curve.items() if name != "test_accuracy"})
    assert meaningless(study(without)) == []


def replace_accuracy(one: RunRecord, train: float) -> RunRecord:
    return replace(one, curve=one.curve | {"train_accuracy": np.full(2, train)})


def test_an_arm_that_does_not_depend_on_the_seed() -> None:
    (told,) = meaningless(study(healthy(0), replace(healthy(0), seed=1)))
    assert "all 2 seeds give exactly the same curves" in told
    assert meaningless(study(healthy(0))) == []
    # an accuracy that is the same is none: it has few values
    same = [run(seed, 0.9, [0.5, 0.3 + seed * 1e-12]) for seed in (0, 1)]
    assert meaningless(study(*same)) == []
    without_loss = {name: column for name, column in healthy(0).curve.items() if not name.endswith("_loss")}
    assert meaningless(study(*(replace(healthy(seed), curve=without_loss) for seed in (0, 1)))) == []


def test_seeds_that_all_came_to_a_loss_of_zero_are_no_one_run() -> None:
    def solved(seed: int) -> RunRecord:
        one = run(seed, 1.0, [0.0] * 2, train=1.0)
        curve = {name: np.zeros_like(of) if name.endswith("loss") else of for name, of in one.curve.items()}
        return replace(one, curve=curve)

    assert meaningless(study(solved(0), solved(1))) == []


def test_a_loss_that_never_moved() -> None:
    still, moving = run(0, 0.85, [0.7, 0.7 + 1e-9, 0.7]), run(1, 0.85, [0.7, 0.69])
    assert meaningless(study(still, moving)) == [
        "a: 1 of 2 runs did not train: the train loss stays where it is (0.7 at each of 3 evaluations of seed 0). What is "
        "said of such runs is said of their initial values"
    ]
    assert meaningless(study(moving)) == []
    assert meaningless(study(run(0, 0.85, [0.7]))) == []  # one evaluation tells nothing
    # runs that came to their end before they were first looked at: lower than by guessing, and alike
    assert meaningless(study(*(run(seed, 0.9, [0.2 + seed * 1e-9] * 3) for seed in (0, 1)))) == []
    assert meaningless(study(run(0, 0.9, [GUESSING - 2e-3] * 3))) == []
    assert "its run did not train" in meaningless(study(run(0, 0.9, [GUESSING - 1e-4] * 3)))[0]
    # initial values that happen to be better than guessing: each seed has others
    assert "all 2 runs did not train" in meaningless(study(run(0, 0.85, [0.64] * 2), run(1, 0.85, [0.67] * 2)))[0]
    # learned before the first evaluation, and a rate that has fallen to nothing: each seed came elsewhere
    assert meaningless(study(run(0, 0.9, [0.23] * 2), run(1, 0.9, [0.25] * 2))) == []


def test_one_class_only_by_the_confusion() -> None:
    one = Pictures(confusion=np.array([[0, 12], [0, 8]]))
    told = meaningless(study(healthy(0, pictures=one), healthy(1)))
    assert told == ["a: the run of seed 0 predicts class 1 for every one of the 20 test examples"]
    both = Pictures(confusion=np.array([[11, 1], [0, 8]]))
    assert meaningless(study(healthy(0, pictures=both), healthy(1))) == []
    # with a confusion, accuracies that are a class's share by accident are not asked
    accident = run(0, 0.4, [0.6, 0.5], train=0.4, pictures=both)
    assert not any("class" in line and "every split" in line for line in meaningless(study(accident)))


def test_one_class_only_by_the_accuracy_in_every_split() -> None:
    def told(*runs: RunRecord, **more: Any) -> list[str]:
        return [line for line in meaningless(study(*runs, **more)) if "every split" in line]

    first, second = run(0, 0.4, [0.7, 0.69], train=0.4), run(1, 0.6, [0.7, 0.68], train=0.6)
    assert "its run is exactly the share of class 1 in every split" in told(first)[0]
    assert "all 2 runs is exactly the share of one of the classes 0, 1 in every split" in told(first, second)[0]
    assert told(first, run(1, 0.4, [0.7, 0.68], train=0.41)) == []
    assert told(run(0, 0.4, [0.7, 0.69], train=0.6)) == []  # another class's share in each split
    assert told(first, class_counts={"f": {"train": [6, 4], "test": [12, 8]}}) == []  # too few to tell
    assert told(first, class_counts={"f": {"test": [12, 8]}}) == []


# --- studies that are carried out ------------------------------------------------------------------------------------


def everywhere(folder: Path, tmp_path: Path, sentence: str) -> None:
    """In the terminal, on the page, and in --json's list of warnings."""
    findings = Findings.of(read(folder))
    assert any(sentence in line for line in json.loads(json.dumps(as_json(findings)))["study"]["warnings"])
    page = tmp_path / "page.html"
    write_page([findings], page)
    assert re.sub(r"\s+", "", sentence) in re.sub(r"\s+", "", page.read_text())


def test_a_study_that_did_not_train(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"hidden": 5, "epochs": 4, "eval_every": 1, "implementation": "numpy"}
    done = paribus.compare("moons", lr=[1e-30, 0.1], seeds=2, out=tmp_path / "s", **settings)
    (told,) = [line for line in done.findings.warnings if "did not train" in line]
    assert told.startswith("lr=1e-30: all 2 runs did not train")
    assert "did not train" in str(done)
    everywhere(tmp_path / "s", tmp_path, "all 2 runs did not train")


def test_the_counts_of_each_split_are_recorded_once_for_a_task(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SMALL, "epochs": 1}
    fixed = paribus.train(TASK, model=plain, seeds=3, out=tmp_path / "s", validation=0.25, **settings).record
    ((name, counts),) = fixed.class_counts.items()
    assert name == fixed.arms[0].runs[0].task.fingerprint
    assert {split: sum(of) for split, of in counts.items()} == {"train": 72, "validation": 24, "test": 24}
    dealt = paribus.train(TASK, model=plain, seeds=3, out=tmp_path / "t", split="by_seed", **settings).record
    assert dealt.class_counts.keys() == {one.task.fingerprint for one in dealt.arms[0].runs}
    assert len(dealt.class_counts) == 3


def test_a_softmax_is_remarked_on_before_training_and_ever_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = paribus.compare(TASK, model=[plain, soft, log_soft], seeds=2, out=tmp_path / "s", **SMALL)
    sentence = "model=soft: the outputs are probabilities, as after a softmax"
    assert capsys.readouterr().err.count(sentence) == 1
    assert [line for line in done.findings.warnings if "softmax" in line] == list(done.record.remarks["model=soft"])
    assert done.record.remarks.keys() == {"model=soft"}
    assert sentence in " ".join(str(done).split())
    everywhere(tmp_path / "s", tmp_path, sentence)
    assert "of 2 classes, such a loss never falls below 0.313" in done.record.remarks["model=soft"][0]
    # an arm that is added has its own, the others keep theirs; so does one whose name changes
    more = paribus.compare(TASK, model=[plain, soft, log_soft, SoftOnceTrained], seeds=2, out=tmp_path / "s", **SMALL)
    assert more.record.remarks.keys() == {"model=soft", "model=SoftOnceTrained"}
    assert "probabilities in evaluation" in more.record.remarks["model=SoftOnceTrained"][0]
    part = paribus.compare(TASK, model=[plain, SoftOnceTrained], seeds=2, out=tmp_path / "s", **SMALL)
    assert part.record.remarks == more.record.remarks


def test_other_outputs_are_no_softmax(tmp_path: Path) -> None:
    done = paribus.compare(TASK, model=[plain, log_soft, SumsToOne], seeds=1, out=tmp_path / "s", **SMALL)
    assert done.record.remarks == {}


def test_a_remark_stays_with_an_arm_that_gets_another_name(tmp_path: Path) -> None:
    alone = paribus.train(TASK, model=soft, lr=0.1, epochs=1, seeds=1, out=tmp_path / "s")
    assert list(alone.record.remarks) == [""]
    paribus.compare(TASK, model=soft, lr=[0.1, 0.2], epochs=1, seeds=1, out=tmp_path / "s")
    record = read(tmp_path / "s")
    assert list(record.remarks) == ["lr=0.1", "lr=0.2"]
    assert len([line for line in Findings.of(record).warnings if "softmax" in line]) == 1


def test_parameters_that_the_optimizer_leaves_out(tmp_path: Path) -> None:
    def frozen() -> nn.Module:
        module = plain()
        module[2].requires_grad_(requires_grad=False)  # type: ignore[index, operator]
        return module

    done = paribus.train(TASK, model=plain, optimizer=first_two, seeds=1, out=tmp_path / "s", **SMALL)
    ((told,),) = done.record.remarks.values()
    assert "leaves out 2 of 4 parameters that require a gradient (2.weight, 2.bias)" in told
    assert told in done.findings.warnings
    for number, words in enumerate(({"model": frozen, "optimizer": first_two}, {"optimizer": torch.optim.NAdam})):
        done = paribus.train(TASK, **words, seeds=1, out=tmp_path / str(number), **SMALL)
        assert done.record.remarks == {}


HEALTHY: dict[str, Callable[[Path], Any]] = {
    "moons": lambda out: paribus.compare(
        "moons", lr=[0.1, 0.3], epochs=20, implementation="numpy", init="default", seeds=3, out=out
    ),
    "blobs": lambda out: paribus.compare("blobs", lr=[0.1, 0.3], epochs=5, implementation="numpy", seeds=3, out=out),
    "digits": lambda out: paribus.compare(
        "digits", lr=[0.03, 0.1], epochs=2, implementation="numpy", split="by_seed", seeds=2, out=out
    ),
    "a cnn": lambda out: paribus.train(
        "digits", model="cnn", width=0.125, epochs=2, lr=0.05, implementation="torch", seeds=1, out=out
    ),
    "a module": lambda out: paribus.compare(TASK, model=[plain, log_soft], seeds=3, out=out, **{**SMALL, "epochs": 20}),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_said_of_healthy_studies(name: str, tmp_path: Path) -> None:
    assert HEALTHY[name](tmp_path / "s").findings.warnings == []


def test_nothing_is_said_of_the_readmes_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (example,) = [block for block in blocks if "paribus.data(" in block]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    exec(example.replace("seeds=8", "seeds=2"), names)
    assert names["study"].findings.warnings == []
