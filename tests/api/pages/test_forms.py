"""What changes something: only from a page of ours, with a token only for who has given it."""

import html
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.pages.session import session_of
from orchestrator.settings import Settings
from orchestrator.store.database import Database
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.api.pages.conftest import BROWSER

HERE = {"Origin": "http://127.0.0.1"}
ELSEWHERE = {"Origin": "http://evil.example"}


def token_of(text: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', text)
    assert found
    return found[1]


def test_cancel_from_the_page(http: TestClient, browser: TestClient, spec: JsonObject) -> None:
    path = f"/experiments/{http.post('/experiments', json=spec).json()['id']}"
    token = token_of(browser.get(path).text)
    answer = browser.post(f"{path}/cancel", data={"form_token": token}, headers=HERE)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert http.get(path).json()["status"] == "cancelled"


def test_no_page_from_elsewhere_cancels(http: TestClient, browser: TestClient, spec: JsonObject) -> None:
    path = f"/experiments/{http.post('/experiments', json=spec).json()['id']}"
    token = token_of(browser.get(path).text)
    # Another origin, even with our own token; our origin without the token, or with a guessed one; a rebound name.
    refused = [
        browser.post(f"{path}/cancel", data={"form_token": token}, headers=ELSEWHERE),
        browser.post(f"{path}/cancel", data={"form_token": token}, headers={"Origin": "null"}),
        browser.post(f"{path}/cancel", data={"a": "b"}, headers=HERE),
        browser.post(f"{path}/cancel", data={"form_token": "guess"}, headers=HERE),
        browser.post(f"{path}/cancel", data={"form_token": token}, headers={"Host": "evil.example", **ELSEWHERE}),
        browser.post("/first-question", data={"form_token": token}, headers=ELSEWHERE),
        browser.post("/first-question", data={"a": "b"}, headers=HERE),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert browser.get("/", headers={"Host": "evil.example"}).status_code == 403
    browser.cookies.clear()
    assert browser.post(f"{path}/cancel", data={"form_token": token}, headers=HERE).status_code == 403
    assert http.get(path).json()["status"] == "queued"
    assert len(http.get("/experiments").json()["items"]) == 1


def test_the_first_question_is_asked_once(http: TestClient, browser: TestClient) -> None:
    token = token_of(browser.get("/").text)
    places = {
        browser.post("/first-question", data={"form_token": token}, headers=HERE).headers["location"] for _ in range(2)
    }
    (found,) = http.get("/experiments").json()["items"]
    assert places == {f"/experiments/{found['id']}"}
    assert found["name"] == "digits-gaussian-bias"


def test_extend_shows_the_cost_first(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = http.post("/experiments", json=spec).json()["id"]
    playing.play(database, experiment_id)
    path = f"/experiments/{experiment_id}"
    shown = browser.get(f"{path}/extend", params={"seeds": "3..4, 6"})
    # Three seeds of two arms in one cell, each as long as the finished ones: a second.
    assert "Add 3 seeds" in shown.text
    assert "6 trainings remain" in shown.text
    assert "about 0.0017 CPU core hours" in shown.text
    assert http.get(path).json()["status"] == "succeeded"
    done = browser.post(f"{path}/extend", data={"seeds": "3..4, 6", "form_token": token_of(shown.text)}, headers=HERE)
    assert done.status_code == 303
    assert http.get(path).json()["progress"]["pairs_total"] == 6
    refused = browser.get(f"{path}/extend", params={"seeds": "9"})
    assert refused.status_code == 409
    assert "only one that has ended can be extended" in refused.text


@pytest.mark.parametrize("seeds", ["", "two", "0", "5..1", "3;DROP", "<b>"])
def test_seeds_that_are_none_are_refused_in_words(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, seeds: str
) -> None:
    experiment_id = http.post("/experiments", json=spec).json()["id"]
    playing.play(database, experiment_id)
    answer = browser.get(f"/experiments/{experiment_id}/extend", params={"seeds": seeds})
    assert answer.status_code == 422
    assert "<b>" not in answer.text.partition("<main")[2].replace("<b></b>", "")


# ---- with a token ----


@pytest.fixture
def guarded(settings: Settings) -> Iterator[TestClient]:
    app = create_app(settings.model_copy(update={"api_token": "secret"}), with_background=False)
    with TestClient(app, base_url="http://lab.example:8000", follow_redirects=False) as client:
        client.headers.update(BROWSER)
        yield client


LAB = {"Origin": "http://lab.example:8000"}
SESSION_COOKIE = "sigmalab_session_8000"
"""With the port: another service of the same host has another one."""


def sign_in(guarded: TestClient, token: str, target: str = "/?status=running") -> object:
    form = guarded.get(target).text
    return guarded.post("/sign-in", data={"token": token, "target": target, "form_token": token_of(form)}, headers=LAB)


def test_the_token_is_asked_for_once(guarded: TestClient) -> None:
    asked = guarded.get("/?status=running")
    assert asked.status_code == 401
    assert 'value="/?status=running"' in asked.text
    assert guarded.get("/assets/sigmalab.css").status_code == 200
    answer = sign_in(guarded, "secret")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?status=running")
    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith(SESSION_COOKIE))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age=604800" in cookie
    assert "secret" not in cookie
    assert guarded.get("/?status=running").status_code == 200
    # A proxy's own scheme does not hide it.
    assert guarded.get("/?status=running", headers={"Authorization": "Basic cHJveHk="}).status_code == 200
    # No more and no fewer rights than the token itself.
    assert guarded.get("/experiments", headers={"Accept": "*/*"}).status_code == 200


def test_the_form_has_an_address_and_a_way_out(guarded: TestClient) -> None:
    form = guarded.get("/sign-in")
    assert form.status_code == 200
    assert 'name="target" value="/"' in form.text
    assert "Sign out" not in form.text
    sign_in(guarded, "secret")
    page = guarded.get("/").text
    assert "Sign out" in page
    assert "Bearer $SIGMALAB_API_TOKEN" in html.unescape(page)
    assert "secret" not in page
    # The session of a service at another port is not this one's.
    value = guarded.cookies[SESSION_COOKIE]
    other = {"Host": "lab.example:9000", "Cookie": f"{SESSION_COOKIE}={value}"}
    assert guarded.get("/", headers=other).status_code == 401
    refused = guarded.post("/sign-out", data={"form_token": token_of(page)}, headers=ELSEWHERE)
    assert refused.json()["code"] == "origin_refused"
    for named in ("http://evil.example", "lab.example:8000", "`Host`"):
        assert named in refused.json()["detail"]
    assert guarded.post("/sign-out", data={"form_token": token_of(page)}, headers=LAB).status_code == 303
    assert guarded.get("/").status_code == 401


def test_a_wrong_token_and_a_forged_session(guarded: TestClient) -> None:
    answer = sign_in(guarded, "secrets")
    assert answer.status_code == 401
    assert "not the service's token" in answer.text
    for forged in ("", "secret", session_of("another"), "é"):
        headers = {"Cookie": f"{SESSION_COOKIE}={forged}".encode()}
        assert guarded.get("/", headers=headers).status_code == 401
    assert guarded.get("/experiments", headers={"Accept": "*/*"}).json()["code"] == "token_missing"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_nobody_is_led_elsewhere(guarded: TestClient, target: str) -> None:
    form = guarded.get("/").text
    answer = guarded.post(
        "/sign-in", data={"token": "secret", "target": target, "form_token": token_of(form)}, headers=LAB
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_session_changes_nothing_for_a_page_from_elsewhere(guarded: TestClient, spec: JsonObject) -> None:
    """The cookie of a signed-in browser goes along wherever the browser allows it to; that must not be enough."""
    sign_in(guarded, "secret")
    program = {"Accept": "*/*"}
    for headers in (ELSEWHERE, {"Origin": "http://lab.example:5000"}, {"Origin": "null"}, {}):
        refused = guarded.post("/experiments", json=spec, headers={**program, **headers})
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_refused")
    assert guarded.post("/experiments", json=spec, headers={**program, **LAB}).status_code == 202
    bearer = {"Authorization": "Bearer secret", **program}
    guarded.cookies.clear()
    assert guarded.post("/experiments", json=spec, headers=bearer).status_code == 202
