"""What happens to an experiment, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.dependencies import KnownExperiment, StateDep
from api.openapi import PROBLEMS, problems
from orchestrator.experiments import Experiments
from orchestrator.views import EventView

router = APIRouter(prefix="/experiments/{experiment_id}", tags=["results"], responses=PROBLEMS)

_BATCH = 500
_SHORTEST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_RECONNECT_MILLISECONDS = 1000
_LARGEST_ID = 2**63 - 1


@router.get("/events", response_class=EventSourceResponse, responses=problems(404, 422))
async def watch_events(
    experiment: KnownExperiment,
    state: StateDep,
    last_event_id: Annotated[
        int, Header(alias="Last-Event-ID", ge=0, le=_LARGEST_ID, description="Replay what came after this event.")
    ] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """All events since `Last-Event-ID` (without it: all), then each as it happens, `end` as the last.

    Between two looks at the database nothing is held but a coroutine: a thousand watchers take no thread.
    A comment every 15 seconds keeps the connection open.
    """
    with state.metrics.streams.track_inprogress():
        after, pause = last_event_id, _SHORTEST_PAUSE_SECONDS
        while not state.stopping.is_set():
            events = await run_in_threadpool(_next_events, state.experiments, experiment.id, after)
            for event in events:
                after = event.id
                yield ServerSentEvent(
                    data=event.payload, event=event.kind, id=str(event.id), retry=_RECONNECT_MILLISECONDS
                )
                if event.kind == "end":
                    return
            pause = _SHORTEST_PAUSE_SECONDS if events else min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)


def _next_events(experiments: Experiments, experiment_id: str, after: int) -> list[EventView]:
    """The next events; `end` only as the very last.

    An experiment that was extended has an `end` in the middle of its history: it is left out. A watcher who already
    has the `end` of a finished experiment gets it again.
    """
    # First the status: if it is final now, then its `end` is among the events that are read afterwards.
    view = experiments.get(experiment_id)
    events = list(experiments.events(experiment_id, after, _BATCH))
    if not events and view.status.is_final:
        payload = {"status": view.status.value, "reason": view.reason, "attempt": view.attempt}
        return [EventView(id=after, kind="end", payload=payload, created_at=view.updated_at)]
    last = events[-1] if events else None
    is_over = view.status.is_final and len(events) < _BATCH
    return [event for event in events if event.kind != "end" or (is_over and event is last)]
