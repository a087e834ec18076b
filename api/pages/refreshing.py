"""Pages as their scripts load them again: made once for all who watch the same.

Two hundred watchers of one experiment load its page within seconds of each trial's end, and all get the same: what
differs between them (the form's token, whether they can sign out) lies outside of what a script takes from it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fastapi import Request, Response
from starlette.datastructures import Headers

REFRESH_HEADER = "sigmalab-refresh"
"""What a script sends that takes only the regions that may have changed."""
FRESH_SECONDS = 1.0
"""A script asks no sooner than 1.5 s after something has happened: what it gets was made later than that."""


def is_refresh(headers: Headers) -> bool:
    """Whether only a script's regions are wanted."""
    return REFRESH_HEADER in headers


class _Made(NamedTuple):
    answer: "asyncio.Task[Response]"
    begun_at: float
    """By the monotonic clock, in seconds."""


class Refreshing:
    """Life: made with the application -> `page` from any number of requests of its event loop."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._made: dict[tuple[str, ...], _Made] = {}

    async def page(self, request: Request, make: Callable[[], Awaitable[Response]]) -> Response:
        """The page as it is, or was a moment ago.

        Args:
            request: a script's.
            make: makes it for this request, without anything that is this browser's own.
        """
        now = time.monotonic()
        self._made = {key: made for key, made in self._made.items() if now - made.begun_at < FRESH_SECONDS}
        question = (request.url.path, request.url.query, request.headers.get("accept-encoding", ""))
        made = self._made.get(question)
        if made is None:
            made = self._made[question] = _Made(asyncio.ensure_future(_answered(make)), now)
            # Asked for, so that nothing is said of a failure that nobody waits for any more.
            made.answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        # One browser that leaves must not take it from the others.
        shared = await asyncio.shield(made.answer)
        return Response(shared.body, shared.status_code, dict(shared.headers))


async def _answered(make: Callable[[], Awaitable[Response]]) -> Response:
    return await make()
