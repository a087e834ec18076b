"""Whether what an experiment needs is there now: folders, database, a leader, Ray, MLflow, each with its reason."""

from urllib.parse import urlsplit

import httpx

from orchestrator.addresses import is_http_address, without_password
from orchestrator.errors import RayUnavailableError, StateLostError, StoreError
from orchestrator.proxies import ProxyUnusableError, through, transport_for
from orchestrator.service.jobs import RayJobs
from orchestrator.service.reconciler import LEASE, LEASE_SECONDS
from orchestrator.service.state_folders import StateFolders
from orchestrator.service.views import Condition
from orchestrator.store.database import Database
from orchestrator.store.leases import holder_of

_TIMEOUT_SECONDS = 2.0


def check_readiness(
    folders: StateFolders | None, database: Database, jobs: RayJobs, mlflow_uri: str | None
) -> dict[str, Condition]:
    """Look at the folders, ask the database, Ray's dashboard and MLflow; none may take long."""
    checks = [_database(database), _reconciler(database), _ray(jobs), _mlflow(mlflow_uri)]
    if folders is not None:
        checks.insert(0, _state(folders))
    return {condition.type: condition for condition in checks}


def _state(folders: StateFolders) -> Condition:
    try:
        folders.check()
    except StateLostError as error:
        return Condition(type="state", ok=False, reason=str(error))
    return Condition(type="state", ok=True, reason=f"{folders.names} is as it was at the start")


def _database(database: Database) -> Condition:
    try:
        database.ping()
    except StoreError as error:
        return Condition(type="database", ok=False, reason=str(error))
    writer = database.find_writer()
    if writer is not None and writer.is_stopped:
        reason = (
            f"{writer.words} is stopped and holds the write lock of {database.name}: nobody can write; continue it "
            f"(kill -CONT {writer.pid}) or end it"
        )
        return Condition(type="database", ok=False, reason=reason)
    return Condition(type="database", ok=True, reason=f"{database.name} answers")


def _reconciler(database: Database) -> Condition:
    try:
        with database.read() as session:
            leader = holder_of(session, LEASE, LEASE_SECONDS)
    except StoreError as error:
        return Condition(type="reconciler", ok=False, reason=str(error))
    if leader is None:
        return Condition(type="reconciler", ok=False, reason="nobody leads yet: no experiment is started")
    if not leader.is_current:
        ago = f"{-leader.seconds_left:.0f} s ago" if leader.seconds_left <= 0 else "before a clock was set back"
        reason = f"nobody leads: no experiment is started or looked after; the lease of {leader.name} ended {ago}"
        return Condition(type="reconciler", ok=False, reason=reason)
    return Condition(type="reconciler", ok=True, reason=f"{leader.name} leads")


def _ray(jobs: RayJobs) -> Condition:
    try:
        jobs.check()
    except RayUnavailableError as error:
        return Condition(type="ray", ok=False, reason=str(error))
    return Condition(type="ray", ok=True, reason="the dashboard answers")


def _mlflow(uri: str | None) -> Condition:
    if uri is None:
        return Condition(type="mlflow", ok=True, reason="no MLflow server is set; the store keeps everything")
    if not is_http_address(uri):
        reason = f"MLFLOW_TRACKING_URI={without_password(uri)} is not an address; write http://host:port"
        return Condition(type="mlflow", ok=False, reason=reason)
    host = urlsplit(uri).hostname
    try:
        # As MLflow's own client does: through a proxy, if the server is elsewhere and the environment names one.
        with httpx.Client(transport=transport_for(uri), timeout=_TIMEOUT_SECONDS) as client:
            answer = client.get(f"{uri.rstrip('/')}/health")
    except ProxyUnusableError as error:
        return Condition(type="mlflow", ok=False, reason=f"MLflow at {host} can't be asked: {error}")
    except httpx.HTTPError as error:
        reason = f"MLflow at {host} does not answer: {error}{through(uri)}"
        return Condition(type="mlflow", ok=False, reason=reason)
    if answer.is_error:
        return Condition(type="mlflow", ok=False, reason=f"MLflow at {host} answers HTTP {answer.status_code}")
    return Condition(type="mlflow", ok=True, reason=f"MLflow at {host} answers")
