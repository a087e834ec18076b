"""What the pages tell: the same numbers and words as the HTTP interface and the report, and nothing that runs."""

import html
import re
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from api.pages.glance import Glance, glance_at
from orchestrator.service.experiments import Experiments
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import get_experiment
from orchestrator.store.trials import trials_of
from tests.api import playing
from tests.api.conftest import JsonObject

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def ask(http: TestClient, spec: JsonObject) -> str:
    answer = http.post("/experiments", json=spec)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_an_empty_service_offers_a_first_question(browser: TestClient) -> None:
    page = browser.get("/").text
    assert "A first question" in page
    assert "sigmalab submit spec.json" in page


def test_a_finished_experiment_in_the_list(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = ask(http, spec)
    playing.play(database, experiment_id)
    (comparison,) = http.get(f"/experiments/{experiment_id}/comparisons").json()
    page = browser.get("/").text
    text = text_of(page)
    assert "3 of 3 pairs" in text
    assert f"{comparison['verdict']} gaussian" in text
    assert f"effect +{comparison['effect']:.2f}" in page
    assert "interim" not in text
    # The servers of this test are away, and the page says so.
    assert "ray" in text
    assert "127.0.0.1:1" in text


def test_what_may_change_is_said_to_be_interim(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = ask(http, {**spec, "seeds": list(range(7))})
    attempt = playing.begin(database, experiment_id)
    assert "no pair is complete yet" in browser.get("/").text
    playing.train(database, experiment_id, attempt)
    for path in ("/", f"/experiments/{experiment_id}"):
        page = browser.get(path).text
        assert "<i>interim</i>" in page
        assert "mark hollow" in page
    assert "Answer so far" in page
    assert 'class="matrix hatched"' in page
    playing.finish(database, experiment_id, attempt)
    page = browser.get(f"/experiments/{experiment_id}").text
    assert "nterim" not in page
    assert "mark filled" in page


def test_what_was_trained_is_told_beside_what_is_expected(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = ask(http, {**spec, "resources": {"cpus_per_worker": 2}})
    paths = ("/", f"/experiments/{experiment_id}")
    assert not any("CPU core" in text_of(browser.get(path).text) for path in paths)
    attempt = playing.begin(database, experiment_id)
    playing.train(database, experiment_id, attempt, limit=2)
    # A second each, on two cores; six trials.
    for path in paths:
        assert "trained 4 of about 12 CPU core seconds" in text_of(browser.get(path).text)
    playing.train(database, experiment_id, attempt)
    playing.finish(database, experiment_id, attempt)
    for path in paths:
        assert "trained 12 CPU core seconds" in text_of(browser.get(path).text)


def test_links_stand_where_there_is_something(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = ask(http, spec)
    attempt = playing.begin(database, experiment_id)
    path = f"/experiments/{experiment_id}"
    assert "What was learned" not in browser.get(path).text
    playing.train(database, experiment_id, attempt)
    page = browser.get(path).text
    assert f'href="{path}/learned"' in page
    assert f'href="{path}/search"' not in page


def test_the_page_says_what_the_report_says(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = ask(http, spec)
    playing.play(database, experiment_id, failing=[("gaussian", 1)])
    report = http.get(f"/experiments/{experiment_id}/report").json()
    text = text_of(browser.get(f"/experiments/{experiment_id}").text)
    for sentence in (*report["answers"], *report["remarks"], *report["caveats"]):
        assert re.sub(r"\s+", " ", sentence) in text
    assert "2 of 3 pairs" in text
    assert "the training loss became nan in epoch 0, step 3" in text
    for kind in ("html", "zip", "md", "latex", "csv", "trials-csv", "trials-parquet", "json"):
        assert f"/experiments/{experiment_id}/report?format={kind}" in browser.get(f"/experiments/{experiment_id}").text
    figure = browser.get(f"/experiments/{experiment_id}/figures/effects.svg")
    assert figure.headers["content-type"].startswith("image/svg+xml")
    assert "sandbox" in figure.headers["content-security-policy"]
    assert browser.get(f"/experiments/{experiment_id}/figures/nothing.svg").status_code == 404


def test_an_experiment_that_failed_says_why(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = ask(http, spec)
    attempt = playing.begin(database, experiment_id)
    playing.finish(database, experiment_id, attempt, ExperimentStatus.FAILED)
    for path in ("/", f"/experiments/{experiment_id}"):
        assert "✕ failed" in text_of(browser.get(path).text)


def test_whatever_a_user_wrote_is_text(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    """Names and labels come in as such only in letters; the store may hold more by another version or hand."""
    experiment_id = ask(http, {**spec, "question": HOSTILE})
    attempt = playing.begin(database, experiment_id)
    playing.train(database, experiment_id, attempt)
    with database.write() as session:
        row = get_experiment(session, experiment_id, lock=True)
        row.name = row.reason = row.digest = row.storage_trouble = HOSTILE[:60]
        row.data_found = {HOSTILE: HOSTILE}
        row.avoided_nodes = {HOSTILE: HOSTILE}
        for trial in trials_of(session, experiment_id)[1:3]:
            trial.status, trial.error, trial.arm, trial.reused_from = "failed", HOSTILE, trial.arm, HOSTILE[:60]
    for path in (
        "/",
        f"/?search={quote(HOSTILE)}",
        f"/experiments/{experiment_id}",
        f"/experiments/{quote(HOSTILE.partition('/')[0])}",
    ):
        page = browser.get(path).text
        assert page.count("&lt;script&gt;alert") > 0, path
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "{{7*7}}" in page or "49" not in page
    elements = re.findall(r"<(script|img|iframe|object)[ >]", browser.get(f"/experiments/{experiment_id}").text)
    assert elements == ["script", "img", "img"]


def test_what_takes_long_comes_later(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id = ask(http, spec)
    playing.play(database, experiment_id)
    monkeypatch.setattr("api.pages.experiments.GLANCE_SECONDS", 0)
    monkeypatch.setattr("api.pages.experiment.REPORT_SECONDS", 0)
    for path in ("/", f"/experiments/{experiment_id}"):
        page = browser.get(path).text
        assert "The comparisons are being made" in page
        # A script asks again; so does a browser without one.
        assert "data-waiting" in page
        assert '<noscript><meta http-equiv="refresh"' in page
    # What was begun meanwhile is waited for.
    monkeypatch.setattr("api.pages.experiments.GLANCE_SECONDS", 60)
    monkeypatch.setattr("api.pages.experiment.REPORT_SECONDS", 60)
    for path in ("/", f"/experiments/{experiment_id}"):
        page = browser.get(path).text
        assert "The comparisons are being made" not in page
        assert "data-waiting" not in page


def test_meanwhile_the_last_answer_is_shown_with_its_number_of_pairs(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id = ask(http, spec)
    attempt = playing.begin(database, experiment_id)
    playing.train(database, experiment_id, attempt, limit=4)
    paths = ("/", f"/experiments/{experiment_id}")
    before = {path: browser.get(path).text for path in paths}
    assert not any("data-waiting" in page for page in before.values())
    playing.train(database, experiment_id, attempt)
    monkeypatch.setattr("api.pages.experiments.GLANCE_SECONDS", 0)
    monkeypatch.setattr("api.pages.experiment.REPORT_SECONDS", 0)
    for path in paths:
        page = browser.get(path).text
        assert "of 2 pairs; 3 are complete now, and newer comparisons are being made" in text_of(page)
        assert "data-waiting" in page
        assert 'class="interval' in page
    monkeypatch.setattr("api.pages.experiment.REPORT_SECONDS", 60)
    (old,) = re.findall(r'src="([^"]+/effects\.svg[^"]*)"', before[paths[1]])
    (new,) = re.findall(r'src="([^"]+/effects\.svg[^"]*)"', browser.get(paths[1]).text)
    assert old != new
    assert browser.get(new).status_code == 200


def test_an_odd_experiment_hides_no_other(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, well = ask(http, {**spec, "name": "odd"}), ask(http, {**spec, "name": "well"})
    for experiment_id in (odd, well):
        playing.play(database, experiment_id)

    def stumbling(experiments: Experiments, experiment_id: str) -> Glance:
        if experiment_id == odd:
            raise KeyError(experiment_id)
        return glance_at(experiments, experiment_id)

    monkeypatch.setattr("api.pages.experiments.glance_at", stumbling)
    page = browser.get("/")
    assert page.status_code == 200
    assert "this could not be made" in page.text
    assert 'class="interval' in page.text


def test_a_control_that_was_repeated_is_called_equal_or_not(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    arms = [{"name": "control", "role": "control"}, {"name": "null", "patch": {"replica": 1}}]
    experiment_id = ask(http, {**spec, "arms": arms})
    playing.play(database, experiment_id)
    # Planted effects: the second training is another one.
    for path in ("/", f"/experiments/{experiment_id}"):
        assert "not equal" in text_of(browser.get(path).text)


# ---- the list ----


def test_filters_stand_in_the_address_and_pages_follow_each_other(
    http: TestClient, browser: TestClient, spec: JsonObject
) -> None:
    names = [f"asks-{number:02d}" for number in range(27)]
    ids = [ask(http, {**spec, "name": name}) for name in names]
    http.post(f"/experiments/{ids[3]}/cancel")
    first = browser.get("/?search=ASKS").text
    shown = re.findall(r'<h2 id="name-[^"]+"><a[^>]*>([^<]+)', first)
    assert shown == names[:1:-1]
    (following,) = re.findall(r'href="(/\?[^"]+)" rel="next"', first)
    second = browser.get(html.unescape(following)).text
    assert re.findall(r'<h2 id="name-[^"]+"><a[^>]*>([^<]+)', second) == names[1::-1]
    assert 'value="ASKS"' in second
    only = browser.get("/?status=cancelled").text
    assert re.findall(r'<h2 id="name-[^"]+"><a[^>]*>([^<]+)', only) == ["asks-03"]
    assert '<option value="cancelled" selected>' in only
    assert "No experiment is like that" in browser.get("/?search=100%25").text
    assert http.get("/experiments?search=aSkS-0").json()["next_cursor"] is None
    assert len(http.get("/experiments?search=asks-0").json()["items"]) == 10
    assert [each["id"] for each in http.get(f"/experiments?search={ids[5]}").json()["items"]] == [ids[5]]


def test_trials_are_filtered_and_paged(
    http: TestClient, browser: TestClient, spec: JsonObject, database: Database
) -> None:
    experiment_id = ask(http, {**spec, "seeds": list(range(60))})
    attempt = playing.begin(database, experiment_id)
    path = f"/experiments/{experiment_id}"
    first = browser.get(path).text
    assert first.count('/logs">') == 100 + 1
    (following,) = re.findall(r'href="([^"]+)#trials" rel="next"', first)
    assert browser.get(html.unescape(following)).text.count('/logs">') == 20 + 1
    assert "No trial is like that" in browser.get(f"{path}?trials=failed").text
    playing.train(database, experiment_id, attempt, failing=[("gaussian", 7)])
    assert browser.get(f"{path}?trials=failed").text.count('/logs">') == 1 + 1
