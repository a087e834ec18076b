"""Files that are whole or not there, also where several processes write one."""

import os
import time
from pathlib import Path

import pytest

from trainers.atomic_file import replaced_file


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_two_writers_at_once_are_not_in_each_others_way(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    with replaced_file(file) as first:
        first.write(b"first")
        with replaced_file(file) as second:
            second.write(b"second")
        assert file.read_bytes() == b"second"
    assert file.read_bytes() == b"first"
    assert names(tmp_path) == ["checkpoint.pt"]


def test_an_exception_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(b"old")
    with pytest.raises(TypeError), replaced_file(file) as opened:
        opened.write("new")
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["checkpoint.pt"]


def test_what_killed_writers_left_is_removed_and_a_living_ones_file_stays(tmp_path: Path) -> None:
    left, living = tmp_path / ".result.json.0a1b2c3d.tmp", tmp_path / ".result.json.4e5f6a7b.tmp"
    other = tmp_path / ".other.json.0a1b2c3d.tmp"
    for file in (left, living, other):
        file.touch()
    long_ago = time.time() - 7200
    for file in (left, other):
        os.utime(file, (long_ago, long_ago))
    with replaced_file(tmp_path / "result.json") as opened:
        opened.write(b"{}")
    assert names(tmp_path) == [other.name, living.name, "result.json"]
