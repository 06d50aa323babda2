"""Lightning's Trainer as a training loop of the user's own: `paribus.lightning.fit(run, trainer, model, data)`.

What is logged by `self.log` becomes the run's curve, and an interrupted run goes on from the epoch that it was in. It
works with `import lightning` and with `import pytorch_lightning`. Lightning itself is imported when it is needed.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paribus.backends.loop_run import LoopError, LoopRun
from paribus.training.randomness import set_generators

if TYPE_CHECKING:
    Logger: Any
    Callback: Any

__all__ = ["Callback", "Logger", "fit"]

_NAMES = ("lightning.pytorch", "pytorch_lightning")
_NOT_TO_GO_ON = ("hyper_parameters", "datamodule_hyper_parameters", "hparams_name", "datamodule_hparams_name")
"""What a checkpoint holds only for `load_from_checkpoint`: values of any kind."""


def fit(run: LoopRun, trainer: Any, model: Any, data: Any = None, **more: Any) -> None:
    """`trainer.fit(model, data, **more)` as a run of a study: logged, and resumed where it was interrupted.

    A `Logger` and a `Callback` are added to the trainer where it has none of them. `data`: a data loader or a
    LightningDataModule; `more`: what `trainer.fit` takes beside, as `val_dataloaders`. `Trainer(logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)` is quiet and writes no files.

    Raises LoopError for a trainer of several processes. Source: lightning.ai/docs/pytorch/stable/common/trainer.html.

    >>> def train(run, width=8):  # doctest: +SKIP
    ...     trainer = lightning.Trainer(max_epochs=5, logger=False, enable_checkpointing=False)
    ...     paribus.lightning.fit(run, trainer, Net(width), loader, val_dataloaders=others)
    >>> paribus.compare(train, width=[8, 16], metric="val_loss", lower=True, seeds=6)  # doctest: +SKIP
    """
    name = next((one for one in _NAMES if _comes_from(trainer, one)), None)
    if name is None:
        raise LoopError(f"paribus.lightning.fit was given {type(trainer).__name__} in place of a Lightning Trainer")
    logger, callback = _classes(name)
    if not any(isinstance(one, _Logger) for one in trainer.loggers):
        trainer.loggers = [*trainer.loggers, logger(run)]
    own = next((one for one in trainer.callbacks if isinstance(one, _Callback)), None)
    if own is None:
        own = callback(run)
        trainer.callbacks.insert(0, own)  # before those that count the epochs they have seen
    trainer.fit(model, data, ckpt_path=own.resume_from, **more)


class _Logger:
    """`Logger(run)`: a Lightning Logger that gives every number to `run.log`; `val/loss` is recorded as `val_loss`.

    A point's step is how many optimizer steps were done, its epoch the one that it belongs to, from 1 on.
    """

    def __init__(self, run: LoopRun) -> None:
        super().__init__()
        self.run, self.trainer = run, None

    name = "paribus"
    version = ""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """A point of the curve."""
        values = {name: value for name, value in metrics.items() if name != "epoch"}
        if not values:
            return
        state = getattr(self.trainer, "state", None)
        # in fit the last step and the epoch are counted from 0; validate and test come after what was done
        done = int(state is None or getattr(state.fn, "value", state.fn) == "fit")
        at = None if step is None else step + done
        epoch = metrics["epoch"] + done if "epoch" in metrics else at
        self.run.log(step=at, epoch=epoch, **values)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: a study knows its settings."""


class _Callback:
    """`Callback(run)`: keeps a checkpoint of the whole trainer by `run.save` when an epoch begins, and sets the global
    generators there to a state of the plan's, so that every arm draws the same batches.

    Where an interrupted run goes on stands in `resume_from`, None where it begins:
    `trainer.fit(model, data, ckpt_path=callback.resume_from)`.
    """

    def __init__(self, run: LoopRun) -> None:
        super().__init__()
        self.run = run
        self.resume_from: str | None = None
        self._remove: Any = None
        self._generators: list[Any] = []
        self._resumed = False
        kept = run.load()
        if kept is not None:
            import torch

            folder = tempfile.mkdtemp(prefix="paribus-")
            self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._generators = kept["generators"]
            self.resume_from = str(Path(folder) / "resumed.ckpt")
            torch.save(kept["trainer"], self.resume_from)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Before anything is trained."""
        if trainer.world_size > 1:
            raise LoopError(f"the Trainer has {trainer.world_size} processes, and a run has one: Trainer(devices=1)")
        for one in trainer.loggers:
            if isinstance(one, _Logger):
                one.trainer = trainer

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """The trainer knows where it goes on."""
        if self.resume_from is not None and str(trainer.ckpt_path) != self.resume_from:
            raise LoopError("the run was interrupted: trainer.fit(..., ckpt_path=callback.resume_from) goes on with it")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Everything is read back."""
        if self.resume_from is not None:
            self._remove()
            self.resume_from, self._resumed = None, True

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Whatever belongs to the epoch before is done here: its metrics are logged, and its schedules have stepped."""
        (state,) = self.run.plan.generator_states(trainer.current_epoch + 1, 1)
        loaders = list(_generators_of(trainer.train_dataloader))
        if self._resumed:
            for generator, kept in zip(loaders, self._generators, strict=True):
                generator.set_state(kept)
        else:
            self._save(trainer, [one.get_state() for one in loaders])
        set_generators(state)
        if self._resumed:
            self._resumed = False
            _begin_epoch(trainer)

    def _save(self, trainer: Any, generators: list[Any]) -> None:
        import torch

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kept.ckpt"
            trainer.save_checkpoint(path, weights_only=False)
            kept = torch.load(path, weights_only=False)  # written a moment ago
        self.run.save(
            {
                "trainer": {name: value for name, value in kept.items() if name not in _NOT_TO_GO_ON},
                "generators": generators,
            }
        )


def _begin_epoch(trainer: Any) -> None:
    """Lightning takes the epoch before for one that is not over, would not step ReduceLROnPlateau at the end of this
    one, and has drawn its batches before the generators were set: it begins as in a run that was not interrupted."""
    trainer.fit_loop.restarting = False  # of the loops in it, too
    if hasattr(trainer.fit_loop.epoch_loop, "reset_restart_stage"):
        trainer.fit_loop.epoch_loop.reset_restart_stage()
    iter(trainer.fit_loop._data_fetcher)


def _generators_of(loaders: Any) -> Iterator[Any]:
    """The generators that data loaders were given, each once."""
    from torch.utils._pytree import tree_leaves

    found: dict[int, Any] = {}
    for loader in tree_leaves(loaders):
        batches = getattr(loader, "batch_sampler", None)
        for one in (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None)):
            generator = getattr(one, "generator", None)
            if generator is not None:
                found[id(generator)] = generator
    return iter(found.values())


def _comes_from(thing: Any, library: str) -> bool:
    return any(f"{kind.__module__}.".startswith(f"{library}.") for kind in type(thing).__mro__)


@lru_cache
def _classes(name: str) -> tuple[type, type]:
    """Logger and Callback for the library under one of its two names."""
    library = importlib.import_module(name)
    loggers = importlib.import_module(f"{name}.loggers")
    return (
        type("Logger", (_Logger, loggers.Logger), {"__doc__": _Logger.__doc__, "__module__": __name__}),
        type("Callback", (_Callback, library.Callback), {"__doc__": _Callback.__doc__, "__module__": __name__}),
    )


def __getattr__(name: str) -> Any:
    """Logger and Callback, of the name that the library was imported by."""
    if name not in ("Logger", "Callback"):
        raise AttributeError(f"module 'paribus.lightning' has no attribute {name!r}")
    imported = [one for one in _NAMES if one in sys.modules]
    for one in [*imported, *_NAMES]:
        try:
            return _classes(one)[("Logger", "Callback").index(name)]
        except ModuleNotFoundError as error:
            if error.name not in (one, one.partition(".")[0]):
                raise
    raise ImportError("paribus.lightning needs Lightning, which is not installed: pip install 'paribus[lightning]'")
