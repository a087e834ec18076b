"""The state folder's note about its running stack: one lock, one file.

`stack.lock` is held (flock) as long as the stack's parent lives; the kernel lets it go however the parent ends.
`stack.json` says where the stack can be reached, and which sessions and folders are its own.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ValidationError

from api.local_stack.errors import AlreadyRunningError, StackError
from api.local_stack.processes import Session

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StackRecord(BaseModel):
    """What is written about a running stack."""

    stack_id: str
    """Mark of its processes."""
    pid: int
    """The parent of all."""
    boot_id: str
    """Process ids mean nothing after a reboot."""
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

    Use as a context manager; on entry raises `AlreadyRunningError`, or `StackError` if the folder can't be written.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._home / "stack.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StackError(f"the state folder {self._home} can't be used: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            record = read_record(self._home)
            url, pid = (record.url, record.pid) if record else (None, None)
            raise AlreadyRunningError(url, pid) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # The file stays: removing a lock file lets two holders in.
        os.close(self._descriptor)
