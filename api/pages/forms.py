"""Forms of pages: read as browsers send them, and taken only from a page of ours.

Each form carries a random text that a cookie carries too (double submit): a page from elsewhere knows neither. That the
browser names us as the origin is asked by the guard before.
"""

import hmac
import secrets
from http import HTTPStatus
from urllib.parse import parse_qs

from fastapi import Request, Response

from api.body import read_bounded
from api.errors import RequestError
from api.pages.refreshing import is_refresh
from api.pages.session import own_cookie

FORM_FIELD = "form_token"
COOKIE_SECONDS = 7 * 24 * 3600
_FORM_COOKIE = "sigmalab_form"
_MAX_BYTES = 16 * 1024
_FORM = "application/x-www-form-urlencoded"


def form_cookie(request: Request) -> str:
    """Name of the cookie that goes with the forms."""
    return own_cookie(_FORM_COOKIE, request.headers)


def form_token(request: Request) -> str:
    """What the forms of this browser's pages carry; nothing where a script takes no form from the page."""
    if is_refresh(request.headers):
        return ""
    return request.cookies.get(form_cookie(request)) or secrets.token_urlsafe(24)


def keep_form_token(request: Request, response: Response, token: str) -> Response:
    """Let the browser carry it, too, for a week from now."""
    if not token:
        return response
    keep_cookie(request, response, form_cookie(request), token)
    return response


def keep_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """A cookie that no script reads, and that comes along from another site only with a link that is followed."""
    response.set_cookie(
        name,
        value,
        max_age=COOKIE_SECONDS,
        httponly=True,
        # A strict one would not come along with a link in a mail. What changes something is guarded besides.
        samesite="lax",
        secure=request.url.scheme == "https",
        path="/",
    )


async def read_form(request: Request, *, max_bytes: int = _MAX_BYTES) -> dict[str, str]:
    """The fields of a form of ours, each once.

    Args:
        request: that brings it.
        max_bytes: it may take, as it is sent.

    Raises:
        RequestError: 415, it is not a form; 413, it is too large; 408, it does not end; 403, it does not come from a
            page of ours.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _FORM:
        given = media_type or "nothing"
        detail = f"this takes a form (`{_FORM}`), not {given}; programs ask with `Accept: application/json`"
        raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_type_unsupported", detail)
    body = await read_bounded(request, max_bytes)
    fields = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    ours, given = request.cookies.get(form_cookie(request), ""), fields.pop(FORM_FIELD, "")
    if not ours or not hmac.compare_digest(ours.encode(), given.encode()):
        detail = "the form is not one of a page that this browser has open here: load the page again"
        raise RequestError(HTTPStatus.FORBIDDEN, "form_refused", detail)
    return fields
