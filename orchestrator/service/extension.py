"""What more seeds would take, from what this experiment's own trials took."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from orchestrator.planning.cost import Cost, CostModel
from orchestrator.planning.expansion import CellArm, Expansion
from orchestrator.search.space import Params
from orchestrator.status import TrialStatus
from orchestrator.store.tables import TrialRow


def extension_cost(expansion: Expansion, chosen: Mapping[CellArm, Params], rows: Sequence[TrialRow]) -> Cost:
    """Cost of the trials that a larger plan has and that are not done yet.

    A search is never repeated, and what has failed is not tried again.

    Args:
        expansion: the plan with more seeds.
        chosen: (cell key, arm) -> params that the search chose.
        rows: trials so far.
    """
    settled = {row.identity for row in rows if row.status in (TrialStatus.SUCCEEDED, TrialStatus.FAILED)}
    took = defaultdict[str, list[float]](list)
    for row in rows:
        if row.status == TrialStatus.SUCCEEDED and row.training_seconds is not None:
            took[row.cell].append(row.training_seconds)
    missing = [trial for trial in expansion.confirm_trials(chosen) if trial.identity not in settled]
    seconds = {cell: median(values) for cell, values in took.items()}
    model = CostModel(expansion.spec.resources, seconds, expansion.sizes_of)
    return model.cost((trial.cell, trial.config, 1) for trial in missing)
