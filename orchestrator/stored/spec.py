"""Read a question back from its row: the one reader of what `insert_experiment` has written."""

import json

from pydantic import ValidationError

from orchestrator.errors import StatusConflictError
from orchestrator.planning.cells import cells_of
from orchestrator.planning.findings import Findings
from orchestrator.search.acceptance import ACCEPTED
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell
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


def stored_arm_labels(row: ExperimentRow) -> dict[str, str]:
    """Name -> label of the arms that have one, whatever version wrote the spec: only a name is needed for a view."""
    return {arm["name"]: arm["label"] for arm in json.loads(row.spec)["arms"] if arm.get("label")}


def stored_devices(row: ExperimentRow) -> tuple[float, float]:
    """CPU cores and GPUs that each trial takes, whatever version wrote the spec."""
    resources = json.loads(row.spec)["resources"]
    num_workers = resources["num_workers"]
    return num_workers * resources["cpus_per_worker"], num_workers * resources["gpus_per_worker"]


def stored_cells(spec: ExperimentSpec) -> list[Cell]:
    """Models x data sets, in the order of a spec that was validated when it came in: nothing is left to find."""
    return [entry.cell for entry in cells_of(spec, Findings())]
