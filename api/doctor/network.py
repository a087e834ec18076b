"""Ports of the servers that `sigmalab serve` starts, and proxies."""

import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from api.doctor.finding import Finding, note, ok
from api.local_stack.record import StackRecord, read_record
from orchestrator.addresses import is_http_address, without_password

_PORTS = {8000: "the API", 8265: "Ray's dashboard", 5000: "MLflow"}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def look_at_ports(home: Path) -> list[Finding]:
    """Whether the usual ports are free."""
    own = _own_ports(read_record(home))
    return [_port(number, server, is_own=number in own) for number, server in _PORTS.items()]


def look_at_proxies(environment: Mapping[str, str]) -> Finding:
    """Variables that send requests elsewhere; users and passwords in them are not shown."""
    found = [
        f"{name}={without_password(environment[name])}"
        for lower in _PROXIES
        for name in (lower, lower.upper())
        if environment.get(name)
    ]
    if not found:
        return ok("proxies", "none set")
    return note("proxies", f"{'  '.join(found)}  (addresses of this machine are not asked through them)")


def _port(number: int, server: str, *, is_own: bool) -> Finding:
    name = f"port {number}"
    if is_own:
        return ok(name, f"{server} of the service that runs here")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return note(name, f"somebody else listens there; `sigmalab serve` takes another one for {server}")
    return ok(name, f"free ({server})")


def _own_ports(record: StackRecord | None) -> set[int]:
    urls = () if record is None else (record.url, record.mlflow_url, record.ray_url)
    return {port for url in urls if url and is_http_address(url) and (port := urlsplit(url).port) is not None}
