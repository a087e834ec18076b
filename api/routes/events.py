"""What happens to an experiment, as server-sent events."""

import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT
from pydantic import JsonValue

from api.dependencies import ExperimentsDep, StateDep
from api.event_looks import as_sent
from api.openapi import PROBLEMS, problems
from api.state import AppState
from orchestrator.service.experiments import Experiments
from orchestrator.service.views import EventView, Standing

router = APIRouter(prefix="/experiments/{experiment_id}", tags=["results"], responses=PROBLEMS)

_SHORTEST_PAUSE_SECONDS = 0.2
"""What happens within it is sent as one piece: a trial of many short epochs wakes its watchers five times a second."""
_LONGEST_PAUSE_SECONDS = 1.0
_SILENCE_SECONDS = 15.0
_LARGEST_ID = 2**63 - 1
_ITEM: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "data": {"type": "string"},
        "event": {"type": "string"},
        "id": {"type": "string"},
        "retry": {"type": "integer", "minimum": 0},
    },
}
"""One event, for OpenAPI."""


def get_standing(experiment_id: str, experiments: ExperimentsDep) -> Standing:
    """Where the experiment of the path stands.

    Raises:
        ExperimentNotFoundError: there is none.
    """
    return experiments.standing(experiment_id)


StandingDep = Annotated[Standing, Depends(get_standing)]


class EventStream(StreamingResponse):
    """Bytes that are events already: FastAPI's own would write each event anew for each watcher."""

    media_type = "text/event-stream"


@router.get(
    "/events",
    response_class=EventStream,
    responses={200: {"content": {"text/event-stream": {"itemSchema": _ITEM}}}, **problems(404, 422)},
)
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
) -> EventStream:
    """All events since `Last-Event-ID` (without it: all), then each as it happens, `end` as the last.

    Between two looks at the database nothing is held but a coroutine, and who waits for the same shares a look and the
    bytes that are sent: a thousand watchers take no thread.
    A comment every 15 seconds keeps the connection open.
    """
    return EventStream(
        _sent(state, experiment_id, standing, last_event_id or after),
        # The second keeps nginx from holding back what is sent.
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _sent(state: AppState, experiment_id: str, standing: Standing, seen: int) -> AsyncIterator[bytes]:
    with state.metrics.streams.track_inprogress():
        pause, sent_at = 0.0, time.monotonic()
        # A watcher who has had the `end` of a finished experiment is told again.
        end = _end_of(standing) if standing.status.is_final else None
        while not state.stopping.is_set():
            look = await state.looks.after(experiment_id, seen, pause_seconds=pause)
            end, has_news, seen = look.end or end, look.last > seen, look.last
            if look.sent:
                yield look.sent
                sent_at = time.monotonic()
            if has_news:
                # With a known end nothing more is waited for.
                pause = 0.0 if look.has_more or end is not None else _SHORTEST_PAUSE_SECONDS
                continue
            if end is not None and await run_in_threadpool(_is_over, state.experiments, experiment_id):
                yield as_sent(end, seen)
                return
            # An experiment that was extended has an `end` in the middle of its history.
            end = None
            pause = min(max(_SHORTEST_PAUSE_SECONDS, pause * 1.5), _LONGEST_PAUSE_SECONDS)
            if time.monotonic() - sent_at > _SILENCE_SECONDS:
                yield KEEPALIVE_COMMENT
                sent_at = time.monotonic()


def _is_over(experiments: Experiments, experiment_id: str) -> bool:
    return experiments.standing(experiment_id).status.is_final


def _end_of(standing: Standing) -> EventView:
    payload = {"status": standing.status.value, "reason": standing.reason, "attempt": standing.attempt}
    return EventView(id=0, kind="end", payload=payload, created_at=standing.updated_at)
