"""Read a question back from its row: the one reader of what `insert_experiment` has written."""

from pydantic import ValidationError

from orchestrator.errors import StatusConflictError
from orchestrator.search.acceptance import ACCEPTED
from orchestrator.spec import ExperimentSpec
from orchestrator.store.tables import ExperimentRow


def stored_spec(row: ExperimentRow) -> ExperimentSpec:
    """The question of an experiment; advice that is given to whoever submits one is not given again.

    Raises:
        StatusConflictError: another version of sigmalab wrote it, and this one can't read it.
    """
    try:
        return ExperimentSpec.model_validate_json(row.spec, context=ACCEPTED)
    except ValidationError as error:
        raise StatusConflictError(
            f"the spec of experiment {row.id} was written by another version of sigmalab; this one can't read it: "
            f"{error.errors()[0]['msg']}"
        ) from error
