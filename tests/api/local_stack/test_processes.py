"""Which processes are a stack's, and that all of them can be ended: real processes, nothing else."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.local_stack import processes
from api.local_stack.processes import STACK_ID_VARIABLE, Session

STACK = "0123456789abcdef"
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
]
GRANDPARENT = [
    sys.executable,
    "-c",
    f"import subprocess; print(subprocess.Popen({SLEEP!r}).pid, flush=True)",
]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        os.sched_yield()


@contextmanager
def leader(command: list[str], mark: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that leads a session."""
    environment = {**os.environ, STACK_ID_VARIABLE: mark} if mark else dict(os.environ)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_sessions_orphans_belong_to_the_stack() -> None:
    with leader(GRANDPARENT) as parent:
        session = processes.session_of(parent.pid)
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        parent.wait()
        assert processes.members(STACK, [session]) == [orphan]
        assert processes.end(STACK, [session], grace_seconds=10) == []
    assert processes.members(STACK, [session]) == []


def test_a_marked_process_in_another_session_belongs_too() -> None:
    with leader(SLEEP, mark=f"{STACK}-ray-head") as marked, leader(SLEEP, mark="another") as other:
        wait_for(lambda: processes.members(STACK, []) == [marked.pid])
        assert processes.members(f"{STACK}-mlflow", []) == []
        assert processes.end(STACK, [], grace_seconds=10) == []
        assert other.poll() is None


def test_guests_end_before_their_host() -> None:
    with leader(SLEEP, mark=STACK) as host, leader(SLEEP, mark=STACK) as guest:
        wait_for(lambda: set(processes.members(STACK, [])) == {host.pid, guest.pid})
        processes.end_guests(STACK, processes.session_of(host.pid), grace_seconds=10)
        assert guest.wait(10) == -signal.SIGTERM
        assert host.poll() is None


def test_whoever_ignores_sigterm_is_killed() -> None:
    with leader(STUBBORN) as stubborn:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == "deaf\n"
        session = processes.session_of(stubborn.pid)
        assert processes.end(STACK, [session], grace_seconds=0.1) == []
        assert stubborn.wait(10) == -signal.SIGKILL


def test_a_process_id_that_was_given_away_is_nobodys() -> None:
    with leader(SLEEP) as stranger:
        earlier = Session(stranger.pid, processes.session_of(stranger.pid).started_ticks - 1)
        assert processes.members(STACK, [earlier]) == []
        assert processes.end(STACK, [earlier], grace_seconds=0) == []
        assert stranger.poll() is None


def test_who_listens_on_a_port() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert processes.listens([os.getpid()], port)
        with leader(SLEEP) as other:
            assert not processes.listens([other.pid], port)
    assert not processes.listens([os.getpid()], port)


def test_the_watchdog_ends_the_servers_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "outside"
    folder.mkdir()
    parent_code = f"""
import json, os, subprocess, sys, time
from api.local_stack import processes
watchdog = subprocess.Popen([sys.executable, "-m", "api.local_stack.watchdog", {STACK!r}], stdin=subprocess.PIPE,
                            start_new_session=True)
child = subprocess.Popen({SLEEP!r}, start_new_session=True)
session = processes.session_of(child.pid)
for message in ({{"folder": {str(folder)!r}}}, session._asdict()):
    watchdog.stdin.write(json.dumps(message).encode() + b"\\n")
watchdog.stdin.flush()
print(child.pid, flush=True)
time.sleep(600)
"""
    with leader([sys.executable, "-c", parent_code]) as parent:
        assert parent.stdout is not None
        child = processes.session_of(int(parent.stdout.readline()))
        parent.kill()
        wait_for(lambda: processes.members(STACK, [child]) == [])
        wait_for(lambda: not folder.exists())


@pytest.mark.parametrize("name", ["a b", "x) S 1 1"])
def test_a_name_with_spaces_and_brackets_is_read_past(name: str) -> None:
    set_name = f"import ctypes; ctypes.CDLL(None).prctl(15, {name.encode()!r})"
    code = f"{set_name}; print('named', flush=True); import time; time.sleep(600)"
    with leader([sys.executable, "-c", code]) as named:
        assert named.stdout is not None
        named.stdout.readline()
        assert processes.members(STACK, [processes.session_of(named.pid)]) == [named.pid]
