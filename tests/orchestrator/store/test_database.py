"""Opening, reading and writing: what SQLite and PostgreSQL must have in common."""

import os
import shutil
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from orchestrator.errors import StateLostError, StoreError
from orchestrator.private_folder import umask_of
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.store.clock import DatabaseNow, database_now
from orchestrator.store.database import Database, open_database
from orchestrator.store.events import append_event
from orchestrator.store.experiments import insert_experiment, list_experiments
from orchestrator.store.inspection import inspect_database
from orchestrator.store.tables import EventRow, LeaseRow


def test_naive_datetimes_are_refused(database: Database) -> None:
    with pytest.raises(Exception, match="has no time zone; pass an aware UTC datetime"), database.write() as session:
        session.add(LeaseRow(name="a", holder="b", token=1, expires_at=datetime(2026, 1, 1)))


def test_datetimes_come_back_as_the_same_moment_in_utc(database: Database) -> None:
    paris = datetime(2026, 7, 1, 14, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2)))
    with database.write() as session:
        session.add(LeaseRow(name="a", holder="b", token=1, expires_at=paris))
    with database.read() as session:
        read = session.scalars(select(LeaseRow.expires_at)).one()
    assert read == paris
    assert read.utcoffset() == timedelta(0)


def test_database_clock_is_utc_and_takes_an_offset(database: Database) -> None:
    before = datetime.now(UTC)
    with database.read() as session:
        now, in_an_hour = database_now(session), session.scalar(select(DatabaseNow(3600.0)))
    after = datetime.now(UTC)
    # Same host, millisecond resolution.
    assert before - timedelta(milliseconds=2) <= now <= after
    assert (
        timedelta(hours=1) - timedelta(milliseconds=2) <= in_an_hour - before <= timedelta(hours=1) + (after - before)
    )


def test_a_block_that_raises_changes_nothing(database: Database, small_spec: ExperimentSpec) -> None:
    def write_and_raise() -> None:
        with database.write() as session:
            insert_experiment(session, small_spec, "digest")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        write_and_raise()
    with database.read() as session:
        assert list_experiments(session, limit=10) == []


def test_rows_stay_readable_after_their_block(database: Database, small_spec: ExperimentSpec) -> None:
    with database.write() as session:
        written = insert_experiment(session, small_spec, "digest")
    with database.read() as session:
        (read,) = list_experiments(session, limit=10)
    assert (written.name, written.num_pairs) == (read.name, read.num_pairs) == ("small", 2)


def test_a_read_block_sees_one_moment(database: Database, small_spec: ExperimentSpec) -> None:
    with database.read() as session:
        assert list_experiments(session, limit=10) == []
        with database.write() as other:
            insert_experiment(other, small_spec, "digest")
        assert list_experiments(session, limit=10) == []
    with database.read() as session:
        assert len(list_experiments(session, limit=10)) == 1


def test_what_is_changed_in_a_read_block_is_thrown_away(database: Database, experiment_id: str) -> None:
    with database.read() as session:
        (row,) = list_experiments(session, limit=1)
        row.name = "changed"
    with database.read() as session:
        assert list_experiments(session, limit=1)[0].name == "small"


def test_children_need_their_parent(database: Database) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"), database.write() as session:
        session.add(EventRow(experiment_id="nobody", kind="status", payload={}, created_at=database_now(session)))


def test_sixteen_threads_lose_nothing(database: Database, experiment_id: str) -> None:
    def append() -> None:
        for _ in range(10):
            with database.write() as session:
                append_event(session, experiment_id, "trial", {})

    threads = [threading.Thread(target=append) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.scalar(select(func.count()).where(EventRow.kind == "trial")) == 160


def _start_python(script: str, *args: str) -> "subprocess.Popen[str]":
    """Another process; its script imports only what needs no torch."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


_APPEND = """
import sys
from orchestrator.store.database import open_database
from orchestrator.store.events import append_event

database = open_database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    with database.write() as session:
        append_event(session, sys.argv[2], "trial", {"number": number})
"""


def test_several_processes_write_the_same_database(database: Database, database_url: str, experiment_id: str) -> None:
    writers = [_start_python(_APPEND, database_url, experiment_id) for _ in range(3)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for _ in range(50):
        with database.write() as session:
            append_event(session, experiment_id, "trial", {})
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    with database.read() as session:
        ids = session.scalars(select(EventRow.id).where(EventRow.kind == "trial")).all()
    assert len(set(ids)) == 200


_OPEN = """
import sys
from orchestrator.store.database import open_database

print("ready", flush=True)
sys.stdin.readline()
open_database(sys.argv[1]).close()
"""


def test_several_processes_migrate_at_once(empty_database_url: str) -> None:
    starters = [_start_python(_OPEN, empty_database_url) for _ in range(3)]
    for starter in starters:
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        starter.stdin.write("go\n")
        starter.stdin.flush()
    for starter in starters:
        starter.communicate()
    assert [starter.returncode for starter in starters] == [0, 0, 0]
    opened = open_database(empty_database_url)
    with opened.read() as session:
        assert session.scalar(text("SELECT count(*) FROM sigmalab_schema")) == 1
    opened.close()


def test_sqlite_is_durable_and_lets_readers_read(tmp_path: Path) -> None:
    opened = open_database(f"sqlite:///{tmp_path / 'new folder' / 'a.db'}")
    with opened.read() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    opened.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://ann:s3cret@127.0.0.1:1/db", r"can't open postgresql://127\.0\.0\.1:1/db: .*(refused|failed)"),
        ("postgresql+psycopg://ann:s3cret@127.0.0.1:1/db", r"can't open postgresql://127\.0\.0\.1:1/db"),
        ("mysql://ann:s3cret@host/db", r"unknown database 'mysql'; sqlite and postgresql are supported"),
        ("sqlite://", r"in-memory SQLite database can't be shared between processes; name a file"),
        ("sqlite:///:memory:", r"in-memory"),
        ("s3cret", r"the database URL can't be read; write sqlite:////absolute/path.db or postgresql://"),
        ("sqlite:////proc/nowhere/a.db", r"can't make the folder of /proc/nowhere/a\.db: No such file"),
    ],
)
def test_what_can_not_be_opened_says_why_without_the_password(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        open_database(url)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    file.write_text("Dear diary, " * 100)
    with pytest.raises(StoreError, match=r"can't open sqlite:///.*/a\.db: file is not a database"):
        open_database(f"sqlite:///{file}")


def test_a_folder_in_the_place_of_a_database_is_a_lost_state(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    opened = open_database(f"sqlite:///{file}")
    opened.ping()
    opened.close()
    # The folder may get the removed file's inode, or another one: the file system decides.
    file.unlink()
    file.mkdir()
    with pytest.raises(StateLostError, match=r"a\.db was removed, replaced or emptied"):
        opened.ping()


def test_a_database_that_breaks_while_it_is_used_is_a_store_error(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    opened = open_database(f"sqlite:///{file}")
    opened.ping()
    opened.close()
    file.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        opened.ping()


@pytest.mark.postgres
def test_connections_survive_a_server_that_drops_them(postgresql_url: str) -> None:
    opened = open_database(postgresql_url)
    with opened.write() as session:
        session.execute(text("SELECT 1"))
    other = open_database(postgresql_url)
    with other.write() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
    opened.ping()
    opened.close()
    other.close()


def test_a_file_that_is_removed_is_not_made_anew(
    migrated_sqlite: Path, tmp_path: Path, small_spec: ExperimentSpec
) -> None:
    file = tmp_path / "sigmalab.db"
    shutil.copy(migrated_sqlite, file)
    database = open_database(f"sqlite:///{file}")
    with database.write() as session:
        insert_experiment(session, small_spec, "digest")
    kept = file.rename(tmp_path / "kept.db")
    for use in (database.read, database.write, database.ping):
        with pytest.raises(StateLostError, match=r"the database .*sigmalab\.db was removed, replaced or emptied"):
            use().__enter__()
        assert not file.exists()
    shutil.copy(migrated_sqlite, file)
    with pytest.raises(StateLostError):
        database.ping()
    kept.replace(file)
    with database.read() as session:
        assert len(list_experiments(session, limit=10)) == 1
    database.close()


def test_a_database_that_must_exist(tmp_path: Path) -> None:
    file = tmp_path / "sigmalab.db"
    with pytest.raises(StateLostError, match=r"sigmalab\.db is gone"):
        open_database(f"sqlite:///{file}", must_exist=True)
    assert not file.exists()
    open_database(f"sqlite:///{file}").close()
    open_database(f"sqlite:///{file}", must_exist=True).close()


def test_one_that_is_cut_to_nothing_is_not_a_new_one(
    migrated_sqlite: Path, tmp_path: Path, small_spec: ExperimentSpec
) -> None:
    file = tmp_path / "sigmalab.db"
    shutil.copy(migrated_sqlite, file)
    database = open_database(f"sqlite:///{file}")
    os.truncate(file, 0)
    with pytest.raises(StateLostError, match="removed, replaced or emptied"):
        database.ping()
    database.close()
    for must_exist in (True, False):
        with pytest.raises(StateLostError, match=r"sigmalab\.db was cut to 0 bytes.*put a copy back.*remove it"):
            open_database(f"sqlite:///{file}", must_exist=must_exist)
    with pytest.raises(StateLostError, match="was cut to 0 bytes"):
        inspect_database(f"sqlite:///{file}")
    file.unlink()
    open_database(f"sqlite:///{file}").close()


def test_a_start_that_was_killed_leaves_no_empty_database(tmp_path: Path) -> None:
    file = tmp_path / "sigmalab.db"
    for left in ("sigmalab.db.new", "sigmalab.db.new-wal", "sigmalab.db-wal", "sigmalab.db-shm"):
        tmp_path.joinpath(left).write_bytes(b"half of it")
    database = open_database(f"sqlite:///{file}")
    with database.read() as session:
        assert list_experiments(session, limit=10) == []
    database.close()
    assert {path.name for path in tmp_path.iterdir()} == {"sigmalab.db", "sigmalab.db.lock"}


def test_its_files_are_for_this_user_alone(tmp_path: Path, small_spec: ExperimentSpec) -> None:
    with umask_of(0):
        database = open_database(f"sqlite:///{tmp_path / 'home' / 'sigmalab.db'}")
        with database.write() as session:
            insert_experiment(session, small_spec, "digest")
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").iterdir()}
        database.close()
    assert found == dict.fromkeys(("sigmalab.db", "sigmalab.db-wal", "sigmalab.db-shm", "sigmalab.db.lock"), 0o600)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_a_link_to_another_disk_stays_one(tmp_path: Path) -> None:
    tmp_path.joinpath("disk").mkdir()
    link = tmp_path / "sigmalab.db"
    link.symlink_to(tmp_path / "disk" / "real.db")
    open_database(f"sqlite:///{link}").close()
    assert link.is_symlink()
    assert (tmp_path / "disk" / "real.db").stat().st_size
