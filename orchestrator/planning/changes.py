"""In what an arm differs from the control, and what that means for its pairs; nothing here prefers a kind of change."""

from collections.abc import Collection, Mapping

FIELDS = {
    "attention_bias": "the attention bias",
    "dataset": "the data",
    "task": "the task",
    "model": "the model",
    "augmentation": "the augmentation",
    "mixing": "the mixing of images",
    "normalization": "the normalisation",
    "optimization": "the optimization",
}
"""Field of a trial's config that an arm may change -> what it is called."""


def changed_fields(mine: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Fields in which two configs differ (or two patches on one config)."""
    return [field for field in FIELDS if mine.get(field) != other.get(field)]


def warning_about(arm: str, control: str, fields: Collection[str]) -> str | None:
    """What a reader of the effect must know; `None` where the arm changes one thing and its pairs share all else.

    Args:
        arm: name of a treatment.
        control: name of the control.
        fields: those in which they differ.
    """
    if len(fields) > 1:
        *others, last = (FIELDS[field] for field in fields)
        return (
            f"{arm} and {control} differ in {', '.join(others)} and {last}: the effect is that of all changes together"
        )
    if "dataset" in fields:
        return f"{arm} and {control} differ in the data: a pair shares its seed, not its images"
    return None
