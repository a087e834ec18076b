"""Events of an experiment as the client reads them from the service's stream (httpx-sse knows the wire format)."""

from collections.abc import Iterator

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel, JsonValue


class Event(BaseModel):
    """Something that happened to an experiment."""

    id: int
    """Grows; what `Last-Event-ID` takes."""
    kind: str
    """`status`, `trial`, `epoch`, `pair` or `end`."""
    payload: dict[str, JsonValue]
    """What happened."""


def read_events(answer: httpx.Response) -> Iterator[Event]:
    """Events of a stream, as they come; heartbeats pass in silence, half an event is dropped.

    Raises:
        httpx.TransportError: the connection broke, or what comes is not a stream of events.
    """
    for each in EventSource(answer).iter_sse():
        # A heartbeat ends with an empty line, as an event does.
        if each.data:
            yield Event(id=int(each.id), kind=each.event, payload=each.json())
