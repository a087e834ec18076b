"""A plan without a service."""

from api.local_stack.record import read_record
from api.local_stack.servers import ray_token_file
from api.planning import plan_view
from api.views import PlanView
from orchestrator.capacity import missing_gpus
from orchestrator.errors import OldSchemaError
from orchestrator.kept_code import with_code
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.settings import Settings, settings_here
from orchestrator.spec.experiment import ExperimentSpec, Resources, parse_spec
from trainers.fence import Fence, fenced


def plan_here(text: bytes) -> PlanView:
    """What a spec would do; asks the state folder's database, if there is one, what is finished already.

    The database is left as it is: of an earlier version's nothing is read, and a warning says so.

    Raises:
        SpecError: with all problems.
        StoreError: the database does not answer.
        WrongSettingsError: the environment has a setting that can't be used.
    """
    spec, settings = parse_spec(text), settings_here()
    file = settings.database_file
    with (
        with_code(spec, settings.effective_storage, roots=None, keep=False) as spec,
        fenced(Fence(settings.data_roots)),
    ):
        if file is not None and not file.is_file():
            plan = make_plan(spec, data_root=settings.effective_data_root)
        else:
            plan = _plan_beside_others(spec, settings)
    return plan_view(_with_room(plan, spec.resources, settings))


def _plan_beside_others(spec: ExperimentSpec, settings: Settings) -> Plan:
    # Half of a plan's time, where nothing was ever stored.
    from orchestrator.service.preview import preview  # noqa: PLC0415
    from orchestrator.store.database import open_as_it_is  # noqa: PLC0415

    try:
        database = open_as_it_is(settings.effective_database_url)
    except OldSchemaError as error:
        plan = make_plan(spec, data_root=settings.effective_data_root)
        unknown = f"{error}: what is finished already was not counted, and no cost was measured. A plan changes nothing"
        return plan if error.version is None else plan.model_copy(update={"warnings": (unknown, *plan.warnings)})
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
