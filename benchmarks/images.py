"""Images a second of the source report's CNN: a plain PyTorch loop over a DataLoader, and Paribus at each precision and
layout, on random images of CIFAR-10's shape. The same device and threads, medians of rounds interleaved.

    python benchmarks/images.py                   # on the CPU, as many threads as there are cores
    python benchmarks/images.py --device cuda     # on a GPU
    python benchmarks/images.py --batch 512 --steps 4 --rounds 5 --compile
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import paribus
from paribus.backends.base import backend_of
from paribus.backends.dispatch import resolve
from paribus.backends.torch import TorchBackend
from paribus.config.values import cores
from paribus.plan import Plan
from paribus.tasks import Task, load
from paribus.training import sampling

ROWS = [64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"]


def plain_model() -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for row in ROWS:
        if isinstance(row, str):
            layers.append(nn.MaxPool2d(3, 2, 1))
        else:
            layers += [nn.Conv2d(channels, row, 3, padding=1), nn.BatchNorm2d(row), nn.ReLU()]
            channels = row
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def plain_loop(task: Task, batch: int, device: str) -> Callable[[int], None]:
    """What people write: float32, a DataLoader over tensors, SGD with momentum."""
    x = torch.from_numpy(task.floats(task.train.x, np.dtype(np.float32)))
    loader = DataLoader(TensorDataset(x, torch.from_numpy(task.train.y.copy())), batch_size=batch, shuffle=True)
    model = plain_model().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loss = nn.CrossEntropyLoss()

    def run(steps: int) -> None:
        done = 0
        while done < steps:
            for images, labels in loader:
                optimizer.zero_grad()
                loss(model(images.to(device)), labels.to(device)).backward()
                optimizer.step()
                done += 1
                if done == steps:
                    return

    return run


def ours(task: Task, words: dict[str, object]) -> Callable[[int], None]:
    settings = resolve(words)
    learner, plan = backend_of(settings).make_learner(settings, task, Plan(0)), Plan(0)
    batches = next(sampling.epochs(settings, plan, len(task.train)))

    def run(steps: int) -> None:
        learner.begin_epoch(0, batches[:steps])
        for examples in batches[:steps]:
            learner.step(examples, 0)

    return run


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--steps", type=int, default=4, help="of a round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--compile", action="store_true", help="Paribus with compile=true too")
    asked = options.parse_args()
    draw = np.random.default_rng(0)
    n = asked.batch * asked.steps * 10 // 8 + 10
    images, y = draw.integers(0, 256, (n, 3, 32, 32)).astype(np.uint8), np.arange(n) % 10
    words: dict[str, object] = {
        "task": paribus.data(images, y), "model": "cnn", "batch_size": asked.batch, "optimizer.momentum": 0.9,
        "init": "he_fan_out", "epochs": 1, "device": asked.device, "implementation": "torch", "threads": "all",
    }  # fmt: skip
    task = load(resolve(words), 0)
    lasts = {"precision": "bf16", "memory": "channels_last"}
    ways = {
        "PyTorch loop, DataLoader, float32": plain_loop(task, asked.batch, asked.device),
        "paribus, float32": ours(task, words),
        "paribus, bf16": ours(task, {**words, "precision": "bf16"}),
        "paribus, float32, channels_last": ours(task, {**words, "memory": "channels_last"}),
        "paribus, bf16, channels_last": ours(task, {**words, **lasts}),
    }
    if asked.compile:
        ways["paribus, bf16, channels_last, compiled"] = ours(task, {**words, **lasts, "compile": True})
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with TorchBackend().threads(cores()):
        for round_ in range(asked.rounds + 1):  # the first is not counted
            for name, run in ways.items():
                begun = perf_counter()
                run(asked.steps)
                if asked.device == "cuda":
                    torch.cuda.synchronize()
                if round_:
                    rates[name].append(asked.batch * asked.steps / (perf_counter() - begun))
    first = next(iter(rates.values()))
    where = torch.cuda.get_device_name() if asked.device == "cuda" else f"{cores()} threads"
    print(f"images a second, batch {asked.batch}, {where}, {asked.rounds} rounds interleaved")
    for name, found in rates.items():
        ratios = [mine / theirs for mine, theirs in zip(found, first, strict=True)]
        print(f"{name:40} {median(found):9.1f}   {median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
