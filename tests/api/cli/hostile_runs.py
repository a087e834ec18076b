"""Runs commands of `sigmalab`, each in a process of its own, without paying for their imports each time.

Reads one JSON document from standard input: a list of runs, each with `arguments`, `encoding` and `stdout` (a file, `-`
for one that is kept, `closed-pipe` or `closed`). Writes a list of what became of them.
"""

import contextlib
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from api.cli.application import main


def run(arguments, encoding, stdout, folder):
    out, err = folder / "out", folder / "err"
    child = os.fork()
    if child == 0:
        become(arguments, encoding, out if stdout == "-" else stdout, err)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    written = out.read_bytes() if stdout == "-" else b""
    return {"code": code, "out": written.decode("latin-1"), "err": err.read_bytes().decode("latin-1")}


def become(arguments, encoding, stdout, err):
    """The program, as Python starts it: standard output and error on files, in an encoding."""
    os.environ["PYTHONIOENCODING"] = encoding
    sys.argv = ["sigmalab", *map(os.fsdecode, (argument.encode("latin-1") for argument in arguments))]
    if stdout == "closed-pipe":
        reader, writer = os.pipe()
        os.close(reader)
    elif stdout == "closed":
        writer = None
    else:
        writer = os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if writer is None:
        os.close(1)
        sys.stdout = None
    else:
        os.dup2(writer, 1)
        sys.stdout = open(1, "w", encoding=encoding, errors="strict", closefd=False)  # noqa: SIM115
    os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    code = 99
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError):
                stream.flush()
    except BaseException:  # noqa: BLE001 (told to the test)
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        ended = [run(**each, folder=Path(folder)) for each in json.load(sys.stdin)]
    json.dump(ended, sys.stdout)
