"""Why a server ended or will never be well, in one line: from its own log, and from those of Ray's parts."""

import re
import shutil
from pathlib import Path

_EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt)\b(?::|$)")
_CHATTER = re.compile(r"^[\s^~-]*$|\bINFO\b|^\S*-{5}")
_CPP_FATAL = re.compile(r"^\[\S+ \S+ C \d+ \d+\] (?:\(\w+\) )?\S+ +(?P<what>.*)$", re.MULTILINE)
"""A failed check of one of Ray's C++ programs, which ends it."""
_CPP_PREAMBLE = re.compile(
    r"^An unexpected system state has occurred\. .*?Check failed: (?:\S*\.has_value\(\) |\w+_ )?"
)
_PYTHON_FATAL = re.compile(r"Error creating module|failed with the following error")
"""What Ray's dashboard writes before it gives up."""
_CPP_LOGS = ("gcs_server.out", "raylet.out")
_PYTHON_LOGS = ("dashboard_*.log", "dashboard.log")
_BYTES_READ = 200_000
_LINE_LENGTH = 400


def last_words(text: str) -> str:
    """The line that says most: the last exception, else the last line that is no chatter (empty: there is none)."""
    lines = [line.strip() for line in text.splitlines() if not _CHATTER.search(line)]
    told = next((line for line in reversed(lines) if _EXCEPTION.match(line)), lines[-1] if lines else "")
    return told[:_LINE_LENGTH]


class RaySessions:
    """The sessions that a Ray head makes below its folder from now on, and what their logs say.

    `ray start` waits up to a minute for parts that are dead already, and then names the wrong one of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._earlier = set(_sessions(folder))

    def fatal(self) -> str:
        """Why the head will never be well (empty: nothing is known)."""
        for logs in self._logs():
            for log in _each(logs, _CPP_LOGS):
                found = _CPP_FATAL.search(_end_of(log))
                if found is not None:
                    return _CPP_PREAMBLE.sub("", found["what"])[:_LINE_LENGTH]
            for log in _each(logs, _PYTHON_LOGS):
                text = _end_of(log)
                if _PYTHON_FATAL.search(text) and "Traceback" in text:
                    return last_words(text)
        return ""

    def keep(self, target: Path) -> None:
        """Put a copy of the newest session's logs in the place of the last one's."""
        for logs in self._logs():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(logs, target, ignore_dangling_symlinks=True)

    def _logs(self) -> list[Path]:
        new = [session / "logs" for session in _sessions(self._folder) if session not in self._earlier]
        return [logs for logs in new if logs.is_dir()][-1:]


def _sessions(folder: Path) -> list[Path]:
    # Their names begin with the time; `session_latest` is a link to one of them.
    return sorted(path for path in folder.glob("session_2*") if path.is_dir())


def _each(logs: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [log for pattern in patterns for log in sorted(logs.glob(pattern))]


def _end_of(log: Path) -> str:
    with log.open("rb") as lines:
        lines.seek(max(log.stat().st_size - _BYTES_READ, 0))
        return lines.read().decode(errors="replace")
