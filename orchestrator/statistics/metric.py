"""What a metric's name says about its values: unit, scale, direction."""

from typing import NamedTuple


class Metric(NamedTuple):
    """How a metric is shown and judged."""

    unit: str
    """`pp` (percentage points) for accuracies, `nats` for losses."""
    scale: float
    """Factor from the recorded value to the unit: accuracies are recorded as fractions."""
    higher_is_better: bool
    """Direction."""


_BY_LAST_NAME = {
    "top1": Metric("pp", 100.0, higher_is_better=True),
    "top5": Metric("pp", 100.0, higher_is_better=True),
    "loss": Metric("nats", 1.0, higher_is_better=False),
}


def metric_named(name: str) -> Metric:
    """Unit, scale and direction of a metric such as `test/top1`.

    Raises:
        ValueError: nothing is known of such a metric.
    """
    last_name = name.rpartition("/")[2]
    if last_name not in _BY_LAST_NAME:
        raise ValueError(f"unknown metric `{name}`; known are names that end in {', '.join(_BY_LAST_NAME)}")
    return _BY_LAST_NAME[last_name]
