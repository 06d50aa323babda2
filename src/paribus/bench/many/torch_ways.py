"""Many runs in PyTorch: one after another in a plain loop, and all at once by `torch.func`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy, linear

from paribus.bench.many.job import Array, Data, Job


class Cell(nn.Module):
    """tanh(W_hx x(t) + W_hh h(t-1) + b_h) from h(0) = 0, and a linear layer after the last step."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.w_hx, self.w_hh, self.b_h, self.w_ph, self.b_o = (nn.Parameter(torch.empty(shape)) for shape in job.shapes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (examples, classes) for x (examples, T, inputs)."""
        driven = linear(x.transpose(0, 1), self.w_hx, self.b_h)  # (T, examples, hidden)
        h = torch.tanh(driven[0])
        for drive in driven[1:].unbind():
            h = torch.tanh(drive + h @ self.w_hh.T)
        return linear(h, self.w_ph, self.b_o)


def network(job: Job) -> nn.Module:
    """The job's network as people write it, its parameters in the order of `Job.shapes`."""
    if job.recurrent:
        return Cell(job)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(job.sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _loaded(job: Job, seed: int) -> nn.Module:
    model = network(job)
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), job.initial(seed), strict=True):
            parameter.copy_(torch.from_numpy(values))
    return model


def _optimizer(job: Job, parameters: Any) -> Any:
    if job.smoothing is None:
        return torch.optim.SGD(parameters, job.lr)
    alpha, eps = job.smoothing
    return torch.optim.RMSprop(parameters, job.lr, alpha=alpha, eps=eps)


def plain_loop(job: Job, data: Data, evaluations: int, runs: int) -> tuple[list[Array], Array]:
    """One run after another: batches by index, backward, clip, step; loss and accuracy of both splits."""

    splits = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in data.splits]
    (x, y), models, accuracies = splits[0], [], []
    for seed in range(runs):
        model = _loaded(job, seed)
        optimizer, accuracy = _optimizer(job, model.parameters()), 0.0
        for evaluation in range(evaluations):
            for order in torch.from_numpy(job.orders(seed, evaluation)):
                for rows in order.split(job.batch):
                    optimizer.zero_grad()
                    cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
                    if job.clip is not None:
                        torch.nn.utils.clip_grad_norm_(model.parameters(), job.clip)
                    optimizer.step()
            with torch.no_grad():
                for inputs, classes in splits:
                    logits = model(inputs)
                    cross_entropy(logits, classes).item()
                    accuracy = (logits.argmax(1) == classes).float().mean().item()
        models.append([parameter.detach().numpy() for parameter in model.parameters()])
        accuracies.append(accuracy)
    return [np.stack(of_all) for of_all in zip(*models, strict=True)], np.array(accuracies)


def torch_func(job: Job, data: Data, evaluations: int, runs: int) -> tuple[list[Array], Array]:
    """All runs at once, as in PyTorch's tutorial on model ensembling: `stack_module_state`, and `vmap` over
    `functional_call`; one backward of the summed losses and one step of the optimizer on the stacked parameters.

    Each run has its own initial values, batches and norm to clip. Source:
    https://docs.pytorch.org/tutorials/intermediate/ensembling.html
    """

    base = network(job)
    stacked, _ = stack_module_state([_loaded(job, seed) for seed in range(runs)])
    parameters = {name: values.detach().requires_grad_() for name, values in stacked.items()}
    optimizer = _optimizer(job, parameters.values())

    def loss_of(values: Any, x: Any, y: Any) -> tuple[Any, Any]:
        logits = functional_call(base, values, (x,))
        return cross_entropy(logits, y), (logits.argmax(1) == y).float().mean()

    each = vmap(loss_of)
    shared = vmap(loss_of, in_dims=(0, None, None))
    splits = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in data.splits]
    (x, y), reached = splits[0], torch.zeros(runs)
    for evaluation in range(evaluations):
        orders = torch.from_numpy(np.stack([job.orders(seed, evaluation) for seed in range(runs)], axis=1))
        for order in orders:  # (runs, taken)
            for rows in order.split(job.batch, dim=1):
                optimizer.zero_grad()
                losses, _ = each(parameters, x[rows], y[rows])
                losses.sum().backward()
                if job.clip is not None:
                    _clip(parameters.values(), job.clip)
                optimizer.step()
        with torch.no_grad():
            for inputs, classes in splits:
                _, reached = shared(parameters, inputs, classes)
    return [values.detach().numpy() for values in parameters.values()], reached.numpy()


def _clip(parameters: Any, largest: float) -> None:
    """`clip_grad_norm_` for each run by itself."""
    squares = sum(one.grad.flatten(1).square().sum(1) for one in parameters)
    factor = (largest / (squares.sqrt() + 1e-6)).clamp(max=1)
    for one in parameters:
        one.grad.mul_(factor.reshape(-1, *[1] * (one.dim() - 1)))
