"""Imports modules once; for each run that is asked for, a copy of this process becomes the program.

`server.py NAME LISTENER MODULE...`: NAME is a console script, `-m` and a module in one word (`-mtrainers`), or
`python`, whose first argument is a file; LISTENER the number of a listening socket. Ends when its standard input does.
"""

import atexit
import contextlib
import gc
import importlib
import importlib.metadata
import marshal
import os
import runpy
import selectors
import signal
import site
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from typing import NamedTuple


class Request(NamedTuple):
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    streams: dict[int, int]
    """0, 1, 2 -> descriptor of the one who asks, here."""


@dataclass
class Run:
    """A copy that runs."""

    asker: socket.socket
    pid: int
    watch: int
    """Descriptor that is readable when it has ended."""


class Server:
    """Life: made -> `serve`, which returns in every copy (with its request), and here at the end."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(0, selectors.EVENT_READ, self._end)
        self._selector.register(listener, selectors.EVENT_READ, self._start)
        self._is_over = False
        self._request: Request | None = None
        """Of a copy."""

    def serve(self) -> Request | None:
        while not self._is_over and self._request is None:
            for key, _ in self._selector.select():
                key.data()
                if self._request is not None:
                    break
        return self._request

    def _end(self) -> None:
        self._is_over = True

    def _start(self) -> None:
        asker, _ = self._listener.accept()
        request = read_request(asker)
        if request is None:
            asker.close()
            return
        pid = os.fork()
        if pid == 0:
            # Ray ends the groups of its workers, each of which leads one of its own.
            os.setpgid(0, 0)
            for key in list(self._selector.get_map().values()):
                if key.fd != 0:
                    os.close(key.fd)
            asker.close()
            self._selector.close()
            self._request = request
            return
        for descriptor in request.streams.values():
            os.close(descriptor)
        run = Run(asker, pid, os.pidfd_open(pid))
        self._selector.register(asker, selectors.EVENT_READ, lambda: self._hand_on(run))
        self._selector.register(run.watch, selectors.EVENT_READ, lambda: self._tell(run))

    def _hand_on(self, run: Run) -> None:
        if run.asker.fileno() < 0:
            # Its end was told in the same turn.
            return
        try:
            number = run.asker.recv(1)
        except ConnectionResetError:
            number = b""
        if not number:
            self._selector.unregister(run.asker)
        signal.pidfd_send_signal(run.watch, number[0] if number else signal.SIGKILL)

    def _tell(self, run: Run) -> None:
        _, status = os.waitpid(run.pid, 0)
        if run.asker in self._selector.get_map():
            self._selector.unregister(run.asker)
        # Killed: nobody asks any more.
        with contextlib.suppress(OSError):
            run.asker.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
        run.asker.close()
        self._selector.unregister(run.watch)
        os.close(run.watch)


def read_request(asker: socket.socket) -> Request | None:
    """What is asked for (`None`: the asker was killed before it had said it)."""
    size, descriptors, _, _ = socket.recv_fds(asker, 8, 3)
    try:
        with asker.makefile("rb") as stream:
            (number,) = stream.read(1)
            streams = dict(zip(stream.read(number), descriptors, strict=True))
            return Request(*marshal.loads(stream.read(int.from_bytes(size, "big"))), streams)
    except (ConnectionResetError, EOFError, ValueError):
        for descriptor in descriptors:
            os.close(descriptor)
        return None


def become(request: Request, name: str) -> None:
    """The process that Python would have started."""
    for number in (0, 1, 2):
        if number in request.streams:
            os.dup2(request.streams[number], number)
            os.close(request.streams[number])
        else:
            os.close(number)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    customize(request.environment.get("PYTHONPATH", ""))
    # Found anew: an import may have asked for it.
    tempfile.tempdir = None
    sys.stdin = sys.__stdin__ = open_stream(0, "r") if 0 in request.streams else None
    sys.stdout = sys.__stdout__ = open_stream(1, "w") if 1 in request.streams else None
    sys.stderr = sys.__stderr__ = open_stream(2, "w", "backslashreplace") if 2 in request.streams else None
    sys.argv = [name, *request.arguments]
    # The interpreter's own last collection takes everything.
    atexit.register(gc.unfreeze)


def customize(path: str) -> None:
    """What Python does with this variable when it starts."""
    folders = [folder for folder in path.split(os.pathsep) if folder and folder not in sys.path]
    if folders:
        sys.path[:0] = folders
        sys.modules.pop("sitecustomize", None)
        site.execsitecustomize()


def open_stream(number: int, mode: str, errors: str = "strict") -> TextIOWrapper:
    """As Python opens its standard streams: error messages line by line, and whatever errors variables ask for."""
    encoding, _, chosen = os.environ.get("PYTHONIOENCODING", "").partition(":")
    errors = errors if number == 2 else chosen or errors
    stream = open(number, mode, encoding=encoding or "utf-8", errors=errors, closefd=False)  # noqa: SIM115 (stays open)
    assert isinstance(stream, TextIOWrapper)
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED")) and number > 0
    stream.reconfigure(line_buffering=number == 2 or stream.isatty(), write_through=is_unbuffered)
    return stream


def program(name: str) -> Callable[[], object]:
    if name.startswith("-m"):
        return lambda: runpy.run_module(name[2:], run_name="__main__", alter_sys=True)
    if name == "python":
        return run_file
    (script,) = importlib.metadata.entry_points(group="console_scripts", name=name)
    return script.load()


def run_file() -> None:
    del sys.argv[0]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))  # noqa: PTH120 (as Python does)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _, name, listener, *modules = sys.argv
    # As if it had been started elsewhere: nothing beside this file can be imported by its short name.
    del sys.path[0]
    run = program(name)
    for module in modules:
        importlib.import_module(module)
    # So that a collection in a copy touches none of it.
    gc.collect()
    gc.freeze()
    if request := Server(socket.socket(fileno=int(listener))).serve():
        become(request, name)
        sys.exit(run())
