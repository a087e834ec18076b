"""Programs that are started again and again, without paying for their imports each time."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

Sigmalab = Callable[..., subprocess.CompletedProcess[str]]
"""Runs one command to its end."""
HERE = Path(__file__).parent


class PreloadedProgram:
    """Life: made (a server imports what the program needs) -> `command` any number of times -> `close`.

    Each run is a process of its own: a copy of the server, with the streams, environment and folder of whoever starts
    `command`. What is in memory when it starts are imports, and nothing that an earlier run did. What a program imports
    when, and what variables do to imports, must be asked of the program itself.
    """

    def __init__(self, name: str, modules: tuple[str, ...]) -> None:
        # A short path: a socket's path has at most 107 bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="pre", dir="/tmp")
        self.folder = Path(self._folder.name)
        address = str(self.folder / "s")
        with socket.create_server(address, family=socket.AF_UNIX, backlog=64) as listener:
            # Its input ends with us.
            self._server = subprocess.Popen(
                [sys.executable, HERE / "server.py", name, str(listener.fileno()), *modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                # Ctrl-C is ours.
                start_new_session=True,
            )
        # Without site-packages: a start takes hundredths of a second.
        self.command = (sys.executable, "-S", "-E", str(HERE / "run.py"), address)
        """Its arguments follow."""
        self.address = address

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(60)
        self._folder.cleanup()
