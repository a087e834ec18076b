"""Whether what an experiment needs is there now: folders, database, a leader, Ray, trackers, each with its reason."""

from orchestrator.errors import RayUnavailableError, StateLostError, StoreError
from orchestrator.service.jobs import RayJobs
from orchestrator.service.reconciler import LEASE, LEASE_SECONDS
from orchestrator.service.state_folders import StateFolders
from orchestrator.service.views import Condition
from orchestrator.settings import Settings
from orchestrator.store.database import Database
from orchestrator.store.leases import holder_of
from orchestrator.tracking.trackers import trackers_of


def check_readiness(
    folders: StateFolders | None, database: Database, jobs: RayJobs, settings: Settings
) -> dict[str, Condition]:
    """Look at the folders, ask the database, Ray's dashboard and the trackers; none may take long."""
    checks = [_database(database), _reconciler(database), _ray(jobs)]
    for kind in trackers_of(settings):
        sight = kind.look(settings)
        checks.append(Condition(type=kind.name, ok=sight.is_well, reason=sight.reason))
    if folders is not None:
        checks.insert(0, _state(folders))
    return {condition.type: condition for condition in checks}


def _state(folders: StateFolders) -> Condition:
    try:
        folders.check()
    except StateLostError as error:
        return Condition(type="state", ok=False, reason=str(error))
    return Condition(type="state", ok=True, reason=f"{folders.names}: as at the start of the service")


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
        return Condition(
            type="reconciler", ok=False, reason="no process of the service leads yet, so no experiment is started"
        )
    if not leader.is_current:
        ago = f"{-leader.seconds_left:.0f} s ago" if leader.seconds_left <= 0 else "before a clock was set back"
        reason = (
            "no process of the service leads, so no experiment is started or looked after; the lease of "
            f"{leader.name} ended {ago}"
        )
        return Condition(type="reconciler", ok=False, reason=reason)
    return Condition(type="reconciler", ok=True, reason=f"{leader.name} leads")


def _ray(jobs: RayJobs) -> Condition:
    try:
        jobs.check()
    except RayUnavailableError as error:
        return Condition(type="ray", ok=False, reason=str(error))
    return Condition(type="ray", ok=True, reason="the dashboard answers")
