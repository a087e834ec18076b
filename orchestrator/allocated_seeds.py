"""`"seeds": {"total": 60, "allocate": "by_variance"}`: what a user writes, and what it stands for."""

from pydantic import ValidationError

from orchestrator.errors import Problem, SpecError
from orchestrator.spec.complaints import complaints_of, json_pointer
from orchestrator.statistics.allocation_plan import AllocatedSeeds, allocation_of
from trainers.strict_json import JsonObject

LOOKS_EXCLUDED = "planned looks and pairs that are shared out by variance can't be combined; leave one of the two out"


def with_seeds(document: JsonObject) -> JsonObject:
    """A spec in which seeds are listed, with the plan beside them.

    Args:
        document: the spec as its user wrote it; it stays as it is.

    Raises:
        SpecError: the seeds ask for what can't be shared out.
    """
    asked, rows = document.get("seeds"), _num_rows(document)
    # Without rows the spec is refused for another reason.
    if not isinstance(asked, dict) or rows == 0:
        return document
    if document.get("looks") is not None:
        raise SpecError([Problem("/looks", LOOKS_EXCLUDED)])
    try:
        allocation = allocation_of(AllocatedSeeds.model_validate(asked, strict=True), rows)
    except ValidationError as error:
        complaints = complaints_of(error, AllocatedSeeds)
        raise SpecError([Problem(json_pointer(("seeds", *path)), message) for path, message in complaints]) from None
    except ValueError as error:
        raise SpecError([Problem("/seeds", str(error))]) from None
    return {**document, "seeds": list(allocation.seeds(rows)), "allocation": allocation.model_dump(mode="json")}


def _num_rows(document: JsonObject) -> int:
    """Cells x treatments of a spec that nobody has validated."""
    sizes = [len(entry) if isinstance(entry := document.get(name), list) else 0 for name in ("models", "datasets")]
    arms = document.get("arms")
    treatments = (
        [arm for arm in arms if not (isinstance(arm, dict) and arm.get("role") == "control")]
        if isinstance(arms, list)
        else []
    )
    return sizes[0] * sizes[1] * len(treatments)
