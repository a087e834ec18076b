"""The hyper-parameters of the confirm trials, side by side: what all share, and what differs where."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from orchestrator.report.content.report import Report, Setting, TrialRecord
from orchestrator.report.sections.section import Chapter, Detail, Place, Section, ShownTable
from orchestrator.report.words.table import Table
from orchestrator.status import Phase

_OF_ONE_TRIAL = frozenset({"seed"})


class HyperParametersSection(Section):
    """A table that is folded away on a page, and in the appendix."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One, if any trial is planned."""
        table = settings_table(report)
        if table.rows:
            shown = ShownTable(table, Detail.PAGE, above="", folded=table.title, is_wrapped=True)
            yield Chapter("", [shown], Place.ORIGIN)

    def appendix(self, report: Report) -> Iterator[Table]:
        """The same."""
        yield settings_table(report)


def settings_of(trials: Iterable[TrialRecord]) -> tuple[Setting, ...]:
    """Every field of the trial config, in the config's order."""
    values: dict[str, dict[str, dict[str, None]]] = {}
    for trial in trials:
        if trial.phase is not Phase.CONFIRM:
            continue
        for path, value in flat_settings(trial.config.model_dump(mode="json", exclude=set(trial.config.unread_fields))):
            if path not in _OF_ONE_TRIAL:
                values.setdefault(path, {}).setdefault(value, {})[f"{trial.cell.key}/{trial.arm}"] = None
    return tuple(
        Setting(path=path, values={value: tuple(places) for value, places in found.items()})
        for path, found in values.items()
    )


def flat_settings(config: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted path and text of every value of a JSON object, level by level."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from flat_settings(value, f"{prefix}{name}.")
        elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
            # Several of a kind of thing, such as analyses: each is called by its own kind.
            named = {str(each.get("kind", i)): each for i, each in enumerate(value) if isinstance(each, dict)}
            yield from flat_settings(named, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", setting_text(value)


def setting_text(value: JsonValue) -> str:
    """How reports write a value."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(setting_text, value))
    return "none" if value is None else str(value)


def settings_table(report: Report) -> Table:
    """Hyper-parameters of the confirm trials."""
    rows = []
    every = {place for setting in report.settings for places in setting.values.values() for place in places}
    for setting in report.settings:
        for value, places in setting.values.items():
            where = "all" if len(places) == len(every) else _places_text(places, report)
            rows.append((setting.path, value, where))
    return Table(title="Hyper-parameters", columns=("field", "value", "in"), num_text_columns=3, rows=rows)


def _places_text(places: Sequence[str], report: Report) -> str:
    """Whole arms, models or data sets are named as such; anything else cell by cell."""
    cells = {cell.key: cell for cell in report.cells}
    named = [place.rpartition("/") for place in places]
    for axis in (lambda cell, arm: arm, lambda cell, arm: cells[cell].model, lambda cell, arm: cells[cell].dataset):
        every = [(cell, arm.name) for cell in cells for arm in report.arms]
        chosen = dict.fromkeys(axis(cell, arm) for cell, _, arm in named)
        if sum(axis(cell, arm) in chosen for cell, arm in every) == len(places):
            return ", ".join(chosen)
    return ", ".join(places)
