"""Room for the sockets by which processes of one trial hand tensors on, however long TMPDIR is."""

import os
import tempfile
from multiprocessing.util import get_temp_dir

_LONGEST_SOCKET = 107
"""Bytes of a socket's path that Linux takes, less the final zero."""
_BELOW_TMPDIR = len("/pymp-12345678/listener-12345678")
_SHORT = "/tmp"  # noqa: S108  what multiprocessing makes in it is private, and removed when the process ends


def make_room_for_sockets() -> None:
    """Where TMPDIR leaves no room, let multiprocessing (of this process and its children) use `/tmp`.

    Else a loader worker can't hand over its first batch, says so in a thread that nobody waits for, and the trial
    stands still.
    """
    usual = tempfile.gettempdir()
    if len(os.fsencode(usual)) + _BELOW_TMPDIR <= _LONGEST_SOCKET:
        return
    try:
        tempfile.tempdir = _SHORT
        # Made at the first call, and kept; children are told.
        get_temp_dir()
    finally:
        tempfile.tempdir = usual
