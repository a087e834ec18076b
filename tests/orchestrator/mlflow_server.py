"""A real MLflow server that tests may kill and bring back on the same port and database."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

_READY_SECONDS = 120


class MlflowServer:
    """Life: `start` -> `kill` (SIGKILL, in mid-request if it comes to that) -> `start` again -> `kill`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self._folder
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(folder / "artifacts")]
        env = os.environ | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        }
        env.pop("MLFLOW_TRACKING_URI", None)
        with (folder / "server.log").open("ab") as log:
            # A group of its own: the server starts workers, and all of them must go.
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (it takes no lock)
            )
        self._wait()

    def kill(self) -> None:
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._process = None

    def _wait(self) -> None:
        # Connecting is refused at once until the port is open, so this asks often, but never sleeps for long.
        transport = httpx.HTTPTransport(retries=0)
        with httpx.Client(transport=transport, timeout=_READY_SECONDS) as client:
            while True:
                assert self._process is not None
                if self._process.poll() is not None:
                    raise RuntimeError(f"MLflow did not start:\n{(self._folder / 'server.log').read_text()}")
                try:
                    if client.get(f"{self.url}/health").status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    self._pause()

    def _pause(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            return


def _die_with_parent() -> None:
    """A test run that is killed runs no finaliser (Linux: PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
