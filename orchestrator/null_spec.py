"""A spec's control against itself: what an experiment finds where nothing was changed."""

from pydantic import JsonValue

NULL_ARM = "null"
_JUDGES = ("looks", "allocation", "equivalence_margin", "expected_effects")
"""Fields of a spec that judge an effect; there is none to be judged."""
_MAX_NAME = 64
_ENOUGH = 6


def null_spec(document: JsonValue) -> JsonValue:
    """The same question with one treatment: the control, really trained a second time (`replica` of the trial).

    Both are trained anew (`"reuse": "never"`): a result that was stored says nothing of this machine. A search of the
    control is left out, and where pairs are shared out by variance, each cell gets six. What is not a spec comes back
    as it is, for its own rules to refuse.

    Args:
        document: the spec as its user wrote it; it stays as it is.
    """
    if not isinstance(document, dict):
        return document
    arms, name = document.get("arms"), document.get("name")
    listed = arms if isinstance(arms, list) else []
    found = [arm for arm in listed if isinstance(arm, dict) and arm.get("role") == "control"]
    patch = found[0].get("patch", {}) if found else None
    if not isinstance(patch, dict) or not isinstance(name, str):
        return document
    control: dict[str, JsonValue] = {key: value for key, value in found[0].items() if key != "search"}
    code: dict[str, JsonValue] = {key: value for key, value in control.items() if key == "code"}
    arm = NULL_ARM if control.get("name") != NULL_ARM else f"{NULL_ARM}-arm"
    kept = {key: value for key, value in document.items() if key not in _JUDGES}
    seeds = kept.get("seeds")
    if isinstance(seeds, dict):
        del kept["seeds"]
    elif isinstance(seeds, list) and document.get("allocation") is not None:
        # As many as one row could get: few are enough here.
        kept["seeds"] = seeds[:_ENOUGH]
    return {
        **kept,
        "name": f"{name[: _MAX_NAME - 5]}-null",
        "question": "Does this machine repeat a training? The control, trained twice.",
        "arms": [control, {**code, "name": arm, "patch": {**patch, "replica": 1}}],
        "reuse": "never",
    }
