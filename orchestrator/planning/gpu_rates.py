"""Floating-point operations per second of a GPU, by its model and the trial's precision."""

from difflib import get_close_matches
from typing import NamedTuple

from trainers.optimization.recipe import Precision

UTILISATION = 0.3
"""Assumed share of a GPU's published dense rate that a whole training reaches, data and all overhead included."""

UNKNOWN_GPU = 2e13
"""Assumed for a GPU of whose model nothing is known, in any precision, all overhead included."""

MEASURED: dict[tuple[str, Precision], float] = {
    ("H200", "fp32"): 3.0e13,
    ("H200", "tf32"): 4.9e13,
    ("H200", "bf16"): 1.3e14,
}
"""What whole trainings reached (docs/performance.md), by Ray's accelerator type and precision; it goes before what is
published.

All of them eager, of ViTs of 22 million parameters, in bf16 of 86 million: smaller models reach less, compiled ones
more."""

# Dense rates (data sheets give tensor cores with sparsity, twice as much) in TFLOP/s: fp32, tf32, bf16. Ray's types do
# not tell SXM from PCIe; the figures are SXM's where both are sold. Where tensor cores know neither TF32 nor bf16
# (Volta, Turing), fp32 counts for all. Sources, data sheets by NVIDIA: "Tesla V100" 2020; "T4 Tensor Core GPU" 2019;
# "A100 Tensor Core GPU" 2021; "A10G" 2021; "L4", "L40S" and "H100 Tensor Core GPU" 2023; "H200 Tensor Core GPU" 2024;
# "HGX B200" 2025 (an eighth of the board). fp32 of V100, T4, A100, H100 and bf16 of the last two agree with the table
# of Lightning's `lightning/fabric/utilities/throughput.py`, which gives an A10G the rate of an A10.
_PUBLISHED_TFLOPS: dict[str, tuple[float, float, float]] = {
    "V100": (15.7, 15.7, 15.7),
    "T4": (8.1, 8.1, 8.1),
    "A10G": (35, 35, 70),
    "A100": (19.5, 156, 312),
    "L4": (30.3, 60, 121),
    "L40S": (91.6, 183, 362),
    "H100": (67, 494.5, 989.5),
    "H200": (67, 494.5, 989.5),
    "B200": (75, 1125, 2250),
}
_COLUMNS: tuple[Precision, ...] = ("fp32", "tf32", "bf16")


class GpuRate(NamedTuple):
    """How fast a GPU is taken to be."""

    flops_per_second: float
    unit: str
    """What has this rate: `GPU`, `H100 in bf16`."""
    ground: str
    """Where the figure comes from, in words."""


def gpu_rate(accelerator_type: str | None, precision: Precision) -> GpuRate:
    """The rate of one GPU in a whole training: measured, else a share of what is published, else a figure for any.

    Args:
        accelerator_type: Ray's name of its model (`None`: any); `A100-80G` is an `A100`.
        precision: the trial's.
    """
    for name in dict.fromkeys([accelerator_type or "", (accelerator_type or "").partition("-")[0]]):
        if (name, precision) in MEASURED:
            return GpuRate(MEASURED[name, precision], f"{name} in {precision}", "as measured")
        if name in _PUBLISHED_TFLOPS:
            published = 1e12 * _PUBLISHED_TFLOPS[name][_COLUMNS.index(precision)]
            ground = f"{100 * UTILISATION:.0f} % of the published {published:.2g}, right within a factor of a few"
            return GpuRate(UTILISATION * published, f"{name} in {precision}", ground)
    ground = "right within a factor of ten; "
    ground += (
        "`resources.accelerator_type` would name the GPU's model, for a better estimate"
        if accelerator_type is None
        else f"nothing is known of {accelerator_type}{_nearest(accelerator_type)}"
    )
    return GpuRate(UNKNOWN_GPU, "GPU", ground)


def _nearest(accelerator_type: str) -> str:
    near = get_close_matches(accelerator_type.upper(), _PUBLISHED_TFLOPS, n=1)
    return f"; did you mean {near[0]}?" if near else ""
