"""The state folder's note about its running stack: one lock, one file.

`stack.lock` is held (flock) as long as the stack's parent lives; the kernel lets it go however the parent ends.
`stack.json` says where the stack can be reached, and which sessions and folders are its own.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ValidationError

from api.local_stack.errors import AlreadyRunningError, StackError
from api.local_stack.processes import Session
from orchestrator.private_folder import private_folder

STOP_SECONDS = 90.0
"""How long one that is stopping (or so new that it has noted nothing yet) is waited for."""
_LOOK_SECONDS = 0.2
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StackRecord(BaseModel):
    """What is written about a running stack."""

    stack_id: str
    """Mark of its processes."""
    pid: int
    """The parent of all."""
    boot_id: str
    """Process ids mean nothing after a reboot."""
    is_stopping: bool = False
    """Whether its servers are being ended."""
    url: str | None = None
    """The API, once it listens."""
    mlflow_url: str | None = None
    """MLflow's pages."""
    ray_url: str | None = None
    """Ray's dashboard."""
    driver_variables: dict[str, str] = {}
    """What a driver that is started by hand needs to join."""
    sessions: list[Session] = []
    """Sessions that the servers lead."""
    folders: list[str] = []
    """Folders outside the state folder."""

    def write(self, home: Path) -> None:
        """Replace the note in one step; readers never see half of it."""
        draft = home / "stack.json.new"
        draft.unlink(missing_ok=True)
        # Addresses in it may hold passwords.
        draft.touch(mode=0o600)
        draft.write_text(self.model_dump_json(indent=1))
        draft.replace(home / "stack.json")


def read_record(home: Path) -> StackRecord | None:
    """The note of this state folder (`None`: there is none, or none that can be read)."""
    try:
        return StackRecord.model_validate_json(home.joinpath("stack.json").read_bytes())
    except (OSError, ValidationError):
        return None


def boot_id() -> str:
    """Changes with every boot (empty where the kernel does not tell)."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


class StackLock:
    """At most one stack for a state folder.

    Use as a context manager; on entry raises `AlreadyRunningError`, or `StackError` if the folder can't be written. One
    that is stopping is waited for.
    """

    def __init__(self, home: Path, on_waiting: Callable[[], None] = lambda: None) -> None:
        """Nothing is locked yet; `on_waiting` is told, once, that another stack is stopping."""
        self._home, self._on_waiting = home, on_waiting
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            private_folder(self._home)
            self._descriptor = os.open(self._home / "stack.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StackError(f"the state folder {self._home} can't be used: {error.strerror}") from error
        deadline, told = time.monotonic() + STOP_SECONDS, False
        while not self._is_taken():
            record = read_record(self._home)
            if (record is not None and not record.is_stopping) or time.monotonic() > deadline:
                os.close(self._descriptor)
                url, pid = (record.url, record.pid) if record else (None, None)
                raise AlreadyRunningError(url, pid) from None
            if record is not None and not told:
                told = True
                self._on_waiting()
            time.sleep(_LOOK_SECONDS)
        return self

    def _is_taken(self) -> bool:
        """Whether the lock is ours now."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # The file stays: removing a lock file lets two holders in.
        os.close(self._descriptor)
