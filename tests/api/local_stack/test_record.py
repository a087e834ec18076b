"""One stack in a state folder: another is refused while it runs, and waits while it stops."""

import os
import threading
import time
from pathlib import Path

import pytest

from api.local_stack.errors import AlreadyRunningError
from api.local_stack.record import StackLock, StackRecord, boot_id


@pytest.fixture
def record() -> StackRecord:
    return StackRecord(stack_id="a", pid=os.getpid(), boot_id=boot_id(), url="http://127.0.0.1:8000")


def test_one_that_runs_is_named(tmp_path: Path, record: StackRecord) -> None:
    home = tmp_path / "home"
    with StackLock(home):
        record.write(home)
        with pytest.raises(AlreadyRunningError, match=r"at http://127\.0\.0\.1:8000, process"):
            StackLock(home).__enter__()


def test_one_that_stops_is_waited_for(tmp_path: Path, record: StackRecord) -> None:
    home, told = tmp_path / "home", threading.Event()
    with StackLock(home):
        record.is_stopping = True
        record.write(home)
        entered = threading.Event()

        def start() -> None:
            with StackLock(home, told.set):
                entered.set()

        another = threading.Thread(target=start)
        another.start()
        assert told.wait(20)
        assert not entered.is_set()
    assert entered.wait(20)
    another.join()


def test_one_that_does_not_stop_is_not_waited_for_for_ever(
    tmp_path: Path, record: StackRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.local_stack.record.STOP_SECONDS", 0.3)
    started = time.monotonic()
    with StackLock(tmp_path):
        record.is_stopping = True
        record.write(tmp_path)
        with pytest.raises(AlreadyRunningError):
            StackLock(tmp_path).__enter__()
    assert time.monotonic() - started >= 0.3
