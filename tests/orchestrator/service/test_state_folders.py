"""State that is removed under a running service is noticed."""

import shutil
from pathlib import Path

import pytest

from orchestrator.errors import StateLostError
from orchestrator.service.state_folders import StateFolders


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "trials"


def test_what_is_missing_at_the_start_is_made(home: Path, storage: Path) -> None:
    folders = StateFolders(home, storage)
    assert storage.is_dir()
    folders.check()
    assert StateFolders(home, storage).id == folders.id


def test_a_removed_home(home: Path, storage: Path) -> None:
    folders = StateFolders(home, storage)
    shutil.rmtree(home)
    with pytest.raises(StateLostError, match=r"the state folder .*home was removed or replaced"):
        folders.check()
    # Another service makes a new one there: it is not the old one.
    StateFolders(home, storage)
    with pytest.raises(StateLostError):
        folders.check()


def test_a_removed_storage_and_one_that_is_put_back(home: Path, storage: Path) -> None:
    folders = StateFolders(home, storage)
    kept = storage.rename(storage.with_name("kept"))
    with pytest.raises(StateLostError, match=r"the trials' storage .*trials was removed or replaced"):
        folders.check()
    storage.mkdir()
    with pytest.raises(StateLostError):
        folders.check()
    storage.rmdir()
    kept.rename(storage)
    folders.check()


def test_a_home_that_can_not_be(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    with pytest.raises(StateLostError, match="can't be used"):
        StateFolders(tmp_path / "file" / "home", tmp_path)
