"""What modules keep, as bytes: the same for the same, other for other, and a copy that shares nothing."""

from __future__ import annotations

import copy
import functools
import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from paribus.backends.torch.kept import (
    attributes,
    changeable,
    copied,
    first_difference,
    is_pytorchs_own,
    of_parameters,
    packed,
    writes,
)

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.complex64]

tensors = st.builds(
    lambda seed, shape, dtype: (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 9).to(dtype),
    st.integers(0, 99),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.sampled_from(DTYPES),
)
values = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3), tensors, st.builds(lambda n: np.arange(n), st.integers(0, 4))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


def anew(value: Any) -> Any:
    """The same from new memory."""
    return pickle.loads(pickle.dumps(value))


@given(values)
def test_the_same_is_the_same_wherever_it_stands_in_memory(value: Any) -> None:
    assert packed(anew(value)) == packed(anew(value))


@given(tensors.filter(lambda one: one.numel() > 0), st.data())
def test_a_number_that_changes_deep_inside_is_seen(tensor: torch.Tensor, data: st.DataObject) -> None:
    other = tensor.clone()
    place = data.draw(st.integers(0, tensor.numel() - 1))
    other.view(-1)[place] = ~other.view(-1)[place] if tensor.dtype == torch.bool else other.view(-1)[place] + 1
    assert packed({"kept": [tensor]}) != packed({"kept": [other]})
    assert packed([tensor]) != packed([tensor[None]])  # the same bytes in another shape


def test_generators_are_what_they_will_draw() -> None:
    own = torch.Generator().manual_seed(1)
    before = packed([own])
    assert packed([torch.Generator().manual_seed(1)]) == before
    torch.rand(1, generator=own)
    assert packed([own]) != before


@pytest.mark.parametrize(
    "held",
    [np.random.normal, random.uniform, functools.partial(torch.rand, 1, generator=torch.default_generator)],
    ids=["numpy", "python", "torch"],
)
def test_where_a_global_generator_stands_is_not_a_part_of_what_holds_it(held: Any) -> None:
    before = packed([held])
    np.random.random(), random.random(), torch.rand(1)  # noqa: NPY002
    assert packed([held]) == before


class Keeps(nn.Module):
    """In lists, in closures and in hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.held = [torch.zeros(3), {"a": torch.ones(2)}]
        self.draw = functools.partial(torch.rand, generator=torch.default_generator)
        self.writes = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.writes:
            self.held[0].add_(1)  # type: ignore[union-attr]
        out: torch.Tensor = self.layers(x)
        return out


def test_an_evaluation_that_changes_nothing_is_seen_to_change_nothing() -> None:
    module = Keeps().eval()
    before = changeable(module)
    for _ in range(3):
        module(torch.zeros(2, 3))
        assert first_difference(before, changeable(module)) is None
    module.writes = True
    after = changeable(module)
    module(torch.zeros(2, 3))
    assert first_difference(after, changeable(module)) == "attribute held"


def test_a_copy_shares_nothing() -> None:
    module = Keeps()
    module.layers[0].register_forward_hook(lambda *_: None)
    mine, theirs = copied(module), copy.deepcopy(module)
    assert first_difference(attributes(mine, of_checkpoint=True), attributes(theirs, of_checkpoint=True)) is None
    calls: list[int] = []
    for part in mine.modules():
        part.register_forward_hook(lambda *_: calls.append(1))
        part.register_buffer("more", torch.zeros(1))
        part.requires_grad_(requires_grad=False)
    module(torch.zeros(2, 3))
    assert not calls
    assert "layers.0.more" not in module.state_dict()
    assert all(one.requires_grad for one in module.parameters())


def test_what_is_written_or_replaced_is_seen() -> None:
    module = Keeps()
    modules = list(module.modules())
    before = writes(modules)
    module.eval()(torch.zeros(2, 3))
    assert writes(modules) == before
    with torch.no_grad():
        module.layers[0].bias.add_(1.0)  # type: ignore[operator, union-attr]
    assert writes(modules) != before
    before = writes(modules)
    new = torch.zeros(3)
    while new._version < module.layers[1].running_mean._version:  # type: ignore[union-attr, operator]
        new.add_(0)
    module.layers[1].running_mean = new
    assert writes(modules) != before


def hooked() -> nn.Module:
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda *_: None)
    return layer


def replaced() -> nn.Module:
    layer = nn.Linear(2, 2)
    layer.forward = lambda x: x  # type: ignore[method-assign]
    return layer


@pytest.mark.parametrize(
    "make",
    [Keeps, hooked, replaced, lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))],
    ids=["a class", "a hook", "a function", "a parametrization"],
)
def test_what_is_not_pytorchs_own_is_told_apart_however_deep(make: Any) -> None:
    assert is_pytorchs_own(nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.GELU())))
    assert not is_pytorchs_own(nn.Sequential(nn.Flatten(), nn.Sequential(make(), nn.GELU())))


OWN = {
    "batch normalisation": lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)),
    "without running statistics": lambda: nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 2)),
    "other norms": lambda: nn.Sequential(
        nn.LayerNorm(3), nn.RMSNorm(3), nn.RReLU(), nn.AlphaDropout(), nn.Linear(3, 2)
    ),
    "a recurrent one": lambda: nn.GRU(3, 2, batch_first=True),
}


@pytest.mark.parametrize("name", OWN)
def test_pytorchs_own_keep_nothing_while_they_are_evaluated(name: str) -> None:
    """Therefore they are not looked at each time."""
    module = OWN[name]()
    assert is_pytorchs_own(module)
    module(torch.rand(4, 3))
    before, written = changeable(module.eval()), writes(module.modules())
    with torch.no_grad():
        module(torch.rand(4, 3))
    assert first_difference(before, changeable(module)) is None
    assert writes(module.modules()) == written


def test_what_a_parameter_holds_is_seen() -> None:
    module = nn.Linear(2, 2)
    before = of_parameters(module)
    module.weight.mask = torch.ones(2, 2)  # type: ignore[attr-defined]
    masked = of_parameters(module)
    assert first_difference(before, masked) == "what the parameter weight holds"
    module.bias.requires_grad_(requires_grad=False)
    assert first_difference(masked, of_parameters(module)) == "what the parameter bias holds"
