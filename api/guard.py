"""Who may speak to the service: a bearer token, or, without one, only programs on this machine.

A page in a browser on this machine could also reach a service on loopback. Without a token the service therefore
answers only if it is addressed as this machine (a rebound DNS name is refused), and takes changes only from its own
pages (`Origin`). A browser that has given the token once carries a cookie in its place, wherever it goes: it, too, may
change something only from a page of ours, and has to say so.
"""

import hmac
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import problem_response
from api.pages.accept import prefers_html
from api.pages.assets import ASSETS_PATH
from api.pages.session import SIGN_IN_PATH, is_signed_in
from api.pages.sign_in import ask_for_token
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
        self._token = token or None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a problem."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._check(scope, headers)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, code, detail = refusal
        if status is HTTPStatus.UNAUTHORIZED and scope["method"] == "GET" and prefers_html(headers):
            await ask_for_token(Request(scope))(scope, receive, send)
            return
        extra = {"WWW-Authenticate": 'Bearer realm="sigmalab"'} if status is HTTPStatus.UNAUTHORIZED else None
        response = problem_response(status=status, code=code, detail=detail, path=scope["path"], headers=extra)
        await response(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> "_Refusal | None":
        if self._token is None:
            return _check_browser(scope["method"], headers)
        if scope["path"].startswith(f"{ASSETS_PATH}/") and scope["method"] in _SAFE_METHODS:
            return None
        if scope["path"] == SIGN_IN_PATH:
            return _check_origin(scope["method"], headers)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_bearer = scheme.lower() == "bearer"
        # A proxy's own scheme (`Basic`) goes along with the cookie.
        if not is_bearer and is_signed_in(headers, self._token):
            return _check_origin(scope["method"], headers, must_say=True)
        if not given:
            return HTTPStatus.UNAUTHORIZED, "token_missing", _ASK_FOR_ONE
        # Compared as bytes and in constant time: the time taken tells nothing about the token.
        if not is_bearer or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return HTTPStatus.UNAUTHORIZED, "token_wrong", "the token is not the service's"
        return None


_Refusal = tuple[HTTPStatus, str, str]
"""Status, code, detail."""


def _check_browser(method: str, headers: Headers) -> _Refusal | None:
    host = headers.get("host", "")
    if not is_loopback(_without_port(host)):
        detail = "without SIGMALAB_API_TOKEN the service answers only as 127.0.0.1 or localhost"
        return HTTPStatus.FORBIDDEN, "host_refused", f"{detail}, not as {host or 'nothing (no Host header)'}"
    return _check_origin(method, headers)


def _check_origin(method: str, headers: Headers, *, must_say: bool = False) -> _Refusal | None:
    origin, host = headers.get("origin"), headers.get("host", "")
    if method in _SAFE_METHODS or (origin is None and not must_say):
        return None
    if origin is None or origin.partition("://")[2] != host:
        whose = "without an Origin" if origin is None else f"of {origin}"
        here = f"which was asked as {host or 'nothing'}; a proxy in front must hand on the browser's `Host`"
        return HTTPStatus.FORBIDDEN, "origin_refused", f"pages {whose} may not change anything of this service, {here}"
    return None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host
