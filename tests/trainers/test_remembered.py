"""What is remembered on disk, and when it is asked again."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainers import remembered as module
from trainers.remembered import cache_folder, remembered, remembered_arrays


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGMALAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_asks_once() -> None:
    answers = iter([1.5, 2.5])
    assert [remembered("flops", "a model", float, lambda: next(answers)) for _ in range(3)] == [1.5] * 3
    assert remembered("flops", "another", float, lambda: next(answers)) == 2.5


def test_arrays_are_asked_once_and_again_where_their_file_is_broken(folder: Path) -> None:
    first, second = ({"boxes": np.arange(number), "names": np.frombuffer(b"[1]", np.uint8)} for number in (3, 4))
    answers = iter([first, second])
    for expected in (first, first):
        found = remembered_arrays("coco_index", "a file", lambda: next(answers))
        assert {name: array.tolist() for name, array in found.items()} == {
            name: array.tolist() for name, array in expected.items()
        }
    (file,) = folder.rglob("coco_index-*.npz")
    file.write_bytes(file.read_bytes()[:-10])
    assert len(remembered_arrays("coco_index", "a file", lambda: next(answers))["boxes"]) == 4


def test_asks_again_after_any_change_of_code_or_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remembered("flops", "a model", float, lambda: 1.0) == 1.0
    monkeypatch.setattr(module, "source_version", lambda: "another")
    assert remembered("flops", "a model", float, lambda: 2.0) == 2.0


def test_asks_again_where_the_file_is_broken(folder: Path) -> None:
    remembered("flops", "a model", float, lambda: 1.0)
    (file,) = folder.rglob("flops-*.json")
    file.write_text("1.")
    assert remembered("flops", "a model", float, lambda: 2.0) == 2.0
    assert remembered("flops", "a model", float, lambda: 3.0) == 2.0


def test_an_error_is_not_kept() -> None:
    def fail() -> float:
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        remembered("flops", "a model", float, fail)
    assert remembered("flops", "a model", float, lambda: 1.0) == 1.0


def test_does_without_a_folder_that_can_be_written(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    assert [remembered("flops", "a model", float, lambda: 1.0) for _ in range(2)] == [1.0, 1.0]


def test_of_other_code_the_latest_few_folders_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "photos").mkdir(parents=True)
    foreign = folder / f"{0:012x}" / "diary-2026.json"
    foreign.parent.mkdir()
    foreign.write_text("mine")
    os.utime(foreign.parent, (0, 0))
    for version in range(1, 8):
        monkeypatch.setattr(module, "source_version", lambda version=version: f"{version:012x}")
        assert remembered("no_bias", "a model", str, lambda: "none") == "none"
        os.utime(folder / f"{version:012x}", (version, version))
    kept = {each.name for each in folder.iterdir()}
    assert kept == {"photos", foreign.parent.name, *(f"{version:012x}" for version in (4, 5, 6, 7))}
    assert foreign.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes a user that nobody knows")
def test_does_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "SIGMALAB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    program = """
import os
from trainers.remembered import remembered
from trainers.version import source_version
source_version()  # this user may not enter the folder of the sources
os.setuid(12345)
print([remembered("flops", "a model", float, lambda: 1.5) for _ in range(2)])
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[1.5, 1.5]\n", "")


def test_lies_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SIGMALAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sigmalab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "sigmalab"
