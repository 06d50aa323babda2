"""The training loop, the same for every implementation that takes one step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from paribus.config.schedules import PlateauState
from paribus.config.settings import Settings, steps_in_epoch
from paribus.config.stopping import StoppingState
from paribus.plan import Plan
from paribus.records.checkpoint import Best, Checkpoint
from paribus.records.record import Evaluation, Outcome, Status
from paribus.tasks import Task
from paribus.training import sampling
from paribus.training.learner import Learner, Trained
from paribus.training.metrics import Metrics
from paribus.training.probes import Probes


def _nothing() -> None:
    pass


@dataclass(kw_only=True)
class Watch:
    """What is done beside training: `evaluated` is told of each evaluation of the `splits`, with `metrics` of the
    user's own and what `meters` read, after `probes` have looked; `pause` and `go_on` are called where training stands
    still and goes on, on the clock of training; `save` gets a checkpoint every `save_seconds`, or
    `doubted` hears why a checkpoint would not be enough, and `not_restored` why the learner cannot go back to its best
    evaluation;
    `keep_best` keeps the weights that are best on validation data."""

    evaluated: Callable[[Evaluation], None]
    splits: Sequence[str]
    probes: Probes
    metrics: Metrics
    meters: Callable[[], Mapping[str, float]] = field(default=dict)
    pause: Callable[[], None] = _nothing
    go_on: Callable[[], None] = _nothing
    save: Callable[[Checkpoint], None] | None = None
    save_seconds: float = math.inf
    doubted: Callable[[str], None] = print
    not_restored: Callable[[str], None] = print
    keep_best: bool = False


def fit(
    settings: Settings, plan: Plan, task: Task, learner: Learner, watch: Watch, *, begin: Checkpoint | None = None
) -> Outcome:
    """Train for `settings.epochs` epochs, or until early stopping ends it, from the start or a checkpoint; evaluate at
    every interval and at the end. With early stopping the learner is left as it was at the best evaluation.

    A loss that is not finite ends the run as diverged in that epoch: the evaluations so far stand, and none that is
    not finite is reported.
    """
    per_epoch = steps_in_epoch(settings, len(task.train))
    interval, total = settings.eval_every.in_steps(per_epoch), settings.epochs * per_epoch
    scheduled, within_epochs = settings.schedule.kind != "constant", settings.schedule.changes_within_epochs()
    clock = Clock(watch, task, learner, settings, begin=begin)
    if total == 0 and not clock.evaluate(0):
        return Outcome(status=Status.DIVERGED, epochs=0, error="the loss of the initial values was not finite")
    step = begin.step if begin else 0
    first = step // per_epoch if total else 0
    for epoch, batches in enumerate(sampling.epochs(settings, plan, len(task.train), first), first):
        loss, ahead = 0.0, step - epoch * per_epoch
        learner.begin_epoch(epoch, batches[ahead:])
        for place, examples in enumerate(batches[ahead:], ahead):
            if place == ahead or (scheduled and within_epochs) or clock.reduced:
                learner.scale_lr(settings.schedule.factor(step, per_epoch, settings.epochs) * clock.plateau.factor)
                clock.reduced = False
            loss = loss + learner.step(examples, epoch)  # type: ignore[operator]  # a float, or a tensor read once an epoch
            step += 1
            if (step % interval == 0 or step == total) and not clock.evaluate(step):
                return diverged(epoch, f"an evaluation after step {step} was not finite", clock)
            if clock.stops:
                return clock.done(step // per_epoch)
            if clock.wants_saving() and step < total and math.isfinite(float(loss)):
                clock.save(step)
        if not math.isfinite(float(loss)):
            return diverged(epoch, f"a loss by step {step} was not finite", clock)
    return clock.done(settings.epochs)


class Clock:
    """Evaluations and checkpoints of one run, and whose time they are: training's stands still meanwhile.

    `now`: seconds that have passed for this run; of runs that are trained together, its share of them.
    """

    def __init__(
        self,
        watch: Watch,
        task: Task,
        learner: Trained,
        settings: Settings,
        *,
        begin: Checkpoint | None = None,
        now: Callable[[], float] = perf_counter,
    ) -> None:
        self._watch, self._task, self._learner, self._now = watch, task, learner, now
        self._per_epoch = steps_in_epoch(settings, len(task.train))
        self._examples = sampling.examples_in_epoch(settings, len(task.train))
        self._train = begin.train_seconds if begin else 0.0
        self._eval = begin.eval_seconds if begin else 0.0
        self.best = begin.best if begin else None
        self._schedule = settings.schedule.plateau
        self.plateau = (begin.plateau if begin else None) or PlateauState()
        self.reduced = False  # the plateau's factor, since the rate was set last
        self._stopping = settings.stopping
        self._patience = (begin.stopping if begin else None) or StoppingState()
        self._reported = begin.reported if begin else b""
        self._since = self._saved = self._now()

    def evaluate(self, step: int) -> bool:
        """Whether every metric is finite; if so the evaluation is told."""
        watch, learner = self._watch, self._learner
        watch.pause()
        begun = self._now()
        self._train += begun - self._since
        found: dict[str, float] = {}
        scores = {split: learner.evaluate(split) for split in watch.splits}
        for split, one in scores.items():
            found[f"{split}_loss"] = one.loss
            found |= {f"{split}_{name}": value for name, value in one.measured.items()}
        finite = all(map(math.isfinite, found.values()))  # a metric of the user's own may well be undefined
        if watch.metrics and finite:
            logits = {split: one.logits() for split, one in scores.items()}
            found |= watch.metrics.measured(logits, step=step, watched=learner.watches_generators())
        if watch.keep_best and finite:
            self.best = Best.of(self.best, step, found, learner.weights)
        if self._schedule is not None and finite:
            before, self.plateau = self.plateau, self._schedule.after(self.plateau, found["validation_loss"])
            self.reduced = self.reduced or self.plateau.factor != before.factor
        if self._stopping is not None and finite:
            self._patience = self._stopping.after(self._patience, step, found[self._stopping.monitor])
            if self._patience.step == step:
                self._reported = learner.state()
        watch.go_on()
        self._since = self._now()
        self._eval += self._since - begun
        if finite:
            epoch = step / self._per_epoch
            rate = epoch * self._examples / self._train if self._train else 0.0
            meters = {"examples_per_second": rate, **watch.meters(), **learner.clipping()}
            watch.probes.look(epoch)
            watch.evaluated(
                Evaluation(
                    step=step,
                    epoch=epoch,
                    train_seconds=self._train,
                    eval_seconds=self._eval,
                    metrics=found,
                    meters=meters,
                )
            )
            self._since = self._now()  # what the callback does is nobody's time
        return finite

    @property
    def stops(self) -> bool:
        """Whether early stopping ends the run at the evaluation that was made last."""
        return self._stopping is not None and self._stopping.ends(self._patience)

    def done(self, epochs: int) -> Outcome:
        """The end of a run; the learner goes back to its best evaluation, where that is the one that is reported."""
        if self._reported:
            self._learner.confirm()
            if (why := self._learner.doubt()) is None:
                self._learner.restore(self._reported)
                self._watch.probes.went_back(self._patience.step / self._per_epoch)
            else:
                self._watch.not_restored(why)
        return Outcome(status=Status.DONE, epochs=epochs, best=self.best)

    def wants_saving(self) -> bool:
        return self._watch.save is not None and self._now() - self._saved >= self._watch.save_seconds

    def save(self, step: int) -> None:
        assert self._watch.save is not None
        self._watch.pause()
        self._train += self._now() - self._since
        self._learner.confirm()  # a resumed run sees its own draws alone: earlier ones are looked for here
        # each time: a module may begin to keep something late
        if (why := self._learner.doubt()) is not None:
            self._watch.doubted(why)
            self._watch.save = None
            self._watch.go_on()
            self._since = self._now()
            return
        checkpoint = Checkpoint(
            step=step,
            train_seconds=self._train,
            eval_seconds=self._eval,
            learner=self._learner.state(),
            probes=self._watch.probes.state(),
            keeps_best=self._watch.keep_best,
            best=self.best,
            plateau=self.plateau if self._schedule is not None else None,
            stopping=self._patience if self._stopping is not None else None,
            reported=self._reported,
        )
        self._watch.save(checkpoint)
        self._watch.go_on()
        self._since = self._saved = self._now()


def diverged(epoch: int, what: str, clock: Clock) -> Outcome:
    """How a run ended that was no longer finite in this epoch, counted from 0."""
    return Outcome(status=Status.DIVERGED, epochs=epoch, error=f"in epoch {epoch + 1}: {what}", best=clock.best)
