"""Submit, look, cancel, extend over HTTP."""

import csv
import io

import pytest
from fastapi.testclient import TestClient
from rich.console import Console

from api.cli.readings import ReportReading
from api.cli.report_tables import print_report
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from tests.api import playing
from tests.api.conftest import JsonObject


def test_submit_stores_and_says_where(http: TestClient, spec: JsonObject) -> None:
    answer = http.post("/experiments", json=spec)
    assert answer.status_code == 202
    view = answer.json()
    assert answer.headers["Location"] == f"/experiments/{view['id']}"
    assert view["status"] == "queued"
    assert view["progress"]["trials_total"] == 6
    assert view["progress"]["pairs_total"] == 3
    assert http.get(answer.headers["Location"]).json()["digest"] == view["digest"]
    assert len(http.get(f"/experiments/{view['id']}/trials").json()) == 6


def test_the_same_key_with_the_same_body_finds_the_first_experiment(http: TestClient, spec: JsonObject) -> None:
    headers = {"Idempotency-Key": "abc"}
    first = http.post("/experiments", json=spec, headers=headers).json()
    again = http.post("/experiments", json=spec, headers=headers)
    assert again.status_code == 202
    assert again.json()["id"] == first["id"]
    assert len(http.get("/experiments").json()["items"]) == 1


def test_the_same_key_with_another_body_is_refused(http: TestClient, spec: JsonObject) -> None:
    headers = {"Idempotency-Key": "abc"}
    http.post("/experiments", json=spec, headers=headers)
    answer = http.post("/experiments", json=spec | {"seeds": [7, 8]}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert "already used with another body" in answer.json()["detail"]


def test_the_same_question_runs_twice_unless_that_is_not_wanted(http: TestClient, spec: JsonObject) -> None:
    asked = {"unless_running": "true"}
    first = http.post("/experiments", json=spec, params=asked)
    assert first.status_code == 202
    again = http.post("/experiments", json=spec, params=asked)
    assert again.status_code == 200
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json()["id"] == first.json()["id"]
    assert http.post("/experiments", json=spec).status_code == 202
    assert len(http.get("/experiments").json()["items"]) == 2


def test_plan_changes_nothing(http: TestClient, spec: JsonObject) -> None:
    plan = http.post("/experiments/plan", json=spec)
    assert plan.status_code == 200
    assert plan.json()["num_confirm_trials"] == 6
    assert [trial["seed"] for trial in plan.json()["trials"]] == [0, 0, 1, 1, 2, 2]
    assert plan.json()["power"][0]["p_floor"] == 0.25
    assert http.get("/experiments").json()["items"] == []


def test_plan_knows_what_is_finished(
    http: TestClient, database: Database, spec: JsonObject, experiment_id: str
) -> None:
    playing.play(database, experiment_id)
    plan = http.post("/experiments/plan", json=spec | {"seeds": [0, 1, 2, 3]}).json()
    assert plan["num_reusable"] == 6
    assert [trial["is_reusable"] for trial in plan["trials"]] == [True] * 6 + [False] * 2


def test_pages_go_from_new_to_old(http: TestClient, spec: JsonObject) -> None:
    ids = [http.post("/experiments", json=spec).json()["id"] for _ in range(3)]
    first = http.get("/experiments", params={"limit": 2}).json()
    assert [item["id"] for item in first["items"]] == ids[:0:-1]
    second = http.get("/experiments", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in second["items"]] == ids[:1]
    assert second["next_cursor"] is None
    assert http.get("/experiments", params={"status": "running"}).json()["items"] == []


def test_comparisons_show_the_planted_effect(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id)
    (comparison,) = http.get(f"/experiments/{experiment_id}/comparisons").json()
    assert comparison["effect"] == pytest.approx(10.1)
    # Three pairs confirm nothing, however large the effect.
    assert comparison["verdict"] == "suggestive"
    assert comparison["num_pairs"] == 3
    view = http.get(f"/experiments/{experiment_id}").json()
    assert view["progress"]["pairs_complete"] == 3
    assert view["status"] == "succeeded"


def test_what_people_read_calls_arms_by_their_labels(http: TestClient, database: Database, spec: JsonObject) -> None:
    label = "Für s_2 (ours)"
    control, treatment = spec["arms"]
    labelled = spec | {"arms": [control, treatment | {"label": label}]}
    experiment_id = http.post("/experiments", json=labelled).json()["id"]
    playing.play(database, experiment_id)
    (comparison,) = http.get(f"/experiments/{experiment_id}/comparisons").json()
    assert comparison["treatment"] == "gaussian"
    read = {
        name: http.get(f"/experiments/{experiment_id}/report", params={"format": name}).text.replace("\\", "")
        for name in ("json", "md", "html", "latex", "appendix-md", "appendix-latex", "csv", "trials-csv")
    }
    assert [name for name, text in read.items() if label not in text.replace("allowbreak{}", "")] == []
    rows = {name: next(csv.DictReader(io.StringIO(read[name]))) for name in ("csv", "trials-csv")}
    assert (rows["csv"]["treatment"], rows["csv"]["treatment_label"]) == ("gaussian", label)
    assert (rows["trials-csv"]["arm"], rows["trials-csv"]["arm_label"]) == ("control", "control")
    terminal = io.StringIO()
    print_report(Console(file=terminal, width=200), ReportReading.model_validate_json(read["json"]))
    table, _, sentences = terminal.getvalue().partition("Caveats")
    assert label in table
    assert "gaussian" not in table
    assert label in sentences


def test_a_failed_trial_leaves_its_pair_incomplete_with_the_reason(
    http: TestClient, database: Database, experiment_id: str
) -> None:
    playing.play(database, experiment_id, failing=[("gaussian", 1)])
    (comparison,) = http.get(f"/experiments/{experiment_id}/comparisons").json()
    assert comparison["num_pairs"] == 2
    incomplete = comparison["pairs"][1]
    assert incomplete["treatment"] is None
    assert "step 3" in incomplete["missing_because"]
    assert "gaussian" in incomplete["missing_because"]


def test_cancel_of_a_queued_experiment_ends_it(http: TestClient, experiment_id: str) -> None:
    answer = http.post(f"/experiments/{experiment_id}/cancel")
    assert answer.status_code == 202
    assert answer.json()["status"] == "cancelled"


def test_cancel_of_a_finished_experiment_is_refused(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id)
    answer = http.post(f"/experiments/{experiment_id}/cancel")
    assert answer.status_code == 409
    assert answer.json()["code"] == "status_conflict"
    assert "already succeeded" in answer.json()["detail"]


def test_resume_tries_what_failed_again(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id, failing={("gaussian", 1)})
    refused = http.post(f"/experiments/{experiment_id}/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "status_conflict")
    answer = http.post(f"/experiments/{experiment_id}/resume", params={"retry": True})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    playing.play(database, experiment_id)
    (comparison,) = http.get(f"/experiments/{experiment_id}/comparisons").json()
    assert comparison["num_pairs"] == 3


def test_extend_adds_pairs_and_keeps_the_old_ones(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id)
    answer = http.post(f"/experiments/{experiment_id}/extend", json={"seeds": [3, 4]})
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    assert answer.json()["progress"]["pairs_total"] == 5
    assert answer.json()["progress"]["pairs_complete"] == 3
    attempt = playing.begin(database, experiment_id)
    playing.train(database, experiment_id, attempt)
    playing.finish(database, experiment_id, attempt)
    (comparison,) = http.get(f"/experiments/{experiment_id}/comparisons").json()
    assert comparison["num_pairs"] == 5


def test_extend_of_a_running_experiment_is_refused(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.begin(database, experiment_id)
    answer = http.post(f"/experiments/{experiment_id}/extend", json={"seeds": [3]})
    assert answer.status_code == 409
    assert "running" in answer.json()["detail"]


def test_extend_by_a_seed_that_is_there_is_refused(http: TestClient, database: Database, experiment_id: str) -> None:
    playing.play(database, experiment_id)
    answer = http.post(f"/experiments/{experiment_id}/extend", json={"seeds": [3, 1]})
    assert answer.status_code == 422
    assert "1" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("report_format", "media_type", "text"),
    [
        ("json", "application/json", '"verdict":"suggestive"'),
        ("md", "text/markdown", "| "),
        ("html", "text/html", "<html"),
        ("csv", "text/csv", "treatment"),
        ("latex", "application/x-tex", r"\toprule"),
    ],
)
def test_report_in_every_format(
    http: TestClient, database: Database, experiment_id: str, report_format: str, media_type: str, text: str
) -> None:
    playing.play(database, experiment_id)
    answer = http.get(f"/experiments/{experiment_id}/report", params={"format": report_format})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media_type)
    assert text in answer.text


def test_logs_before_any_driver(http: TestClient, experiment_id: str) -> None:
    assert "no driver" in http.get(f"/experiments/{experiment_id}/logs").text


def test_status_of_a_cancelled_experiment_keeps_finished_trials(
    http: TestClient, database: Database, experiment_id: str
) -> None:
    attempt = playing.begin(database, experiment_id)
    playing.train(database, experiment_id, attempt)
    assert http.post(f"/experiments/{experiment_id}/cancel").json()["status"] == "cancelling"
    playing.finish(database, experiment_id, attempt, ExperimentStatus.CANCELLED)
    view = http.get(f"/experiments/{experiment_id}").json()
    assert view["status"] == "cancelled"
    assert view["progress"]["pairs_complete"] == 3
