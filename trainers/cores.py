"""The CPU cores that this process really gets: of the machine, by affinity, by its container's share."""

import os
from pathlib import Path

from trainers.counted import counted

_CGROUP = Path("/sys/fs/cgroup")


def allowed_cores() -> int:
    """Cores that this process may run on."""
    machine = os.cpu_count() or 1
    # macOS knows no affinity.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine


def cpu_share(cgroup: Path = _CGROUP) -> float | None:
    """Cores' worth of time that the control group gives, in either version (`None`: no limit)."""
    second = _read(cgroup / "cpu.max").split()
    if len(second) == 2 and second[0] != "max":
        return int(second[0]) / int(second[1])
    first = _read(cgroup / "cpu" / "cpu.cfs_quota_us"), _read(cgroup / "cpu" / "cpu.cfs_period_us")
    return int(first[0]) / int(first[1]) if first[0] and first[1] and int(first[0]) > 0 else None


def given_cores() -> float:
    """Cores' worth of time that this process can have."""
    share = cpu_share()
    return allowed_cores() if share is None else min(allowed_cores(), share)


def readers(wanted: int, *, cores: float) -> int:
    """Loader workers to start: no more than leave the training process a core of its own, one at the least.

    Args:
        wanted: how many are asked for; of 0 none is made.
        cores: for the loader workers and the training process.
    """
    return min(wanted, max(1, int(cores) - 1))


def fewer_readers(wanted: int, started: int, *, cores: float) -> str:
    """What to say where not all loader workers that are asked for are started."""
    return (
        f"{counted(started, 'loader worker')} of {wanted} {'reads' if started == 1 else 'read'}: they and the training "
        f"share {cores:g} {'core' if cores == 1 else 'cores'}, and more would read no faster"
    )


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
