"""Training loops of other libraries as studies, each with the library itself where it is installed (`make peers`)."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import paribus
from paribus.records.record import Status
from paribus.study.reading import read

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "other-libraries.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"## (\w+)\n\n```python\n(.*?)```", TEXT, re.DOTALL))
NEEDS = {
    "Lightning": ("lightning",), "transformers": ("transformers", "accelerate"), "JAX": ("jax",), "Keras": ("keras",),
    "XGBoost": ("xgboost",),
}  # fmt: skip
TIMES = ("train_seconds", "eval_seconds")

pytestmark = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning")


def installed(name: str) -> None:
    for one in NEEDS[name]:
        if importlib.util.find_spec(one) is None:  # to import Keras would ask for TensorFlow
            pytest.skip(f"{one} is not installed: make peers installs it")


def namespace(name: str) -> dict[str, Any]:
    """What an example defines, without the study that it carries out. As typed into a notebook: in no file."""
    found: dict[str, Any] = {"__name__": "__main__"}
    exec(EXAMPLES[name].partition("\nstudy = ")[0], found)
    return found


def compared(loop: Any, folder: Path, **more: Any) -> paribus.api.Study:
    return paribus.compare(loop, lower=True, seeds=2, out=folder, **more)  # type: ignore[no-any-return]


def curves(folder: Path) -> Any:
    frame = paribus.open(folder).curves()
    return frame.drop(columns=[one for one in frame if one in TIMES])


STRICT = """
import warnings
warnings.simplefilter("error")
{ignored}
"""
IGNORED = {
    "Lightning": r'warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)',
}
"""What the libraries themselves are warned of, at the versions of constraints.txt."""


@pytest.mark.parametrize("name", NEEDS)
def test_each_example_is_a_study_and_is_quiet(name: str, tmp_path: Path) -> None:
    """In a process of its own, in which warnings are errors."""
    installed(name)
    assert list(EXAMPLES) == list(NEEDS)
    script = STRICT.format(ignored=IGNORED.get(name, "")) + EXAMPLES[name]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert [line for line in done.stderr.splitlines() if "pair needs 6 seeds" not in line] == []
    assert done.returncode == 0
    assert "the same seed twice gave the same numbers" in " ".join(done.stdout.split())
    assert [one.name for one in tmp_path.iterdir()] == ["runs"]
    (folder,) = (one for one in (tmp_path / "runs").iterdir() if one.is_dir())
    study = paribus.open(folder)
    assert [run.status for arm in study.record.arms for run in arm.runs] == [Status.DONE] * 6
    assert study.curves().groupby(["arm", "seed"]).size().min() >= 3
    assert study.table()[study.record.primary_metric].nunique() == 6  # seeds differ, and so do arms


# --- interrupted ---


@pytest.mark.parametrize("case", ["plain", "own generator", "pytorch_lightning"])
def test_a_lightning_run_that_was_interrupted_goes_on_to_the_same_numbers(case: str, tmp_path: Path) -> None:
    """Shuffled by a generator of the data loader's or by the global one, with dropout and a schedule that follows a
    metric, which Lightning itself does not step in an epoch that it goes on with."""
    installed("Lightning")
    name = "pytorch_lightning" if case == "pytorch_lightning" else "lightning.pytorch"
    library: Any = pytest.importorskip(name)
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    stop = tmp_path / "stop"
    stop.write_text("")

    class Net(library.LightningModule):  # type: ignore[misc]
        def __init__(self, width: int) -> None:
            super().__init__()
            self.save_hyperparameters({"where": Path("x")})  # what no checkpoint of Paribus's can hold, and needs not
            self.body = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 1))

        def training_step(self, batch: Any, index: int) -> Any:
            loss = nn.functional.mse_loss(self.body(batch[0]), batch[1])
            self.log("train/loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val/loss", nn.functional.mse_loss(self.body(batch[0]), batch[1]))

        def test_step(self, batch: Any, index: int) -> None:
            self.log("test/loss", nn.functional.mse_loss(self.body(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.Adam(self.parameters(), lr=0.02)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.3, threshold=0.3)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "train/loss"}}

    class Stop(library.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
            if trainer.global_step == 14 and stop.exists():
                raise KeyboardInterrupt

    def train(run: Any, width: int) -> dict[str, float]:
        x = torch.linspace(-1, 1, 192).reshape(48, 4)
        y = (x**2).sum(1, keepdim=True)
        given = {"generator": torch.Generator().manual_seed(run.seed)} if case == "own generator" else {}
        trainer = library.Trainer(
            max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, log_every_n_steps=4, callbacks=[Stop()] if run.seed == 1 else [],
        )  # fmt: skip
        model = Net(width)
        batches = DataLoader(TensorDataset(x[:32], y[:32]), 8, shuffle=True, **given)
        others = DataLoader(TensorDataset(x[32:], y[32:]), 16)
        paribus.lightning.fit(run, trainer, model, batches, val_dataloaders=others)
        trainer.test(model, others, verbose=False)
        return {"weights": sum(float(one.detach().double().abs().sum()) for one in model.parameters())}

    answer = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        compared(train, tmp_path / "s", width=[8, 16], metric="val_loss")
    assert signal.getsignal(signal.SIGINT) is answer
    stop.unlink()
    study = compared(train, tmp_path / "s", width=[8, 16], metric="val_loss")
    compared(train, tmp_path / "t", width=[8, 16], metric="val_loss")
    assert curves(tmp_path / "s").equals(curves(tmp_path / "t"))
    runs = {(arm.name, run.seed): run for arm in study.record.arms for run in arm.runs}
    assert runs["width=8", 1].attempt == 2
    one = curves(tmp_path / "s").query("arm == 'width=8' and seed == 1")
    assert one["step"].tolist() == [4, 8, 12, 16, 20]
    assert one["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert one["test_loss"].tolist()[-1] == one["val_loss"].tolist()[-1]  # of the same rows, at the same point


def test_a_lightning_callback_that_is_not_told_where_to_go_on_says_so(tmp_path: Path) -> None:
    installed("Lightning")
    found = namespace("Lightning")
    lightning, stop = found["lightning"], tmp_path / "stop"
    stop.write_text("")

    def train(run: Any, width: int) -> None:
        import torch

        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=paribus.lightning.Logger(run), enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
            callbacks=[paribus.lightning.Callback(run)],
        )  # fmt: skip
        x = torch.zeros(4, 4)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x[:, :1]))
        trainer.fit(found["Net"](width), loader, loader)
        if stop.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compared(train, tmp_path / "s", width=[8, 9], metric="val_loss")
    stop.unlink()
    with pytest.warns(UserWarning, match=r"ckpt_path=callback.resume_from\) goes on with it"):
        compared(train, tmp_path / "s", width=[8, 9], metric="val_loss")


STOPS = """
import os, transformers
class Stop(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **more):
        if args.seed == 0 and state.global_step == 14 and os.path.exists({path!r}):
            raise KeyboardInterrupt
"""


def test_a_transformers_run_that_was_interrupted_goes_on_to_the_same_numbers(tmp_path: Path, monkeypatch: Any) -> None:
    """Or begins again, where its checkpoint is not what was written."""
    installed("transformers")
    stop = tmp_path / "stop"
    stop.write_text("")
    example = EXAMPLES["transformers"].replace("callbacks=[own]", "callbacks=[own, Stop()]")
    monkeypatch.setitem(EXAMPLES, "transformers", STOPS.format(path=str(stop)) + example)
    example = namespace("transformers")["train"]
    for folder in ("s", "r"):
        with pytest.raises(KeyboardInterrupt):
            compared(example, tmp_path / folder, learning_rate=[0.01, 0.001], metric="eval_loss")
    stop.unlink()
    for kept in (tmp_path / "r").rglob("checkpoint-*/optimizer.pt"):
        kept.write_bytes(b"")
    study = compared(example, tmp_path / "s", learning_rate=[0.01, 0.001], metric="eval_loss")
    compared(example, tmp_path / "r", learning_rate=[0.01, 0.001], metric="eval_loss")
    compared(example, tmp_path / "t", learning_rate=[0.01, 0.001], metric="eval_loss")
    assert curves(tmp_path / "s").equals(curves(tmp_path / "t"))
    assert curves(tmp_path / "r").equals(curves(tmp_path / "t"))
    assert [run.attempt for run in study.record.arms[0].runs] == [2, 1]
    assert not {"train_runtime", "train_loss", "total_flos"} & {*curves(tmp_path / "s")}


@pytest.mark.parametrize(("old", "new", "told"), [
    ("seed=run.seed", "seed=42", "TrainingArguments has seed=42, and the run's is 0"),
    ("output_dir=run.output", 'output_dir="out"', "writes its checkpoints into out, which other runs use too"),
])  # fmt: skip
def test_a_trainer_that_is_another_runs_is_refused(
    old: str, new: str, told: str, tmp_path: Path, monkeypatch: Any
) -> None:
    installed("transformers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EXAMPLES, "transformers", EXAMPLES["transformers"].replace(old, new))
    with pytest.warns(UserWarning, match=told):
        compared(namespace("transformers")["train"], tmp_path / "s", learning_rate=[0.01, 0.001], metric="eval_loss")


KILLED = """
import os, signal, sys
import paribus
{example}
real = paribus.LoopRun.log
def log(run, **given):
    real(run, **given)
    if run.seed == 1 and (given.get("epoch") or 0) >= 3 and "KILL" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
paribus.LoopRun.log = log
print(paribus.compare(train, {arguments}, lower=True, seeds=3, out=sys.argv[1]).differences().to_json())
"""
ARGUMENTS = {
    "Lightning": 'width=[8, 16], metric="val_loss"',
    "transformers": 'learning_rate=[0.01, 0.001], metric="eval_loss"',
    "JAX": 'lr=[0.1, 0.01], metric="val_loss"',
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_study_whose_process_is_killed_goes_on_to_the_same_verdict(name: str, tmp_path: Path) -> None:
    """SIGKILL in the middle of the second run, of the whole process."""
    installed(name)
    script = tmp_path / "study.py"
    example = textwrap.dedent(EXAMPLES[name]).partition("\nstudy = ")[0]
    script.write_text(KILLED.format(example=example, arguments=ARGUMENTS[name]))

    def carried_out(folder: str, **more: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path / folder)], env={**os.environ, **more}, cwd=tmp_path,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    assert carried_out("s", KILL="1")[0] == -signal.SIGKILL
    assert [run.status for run in read(tmp_path / "s").arms[0].runs].count(Status.DONE) == 1
    (code, verdict), whole = carried_out("s"), carried_out("t")
    assert (code, verdict) == whole
    assert '"verdict":{"0":"too few seeds"' in verdict
    assert curves(tmp_path / "s").equals(curves(tmp_path / "t"))
    assert max(run.attempt for run in read(tmp_path / "s").arms[0].runs) == 2


# --- where a library is not installed ---


@pytest.mark.parametrize(("module", "name"), [("lightning", "Logger"), ("transformers", "Callback")])
def test_a_library_that_is_missing_is_named_with_what_installs_it(module: str, name: str) -> None:
    """And `import paribus` does not import it."""
    code = f"""
        import sys
        import paribus, paribus.{module}, paribus.api
        assert not {{"lightning", "pytorch_lightning", "transformers"}} & sys.modules.keys()
        sys.modules.update(lightning=None, pytorch_lightning=None, transformers=None)
        try:
            paribus.{module}.{name}
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert f"pip install 'paribus[{module}]'" in done.stdout
