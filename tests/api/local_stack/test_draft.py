"""Ports, folders, notes and locks: everything about a stack that can be asked without starting one."""

import os
import re
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.local_stack import LocalStack, servers
from api.local_stack.draft import StackOptions, draw
from api.local_stack.errors import AlreadyRunningError, StackError
from api.local_stack.existing import ray_dashboard_url, ray_token
from api.local_stack.ports import free_port, listen
from api.local_stack.record import StackLock, StackRecord, boot_id, read_record
from api.local_stack.scratch import Scratch


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def no_existing_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_a_taken_port_is_passed_over(taken: int) -> None:
    assert taken < free_port(taken) <= taken + 20
    assert free_port(taken, taken=frozenset(range(taken, taken + 20))) not in range(taken, taken + 20)


def test_the_api_takes_the_next_port_only_if_it_may(taken: int) -> None:
    with listen("127.0.0.1", taken, must=False) as listener:
        assert taken < listener.getsockname()[1] <= taken + 20
    with pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", taken, must=True)


@pytest.mark.usefixtures("no_existing_servers")
def test_a_port_that_was_asked_for_and_is_taken(tmp_path: Path, taken: int) -> None:
    with pytest.raises(StackError, match=f"127.0.0.1:{taken}.*choose another --port"):
        draw(StackOptions(home=tmp_path, port=taken), Scratch(tmp_path), lambda *_: None)


@pytest.mark.usefixtures("no_existing_servers")
def test_everything_that_is_missing_is_started_on_loopback(tmp_path: Path) -> None:
    draft = draw(StackOptions(home=tmp_path, port=0), Scratch(tmp_path / "s"), lambda *_: None)
    assert draft.listener is not None
    draft.listener.close()
    assert [server.name for server in draft.missing] == ["Ray head", "MLflow", "API"]
    assert all(server.url.startswith("http://127.0.0.1:") for server in draft.missing)
    head, mlflow, api = draft.missing
    assert head.environment["RAY_AUTH_MODE"] == "token"
    assert "RAY_ADDRESS" not in head.environment
    assert api.environment["MLFLOW_TRACKING_URI"] == mlflow.url
    assert api.environment["SIGMALAB_RAY_DASHBOARD_URL"] == head.url
    for server in draft.missing:
        assert Path(server.environment["TMPDIR"]).is_relative_to(tmp_path)


@pytest.mark.usefixtures("no_existing_servers")
def test_no_mlflow_is_started_where_it_is_not_among_the_trackers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMALAB_TRACKERS", "tensorboard")
    draft = draw(StackOptions(home=tmp_path, port=0), Scratch(tmp_path / "s"), lambda *_: None)
    assert draft.listener is not None
    draft.listener.close()
    assert [server.name for server in draft.missing] == ["Ray head", "API"]
    assert draft.urls.mlflow is None
    assert "MLFLOW_TRACKING_URI" not in draft.driver_variables
    monkeypatch.setenv("SIGMALAB_TRACKERS", "tensorboard, mlflow")
    draft = draw(StackOptions(home=tmp_path, port=0), Scratch(tmp_path / "s"), lambda *_: None)
    assert draft.listener is not None
    draft.listener.close()
    assert [server.name for server in draft.missing] == ["Ray head", "MLflow", "API"]


@pytest.mark.usefixtures("no_existing_servers")
def test_a_tracker_that_is_none_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMALAB_TRACKERS", "mlflow,tensorbord")
    message = "SIGMALAB_TRACKERS=mlflow,tensorbord: there is not a tracker `tensorbord`; did you mean `tensorboard`"
    for only_ray in (True, False):
        options = StackOptions(home=tmp_path, port=0, only_ray=only_ray)
        with pytest.raises(StackError, match=re.escape(message)):
            draw(options, Scratch(tmp_path / "s"), lambda *_: None)


def test_existing_servers_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://ray.example:8265/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    news: list[tuple[str, str]] = []
    draft = draw(
        StackOptions(home=tmp_path, port=0), Scratch(tmp_path / "s"), lambda name, what: news.append((name, what))
    )
    assert draft.listener is not None
    draft.listener.close()
    assert [server.name for server in draft.missing] == ["API"]
    assert draft.urls.ray == "http://ray.example:8265"
    assert draft.urls.mlflow == "http://mlflow.example:5000"
    assert draft.environment["SIGMALAB_RAY_DASHBOARD_URL"] == "http://ray.example:8265"
    assert ("MLflow", "existing server http://mlflow.example:5000") in news


def test_a_ray_client_address_takes_no_jobs() -> None:
    with pytest.raises(StackError, match="can't take jobs; give the dashboard"):
        ray_dashboard_url("ray://127.0.0.1:10001", {})


def test_the_token_of_an_existing_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_321_987)
    assert ray_token({}) is None, "a user whose home nobody knows"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ray_token({}) is None
    usual = tmp_path / ".ray" / "auth_token"
    usual.parent.mkdir()
    usual.write_text("usual\n")
    assert ray_token({}) == "usual"
    named = tmp_path / "named"
    named.write_text("named\n")
    assert ray_token({"RAY_AUTH_TOKEN_PATH": str(named)}) == "named"
    assert ray_token({"RAY_AUTH_TOKEN_PATH": str(named), "RAY_AUTH_TOKEN": "given"}) == "given"
    with pytest.raises(StackError, match="nowhere can't be read"):
        ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "nowhere")})


def test_rays_token_is_for_its_owner(tmp_path: Path) -> None:
    token = servers.ray_token(tmp_path)
    assert len(token) == 64
    assert servers.ray_token(tmp_path) == token
    assert stat.S_IMODE(servers.ray_token_file(tmp_path).stat().st_mode) == 0o600


def test_an_empty_token_of_somebody_who_died_is_made_anew(tmp_path: Path) -> None:
    servers.ray_token_file(tmp_path).touch(mode=0o600)
    assert len(servers.ray_token(tmp_path)) == 64


class InterruptedMonitor(threading.Thread):
    """A monitor whose end is waited for when Ctrl-C is pressed once more."""

    def is_alive(self) -> bool:
        return True

    def join(self, timeout: float | None = None) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_while_the_monitor_ends_stops_the_servers_all_the_same(tmp_path: Path) -> None:
    news: list[str] = []
    stack = LocalStack(StackOptions(home=tmp_path), lambda name, what: news.append(f"{name} {what}"))
    stack._lock.__enter__()
    stack._record.write(tmp_path)
    stack._monitor = InterruptedMonitor()
    stack.stop()
    assert news == ["all killing"]
    assert read_record(tmp_path) is None
    with StackLock(tmp_path):
        pass


def test_a_second_stack_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    with StackLock(tmp_path):
        StackRecord(stack_id="a", pid=42, boot_id=boot_id(), url="http://127.0.0.1:8123").write(tmp_path)
        with pytest.raises(AlreadyRunningError, match=r"already running here at http://127\.0\.0\.1:8123, process 42"):
            StackLock(tmp_path).__enter__()
    with StackLock(tmp_path):
        pass


def test_a_note_that_nobody_can_read_is_no_note(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    tmp_path.joinpath("stack.json").write_text('{"stack_id": 3')
    assert read_record(tmp_path) is None
