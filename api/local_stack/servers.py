"""What each server of the stack is: command, environment, address, and how one sees that it is well."""

import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.local_stack.scratch import Scratch
from orchestrator.loopback import keep_from_proxies

_NOT_FOR_OTHERS = ("SIGMALAB_API_TOKEN", "SIGMALAB_RAY_AUTH_TOKEN")
"""What Ray's head, whose jobs inherit its environment, and MLflow need not know."""
OBJECT_STORE_BYTES = 200_000_000
"""Trials pass reports through Ray's object store, not tensors."""


@dataclass(frozen=True)
class Server:
    """One child process of the stack."""

    name: str
    """As people read it."""
    command: list[str]
    """Program and arguments."""
    environment: Mapping[str, str]
    """The whole environment."""
    url: str
    """Where it can be reached."""
    health_url: str
    """Answers 200 when it is well."""
    log: Path
    """Its output."""
    health_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the health request."""
    health_text: str = ""
    """What a healthy answer contains."""
    own_port: int | None = None
    """Port that the server must listen on itself before its health counts (`None`: nobody else could answer for it)."""
    start_timeout_seconds: float = 180.0
    """How long it may take to become healthy (a busy machine, a cold disk)."""
    stop_grace_seconds: float = 10.0
    """Time between SIGTERM and SIGKILL."""
    others_go_on: bool = False
    """Whether the others are of use while it is not there yet."""
    guest_grace_seconds: float = 0.0
    """Time that programs it runs for others (Ray's jobs) get to put their work away before it is stopped itself."""
    pass_fds: tuple[int, ...] = ()
    """Descriptors that it inherits."""
    ray_folder: Path | None = None
    """Where it makes Ray's sessions (`None`: it is not a Ray head)."""

    def is_healthy(self) -> bool:
        """Ask once."""
        try:
            answer = httpx.get(self.health_url, headers=dict(self.health_headers), timeout=5.0, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK and self.health_text in answer.text


@dataclass(frozen=True)
class RayPorts:
    """Ports of a Ray head that have a fixed default, so that two heads on one machine would meet."""

    dashboard: int
    gcs: int
    client: int
    autoscaler_metrics: int
    dashboard_metrics: int


def ray_token(home: Path) -> str:
    """The token of the stack's Ray cluster, made once, readable by its owner only."""
    path = ray_token_file(home)
    if not path.exists() or not path.read_text().strip():
        # In one step: whoever dies in between leaves no empty token, which no cluster takes.
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        draft.replace(path)
    return path.read_text().strip()


def ray_token_file(home: Path) -> Path:
    """Where the token is."""
    return home / "ray-token"


def ray_variables(home: Path, ports: RayPorts) -> dict[str, str]:
    """What a program needs to join the stack's Ray cluster."""
    return {
        "RAY_ADDRESS": f"127.0.0.1:{ports.gcs}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(ray_token_file(home)),
        # Otherwise Ray puts the machine's outer address in place of 127.0.0.1 and listens to all.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def ray_head(home: Path, scratch: Scratch, ports: RayPorts, base: Mapping[str, str]) -> Server:
    """A Ray head on loopback that asks for a token.

    Args:
        home: the state folder.
        scratch: holds its sessions.
        ports: free ports.
        base: environment to start from.
    """
    token = ray_token(home)
    dashboard = f"http://127.0.0.1:{ports.dashboard}"
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--log-color=false"]
    command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-dashboard=true"]
    command += [f"--port={ports.gcs}", f"--dashboard-port={ports.dashboard}", "--dashboard-agent-listen-port=0"]
    command += [f"--ray-client-server-port={ports.client}", f"--temp-dir={scratch.ray}"]
    # Workers take any free port: Ray's usual range would meet another cluster's on this machine.
    command += ["--min-worker-port=0", "--max-worker-port=0"]
    command += [f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats"]
    environment = {
        **_for_others(base),
        **ray_variables(home, ports),
        # Jobs run in this very environment, even if `uv run` started us.
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "AUTOSCALER_METRIC_PORT": str(ports.autoscaler_metrics),
        "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
        # A busy machine needs more than Ray's minute; a part that has failed is seen in its log at once.
        "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "150",
        # A job may close its books when it is stopped.
        "RAY_JOB_STOP_WAIT_TIME_S": "20",
    }
    # The head is not a client of itself.
    del environment["RAY_ADDRESS"]
    return Server(
        name="Ray head",
        command=command,
        environment=environment,
        url=dashboard,
        # The dashboard answers some five seconds before the node can run anything.
        health_url=f"{dashboard}/api/v0/nodes",
        health_text='"ALIVE"',
        health_headers={"Authorization": f"Bearer {token}"},
        log=home / "logs" / "ray-head.log",
        stop_grace_seconds=12.0,
        others_go_on=True,
        # A driver that loses its cluster dies at once; one that is told first ends its attempt, and the next start of
        # the service goes on without waiting until the silence is long enough.
        guest_grace_seconds=12.0,
        ray_folder=scratch.ray,
    )


def mlflow_server(home: Path, port: int, base: Mapping[str, str]) -> Server:
    """An MLflow server on SQLite and a folder of artifacts, on loopback."""
    folder = home / "mlflow"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{folder.absolute() / 'mlflow.db'}"]
    command += ["--serve-artifacts", f"--artifacts-destination={folder.absolute() / 'artifacts'}"]
    environment = {
        **_for_others(base),
        # Saves 2 GB: we run nothing inside MLflow.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        # log_batch opens a second session while it holds one: the default pool of 15 deadlocks.
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "64",
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "64",
    }
    return Server(
        name="MLflow",
        command=command,
        environment=environment,
        url=url,
        health_url=f"{url}/health",
        # Another MLflow that takes the port in the last moment would answer as well, and get our runs.
        own_port=port,
        log=home / "logs" / "mlflow.log",
        stop_grace_seconds=8.0,
        others_go_on=True,
    )


def api_server(home: Path, listener: socket.socket, base: Mapping[str, str]) -> Server:
    """The API on a socket that the parent holds: its port stays ours while the process is replaced."""
    host, port = listener.getsockname()[:2]
    # All addresses include loopback; an IPv6 address stands in brackets.
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    url = f"http://[{near}]:{port}" if ":" in near else f"http://{near}:{port}"
    return Server(
        name="API",
        command=[sys.executable, "-m", "api", "--fd", str(listener.fileno())],
        environment=dict(base),
        url=url,
        health_url=f"{url}/healthz",
        log=home / "logs" / "api.log",
        stop_grace_seconds=15.0,
        pass_fds=(listener.fileno(),),
    )


def _for_others(base: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in base.items() if name not in _NOT_FOR_OTHERS}


def base_environment(home: Path, scratch: Scratch) -> dict[str, str]:
    """The parent's environment, with every place for temporary files and caches inside the stack's folders."""
    ours = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        # `python` in a job's command, and `ray`, are those of this installation, activated or not.
        "PATH": os.pathsep.join(filter(None, (ours, os.environ.get("PATH")))),
        "SIGMALAB_HOME": str(home),
        "TMPDIR": str(scratch.temporary),
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(home / "cache" / "matplotlib")),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONUNBUFFERED": "1",
    }
    # The servers ask each other on loopback.
    keep_from_proxies(environment)
    return environment
