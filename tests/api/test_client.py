"""The Python client against the application over a real socket."""

import io
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI

from api.client import Client, ClientError, RefusedError, ServiceUnreachableError, StrangerError
from api.endpoint import DEFAULT_URL, find_endpoint
from api.local_stack import StackError
from api.local_stack.record import StackLock, StackRecord
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.state_folder import ensure_home_id
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
    assert "\\begin{tabular}" in client.report(view.id, "latex")
    assert client.report_file(view.id, "latex").decode() == client.report(view.id, "latex")
    assert client.report_file(view.id, "trials-parquet").startswith(b"PAR1")
    assert client.report_file(view.id, "zip").startswith(b"PK")
    with pytest.raises(ValueError, match="zip is not text"):
        client.report(view.id, "zip")
    assert client.extend(view.id, [7]).status is ExperimentStatus.QUEUED
    assert client.cancel(view.id).status is ExperimentStatus.CANCELLED
    assert client.schema()["title"] == "ExperimentSpec"
    assert not client.readiness().checks["ray"].ok
    assert "the driver was started by hand" in client.logs(view.id)


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

    def stream(text: str) -> httpx.Response:
        return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})

    answers = iter([stream(": ping\n\n"), httpx.Response(503, json=away)] * 3 + [stream(end)])
    with Client("http://there", transport=httpx.MockTransport(lambda _: next(answers))) as client:
        assert [event.id for event in client.watch("any", patience_seconds=900)] == [7]


@pytest.mark.parametrize("ask", [Client.page, Client.schema, Client.readiness])
def test_a_page_of_another_program_is_no_answer(ask: Callable[[Client], object]) -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, html="<html>hello</html>"))
    with Client("http://there", transport=page) as client, pytest.raises(RefusedError, match="not a sigmalab service"):
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
            pytest.raises(RefusedError, match="not a sigmalab service"),
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
    assert find_endpoint() == ("http://lab.example", "SIGMALAB_URL", None)


def test_an_idempotency_key_that_no_header_can_carry() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ClientError, match="printable ASCII"):
        client.submit(b"{}", idempotency_key="schlüssel")


@pytest.fixture
def nobody_has_named_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service has the usual port."""
    monkeypatch.delenv("SIGMALAB_URL", raising=False)
    monkeypatch.setattr("api.endpoint.DEFAULT_URL", url)


@pytest.mark.usefixtures("nobody_has_named_it")
def test_the_service_of_this_folder_is_known_without_a_note(settings: Settings, spec: JsonObject) -> None:
    with Client() as client:
        assert client.endpoint.home == settings.home
        assert client.belongs_here
        assert client.cancel(client.submit(spec).id).status is ExperimentStatus.CANCELLED


@pytest.mark.usefixtures("nobody_has_named_it")
@pytest.mark.parametrize("kind", ["empty", "another's", "copied"])
def test_a_strangers_service_changes_nothing(
    client: Client, settings: Settings, spec: JsonObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    view = client.submit(spec)
    home = tmp_path / "mine"
    if kind == "copied":
        shutil.copytree(settings.home, home)
    elif kind == "another's":
        ensure_home_id(home)
    monkeypatch.setenv("SIGMALAB_HOME", str(home))
    with Client() as stranger:
        assert not stranger.belongs_here
        for change in (
            lambda: stranger.submit(spec),
            lambda: stranger.hand_in(spec, unless_running=True),
            lambda: stranger.cancel(view.id),
            lambda: stranger.resume(view.id),
            lambda: stranger.extend(view.id, [9]),
        ):
            with pytest.raises(
                StrangerError, match=r"is not the service of .*mine, where none runs; nothing was changed"
            ):
                change()
        assert stranger.plan(spec).digest == view.digest
        assert [found.id for found in stranger.experiments()] == [view.id]
    assert client.get(view.id).status is ExperimentStatus.QUEUED


def test_a_service_elsewhere_is_asked_through_the_proxy(forward_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://ann:secret@{forward_proxy}")
    with Client("http://lab.example") as client:
        assert client._http.get("/healthz").text == "asked for http://lab.example/healthz"
        with pytest.raises(RefusedError, match=f"through the proxy http://{forward_proxy} of http_proxy") as refused:
            client.page()
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("no_proxy", "fd00::/8,.example")
    with Client("http://lab.example", timeout_seconds=5) as client, pytest.raises(ServiceUnreachableError) as away:
        client.page()
    assert "proxy" not in str(away.value)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    ["http://ann:secret@127.0.0.1:1", "ann:secret@127.0.0.1:1", "socks5://ann:secret@127.0.0.1:1", "socks4://127.0.0.1",
     "ftp://ann:secret@h:1", "http://", "::::", "http://[::1", "no proxy", "http://ann:secret@h:port", "//", "http://ä:1"],
)  # fmt: skip
def test_whatever_the_environment_calls_a_proxy(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ServiceUnreachableError, match=variable) as away, Client("http://lab.example") as client:
        client.page()
    assert "secret" not in str(away.value)
    with pytest.raises(ServiceUnreachableError) as away, Client("http://127.0.0.1:1") as client:
        client.page()
    assert "proxy" not in str(away.value)


@pytest.mark.parametrize(
    "address",
    ["http://host:abc", "http://[::1", "http://ann:secret@[bad", "http://ann:se/cret@host", "http://127.0.0.1:99999",
     "http://lab..example", "ann:secret@lab:8000", "ftp://ann:secret@lab", "http://"],
)  # fmt: skip
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("SIGMALAB_URL", address)
    for url, source in ((None, "SIGMALAB_URL"), (address, "given")):
        with pytest.raises(
            ServiceUnreachableError, match=rf"\({source}\): that is not an address; write http"
        ) as refused:
            Client(url)
        assert "cret" not in str(refused.value)


def test_what_is_said_of_a_service_keeps_its_password(forward_proxy: str) -> None:
    """`ForwardProxy` answers whatever it is asked, as a stranger."""
    with Client(f"http://ann:secret@{forward_proxy}") as client, pytest.raises(RefusedError) as refused:
        client.page()
    assert f"from http://{forward_proxy}/experiments" in str(refused.value)
    with Client("http://ann:secret@127.0.0.1:1") as client, pytest.raises(ServiceUnreachableError) as away:
        client.page()
    for text in (str(refused.value), str(away.value), str(StrangerError(client.endpoint)), client.endpoint.shown):
        assert "secret" not in text
