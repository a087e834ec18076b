"""The local stack when it is not asked politely: its parent is killed, and its watchdog too."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.local_stack import processes
from api.local_stack.existing import ray_dashboard_url, ray_token
from api.local_stack.record import StackRecord, read_record
from api.local_stack.scratch import SOCKET_PATH_LIMIT, SOCKET_TAIL
from api.local_stack.stack import clear_leftovers
from orchestrator.errors import RayUnavailableError
from orchestrator.service.jobs import RayJobs
from tests.end_to_end.serving import PROGRAM, assert_nothing_is_left, private_environment, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RAY_ONLY = """
import sys, time
from pathlib import Path
from api.local_stack import LocalStack, StackOptions
with LocalStack(StackOptions(home=Path(sys.argv[1]), only_ray=True), lambda *_: None):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def parent(tmp_path: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A stack that is ready."""
    command = [sys.executable, "-c", RAY_ONLY, str(home)]
    with subprocess.Popen(command, env=private_environment(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def living(record: StackRecord) -> list[int]:
    return processes.members(record.stack_id, record.sessions)


def test_killed_it_takes_its_servers_along(home: Path, parent: subprocess.Popen[str]) -> None:
    record = read_record(home)
    assert record is not None
    assert len(living(record)) > 5
    parent.kill()
    # Ray's agents alone would stay for half a minute.
    wait_for(lambda: not living(record), 15)
    wait_for(lambda: not any(Path(folder).exists() for folder in record.folders), 15)


def test_its_sockets_have_short_paths_with_some_room(home: Path, parent: subprocess.Popen[str]) -> None:
    record = read_record(home)
    assert record is not None
    (scratch,) = record.folders
    assert stat.S_IMODE(Path(scratch).stat().st_mode) == 0o700
    # Field 8 of /proc/net/unix, where a socket has a path.
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    paths = {row[7] for row in rows if len(row) > 7 and row[7].startswith(f"{scratch}/")}
    names = {Path(path).name for path in paths}
    assert names >= {"plasma_store", "raylet", "dash_MetricsHead"}
    for path in paths:
        longest = re.sub(r"(session_[\d_-]+_)\d+/", r"\g<1>4194304/", path)
        assert len(longest) - len(scratch) <= SOCKET_TAIL - 5, path
        assert len(longest) <= SOCKET_PATH_LIMIT - 5, path


def test_a_head_that_can_never_start_says_why_at_once(tmp_path: Path) -> None:
    environment = private_environment(tmp_path) | {"RAY_gcs_storage": "nonsense"}
    command = [str(PROGRAM), "serve", "--port", "0"]
    serve = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert serve.returncode == 5
    again = "Ray head  can't start: Unsupported GCS storage type: nonsense; starting it again (log: "
    assert sum(line.startswith(again) for line in serve.stderr.splitlines()) == 2
    assert "error: Ray head can't start: Unsupported GCS storage type: nonsense (3 starts)" in serve.stderr
    assert "Traceback" not in serve.stderr
    # The folder of its session is gone, what it wrote is not.
    assert "nonsense" in (tmp_path / "home" / "logs" / "ray-session" / "gcs_server.out").read_text()
    assert_nothing_is_left(tmp_path, [])


def test_killed_with_its_watchdog_the_next_start_cleans_up(home: Path, parent: subprocess.Popen[str]) -> None:
    record = read_record(home)
    assert record is not None
    (watchdog,) = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and record.stack_id.encode() in _command(entry) and b"watchdog" in _command(entry)
    ]
    os.kill(watchdog, signal.SIGKILL)
    parent.kill()
    parent.wait()
    assert living(record)
    clear_leftovers(home)
    assert living(record) == []
    assert not any(Path(folder).exists() for folder in record.folders)
    assert read_record(home) is None


def test_told_to_stop_while_it_starts(tmp_path: Path) -> None:
    environment = private_environment(tmp_path)
    command = [str(PROGRAM), "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serve:
        assert serve.stderr is not None
        while "API       starting" not in serve.stderr.readline():
            assert serve.poll() is None
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(60) == 130
        assert "Traceback" not in serve.stderr.read()
    assert_nothing_is_left(tmp_path, [])


def test_its_terminal_is_gone(tmp_path: Path) -> None:
    """Nobody reads what it writes, and it still ends its servers."""
    environment = private_environment(tmp_path)
    command = [str(PROGRAM), "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as serve:
        assert serve.stdout is not None
        assert serve.stderr is not None
        serve.stderr.readline()
        serve.stdout.close()
        serve.stderr.close()
        wait_for(lambda: read_record(tmp_path / "home") is not None)
        serve.send_signal(signal.SIGHUP)
        serve.wait(60)
    assert_nothing_is_left(tmp_path, [])


def test_an_existing_cluster_is_joined(tmp_path: Path, home: Path, parent: subprocess.Popen[str]) -> None:
    record = read_record(home)
    assert record is not None
    environment = private_environment(tmp_path) | record.driver_variables
    url = ray_dashboard_url(record.driver_variables["RAY_ADDRESS"], environment)
    assert url == record.ray_url
    RayJobs(url, ray_token(environment)).check()
    with pytest.raises(RayUnavailableError, match="wants another token"):
        RayJobs(url, None).check()


def _command(process: Path) -> bytes:
    try:
        return process.joinpath("cmdline").read_bytes()
    except OSError:
        return b""
