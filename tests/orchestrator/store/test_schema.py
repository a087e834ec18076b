"""The schema: migrations and tables agree, on both databases, and strange databases are refused in words."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from orchestrator.errors import StoreError
from orchestrator.store.database import Database, open_database
from orchestrator.store.schema import VERSION_TABLE, alembic_config, revisions
from orchestrator.store.tables import Table, TrialRow


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
    values = {column.name: None for column in TrialRow.__table__.columns if column.name != "hardware"}
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
