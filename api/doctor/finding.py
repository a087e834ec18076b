"""One thing that was looked at."""

from enum import StrEnum

from api.views import View


class State(StrEnum):
    """How it is."""

    OK = "ok"
    NOTE = "note"
    """Works, but a reader may want to know."""
    PROBLEM = "problem"
    """Experiments can't run like this."""


class Finding(View):
    """What was found, and what to do about it."""

    name: str
    """What was looked at, such as `torch`, `disk`, `port 8000`."""
    state: State
    """How it is."""
    text: str
    """What was found."""
    advice: str = ""
    """What to type or change (empty: nothing)."""


def ok(name: str, text: str) -> Finding:
    """All is well."""
    return Finding(name=name, state=State.OK, text=text)


def note(name: str, text: str, advice: str = "") -> Finding:
    """It works, but."""
    return Finding(name=name, state=State.NOTE, text=text, advice=advice)


def problem(name: str, text: str, advice: str) -> Finding:
    """It does not work like this."""
    return Finding(name=name, state=State.PROBLEM, text=text, advice=advice)
