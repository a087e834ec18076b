"""Server-sent events: replay, resumption, the last one."""

import asyncio
import threading

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.event_looks import EventLooks, Look, as_sent
from api.sse import Event, read_events
from orchestrator.store.database import Database
from orchestrator.store.events import append_event
from tests.api import playing


def events_of(http: TestClient, experiment_id: str, after: int = 0) -> list[Event]:
    """All events until the service closes the stream."""
    headers = {"Last-Event-ID": str(after)} if after else {}
    with http.stream("GET", f"/experiments/{experiment_id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(read_events(answer))


def test_replay_of_a_finished_experiment(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id)
    events = events_of(http, experiment_id)
    assert [event.payload["status"] for event in events if event.kind == "status"] == [
        "queued", "starting", "running", "succeeded",
    ]  # fmt: skip
    ended = [event for event in events if event.kind == "trial" and event.payload["status"] == "succeeded"]
    assert len(ended) == 6
    assert [event.kind for event in events].count("end") == 1
    assert events[-1].kind == "end"
    assert [event.id for event in events] == sorted({event.id for event in events})


def test_watchers_of_one_experiment_share_their_looks(
    app: FastAPI, http: TestClient, database: Database, experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing.play(database, experiment_id)
    experiments, asked = app.state.sigmalab.experiments, []
    real = experiments.events
    monkeypatch.setattr(experiments, "events", lambda *args: asked.append(args) or real(*args))
    looks = EventLooks(experiments)

    async def watch() -> list[Look]:
        both = [looks.after(experiment_id, seen, pause_seconds=0) for seen in (0, 3) for _ in range(50)]
        return await asyncio.gather(*both)

    found = asyncio.run(watch())
    assert len(asked) == 2
    for first, seen in ((0, 0), (50, 3)):
        events = real(experiment_id, seen)
        # Not written anew for each watcher: the very same bytes.
        assert all(look is found[first] for look in found[first : first + 50])
        assert found[first].sent == b"".join(as_sent(event, event.id) for event in events if event.kind != "end")
        assert (found[first].last, found[first].end) == (events[-1].id, events[-1])
    # What one has waited for is not what the next one gets.
    with database.write() as session:
        append_event(session, experiment_id, "late", {})
    assert asyncio.run(watch())[0].sent.count(b"event: ") == found[0].sent.count(b"event: ") + 1


def test_a_look_that_is_over_is_found_by_nobody(app: FastAPI, http: TestClient, experiment_id: str) -> None:
    """A watcher who found it would get nothing again and again, and never let anything else run."""
    looks = EventLooks(app.state.sigmalab.experiments)

    async def watch() -> None:
        watcher = asyncio.create_task(looks.after(experiment_id, 10**6, pause_seconds=0.01))
        await asyncio.sleep(0)
        (look,) = looks._under_way.values()
        while not look.done():  # noqa: ASYNC110 (every turn of the loop is looked at)
            await asyncio.sleep(0)
        assert looks._under_way == {}
        assert await watcher == Look(sent=b"", last=10**6, end=None, has_more=False)

    asyncio.run(watch())


def test_a_second_connection_goes_on_where_the_first_one_ended(
    http: TestClient, database: Database, experiment_id: str
) -> None:
    playing.play(database, experiment_id)
    events = events_of(http, experiment_id)
    assert events_of(http, experiment_id, after=events[4].id) == events[5:]


def test_a_watcher_who_knows_the_end_is_told_again(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id)
    end = events_of(http, experiment_id)[-1]
    (again,) = events_of(http, experiment_id, after=end.id)
    assert again.kind == "end"
    assert again.payload["status"] == "succeeded"


def test_the_stream_waits_for_what_is_to_come(http: TestClient, database: Database, experiment_id: str) -> None:
    attempt = playing.begin(database, experiment_id)
    found: list[Event] = []
    watcher = threading.Thread(target=lambda: found.extend(events_of(http, experiment_id)))
    watcher.start()
    playing.train(database, experiment_id, attempt)
    assert watcher.is_alive()
    playing.finish(database, experiment_id, attempt)
    watcher.join(20)
    assert found[-1].kind == "end"


def test_the_end_of_an_earlier_round_ends_no_stream(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id)
    http.post(f"/experiments/{experiment_id}/extend", json={"seeds": [3]})
    playing.play(database, experiment_id)
    events = events_of(http, experiment_id)
    assert [event.kind for event in events].count("end") == 1
    statuses = [event.payload["status"] for event in events if event.kind == "status"]
    assert statuses.count("succeeded") == 2


def test_cancelled_while_somebody_watches(http: TestClient, experiment_id: str) -> None:
    found: list[Event] = []
    watcher = threading.Thread(target=lambda: found.extend(events_of(http, experiment_id)))
    watcher.start()
    http.post(f"/experiments/{experiment_id}/cancel")
    watcher.join(20)
    assert {"status", "trial"} <= {event.kind for event in found[:-1]}
    assert found[-1].kind == "end"
    assert found[-1].payload["status"] == "cancelled"
    assert events_of(http, experiment_id) == found


def test_what_comes_after_the_end_is_told_before_it(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id)
    with database.write() as session:
        append_event(session, experiment_id, "late", {})
    assert [event.kind for event in events_of(http, experiment_id)[-2:]] == ["late", "end"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([": ping", ""], []),
        (["event: end", 'data: {"a":', "data: 1}", "id: 7", ""], [Event(id=7, kind="end", payload={"a": 1})]),
        (["event: end", "data: {}", "id: 7"], []),
        (["retry: 1000", "", "event: x", "data:{}", "id:1", ""], [Event(id=1, kind="x", payload={})]),
        (["event: x", "data: {}", "id: 1", "", ": ping", "", ": ping", ""], [Event(id=1, kind="x", payload={})]),
        # Ends a line of text, but none of a stream.
        (["event: x", 'data: {"a": "\u2028"}', "id: 1", ""], [Event(id=1, kind="x", payload={"a": "\u2028"})]),
    ],
)
def test_reading_the_wire_format(lines: list[str], expected: list[Event]) -> None:
    content = "".join(f"{line}\n" for line in lines).encode()
    answer = httpx.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"}, content=content)
    assert list(read_events(answer)) == expected
