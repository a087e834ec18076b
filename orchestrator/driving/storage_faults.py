"""A storage that is full, read-only or away: trials wait for it where they are, instead of dying of it.

All trials write to one storage, so another execution, on another node, would end the same way within seconds. What was
trained since the last checkpoint is trained again once a probe can be written.
"""

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from trainers.errors import StorageNotSharedError

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
_LOOK_SECONDS = 2.0
"""How soon one that waits hears that it shall stop."""
_NO_ROOM = {errno.ENOSPC: "is full", errno.EDQUOT: "is full (a quota)", errno.EROFS: "is read-only"}
_NUMBER_AND_FILE = re.compile(r"\[Errno (\d+)\] [^\n:']*: ['\"]([^'\"\n]+)['\"]")
"""As Python writes an error of a file: Ray passes on words where an error can't be passed on."""
_TORCH_COULD_NOT_WRITE = "PytorchStreamWriter failed writing"
"""Only checkpoints are written by torch."""
_BLOCK_BYTES = 2**20
_ROUNDS = 10


def storage_trouble(error: BaseException, storage: Path, num_bytes: int = 0) -> str | None:
    """What is wrong with the storage (`None`: an error has another cause).

    A number alone proves nothing: a cache of downloads on a read-only disk, or a full `/tmp`, gives the same one.

    Args:
        error: of a trial.
        storage: where it writes.
        num_bytes: of its last checkpoint, which the next one needs room for.
    """
    if isinstance(error, StorageNotSharedError):
        return None
    numbers = set(_errnos_of(error, storage))
    for number, words in _NO_ROOM.items():
        if number in numbers:
            return f"the storage {storage} {words}"
    return probe(storage, num_bytes)


def probe(storage: Path, num_bytes: int = 0) -> str | None:
    """Write and remove a file of so many bytes, a MiB at least.

    Returns:
        What is wrong (`None`: that worked, or this user may not write there, which no waiting mends).
    """
    file = storage / f".probe-{os.getpid()}-{time.monotonic_ns()}"
    try:
        try:
            with file.open("wb") as opened:
                for _ in range(max(1, -(-num_bytes // _BLOCK_BYTES))):
                    opened.write(bytes(_BLOCK_BYTES))
                opened.flush()
                os.fsync(opened.fileno())
        finally:
            file.unlink(missing_ok=True)
    except PermissionError:
        return None
    except OSError as error:
        words = _NO_ROOM.get(error.errno or 0, f"can't be written: {error.strerror or error}")
        return f"the storage {storage} {words}"
    return None


class SavedState(NamedTuple):
    """What a trial has saved so far."""

    saved_ns: int
    """When it was written last (0: never, or it can't be told)."""
    num_bytes: int
    """The size of its largest file."""


def saved_state(folder: Path) -> SavedState:
    """Look at the checkpoints in a trial's folder."""
    try:
        found = [file.stat() for file in folder.glob("*.pt")]
    except OSError:
        found = []
    return SavedState(
        max((file.st_mtime_ns for file in found), default=0), max((file.st_size for file in found), default=0)
    )


class Patience:
    """Waits for a storage, longer each time."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """The first pause is the shortest."""
        self._sleep = sleep
        self._pause = FIRST_PAUSE_SECONDS
        self._saved_ns, self._num_rounds = 0, 0

    def begins_round(self, saved: SavedState) -> bool:
        """Whether it is worth waiting again: not when nothing was saved in ten rounds, each begun on a good probe."""
        if saved.saved_ns > self._saved_ns:
            self._saved_ns, self._num_rounds = saved.saved_ns, 0
        self._num_rounds += 1
        return self._num_rounds <= _ROUNDS

    def wait(self, storage: Path, trouble: str, on_waiting: Callable[[str], None], num_bytes: int = 0) -> None:
        """Until a probe can be written; one pause at least, for others write there, too.

        Args:
            storage: what is waited for.
            trouble: what is wrong with it.
            on_waiting: called every two seconds with what is wrong; may raise, to end it.
            num_bytes: what there must be room for.
        """
        still: str | None = trouble
        while still is not None:
            for seconds in _parts(self._pause):
                on_waiting(still)
                self._sleep(seconds)
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            still = probe(storage, num_bytes)


def _parts(seconds: float) -> Iterator[float]:
    while seconds > 0:
        yield min(seconds, _LOOK_SECONDS)
        seconds -= _LOOK_SECONDS


def _errnos_of(error: BaseException, storage: Path) -> Iterator[int]:
    """What an error, and all that it came from, say of files on the storage."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        text = str(at)
        for number, file in _NUMBER_AND_FILE.findall(text):
            if Path(file).is_relative_to(storage):
                yield int(number)
        if _TORCH_COULD_NOT_WRITE in text:
            yield errno.ENOSPC
        at = at.__cause__ or at.__context__
