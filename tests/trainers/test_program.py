"""How programs end, as separate processes: streams that fail are a message and an exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainers.program import shown

PROGRAM = """
import sys
from pathlib import Path
from trainers.program import run_program, write_json
run_program(lambda: {body})
"""


def run(body: str, encoding: str = "utf-8", **options) -> subprocess.CompletedProcess[bytes]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    command = [sys.executable, "-c", PROGRAM.format(body=body)]
    return subprocess.run(command, env={"PYTHONIOENCODING": encoding}, **options)


def test_what_a_terminal_lacks_is_a_question_mark_and_a_byte_of_a_name_is_shown():
    ended = run("print('2.0 → 2.8, caf\\udce9')", "ascii")
    assert (ended.returncode, ended.stdout) == (0, b"2.0 ? 2.8, caf\\xe9\n")
    ended = run("print('2.0 → 2.8, caf\\udce9')")
    assert ended.stdout.decode() == "2.0 → 2.8, caf\\xe9\n"
    assert shown("é, caf\udce9") == "é, caf\\xe9"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_loses_nothing(encoding: str):
    value = "→ é 🂡 caf\udce9"
    ended = run(f"write_json(chr(34) + {value!a} + chr(34))", encoding)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.decode(encoding)) == value


def test_a_full_disk_and_a_path_that_cannot_be():
    with Path("/dev/full").open("wb") as full:
        ended = run("print('x')", stdout=full)
    assert (ended.returncode, ended.stderr) == (6, b"error: the output can't be written: No space left on device\n")
    ended = run("open('/dev/null/x')")
    assert (ended.returncode, ended.stderr) == (6, b"error: /dev/null/x: Not a directory\n")


def test_a_reader_that_has_gone():
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body="[print('x' * 1000) for _ in range(1000)] and 0")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    program.stdout.close()
    assert program.wait(60) == 141
    assert program.stderr.read() == b""
    program.stderr.close()


def test_a_defect_keeps_its_traceback_and_a_code_its_meaning():
    assert b"ConnectionRefusedError" in run("(_ for _ in ()).throw(ConnectionRefusedError(111, 'refused'))").stderr
    assert run("3").returncode == 3
    assert run("sys.exit(4)").returncode == 4
