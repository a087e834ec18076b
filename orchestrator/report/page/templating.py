"""How pages are written: one environment of templates, for those that the service shows and for the one that is a file.

What both show is a macro of `parts.html.jinja`, laid out in `base.html.jinja` and styled by one stylesheet.
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.device_hours import used_of_expected
from orchestrator.report.sections.section import Note, Picture, ShownTable
from orchestrator.report.words.numbers import duration, fixed, in_unit, interval, percent, signed, with_unit
from orchestrator.statistics.comparison import Verdict
from orchestrator.statistics.p_text import p_text
from trainers.counted import counted

STYLES = Path(__file__).with_name("styles")
"""Folder of the stylesheet."""


def _when(moment: datetime) -> Markup:
    """A time that a script may show in the reader's zone."""
    utc = moment.astimezone(UTC)
    text = f"{utc:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(timespec="seconds"), text)


_OWN = PackageLoader("orchestrator.report.page", "templates")

# Autoescape is on for all names: what a user wrote is text, never markup.
TEMPLATES = Environment(loader=_OWN, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
"""Those that are here; `with_templates_of` has more."""
TEMPLATES.filters |= {
    "counted": counted,
    "duration": duration,
    "fixed": fixed,
    "in_unit": in_unit,
    "p_text": p_text,
    "percent": percent,
    "signed": signed,
    "when": _when,
    "with_unit": with_unit,
}
TEMPLATES.tests |= {
    "a_table": lambda part: isinstance(part, ShownTable),
    "a_note": lambda part: isinstance(part, Note),
    "a_picture": lambda part: isinstance(part, Picture),
}
TEMPLATES.globals |= {"interval_text": interval, "used_of_expected": used_of_expected, "verdicts": frozenset(Verdict)}


def with_templates_of(package: str) -> Environment:
    """The same environment with further templates, which may extend and import those here.

    Args:
        package: a package; its `templates` are looked at first.
    """
    return TEMPLATES.overlay(loader=ChoiceLoader([PackageLoader(package, "templates"), _OWN]))


@cache
def stylesheet() -> Markup:
    """All styles, to stand in a page that loads nothing."""
    return Markup((STYLES / "sigmalab.css").read_text())  # noqa: S704 (our own file)
