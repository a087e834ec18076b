"""One service through its whole life: links, an experiment, reuse, deaths in mid-flight, a clean end.

The tests share the service and are read from top to bottom; the last one ends it.
"""

import json
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from api.client import Client
from api.sse import Event
from orchestrator.status import ExperimentStatus, TrialStatus
from tests.end_to_end.serving import (
    EXAMPLES,
    Service,
    assert_nothing_is_left,
    process_with,
    processes_of,
    sigmalab,
    wait_for,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TINY = json.loads((EXAMPLES / "tiny.json").read_text())
LONGER = TINY | {"name": "longer", "seeds": [0, 1, 2], "optimization": {"epochs": 30, "global_batch_size": 20}}
"""Long enough that something can die in the middle."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("serve"))
    yield running
    running.stop()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.links["api"]) as opened:
        yield opened


def last(events: list[Event], kind: str) -> Event:
    return [event for event in events if event.kind == kind][-1]


def test_three_links_answer_and_all_is_ready(service: Service, client: Client) -> None:
    for url in service.links.values():
        assert httpx.get(url).status_code in (200, 401), url
    assert httpx.get(service.links["ray"]).status_code in (200, 401)
    assert client.readiness().status == "ready"
    assert {name: check.ok for name, check in client.readiness().checks.items()} == {
        "state": True, "database": True, "reconciler": True, "ray": True, "mlflow": True,
    }  # fmt: skip


def test_ray_asks_for_its_token(service: Service) -> None:
    assert httpx.get(f"{service.links['ray']}/api/jobs/").status_code == 401


def test_everything_listens_on_loopback_only(service: Service) -> None:
    sockets = {
        str(link.readlink())
        for pid in processes_of(service.folder)
        for link in _files(Path(f"/proc/{pid}/fd"))
    }  # fmt: skip
    loopback = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                assert fields[1].partition(":")[0] in loopback, line


def test_started_twice_it_says_where_it_runs(service: Service) -> None:
    again = sigmalab(service.folder, "serve")
    assert again.returncode == 5
    assert f"already running here at {service.links['api']}, process {service.pid}" in again.stderr


def test_an_experiment_from_spec_to_report(service: Service, client: Client) -> None:
    view = client.submit(TINY)
    events = list(client.watch(view.id))
    assert events[-1].kind == "end"
    assert events[-1].payload["status"] == "succeeded"
    assert {event.kind for event in events} >= {"status", "trial", "epoch", "end"}
    view = client.get(view.id)
    assert view.progress.pairs_complete == view.progress.pairs_total == 2
    assert view.mlflow_url is not None
    assert view.mlflow_url.startswith(service.links["mlflow"])
    assert view.digest in client.report(view.id)
    for report_format, mark in (("md", "| "), ("html", "<svg"), ("csv", ","), ("latex", r"\toprule")):
        assert mark in client.report(view.id, report_format)  # type: ignore[arg-type]
    assert "pair 2/2 complete" in client.logs(view.id)


def test_the_curves_reach_mlflow(service: Service, client: Client) -> None:
    view = client.page(limit=1).items[0]
    wait_for(lambda: all(c.ok for c in client.get(view.id).conditions if c.type == "tracking"))
    assert all(trial.mlflow_run_id for trial in client.trials(view.id))
    answer = httpx.get(
        f"{service.links['mlflow']}/api/2.0/mlflow/runs/get", params={"run_id": client.trials(view.id)[0].mlflow_run_id}
    )
    assert {metric["key"] for metric in answer.json()["run"]["data"]["metrics"]} >= {"val/top1", "train/loss"}


def test_the_same_question_again_trains_nothing(client: Client) -> None:
    view = client.submit(TINY)
    assert view.id != client.page(limit=2).items[1].id
    list(client.watch(view.id))
    view = client.get(view.id)
    assert view.progress.trials_reused == view.progress.trials_total == 4
    assert {trial.attempt for trial in client.trials(view.id)} == {0}


def test_what_can_never_be_scheduled_fails_with_the_reason(client: Client) -> None:
    view = client.submit(TINY | {"name": "greedy", "resources": {"num_workers": 4, "gpus_per_worker": 1}})
    list(client.watch(view.id))
    view = client.get(view.id)
    assert view.status is ExperimentStatus.FAILED
    assert "GPU" in view.reason


def test_the_api_is_killed_in_mid_experiment(service: Service, client: Client) -> None:
    view = client.submit(LONGER | {"name": "api-killed"})
    killed = 0
    events = []
    for event in client.watch(view.id):
        events.append(event)
        if event.kind == "epoch" and not killed:
            killed = process_with(service.folder, "-m api --fd")
            os.kill(killed, signal.SIGKILL)
    assert killed
    assert process_with(service.folder, "-m api --fd") != killed
    assert last(events, "end").payload["status"] == "succeeded"
    assert [event.id for event in events] == sorted({event.id for event in events})
    assert client.get(view.id).attempt == 1
    assert "API       was killed by signal 9; starting it again" in service.news


def test_the_driver_is_killed_in_mid_experiment(service: Service, client: Client) -> None:
    view = client.submit(LONGER | {"name": "driver-killed", "question": "Another identity.", "seeds": [10, 11, 12]})
    killed = 0
    for event in client.watch(view.id):
        if event.kind == "epoch" and not killed:
            killed = process_with(service.folder, f"orchestrator drive {view.id}")
            os.kill(killed, signal.SIGKILL)
    assert killed
    view = client.get(view.id)
    assert view.status is ExperimentStatus.SUCCEEDED
    assert view.attempt == 2
    assert view.progress.pairs_complete == 3
    assert {trial.status for trial in client.trials(view.id)} == {TrialStatus.SUCCEEDED}


def test_nobody_else_may_read_what_it_keeps(service: Service) -> None:
    """Database, logs, checkpoints, reports, MLflow's files, Ray's sessions and everybody's temporary files."""
    places = [service.home, *service.home.rglob("*")]
    assert {"sigmalab.db", "ray-head.log", "mlflow.db", "best_weights.pt", "log.txt"} <= {path.name for path in places}
    assert [path for path in places if _mode(path) & 0o077] == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in service.outside} == {0o700}


def test_cancel_in_mid_experiment(client: Client) -> None:
    view = client.submit(LONGER | {"name": "cancelled", "seeds": [20, 21, 22]})
    asked = False
    for event in client.watch(view.id):
        if event.kind == "epoch" and not asked:
            client.cancel(view.id)
            asked = True
    assert client.get(view.id).status is ExperimentStatus.CANCELLED


def test_interrupted_it_leaves_nothing_behind(service: Service) -> None:
    assert processes_of(service.folder)
    assert service.stop(signal.SIGINT) == 0
    assert_nothing_is_left(service.folder, service.outside)


def _mode(path: Path) -> int:
    """Of what is no link and still there: databases have journals for moments."""
    with suppress(FileNotFoundError):
        found = path.lstat().st_mode
        return 0 if stat.S_ISLNK(found) else stat.S_IMODE(found)
    return 0


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
