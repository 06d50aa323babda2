"""What a run takes beside time: memory, and on a GPU its utilisation, power and energy."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

_SAMPLE_SECONDS = 0.1
_MB = 2**20


def peak_memory_mb() -> float:
    """The most memory that this process has had resident, in MiB.

    Source: proc(5), `VmHWM`; getrusage(2); PROCESS_MEMORY_COUNTERS.

    >>> peak_memory_mb() > 10
    True
    """
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / _MB
    if sys.platform == "linux":  # a process inherits ru_maxrss from the one that started it, this it does not
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MB if sys.platform == "darwin" else peak / 1024  # bytes there, KiB on Linux


class Gpu(Protocol):
    """What is sampled of a GPU."""

    def utilisation(self) -> float:
        """The share of the time, over the last moments, in which a kernel ran: 0 to 1."""

    def power(self) -> float:
        """W."""

    def close(self) -> None:
        """Let go of it."""


class Nvml:
    """A GPU through NVIDIA's management library, by its CUDA index.

    Source: NVML API reference, `nvmlDeviceGetUtilizationRates`, `nvmlDeviceGetPowerUsage`.
    """

    def __init__(self, index: int) -> None:
        import pynvml
        import torch

        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        # CUDA may count the devices otherwise: by its identity it is the same one
        self._device = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(index).uuid}")

    def utilisation(self) -> float:
        return float(self._nvml.nvmlDeviceGetUtilizationRates(self._device).gpu) / 100

    def power(self) -> float:
        return float(self._nvml.nvmlDeviceGetPowerUsage(self._device)) / 1000

    def close(self) -> None:
        self._nvml.nvmlShutdown()


class Sampler:
    """Mean utilisation and power, and the energy that they come to, sampled by a thread of its own."""

    def __init__(self, gpu: Gpu, seconds: float = _SAMPLE_SECONDS) -> None:
        self._gpu, self._seconds = gpu, seconds
        self._busy = self._joules = self._time = 0.0
        self._failed: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        before = monotonic()
        while not self._stop.wait(self._seconds):
            now = monotonic()
            try:
                share, watts = self._gpu.utilisation(), self._gpu.power()
            except Exception as error:  # a card that does not tell: whoever reads the meters is told so
                self._failed = error
                return
            self._busy += share * (now - before)
            self._joules += watts * (now - before)
            self._time += now - before
            before = now

    def read(self) -> dict[str, float]:
        """Means since the start; NaN before the first sample, and from a card that does not tell."""
        silent = self._failed is not None or not self._time
        busy, watts, joules = (
            (math.nan,) * 3 if silent else (self._busy / self._time, self._joules / self._time, self._joules)
        )
        return {"gpu_utilisation": busy, "gpu_power_w": watts, "gpu_energy_j": joules}

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()
        self._gpu.close()


def synchronise(device: str) -> None:
    """Wait until a GPU has done what it was asked: its kernels run while Python goes on.

    Source: PyTorch, CUDA semantics, "Asynchronous execution".
    """
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


class Meters:
    """The meters of one run on a device. A GPU's memory is that of training: evaluations, whose batches may be larger,
    are between `pause` and `go_on`."""

    def __init__(self, device: str) -> None:
        self._device, self._sampler = device, None
        self._allocated = self._reserved = 0.0
        if device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
            self._sampler = Sampler(Nvml(torch.cuda.current_device()))

    def pause(self) -> None:
        """Training stands still from here on, when its kernels are done."""
        synchronise(self._device)
        if self._device == "cuda":
            import torch

            self._allocated = max(self._allocated, torch.cuda.max_memory_allocated() / _MB)
            self._reserved = max(self._reserved, torch.cuda.max_memory_reserved() / _MB)

    def go_on(self) -> None:
        """Training goes on."""
        if self._device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()

    def read(self) -> Mapping[str, float]:
        """Figures of `record.METERS`, by their names, as they were at the last `pause`."""
        found = {"peak_memory_mb": peak_memory_mb()}
        if self._device == "cuda":
            found |= {"gpu_allocated_mb": self._allocated, "gpu_reserved_mb": self._reserved}
        return found | (self._sampler.read() if self._sampler else {})

    def close(self) -> None:
        """Stop sampling."""
        if self._sampler is not None:
            self._sampler.close()
