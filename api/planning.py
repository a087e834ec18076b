"""A plan as HTTP shows it."""

from api.views import CostView, PlannedSearchView, PlannedTrialView, PlanView, PowerView
from orchestrator.planning.plan import Plan


def plan_view(plan: Plan) -> PlanView:
    """The plan without the configs of its trials: 10,000 of them would make a hundred megabytes."""
    reusable = frozenset(plan.reusable)
    return PlanView(
        digest=plan.digest,
        spec_name=plan.spec_name,
        control=plan.control,
        treatments=plan.treatments,
        arm_labels=plan.arm_labels,
        cells=plan.cells,
        seeds=plan.seeds,
        num_pairs=plan.num_pairs,
        data_found=plan.data_found,
        searches=tuple(PlannedSearchView(**dict(search)) for search in plan.searches),
        num_confirm_trials=plan.num_confirm_trials,
        num_search_trials=plan.num_search_trials,
        num_reusable=sum(trial.identity in reusable for trial in plan.trials),
        trials=tuple(
            PlannedTrialView(
                identity=trial.identity,
                cell=trial.cell,
                arm=trial.arm,
                seed=trial.seed,
                phase=trial.phase,
                params=trial.params,
                is_reusable=trial.identity in reusable,
            )
            for trial in plan.trials
        ),
        cost=CostView(**dict(plan.cost)),
        unit=plan.unit,
        power=tuple(PowerView(**dict(forecast)) for forecast in plan.power),
        power_of_equal_pairs=tuple(PowerView(**dict(forecast)) for forecast in plan.power_of_equal_pairs),
        looks=plan.looks,
        allocation=plan.allocation,
        expected_effects=plan.expected_effects,
        warnings=plan.warnings,
    )
