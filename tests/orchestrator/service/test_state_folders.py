"""State that is removed under a running service is noticed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.driving.storage_faults import probe, storage_trouble
from orchestrator.errors import StateLostError
from orchestrator.service.state_folders import StateFolders
from trainers.storage_token import TOKENS, StorageToken


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


@contextmanager
def another_user() -> Iterator[Path]:
    """Become one, of the same group; gives a folder that both reach."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o770)
        try:
            os.seteuid(65534)
            yield Path(folder)
        finally:
            os.seteuid(0)


def test_a_storage_of_another_user_is_refused_and_never_waited_for() -> None:
    with another_user() as folder:
        home, storage = folder / "home", folder / "trials"
        StateFolders(home, storage)
        storage.chmod(0o770)
        os.seteuid(0)
        StorageToken.write(storage / TOKENS / "1")
        os.seteuid(65534)
        with pytest.raises(StateLostError, match=r"another user's service keeps its trials in .*SIGMALAB_STORAGE"):
            StateFolders(home, storage)
        with pytest.raises(PermissionError):
            StorageToken.write(storage / TOKENS / "2")
        # What no waiting mends is not waited for.
        assert probe(storage / TOKENS) is None
        assert storage_trouble(PermissionError(13, "Permission denied"), storage / TOKENS) is None
