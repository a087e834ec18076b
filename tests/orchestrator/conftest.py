"""A dashboard that speaks Ray's job API and does as it is told, for what a real Ray can't be made to do on demand."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.orchestrator.hand_clock import Clock


class Dashboard(ThreadingHTTPServer):
    """Jobs by id; tests change them, and read what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jobs: dict[str, dict[str, object]] = {}
        """Id -> `status`, `message`, `logs`, and the `request` that made it."""
        self.stopped: list[str] = []
        self.token: str | None = None
        self.session = "session_1"
        self.is_broken = False
        """Whether every answer is an error."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def end(self, job_id: str, status: str, message: str = "", logs: str = "", exit_code: int | None = None) -> None:
        self.jobs[job_id] |= {"status": status, "message": message, "logs": logs, "driver_exit_code": exit_code}

    def restart(self) -> None:
        """As a head without fault tolerance does: the jobs are forgotten, and its name is another one."""
        self.jobs.clear()
        self.session += "+"


class _Handler(BaseHTTPRequestHandler):
    server: Dashboard

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Say nothing."""

    def do_GET(self) -> None:
        *_, last = self.path.split("/")
        job = self.server.jobs.get(last if last != "logs" else self.path.split("/")[-2])
        if self._is_refused():
            return
        if self.path == "/api/version":
            version = {"version": "4", "ray_version": "2.60.0", "session_name": self.server.session}
            self._answer(200, json.dumps(version))
        elif job is None:
            self._answer(404, f"Job {last} does not exist")
        elif last == "logs":
            self._answer(200, json.dumps({"logs": job["logs"]}))
        else:
            known = ("status", "message", "driver_exit_code")
            self._answer(200, json.dumps({"type": "SUBMISSION"} | {key: job[key] for key in known if key in job}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self._is_refused():
            return
        if self.path.endswith("/stop"):
            self.server.stopped.append(self.path.split("/")[-2])
            self._answer(200, json.dumps({"stopped": True}))
            return
        request = json.loads(body)
        if request["submission_id"] in self.server.jobs:
            self._answer(
                500, f"Traceback\nValueError: Job with submission_id {request['submission_id']} already exists."
            )
            return
        job = {"status": "PENDING", "message": "Job has not started yet.", "logs": "", "request": request}
        self.server.jobs[request["submission_id"]] = job
        self._answer(200, json.dumps({"submission_id": request["submission_id"]}))

    def _is_refused(self) -> bool:
        if self.server.is_broken:
            self._answer(500, "Traceback\n  File\nRuntimeError: out of order")
        elif self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self._answer(401, "Unauthorized")
        else:
            return False
        return True

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    server = Dashboard()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock()
