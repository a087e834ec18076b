"""Reports from processes of their own: the same bytes, kept until something happens, and one that is lost."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from api.dependencies import PicturesDep, ReportsDep
from api.orphaned import WATCH
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.store.database import Database
from tests.api import playing
from tests.api.conftest import JsonObject
from tests.api.processes import wait_for_the_end_of


def written_by(experiments: Experiments, experiment_id: str) -> str:
    """Work that tells which process did it, and when; in one that would outlive a killed service it fails."""
    assert WATCH in {thread.name for thread in threading.enumerate()}
    return f"{os.getpid()} {time.monotonic_ns()} {experiments.get(experiment_id).name}"


def killed(experiments: Experiments, experiment_id: str) -> str:
    """Work that runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return experiment_id


def refused(experiments: Experiments, experiment_id: str) -> str:
    """Work that an odd experiment makes fail."""
    message = f"{experiment_id} is odd"
    raise ZeroDivisionError(message)


def written_when_told(experiments: Experiments, experiment_id: str, gate: str) -> str:
    """Work that takes as long as a test wants, and tells how many trials had ended before."""
    ended = sum(trial.ended_at is not None for trial in experiments.trials(experiment_id))
    with Path(gate).open(encoding="utf-8") as told:  # a pipe
        told.read()
    return f"{ended} ended"


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    app = create_app(settings.model_copy(update={"report_processes": 1}), with_background=False)

    @app.get("/who/{experiment_id}")
    async def who(experiment_id: str, reports: ReportsDep) -> str:
        return await reports.ask(written_by, experiment_id)

    @app.get("/picture/{experiment_id}")
    async def picture(experiment_id: str, pictures: PicturesDep) -> str:
        return await pictures.once(written_by, experiment_id)

    @app.get("/kill/{experiment_id}")
    async def kill(experiment_id: str, reports: ReportsDep) -> str:
        return await reports.ask(killed, experiment_id)

    @app.get("/glimpse/{experiment_id}")
    async def glimpse(experiment_id: str, reports: ReportsDep, seconds: float) -> str | None:
        found = await reports.glimpse(seconds, refused, experiment_id)
        return None if found is None else found.answer

    @app.get("/gated/{experiment_id}")
    async def gated(experiment_id: str, reports: ReportsDep, seconds: float, gate: str) -> tuple[str, bool] | None:
        found = await reports.glimpse(seconds, written_when_told, experiment_id, gate)
        return None if found is None else (found.answer, found.is_newest)

    return app


@pytest.fixture
def experiment_id(http: TestClient, spec: JsonObject) -> str:
    return str(http.post("/experiments", json=spec).json()["id"])


def test_another_process_builds_it_once_until_something_happens(
    http: TestClient, database: Database, experiment_id: str
) -> None:
    first = http.get(f"/who/{experiment_id}").json()
    pid, _, name = first.split()
    assert int(pid) != os.getpid()
    assert name == "small"
    assert http.get(f"/who/{experiment_id}").json() == first
    playing.begin(database, experiment_id)
    second = http.get(f"/who/{experiment_id}").json()
    assert second != first
    assert second.split()[0] == pid
    assert http.get(f"/who/{experiment_id}").json() == second
    assert http.get("/who/nobody").json()["code"] == "experiment_not_found"


def test_it_is_the_report_that_this_process_would_build(
    http: TestClient, settings: Settings, database: Database, experiment_id: str
) -> None:
    playing.play(database, experiment_id)
    with TestClient(create_app(settings, with_background=False), base_url="http://127.0.0.1") as here:
        for kind in ("json", "md", "csv"):
            path = f"/experiments/{experiment_id}/report?format={kind}"
            assert http.get(path).content == here.get(path).content
    assert http.get(f"/experiments/{experiment_id}/receptive-fields/maps").json()["code"] == "map_not_found"


def test_a_process_that_is_lost_is_told_and_replaced(http: TestClient, experiment_id: str) -> None:
    lost = http.get(f"/kill/{experiment_id}")
    assert (lost.status_code, lost.json()["code"]) == (503, "report_lost")
    assert "small" in http.get(f"/who/{experiment_id}").json()


def test_who_did_not_wait_for_a_failure_is_told_of_it(http: TestClient, experiment_id: str) -> None:
    assert http.get(f"/glimpse/{experiment_id}?seconds=0").json() is None
    told = http.get(f"/glimpse/{experiment_id}?seconds=60")
    assert (told.status_code, told.json()["code"]) == (500, "report_failed")
    assert "ZeroDivisionError" in told.json()["detail"]
    # Known by now, it is not tried again: nobody waits.
    again = http.get(f"/glimpse/{experiment_id}?seconds=0")
    assert (again.status_code, again.json()["code"]) == (500, "report_failed")


def test_one_build_at_a_time_and_the_last_answer_meanwhile(
    http: TestClient, database: Database, experiment_id: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    path = f"/gated/{experiment_id}?gate={gate}"
    attempt = playing.begin(database, experiment_id)
    assert http.get(f"{path}&seconds=0").json() is None
    gate.write_text("")
    assert http.get(f"{path}&seconds=60").json() == ["0 ended", True]
    playing.train(database, experiment_id, attempt, limit=1)
    assert http.get(f"{path}&seconds=0").json() == ["0 ended", False]
    playing.train(database, experiment_id, attempt, limit=1)
    # The build of the first trial is under way; that of the second is not queued behind it.
    assert http.get(f"{path}&seconds=0").json() == ["0 ended", False]
    # Whoever looks at a picture meanwhile does not wait behind it.
    assert "small" in http.get(f"/picture/{experiment_id}").json()
    gate.write_text("")
    with ThreadPoolExecutor() as pool:
        newest = pool.submit(http.get, f"{path}&seconds=60")
        gate.write_text("")
        assert newest.result().json() == ["2 ended", True]


def test_no_process_is_left(settings: Settings, spec: JsonObject, app: FastAPI) -> None:
    with TestClient(app, base_url="http://127.0.0.1") as http:
        known = http.post("/experiments", json=spec).json()["id"]
        pid = int(http.get(f"/who/{known}").json().split()[0])
        assert Path(f"/proc/{pid}").exists()
    wait_for_the_end_of(pid)
