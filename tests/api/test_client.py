"""The Python client against the application over a real socket."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI

from api.client import Client, ClientError, RefusedError, ServiceUnreachableError
from api.endpoint import DEFAULT_URL, find_endpoint
from api.local_stack import StackError
from api.local_stack.record import StackLock, StackRecord
from orchestrator.settings import Settings
from orchestrator.spec import ExperimentSpec
from orchestrator.status import ExperimentStatus, Phase
from orchestrator.store.database import Database, open_database
from orchestrator.store.trials import trials_of
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.orchestrator.planted_views import write_views


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    """The application behind a real server."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listener.close()


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as opened:
        yield opened


@pytest.fixture
def store(settings: Settings, client: Client) -> Iterator[Database]:
    client.readiness()
    opened = open_database(settings.effective_database_url)
    yield opened
    opened.close()


def test_the_whole_conversation(client: Client, store: Database, spec: JsonObject) -> None:
    plan = client.plan(spec)
    assert plan.num_confirm_trials == 6
    view = client.submit(ExperimentSpec.model_validate(spec))
    assert view.digest == plan.digest
    assert [found.id for found in client.experiments()] == [view.id]
    playing.play(store, view.id)
    events = list(client.watch(view.id))
    assert events[-1].kind == "end"
    assert list(client.watch(view.id, after=events[-2].id)) == events[-1:]
    (comparison,) = client.comparisons(view.id)
    assert comparison.effect == pytest.approx(10.1)
    assert {trial.phase for trial in client.trials(view.id)} == {Phase.CONFIRM}
    assert client.report(view.id, "latex").startswith("%") or "tabular" in client.report(view.id, "latex")
    assert client.extend(view.id, [7]).status is ExperimentStatus.QUEUED
    assert client.cancel(view.id).status is ExperimentStatus.CANCELLED
    assert client.schema()["title"] == "ExperimentSpec"
    assert not client.readiness().checks["ray"].ok
    assert "no driver" in client.logs(view.id) or "by hand" in client.logs(view.id)


def test_maps_come_one_by_one_and_together(
    client: Client, store: Database, settings: Settings, spec: JsonObject
) -> None:
    view = client.submit(spec)
    playing.play(store, view.id)
    with store.read() as session:
        for row in trials_of(session, view.id):
            write_views(settings.effective_storage, row.identity, row.arm, row.seed)
    listed = client.learned_bias(view.id)
    with np.load(io.BytesIO(client.learned_bias_maps(view.id))) as arrays:
        assert set(arrays.files) == {each.key for each in listed}
        for each in listed:
            alone = np.load(io.BytesIO(client.learned_bias_map(view.id, each.key)))
            np.testing.assert_array_equal(alone, arrays[each.key])
    for picture in (client.learned_bias_maps(view.id, "png"), client.learned_bias_map(view.id, listed[0].key, "png")):
        assert picture.startswith(b"\x89PNG")


def test_pages_are_turned(client: Client, spec: JsonObject) -> None:
    ids = [client.submit(spec, idempotency_key=str(number)).id for number in range(3)]
    assert client.submit(spec, idempotency_key="2").id == ids[2]
    first = client.page(limit=2)
    assert [view.id for view in first.items] == ids[:0:-1]
    assert [view.id for view in client.page(limit=2, cursor=first.next_cursor).items] == ids[:1]


@pytest.mark.parametrize("form", ["file", "text", "bytes"])
def test_a_spec_in_any_form(client: Client, spec: JsonObject, tmp_path: Path, form: str) -> None:
    text = ExperimentSpec.model_validate(spec).model_dump_json()
    file = tmp_path / "spec.json"
    file.write_text(text)
    given = {"file": file, "text": text, "bytes": text.encode()}[form]
    assert client.plan(given).spec_name == "small"


def test_a_refusal_carries_every_problem(client: Client, spec: JsonObject) -> None:
    with pytest.raises(RefusedError) as refused:
        client.submit(spec | {"seeds": [], "sedes": 1})
    assert {item.pointer for item in refused.value.problem.errors} == {"/seeds", "/sedes"}
    assert "/sedes: unknown field `sedes`; did you mean `seeds`?" in str(refused.value)


@pytest.mark.parametrize("unknown", ["nobody", "../schema", "a b", "", "ä", "%2e%2e"])
def test_an_unknown_id_is_one_segment_whatever_it_holds(client: Client, unknown: str) -> None:
    with pytest.raises(RefusedError) as refused:
        client.get(unknown)
    assert refused.value.problem.status == 404


def test_nobody_there(tmp_path: Path) -> None:
    with (
        Client("http://127.0.0.1:1") as lonely,
        pytest.raises(ServiceUnreachableError, match=r"no sigmalab service answers at http://127\.0\.0\.1:1"),
    ):
        lonely.page()


def test_watching_gives_up_after_its_patience() -> None:
    with Client("http://127.0.0.1:1") as lonely, pytest.raises(ServiceUnreachableError):
        list(lonely.watch("any", patience_seconds=0.0))


def test_watching_outlasts_short_absences_however_long_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps ten minutes at every look; each time the service answers, closes, and says that it is away."""
    now = iter(range(0, 600_000, 600))
    monkeypatch.setattr("api.client.time.monotonic", lambda: next(now))
    monkeypatch.setattr("api.client.time.sleep", lambda _: None)
    away = {"type": "", "title": "", "status": 503, "detail": "the database restarts", "code": "store"}
    end = "id: 7\nevent: end\ndata: {}\n\n"
    answers = iter(
        [httpx.Response(200, text=": ping\n\n"), httpx.Response(503, json=away)] * 3 + [httpx.Response(200, text=end)]
    )
    with Client("http://there", transport=httpx.MockTransport(lambda _: next(answers))) as client:
        assert [event.id for event in client.watch("any", patience_seconds=900)] == [7]


@pytest.mark.parametrize("ask", [Client.page, Client.schema, Client.readiness])
def test_a_page_of_another_program_is_no_answer(ask: Callable[[Client], object]) -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, html="<html>hello</html>"))
    with Client("http://there", transport=page) as client, pytest.raises(RefusedError, match="no sigmalab service"):
        ask(client)


def test_a_state_folder_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("file").write_text("")
    monkeypatch.delenv("SIGMALAB_URL", raising=False)
    monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path / "file"))
    assert find_endpoint().url == DEFAULT_URL
    with (
        pytest.raises(StackError, match=r"the state folder .*file can't be used: File exists"),
        StackLock(tmp_path / "file"),
    ):
        pytest.fail("it was locked")


def test_somebody_else_there(settings: Settings) -> None:
    def hello() -> str:
        return "hello"

    stranger = FastAPI()
    stranger.add_api_route("/", hello)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(stranger, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with (
            Client(f"http://127.0.0.1:{listener.getsockname()[1]}") as client,
            pytest.raises(RefusedError, match="no sigmalab service"),
        ):
            client.page()
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


def test_where_the_service_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGMALAB_URL", raising=False)
    monkeypatch.setenv("SIGMALAB_HOME", str(tmp_path))
    assert find_endpoint().url == DEFAULT_URL
    StackRecord(stack_id="a", pid=1, boot_id="b", url="http://127.0.0.1:8123").write(tmp_path)
    assert find_endpoint().url == "http://127.0.0.1:8123"
    monkeypatch.setenv("SIGMALAB_URL", "http://lab.example/")
    assert find_endpoint() == ("http://lab.example", "SIGMALAB_URL")


def test_an_idempotency_key_that_no_header_can_carry() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ClientError, match="printable ASCII"):
        client.submit(b"{}", idempotency_key="schlüssel")
