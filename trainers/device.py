"""The device that a process trains on, and the arithmetic there."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainers.arithmetic import fp32_products
from trainers.errors import ConfigError
from trainers.optimization.recipe import Precision


@dataclass(frozen=True)
class Instant:
    """A moment on the clock of the CPU, or one between the kernels of a GPU's queue."""

    cpu_seconds: float
    event: torch.cuda.Event | None

    def seconds_until(self, later: "Instant") -> float:
        """Seconds between two moments of one device; of a GPU's, once it has passed both."""
        if self.event is None or later.event is None:
            return later.cpu_seconds - self.cpu_seconds
        return float(self.event.elapsed_time(later.event)) / 1000


@dataclass(frozen=True)
class Device:
    """A CPU, or this process's GPU."""

    torch_device: torch.device
    precision: Precision

    @classmethod
    def choose(cls, wanted: Literal["auto", "cpu", "cuda"], precision: Precision) -> "Device":
        """The device that a runtime asks for.

        With several GPUs, the one that the caller has set as current.

        Raises:
            ConfigError: CUDA is asked for and there is none.
        """
        has_cuda = torch.cuda.is_available()
        if wanted == "cuda" and not has_cuda:
            raise ConfigError("device 'cuda' is asked for, but torch sees no CUDA device here; take 'auto' or 'cpu'")
        if wanted == "cpu" or not has_cuda:
            return cls(torch.device("cpu"), precision)
        return cls(torch.device("cuda", torch.cuda.current_device()), precision)

    @property
    def is_cuda(self) -> bool:
        """Whether this is a GPU."""
        return self.torch_device.type == "cuda"

    @property
    def name(self) -> str:
        """For provenance: `cpu`, or the GPU's product name."""
        return torch.cuda.get_device_name(self.torch_device) if self.is_cuda else "cpu"

    def now(self) -> "Instant":
        """This moment of the work on the device."""
        if not self.is_cuda:
            return Instant(time.perf_counter(), None)
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.torch_device))
        return Instant(0.0, event)

    def receive(self, tensor: Tensor) -> Tensor:
        """A tensor of a batch, on this device (from pinned memory the copy doesn't block)."""
        return tensor.to(self.torch_device, non_blocking=True)

    @property
    def fp32(self) -> str:
        """What fp32 products are computed in, for provenance: `ieee` or `tf32`."""
        return "tf32" if self.precision == "tf32" and self.is_cuda else "ieee"

    def products(self) -> AbstractContextManager[None]:
        """Context of the whole training: how fp32 products are computed."""
        return fp32_products(tf32=self.fp32 == "tf32")

    def autocast(self) -> torch.autocast:
        """Context of a forward pass; parameters, and so sigma and A, stay in fp32."""
        return torch.autocast(self.torch_device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")
