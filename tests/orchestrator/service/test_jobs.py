"""Ray's job API over HTTP: against a real head, and against answers that a healthy one never gives."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.errors import RayUnavailableError
from orchestrator.service.jobs import JobStatus, RayJobs
from orchestrator.settings import Settings

PATIENCE_SECONDS = 120.0


@pytest.fixture
def jobs(dashboard) -> RayJobs:
    return RayJobs(dashboard.url)


def test_a_job_is_submitted_once(dashboard, jobs: RayJobs) -> None:
    for _ in range(2):
        jobs.submit("exp-1-a1", "exec true", {"A": "b"}, working_dir="s3://bucket/code.zip")
    assert dashboard.jobs["exp-1-a1"]["request"] == {
        "entrypoint": "exec true",
        "submission_id": "exp-1-a1",
        "runtime_env": {"env_vars": {"A": "b"}, "working_dir": "s3://bucket/code.zip"},
    }


def test_an_unknown_job_is_lost(jobs: RayJobs) -> None:
    assert jobs.find("exp-1-a1").status is JobStatus.LOST
    assert jobs.logs("exp-1-a1") is None


def test_only_three_statuses_are_terminal() -> None:
    assert {status for status in JobStatus if status.is_terminal} == {"STOPPED", "SUCCEEDED", "FAILED"}


def test_the_token_is_sent_and_asked_for(dashboard) -> None:
    dashboard.token = "t0ken"
    RayJobs(dashboard.url, "t0ken").check()
    without = RayJobs(dashboard.url)
    for ask in (without.check, lambda: without.find("exp-1-a1")):
        with pytest.raises(RayUnavailableError, match=r"wants another token \(SIGMALAB_RAY_AUTH_TOKEN\)"):
            ask()


def test_an_error_of_ray_is_quoted_by_its_last_line(dashboard, jobs: RayJobs) -> None:
    dashboard.is_broken = True
    with pytest.raises(RayUnavailableError, match=r"answered 500: RuntimeError: out of order$"):
        jobs.submit("exp-1-a1", "exec true", {})


def test_nobody_there_is_said_quickly() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = RayJobs(f"http://127.0.0.1:{port}")
    for ask in (client.check, lambda: client.find("exp-1-a1")):
        with pytest.raises(RayUnavailableError, match=rf"127\.0\.0\.1:{port} does not answer: .*refused"):
            ask()


def test_another_program_on_the_port_is_noticed(dashboard, jobs: RayJobs) -> None:
    dashboard.jobs["exp-1-a1"] = {"status": "DANCING", "message": ""}
    with pytest.raises(RayUnavailableError, match="is not Ray's dashboard"):
        jobs.find("exp-1-a1")


def test_an_id_is_one_segment_of_the_path(dashboard, jobs: RayJobs) -> None:
    assert jobs.find("../version?a=b").status is JobStatus.LOST


# ---- a real head ----


@pytest.fixture(scope="module")
def ray_folder() -> Iterator[Path]:
    # A short path: Ray puts sockets there.
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ray_url(ray_folder: Path) -> Iterator[str]:
    """Dashboard of a head with two CPUs, whose every port and file is its own."""
    folder = ray_folder
    gcs, dashboard, client_port, *metrics = (_free_port() for _ in range(5))
    environment = os.environ | {
        "RAY_AUTH_MODE": "disabled",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_JOB_STOP_WAIT_TIME_S": "10",
        "AUTOSCALER_METRIC_PORT": str(metrics[0]),
        "DASHBOARD_METRIC_PORT": str(metrics[1]),
    }
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats",
        f"--port={gcs}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client_port}",
        "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--include-dashboard=true",
        "--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0",
        f"--temp-dir={folder}", "--num-cpus=2", "--object-store-memory=80000000",
    ]  # fmt: skip
    with (folder / "head.log").open("w") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{dashboard}"
        client = RayJobs(url)
        _wait_until(lambda: takes_jobs(client) or head.poll() is not None)
        assert head.poll() is None, (folder / "head.log").read_text()
        yield url
    finally:
        head.terminate()
        head.wait(60)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _command_lines() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "cmdline").read_bytes().decode(errors="replace")


def takes_jobs(client: RayJobs) -> bool:
    """Its agent, which starts them, comes later than its dashboard."""
    try:
        client.submit("first", "exec true", {})
    except RayUnavailableError:
        return False
    return True


def _wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"


@pytest.mark.ray
def test_a_real_job_is_submitted_read_and_stopped(ray_url: str) -> None:
    jobs = RayJobs(ray_url)
    assert jobs.find("exp-1-a1").status is JobStatus.LOST
    script = "import os, time; print('color', os.environ['COLOR'], flush=True); time.sleep(600)"
    for _ in range(2):
        jobs.submit("exp-1-a1", f'exec {sys.executable} -c "{script}"', {"COLOR": "blue"})
    _wait_until(lambda: "color blue" in (jobs.logs("exp-1-a1") or ""))
    assert jobs.find("exp-1-a1").status is JobStatus.RUNNING
    jobs.stop("exp-1-a1")
    _wait_until(lambda: jobs.find("exp-1-a1").status.is_terminal)
    assert jobs.find("exp-1-a1").status is JobStatus.STOPPED
    # Stopping what has stopped, or never was, is no error.
    jobs.stop("exp-1-a1")
    jobs.stop("exp-2-a1")


@pytest.mark.ray
def test_a_real_head_tells_what_its_node_has(ray_url: str) -> None:
    jobs = RayJobs(ray_url)
    # The dashboard answers some seconds before its node is there.
    _wait_until(lambda: jobs.nodes() != ())
    (node,) = jobs.nodes()
    assert node.cpus == 2


@pytest.mark.ray
def test_a_real_job_that_fails_says_so(ray_url: str) -> None:
    jobs = RayJobs(ray_url)
    jobs.submit("exp-3-a1", f"exec {sys.executable} -c 'raise SystemExit(\"no luck\")'", {})
    _wait_until(lambda: jobs.find("exp-3-a1").status.is_terminal)
    found = jobs.find("exp-3-a1")
    assert found.status is JobStatus.FAILED
    assert "exit code 1" in found.message
    assert "no luck" in jobs.logs("exp-3-a1")


@pytest.mark.ray
def test_a_password_is_in_nothing_that_ray_writes_or_tells(ray_url: str, ray_folder: Path, tmp_path: Path) -> None:
    jobs = RayJobs(ray_url)
    settings = Settings(home=tmp_path, database_url="postgresql://ann:hunter2@db/lab", mlflow_tracking_uri=None)
    settings.write_driver_secrets()
    script = "from orchestrator.settings import Settings; print(hash(Settings().database_url))"
    jobs.submit(
        "exp-4-a1", f"exec {sys.executable} -c '{script}'", settings.driver_environment() | {"PYTHONHASHSEED": "0"}
    )
    _wait_until(lambda: jobs.find("exp-4-a1").status.is_terminal)
    asked = subprocess.run(
        [sys.executable, "-c", "print(hash('postgresql://ann:hunter2@db/lab'))"],
        env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert asked.stdout.strip() in jobs.logs("exp-4-a1")
    written = [path for path in ray_folder.rglob("*") if path.is_file() and not path.is_symlink()]
    # It did write down what the job was told otherwise.
    assert [path for path in written if b"SIGMALAB_SECRETS_DIR" in path.read_bytes()]
    assert [path for path in written if b"hunter2" in path.read_bytes()] == []
    assert "hunter2" not in httpx.get(f"{ray_url}/api/jobs/").text
    assert not [line for line in _command_lines() if "hunter2" in line]
