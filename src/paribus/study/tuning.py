"""Tuning at equal budget: for every arm as many candidates, chosen on validation data and on seeds of its own.

The candidates are the same for every arm (`candidates.py`), unless a sampler proposes them one after another, from what
it has found with the arm so far (`samplers.py`). Repeated, the whole tuning is made again on other seeds: what is then
compared are arms that are tuned like this, and not the values that one tuning happened to choose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from paribus.backends.base import backend_of
from paribus.backends.dispatch import resolve
from paribus.config.overrides import Listed, SettingsError, full_name
from paribus.config.settings import Settings
from paribus.config.values import Value, format_overrides
from paribus.records.metrics import Direction, Metric
from paribus.records.record import FINISHED, Candidate, RunRecord, Status, StudyRecord, Tuned
from paribus.study.arms import Arm, Design
from paribus.study.candidates import Axis, corners, drawn, parse_axes, parse_tune, spelled, whole
from paribus.study.migrations import canonical, word_today
from paribus.study.samplers import PROPOSING, sampler_mistake

FIRST_SEED = 2**31
"""The seeds of tuning begin here, far from those that people give."""

SHIFT = 2**20
"""By how much the seeds of a repeat lie above those of the one before: so that those of all repeats are others,
however many are asked for later."""

MOST_REPEATS = 1000
DEFAULT_VALIDATION = 0.2
_NOT_RECORDED = ("candidates", "direction", "axes", "others")
_UNSAID = {"sampler": None, "repeat": 1, "repeats": 1}
"""What a record does not hold, as it was so before there was any other."""


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """How the command asks for it: how many candidates are drawn, on how many seeds values are chosen, how often all of
    it is done, and who proposes candidates."""

    budget: int | None = None
    seeds: int = 3
    repeats: int = 1
    sampler: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tune:
    """How a study is tuned. `given`: one value for all arms stands in the command; `direction`: which values of the
    metric are better; `sampler`: who proposes candidates one after another, where one does, out of `axes`: then
    `candidates` only stand for those to come. `repeat`: which one of `repeats` it is, and `others`: the candidates of
    the further ones, where they are other draws."""

    words: list[str]
    budget: int | None
    candidates: list[dict[str, Value]]
    seeds: list[int]
    validation: float
    metric: str
    given: bool
    direction: Direction
    axes: Mapping[str, Axis] = field(default_factory=dict)
    others: Sequence[list[dict[str, Value]]] = ()
    sampler: str | None = None
    repeat: int = 1
    repeats: int = 1

    @property
    def names(self) -> list[str]:
        """The settings that are tuned."""
        return list(self.candidates[0])

    def of_repeat(self, number: int) -> Tune:
        """The same tuning once more, on seeds of its own, and with draws of its own where candidates are drawn."""
        count = len(self.seeds)
        first = FIRST_SEED + (number - 1) * count
        return replace(
            self,
            seeds=list(range(first, first + count)),
            candidates=self.others[number - 2] if self.others else self.candidates,
            others=(),
            repeat=number,
            repeats=1,
        )

    def as_record(self) -> dict[str, object]:
        """How the study is tuned, as its record holds it: tuned in another way it is another study."""
        record = {name: value for name, value in vars(self).items() if name not in _NOT_RECORDED}
        record = {name: value for name, value in record.items() if name not in _UNSAID or value != _UNSAID[name]}
        return {**record, "words": [word_today(word) for word in self.words]}


def without_repeats(record: Mapping[str, object] | None) -> dict[str, object] | None:
    """How a study is tuned, but for how often: more repeats go on with the same study."""
    return (
        None if record is None else {name: value for name, value in record.items() if name not in ("repeats", "looks")}
    )


def make_tune(
    design: Design, listed: Sequence[Listed[Value]], asked: TuneOptions, *, compared: Sequence[int], metric: Metric
) -> Tune:
    """How the arms of a design are tuned; SettingsError with every mistake, those of each candidate among them.

    `listed`: settings and their candidates; `compared`: the seeds that arms are compared on; `metric`: on validation
    data, with a direction.
    """
    assert metric.direction is not None
    mistakes = [line for line in (sampler_mistake(asked.sampler, asked.budget),) if line]
    candidates, axes = parse_tune(listed, asked.budget), parse_axes(listed, asked.budget)
    words = " ".join(spelled(key, values) for key, values in listed)
    names = list(candidates[0])
    mistakes += _mistakes_of_arms(design, names)
    mistakes += _mistakes_of_seeds(asked, compared)
    if len(candidates) < 2:
        mistakes.append(f"--tune {words} is one candidate: there is nothing to choose; list several")
    given = [name for name in names if name in design.given]
    if 0 < len(given) < len(names):
        mistakes.append(
            f"{', '.join(given)} is given and {', '.join(sorted({*names} - {*given}))} is not: what all arms share is "
            "given for every tuned setting, or for none (then it is the candidate that is best on average)"
        )
    proposing = asked.sampler in PROPOSING
    if proposing and not given:
        example = " ".join(f"{name.rpartition('.')[2]}={candidates[0][name]}" for name in names)
        mistakes.append(
            f"--sampler {asked.sampler} proposes other candidates to each arm, so that none is best on average: give "
            f"the value that all arms share with the settings, as in {example}"
        )
    validation = design.arms[0].settings.validation or DEFAULT_VALIDATION
    count = asked.repeats if whole(asked.repeats, MOST_REPEATS) and asked.budget is not None and not proposing else 1
    draws = [candidates, *(drawn(axes, asked.budget or 0, number) for number in range(2, count + 1))]
    checked = [_canonical(design, one, validation, mistakes) for one in draws]
    if proposing:
        _canonical(design, corners(axes), validation, mistakes)
    if any(values in checked[0][:i] for i, values in enumerate(checked[0])):
        mistakes.append(f"--tune {words}: a candidate is listed twice")
    if mistakes:
        raise SettingsError(dict.fromkeys(mistakes))
    return Tune(
        words=[spelled(full_name(key), values) for key, values in listed],
        budget=asked.budget,
        candidates=checked[0],
        seeds=list(range(FIRST_SEED, FIRST_SEED + asked.seeds)),
        validation=validation,
        metric=metric.name,
        given=bool(given),
        direction=metric.direction,
        axes=axes,
        others=checked[1:],
        sampler=asked.sampler if proposing else None,
        repeats=asked.repeats,
    )


def _mistakes_of_arms(design: Design, names: Sequence[str]) -> list[str]:
    mistakes = [
        f"{name.rpartition('.')[2]} is tuned and a factor: list its values in one of the two"
        for name in names
        if name in design.factors
    ]
    mistakes += [
        f"{arm.name or arm.network.model.name} cannot be tuned: it is an estimator of scikit-learn's, which has no "
        f"{', '.join(name.rpartition('.')[2] for name in names)}; a GridSearchCV of it chooses its own parameters on "
        "training rows, and --tune is for a study of networks alone"
        for arm in design.arms
        if not backend_of(arm.settings).in_epochs
    ]
    if "validation" in design.factors or len({arm.settings.validation for arm in design.arms}) > 1:
        mistakes.append("validation is a factor: every arm is tuned on the same validation split; give it once")
    if any(arm.settings.split == "by_seed" for arm in design.arms):
        mistakes.append(
            "split=by_seed cannot be tuned: one seed's test examples are another's training data, on which the choice "
            "would be made; take split=fixed"
        )
    return mistakes


def _mistakes_of_seeds(asked: TuneOptions, compared: Sequence[int]) -> list[str]:
    """Of the seeds that values are chosen on, and of those that arms are compared on."""
    mistakes: list[str] = []
    if not whole(asked.seeds, 1000):
        mistakes.append(f"--tune-seeds {asked.seeds} is not allowed: tune-seeds is a whole number from 1 to 1000")
    elif both := sorted({*range(FIRST_SEED, FIRST_SEED + asked.seeds)} & {*compared}):
        mistakes.append(f"--seeds {both[0]} is a seed of tuning: those of the comparison are others")
    if not whole(asked.repeats, MOST_REPEATS):
        mistakes.append(
            f"--tune-repeats {asked.repeats} is not allowed: tune-repeats is a whole number from 1 to {MOST_REPEATS}"
        )
    elif asked.repeats > 1 and getattr(compared, "least", None) is not None:
        mistakes.append(
            "--tune-repeats needs a fixed number of seeds, as in --seeds 8: with seeds until all is decided each "
            "repeat would end at another seed"
        )
    elif asked.repeats > 1 and max(compared, default=0) >= SHIFT:
        mistakes.append(
            f"--seeds {max(compared)} is too large for --tune-repeats: give seeds below {SHIFT}, as each repeat has "
            "its own above those of the one before"
        )
    return mistakes


def _canonical(
    design: Design, candidates: Sequence[Mapping[str, Value]], validation: float, mistakes: list[str]
) -> list[dict[str, Value]]:
    """Candidates with their values as settings have them; what is wrong with one of them in any arm is noted."""
    found: list[dict[str, Value]] = []
    for arm in design.arms:
        for values in candidates:
            try:
                mine = canonical_values(arm, values, validation)
            except SettingsError as error:
                mistakes += [f"--tune: {mistake}" for mistake in error.mistakes]
                continue
            if arm is design.arms[0]:
                found.append(mine)
    return found


def at(arm: Arm, values: Mapping[str, Value], validation: float) -> Settings:
    """An arm's settings with these values in the place of its own."""
    return resolve({**arm.network.values(), **values, "validation": validation})


def canonical_values(arm: Arm, values: Mapping[str, Value], validation: float) -> dict[str, Value]:
    """Values as an arm's settings have them: of their own type."""
    flat = at(arm, values, validation).flat()
    return {name: flat[name] for name in values}


Proposed = Mapping[str, Sequence[Mapping[str, Value]]]
"""Arm -> its candidates, in the order in which they were proposed."""


def candidates_of(design: Design, tune: Tune, proposed: Proposed | None = None) -> Design:
    """Every arm at every candidate, or each at those `proposed` to it."""
    arms = [
        replace(
            arm,
            name=" ".join(filter(None, (arm.name, format_overrides(values)))),
            settings=at(arm, values, tune.validation),
        )
        for arm in design.arms
        for values in (tune.candidates if proposed is None else proposed[arm.name])
    ]
    return Design([*design.factors, *tune.names], arms, named=design.named)


def chosen_for(design: Design, chosen: Mapping[str, Mapping[str, Value]], names: Sequence[str]) -> Design:
    """Every arm at the values chosen for it, on training and validation data together."""
    arms = [replace(arm, settings=at(arm, chosen[arm.name], 0.0)) for arm in design.arms]
    factors = [*design.factors, *(name for name in names if name not in design.factors)]
    return Design(factors, arms, named=design.named)


def decide(
    design: Design, tune: Tune, tried: StudyRecord, proposed: Proposed | None = None
) -> tuple[dict[str, Value], list[Tuned]]:
    """From the runs of tuning: one candidate for all arms, and each arm's own best. `proposed`: to each arm, where not
    all have the same.

    Best is the best mean of the tuning's metric over its seeds; of equals the one of lowest validation loss, then the
    first. A candidate of which a run diverged or failed is not chosen; SettingsError where
    an arm has no other.
    """
    results = Results(tune, tried)
    ranks: list[list[tuple[float, float]]] = []
    found: list[Tuned] = []
    for arm in design.arms:
        mine = tune.candidates if proposed is None else proposed[arm.name]
        scored = [results.of(arm, values) for values in mine]
        rank = [results.rank(*one) for one in scored]
        if min(rank)[0] == math.inf:
            name = arm.name or tried.name
            raise SettingsError(
                [f"no candidate of {name} came to its end on every seed: `show` says why; tune other values"]
            )
        ranks.append(rank)
        chosen = mine[rank.index(min(rank))]
        found.append(Tuned(arm.name, [candidate for candidate, _ in scored], chosen, _edges(mine, chosen)))
    if tune.given:
        flat = design.arms[0].settings.flat()
        return {name: flat[name] for name in tune.names}, found
    totals = [(sum(r[i][0] for r in ranks), sum(r[i][1] for r in ranks)) for i in range(len(tune.candidates))]
    if min(totals)[0] == math.inf:
        raise SettingsError(["no candidate came to its end with every arm: give the shared value with the settings"])
    return tune.candidates[totals.index(min(totals))], found


class Results:
    """What the runs of a tuning came to."""

    def __init__(self, tune: Tune, tried: StudyRecord) -> None:
        self._tune = tune
        self._runs = {canonical(arm.settings): {run.seed: run for run in arm.runs} for arm in tried.arms}

    def _of(self, arm: Arm, values: Mapping[str, Value]) -> list[RunRecord] | None:
        mine = self._runs.get(canonical(at(arm, values, self._tune.validation).flat()), {})
        found = [mine[seed] for seed in self._tune.seeds if seed in mine]
        return found if len(found) == len(self._tune.seeds) else None

    def ended(self, arm: Arm, values: Mapping[str, Value]) -> bool:
        """Whether every seed's run came to an end, good or bad."""
        found = self._of(arm, values)
        return found is not None and all(run.status in (*FINISHED, Status.FAILED) for run in found)

    def of(self, arm: Arm, values: Mapping[str, Value]) -> tuple[Candidate, float | None]:
        """A candidate with its scores, and its mean validation loss."""
        found = self._of(arm, values)
        assert found is not None
        scores, losses = ([run.final(name) for run in found] for name in (self._tune.metric, "validation_loss"))
        return Candidate(values, scores, _mean(scores)), _mean(losses)

    def rank(self, candidate: Candidate, loss: float | None) -> tuple[float, float]:
        """The lowest is the best."""
        sign = 1 if self._tune.direction == "lower" else -1
        return (math.inf, math.inf) if candidate.mean is None or loss is None else (sign * candidate.mean, loss)


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def _edges(candidates: Sequence[Mapping[str, Value]], chosen: Mapping[str, Value]) -> list[str]:
    """The settings whose chosen value ends the line of those tried. 0, where many lines end by nature, is no edge, and
    of two values each is one."""
    edges = []
    for name in chosen:
        try:
            tried = sorted({float(values[name]) for values in candidates})
        except ValueError:  # words have no order
            continue
        value = float(chosen[name])
        if len(tried) > 2 and value != 0 and value in (tried[0], tried[-1]):
            edges.append(name)
    return edges
