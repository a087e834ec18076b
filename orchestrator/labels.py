"""Labels that a user gives to models and data sets: written in each of them, kept beside them.

They are no part of a model's or data set's config, for a trial's identity must not know them: what is called otherwise
trains alike, and is reused.
"""

from typing import Any

from pydantic import JsonValue

from orchestrator.errors import Problem, SpecError
from trainers.strict_json import JsonObject

LABELLED = {"models": "model_labels", "datasets": "dataset_labels"}
"""Field of a spec whose entries may carry a `label` -> field that keeps the labels."""

LABEL_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 64}
"""Schema of a label."""

LABEL_SCHEMA: dict[str, Any] = {
    "anyOf": [LABEL_TEXT, {"type": "null"}],
    "default": None,
    "description": "How tables, figures, MLflow and `cell_patches` call it (`null`: what differs from the defaults). "
    "It changes no trial.",
    "title": "Label",
}


def with_labels(document: JsonObject) -> JsonObject:
    """A spec in which the labels stand where they are kept.

    Args:
        document: the spec as its user wrote it; it stays as it is.

    Raises:
        SpecError: labels stand in both places.
    """
    changed = dict(document)
    for field, labels in LABELLED.items():
        entries = document.get(field)
        if not isinstance(entries, list) or not any(isinstance(entry, dict) and "label" in entry for entry in entries):
            continue
        if labels in document:
            raise SpecError([Problem(f"/{labels}", f"{field} carry a `label` already; leave `{labels}` out")])
        changed[labels] = [entry.get("label") if isinstance(entry, dict) else None for entry in entries]
        changed[field] = [_without_label(entry) for entry in entries]
    return changed


def _without_label(entry: JsonValue) -> JsonValue:
    if not isinstance(entry, dict):
        return entry
    return {name: value for name, value in entry.items() if name != "label"}
