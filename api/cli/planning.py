"""A plan without a service."""

from api.planning import plan_view
from api.views import PlanView
from orchestrator.service.experiments import Experiments
from orchestrator.settings import Settings
from orchestrator.spec import parse_spec
from orchestrator.store.database import open_database


def plan_here(text: bytes) -> PlanView:
    """What a spec would do; asks the state folder's database what is finished already.

    Raises:
        SpecError: with all problems.
        StoreError: the database does not answer.
    """
    spec = parse_spec(text)
    settings = Settings()
    database = open_database(settings.effective_database_url)
    try:
        return plan_view(Experiments(database, settings).plan(spec))
    finally:
        database.close()
