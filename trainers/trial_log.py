"""A trial's own output, kept in its folder while it trains: what it prints, logs and warns, and what libraries write.

Whole file descriptors are redirected, so that nothing escapes: C++ code, processes that read data, last words of a
crash. Every line is in the file as soon as it is written, and survives a kill.
"""

import logging
import os
import platform
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

LOG = "log.txt"
RANK_LOGS = "log.rank*.txt"
"""Of the processes that share a training."""
MOST_BYTES = 4 * 2**20
"""A longer log loses its older half."""

_LOOK_SECONDS = 1.0
_STREAMS = (1, 2)


@contextmanager
def kept_output(folder: Path | None, name: str = LOG) -> Iterator[None]:
    """Write what this process puts out into a file of the trial's folder, after what earlier executions wrote.

    One at a time in a process. An exception's traceback is written, too.

    Args:
        folder: the trial's folder (`None`: output goes where it went before).
        name: the file's name.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    with ExitStack() as stack:
        stack.callback(os.close, file)
        stack.enter_context(_redirected(file))
        text = stack.enter_context(
            open(file, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        )
        stack.enter_context(redirect_stdout(text))
        stack.enter_context(redirect_stderr(text))
        stack.enter_context(_logging_to_stderr())
        stack.enter_context(_kept_short(file))
        sys.stdout.write(f"== {_now()}: process {os.getpid()} on {platform.node()} begins\n")
        try:
            yield
        except Exception:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.write(f"== {_now()}: process {os.getpid()} ends\n")


def shorten(file: int, most_bytes: int = MOST_BYTES) -> None:
    """Leave the newer half of a file that has become too long; `file` is open for appending and reading."""
    size = os.fstat(file).st_size
    if size <= most_bytes:
        return
    newest = os.pread(file, most_bytes // 2, size - most_bytes // 2)
    newest = newest[newest.find(b"\n") + 1 :]
    # Others append meanwhile: what comes between these two lines is lost, nothing else.
    os.ftruncate(file, 0)
    os.write(file, f"== {size - len(newest)} bytes before this line were too many to keep\n".encode() + newest)


@contextmanager
def _redirected(file: int) -> Iterator[None]:
    """Standard output and error of this process and its children go into the file."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    before = [os.dup(descriptor) for descriptor in _STREAMS]
    for descriptor in _STREAMS:
        os.dup2(file, descriptor)
    try:
        yield
    finally:
        for descriptor, original in zip(_STREAMS, before, strict=True):
            os.dup2(original, descriptor)
            os.close(original)


@contextmanager
def _logging_to_stderr() -> Iterator[None]:
    """Records of all loggers, and of ours also news."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root, ours = logging.getLogger(), logging.getLogger("trainers")
    before = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(before)
        root.removeHandler(handler)


@contextmanager
def _kept_short(file: int) -> Iterator[None]:
    """Look at the file's length now and then."""
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(_LOOK_SECONDS):
            shorten(file)

    thread = threading.Thread(target=look, name="trial-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        shorten(file)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
