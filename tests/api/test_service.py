"""The service itself: links, schema, health, metrics, documentation, who may speak to it."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from api.listening import may_listen
from api.openapi import SMALL_SPEC
from orchestrator.settings import Settings
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.status import AttemptEnd
from orchestrator.store.database import Database
from orchestrator.store.experiments import begin_attempt, end_attempt
from tests.api.conftest import JsonObject


def test_the_root_leads_on(http: TestClient) -> None:
    links = http.get("/").json()["links"]
    assert http.get(links["schema"]).json()["title"] == "ExperimentSpec"
    assert http.get(links["docs"]).status_code == 200


def test_links_are_those_that_people_can_open(settings: Settings) -> None:
    changes = {"mlflow_tracking_uri": "http://ann:secret@mlflow:5000", "ray_public_url": "https://lab.example/ray"}
    with TestClient(create_app(settings.model_copy(update=changes), with_background=False), "http://localhost") as http:
        links = http.get("/").json()["links"]
    assert (links["mlflow"], links["ray"]) == ("http://mlflow:5000", "https://lab.example/ray")


def test_alive_though_nothing_else_is(http: TestClient) -> None:
    assert http.get("/healthz").text == "ok"


def test_not_ready_without_ray_and_says_why(http: TestClient) -> None:
    answer = http.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["database"]["ok"]
    assert not checks["ray"]["ok"]
    assert "127.0.0.1:1" in checks["ray"]["reason"]


@pytest.mark.parametrize(
    ("lost", "check", "words"),
    [
        ("sigmalab.db", "database", "the database "),
        ("trials", "state", "the trials' storage "),
        (".", "state", "the state folder "),
    ],
)
def test_state_that_is_removed_is_noticed_and_nothing_more_accepted(
    http: TestClient, settings: Settings, spec: JsonObject, experiment_id: str, lost: str, check: str, words: str
) -> None:
    place = settings.home / lost
    kept = place.rename(settings.home.with_name("kept"))
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert not answer.json()["checks"][check]["ok"]
    assert answer.json()["checks"][check]["reason"].startswith(words)
    changes = ("/experiments", spec), (f"/experiments/{experiment_id}/extend", {"seeds": [9]})
    for path, body in changes:
        refused = http.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (503, "state_lost")
        assert "while" in refused.json()["detail"].partition(" was removed")[2]
    assert not place.exists()
    kept.rename(place)
    assert http.get("/readyz").json()["checks"][check]["ok"]
    assert http.post("/experiments", json=spec).status_code == 202


def test_metrics_count_requests_by_route(http: TestClient, experiment_id: str) -> None:
    http.get(f"/experiments/{experiment_id}")
    http.get("/experiments/nobody")
    text = http.get("/metrics").text
    assert 'sigmalab_http_requests_total{method="GET",route="/experiments/{experiment_id}",status="200"} 1.0' in text
    assert 'route="/experiments/{experiment_id}",status="404"} 1.0' in text
    assert experiment_id not in text


def test_metrics_tell_what_the_rows_hold(http: TestClient, experiment_id: str, database: Database) -> None:
    with database.write() as session:
        for end in (AttemptEnd.HEAD_LOST, AttemptEnd.CRASHED):
            number = begin_attempt(session, experiment_id, None)
            end_attempt(session, experiment_id, number, end)
    text = http.get("/metrics").text
    assert 'sigmalab_driver_attempts_total{cause="head_lost"} 1.0' in text
    assert 'sigmalab_driver_attempts_total{cause="silent"} 0.0' in text
    assert "sigmalab_recoveries_total 1.0" in text
    assert 'sigmalab_experiments{status="queued"} 1.0' in text
    assert 'sigmalab_trials{status="pending"} 6.0' in text
    assert "sigmalab_claims 0.0" in text


def test_the_example_of_the_documentation_is_a_spec(app: FastAPI) -> None:
    ExperimentSpec.model_validate(SMALL_SPEC)
    text = str(app.openapi())
    assert "HTTPValidationError" not in text
    assert "digits-gaussian-bias" in text


def test_every_operation_says_what_it_does(app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_error_of_the_service_itself_is_a_problem(http: TestClient, app: FastAPI, method: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    app.add_api_route("/broken", fail, methods=[method.upper()])
    answer = http.request(method, "/broken")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "ZeroDivisionError" in answer.json()["detail"]


# ---- who may speak to it ----


@pytest.fixture
def guarded(settings: Settings) -> Iterator[TestClient]:
    app = create_app(settings.model_copy(update={"api_token": "secret"}), with_background=False)
    with TestClient(app, base_url="http://lab.example:8000") as client:
        yield client


def test_without_the_token_nothing_is_told(guarded: TestClient) -> None:
    answer = guarded.get("/experiments")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "SIGMALAB_API_TOKEN" in answer.json()["detail"]
    assert guarded.get("/nowhere").status_code == 401
    assert guarded.get("/healthz").status_code == 200


@pytest.mark.parametrize("given", ["Bearer secre", "Bearer secrets", "Basic secret", "Bearer", "Bearer sécret"])
def test_a_wrong_token(guarded: TestClient, given: str) -> None:
    answer = guarded.get("/experiments", headers={"Authorization": given.encode()})
    assert answer.status_code == 401


def test_the_right_token(guarded: TestClient) -> None:
    assert guarded.get("/experiments", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_without_a_token_only_this_machine_is_answered(http: TestClient) -> None:
    refused = http.get("/experiments", headers={"Host": "evil.example"})
    assert refused.status_code == 403
    assert "evil.example" in refused.json()["detail"]
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert http.get("/experiments", headers={"Host": host}).status_code == 200


def test_a_page_from_elsewhere_changes_nothing(http: TestClient, experiment_id: str) -> None:
    path = f"/experiments/{experiment_id}/cancel"
    assert http.post(path, headers={"Origin": "http://evil.example"}).status_code == 403
    assert http.get(f"/experiments/{experiment_id}").json()["status"] == "queued"
    assert http.post(path, headers={"Origin": "http://127.0.0.1"}).status_code == 202


@pytest.mark.parametrize(
    ("host", "token", "may"),
    [
        ("127.0.0.1", None, True),
        ("localhost", None, True),
        ("::1", None, True),
        ("0.0.0.0", None, False),
        ("192.0.2.7", "", False),
        ("lab.example", None, False),
        ("0.0.0.0", "secret", True),
    ],
)
def test_beyond_loopback_only_with_a_token(host: str, token: str | None, may: bool) -> None:
    assert may_listen(host, token) is may


def test_a_service_that_has_started_is_led(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as started:
        assert started.get("/readyz").json()["checks"]["reconciler"]["ok"]
