"""A command under way: started in a group of its own, listened to, and ended with everything that it has started."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from trainers.command import guard

_GRACE_SECONDS = 10.0
"""How long a command may take to end when it is told to, before it is killed."""
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
        try:
            if self._process.poll() is None:
                self._signal(signal.SIGTERM)
                self.wait(_GRACE_SECONDS)
            # Whatever it has left behind, too.
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._listener.join(_GRACE_SECONDS)
        finally:
            os.close(self._held)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, 128 and more for a signal (`None`: it still runs after so many seconds)."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        if self._listener.is_alive():
            # What it has started may hold its output open for ever.
            self._listener.join(0.5)
            self._signal(signal.SIGKILL)
            self._listener.join(_GRACE_SECONDS)
        return status

    @property
    def last_lines(self) -> list[str]:
        """The end of its output."""
        return list(self._lines)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            # Nothing of it is left.
            return

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
