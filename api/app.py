"""The HTTP application: routes, errors, guards, and the threads that live as long as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi_offline import FastAPIOffline

from api.background import Background
from api.errors import install_error_handlers
from api.event_looks import EventLooks
from api.guard import Guard
from api.metrics import MeasureRequests, Metrics
from api.openapi import complete_openapi
from api.pages import experiment, figures, learned, new, pair, search, sign_in
from api.pages import experiments as experiments_page
from api.pages.assets import ASSETS_PATH, assets_app
from api.pages.health import Health
from api.report_desk import ReportDesk
from api.routes import events, experiments, learned_bias, receptive_fields, results, service, trials
from api.state import AppState
from orchestrator.service.experiments import Experiments
from orchestrator.service.state_folders import StateFolders
from orchestrator.settings import Settings
from orchestrator.store.database import open_database

_DESCRIPTION = """\
Paired experiments for vision models: hand in a spec, get an effect with an interval and an honest verdict.

Errors are `application/problem+json` (RFC 9457); `errors[].pointer` says where in your JSON the trouble is.
Where the service asks for a token, send it as `Authorization: Bearer <token>`.
"""


def create_app(settings: Settings, *, with_background: bool = True) -> FastAPI:
    """The application for one deployment.

    Args:
        settings: the deployment's environment.
        with_background: whether this process starts drivers and ships to MLflow while it lives.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        folders = await run_in_threadpool(StateFolders, settings.home, settings.effective_storage)
        database = await run_in_threadpool(
            open_database, settings.effective_database_url, silence_seconds=settings.heartbeat_timeout_seconds
        )
        use_cases = Experiments(database, settings, folders)
        reports, pictures = ReportDesk(settings, use_cases), ReportDesk(settings, use_cases, most_processes=1)
        looks, health = EventLooks(use_cases), Health(use_cases)
        state = AppState(settings, metrics, use_cases, folders.id, reports, pictures, looks, health)
        app.state.sigmalab = state
        background = Background(database, settings, folders)
        if with_background:
            await run_in_threadpool(background.start)
        try:
            yield
        finally:
            state.stopping.set()
            reports.close()
            pictures.close()
            await run_in_threadpool(background.stop)
            database.close()

    app = FastAPIOffline(title="sigmalab", version=version("sigmalab"), description=_DESCRIPTION, lifespan=live)
    install_error_handlers(app)
    # Before the rest: they take only requests that prefer HTML.
    shown = (experiments_page.router, experiment.router, pair.router, learned.router, search.router, new.router)
    for pages in (sign_in.router, *shown, figures.router, pair.pictures_router):
        app.include_router(pages)
    app.mount(ASSETS_PATH, assets_app())
    for routes in (service, experiments, trials, results, receptive_fields, learned_bias, events):
        app.include_router(routes.router)
    # The last one added is the first one asked.
    app.add_middleware(Guard, token=settings.api_token)
    app.add_middleware(MeasureRequests, metrics=metrics)
    complete_openapi(app)
    return app
