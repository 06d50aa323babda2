"""The recurrent network beside plain PyTorch loops: microseconds a step of one run, length 10, hidden 128, batch 128,
float32, RMSprop, gradients clipped; medians of five rounds interleaved. Where other work shares the machine, the
processor's own time (all threads together) is the better measure of one thread.

    python benchmarks/recurrent.py [length=10 hidden=128 ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time

import torch
from growth import Nobody
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from paribus.backends.dispatch import resolve
from paribus.backends.fused_runner import train_fused
from paribus.backends.torch import TorchBackend
from paribus.config.overrides import parse_overrides
from paribus.config.settings import Settings
from paribus.records.run import Run
from paribus.tasks import Task, load

ROUNDS = 5
STEPS = 200


class Cell(nn.Module):
    """The cell, a step of time after another, as in the report's exercise."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        like = nn.RNNCell(inputs, hidden)
        self.w_hx, self.w_hh, self.b_h = like.weight_ih, like.weight_hh, like.bias_ih
        self.out = nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), len(self.b_h))
        for t in range(x.shape[1]):
            h = torch.tanh(torch.addmm(linear(x[:, t], self.w_hx, self.b_h), h, self.w_hh.T))
        return self.out(h)


class Stock(nn.Module):
    """`nn.RNN`."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.recurrent, self.out = nn.RNN(inputs, hidden, batch_first=True), nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.recurrent(x)[0][:, -1])


def loop(kind: Callable[[int, int], nn.Module], settings: Settings, task: Task, count: int) -> None:
    """What people write: batches by index, backward, clip, step; loss and accuracy of both splits at the end."""
    splits = [
        (torch.from_numpy(task.floats(one.x, "float32")), torch.from_numpy(one.y)) for one in task.splits.values()
    ]
    (x, y), model = splits[0], kind(task.sequence[1], settings.model.hidden)
    optimizer = torch.optim.RMSprop(model.parameters(), settings.optimizer.lr)
    with TorchBackend().threads(count):
        for _ in range(STEPS):
            rows = torch.randint(len(x), (settings.batch_size,))
            optimizer.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
        with torch.no_grad():
            for inputs, classes in splits:
                logits = model(inputs)
                cross_entropy(logits, classes).item()
                (logits.argmax(1) == classes).float().mean().item()


def main() -> None:
    words: dict[str, object] = {
        "task": "palindrome", "n_train": 1280, "n_test": 128, "steps_per_epoch": STEPS, "epochs": 1,
        "implementation": "fused", **{name: values[0] for name, values in parse_overrides(sys.argv[1:]).items()},
    }  # fmt: skip
    settings = resolve(words)
    task = load(settings, 0)

    def fused(runs: int, count: int) -> None:
        train_fused([Run(settings=settings, seed=seed) for seed in range(runs)], lambda _: task, Nobody(), count)

    ways: dict[str, tuple[Callable[[], None], int]] = {
        "PyTorch, loop over the cell": (lambda: loop(Cell, settings, task, 1), 1),
        "loop over the cell, 2 threads": (lambda: loop(Cell, settings, task, 2), 1),
        "PyTorch, nn.RNN": (lambda: loop(Stock, settings, task, 1), 1),
        "nn.RNN, 2 threads": (lambda: loop(Stock, settings, task, 2), 1),
        "paribus fused": (lambda: fused(1, 1), 1),
        "paribus fused, 2 runs, 2 threads": (lambda: fused(2, 2), 2),
    }
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, (way, runs) in ways.items():
            begun, used = perf_counter(), process_time()
            way()
            passed = (perf_counter() - begun, process_time() - used)
            laps[name].append((1e6 * passed[0] / STEPS / runs, 1e6 * passed[1] / STEPS / runs))
    first = laps["PyTorch, loop over the cell"][1:]
    print(
        "| way | us a step and run | times as fast | least to most | processor us | times less |\n|---|---|---|---|---|---|"
    )
    for name, all_laps in laps.items():
        mine = all_laps[1:]
        times, work = (sorted(a[k] / b[k] for a, b in zip(first, mine, strict=True)) for k in (0, 1))
        cells = (
            f"{median(lap[0] for lap in mine):.0f}", f"{median(times):.2f}", f"{times[0]:.2f} - {times[-1]:.2f}",
            f"{median(lap[1] for lap in mine):.0f}", f"{median(work):.2f}",
        )  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
