"""Whether there is room for a plan's trials: what the cluster says, asked before anything is submitted."""

from orchestrator.capacity import Capacity, refusal
from orchestrator.errors import RayUnavailableError
from orchestrator.planning.plan import Plan
from orchestrator.service.jobs import RayJobs
from orchestrator.spec.experiment import Resources


def with_room(plan: Plan, resources: Resources, jobs: RayJobs) -> Plan:
    """The plan, with a warning if the cluster has no place for a single trial of it (none if the cluster is away)."""
    if not plan.cost.num_trials:
        return plan
    try:
        nodes = jobs.nodes()
    except RayUnavailableError:
        return plan
    # What an autoscaler may add is known to drivers only.
    why_not = refusal(resources, Capacity(nodes, None))
    if why_not is None:
        return plan
    return plan.model_copy(update={"warnings": (f"as it is now, {why_not}", *plan.warnings)})
