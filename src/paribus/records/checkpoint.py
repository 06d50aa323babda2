"""Checkpoints: where a run stands between two steps, enough to go on from there as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paribus.config.schedules import PlateauState
from paribus.config.stopping import StoppingState
from paribus.records.files import replacing

_MAGIC = b"paribus checkpoint 3 "
"""Before the checksum of all that follows. Versions 1 and 2 began with their facts, which no checksum covered."""


class CheckpointError(ValueError):
    """A checkpoint that is there and cannot be gone on from. Its text says why."""


@dataclass(frozen=True)
class Best:
    """The weights that were best on validation data so far: at which step, and how good."""

    step: int
    score: float
    loss: float
    weights: Mapping[str, NDArray[np.floating]]

    @classmethod
    def of(
        cls,
        best: Best | None,
        step: int,
        metrics: Mapping[str, float],
        weights: Callable[[], Mapping[str, NDArray[np.floating]]],
    ) -> Best:
        """The better of the best so far and this evaluation, by validation accuracy, of equals the lower loss; of
        numbers to predict by the validation loss alone."""
        loss = metrics["validation_loss"]
        score = metrics.get("validation_accuracy", -loss)
        if best is not None and (best.score, -best.loss) >= (score, -loss):
            return best
        return cls(step, score, loss, weights())


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """`step`: how many are done; seconds: those spent until then; `learner`, `probes`: their states, as they pack them
    themselves; `keeps_best`: whether `best` was looked for from the beginning on; `plateau`: where a schedule that
    follows the validation loss stands; `stopping`: where early stopping stands, and `reported` the learner's state at
    the best evaluation."""

    step: int
    train_seconds: float
    eval_seconds: float
    learner: bytes
    probes: bytes = b""
    keeps_best: bool = False
    best: Best | None = None
    plateau: PlateauState | None = None
    stopping: StoppingState | None = None
    reported: bytes = b""

    def write(self, path: Path, identity: str) -> None:
        """Into a file, whole or not at all. `identity`: of the run, so that no other goes on from it."""
        best, facts = b"", None
        if self.best is not None:
            from safetensors.numpy import save

            best = save(dict(self.best.weights))
            facts = [self.best.step, self.best.score, self.best.loss]
        head = {
            "identity": identity,
            "step": self.step,
            "seconds": [self.train_seconds, self.eval_seconds],
            "best": facts,
            "keeps_best": self.keeps_best,
            "lengths": [len(self.learner), len(self.probes), len(best), len(self.reported)],
            "plateau": asdict(self.plateau) if self.plateau else None,
            "stopping": asdict(self.stopping) if self.stopping else None,
        }
        pieces = (json.dumps(head).encode() + b"\n", self.learner, self.probes, best, self.reported)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("wb") as file:
            for piece in (_MAGIC + _checksum(*pieces).encode() + b"\n", *pieces):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, path: Path, identity: str) -> Checkpoint | None:
        """What a file holds; None where there is none, or it is another run's. CheckpointError where it is damaged;
        OSError where it cannot be read now."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return cls._parsed(content, identity)
        except (CheckpointError, MemoryError):
            raise
        except Exception as error:  # of an older version, whose facts stand under no checksum
            raise CheckpointError(f"it is damaged ({type(error).__name__})") from None

    @classmethod
    def _parsed(cls, content: bytes, identity: str) -> Checkpoint | None:
        if content.startswith(_MAGIC):
            first, _, content = content.partition(b"\n")
            if first[len(_MAGIC) :] != _checksum(content).encode():
                raise CheckpointError("it is damaged: its checksum is another")
        line, _, body = content.partition(b"\n")
        head = json.loads(line)
        if head["identity"] != identity:
            return None
        older = head.get("version")
        if older == 1:  # it knew no probes, and looked for the best only where it has one
            head["lengths"].insert(1, 0)
            head |= {"keeps_best": head["best"] is not None, "plateau": None}
        ends = list(accumulate(head["lengths"]))
        learner, probes, packed, *more = (body[first:last] for first, last in zip([0, *ends], ends, strict=False))
        if len(body) != ends[-1] or (older and head["checksum"] != _checksum(learner, probes, packed)):
            raise CheckpointError("it is damaged: its checksum is another")
        best = None
        if head["best"] is not None:
            from safetensors.numpy import load

            step, score, loss = head["best"]
            best = Best(int(step), float(score), float(loss), load(packed))
        train, evaluation = map(float, head["seconds"])
        return cls(
            step=_count(head["step"]),
            train_seconds=train,
            eval_seconds=evaluation,
            learner=learner,
            probes=probes,
            keeps_best=bool(head["keeps_best"]),
            best=best,
            plateau=PlateauState(**head["plateau"]) if head["plateau"] else None,
            stopping=StoppingState(**head["stopping"]) if head.get("stopping") else None,
            reported=more[0] if more else b"",
        )


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise CheckpointError(f"it is damaged: it stands at step {value!r}")
    return value


def _checksum(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
