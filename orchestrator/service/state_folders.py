"""The folders that a running service keeps its state in: whether they are still those that it started with.

Somebody may remove them meanwhile (a clean-up of old files, a mount that goes away), and whatever is written then would
be lost, or an empty place would look like a fresh start. The database's own file is watched by `store/database.py`.
"""

import os
from pathlib import Path

from orchestrator import secret_files
from orchestrator.errors import StateLostError
from orchestrator.private_folder import refuse_open
from orchestrator.state_folder import ensure_home_id, home_id
from trainers.storage_token import TOKENS

FileKey = tuple[int, int]
"""Device and number: another folder of the same name has another one."""


class StateFolders:
    """The state folder and the trials' storage. Life: made as the service starts (makes what is missing) -> `check`."""

    def __init__(self, home: Path, storage: Path) -> None:
        """Look at them for the first time.

        Raises:
            StateLostError: one can't be made or read, others may change what is in it, or it is another user's.
        """
        self._home, self._storage = home, storage
        try:
            self.id = ensure_home_id(home)
            storage.mkdir(mode=0o700, parents=True, exist_ok=True)
            refuse_open(storage, group_may_write=True)
            _refuse_other_users(storage)
            self._storage_key = _key(storage)
        except OSError as error:
            raise StateLostError(f"the state in {home}, {storage} can't be used: {error.strerror or error}") from error

    @property
    def names(self) -> str:
        """Where they are, for people."""
        inside = self._storage.is_relative_to(self._home)
        return str(self._home) if inside else f"{self._home} and {self._storage}"

    def check(self) -> None:
        """See whether they are still there.

        Raises:
            StateLostError: one was removed or replaced.
        """
        if home_id(self._home) != self.id:
            raise StateLostError(_complaint("state folder", self._home))
        try:
            is_same = _key(self._storage) == self._storage_key
        except OSError:
            is_same = False
        if not is_same:
            raise StateLostError(_complaint("trials' storage", self._storage))


def _refuse_other_users(storage: Path) -> None:
    """Whoever was there first has closed folders to others, and will close those of trials."""
    for name in (TOKENS, secret_files.FOLDER):
        try:
            with os.scandir(storage / name):
                pass
        except FileNotFoundError:
            continue
        except PermissionError as error:
            message = (
                f"another user's service keeps its trials in {storage}: name a folder of your own (SIGMALAB_STORAGE)"
            )
            error.strerror = message
            raise


def _key(folder: Path) -> FileKey:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _complaint(what: str, path: Path) -> str:
    return (
        f"the {what} {path} was removed or replaced while the service runs: nothing is accepted. Put it back, or stop "
        "the service and start it again"
    )
