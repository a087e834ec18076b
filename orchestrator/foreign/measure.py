"""What a foreign metric means: its direction and unit, as somebody says, or as a task of ours declares it."""

from collections.abc import Iterable

from orchestrator.foreign.results import ForeignResult, ForeignResultsError
from orchestrator.statistics.metric import ever_claimable, metric_named
from trainers.metrics import Metric

_DIRECTIONS: dict[str, bool | None] = {"higher": True, "lower": False, "neither": None}
PERCENT, FRACTION = "%", "fraction"


def named_metric(text: str) -> tuple[str, str | None]:
    """`top1:higher` -> (`top1`, `higher`); a name may have colons of its own."""
    name, _, direction = text.rpartition(":")
    return (name, direction) if name and direction in _DIRECTIONS else (text, None)


def measure_of(name: str, direction: str | None, unit: str | None, results: Iterable[ForeignResult]) -> Metric:
    """Unit, scale and direction of a metric.

    Args:
        name: the metric's column.
        direction: `higher`, `lower` or `neither` is better (`None`: it is known by the metric's name).
        unit: `%` (values are percent), `fraction` (values are 0 to 1 and told in percent), or any other unit of the
            values themselves (`None`: that of a metric of ours, or none).
        results: what has it.

    Raises:
        ForeignResultsError: nobody says whether more is better, or the values are not in this unit.
    """
    ours = _ours(name)
    if direction is None and ours is None:
        text = f"is more of `{name}` better? Say --metric {name}:higher, {name}:lower, or {name}:neither"
        raise ForeignResultsError([text])
    is_recorded_as_ours = ours is not None and unit is None and name in set(ever_claimable())
    if is_recorded_as_ours and ours is not None and ours.unit == "pp":
        unit = FRACTION
    unit = PERCENT if unit == "pp" else unit
    values = [result.value for result in results if result.value is not None]
    if unit == FRACTION and any(not 0 <= value <= 1 for value in values):
        worst = max(values, key=lambda value: abs(value - 0.5))
        raise ForeignResultsError([f"`{name}` is {worst:g} somewhere, and a fraction is 0 to 1: percent are --unit %"])
    if unit == PERCENT and any(not 0 <= value <= 100 for value in values):
        worst = max(values, key=lambda value: abs(value - 50))
        raise ForeignResultsError([f"`{name}` is {worst:g} somewhere, and percent are 0 to 100"])
    better = ours.higher_is_better if direction is None and ours is not None else _DIRECTIONS[direction or "neither"]
    if unit in (PERCENT, FRACTION):
        return Metric(name, "pp", 1.0 if unit == PERCENT else 100.0, better)
    told = ours.unit if is_recorded_as_ours and ours is not None else unit or ""
    return Metric(name, told, 1.0, better)


def _ours(name: str) -> Metric | None:
    try:
        return metric_named(name)
    except ValueError:
        return None
