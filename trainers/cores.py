"""The CPU cores that this process really gets: of the machine, by affinity, by its container's share."""

import os
from pathlib import Path

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


def crowding(loader_workers: int, *, allowed: int, share: float | None) -> str | None:
    """What to say where more processes read images than there are cores (`None`: nothing).

    Args:
        loader_workers: of one training process, which needs a core itself.
        allowed: cores that it may run on.
        share: cores' worth of time that its container has.
    """
    given = allowed if share is None else min(allowed, share)
    if not loader_workers or loader_workers + 1 <= given:
        return None
    return (
        f"{loader_workers} loader workers and the training share {given:g} {'core' if given == 1 else 'cores'}: more "
        f"than {max(1, int(given) - 1)} of them read no faster"
    )


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
