"""Work that ends when whoever asked for it has gone: reading a large data set takes minutes."""

import asyncio
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar

import anyio.to_thread
from fastapi import Depends, Request

from api.dependencies import StateDep
from api.errors import RequestError
from api.reading_places import ReadingPlaces
from trainers.errors import ReadingStoppedError

_LOOK_SECONDS = 0.5

ResultT = TypeVar("ResultT")


class WhileWaitedFor:
    """Runs work in a thread, and tells it when its client has gone."""

    def __init__(self, request: Request, state: StateDep) -> None:
        self._request, self._state = request, state

    async def __call__(self, work: Callable[[Callable[[], bool]], ResultT]) -> ResultT:
        """Run it.

        Args:
            work: gets a function that says whether nobody waits any more. Whoever asks it is about to read, and waits
                there for a place.

        Raises:
            RequestError: nobody does, and the work has stopped; or too many read.
        """
        gone, stopping = threading.Event(), self._state.stopping
        turn = _Turn(self._state.reading, lambda: gone.is_set() or stopping.is_set())

        def take_turns() -> ResultT:
            with turn:
                return work(turn.is_cancelled)

        look = asyncio.create_task(self._look(gone))
        try:
            return await anyio.to_thread.run_sync(take_turns, limiter=self._state.planners)
        except ReadingStoppedError as error:
            raise RequestError(HTTPStatus.REQUEST_TIMEOUT, "request_abandoned", str(error)) from None
        finally:
            look.cancel()

    async def _look(self, gone: threading.Event) -> None:
        while not await self._request.is_disconnected():  # noqa: ASYNC110 (ASGI has no event for it)
            # Whoever listens for the end of a connection would take what the next request says.
            await asyncio.sleep(_LOOK_SECONDS)
        gone.set()


class _Turn:
    """One request's place among those that read: taken at its first file, given back when its work ends."""

    def __init__(self, places: ReadingPlaces, is_gone: Callable[[], bool]) -> None:
        self._places, self._is_gone, self._has_place = places, is_gone, False

    def is_cancelled(self) -> bool:
        if not self._has_place:
            self._places.take(self._is_gone)
            self._has_place = True
        return self._is_gone()

    def __enter__(self) -> None:
        """Nothing is taken yet."""

    def __exit__(self, *_: object) -> None:
        if self._has_place:
            self._places.leave()


WhileWaitedForDep = Annotated[WhileWaitedFor, Depends()]
