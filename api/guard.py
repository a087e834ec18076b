"""Who may speak to the service: a bearer token, or, without one, only programs on this machine.

A page in a browser on this machine could also reach a service on loopback. Without a token the service therefore
answers only if it is addressed as this machine (a rebound DNS name is refused), and takes changes only from its own
pages (`Origin`).
"""

import hmac
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import problem_response
from orchestrator.loopback import is_loopback

OPEN_PATHS = frozenset({"/healthz"})
"""For probes that know no token."""
_ASK_FOR_ONE = (
    "this service asks for a token: send `Authorization: Bearer <token>` (for the command line: set SIGMALAB_API_TOKEN)"
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware that refuses strangers."""

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self._app = app
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._check_token(headers) if self._token else _check_browser(scope["method"], headers)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, code, detail = refusal
        extra = {"WWW-Authenticate": 'Bearer realm="sigmalab"'} if status is HTTPStatus.UNAUTHORIZED else None
        response = problem_response(status=status, code=code, detail=detail, path=scope["path"], headers=extra)
        await response(scope, receive, send)

    def _check_token(self, headers: Headers) -> tuple[HTTPStatus, str, str] | None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if not given:
            return HTTPStatus.UNAUTHORIZED, "token_missing", _ASK_FOR_ONE
        # Compared as bytes and in constant time: the time taken tells nothing about the token.
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token or b""):
            return HTTPStatus.UNAUTHORIZED, "token_wrong", "the token is not the service's"
        return None


def _check_browser(method: str, headers: Headers) -> tuple[HTTPStatus, str, str] | None:
    host = headers.get("host", "")
    if not is_loopback(_without_port(host)):
        detail = "without SIGMALAB_API_TOKEN the service answers only as 127.0.0.1 or localhost"
        return HTTPStatus.FORBIDDEN, "host_refused", f"{detail}, not as {host or 'nothing (no Host header)'}"
    origin = headers.get("origin")
    if method not in _SAFE_METHODS and origin is not None and origin.partition("://")[2] != host:
        return HTTPStatus.FORBIDDEN, "origin_refused", f"pages of {origin} may not change anything here"
    return None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host
