"""This machine's own addresses. Light: only the standard library."""

from collections.abc import MutableMapping
from ipaddress import ip_address

NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether the address is this machine's own: `localhost`, `127.x.y.z`, `::1`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def keep_from_proxies(environment: MutableMapping[str, str]) -> None:
    """Make programs with this environment (MLflow's client, Ray's, `curl`) ask this machine itself without a proxy."""
    # The lower case counts where both are set.
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    entries = [entry.strip() for entry in listed.split(",") if entry.strip()]
    if "*" in entries:
        return
    whole = ",".join([*entries, *(name for name in NAMES if name not in entries)])
    environment["no_proxy"] = environment["NO_PROXY"] = whole
