"""What the position embeddings learned themselves: one fit per layer and seed in, means and spreads out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from orchestrator.report.content.position_bias import PositionFit
from orchestrator.report.content.report import TrialRecord
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.interval import spread
from orchestrator.status import Phase, TrialStatus
from trainers.result import BiasPart, LayerFit

_Place = tuple[str, str, BiasPart, int]


def position_fits(trials: Iterable[TrialRecord]) -> tuple[PositionFit, ...]:
    """One entry per cell, arm, part and layer of the succeeded confirm trials, in this order (means over heads)."""
    groups: dict[_Place, list[LayerFit]] = defaultdict(list)
    cells: dict[str, Cell] = {}
    for trial in trials:
        if trial.phase is not Phase.CONFIRM or trial.status is not TrialStatus.SUCCEEDED or trial.result is None:
            continue
        cells[trial.cell.key] = trial.cell
        for fit in trial.result.learned_bias:
            if fit.head is None:
                groups[trial.cell.key, trial.arm, fit.part, -1 if fit.layer is None else fit.layer].append(fit)
    ordered = sorted(groups, key=lambda place: (list(cells).index(place[0]), _arm_order(place, groups), place[2:]))
    return tuple(_mean(cells[place[0]], place, groups[place]) for place in ordered)


def _arm_order(place: _Place, groups: Iterable[_Place]) -> int:
    """Arms in the order in which trials came: the control first."""
    return list(dict.fromkeys(other[1] for other in groups)).index(place[1])


def _mean(cell: Cell, place: _Place, fits: Sequence[LayerFit]) -> PositionFit:
    sigma, r_squared = (
        spread([value for fit in fits if (value := getattr(fit, name)) is not None]) for name in ("sigma", "r_squared")
    )
    _, arm, part, layer = place
    return PositionFit(
        cell=cell,
        arm=arm,
        part=part,
        layer=None if layer < 0 else layer,
        num_seeds=len(fits),
        num_gaussian=sum(fit.is_gaussian for fit in fits),
        num_not_fitted=sum(fit.sigma is None for fit in fits),
        sigma_mean=sigma.mean,
        sigma_sd=sigma.sd,
        height_mean=spread([fit.height for fit in fits if fit.height is not None]).mean,
        r_squared_mean=r_squared.mean,
        r_squared_sd=r_squared.sd,
    )
