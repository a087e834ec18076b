"""A plan without a service."""

from api.planning import plan_view
from api.views import PlanView
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.settings import Settings
from orchestrator.spec import ExperimentSpec, parse_spec


def plan_here(text: bytes) -> PlanView:
    """What a spec would do; asks the state folder's database, if there is one, what is finished already.

    Raises:
        SpecError: with all problems.
        StoreError: the database does not answer.
    """
    spec, settings = parse_spec(text), Settings()
    file = settings.database_file
    if file is not None and not file.is_file():
        return plan_view(make_plan(spec, data_root=settings.effective_data_root))
    return plan_view(_plan_beside_others(spec, settings))


def _plan_beside_others(spec: ExperimentSpec, settings: Settings) -> Plan:
    # Half of a plan's time, where nothing was ever stored.
    from orchestrator.service.preview import preview  # noqa: PLC0415
    from orchestrator.store.database import open_database  # noqa: PLC0415

    database = open_database(settings.effective_database_url)
    try:
        return preview(spec, database, data_root=settings.effective_data_root)
    finally:
        database.close()
