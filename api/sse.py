"""Server-sent events as the client reads them (WHATWG HTML, 9.2.6)."""

import json
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, JsonValue


class Event(BaseModel):
    """Something that happened to an experiment."""

    id: int
    """Grows; what `Last-Event-ID` takes."""
    kind: str
    """`status`, `trial`, `epoch`, `pair` or `end`."""
    payload: dict[str, JsonValue]
    """What happened."""


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Events from the lines of a stream; comments (heartbeats) pass in silence, half an event is dropped."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value
        elif "data" in fields:
            yield Event(id=int(fields["id"]), kind=fields["event"], payload=json.loads(fields["data"]))
            fields = {}
