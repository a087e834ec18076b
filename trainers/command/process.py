"""A command under way: started in a group of its own, listened to, and ended with everything that it has started."""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from trainers.command import guard

_PATIENCE_SECONDS = 10.0
"""How long to wait for what should take no time: the end of what was killed, and of its output."""
_NUM_KEPT_LINES = 30


class Command:
    """Life: `with Command(...) as command:` starts it and ends it on the way out; `wait` looks whether it has ended."""

    def __init__(
        self, words: Sequence[str], folder: Path, env: Mapping[str, str], on_line: Callable[[str], None]
    ) -> None:
        """Nothing runs yet.

        Args:
            words: of the command line.
            folder: where it runs.
            env: its environment.
            on_line: told every line that it puts out, in a thread of its own.
        """
        self._words, self._folder, self._env, self._on_line = list(words), folder, dict(env), on_line
        self._lines: deque[str] = deque(maxlen=_NUM_KEPT_LINES)

    def __enter__(self) -> Self:
        """Start it."""
        heard, self._held = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603  what the user asks for
                [sys.executable, "-I", guard.__file__, str(heard), *self._words],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(heard,),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._held)
            raise
        finally:
            os.close(heard)
        self._listener = threading.Thread(target=self._listen, name="command-output", daemon=True)
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # What still runs is ended then, whoever has started it.
        os.close(self._held)
        try:
            self._process.wait(guard.GRACE_SECONDS + _PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_PATIENCE_SECONDS)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, 128 and more for a signal (`None`: it still runs after so many seconds).

        Nothing that it has started is left then. Below 0: the signal that has killed the process which keeps it.
        """
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        if status >= 0:
            self._listener.join(_PATIENCE_SECONDS)
        return status

    @property
    def last_lines(self) -> list[str]:
        """The end of its output."""
        return list(self._lines)

    def _listen(self) -> None:
        """Pass its output on to this process', which goes into the trial's log, and tell its lines."""
        assert self._process.stdout is not None
        pending = b""
        with self._process.stdout as output:
            while chunk := os.read(output.fileno(), 2**16):
                os.write(2, chunk)
                *lines, pending = (pending + chunk).replace(b"\r", b"\n").split(b"\n")
                pending = pending[-(2**16) :]
                for line in lines:
                    self._tell(line)
        self._tell(pending)

    def _tell(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self._lines.append(text)
            self._on_line(text)
