"""Cores that a container gives, by the files of both versions of control groups."""

import os
from pathlib import Path

import pytest

from trainers.cores import allowed_cores, cpu_share, crowding


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
    ],
)
def test_the_share_of_a_container(tmp_path: Path, files: dict[str, str], share: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu_share(tmp_path) == share


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system knows no affinity")
def test_a_process_that_is_bound_to_one_core_has_one() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert allowed_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("loader_workers", "allowed", "share", "told"),
    [
        (0, 1, None, None),
        (3, 4, None, None),
        (8, 64, 4.0, "8 loader workers and the training share 4 cores: more than 3 of them read no faster"),
        (2, 1, None, "2 loader workers and the training share 1 core: more than 1 of them read no faster"),
    ],
)
def test_more_readers_than_cores_are_named(loader_workers, allowed, share, told) -> None:
    assert crowding(loader_workers, allowed=allowed, share=share) == told
