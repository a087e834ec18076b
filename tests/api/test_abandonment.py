"""A client that goes away takes its work with it, and slow work leaves threads for what is quick."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.reading_places import READERS_AT_ONCE, WAITING_AT_MOST
from orchestrator.settings import Settings
from tests.api.conftest import JsonObject
from trainers.errors import ReadingStoppedError
from trainers.fence import Fence


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
    return settings.model_copy(update={"data_root": tmp_path})


@pytest.fixture
def address(app: FastAPI) -> Iterator[tuple[str, int]]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


def request_of(spec: JsonObject, path: str) -> bytes:
    body = json.dumps(spec | {"datasets": [{"kind": "folder", "path": "pets"}]}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def test_reading_stops_when_its_client_goes(
    address: tuple[str, int], spec: JsonObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, stopped = threading.Semaphore(0), threading.Semaphore(0)

    def endless(self: Fence, where: str, num_entries: int = 1) -> None:
        """A folder without end."""
        reading.release()
        while not self.is_cancelled():
            time.sleep(0.01)
        stopped.release()
        raise ReadingStoppedError(where)

    monkeypatch.setattr(Fence, "count", endless)
    with contextlib.ExitStack() as clients:
        for number in range(READERS_AT_ONCE + 2):
            client = clients.enter_context(socket.create_connection(address))
            client.sendall(request_of(spec, "/experiments/plan" if number % 2 else "/experiments"))
        for _ in range(READERS_AT_ONCE):
            assert reading.acquire(timeout=20)
        # As many as may; what is quick is answered all the same.
        assert not reading.acquire(blocking=False)
        assert httpx.get(f"http://127.0.0.1:{address[1]}/experiments", trust_env=False).json()["items"] == []
    # Those that waited may never come to read.
    for _ in range(READERS_AT_ONCE):
        assert stopped.acquire(timeout=20)
    assert httpx.get(f"http://127.0.0.1:{address[1]}/experiments", trust_env=False).json()["items"] == []


def test_many_slow_readings_keep_nobody_waiting_who_reads_nothing(
    app: FastAPI, address: tuple[str, int], spec: JsonObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = threading.Semaphore(0)

    def endless(self: Fence, where: str, num_entries: int = 1) -> None:
        reading.release()
        while not self.is_cancelled():
            time.sleep(0.01)
        raise ReadingStoppedError(where)

    monkeypatch.setattr(Fence, "count", endless)
    url = f"http://127.0.0.1:{address[1]}/experiments"
    with contextlib.ExitStack() as clients:
        for _ in range(READERS_AT_ONCE + WAITING_AT_MOST):
            clients.enter_context(socket.create_connection(address)).sendall(request_of(spec, "/experiments"))
        for _ in range(READERS_AT_ONCE):
            assert reading.acquire(timeout=20)
        places = app.state.sigmalab.reading
        while places.num_waiting < WAITING_AT_MOST:
            time.sleep(0.01)
        assert httpx.post(url, json=spec, trust_env=False, timeout=20).status_code == 202
        assert httpx.post(f"{url}/plan", json=spec, trust_env=False, timeout=20).status_code == 200
        files = spec | {"datasets": [{"kind": "folder", "path": "pets"}]}
        refused = httpx.post(url, json=files, trust_env=False, timeout=20)
        assert (refused.status_code, refused.json()["code"]) == (503, "readers_busy")
        assert int(refused.headers["Retry-After"]) > 0
    # Everybody has gone, and all places are free again.
    for _ in range(READERS_AT_ONCE):
        assert places._free.acquire(timeout=20)


def test_a_body_that_does_not_end_has_a_deadline(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.body.BODY_SECONDS", 0.2)
    with contextlib.ExitStack() as clients:
        opened = [clients.enter_context(socket.create_connection(address, timeout=20)) for _ in range(50)]
        for client in opened:
            head = b"POST /experiments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            client.sendall(head + b"Content-Length: 1000\r\n\r\n{")
        for client in opened:
            answer = b""
            # Until the server ends the connection: there is nothing more to wait for.
            while part := client.recv(65536):
                answer += part
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"the body was not complete after" in answer
