"""What is cleared away from time to time: folders of drivers that are dead, rows that nobody will read again.

Rows go only where what they tell is kept elsewhere: the curves of a succeeded trial are in its result and, shipped, in
a tracker. Statuses, ends and pairs of an experiment stay, so that its history can still be replayed.
"""

import logging
import re
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from orchestrator.service.observation import look
from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.store.clock import DatabaseNow
from orchestrator.store.database import Database
from orchestrator.store.tables import EventRow, ExperimentRow, MetricRow, TrackingRow, TrialRow
from trainers.storage_token import TOKENS

_ATTEMPT = re.compile(r"^(?P<id>[0-9a-z]+)-a(?P<attempt>\d+)-\w+$")
"""`<experiment>-a<attempt>-<phase>`: a driver's folder of Ray Tune's files."""
_TOKEN = re.compile(r"^\.?(?P<id>[0-9a-z]+)(\.[0-9a-f]+\.tmp)?$")
"""`<experiment>`: what its trials must find on the storage, or a draft of it."""
_LEFTOVER_SECONDS = 3600.0
_PASSING_KINDS = ("epoch", "trial")
_EXPERIMENTS_AT_ONCE = 50
"""A transaction is short; the next round takes the next ones."""
_DAY_SECONDS = 86_400.0

_log = logging.getLogger(__name__)


class _Leftover(NamedTuple):
    path: Path
    experiment: str
    attempt: int | None
    """`None`: of no single one."""


def remove_leftovers(database: Database, home: Path, storage: Path) -> int:
    """Remove what drivers have left behind that were killed: of this database's experiments alone, an hour old or more.

    Args:
        database: says whose drivers may live. Another one's experiments may use the same folders.
        home: the state folder.
        storage: of the trials.

    Returns:
        How many folders and files went.
    """
    # Listed before the database is asked: an attempt is in it before its driver writes anything.
    found = [*_found_in(home / "ray", _ATTEMPT), *_found_in(storage / TOKENS, _TOKEN)]
    attempts = {one.id: one.attempt for one in look(database) if one.is_open}
    with database.read() as session:
        own = set(
            session.scalars(select(ExperimentRow.id).where(ExperimentRow.id.in_({one.experiment for one in found})))
        )
    dead = [
        one
        for one in found
        if one.experiment in own
        and (one.experiment not in attempts or one.attempt not in {None, attempts[one.experiment]})
    ]
    for one in dead:
        if one.attempt is None:
            one.path.unlink(missing_ok=True)
        else:
            shutil.rmtree(one.path, ignore_errors=True)
    if dead:
        _log.info("removed %d leftovers of drivers that are dead", len(dead))
    return len(dead)


def forget_passing_rows(session: Session, retention_days: float, trackers: Collection[str] = ()) -> int:
    """Remove values and events of experiments that ended long ago, as far as they are kept elsewhere.

    Args:
        session: an open write.
        retention_days: days after an experiment's end.
        trackers: those that are on: values go once each of them, and one at least, has all of their trial.

    Returns:
        How many experiments were thinned out.
    """
    before = DatabaseNow(-retention_days * _DAY_SECONDS)
    final = [status for status in ExperimentStatus if status.is_final]
    has_told = _is_told()
    for tracker in trackers:
        has_told &= _is_told(tracker)
    can_go = (TrialRow.status == TrialStatus.SUCCEEDED) & has_told
    has_values = select(MetricRow.id).where(MetricRow.trial_id == TrialRow.id).exists()
    shipped = select(TrialRow.id).where(TrialRow.experiment_id == ExperimentRow.id, can_go, has_values).exists()
    passing = EventRow.kind.in_(_PASSING_KINDS)
    told = select(EventRow.id).where(EventRow.experiment_id == ExperimentRow.id, passing).exists()
    ids = list(
        session.scalars(
            select(ExperimentRow.id)
            .where(ExperimentRow.status.in_(final), ExperimentRow.ended_at < before, shipped | told)
            .order_by(ExperimentRow.id)
            .limit(_EXPERIMENTS_AT_ONCE)
        )
    )
    finished = select(TrialRow.id).where(TrialRow.experiment_id.in_(ids), can_go)
    session.execute(delete(MetricRow).where(MetricRow.trial_id.in_(finished)))
    session.execute(delete(EventRow).where(EventRow.experiment_id.in_(ids), passing))
    return len(ids)


def _is_told(tracker: str | None = None) -> ColumnElement[bool]:
    """A trial's run is closed as the trial stands, and no value is newer, in this tracker (`None`: in any one)."""
    is_behind = select(MetricRow.id).where(
        MetricRow.trial_id == TrackingRow.trial_id, MetricRow.id > TrackingRow.shipped_to
    )
    told = select(TrackingRow.trial_id).where(
        TrackingRow.experiment_id == TrialRow.experiment_id,
        TrackingRow.trial_id == TrialRow.id,
        TrackingRow.told_status == TrialRow.status,
        TrackingRow.told_ended_at == TrialRow.ended_at,
        ~is_behind.correlate(TrackingRow).exists(),
    )
    return (told if tracker is None else told.where(TrackingRow.tracker == tracker)).correlate(TrialRow).exists()


def _found_in(folder: Path, pattern: re.Pattern[str]) -> list[_Leftover]:
    """What is old enough; other names are somebody else's."""
    latest, found = time.time() - _LEFTOVER_SECONDS, []
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    for path in paths:
        named = pattern.match(path.name)
        with suppress(OSError):
            if named and path.stat().st_mtime < latest:
                attempt = named.groupdict().get("attempt")
                found.append(_Leftover(path, named["id"], None if attempt is None else int(attempt)))
    return found
