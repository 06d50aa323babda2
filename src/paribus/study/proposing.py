"""Candidates that a sampler proposes one after another, of each arm from what was found with it so far."""

from __future__ import annotations

from paribus.config.values import Value
from paribus.records.record import StudyRecord
from paribus.study.arms import Design
from paribus.study.samplers import Tpe
from paribus.study.tuning import Proposed, Results, Tune, canonical_values


class Proposing:
    """A sampler for each arm. `asked`: what each was asked for so far, in order.

    Nothing is kept of it: from the records it comes to the same proposals, so that a tuning that was killed goes on
    where it stopped.
    """

    def __init__(self, design: Design, tune: Tune) -> None:
        self._design, self._tune = design, tune
        self._samplers = {arm.name: Tpe(tune.axes, tune.direction, tune.repeat) for arm in design.arms}
        self._last: dict[str, dict[str, Value]] = {}
        self.asked: dict[str, list[dict[str, Value]]] = {arm.name: [] for arm in design.arms}

    def ask(self) -> Proposed:
        """One more candidate for each arm."""
        self._last = {name: sampler.ask() for name, sampler in self._samplers.items()}
        found = {
            arm.name: canonical_values(arm, self._last[arm.name], self._tune.validation) for arm in self._design.arms
        }
        for name, values in found.items():
            self.asked[name].append(values)
        return {name: [values] for name, values in found.items()}

    def tell(self, tried: StudyRecord) -> bool:
        """What the last candidates came to; whether that is known of all of them."""
        results = Results(self._tune, tried)
        last = [(arm, self.asked[arm.name][-1]) for arm in self._design.arms]
        if not all(results.ended(*one) for one in last):
            return False
        for arm, values in last:
            candidate, _ = results.of(arm, values)
            self._samplers[arm.name].tell(self._last[arm.name], candidate.mean)
        return True

    def replay(self, tried: StudyRecord) -> None:
        """Ask and tell as far as the records go."""
        for _ in range(self._tune.budget or 0):
            self.ask()
            if not self.tell(tried):
                return
