"""Which of a network's arrays is which parameter of the multilayer perceptron: by shapes, order and names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from paribus.backends.network.calls import NotUnderstoodError
from paribus.handwritten.places import bare_name

_MOST_SQUARE = 6
"""Of so many square weights both ways are tried, each by itself; of more all alike."""


@dataclass(frozen=True)
class Arranged:
    """One array: `name` in the user's network, `transposed` where it lies as (inputs, outputs) and the house's weight
    is (outputs, inputs); `flat`: a bias, which may be a row or a column there."""

    name: str
    transposed: bool = False
    flat: bool = False


Arrangement = dict[str, Arranged]
"""The house's name, `linears.0.weight`, -> the user's array; in the house's order."""


def wanted(sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The house's parameters and their shapes.

    >>> wanted([2, 3])
    {'linears.0.weight': (3, 2), 'linears.0.bias': (3,)}
    """
    found: dict[str, tuple[int, ...]] = {}
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        found |= {f"linears.{i}.weight": (n_out, n_in), f"linears.{i}.bias": (n_out,)}
    return found


def arrangements(shapes: Mapping[str, tuple[int, ...]], sizes: Sequence[int]) -> list[Arrangement]:
    """Every way to read the arrays, the likeliest first: their order, or that of their names; a square weight may lie
    either way. NotUnderstoodError where the shapes are not those of such a network.

    >>> [one["linears.0.weight"] for one in arrangements({"b1": (3,), "W1": (2, 3)}, [2, 3])]
    [Arranged(name='W1', transposed=True, flat=False)]
    """
    weights = [name for name, shape in shapes.items() if not _is_bias(name, shape, sizes)]
    biases = [name for name in shapes if name not in weights]
    found: list[Arrangement] = []
    for order in (list, _by_number):
        in_order = _in_order(order(weights), order(biases), shapes, sizes)
        if in_order is None:
            continue
        for one in _turned(in_order, shapes, sizes):
            if one not in found:
                found.append(one)
    if not found:
        has = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
        needs = ", ".join(f"{'W' if len(shape) == 2 else 'b'} {shape}" for shape in wanted(sizes).values())
        raise NotUnderstoodError(f"its parameters with a gradient are {has}; for these settings it needs {needs}")
    return found


def _is_bias(name: str, shape: tuple[int, ...], sizes: Sequence[int]) -> bool:
    if len(shape) != 2:
        return True
    if 1 not in shape:
        return False
    return 1 not in sizes or bare_name(name).startswith("b")


def _by_number(names: list[str]) -> list[str]:
    """In the order of the numbers in their names, as W1, W2, W10."""
    return sorted(names, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


def _in_order(
    weights: list[str], biases: list[str], shapes: Mapping[str, tuple[int, ...]], sizes: Sequence[int]
) -> dict[str, str] | None:
    """The first array that fits, for each parameter; None where one has none, or one is left over."""
    left, found = {2: list(weights), 1: list(biases)}, dict[str, str]()
    for name, shape in wanted(sizes).items():
        fits = {shape, shape[::-1]} if len(shape) == 2 else {shape, (1, *shape), (*shape, 1)}
        mine = next((one for one in left[len(shape)] if shapes[one] in fits), None)
        if mine is None:
            return None
        left[len(shape)].remove(mine)
        found[name] = mine
    return None if any(left.values()) else found


def _turned(
    names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], sizes: Sequence[int]
) -> Iterator[Arrangement]:
    """Square weights first as the others lie, where those lie alike, then every other way."""
    needs = wanted(sizes)
    known = {name: shapes[mine] != needs[name] for name, mine in names.items() if len(needs[name]) == 2}
    square = [name for name in known if needs[name][0] == needs[name][1]]
    others = {turned for name, turned in known.items() if name not in square}
    alike = others.pop() if len(others) == 1 else True
    ways = list(product((alike, not alike), repeat=len(square)))
    if len(square) > _MOST_SQUARE:
        ways = [(alike,) * len(square), (not alike,) * len(square)]
    for way in ways:
        turned = {**known, **dict(zip(square, way, strict=True))}
        yield {name: Arranged(mine, turned.get(name, False), name not in known) for name, mine in names.items()}
