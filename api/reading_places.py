"""How many requests read data at the same time, and how many more wait for that.

A place is taken when a request comes to its first file, not before: a spec that names none is never kept waiting.
"""

import threading
from collections.abc import Callable
from http import HTTPStatus

from api.errors import RequestError
from trainers.errors import ReadingStoppedError

READERS_AT_ONCE = 8
"""Requests that read data at the same time; the other threads stay free for what is quick."""
WAITING_AT_MOST = 8
"""Requests that wait for one of these to end; each holds a thread."""
_LOOK_SECONDS = 0.2
_RETRY_SECONDS = 30


class ReadingPlaces:
    """Life: `take` -> `leave`, by the threads of requests."""

    def __init__(self) -> None:
        """All are free."""
        self._free = threading.BoundedSemaphore(READERS_AT_ONCE)
        self._guard = threading.Lock()
        self.num_waiting = 0

    def take(self, is_cancelled: Callable[[], bool]) -> None:
        """Wait for a place.

        Raises:
            RequestError: 503, too many wait already.
            ReadingStoppedError: nobody waits for the answer any more.
        """
        if self._free.acquire(blocking=False):
            return
        with self._guard:
            if self.num_waiting >= WAITING_AT_MOST:
                raise RequestError(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "readers_busy",
                    f"{READERS_AT_ONCE} requests read data sets or weights here, and {WAITING_AT_MOST} wait for them; "
                    f"try again in {_RETRY_SECONDS} s (a spec that names no file need not wait)",
                    headers={"Retry-After": str(_RETRY_SECONDS)},
                )
            self.num_waiting += 1
        try:
            while not self._free.acquire(timeout=_LOOK_SECONDS):
                if is_cancelled():
                    raise ReadingStoppedError("the request for it has ended: nothing was read")
        finally:
            with self._guard:
                self.num_waiting -= 1

    def leave(self) -> None:
        """Give the place back."""
        self._free.release()
