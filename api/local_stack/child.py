"""One server of the stack while it runs: start, look, stop, the end of its log."""

import subprocess
import time
from pathlib import Path

from api.local_stack import processes
from api.local_stack.causes import RaySessions, last_words
from api.local_stack.processes import STACK_ID_VARIABLE, Session
from api.local_stack.servers import Server
from orchestrator.private_folder import UMASK

LOG_LINES_SHOWN = 15
LOG_BYTES_KEPT = 5_000_000
_LEFTOVER_GRACE_SECONDS = 2.0
_LOOK_SECONDS = 1.0
"""Pause between two looks at a dozen logs: the server that starts needs the cores more."""


class Child:
    """A server's process, which leads a session, and everything that the process starts.

    Life: `start`, then `exit_status` and `is_healthy` as often as wanted, then `stop` or `kill`; after these `start`
    works again.
    """

    def __init__(self, server: Server, stack_id: str) -> None:
        self.server = server
        self.mark = f"{stack_id}-{server.name.replace(' ', '-').lower()}"
        """Carried by all that the server starts; begins with the stack's id."""
        self.session: Session | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._ray_sessions: RaySessions | None = None
        self._looked_at = 0.0

    def start(self) -> Session:
        """Start the process; returns the session that it leads."""
        if self.server.ray_folder is not None:
            self._ray_sessions = RaySessions(self.server.ray_folder)
        log = self.server.log
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_BYTES_KEPT:
            log.replace(log.with_suffix(".old.log"))
        log.touch(mode=0o600)
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                self.server.command,
                env={**self.server.environment, STACK_ID_VARIABLE: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Whoever asks for another one sets it in the server (SIGMALAB_UMASK).
                umask=UMASK,
                pass_fds=self.server.pass_fds,
            )
        self.session = processes.session_of(self._process.pid)
        return self.session

    def exit_status(self) -> int | None:
        """Exit status, negative for a signal (`None`: it runs)."""
        return None if self._process is None else self._process.poll()

    def is_healthy(self) -> bool:
        """Whether the server answers, and it is this one that does."""
        if not self.server.is_healthy():
            return False
        port = self.server.own_port
        if port is None or self.session is None:
            return True
        return processes.listens(processes.members(self.mark, [self.session]), port)

    def stop(self) -> None:
        """SIGTERM to the leader, which ends its own children; whoever is left after the grace time is killed."""
        if self._process is None:
            return
        if self.session is not None and self.server.guest_grace_seconds > 0:
            processes.end_guests(self.mark, self.session, grace_seconds=self.server.guest_grace_seconds)
        self._process.terminate()
        deadline = time.monotonic() + self.server.stop_grace_seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        self._end_all(_LEFTOVER_GRACE_SECONDS)

    def kill(self) -> None:
        """End everything at once."""
        self._end_all(0.0)

    def fatal(self) -> str:
        """Why it will never be well, though its process runs (empty: nothing is known, or it was asked just now)."""
        now = time.monotonic()
        if self._ray_sessions is None or now - self._looked_at < _LOOK_SECONDS:
            return ""
        self._looked_at = now
        return self._ray_sessions.fatal()

    def cause(self) -> str:
        """Why it ended, in one line (empty: it has not said so)."""
        fatal = "" if self._ray_sessions is None else self._ray_sessions.fatal()
        return fatal or last_words(self._written())

    def keep_logs(self) -> Path | None:
        """Save what would go with the scratch folder; returns where it is (`None`: nothing would go)."""
        if self._ray_sessions is None:
            return None
        kept = self.server.log.with_name("ray-session")
        self._ray_sessions.keep(kept)
        return kept

    def log_end(self) -> str:
        """The last lines of what it has written since its start."""
        return "\n".join(self._written().splitlines()[-LOG_LINES_SHOWN:])

    def _written(self) -> str:
        with self.server.log.open("rb") as lines:
            lines.seek(self._log_start)
            return lines.read().decode(errors="replace")

    def _end_all(self, grace_seconds: float) -> None:
        if self._process is None or self.session is None:
            return
        processes.end(self.mark, [self.session], grace_seconds=grace_seconds)
        self._process.wait()
        self._process = None
