"""From trials to what the search phase tried, in what order, with what result."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from orchestrator.report.content.report import TrialRecord
from orchestrator.report.content.search import Candidate, CandidateSeed, ControlLevel, SearchSummary
from orchestrator.report.sections.search.importance import importance_of
from orchestrator.search.acceptance import ACCEPTED
from orchestrator.search.space import Params, point_key
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.metric import metric_named
from orchestrator.status import Phase, TrialStatus

_CellArm = tuple[Cell, str]


def searches_of(
    spec: ExperimentSpec, cells: Sequence[Cell], trials: Sequence[TrialRecord], chosen_params: Mapping[str, Params]
) -> tuple[SearchSummary, ...]:
    """Every search of the spec, cell by cell, whether it has begun or not.

    Args:
        spec: the question.
        cells: models x data sets.
        trials: every trial of both phases, in plan order.
        chosen_params: `<cell key>/<arm>` -> params that the search phase chose.
    """
    # A search is judged by the validation twin of the primary metric.
    metric = spec.search_metric
    by_place: dict[tuple[Phase, Cell, str], list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        by_place[trial.phase, trial.cell, trial.arm].append(trial)
    searches = []
    for cell in cells:
        tried: dict[str, tuple[Candidate, ...]] = {}
        for arm in (spec.control, *spec.treatments):
            if arm.search is not None:
                chosen = chosen_params.get(f"{cell.key}/{arm.name}")
                tried[arm.name] = _candidates(by_place[Phase.SEARCH, cell, arm.name], chosen, metric)
        control = _control_level(tried.get(spec.control.name), by_place[Phase.CONFIRM, cell, spec.control.name], metric)
        for arm in spec.arms:
            if arm.search is None:
                continue
            searches.append(
                SearchSummary.model_validate(
                    {
                        "cell": cell,
                        "arm": arm.name,
                        "algorithm": arm.search.algorithm.words,
                        "early_stopping": arm.search.early_stopping.words,
                        "space": arm.search.space,
                        "num_planned": arm.search.num_points,
                        "seeds": arm.search.seeds,
                        "metric": metric,
                        "candidates": tried[arm.name],
                        "chosen": chosen_params.get(f"{cell.key}/{arm.name}"),
                        "control": None if arm is spec.control else control,
                        "importance": importance_of(arm.search.space, tried[arm.name]),
                    },
                    context=ACCEPTED,  # by whoever has read the spec
                )
            )
    return tuple(searches)


def _candidates(trials: Sequence[TrialRecord], chosen: Params | None, metric: str) -> tuple[Candidate, ...]:
    by_params: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        by_params[point_key(trial.params)].append(trial)
    candidates = []
    for number, same in enumerate(by_params.values()):
        seeds = tuple(_seed(trial, metric) for trial in same)
        values = [seed.value for seed in seeds if seed.value is not None]
        candidates.append(
            Candidate(
                number=number,
                params=same[0].params,
                score=statistics.fmean(values) if values else None,
                score_sd=statistics.stdev(values) if len(values) > 1 else None,
                num_seeds=len(values),
                num_failed=sum(seed.status.is_final for seed in seeds) - len(values),
                is_chosen=chosen is not None and point_key(same[0].params) == point_key(chosen),
                seeds=seeds,
            )
        )
    sign = -1.0 if metric_named(metric).higher_is_better else 1.0
    # What could not be chosen stands behind what could.
    return tuple(
        sorted(candidates, key=lambda found: (found.score is None, found.num_failed > 0, sign * (found.score or 0.0)))
    )


def _seed(trial: TrialRecord, metric: str) -> CandidateSeed:
    is_done = trial.status is TrialStatus.SUCCEEDED and trial.result is not None
    return CandidateSeed(
        seed=trial.seed,
        status=trial.status,
        value=trial.result.metrics.get(metric) if is_done and trial.result else None,
        error=trial.error,
        reused_from=trial.reused_from,
    )


def _control_level(
    searched: Sequence[Candidate] | None, confirmed: Sequence[TrialRecord], metric: str
) -> ControlLevel | None:
    if searched is None:
        values = [found for trial in confirmed if (found := _seed(trial, metric).value) is not None]
    else:
        best = next((candidate for candidate in searched if candidate.is_chosen), searched[0] if searched else None)
        values = [seed.value for seed in best.seeds if seed.value is not None] if best else []
    if not values:
        return None
    return ControlLevel(
        source="confirm" if searched is None else "search",
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        num_seeds=len(values),
    )
