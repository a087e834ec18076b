"""Cores that a container gives, by the files of both versions of control groups."""

import os
from pathlib import Path

import pytest

from trainers.cores import allowed_cores, cpu_share, fewer_readers, readers


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
    ("wanted", "cores", "started"), [(0, 1, 0), (0, 64, 0), (3, 4, 3), (8, 4, 3), (8, 4.5, 3), (1, 1, 1), (4, 0.5, 1)]
)
def test_no_more_readers_are_started_than_cores_are_left(wanted, cores, started) -> None:
    assert readers(wanted, cores=cores) == started


def test_fewer_readers_are_told() -> None:
    assert fewer_readers(8, 3, cores=4.0) == (
        "3 loader workers of 8 read: they and the training share 4 cores, and more would read no faster"
    )
    assert fewer_readers(2, 1, cores=1.0).startswith("1 loader worker of 2 reads: they and the training share 1 core,")
