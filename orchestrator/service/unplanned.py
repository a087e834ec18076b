"""Stored trials that a plan does not hold: other code or other data made them, and no driver would train them."""

from collections.abc import Mapping, Sequence

from orchestrator.errors import SpecError
from orchestrator.planning.expansion import CellArm, Expansion
from orchestrator.search.space import Params
from orchestrator.status import Phase
from orchestrator.store.tables import TrialRow


def unplanned(expansion: Expansion, chosen: Mapping[CellArm, Params], rows: Sequence[TrialRow]) -> list[TrialRow]:
    """Which of an experiment's trials are not those of its plan here and now.

    Args:
        expansion: the plan.
        chosen: (cell key, arm) -> params that the search chose.
        rows: trials of either phase, in any status: one that is open would be trained beside the plan's.
    """
    confirm = {trial.identity for trial in expansion.confirm_trials(chosen)}
    return [row for row in rows if row.identity not in confirm and row.identity != _search_identity(expansion, row)]


def _search_identity(expansion: Expansion, row: TrialRow) -> str | None:
    """What a search trial with the row's params would be (`None`: there is no such trial)."""
    cells = {cell.key: cell for cell in expansion.cells}
    if row.phase != Phase.SEARCH or row.cell not in cells:
        return None
    try:
        return expansion.search_trial(cells[row.cell], row.arm, row.params, row.seed).identity
    except SpecError:
        return None
