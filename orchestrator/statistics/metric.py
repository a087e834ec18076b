"""What a metric's name says about its values: unit, scale, direction."""

from typing import NamedTuple

from trainers.analyses.map_metrics import RADII_TOKENS


class Metric(NamedTuple):
    """How a metric is shown and judged."""

    unit: str
    """`pp` (percentage points) for accuracies and shares, `nats` for losses, `tokens` for widths; empty for a pure
    number."""
    scale: float
    """Factor from the recorded value to the unit: accuracies are recorded as fractions."""
    higher_is_better: bool | None
    """Direction (`None`: neither is better, as for the width of a receptive field)."""
    words: str = ""
    """How sentences call it, behind its split (empty: by its name)."""


# What `Predictions.metrics` gives.
_BY_LAST_NAME = {
    "top1": Metric("pp", 100.0, higher_is_better=True, words="top-1"),
    "top5": Metric("pp", 100.0, higher_is_better=True, words="top-5"),
    "loss": Metric("nats", 1.0, higher_is_better=False),
    "balanced_accuracy": Metric("pp", 100.0, higher_is_better=True),
    "macro_f1": Metric("pp", 100.0, higher_is_better=True, words="macro-F1"),
    "ece": Metric("pp", 100.0, higher_is_better=False, words="expected calibration error"),
}

_RECEPTIVE_FIELD = {
    "rms_radius_tokens": Metric("tokens", 1.0, higher_is_better=None),
    "sigma_tokens": Metric("tokens", 1.0, higher_is_better=None),
    "r_squared": Metric("", 1.0, higher_is_better=None),
    "anisotropy": Metric("", 1.0, higher_is_better=None),
    "area_50_fraction": Metric("pp", 100.0, higher_is_better=None),
    "area_90_fraction": Metric("pp", 100.0, higher_is_better=None),
    **{f"mass_within_{radius:g}": Metric("pp", 100.0, higher_is_better=None) for radius in RADII_TOKENS},
}
"""What `ReceptiveFieldMetrics.scalars` gives."""


def metric_named(name: str) -> Metric:
    """Unit, scale and direction of a metric such as `test/top1`.

    Raises:
        ValueError: nothing is known of such a metric.
    """
    group, _, last_name = name.rpartition("/")
    known = _RECEPTIVE_FIELD if group.startswith("receptive_field") else _BY_LAST_NAME
    if last_name not in known:
        raise ValueError(f"unknown metric `{name}`; known are names that end in {', '.join(known)}")
    return known[last_name]
