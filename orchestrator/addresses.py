"""Addresses of servers, as people name them: whether a server can be asked there, and how one is shown."""

import re
from urllib.parse import urlsplit, urlunsplit

_SCHEME = re.compile(r"^[^/@]*://")
_CREDENTIALS = re.compile(r"(\b[a-z][a-z0-9+.-]*://)\S*@", re.IGNORECASE)


def is_http_address(url: str) -> bool:
    """Whether a server can be asked there by HTTP at all: a scheme, a host that may have a name, a port that may be."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and url.isprintable()


def without_password(url: str) -> str:
    """The URL without user and password: it is shown to everybody.

    Of what is not a URL (`http://bob:se/cret@host`, `bob:secret@host`) nothing is left that stands before an `@`; a
    file's name that begins with `/` or `.` stays.
    """
    if _is_whole(url):
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url
    scheme = _SCHEME.match(url)
    return (scheme[0] if scheme else "") + url.rpartition("@")[2] if "@" in url else url


def without_passwords(text: str) -> str:
    """The text with no user and no password in any address that it quotes, as libraries' errors do."""
    return _CREDENTIALS.sub(r"\1", text)


def _is_whole(url: str) -> bool:
    """Whether its parts are what they seem: a password with a slash makes a port that is none."""
    try:
        return urlsplit(url).port is not None or "://" in url or url.startswith(("/", "."))
    except ValueError:
        return False
