"""Checkpoints: where a run stands between two steps, enough to go on from there as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paribus.config.schedules import PlateauState

_VERSION = 2


@dataclass(frozen=True)
class Best:
    """The weights that were best on validation data so far: at which step, and how good."""

    step: int
    accuracy: float
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
        """The better of the best so far and this evaluation, by validation accuracy, of equals the lower loss."""
        accuracy, loss = metrics["validation_accuracy"], metrics["validation_loss"]
        if best is not None and (best.accuracy, -best.loss) >= (accuracy, -loss):
            return best
        return cls(step, accuracy, loss, weights())


@dataclass(frozen=True)
class Checkpoint:
    """`step`: how many are done; seconds: those spent until then; `learner`: its state, as it packs it itself;
    `plateau`: where a schedule that follows the validation loss stands."""

    step: int
    train_seconds: float
    eval_seconds: float
    learner: bytes
    best: Best | None = None
    plateau: PlateauState | None = None

    def write(self, path: Path, identity: str) -> None:
        """Into a file, whole or not at all. `identity`: of the run, so that no other goes on from it."""
        best, facts = b"", None
        if self.best is not None:
            from safetensors.numpy import save

            best = save(dict(self.best.weights))
            facts = [self.best.step, self.best.accuracy, self.best.loss]
        head = {
            "version": _VERSION,
            "identity": identity,
            "step": self.step,
            "seconds": [self.train_seconds, self.eval_seconds],
            "best": facts,
            "plateau": asdict(self.plateau) if self.plateau else None,
            "lengths": [len(self.learner), len(best)],
            "checksum": _checksum(self.learner, best),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            for piece in (json.dumps(head).encode() + b"\n", self.learner, best):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    @classmethod
    def read(cls, path: Path, identity: str) -> Checkpoint | None:
        """What a file holds; None where there is none, or it is damaged or another run's."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        line, _, body = content.partition(b"\n")
        try:
            head = json.loads(line)
            if head["version"] != _VERSION or head["identity"] != identity:
                return None
            middle, end = head["lengths"][0], sum(head["lengths"])
        except (ValueError, KeyError, TypeError):
            return None
        learner, packed = body[:middle], body[middle:end]
        if len(body) != end or head["checksum"] != _checksum(learner, packed):
            return None
        best = None
        if head["best"] is not None:
            from safetensors.numpy import load

            step, accuracy, loss = head["best"]
            best = Best(step, accuracy, loss, load(packed))
        train, evaluation = head["seconds"]
        plateau = PlateauState(**head["plateau"]) if head["plateau"] else None
        return cls(head["step"], train, evaluation, learner, best, plateau)


def _checksum(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
