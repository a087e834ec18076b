"""Proxies in the environment (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`): which one a URL is asked through.

httpx reads these variables itself, but knows no networks in `no_proxy` (one of IPv6 makes every request fail), sends
requests to this machine through the proxy, and raises an ImportError for a SOCKS proxy.
"""

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from orchestrator.addresses import without_password
from orchestrator.errors import OrchestratorError
from orchestrator.loopback import is_loopback


class ProxyUnusableError(OrchestratorError):
    """The environment names a proxy that can't be used."""

    code = "proxy_unusable"


class Proxy(NamedTuple):
    """A proxy and who said so."""

    url: str
    """May hold a password."""
    variable: str
    """As it is spelled in the environment."""

    def __str__(self) -> str:
        """For messages: without user and password."""
        return f"{without_password(self.url)} of {self.variable}"


def proxy_of(url: str, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy for a URL (`None`: it is asked directly, as this machine itself always is)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    found = next((proxy for name in (parts.scheme, "all") if (proxy := _variable(name, environment))), None)
    if found is None or not host or _is_here(host):
        return None
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return None if any(_matches(entry.strip(), host, port) for entry in listed.split(",")) else found


def transport_for(url: str) -> httpx.HTTPTransport:
    """What a client for a URL is made with: through the environment's proxy, if there is one for it.

    Raises:
        ProxyUnusableError: what the environment names is not a proxy, or one that needs another package.
    """
    proxy = proxy_of(url)
    if proxy is None:
        return httpx.HTTPTransport()
    try:
        return httpx.HTTPTransport(proxy=httpx.Proxy(proxy.url))
    except ImportError as error:
        raise ProxyUnusableError(
            f"the proxy {proxy} speaks SOCKS, which needs a package: `uv pip install socksio` (or `pip`), or name "
            f"{urlsplit(url).hostname} in no_proxy"
        ) from error
    except (ValueError, httpx.InvalidURL) as error:
        raise ProxyUnusableError(f"{proxy} is not a proxy that can be used; write http://host:port") from error


def through(url: str) -> str:
    """The end of a sentence about a failed request: names the proxy, if there is one."""
    proxy = proxy_of(url)
    return "" if proxy is None else f" (through the proxy {proxy}; no_proxy names hosts to ask without it)"


def _variable(scheme: str, environment: Mapping[str, str]) -> Proxy | None:
    for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
        if name in environment:
            value = environment[name].strip()
            # An empty one in lower case switches the other off.
            return Proxy(value if "://" in value else f"http://{value}", name) if value else None
    return None


def _is_here(host: str) -> bool:
    if is_loopback(host) or host.endswith(".localhost"):
        return True
    try:
        # 0.0.0.0 as an address to ask means this machine.
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _matches(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of `no_proxy` means this host: `*`, a name or its end, an address, a network; with a port."""
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name = entry.partition("://")[2] or entry
        name = name.removeprefix("*").removeprefix(".").lower()
        return bool(name) and any(
            asked == name or asked.endswith(f".{name}") for asked in (host.lower(), f"{host.lower()}:{port}")
        )
