"""Who holds SQLite's write lock, asked of the kernel while another process holds it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.database import Database, open_database
from orchestrator.store.sqlite_writer import find_writer
from tests.orchestrator.another_writer import another_writer, stop


@pytest.fixture
def file(tmp_path: Path, migrated_sqlite: Path) -> Path:
    file = tmp_path / "sigmalab.db"
    file.write_bytes(migrated_sqlite.read_bytes())
    return file


@pytest.fixture
def opened(file: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{file}")
    yield database
    database.close()


def test_the_writer_is_named_and_whether_it_stands_still(opened: Database, file: Path) -> None:
    assert opened.find_writer() is None
    with another_writer(file, "drive", "x1") as process:
        found = opened.find_writer()
        assert (found.pid, found.arguments[-2:], found.is_stopped) == (process.pid, ("drive", "x1"), False)
        stop(process)
        assert opened.find_writer().is_stopped
        assert opened.find_writer().words.startswith(f"process {process.pid} ({sys.executable} -c")
    assert opened.find_writer() is None


def test_readers_and_writers_of_other_files_are_no_writers(opened: Database, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    open_database(f"sqlite:///{other}").close()
    with another_writer(other), opened.read() as session:
        session.connection()
        assert opened.find_writer() is None
    assert find_writer(tmp_path / "nobody.db") is None


def test_ones_own_write_is_seen_too(opened: Database) -> None:
    with opened.write() as session:
        session.connection()
        assert opened.find_writer().pid == os.getpid()
