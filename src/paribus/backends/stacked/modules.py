"""One module for many runs: its parameters and buffers with an axis for the runs, called through `torch.func.vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from paribus.backends.stacked.recurrent import go_by_steps
from paribus.backends.torch.kept import changeable, copied, likeness, unlike

Tensors = dict[str, Tensor]


class NotStackable(ValueError):  # noqa: N818 (an answer, in words of ours)
    """Why runs cannot be computed together."""


class Modules:
    """The modules of many runs as one.

    `theta`: all parameters that are trained, (runs, numbers), which an optimizer moves in place; `trained`: the same by
    name, views of it, which autograd knows; `fixed`: frozen parameters and buffers by name, (runs, ...). `template`:
    the first run's module, whose attributes hold for all of them; `plain`: a copy of it that is left as it was made.
    `masks`: those of a user's dropout layers.
    """

    def __init__(self, modules: Sequence[nn.Module], *, drops: bool = False) -> None:
        _check_alike(modules)
        self.plain, self.template = copied(modules[0]), modules[0]
        self.runs = len(modules)
        theirs = [dict(one.named_parameters()) for one in modules]
        wanted = [name for name, one in theirs[0].items() if one.requires_grad]
        self.theta = torch.stack([torch.cat([one[name].detach().flatten() for name in wanted]) for one in theirs])
        self.trained: Tensors = {}
        self._place: dict[str, slice] = {}
        at = 0
        for name in wanted:
            one = theirs[0][name]
            self._place[name] = slice(at, at + one.numel())
            view = self.theta[:, self._place[name]].view(self.runs, *one.shape)
            self.trained[name] = view.detach().requires_grad_()
            at += one.numel()
        frozen = [name for name in theirs[0] if name not in self.trained]
        self.fixed: Tensors = {name: torch.stack([one[name].detach() for one in theirs]) for name in frozen}
        buffers = [dict(one.named_buffers()) for one in modules]
        self.fixed |= {name: torch.stack([one[name] for one in buffers]) for name in buffers[0]}
        self.has_buffers = bool(buffers[0])
        self.shapes = {name: tuple(one.shape) for name, one in theirs[0].items()}
        self._kept = _canonical_names(self.template)
        self._theirs = changeable(self.template).keys()
        go_by_steps(self.template)
        self.masks = Masks(self.template, self.theta.dtype) if drops else None

    def shared(self) -> dict[str, bytes]:
        """What the runs share: all of the template but what it was given here."""
        return {name: value for name, value in changeable(self.template).items() if name in self._theirs}

    def weights_of_numbers(self) -> Tensor:
        """Which numbers of `theta` belong to weights, and not to biases or norms: 1 or 0 in its type, (numbers,)."""
        parts = [torch.full((at.stop - at.start,), float(len(self.shapes[name]) > 1))
                 for name, at in self._place.items()]  # fmt: skip
        return torch.cat(parts).to(self.theta)

    def call(self, x: Tensor, after: Callable[[Tensor, Tensor], Tensor], y: Tensor, given: Sequence[Tensor]) -> Tensor:
        """`after` of each run's outputs and targets, in training mode. x, y and each mask that is given: (runs, ...);
        masks go to the dropout layers of a user's module, and to the forward of another one beside x."""

        def one(trained: Tensors, fixed: Tensors, x: Tensor, y: Tensor, given: list[Tensor]) -> Tensor:
            tensors = {**trained, **fixed}
            if self.masks is None:
                return after(functional_call(self.template, tensors, (x, given) if given else (x,)), y)
            with self.masks.given(given):
                return after(functional_call(self.template, tensors, (x,)), y)

        return vmap(one, randomness="error")(self.trained, self.fixed, x, y, list(given))

    def outputs(self, x: Tensor, *, shared: bool) -> Tensor:
        """Each run's outputs in evaluation mode, (runs, examples, ...). `shared`: x has no axis for the runs."""

        def one(trained: Tensors, fixed: Tensors, x: Tensor) -> Tensor:
            return functional_call(self.template, {**trained, **fixed}, (x,))  # type: ignore[no-any-return]

        detached = {name: value.detach() for name, value in self.trained.items()}
        with self._evaluating():
            return vmap(one, in_dims=(0, 0, None if shared else 0), randomness="error")(detached, self.fixed, x)

    def gradients(self, losses: Tensor) -> Tensor:
        """Of each run's loss with respect to its row of `theta`, in its shape. The sum's gradient is that of each, as
        no run has a part in another's loss."""
        found: Sequence[Tensor | None] = torch.autograd.grad(
            losses.sum(), list(self.trained.values()), allow_unused=True
        )
        rows = []
        for name, one in zip(self.trained, found, strict=True):
            if one is None:
                raise NotStackable(f"the loss does not depend on the parameter {name}, and an optimizer skips those")
            rows.append(one.reshape(self.runs, -1))
        return torch.cat(rows, dim=1)

    def load(self, run: int, values: Mapping[str, Tensor]) -> None:
        """Set the parameters of a run."""
        for name, at in self._place.items():
            self.theta[run, at] = values[name].flatten().to(self.theta)

    def state(self, run: int) -> Tensors:
        """A run's state dictionary; no copy."""
        return {name: (self.trained[mine] if mine in self.trained else self.fixed[mine])[run].detach()
                for name, mine in self._kept.items()}  # fmt: skip

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        modes = {module: module.training for module in self.template.modules()}
        self.template.eval()
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training


def _check_alike(modules: Sequence[nn.Module]) -> None:
    """Only numbers in parameters and buffers may differ: all else is the first one's for all."""
    first = likeness(modules[0])
    for one in modules[1:]:
        if (name := unlike(one, first)) is not None:
            raise NotStackable(f"its module differs from seed to seed in {name}")


def _canonical_names(module: nn.Module) -> dict[str, str]:
    """Each name of a state dictionary -> the first name of the same tensor: tied weights have two."""
    first = {id(one): name for name, one in (*module.named_parameters(), *module.named_buffers())}
    return {name: first[id(one)] for name, one in module.state_dict(keep_vars=True).items()}


class Masks:
    """Dropout layers of a user's module, with masks that are given: each run's are those that it would draw alone.

    PyTorch draws them from its generator in the order of the calls, on a CPU as `empty_like(x).bernoulli_(1 - p)`. So
    the calls of one forward tell what a generator at the run's state draws. `layers`: how many there are.
    """

    def __init__(self, template: nn.Module, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._calls: dict[int, list[tuple[tuple[int, ...], float]]] = {}
        self._recording: list[tuple[tuple[int, ...], float]] | None = None
        self._given: Iterator[Tensor] = iter(())
        found = [module for module in template.modules() if type(module) is nn.Dropout]
        for module in found:
            setattr(module, "forward", functools.partial(self._dropped, module))  # noqa: B010 (mypy: a method)
        self.layers = len(found)
        self._generator = torch.Generator()

    def _dropped(self, layer: nn.Dropout, x: Tensor) -> Tensor:
        if not layer.training or layer.p == 0:
            return x
        if layer.p == 1:  # nothing is drawn
            return x * 0
        if self._recording is not None:
            self._recording.append((tuple(x.shape), layer.p))
            return x
        mask = next(self._given)
        return x.mul_(mask) if layer.inplace else x * mask

    def calls(self, template: nn.Module, x: Tensor) -> list[tuple[tuple[int, ...], float]]:
        """Shape and p of each draw in a step on as many examples as x has."""
        if len(x) not in self._calls:
            buffers = {name: value.clone() for name, value in template.named_buffers()}
            self._recording = []
            try:
                with torch.no_grad():
                    functional_call(template, buffers, (x,))
                self._calls[len(x)] = self._recording
            finally:
                self._recording = None
        return self._calls[len(x)]

    def drawn(self, calls: Sequence[tuple[tuple[int, ...], float]], states: Sequence[int]) -> list[Tensor]:
        """Masks (runs, ...) of each call, with 1 / (1 - p) where a unit stands; a generator state for each run."""
        masks = [torch.empty((len(states), *shape), dtype=self._dtype) for shape, _ in calls]
        for run, state in enumerate(states):
            self._generator.manual_seed(state)
            for mask, (_, p) in zip(masks, calls, strict=True):
                mask[run].bernoulli_(1 - p, generator=self._generator)
        return [mask.div_(1 - p) for mask, (_, p) in zip(masks, calls, strict=True)]

    @contextmanager
    def given(self, masks: Sequence[Tensor]) -> Iterator[None]:
        """The masks of one run, in the order of the calls."""
        self._given = iter(masks)
        try:
            yield
        finally:
            self._given = iter(())
