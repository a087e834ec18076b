"""A JSON body as it is read: type checked, size bounded, decoded strictly."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from api.errors import RequestError

MAX_BODY_BYTES = 1024 * 1024
"""A spec of 100 models and 100 data sets takes some 50 kB."""


async def read_json_body(request: Request) -> bytes:
    """The body's bytes.

    Raises:
        RequestError: 415 for another type than JSON, 413 for too large a body, 400 for none.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "content_type_unsupported",
            f"the body must be JSON: send `Content-Type: application/json`, not {media_type or 'none'}",
        )
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    if not body.strip():
        raise RequestError(HTTPStatus.BAD_REQUEST, "body_empty", "the body is empty; it must be a JSON object")
    return bytes(body)


JsonBody = Annotated[bytes, Depends(read_json_body)]
"""The bytes of a JSON body."""


def _too_large() -> RequestError:
    return RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        f"the body is larger than {MAX_BODY_BYTES} bytes (1 MiB)",
    )
