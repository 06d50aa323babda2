"""A solution beside what is checked: the same inputs and parameters into both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paribus.checking.compare import far
from paribus.checking.discover import Found, find, read_names
from paribus.checking.isolation import Generators, UsersError
from paribus.checking.result import DEPARTS, UNCHECKED, Checked, Departure
from paribus.config.overrides import SettingsError


def against(things: list[Checked], found: list[Found], reference: str, generators: Generators) -> list[Checked]:
    """Each thing with what the reference says of its output. SettingsError where the reference has nothing of them."""
    from paribus.checking.api import check_found

    home, names = read_names(reference)
    others = {one.name: one for one in find(names, home)}
    if not set(others) & {one.name for one in found}:
        raise SettingsError(
            [f"{reference} has nothing of the same name as what is checked: it has {', '.join(others) or 'nothing'}"]
        )
    theirs = Generators(names)
    judged = []
    for checked, one in zip(things, found, strict=True):
        other = others.get(one.name)
        if other is None:
            judged.append(replace(checked, notes=(*checked.notes, f"{reference} has no {one.name}")))
            continue
        solution = check_found(other, theirs)
        if solution.verdict == DEPARTS:
            first = solution.departures[0]
            note = f"{reference} departs itself: {first.tensor}, {first.how}"
            judged.append(replace(checked, notes=(*checked.notes, note)))
            continue
        judged.append(_beside(checked, one, other, generators, theirs))
    missing = [name for name in others if name not in {one.name for one in found}]
    return [*judged, *(Checked(name=name, verdict=UNCHECKED, notes=(f"only {reference} has it",)) for name in missing)]


def _beside(checked: Checked, mine: Found, theirs: Found, own: Generators, other: Generators) -> Checked:
    """The outputs of both on the same inputs, with the solution's parameters in both."""
    if mine.shape != theirs.shape or mine.shape not in {"class", "pair", "loss"} or checked.verdict == UNCHECKED:
        return checked
    from paribus.checking.build import made, of_loss, of_object, of_pair
    from paribus.checking.inputs import operation_of

    op, made_of = operation_of(mine.name), []
    for one, generators in ((mine, own), (theirs, other)):
        if one.shape == "pair":
            made_of.append(of_pair(one.thing, one.name, op, generators))
        elif one.shape == "loss":
            made_of.append(of_loss(one.thing, one.name, op, generators))
        else:
            made_of.append(of_object(made(one.thing, one.name, op, generators), one.name, op, generators))
    (a, _), (b, make) = made_of
    values = list(make(5).values())
    try:
        y = a.forward(
            dict(zip(mine_names(made_of[0][1]), values, strict=True)),
            b.params if a.params.keys() == b.params.keys() else a.params,
        )
        solution = b.forward(make(5), b.params)
    except UsersError:
        return checked
    if a.params.keys() != b.params.keys():
        note = f"the parameters have other names than the solution's ({', '.join(b.params)}): outputs are not compared"
        return replace(checked, notes=(*checked.notes, note))
    if np.shape(y) == np.shape(solution) and np.allclose(y, solution, rtol=1e-4, atol=1e-6):
        return checked
    departure = Departure(tensor="output, beside the reference", how=far(y, solution), code="reference")
    return replace(checked, verdict=DEPARTS, departures=(*checked.departures, departure))


def mine_names(make: object) -> list[str]:
    """The names of the inputs, in order."""
    return list(make(5))  # type: ignore[operator]
