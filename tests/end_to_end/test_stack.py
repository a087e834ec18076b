"""The local stack when it is not asked politely: its parent is killed, and its watchdog too."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.local_stack import processes
from api.local_stack.record import StackRecord, read_record
from api.local_stack.stack import clear_leftovers
from tests.end_to_end.serving import private_environment, wait_for

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


def _command(process: Path) -> bytes:
    try:
        return process.joinpath("cmdline").read_bytes()
    except OSError:
        return b""
