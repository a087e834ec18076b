"""A plan without a service."""

from api.local_stack.record import read_record
from api.local_stack.servers import ray_token_file
from api.planning import plan_view
from api.views import PlanView
from orchestrator.capacity import missing_gpus
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.settings import Settings
from orchestrator.spec import ExperimentSpec, Resources, parse_spec


def plan_here(text: bytes) -> PlanView:
    """What a spec would do; asks the state folder's database, if there is one, what is finished already.

    Raises:
        SpecError: with all problems.
        StoreError: the database does not answer.
    """
    spec, settings = parse_spec(text), Settings()
    file = settings.database_file
    if file is not None and not file.is_file():
        plan = make_plan(spec, data_root=settings.effective_data_root)
    else:
        plan = _plan_beside_others(spec, settings)
    return plan_view(_with_room(plan, spec.resources, settings))


def _plan_beside_others(spec: ExperimentSpec, settings: Settings) -> Plan:
    # Half of a plan's time, where nothing was ever stored.
    from orchestrator.service.preview import preview  # noqa: PLC0415
    from orchestrator.store.database import open_database  # noqa: PLC0415

    database = open_database(settings.effective_database_url)
    try:
        return preview(spec, database, data_root=settings.effective_data_root)
    finally:
        database.close()


def _with_room(plan: Plan, resources: Resources, settings: Settings) -> Plan:
    """With a warning if there is no room for its trials: of the cluster, if one is known, else of this machine."""
    record, token_file = read_record(settings.home), ray_token_file(settings.home)
    known_url = settings.ray_dashboard_url if "ray_dashboard_url" in settings.model_fields_set else None
    token = settings.ray_auth_token
    if record is not None and record.ray_url:
        known_url, token = record.ray_url, token_file.read_text().strip() if token_file.is_file() else token
    if known_url is None:
        missing = missing_gpus(resources) if plan.cost.num_trials else ""
        return plan.model_copy(update={"warnings": (missing, *plan.warnings)}) if missing else plan
    # An HTTP client: not for those who plan far from any cluster.
    from orchestrator.service.jobs import RayJobs  # noqa: PLC0415
    from orchestrator.service.room import with_room  # noqa: PLC0415

    return with_room(plan, resources, RayJobs(known_url, token))
