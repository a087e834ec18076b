"""Looking for what has happened: once for all who wait for the same, and written once for all of them."""

import asyncio
from typing import NamedTuple

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import format_sse_event
from pydantic_core import to_json

from orchestrator.service.experiments import Experiments
from orchestrator.service.views import EventView

SOONEST_SECONDS = 1.5
"""After something has happened."""
PAGES_PER_SECOND = 10
"""That all watchers together load again."""
_BATCH = 500
_RECONNECT_MILLISECONDS = 1000

_Place = tuple[str, int, bool]
"""An experiment, the event after which somebody waits, and whether for a look at once."""


class Look(NamedTuple):
    """What one look has found."""

    sent: bytes
    """All events but `end`, as server-sent events: the same bytes for every watcher."""
    last: int
    """Id of the last event (without one: of that after which was looked)."""
    end: EventView | None
    """The last `end` among them: only the end of a stream is told so."""
    has_more: bool
    """Whether there may be more than one look takes."""


class EventLooks:
    """Life: made with the application -> `after` from any number of watchers of its event loop.

    Watchers of one experiment nearly always stand at the same event, so the database is asked, and what it tells is
    written, as often for two hundred of them as for one.
    """

    def __init__(self, experiments: Experiments) -> None:
        """Nobody waits yet."""
        self._experiments = experiments
        self._num_waiting = 0
        self._under_way: dict[_Place, asyncio.Task[Look]] = {}

    @property
    def refresh_seconds(self) -> float:
        """How long a script waits, at the least, before it loads a page again: all together ask for ten a second."""
        return max(SOONEST_SECONDS, self._num_waiting / PAGES_PER_SECOND)

    async def after(self, experiment_id: str, seen: int, *, pause_seconds: float) -> Look:
        """What happened after the event `seen` (nothing is sent: nothing happened by the end of the pause).

        Args:
            experiment_id: an experiment that is there.
            seen: id of an event (0: from the beginning).
            pause_seconds: before the look, unless another watcher's is under way (0: none, whoever waits).
        """
        place = (experiment_id, seen, pause_seconds == 0)
        look = self._under_way.get(place)
        if look is None or look.done():
            look = self._under_way[place] = asyncio.create_task(self._look(place, pause_seconds))
            # Asked for, so that nothing is said of a failure that nobody waits for any more.
            look.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._num_waiting += 1
        try:
            # One watcher who leaves must not take it from the others.
            return await asyncio.shield(look)
        finally:
            self._num_waiting -= 1

    async def _look(self, place: _Place, pause_seconds: float) -> Look:
        try:
            await asyncio.sleep(pause_seconds)
            return await run_in_threadpool(self._found, *place[:2])
        finally:
            # Before it is done: whoever found one that is would get the same again and again, without ever waiting.
            self._under_way.pop(place, None)

    def _found(self, experiment_id: str, seen: int) -> Look:
        events = self._experiments.events(experiment_id, seen, _BATCH)
        return Look(
            sent=b"".join(as_sent(event, event.id) for event in events if event.kind != "end"),
            last=events[-1].id if events else seen,
            end=next((event for event in reversed(events) if event.kind == "end"), None),
            has_more=len(events) == _BATCH,
        )


def as_sent(event: EventView, event_id: int) -> bytes:
    """A server-sent event under the given id, which a client that comes back sends as `Last-Event-ID`."""
    data = to_json(event.payload, inf_nan_mode="null").decode()
    return format_sse_event(data_str=data, event=event.kind, id=str(event_id), retry=_RECONNECT_MILLISECONDS)
