"""A body as it is read: size and time bounded; JSON has its type checked, and is decoded strictly."""

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from api.errors import RequestError

MAX_BODY_BYTES = 1024 * 1024
"""A spec of 100 models and 100 data sets takes some 50 kB."""


BODY_SECONDS = 60.0
"""How long a client may take to send it; one that never ends would stay open for ever."""


async def read_json_body(request: Request) -> bytes:
    """The body's bytes.

    Raises:
        RequestError: 415 for another type than JSON, 413 for too large a body, 400 for none, 408 for one that does not
            end.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "content_type_unsupported",
            f"the body must be JSON: send `Content-Type: application/json`, not "
            f"{media_type or 'a body without a type'}",
        )
    body = await read_bounded(request, MAX_BODY_BYTES)
    if not body.strip():
        raise RequestError(HTTPStatus.BAD_REQUEST, "body_empty", "the body is empty; it must be a JSON object")
    return body


JsonBody = Annotated[bytes, Depends(read_json_body)]
"""The bytes of a JSON body."""


async def read_bounded(request: Request, max_bytes: int) -> bytes:
    """A body of any type.

    Raises:
        RequestError: 413 for too large a body, 408 for one that does not end.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise RequestError(
            HTTPStatus.REQUEST_TIMEOUT,
            "body_too_slow",
            f"the body was not complete after {BODY_SECONDS:.0f} s ({len(body)} bytes had arrived)",
        ) from None
    return bytes(body)


def _too_large(max_bytes: int) -> RequestError:
    size = f"{max_bytes // 2**20} MiB" if max_bytes >= 2**20 else f"{max_bytes // 2**10} KiB"
    return RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        f"the body is larger than {max_bytes} bytes ({size})",
    )
