"""Cores, memory, disks: what the machine, or the container, really gives."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from api.doctor.finding import Finding, note, ok, problem
from orchestrator.private_folder import OpenFolderError, refuse_open
from trainers.cores import allowed_cores, cpu_share

_CGROUP = Path("/sys/fs/cgroup")
_GIB = 2**30
_SPEED_BYTES = 32 * 2**20
_SLOW_MIB_PER_SECOND = 20
_SCARCE_GIB = 20
_ENOUGH_MEMORY_GIB = 4
_ENOUGH_SHARED_GIB = 1


def look_at_cores() -> Finding:
    """Cores that this process may use: of the machine, by affinity, by the container's share."""
    machine = os.cpu_count() or 1
    allowed, share = allowed_cores(), cpu_share()
    text = f"{allowed} of the machine's {machine}" if allowed < machine else f"{machine}"
    if share is None or share >= allowed:
        return ok("cores", text)
    return note(
        "cores",
        f"{text}, but the container may use no more than {share:g} at a time",
        f"tell Ray where you start it yourself: ray start --num-cpus {max(1, int(share))}",
    )


def look_at_memory() -> Finding:
    """Memory that there is, and that is free."""
    machine = {line.partition(":")[0]: line.split()[1] for line in _read(Path("/proc/meminfo")).splitlines()}
    if "MemTotal" not in machine:
        return note("memory", "this system does not say")
    total, free = (int(machine[name]) * 1024 / _GIB for name in ("MemTotal", "MemAvailable"))
    limit = memory_limit()
    text = f"{total:.1f} GiB, {free:.1f} GiB free"
    if limit is not None and limit[0] / _GIB < total:
        total, free = limit[0] / _GIB, min(free, (limit[0] - limit[1]) / _GIB)
        text = f"the container may use {total:.1f} GiB, {free:.1f} GiB of it free"
    if free < _ENOUGH_MEMORY_GIB:
        return note("memory", text, "Ray, MLflow, the service and each trial's process take about 1 GiB each")
    return ok("memory", text)


def memory_limit(cgroup: Path = _CGROUP) -> tuple[int, int] | None:
    """Bytes that the control group allows and uses (`None`: no limit)."""
    for most, used in (
        (cgroup / "memory.max", cgroup / "memory.current"),
        (cgroup / "memory" / "memory.limit_in_bytes", cgroup / "memory" / "memory.usage_in_bytes"),
    ):
        if _read(most).isdigit() and _read(used).isdigit():
            return int(_read(most)), int(_read(used))
    return None


def look_at_shared_memory(folder: Path = Path("/dev/shm")) -> Finding:  # noqa: S108 (looked at)
    """Where Ray keeps objects, and loader processes their batches."""
    if not folder.is_dir():
        return note(str(folder), "is not there: Ray keeps its objects on the disk, which is slow")
    total = shutil.disk_usage(folder).total / _GIB
    if total < _ENOUGH_SHARED_GIB:
        return note(
            str(folder),
            f"{total:.2f} GiB: too little for Ray's objects and for loader_workers",
            "start the container with --shm-size=2g (or --ipc=host)",
        )
    return ok(str(folder), f"{total:.1f} GiB")


def look_at_folder(name: str, folder: Path, *, needed_gib: float, is_shared: bool = False) -> Finding:
    """Whether a folder can be written, by nobody else (but by its group, if it is shared), how fast, how much fits."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    what = f"{folder}" if there == folder else f"{folder} (not there yet; made when it is needed)"
    try:
        if there == folder:
            refuse_open(folder, group_may_write=is_shared)
    except OpenFolderError as error:
        return problem(name, str(error), f"ls -la {folder}; then fix it as it says")
    try:
        free = shutil.disk_usage(there).free / _GIB
        speed = _write_speed(there)
    except OSError as error:
        advice = "take another one: export SIGMALAB_HOME=<folder>, SIGMALAB_STORAGE=<folder>"
        return problem(name, f"{what} can't be written: {error.strerror}", advice)
    text = f"{what}: {free:.0f} GiB free, writes {speed:.0f} MiB/s"
    if free < needed_gib:
        return problem(name, text, "make room, or take another disk: export SIGMALAB_HOME=<folder>")
    if free < _SCARCE_GIB or speed < _SLOW_MIB_PER_SECOND:
        advice = (
            "a trial under way saves some four times its model's size every few minutes, and keeps its model's size"
        )
        return note(name, text, advice)
    return ok(name, text)


def _write_speed(folder: Path) -> float:
    """MiB per second, synced as checkpoints are."""
    block = os.urandom(2**20)
    with tempfile.NamedTemporaryFile(prefix=".sigmalab-doctor-", dir=folder) as file:
        started = time.perf_counter()
        for _ in range(_SPEED_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return _SPEED_BYTES / 2**20 / (time.perf_counter() - started)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
