"""What the doctor finds: on this machine, and where something is planted."""

import json
import re
import socket
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

import api
import orchestrator
import trainers
from api.cli.application import application
from api.doctor import Finding, State
from api.doctor.deployment import (
    known_variables,
    look_at_database,
    look_at_ray,
    look_at_service,
    look_at_trackers,
    read_settings,
)
from api.doctor.machine import look_at_folder, look_at_shared_memory, memory_limit
from api.doctor.network import look_at_ports, look_at_proxies
from api.doctor.software import _gpus
from api.local_stack.record import StackRecord
from orchestrator.settings import Settings
from orchestrator.store.database import open_database
from tests.orchestrator.conftest import Dashboard

NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "SIGMALAB_URL",
        "SIGMALAB_DATABASE_URL",
        "SIGMALAB_STORAGE",
        "MLFLOW_TRACKING_URI",
        "RAY_ADDRESS",
        "SIGMALAB_RAY_AUTH_TOKEN",
        "RAY_AUTH_TOKEN",
        "RAY_AUTH_TOKEN_PATH",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path))
    monkeypatch.setenv("SIGMALAB_RAY_DASHBOARD_URL", NOBODY)


@pytest.mark.slow
def test_the_whole_of_it_is_told_in_order_and_its_problems_decide(tmp_path: Path) -> None:
    answer = CliRunner().invoke(application, ["doctor", "--json"])
    found = json.loads(answer.stdout)
    # What is wrong with this machine is not for this test to say.
    well = all(finding["state"] != "problem" for finding in found["findings"])
    assert (found["healthy"], answer.exit_code) == (well, 0 if well else 5), answer.stdout
    assert [finding["name"] for finding in found["findings"]] == [
        *("Python", "torch", "GPUs", "cores", "memory", "/dev/shm", "state folder"),
        *("port 8000", "port 8265", "port 5000", "proxies", "settings", "Ray", "service", "MLflow", "database"),
    ]  # fmt: skip
    # It looks, and leaves nothing.
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_named_with_the_right_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMALAB_STORAG", "/data")
    monkeypatch.setenv("SIGMALAB_MAX_DRIVER_ATTEMPTS", "0")
    settings, findings = read_settings()
    assert settings is None
    assert [(finding.state, finding.text) for finding in findings] == [
        (State.NOTE, "SIGMALAB_STORAG is set, but nothing reads it"),
        (State.PROBLEM, "SIGMALAB_MAX_DRIVER_ATTEMPTS=0: Input should be greater than or equal to 1"),
    ]
    assert findings[0].advice == "did you mean SIGMALAB_STORAGE?"


def test_every_variable_that_is_read_somewhere_is_known() -> None:
    read = set[str]()
    for package in (api, orchestrator, trainers):
        for source in Path(package.__path__[0]).rglob("*.py"):
            read.update(re.findall(r"\bSIGMALAB_[A-Z][A-Z_]*[A-Z]\b", source.read_text()))
    # The last two are set for a user's script.
    assert read - {"SIGMALAB_MLFLOW_TRACKING_URI", "SIGMALAB_SEED", "SIGMALAB_OUTPUT"} <= known_variables()


def test_the_container_s_memory_counts(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None
    (tmp_path / "memory.max").write_text("1073741824\n")
    (tmp_path / "memory.current").write_text("1048576\n")
    assert memory_limit(tmp_path) == (2**30, 2**20)


def test_folders_that_cannot_be_written_and_small_shared_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = look_at_folder("state folder", tmp_path / "file" / "home", needed_gib=1)
    assert finding.state is State.PROBLEM
    assert "can't be written: Not a directory" in finding.text
    assert look_at_folder("state folder", tmp_path / "new", needed_gib=1e9).state is State.PROBLEM
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    finding = look_at_folder("state folder", tmp_path / "open", needed_gib=0)
    assert (finding.state, "everybody may write" in finding.text) == (State.PROBLEM, True)
    assert "not there yet" in look_at_folder("state folder", tmp_path / "new", needed_gib=0).text
    assert look_at_shared_memory(tmp_path / "shm").state is State.NOTE


def test_a_taken_port_is_no_problem_and_proxies_keep_their_passwords(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = pytest.MonkeyPatch()
        ports.setattr("api.doctor.network._PORTS", {port: "MLflow"})
        (finding,) = look_at_ports(tmp_path)
        ports.undo()
    assert finding.state is State.NOTE
    assert "takes another one for MLflow" in finding.text
    told = look_at_proxies({"http_proxy": "http://me:secret@proxy:3128", "ALL_PROXY": "me:secret@proxy:1080"})
    assert "http_proxy=http://proxy:3128" in told.text
    assert "secret" not in told.text


def test_servers_that_are_named_and_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:1")
    monkeypatch.setenv("RAY_ADDRESS", "http://me:secret@127.0.0.1:1")
    monkeypatch.setenv("SIGMALAB_URL", "http://me:secret@127.0.0.1:1")
    settings = Settings()
    for (finding,) in (look_at_trackers(settings), look_at_ray(settings), look_at_service()):
        assert finding.state is State.PROBLEM
        assert "127.0.0.1:1" in finding.text
        assert "secret" not in finding.text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    assert "is not an address" in look_at_trackers(Settings())[0].text


def answers_at(dashboard: Dashboard, findings: list[Finding]) -> bool:
    """Whether the version was told, be it the installed one or not."""
    (finding,) = findings
    return re.search(rf"cluster at {dashboard.url}( has 2\.60\.0.*)?$", finding.text) is not None


def test_ray_is_asked_with_the_token_that_opens_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dashboard: Dashboard
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of another cluster")
    dashboard.token = "secret"
    monkeypatch.setenv("SIGMALAB_RAY_DASHBOARD_URL", dashboard.url)
    (wanted,) = look_at_ray(Settings())
    assert wanted.state is State.PROBLEM
    assert f"the cluster at {dashboard.url} asks for a token" in wanted.text
    for name in ("SIGMALAB_RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN"):
        with monkeypatch.context() as given:
            given.setenv(name, "secret")
            assert answers_at(dashboard, look_at_ray(Settings()))
    # The running stack's own.
    monkeypatch.setenv("SIGMALAB_RAY_DASHBOARD_URL", NOBODY)
    StackRecord(stack_id="a", pid=1, boot_id="b", ray_url=dashboard.url).write(tmp_path)
    (tmp_path / "ray-token").write_text("secret")
    assert answers_at(dashboard, look_at_ray(Settings()))


def test_each_tracker_that_is_named_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path))
    monkeypatch.setenv("SIGMALAB_TRACKERS", "tensorboard,mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    board, mlflow = look_at_trackers(Settings())
    assert (board.name, board.state, mlflow.name, mlflow.state) == ("TensorBoard", State.OK, "MLflow", State.PROBLEM)
    assert f"tensorboard --logdir {tmp_path}/tensorboard" in board.text
    monkeypatch.setenv("SIGMALAB_TRACKERS", "mlfow")
    settings, findings = read_settings()
    assert settings is None
    assert "did you mean `mlflow`?" in findings[0].text
    assert look_at_trackers(settings) == []


def test_mlflow_is_asked_through_the_proxy_as_the_service_asks_it(
    monkeypatch: pytest.MonkeyPatch, forward_proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{forward_proxy}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    (finding,) = look_at_trackers(Settings())
    assert f"answers HTTP 502 (through the proxy http://{forward_proxy} of http_proxy" in finding.text
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert "through the proxy http://127.0.0.1:1 of http_proxy" in look_at_trackers(Settings())[0].text


def test_the_database_is_looked_at_and_left_as_it_is(tmp_path: Path) -> None:
    settings = Settings()
    file = tmp_path / "sigmalab.db"
    assert look_at_database(settings)[0].state is State.OK
    assert not file.exists()
    open_database(settings.effective_database_url).close()
    assert re.search(r", schema \d{4}$", look_at_database(settings)[0].text)
    with sqlite3.connect(file) as connection:
        connection.execute("update sigmalab_schema set version_num = '0002'")
    assert look_at_database(settings)[0].state is State.NOTE
    with sqlite3.connect(file) as connection:
        connection.execute("update sigmalab_schema set version_num = '9999'")
    (finding,) = look_at_database(settings)
    assert finding.state is State.PROBLEM
    assert "schema 9999" in finding.text


@pytest.mark.parametrize(
    ("facts", "state", "text"),
    [
        ({"driver": None}, State.NOTE, "NVIDIA's driver finds none"),
        ({"driver": "12.2", "cuda": "13.2"}, State.PROBLEM, "the driver knows CUDA 12.2, torch was built for 13.2"),
        ({"driver": "12.2", "cuda": None}, State.PROBLEM, "built for the CPU alone"),
        ({"driver": "13.2", "cuda": "13.2", "why": "no device"}, State.NOTE, "torch sees no GPU: no device"),
        ({"driver": "13.2", "works": True, "gpus": ["H100, 80 GiB"] * 2}, State.OK, "2 GPUs: H100, 80 GiB"),
    ],
)
def test_torch_is_held_against_the_driver(facts, state, text) -> None:
    finding = _gpus({"cuda": "13.2", "works": False, "gpus": [], "why": ""} | facts)
    assert finding.state is state
    assert text in finding.text
