"""Signed in: a browser that has given the service's token once carries a cookie in its place.

The cookie is made from the token, so that every process of a service knows it, and a new token ends all sessions.
"""

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

SIGN_IN_PATH = "/sign-in"
SIGN_OUT_PATH = "/sign-out"
_SESSION_COOKIE = "sigmalab_session"


def own_cookie(name: str, headers: Headers) -> str:
    """A cookie's name at the port that the browser asks: browsers share cookies among all ports of a host."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"{name}_{port}" if port.isdecimal() else name


def session_cookie(headers: Headers) -> str:
    """Name of the cookie that a signed-in browser carries."""
    return own_cookie(_SESSION_COOKIE, headers)


def session_of(token: str) -> str:
    """What the cookie holds; the token can't be had from it."""
    return hmac.new(token.encode(), b"a page's session", hashlib.sha256).hexdigest()


def is_signed_in(headers: Headers, token: str) -> bool:
    """Whether a request carries the session; compared in constant time."""
    given = cookie_parser(headers.get("cookie", "")).get(session_cookie(headers), "")
    return hmac.compare_digest(given.encode(), session_of(token).encode())
