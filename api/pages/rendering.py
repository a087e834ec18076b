"""How a page is written: escaped, without anything inline that runs, and packed where the client can unpack it."""

import gzip
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version

from fastapi import Request, Response

from api.pages.session import is_signed_in
from orchestrator.report.page.templating import with_templates_of

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
"""Scripts, styles, pictures and connections only from here, nothing inline, no `eval`."""
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # `no-referrer` would make a form's `Origin` null, which is refused.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Accept-Encoding, Cookie",
}
_WORTH_PACKING_BYTES = 1024


_TEMPLATES = with_templates_of("api.pages")
_VERSION = version("sigmalab")


def page(
    request: Request,
    template: str,
    http_status: int = HTTPStatus.OK,
    *,
    headers: Mapping[str, str] | None = None,
    **names: object,
) -> Response:
    """A page from a template of this package, or of what it shares with the report's file.

    Args:
        request: what is answered.
        template: name without `.html.jinja`.
        http_status: of the answer.
        headers: further ones.
        names: what the template shows.
    """
    token: str | None = request.app.state.sigmalab.settings.api_token
    text = _TEMPLATES.get_template(f"{template}.html.jinja").render(
        version=_VERSION,
        pause=f"{request.app.state.sigmalab.looks.refresh_seconds:g}",
        here=request.url.path,
        origin=str(request.base_url).rstrip("/"),
        is_signed_in=token is not None and is_signed_in(request.headers, token),
        # The shell puts the token in: it stands in no page.
        curl="curl" if token is None else 'curl -H "Authorization: Bearer $SIGMALAB_API_TOKEN"',
        **{"form_token": None, **names},
    )
    body, packing = packed(request, text.encode())
    return Response(
        body,
        status_code=http_status,
        media_type="text/html; charset=utf-8",
        headers={**HEADERS, **packing, **(headers or {})},
    )


def packed(request: Request, body: bytes) -> tuple[bytes, dict[str, str]]:
    """The body as the client takes it, and the header that says so."""
    if "gzip" not in request.headers.get("accept-encoding", "") or len(body) <= _WORTH_PACKING_BYTES:
        return body, {}
    return gzip.compress(body, 6, mtime=0), {"Content-Encoding": "gzip"}
