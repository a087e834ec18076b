"""How every program here starts and ends: any file name, any terminal, a pipe that closes, a disk that is full.

Exit codes of all: 6 something can't be written, or read; 141 whoever read the output has gone (as `cat` ends then).
"""

import codecs
import errno
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

WRONG_NAME = 2
"""As for any other wrong usage."""
FILE_TROUBLE = 6
NOBODY_READS = 141
"""128 + SIGPIPE: what a shell shows of a program that a closed pipe has ended."""

_STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS})
_SHOWN, _JSON = "sigmalab-shown", "sigmalab-json"


def run_program(main: Callable[[], int | None]) -> NoReturn:
    """Run a program's `main` and end the process with its exit code; files and streams that fail are a message."""
    _open_streams()
    try:
        code = _exit_code_of(main)
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go(sys.stdout)
        code = NOBODY_READS
    except (OSError, UnicodeEncodeError) as error:
        told = _told(error)
        if told is None:
            raise
        _let_go(sys.stdout)
        code = FILE_TROUBLE if isinstance(error, OSError) else WRONG_NAME
        _say(f"error: {told}\n")
    sys.exit(code)


def shown(text: str) -> str:
    r"""Text that any file or database takes: bytes of a file name that are not UTF-8 are written as `\xe9`."""
    return text.encode("utf-8", _SHOWN).decode()


def write_json(text: str) -> None:
    """Write a JSON text to standard output; what its encoding does not have is escaped, as JSON has it."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, _JSON).decode(encoding))


def _exit_code_of(main: Callable[[], int | None]) -> int | str | None:
    try:
        return main()
    except SystemExit as end:
        # How argparse and typer end.
        return end.code


def _open_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by the shell (`>&-`).
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 (stays open)
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_SHOWN)


def _let_go(stream: object) -> None:
    """Nothing more can be written: what waits is dropped, or the interpreter would complain at its end."""
    if isinstance(stream, TextIOWrapper):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _told(error: OSError | UnicodeEncodeError) -> str | None:
    """What a reader can act on (`None`: this is a defect of ours, whose traceback is wanted)."""
    if isinstance(error, UnicodeEncodeError):
        is_name = any("\udc80" <= character <= "\udcff" for character in error.object)
        return f"{shown(error.object)} is not UTF-8 text; take a name that is" if is_name else None
    if error.filename is not None:
        return f"{shown(os.fsdecode(error.filename))}: {error.strerror}"
    return f"the output can't be written: {error.strerror}" if error.errno in _STORAGE_ERRORS else None


def _say(line: str) -> None:
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        _let_go(sys.stderr)


def _as_shown(error: UnicodeError) -> tuple[str, int]:
    r"""For terminals: a byte of a file name as `\xe9`, any other character that is not there as `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else "?" for c in characters), error.end


def _as_json(error: UnicodeError) -> tuple[str, int]:
    """For JSON, where such characters stand in strings only."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    utf16 = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{utf16[at : at + 2].hex()}" for at in range(0, len(utf16), 2)), error.end


codecs.register_error(_SHOWN, _as_shown)
codecs.register_error(_JSON, _as_json)
