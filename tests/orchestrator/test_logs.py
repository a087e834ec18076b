"""A line of the log for machines."""

import json
import logging

import pytest

from orchestrator import logs
from orchestrator.logs import JsonLines, about, is_about


def line_of(message: str, *values: object, **named: object) -> dict[str, object]:
    record = logging.LogRecord("orchestrator", logging.WARNING, __file__, 1, message, values, named.get("error"))
    vars(record).update(named.get("extra", {}))
    return json.loads(JsonLines().format(record))


def test_a_line_carries_the_ids_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_own", {})
    assert line_of("a\n%s", "b", extra=about("1kd", 2)) | {"time": ""} == {
        "time": "",
        "level": "WARNING",
        "logger": "orchestrator",
        "message": "a\nb",
        "experiment": "1kd",
        "attempt": 2,
    }
    is_about("1kd", 3)
    found = line_of("lost", extra=about(trial=7))
    assert (found["experiment"], found["attempt"], found["trial"]) == ("1kd", 3, 7)


def test_a_traceback_stays_on_its_line() -> None:
    try:
        int("of ours")
    except ValueError as error:
        found = line_of("broke", error=(ValueError, error, error.__traceback__))
    assert found["exception"].splitlines()[-1] == "ValueError: invalid literal for int() with base 10: 'of ours'"
