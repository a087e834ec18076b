"""A folder for Ray's sessions and everybody's temporary files, with a path that Unix sockets can live with."""

import shutil
import tempfile
from pathlib import Path

from api.local_stack.errors import StackError

SOCKET_PATH_LIMIT = 107
"""Longest path of a Unix socket on Linux."""
_LONGEST_TAIL = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
_RANDOM_NAME = len("/sigmalab-12345678")


def make_scratch(home: Path) -> Path:
    """An empty folder: `<home>/run` if its path is short enough, else a private one outside.

    Raises:
        StackError: no place has a short enough path.
    """
    inside = home / "run"
    shutil.rmtree(inside, ignore_errors=True)
    if len(str(inside)) + _LONGEST_TAIL <= SOCKET_PATH_LIMIT:
        inside.mkdir(mode=0o700)
        return inside
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 (mkdtemp makes a private folder in it)
        if len(str(parent)) + _RANDOM_NAME + _LONGEST_TAIL <= SOCKET_PATH_LIMIT:
            return Path(tempfile.mkdtemp(prefix="sigmalab-", dir=parent))
    raise StackError(f"the path {inside} is too long for Ray's sockets; set SIGMALAB_HOME to a shorter one")
