"""How a page is written: escaped, without anything inline that runs, and packed where the client can unpack it."""

import gzip
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from api.pages.session import is_signed_in
from orchestrator.report.words.numbers import duration, fixed, in_unit, interval, percent, signed, with_unit
from orchestrator.statistics.p_text import p_text
from trainers.counted import counted

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


def _when(moment: datetime) -> Markup:
    """A time that a script may show in the reader's zone."""
    utc = moment.astimezone(UTC)
    text = f"{utc:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(timespec="seconds"), text)


# Autoescape is on for all names: what a user wrote is text, never markup.
_TEMPLATES = Environment(
    loader=PackageLoader("api.pages", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "counted": counted,
    "duration": duration,
    "fixed": fixed,
    "in_unit": in_unit,
    "p_text": p_text,
    "percent": percent,
    "signed": signed,
    "when": _when,
    "with_unit": with_unit,
}
_TEMPLATES.globals |= {"interval_text": interval, "version": version("sigmalab")}


def page(
    request: Request,
    template: str,
    http_status: int = HTTPStatus.OK,
    *,
    headers: Mapping[str, str] | None = None,
    **names: object,
) -> Response:
    """A page from a template of this package.

    Args:
        request: what is answered.
        template: name without `.html.jinja`.
        http_status: of the answer.
        headers: further ones.
        names: what the template shows.
    """
    token: str | None = request.app.state.sigmalab.settings.api_token
    text = _TEMPLATES.get_template(f"{template}.html.jinja").render(
        here=request.url.path,
        origin=str(request.base_url).rstrip("/"),
        is_signed_in=token is not None and is_signed_in(request.headers, token),
        # The shell puts the token in: it stands in no page.
        curl="curl" if token is None else 'curl -H "Authorization: Bearer $SIGMALAB_API_TOKEN"',
        **{"form_token": None, **names},
    )
    body, packed = text.encode(), {}
    if "gzip" in request.headers.get("accept-encoding", "") and len(body) > _WORTH_PACKING_BYTES:
        body, packed = gzip.compress(body, 6, mtime=0), {"Content-Encoding": "gzip"}
    return Response(
        body,
        status_code=http_status,
        media_type="text/html; charset=utf-8",
        headers={**HEADERS, **packed, **(headers or {})},
    )
