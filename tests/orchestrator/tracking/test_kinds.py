"""Where trackers stand, as `doctor`, `/readyz` and `show` tell it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.settings import Settings
from orchestrator.tracking.mlflow.kind import MlflowKind


class Guarded(BaseHTTPRequestHandler):
    """As MLflow's basic-auth: only who is named may ask for more than `/health`."""

    sick = False

    def do_GET(self) -> None:
        is_known = "Authorization" in self.headers
        status, text = 200, "OK"
        if self.path == "/version":
            status, text = (200, "3.1.4") if is_known else (401, "You are not authenticated.")
        elif self.path != "/health":
            status = 404
        status = 500 if self.sick else status
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def guarded() -> Iterator[str]:
    """`host:port` of a server that wants a name and a password."""
    server = HTTPServer(("127.0.0.1", 0), Guarded)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(home: Path, uri: str) -> tuple[bool, str]:
    sight = MlflowKind().look(Settings(home=home, mlflow_tracking_uri=uri))
    return sight.is_well, sight.reason


def test_an_mlflow_that_keeps_its_version_to_itself_is_well(tmp_path: Path, guarded: str) -> None:
    assert told(tmp_path, f"http://{guarded}") == (True, f"MLflow at {guarded} answers")
    assert told(tmp_path, f"http://ann:secret@{guarded}/") == (True, f"MLflow 3.1.4 at {guarded} answers")


def test_an_mlflow_that_is_not_well_is_told_so(tmp_path: Path, guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guarded, "sick", True)
    assert told(tmp_path, f"http://{guarded}") == (False, f"MLflow at {guarded} answers HTTP 500")
    assert told(tmp_path, f"http://{guarded}/elsewhere")[0] is False
