"""What an experiment will do, before anything runs: cells x arms x seeds."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from orchestrator.arm_labels import arm_labels
from orchestrator.code_of_arms import code_of
from orchestrator.planning.cost import Cost, CostModel
from orchestrator.planning.expansion import Expansion
from orchestrator.planning.plan_warnings import (
    resolution_warnings,
    shared_out_warnings,
    token_warnings,
    warnings_of,
)
from orchestrator.planning.planned import PlannedSearch, PlannedTrial
from orchestrator.search.space import Params
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.forecast import PowerForecast, forecast_power
from orchestrator.statistics.look_plan import LooksForecast
from orchestrator.statistics.metric import metric_named
from trainers.config import TrialConfig
from trainers.strict import StrictModel

__all__ = ["Cost", "Params", "Plan", "PlannedSearch", "PlannedTrial", "PowerForecast", "make_plan", "plan_of"]


class Plan(StrictModel):
    """Deterministic: the same spec, code and data give the same plan."""

    digest: str
    """Digest of the canonical spec, code version and data fingerprints: names the result."""
    spec_name: str
    """The experiment's name."""
    control: str
    """Name of the control arm."""
    treatments: tuple[str, ...]
    """Names of the other arms, in the order of the spec."""
    arm_labels: dict[str, str]
    """Name -> what people read in its place, of the arms that have a label."""
    cells: tuple[Cell, ...]
    """Models x data sets."""
    seeds: tuple[int, ...]
    """Seeds of the confirm phase."""
    num_pairs: int
    """Pairs of all rows together (with planned looks, at most)."""
    data_found: dict[str, str]
    """Data set -> what was found where it lies, in one line (`<cell>/<arm>`: what an arm gets instead)."""
    searches: tuple[PlannedSearch, ...]
    """What has to be chosen first."""
    trials: tuple[PlannedTrial, ...]
    """Confirm trials whose params are known, in pair order; a searched arm's follow after its search."""
    num_confirm_trials: int
    """All confirm trials, those of searched arms included."""
    num_search_trials: int
    """All search trials (at most, with early stopping)."""
    reusable: tuple[str, ...]
    """Identities of planned trials that already succeeded."""
    cost: Cost
    """What it will take."""
    unit: str
    """Unit of sds, intervals and effects (`pp`: percentage points; empty: a pure number)."""
    power: tuple[PowerForecast, ...]
    """What it can show, for a small, a middle and a large sd."""
    power_of_equal_pairs: tuple[PowerForecast, ...] = ()
    """The same if every row had an equal share of pairs, fixed beforehand (empty: none are shared out by variance)."""
    looks: LooksForecast | None = None
    """What planned looks ask for, and how many pairs they take (`None`: none are planned)."""
    allocation: Allocation | None = None
    """How pairs are shared out among the rows (`None`: every row has all seeds)."""
    expected_effects: tuple[float, ...] = ()
    """Effects that the spec's author hopes to find."""
    warnings: tuple[str, ...]
    """What a careful reader should know before it runs (unequal search budgets, too few seeds, ...)."""


def make_plan(
    spec: ExperimentSpec,
    *,
    data_root: Path | None,
    finished: Collection[str] = frozenset(),
    seconds_per_trial: Mapping[str, float] | None = None,
) -> Plan:
    """Expand a spec and say what it will do, take and show. Nothing is started or written.

    Args:
        spec: the spec.
        data_root: where relative paths of data sets start.
        finished: identities of trials that have succeeded already.
        seconds_per_trial: cell key -> measured median seconds of a trial.

    Raises:
        SpecError: with all problems (see `Expansion`).
    """
    expansion = Expansion(spec, data_root=data_root, is_preview=True)
    return plan_of(expansion, finished=finished, seconds_per_trial=seconds_per_trial)


def plan_of(
    expansion: Expansion,
    *,
    finished: Collection[str] = frozenset(),
    seconds_per_trial: Mapping[str, float] | None = None,
) -> Plan:
    """The plan of a spec that is expanded already; see `make_plan`."""
    spec = expansion.spec
    allocation = spec.allocation
    # Whose the later pairs are, the first ones decide.
    trials = expansion.confirm_trials({}, expansion.first_reach if allocation is not None else None)
    done = frozenset(finished) if spec.reuse == "identical" else frozenset()
    reusable = tuple(trial.identity for trial in trials if trial.identity in done)
    metric = metric_named(spec.primary_metric, spec.task)
    num_comparisons = spec.num_rows
    power = forecast_power(
        len(spec.seeds) if allocation is None else allocation.total // num_comparisons,
        num_comparisons=num_comparisons,
        assumed_sds=metric.assumed_sds,
        expected_effects=spec.expected_effects,
        confidence=spec.confidence,
    )
    power_of_equal_pairs: tuple[PowerForecast, ...] = ()
    if allocation is not None:
        from orchestrator.statistics.two_stage import at_two_stages  # noqa: PLC0415  as for looks

        power, power_of_equal_pairs = at_two_stages(power, allocation, spec.confidence), power
    looks = None
    if spec.planned_looks is not None:
        # Boundaries take scipy's optimizer: a second that no other plan should pay.
        from orchestrator.statistics.looks_forecast import at_looks, forecast_looks  # noqa: PLC0415

        looks = forecast_looks(
            spec.planned_looks,
            num_pairs=len(spec.seeds),
            num_comparisons=num_comparisons,
            confidence=spec.confidence,
        )
        power = at_looks(power, looks)
    cost = CostModel(spec.resources, seconds_per_trial or {}, expansion.sizes_of)
    return Plan(
        digest=expansion.digest,
        spec_name=spec.name,
        control=spec.control.name,
        treatments=tuple(arm.name for arm in spec.treatments),
        arm_labels=arm_labels(spec.arms),
        cells=expansion.cells,
        seeds=spec.seeds,
        num_pairs=spec.num_pairs,
        data_found=expansion.data_found,
        searches=expansion.searches,
        trials=trials,
        num_confirm_trials=spec.num_confirm_trials,
        num_search_trials=spec.num_search_trials,
        reusable=reusable,
        cost=cost.cost(_remaining(expansion, trials, done)),
        unit=metric.unit,
        power=power,
        power_of_equal_pairs=power_of_equal_pairs,
        looks=looks,
        allocation=allocation,
        expected_effects=spec.expected_effects,
        warnings=(
            *_absence(expansion.absent_data),
            *warnings_of(spec),
            *shared_out_warnings(allocation, power, power_of_equal_pairs),
            *resolution_warnings(expansion),
            *token_warnings(expansion),
        ),
    )


def _absence(labels: tuple[str, ...]) -> Iterator[str]:
    if labels:
        yield (
            f"not here: {', '.join(labels)}; images are counted as published, and the digests will be different once "
            "the data are there. "
            "`sigmalab data prepare <set> --root <its folder> --protocol <protocol>` writes a manifest"
        )


def _remaining(
    expansion: Expansion, trials: tuple[PlannedTrial, ...], done: frozenset[str]
) -> Iterator[tuple[Cell, TrialConfig, int]]:
    """What has to be trained: (cell, config, how many such)."""
    spec, counts = expansion.spec, dict[tuple[str, str], int]()
    # Later pairs are counted as if all rows had one sd.
    num_later = 0 if spec.allocation is None else spec.allocation.total // spec.num_rows - spec.allocation.first
    num_seeds = len(spec.seeds) if spec.allocation is None else spec.allocation.first + num_later
    for trial in trials:
        key = (trial.cell.key, trial.arm)
        counts[key] = counts.get(key, 0) + (trial.identity not in done)
    for cell in expansion.cells:
        for arm in expansion.spec.arms:
            searched = num_seeds + arm.search.num_trials if arm.search else 0
            count = searched or counts[cell.key, arm.name] + num_later
            if count:
                # Whoever counts the operations of its network asks that arm's code.
                with code_of(arm.name):
                    yield cell, expansion.config_of(cell, arm.name), count
