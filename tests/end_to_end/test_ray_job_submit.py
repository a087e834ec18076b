"""`ray job submit -- python -m orchestrator run` on a plain `ray start --head` gives what a direct run gives."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.orchestrator.small_experiments import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.e2e]

ROOT = Path(__file__).parents[2]
SPEC = "examples/tiny.json"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment_of(home: Path) -> dict[str, str]:
    """What somebody has who works in the activated environment, and nothing of this session."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SIGMALAB_"))}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return environment | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "disabled",
        "SIGMALAB_HOME": str(home),
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Addresses (driver's, dashboard's) of a cluster made by `ray start --head`, the home of its jobs, its folder."""
    home = tmp_path_factory.mktemp("jobs")
    scratch = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short: a socket's path has at most 107 bytes
    gcs, dashboard, client, agent = (free_port() for _ in range(4))
    command = ["ray", "start", "--head", "--block", "--num-cpus=2", "--node-ip-address=127.0.0.1", f"--port={gcs}"]
    command += [f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}", f"--temp-dir={scratch}"]
    command += [f"--dashboard-agent-listen-port={agent}", "--min-worker-port=0", "--max-worker-port=0"]
    command += ["--disable-usage-stats"]
    with (scratch / "head.log").open("w") as log:
        head = subprocess.Popen(command, env=environment_of(home), stdout=log, stderr=log, cwd=scratch)
    try:
        wait_until(lambda: is_listening(dashboard), seconds=120)
        yield f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", home, scratch
    finally:
        head.terminate()
        head.wait(60)
        shutil.rmtree(scratch, ignore_errors=True)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def report_in(home: Path) -> dict:
    (report,) = home.glob("reports/*/report.json")
    return json.loads(report.read_text())


def test_a_submitted_job_gives_the_digest_and_the_table_of_a_direct_run(cluster, tmp_path):
    address, dashboard, home, scratch = cluster
    entrypoint = ["python", "-m", "orchestrator", "run", SPEC]
    submitted = subprocess.run(
        ["ray", "job", "submit", "--address", dashboard, "--working-dir", ".", "--", *entrypoint],
        cwd=ROOT, env=environment_of(home), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    log = submitted.stdout + submitted.stderr
    assert submitted.returncode == 0, log
    assert re.search(r"pair 2/2 complete: gaussian [+-]\d+\.\d\d pp \(seed \d\)", log), log
    # Neither the environment nor any state went with it.
    (uploaded,) = scratch.glob("session_2*/runtime_resources/working_dir_files/_ray_pkg_*/")
    assert (uploaded / "orchestrator").is_dir()
    # The job compiles what it imports.
    sent = [file for file in uploaded.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    assert sum(file.stat().st_size for file in sent) < 20_000_000

    command = [sys.executable, "-m", "orchestrator", "run", SPEC, "--json", "--output", str(tmp_path / "out")]
    direct = subprocess.run(
        command, cwd=ROOT, env=environment_of(tmp_path) | {"RAY_ADDRESS": address},
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert direct.returncode == 0, direct.stderr
    printed = json.loads(direct.stdout)
    assert printed == json.loads((tmp_path / "out" / "report.json").read_text())
    by_job = report_in(home)
    assert by_job["provenance"]["digest"] == printed["provenance"]["digest"]
    assert by_job["comparisons"] == printed["comparisons"]
    assert (tmp_path / "out" / "comparisons.csv").exists()
    table = (next(home.glob("reports/*")) / "table.tex").read_text()
    assert (tmp_path / "out" / "table.tex").read_text() == table
