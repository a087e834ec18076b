"""A process that holds SQLite's write lock for as long as a test wants, and may be stopped meanwhile."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("mine", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_writer(file: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to write and does not go on."""
    command = [sys.executable, "-c", WRITER, str(file), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "mine\n"
        try:
            yield process
        finally:
            process.kill()


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
