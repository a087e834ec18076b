"""Looking for what has happened: once for all who wait for the same."""

import asyncio

from fastapi.concurrency import run_in_threadpool

from orchestrator.service.experiments import Experiments
from orchestrator.service.views import EventView

_BATCH = 500

_Place = tuple[str, int]
"""An experiment, and the event after which somebody waits."""


class EventLooks:
    """Life: made with the application -> `after` from any number of watchers of its event loop.

    Watchers of one experiment nearly always stand at the same event, so the database is asked as often for two hundred
    of them as for one.
    """

    def __init__(self, experiments: Experiments) -> None:
        """Nobody waits yet."""
        self._experiments = experiments
        self._under_way: dict[_Place, asyncio.Task[tuple[EventView, ...]]] = {}

    async def after(self, experiment_id: str, seen: int, *, pause_seconds: float) -> tuple[EventView, ...]:
        """What happened after the event `seen` (empty: nothing by the end of the pause).

        Args:
            experiment_id: an experiment that is there.
            seen: id of an event (0: from the beginning).
            pause_seconds: before the look, unless another watcher's is under way.
        """
        place = (experiment_id, seen)
        look = self._under_way.get(place)
        if look is None:
            look = self._under_way[place] = asyncio.create_task(self._look(place, pause_seconds))
            look.add_done_callback(lambda done: self._forget(place, done))
        # One watcher who leaves must not take it from the others.
        return await asyncio.shield(look)

    async def _look(self, place: _Place, pause_seconds: float) -> tuple[EventView, ...]:
        await asyncio.sleep(pause_seconds)
        return await run_in_threadpool(self._experiments.events, *place, _BATCH)

    def _forget(self, place: _Place, done: "asyncio.Task[tuple[EventView, ...]]") -> None:
        del self._under_way[place]
        if not done.cancelled():
            # Asked for, so that nothing is said of a failure that nobody waits for any more.
            done.exception()
