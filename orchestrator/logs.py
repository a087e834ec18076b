"""Lines of the log: for people, or (`SIGMALAB_LOG_FORMAT=json`) one JSON object each, for what collects logs.

A driver is a process of one experiment: whatever it logs, and its libraries, carries its ids. What a service logs about
an experiment, and a driver about a trial, carries them by `extra=about(...)`.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]
_IDS = ("experiment", "attempt", "trial")

_own: dict[str, str | int] = {}


def about(
    experiment: str | None = None, attempt: int | None = None, trial: int | None = None
) -> dict[str, str | int | None]:
    """Ids that a line carries: `log.warning("...", extra=about(id, attempt))`; a trial's is that of its row."""
    return {"experiment": experiment, "attempt": attempt, "trial": trial}


def is_about(experiment: str, attempt: int) -> None:
    """From now on all that this process logs is about this experiment and attempt."""
    _own.update(experiment=experiment, attempt=attempt)


def configure(form: LogFormat, *, level: int, text_format: str) -> None:
    """Once for each process, before anything is logged."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(text_format))
    logging.basicConfig(level=level, handlers=[handler])


class JsonLines(logging.Formatter):
    """`{"time": ..., "level": ..., "logger": ..., "message": ..., "experiment": ..., "attempt": ..., "trial": ...}`.

    Ids that are not known are left out; a traceback is `exception`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _own | {name: found for name in _IDS if (found := vars(record).get(name)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
