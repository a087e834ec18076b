"""The page that asks for the service's token, once."""

import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from api.dependencies import StateDep
from api.pages.forms import form_token, keep_cookie, keep_form_token, read_form
from api.pages.rendering import page
from api.pages.route import pages_router
from api.pages.session import SIGN_IN_PATH, SIGN_OUT_PATH, session_cookie, session_of

router = pages_router()


def ask_for_token(request: Request, *, is_wrong: bool = False) -> Response:
    """The form; it leads back to the page that was asked for."""
    token = form_token(request)
    url = request.url
    is_asked_for = request.method == "GET" and url.path == SIGN_IN_PATH
    leads_back = request.method == "GET" and not is_asked_for
    target = url.path + (f"?{url.query}" if url.query else "") if leads_back else "/"
    shown = page(
        request,
        "sign_in",
        HTTPStatus.OK if is_asked_for else HTTPStatus.UNAUTHORIZED,
        headers={} if is_asked_for else {"WWW-Authenticate": 'Bearer realm="sigmalab"'},
        form_token=token,
        target=target,
        action=SIGN_IN_PATH,
        is_wrong=is_wrong,
    )
    return keep_form_token(request, shown, token)


@router.get(SIGN_IN_PATH)
async def show_sign_in(request: Request, state: StateDep) -> Response:
    """The form itself, for who looks for it."""
    return RedirectResponse("/", HTTPStatus.SEE_OTHER) if state.settings.api_token is None else ask_for_token(request)


@router.post(SIGN_IN_PATH)
async def sign_in(request: Request, state: StateDep) -> Response:
    """Take the token, give the cookie."""
    fields = await read_form(request)
    token = state.settings.api_token
    if token is None:
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)
    if not hmac.compare_digest(fields.get("token", "").strip().encode(), token.encode()):
        return ask_for_token(request, is_wrong=True)
    answer = RedirectResponse(_own_path(fields.get("target", "")), HTTPStatus.SEE_OTHER)
    keep_cookie(request, answer, session_cookie(request.headers), session_of(token))
    return answer


@router.post(SIGN_OUT_PATH)
async def sign_out(request: Request) -> Response:
    """Take this browser's cookie away."""
    await read_form(request)
    answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    answer.delete_cookie(session_cookie(request.headers), path="/", httponly=True, samesite="lax")
    return answer


def _own_path(target: str) -> str:
    """Only to a page of ours."""
    parts = urlsplit(target)
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return target if is_ours else "/"
