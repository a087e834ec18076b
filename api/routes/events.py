"""What happens to an experiment, as server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.dependencies import ExperimentsDep, StateDep
from api.openapi import PROBLEMS, problems
from orchestrator.service.experiments import Experiments
from orchestrator.service.views import EventView, Standing

router = APIRouter(prefix="/experiments/{experiment_id}", tags=["results"], responses=PROBLEMS)

_SHORTEST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_RECONNECT_MILLISECONDS = 1000
_LARGEST_ID = 2**63 - 1


def get_standing(experiment_id: str, experiments: ExperimentsDep) -> Standing:
    """Where the experiment of the path stands.

    Raises:
        ExperimentNotFoundError: there is none.
    """
    return experiments.standing(experiment_id)


StandingDep = Annotated[Standing, Depends(get_standing)]


@router.get("/events", response_class=EventSourceResponse, responses=problems(404, 422))
async def watch_events(
    experiment_id: str,
    standing: StandingDep,
    state: StateDep,
    last_event_id: Annotated[
        int, Header(alias="Last-Event-ID", ge=0, le=_LARGEST_ID, description="Replay what came after this event.")
    ] = 0,
    after: Annotated[
        int,
        Query(ge=0, le=_LARGEST_ID, description="As `Last-Event-ID`, for who can't send a header; that counts more."),
    ] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """All events since `Last-Event-ID` (without it: all), then each as it happens, `end` as the last.

    Between two looks at the database nothing is held but a coroutine, and who waits for the same shares a look: a
    thousand watchers take no thread.
    A comment every 15 seconds keeps the connection open.
    """
    with state.metrics.streams.track_inprogress():
        seen, pause = last_event_id or after, 0.0
        # A watcher who has had the `end` of a finished experiment is told again.
        end = _end_of(standing) if standing.status.is_final else None
        while not state.stopping.is_set():
            events = await state.looks.after(experiment_id, seen, pause_seconds=pause)
            for event in events:
                seen = event.id
                if event.kind == "end":
                    end = event
                else:
                    yield _as_sent(event, event.id)
            if events:
                pause = 0.0
                continue
            if end is not None and await run_in_threadpool(_is_over, state.experiments, experiment_id):
                yield _as_sent(end, seen)
                return
            # An experiment that was extended has an `end` in the middle of its history.
            end = None
            pause = min(max(_SHORTEST_PAUSE_SECONDS, pause * 1.5), _LONGEST_PAUSE_SECONDS)


def _is_over(experiments: Experiments, experiment_id: str) -> bool:
    return experiments.standing(experiment_id).status.is_final


def _end_of(standing: Standing) -> EventView:
    payload = {"status": standing.status.value, "reason": standing.reason, "attempt": standing.attempt}
    return EventView(id=0, kind="end", payload=payload, created_at=standing.updated_at)


def _as_sent(event: EventView, event_id: int) -> ServerSentEvent:
    return ServerSentEvent(data=event.payload, event=event.kind, id=str(event_id), retry=_RECONNECT_MILLISECONDS)
