"""The schema: migrations and tables agree, on both databases, and strange databases are refused in words."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text, update

from orchestrator.errors import OldSchemaError, StoreError
from orchestrator.store.clock import DatabaseNow
from orchestrator.store.database import Database, open_as_it_is, open_database
from orchestrator.store.schema import VERSION_TABLE, alembic_config, revisions
from orchestrator.store.tables import DriverAttemptRow, Table, TrialRow
from tests.orchestrator.kept_database import INTERRUPTED, SUCCEEDED, restore


def test_migrations_make_exactly_the_tables(database: Database) -> None:
    with database.write() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Table.metadata) == []


def test_revisions_are_those_of_alembic(database: Database) -> None:
    with database.read() as session:
        scripts = ScriptDirectory.from_config(alembic_config(session.connection()))
    assert revisions() == [script.revision for script in scripts.walk_revisions()][::-1]


def test_opening_twice_changes_nothing(database: Database, database_url: str) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO leases VALUES ('a', 'b', 7, '2026-01-01 00:00:00+00')"))
    again = open_database(database_url)
    with again.read() as session:
        assert session.scalar(text("SELECT token FROM leases")) == 7
    again.close()


def test_what_older_trainings_ran_on_is_read_from_their_results(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    values = {column.name: None for column in TrialRow.__table__.columns if column.name not in ("hardware", "code")}
    values |= dict.fromkeys(("identity", "cell", "arm", "phase", "config", "status", "error"), "x")
    values |= {"id": 1, "experiment_id": "e", "seed": 0, "params": "{}", "attempt": 0, "final_metrics": "{}"}
    values |= {"tracking_done": False, "result": '{"provenance": {"device": "NVIDIA X", "num_workers": "4"}}'}
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        if engine.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE trials DROP CONSTRAINT fk_trials_experiment_id"))
        names = ", ".join(values)
        connection.execute(text(f"INSERT INTO trials ({names}) VALUES (:{names.replace(', ', ', :')})"), values)
    engine.dispose()
    opened = open_database(empty_database_url)
    with opened.read() as session:
        assert session.scalar(text("SELECT hardware FROM trials")) == "cuda-4"
    opened.close()


def test_what_mlflow_has_moves_into_the_trackers_table_and_back(empty_database_url: str) -> None:
    restore(empty_database_url)
    engine = create_engine(empty_database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        kept = connection.execute(text(_OF_MLFLOW)).all()
        shipped = connection.execute(text("SELECT id, shipped FROM metrics ORDER BY id")).all()
        command.upgrade(alembic_config(connection), "0009")
        rows = connection.execute(
            text(
                "SELECT trial_id, group_id, run_id, shipped_to, told_status, told_ended_at IS NULL FROM tracking "
                "WHERE experiment_id = :id ORDER BY trial_id"
            ),
            {"id": INTERRUPTED},
        ).all()
        last = dict(connection.execute(text("SELECT trial_id, max(id) FROM metrics GROUP BY trial_id")).all())
        waiting = {row_id for row_id, is_shipped in shipped if not is_shipped}
        assert rows == [
            (0, "2", "66cf58322bb249448328174392275658", 0, None, True),
            (15, None, "5f1223de9c2d45c1b737e629037a5a73", min(waiting) - 1, None, True),
            (16, None, "33cbf34f4f4e4ebb8d001b5d0a1472f0", last[16], None, True),
        ]
        told = text("SELECT count(*) FROM tracking WHERE experiment_id = :id AND told_status = 'succeeded'")
        assert connection.scalar(told, {"id": SUCCEEDED}) == 9
        command.downgrade(alembic_config(connection), "0008")
        assert connection.execute(text(_OF_MLFLOW)).all() == kept
        assert connection.execute(text("SELECT id, shipped FROM metrics ORDER BY id")).all() == shipped
    engine.dispose()


_OF_MLFLOW = (
    "SELECT trials.id, run_id, tracking_done, mlflow_experiment_id, summary_run_id, summary_shipped "
    "FROM trials JOIN experiments ON experiments.id = experiment_id ORDER BY trials.id"
)


def alter_attempt(url: str, **values: DatabaseNow | None) -> str:
    """Of the kept database's experiment that was caught in the middle; gives the schema's version."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        attempt = update(DriverAttemptRow).where(DriverAttemptRow.experiment_id == INTERRUPTED)
        assert connection.execute(attempt.values(ended_at=None).values(values)).rowcount == 1
        version = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    engine.dispose()
    return version


def test_no_schema_is_changed_under_a_driver_that_works(empty_database_url: str) -> None:
    restore(empty_database_url)
    for silence_seconds, heartbeat_at, started_at in (
        (180, DatabaseNow(-30), DatabaseNow(-5000)),
        (600, DatabaseNow(-300), DatabaseNow(-5000)),
        # It has just been started, and imports what it needs.
        (180, None, DatabaseNow(-30)),
    ):
        assert alter_attempt(empty_database_url, heartbeat_at=heartbeat_at, started_at=started_at) == "0008"
        told = rf"has schema 0008, .*{INTERRUPTED} \(attempt 1, 3\d+ s ago\).*sigmalab cancel.*forgotten in \d+ s"
        with pytest.raises(StoreError, match=told):
            open_database(empty_database_url, silence_seconds=silence_seconds)
    with pytest.raises(OldSchemaError, match=r"has schema 0008, and this version of sigmalab reads schema \d{4}$"):
        open_as_it_is(empty_database_url)
    assert alter_attempt(empty_database_url, heartbeat_at=DatabaseNow(-300)) == "0008"
    open_database(empty_database_url).close()
    assert alter_attempt(empty_database_url, heartbeat_at=DatabaseNow()) == revisions()[-1]
    # Of the same version as the drivers.
    open_database(empty_database_url).close()
    open_as_it_is(empty_database_url).close()


@pytest.mark.parametrize(
    "values",
    [
        {"heartbeat_at": DatabaseNow(), "ended_at": DatabaseNow()},
        {"heartbeat_at": None, "started_at": DatabaseNow(-5000)},
        # Written before the database's clock was set back.
        {"heartbeat_at": DatabaseNow(5000)},
    ],
)
def test_a_driver_that_works_no_more_holds_no_upgrade_up(tmp_path: Path, values: dict[str, DatabaseNow | None]) -> None:
    url = f"sqlite:///{tmp_path / 'sigmalab.db'}"
    restore(url)
    alter_attempt(url, **values)
    open_database(url).close()
    assert alter_attempt(url) == revisions()[-1]


@pytest.mark.postgres
def test_who_changes_nothing_makes_no_tables(empty_postgresql_url: str) -> None:
    with pytest.raises(OldSchemaError, match="has no tables yet") as told:
        open_as_it_is(empty_postgresql_url)
    assert told.value.version is None
    engine = create_engine(empty_postgresql_url.replace("postgresql://", "postgresql+psycopg://"))
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_newer_schema_is_refused(empty_database_url: str) -> None:
    opened = open_database(empty_database_url)
    with opened.write() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    opened.close()
    with pytest.raises(StoreError, match=r"schema version 9999, which this version .* does not know .*upgrade"):
        open_database(empty_database_url)


def test_another_programs_database_is_refused(empty_database_url: str) -> None:
    url = empty_database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE experiments (id INTEGER)"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"tables of another program \(experiments\)"):
        open_database(empty_database_url)
