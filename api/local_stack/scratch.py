"""A private folder for Ray's sessions and everybody's temporary files, with a path that Unix sockets can live with.

It is outside the state folder: a checkout's path may be long, and its file system one that knows no sockets (a folder
shared with a virtual machine, say). Every stack gets a new one, notes it in its record, and removes it at its end; else
the watchdog does, else the next stack in the same state folder.
"""

import fcntl
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from api.local_stack.errors import StackError
from orchestrator.private_folder import swappable

SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
"""Longest path of a Unix socket, in bytes."""
SOCKET_TAIL = 80
"""Bytes that are kept free below the folder for the longest path that Ray makes: 75 in Ray 2.60
(`/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/dash_TaskEventsHead`, with a process id of seven digits), the
rest for the next Ray."""
_PREFIX = "sigmalab-"
_RANDOM_CHARACTERS = 8
"""What `mkdtemp` adds."""
_USUAL_PLACES = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 (mkdtemp makes a private folder in it)


@dataclass(frozen=True)
class Scratch:
    """What is where in the folder."""

    path: Path
    """The folder itself, which only its owner may enter."""

    @property
    def ray(self) -> Path:
        """Ray's folder for sessions. Ray opens it to everybody (mode 0777): the folder around it keeps them out."""
        return self.path / "ray"

    @property
    def temporary(self) -> Path:
        """Everybody's temporary files."""
        return self.path / "tmp"

    def lock(self) -> int:
        """A descriptor that holds a lock on the folder until it is closed.

        What tidies up `/tmp` passes locked folders over (tmpfiles.d(5)); a service may run for weeks.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor


def make_scratch() -> Scratch:
    """A new, empty folder.

    Raises:
        StackError: no place for temporary files is writable, has a short enough path, and keeps what is in it.
    """
    # TMPDIR first: whoever sets it has a reason.
    places = dict.fromkeys((Path(tempfile.gettempdir()), *_USUAL_PLACES))
    reasons = []
    for place in places:
        if not fits(place):
            reasons.append(f"the path {place} is too long for Ray's sockets")
            continue
        open_one = swappable(place / _PREFIX) if place.is_dir() else None
        if open_one is not None:
            reasons.append(f"everybody may put other folders in the place of those in {open_one} (`chmod +t` it)")
            continue
        try:
            scratch = Scratch(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place)).absolute())
        except OSError as error:
            reasons.append(f"{place} can't be used: {error.strerror}")
            continue
        scratch.ray.mkdir()
        scratch.temporary.mkdir()
        return scratch
    raise StackError(f"no place for Ray's sessions and sockets: {'; '.join(reasons)}. Set TMPDIR to a short path")


def fits(place: Path) -> bool:
    """Whether the sockets of a folder made in this place have paths that are short enough."""
    made = len(os.fsencode(place.absolute())) + len(f"/{_PREFIX}") + _RANDOM_CHARACTERS
    return made + SOCKET_TAIL <= SOCKET_PATH_LIMIT
