"""What a training's numbers depend on beside its identity: the kind of device, and how many processes share it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Self

from orchestrator.spec.experiment import Resources


class Hardware(NamedTuple):
    """Trainings of one identity are equal on equal hardware only, so only those stand in for each other.

    A CPU and a GPU round and draw differently, and each of several processes draws its own dropout. On CPUs equal means
    bit for bit, with the same number of threads; on GPUs up to rounding, unless `optimization.deterministic` is set.
    GPUs of different models count as one kind, though their dropout differs: a cluster of mixed GPUs could else never
    reuse anything. The report names the pairs that this mixes.
    """

    device: Literal["cpu", "cuda"]
    """Kind of device."""
    num_workers: int
    """Training processes."""

    @classmethod
    def asked_for(cls, resources: Resources) -> Self:
        """What a spec's trials are to run on."""
        return cls("cuda" if resources.gpus_per_worker > 0 else "cpu", resources.num_workers)

    @classmethod
    def used(cls, provenance: Mapping[str, str]) -> Self:
        """What a result was trained on.

        Args:
            provenance: `TrialResult.provenance`.
        """
        return cls("cpu" if provenance["device"] == "cpu" else "cuda", int(provenance["num_workers"]))

    @property
    def key(self) -> str:
        """For tables and names: `cpu-1`, `cuda-8`."""
        return f"{self.device}-{self.num_workers}"


def trial_folder(identity: str, hardware_key: str) -> str:
    """Name of the folder that holds the files of a training of this identity on this hardware (`Hardware.key`)."""
    return f"{identity}-{hardware_key}"
