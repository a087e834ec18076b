"""The hyper-parameters of the confirm trials, side by side: what all share, and what differs where."""

from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue

from orchestrator.report.content import Setting, TrialRecord
from orchestrator.status import Phase

_OF_ONE_TRIAL = frozenset({"seed"})


def settings_of(trials: Iterable[TrialRecord]) -> tuple[Setting, ...]:
    """Every field of the trial config, in the config's order."""
    values: dict[str, dict[str, dict[str, None]]] = {}
    for trial in trials:
        if trial.phase is not Phase.CONFIRM:
            continue
        for path, value in flat_settings(trial.config.model_dump(mode="json")):
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
