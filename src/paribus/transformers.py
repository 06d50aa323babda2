"""Hugging Face's Trainer as a training loop of the user's own, by a callback: `paribus.transformers.Callback(run)`.

What the Trainer logs becomes the run's curve, and an interrupted run goes on from the Trainer's last checkpoint.
transformers itself is imported when the callback is made.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paribus.backends.loop_run import LoopError, LoopRun, NotLoadedError

if TYPE_CHECKING:
    Callback: Any

__all__ = ["Callback"]

_TIMES = ("_runtime", "_per_second", "_time")
"""How the names end of what the Trainer measures by the clock: of one seed it is another each time."""


class _Callback:
    """`Callback(run)`: a TrainerCallback that gives what is logged to `run.log`, and each checkpoint to `run.save`.

    The Trainer writes its checkpoints into its `output_dir`, which is `run.output` or a folder in it, and takes its
    seed from the study: `TrainingArguments(output_dir=run.output, seed=run.seed, save_strategy="epoch",
    report_to="none")`. Where an interrupted run goes on stands in `resume_from`, None where it begins. A point's step
    is the Trainer's `global_step`. Times are left out, as Paribus takes its own, and the summary's `train_loss`.

    Raises LoopError for another seed or folder, and for several processes. Source:
    huggingface.co/docs/transformers/main_classes/callback.

    >>> def train(run, lr=1e-3):  # doctest: +SKIP
    ...     own = paribus.transformers.Callback(run)
    ...     arguments = TrainingArguments(output_dir=run.output, seed=run.seed, learning_rate=lr, save_strategy="epoch")
    ...     trainer = Trainer(model(), arguments, train_dataset=data, callbacks=[own])
    ...     trainer.train(resume_from_checkpoint=own.resume_from)
    """

    def __init__(self, run: LoopRun) -> None:
        super().__init__()
        self.run = run
        self.resume_from: str | None = None
        kept = run.load()
        if kept is not None:
            folder = run.output / kept["folder"]
            if _sizes(folder) != kept["files"]:  # the Trainer keeps but the last save_total_limit of them
                raise NotLoadedError(f"its last checkpoint, {kept['folder']} in its output, is not what was written")
            self.resume_from = str(folder)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before the first step; a checkpoint is read already."""
        if args.world_size > 1:
            raise LoopError(f"the Trainer has {args.world_size} processes, and a run has one")
        if args.seed != self.run.seed:
            raise LoopError(
                f"TrainingArguments has seed={args.seed}, and the run's is {self.run.seed}: the Trainer sets all "
                "generators from its own, so give it seed=run.seed"
            )
        if args.save_strategy != "no":
            self._inside(args)
        if self.resume_from is not None and not state.global_step:
            raise LoopError(
                "the run was interrupted: trainer.train(resume_from_checkpoint=callback.resume_from) goes on with it"
            )

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """A point of the curve."""
        # the summary's train_loss is, in a run that was resumed, that of its last part over all steps
        none = ("epoch", "total_flos", *(["train_loss"] if "train_runtime" in (logs or {}) else []))
        values = {name: value for name, value in (logs or {}).items() if name not in none and not name.endswith(_TIMES)}
        if values:
            self.run.log(step=state.global_step, epoch=state.epoch, **values)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The Trainer has written a checkpoint."""
        folder = self._inside(args) / f"checkpoint-{state.global_step}"
        inside = folder.relative_to(self.run.output.resolve()).as_posix()
        self.run.save({"folder": inside, "files": _sizes(folder)})

    def _inside(self, args: Any) -> Path:
        """The Trainer's folder, which is the run's own: another run's checkpoints would be taken for this one's."""
        folder = Path(args.output_dir).resolve()
        if not folder.is_relative_to(self.run.output.resolve()):
            raise LoopError(
                f"the Trainer writes its checkpoints into {args.output_dir}, which other runs use too: give "
                'TrainingArguments(output_dir=run.output), or save_strategy="no"'
            )
        return folder


def _sizes(folder: Path) -> dict[str, int]:
    """The files of a checkpoint and how large they are."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    return {one.relative_to(folder).as_posix(): one.stat().st_size for one in files}


@lru_cache
def _class() -> type:
    try:
        library = importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise ImportError(
            "paribus.transformers needs Hugging Face's transformers, which is not installed: "
            "pip install 'paribus[transformers]'"
        ) from None
    bases = (_Callback, library.TrainerCallback)
    return type("Callback", bases, {"__doc__": _Callback.__doc__, "__module__": __name__})


def __getattr__(name: str) -> Any:
    """The callback, when transformers is needed."""
    if name != "Callback":
        raise AttributeError(f"module 'paribus.transformers' has no attribute {name!r}")
    return _class()
