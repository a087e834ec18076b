"""The stack's life: start what is missing side by side, watch over it, end it in order."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from api.local_stack import processes
from api.local_stack.child import Child
from api.local_stack.draft import Draft, OnNews, StackOptions, StackUrls, draw
from api.local_stack.errors import PortTakenError, ServerFailedError
from api.local_stack.pulse import Pulse
from api.local_stack.record import StackLock, StackRecord, boot_id, read_record
from api.local_stack.scratch import Scratch, make_scratch

RESTARTS_PER_SERVER = 5
"""How often a server that ended is started again within `RESTART_WINDOW_SECONDS`."""
RESTART_WINDOW_SECONDS = 300.0
STARTS_PER_SERVER = 3
"""How often a server that ends before it is healthy is started."""
STARTS_WHILE_BUSY = 8
"""How often, if it was too slow for itself on a machine that has more to do than it can: Ray gives its own node and its
agents 30 s (not to be changed)."""
DRAFTS = 3
"""How often ports are chosen anew."""
_PORT_TAKEN = re.compile(r"address already in use|port is already used|already occupied", re.IGNORECASE)
_TOO_SLOW = re.compile(r"timed out waiting for file|timed out during startup", re.IGNORECASE)
_STOP_ORDER = ("API", "Ray head", "MLflow")
_POLL_SECONDS = 0.1
_WATCH_SECONDS = 0.5


class LocalStack:
    """All servers on one machine.

    Use as a context manager. On entry the servers that are not there yet are started and waited for; on exit they are
    ended in order: first the API, then Ray with its jobs, then MLflow. Servers that die meanwhile are replaced; one
    that keeps dying makes `wait` raise. If this process is killed, a watchdog ends the servers; if that is killed
    too, the next stack in this state folder does.

    Raises (on entry):
        AlreadyRunningError: another stack uses this state folder.
        StackError: a server can't start.
    """

    def __init__(self, options: StackOptions, on_news: OnNews) -> None:
        self._options = options
        self._news = on_news
        self._lock = StackLock(options.home, lambda: on_news("all", "waiting for the servers that are stopping here"))
        self._record = StackRecord(stack_id=uuid.uuid4().hex, pid=os.getpid(), boot_id=boot_id())
        self._scratch_lock = -1
        self._draft: Draft | None = None
        self._children: list[Child] = []
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._failed: ServerFailedError | None = None
        self._monitor = threading.Thread(target=self._watch_over, name="stack-monitor", daemon=True)

    def __enter__(self) -> Self:
        self._lock.__enter__()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def urls(self) -> StackUrls:
        """Where the servers are."""
        assert self._draft is not None, "the stack has not been entered"
        return self._draft.urls

    @property
    def driver_environment(self) -> dict[str, str]:
        """The whole environment of a driver that is started by hand."""
        assert self._draft is not None, "the stack has not been entered"
        return self._draft.environment | self._draft.driver_variables

    def wait(self) -> None:
        """Until a server can't be kept alive.

        Raises:
            ServerFailedError: which one.
        """
        while not self._stopping.wait(_WATCH_SECONDS):
            pass
        if self._failed:
            raise self._failed

    def stop(self) -> None:
        """End the servers in order; a second interrupt meanwhile ends them at once."""
        self._stopping.set()
        self._record.is_stopping = True
        with suppress(OSError):
            # Who starts meanwhile waits, instead of being sent to servers that are going.
            self._record.write(self._options.home)
        try:
            if self._monitor.is_alive():
                self._monitor.join()
            for child in sorted(self._children, key=lambda child: _STOP_ORDER.index(child.server.name)):
                self._news(child.server.name, "stopping")
                child.stop()
        except KeyboardInterrupt:
            self._news("all", "killing")
            for child in self._children:
                child.kill()
        finally:
            self._clean_up()

    def _start(self) -> None:
        home = self._options.home
        clear_leftovers(home)
        scratch = make_scratch()
        # First the note, so that nobody forgets it.
        self._record.folders.append(str(scratch.path))
        self._record.write(home)
        self._scratch_lock = scratch.lock()
        self._start_watchdog()
        draft = self._bring_up(scratch)
        urls = draft.urls
        self._record.driver_variables = draft.driver_variables
        self._record.url, self._record.mlflow_url, self._record.ray_url = urls.api, urls.mlflow, urls.ray
        self._record.write(home)
        self._monitor.start()

    def _bring_up(self, scratch: Scratch) -> Draft:
        """Start everything and wait for it; with other ports, if somebody else was faster."""
        for tries_left in reversed(range(DRAFTS)):
            self._draft = draw(self._options, scratch, self._news)
            for server in self._draft.missing:
                child = Child(server, self._record.stack_id)
                self._children.append(child)
                self._news(server.name, "starting")
                self._launch(child)
            try:
                self._wait_until_healthy()
            except PortTakenError as error:
                if not tries_left:
                    raise
                self._news(error.name, "another program has taken its port meanwhile; starting again with others")
                self._discard_draft()
            else:
                return self._draft
        raise AssertionError("the loop returns or raises")

    def _discard_draft(self) -> None:
        for child in self._children:
            child.kill()
        self._children.clear()
        if self._draft is not None and self._draft.listener is not None:
            self._draft.listener.close()

    def _launch(self, child: Child) -> None:
        session = child.start()
        # First the notes, so that nobody forgets it; then the work goes on.
        self._record.sessions.append(session)
        self._record.write(self._options.home)
        self._tell_watchdog({"sid": session.sid, "started_ticks": session.started_ticks})

    def _wait_until_healthy(self) -> None:
        started = time.monotonic()
        waiting = list(self._children)
        starts = dict.fromkeys((child.server.name for child in waiting), 1)
        launched = dict.fromkeys(starts, started)
        while waiting:
            for child in list(waiting):
                name, ended = child.server.name, _ending(child)
                elapsed = time.monotonic() - started
                if ended:
                    if _PORT_TAKEN.search(ended) or _PORT_TAKEN.search(child.log_end()):
                        raise PortTakenError(name, ended, str(child.server.log), child.log_end())
                    if starts[name] >= (STARTS_WHILE_BUSY if _is_for_want_of_time(ended) else STARTS_PER_SERVER):
                        raise _failure(child, f"{ended} ({starts[name]} starts)")
                    starts[name] += 1
                    launched[name] = time.monotonic()
                    self._news(name, f"{ended}; starting it again (log: {child.server.log})")
                    child.kill()
                    self._launch(child)
                elif child.is_healthy():
                    self._news(name, f"ready in {elapsed:.1f} s  {child.server.url}")
                    waiting.remove(child)
                elif time.monotonic() - launched[name] > child.server.start_timeout_seconds:
                    if child.server.others_go_on and any(other.server is not child.server for other in self._children):
                        seconds = child.server.start_timeout_seconds
                        self._news(name, f"is not ready after {seconds:.0f} s; all else goes on, and experiments wait")
                        waiting.remove(child)
                        continue
                    raise _failure(child, f"did not become healthy in {child.server.start_timeout_seconds:.0f} s")
            time.sleep(_POLL_SECONDS)

    def _watch_over(self) -> None:
        """Replace servers that ended (runs in a thread of its own)."""
        restarts: dict[str, list[float]] = {child.server.name: [] for child in self._children}
        pulses = {child.server.name: Pulse(child.server.start_timeout_seconds) for child in self._children}
        while not self._stopping.wait(_WATCH_SECONDS):
            for child in self._children:
                ended = "" if child.exit_status() is None else _ending(child)
                if not ended:
                    ended = pulses[child.server.name].look(child.is_healthy)
                if not ended:
                    continue
                name, now = child.server.name, time.monotonic()
                restarts[name] = [at for at in restarts[name] if now - at < RESTART_WINDOW_SECONDS]
                if len(restarts[name]) >= RESTARTS_PER_SERVER:
                    self._failed = _failure(child, f"{ended} ({RESTARTS_PER_SERVER} restarts did not help)")
                    self._stopping.set()
                    return
                restarts[name].append(now)
                self._news(name, f"{ended}; starting it again (log: {child.server.log})")
                child.kill()
                self._launch(child)
                pulses[name] = Pulse(child.server.start_timeout_seconds)

    def _start_watchdog(self) -> None:
        self._watchdog = subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, "-m", "api.local_stack.watchdog", self._record.stack_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for folder in self._record.folders:
            self._tell_watchdog({"folder": folder})
        self._record.write(self._options.home)

    def _tell_watchdog(self, message: dict[str, int | str]) -> None:
        if self._watchdog is None or self._watchdog.stdin is None:
            return
        try:
            self._watchdog.stdin.write(json.dumps(message).encode() + b"\n")
            self._watchdog.stdin.flush()
        except BrokenPipeError:
            self._news("watchdog", "is gone; if this process is killed, the next start cleans up")
            self._watchdog = None

    def _clean_up(self) -> None:
        # Takes two seconds at most; a third interrupt would leave half of it to the watchdog.
        with _interrupts_ignored():
            self._end_everything()

    def _end_everything(self) -> None:
        processes.end(self._record.stack_id, self._record.sessions, grace_seconds=0.0)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait()
        for folder in self._record.folders:
            shutil.rmtree(folder, ignore_errors=True)
        if self._scratch_lock >= 0:
            os.close(self._scratch_lock)
            self._scratch_lock = -1
        if self._draft is not None and self._draft.listener is not None:
            self._draft.listener.close()
        self._options.home.joinpath("stack.json").unlink(missing_ok=True)
        self._lock.__exit__(None, None, None)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def clear_leftovers(home: Path) -> None:
    """End what a stack has left behind whose parent and watchdog were both killed (the caller holds the lock)."""
    record = read_record(home)
    if record is None:
        return
    if record.boot_id == boot_id():
        processes.end(record.stack_id, record.sessions, grace_seconds=2.0)
    for folder in record.folders:
        shutil.rmtree(folder, ignore_errors=True)
    home.joinpath("stack.json").unlink()


def _failure(child: Child, what: str) -> ServerFailedError:
    kept = child.keep_logs()
    logs = f"{child.server.log} (Ray's own logs: {kept})" if kept else str(child.server.log)
    return ServerFailedError(child.server.name, what, logs, child.log_end())


def _is_for_want_of_time(ended: str) -> bool:
    return _TOO_SLOW.search(ended) is not None and os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)


def _ending(child: Child) -> str:
    """How and why the server ended, or that it will never be well (empty: neither)."""
    status = child.exit_status()
    if status is None:
        fatal = child.fatal()
        return f"can't start: {fatal}" if fatal else ""
    if status < 0:
        return f"was killed by signal {-status}"
    cause = child.cause()
    return f"ended with status {status}" + (f": {cause}" if cause else "")
