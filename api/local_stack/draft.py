"""Which servers the stack has to start, and where all of them are: drawn before anything runs."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from api.local_stack import servers
from api.local_stack.errors import StackError
from api.local_stack.existing import ray_dashboard_url, ray_token
from api.local_stack.ports import free_port, listen
from api.local_stack.scratch import Scratch
from orchestrator.addresses import without_password

USUAL_API_PORT = 8000
USUAL_RAY_PORT = 8265
USUAL_MLFLOW_PORT = 5000

OnNews = Callable[[str, str], None]
"""Called with a server's name and what happened to it, in words."""


@dataclass(frozen=True)
class StackOptions:
    """What `sigmalab serve` was asked for."""

    home: Path
    """State folder, absolute."""
    host: str = "127.0.0.1"
    """Address of the API."""
    port: int | None = None
    """Port of the API (`None`: 8000, or one of the next; 0: any)."""
    only_ray: bool = False
    """Start a Ray head and nothing else: a place to run one experiment in."""


@dataclass(frozen=True)
class StackUrls:
    """Where the stack can be reached."""

    api: str | None
    ray: str
    mlflow: str | None

    def shown(self) -> "StackUrls":
        """For people and scripts to read: without users and passwords."""
        return StackUrls(self.api, without_password(self.ray), self.mlflow and without_password(self.mlflow))


@dataclass(frozen=True)
class Draft:
    """What is to be started."""

    missing: tuple[servers.Server, ...]
    """Servers to start; the others run already."""
    urls: StackUrls
    """Where all of them are."""
    environment: dict[str, str]
    """The whole environment of a program that shall find them."""
    driver_variables: dict[str, str]
    """What a driver that is started by hand needs beside it."""
    listener: socket.socket | None
    """The API's socket; whoever holds the draft closes it."""


def draw(options: StackOptions, scratch: Scratch, on_news: OnNews) -> Draft:
    """Find what runs already, choose ports for the rest.

    Args:
        options: what was asked for.
        scratch: for sessions and temporary files.
        on_news: hears of existing servers and of ports that are taken.

    Raises:
        StackError: an existing cluster does not answer, the API's port is taken, or there is no such tracker.
    """
    environment = servers.base_environment(options.home, scratch)
    trackers = _trackers(environment)
    missing: list[servers.Server] = []
    driver_variables: dict[str, str] = {}
    address = environment.pop("RAY_ADDRESS", None)
    if address:
        ray_url = ray_dashboard_url(address, environment)
        on_news("Ray head", f"existing cluster {without_password(ray_url)}")
        token = ray_token(environment)
        if token:
            environment.setdefault("SIGMALAB_RAY_AUTH_TOKEN", token)
    else:
        ports = _ray_ports()
        head = servers.ray_head(options.home, scratch, ports, environment)
        ray_url = head.url
        environment["SIGMALAB_RAY_AUTH_TOKEN"] = servers.ray_token(options.home)
        driver_variables = servers.ray_variables(options.home, ports)
        _say_if_moved(on_news, head, USUAL_RAY_PORT)
        missing.append(head)
    environment["SIGMALAB_RAY_DASHBOARD_URL"] = ray_url
    if options.only_ray:
        return Draft(tuple(missing), StackUrls(None, ray_url, None), environment, driver_variables, None)
    mlflow_url = environment.get("MLFLOW_TRACKING_URI") or None
    if "mlflow" not in trackers:
        mlflow_url = None
    elif mlflow_url is not None:
        on_news("MLflow", f"existing server {without_password(mlflow_url)}")
    else:
        mlflow = servers.mlflow_server(options.home, free_port(USUAL_MLFLOW_PORT), environment)
        mlflow_url = environment["MLFLOW_TRACKING_URI"] = mlflow.url
        _say_if_moved(on_news, mlflow, USUAL_MLFLOW_PORT)
        missing.append(mlflow)
    if mlflow_url is not None:
        driver_variables["MLFLOW_TRACKING_URI"] = mlflow_url
    listener = _listen(options, on_news)
    api = servers.api_server(options.home, listener, environment)
    urls = StackUrls(api.url, ray_url, mlflow_url)
    return Draft((*missing, api), urls, environment, driver_variables, listener)


def _trackers(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the trackers, read before anything starts.

    The API and drivers would refuse a wrong one only once Ray is there, behind a traceback.

    Raises:
        StackError: one of them is not a tracker.
    """
    written = environment.get("SIGMALAB_TRACKERS")
    if written is None:
        return ("mlflow",)
    # Half a second that nobody should pay who names none.
    from orchestrator.settings import tracker_names  # noqa: PLC0415

    try:
        return tracker_names(written)
    except ValueError as error:
        raise StackError(f"SIGMALAB_TRACKERS={written}: {error}") from error


def _ray_ports() -> servers.RayPorts:
    """The usual port for the dashboard, which people open; any others, so that no other cluster is met there."""
    chosen = [free_port(USUAL_RAY_PORT)]
    for _ in range(4):
        chosen.append(free_port(None, taken=frozenset(chosen)))
    return servers.RayPorts(*chosen)


def _listen(options: StackOptions, on_news: OnNews) -> socket.socket:
    wanted = USUAL_API_PORT if options.port is None else options.port
    try:
        listener = listen(options.host, wanted, must=options.port is not None)
    except OSError as error:
        where = f"{options.host}:{wanted}"
        raise StackError(f"the API can't listen at {where}: {error.strerror}; choose another --port") from error
    port = listener.getsockname()[1]
    if wanted not in (0, port):
        on_news("API", f"port {wanted} is taken by another program; using {port}")
    return listener


def _say_if_moved(on_news: OnNews, server: servers.Server, usual: int) -> None:
    port = server.url.rpartition(":")[2]
    if port != str(usual):
        on_news(server.name, f"port {usual} is taken by another program; using {port}")
