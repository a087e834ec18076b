"""Teeth: the service with one of its precautions taken out. A simulation that passes each of them proves nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC
from typing import Any, NamedTuple
from unittest.mock import patch

from sqlalchemy.orm import Session

from orchestrator.driving import claiming, recorder
from orchestrator.service import decision, reconciler
from orchestrator.status import AttemptEnd, TrialStatus
from orchestrator.store import claims, leases, telemetry, trials
from orchestrator.store import experiments as stored
from orchestrator.store.clock import DatabaseNow
from orchestrator.store.tables import LeaseRow
from orchestrator.tracking import trial_run
from orchestrator.tracking.outbox import Outbox


class Mutant(NamedTuple):
    """What is taken out."""

    name: str
    replaced: tuple[tuple[Any, str, Any], ...]
    """Where, what, by what."""

    @contextmanager
    def alive(self) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, value in self.replaced:
                stack.enter_context(patch.object(owner, name, value))
            yield


def _nothing(*_: object, **__: object) -> None:
    return None


def _takes_any_lease(session: Session, name: str, holder: str, ttl_seconds: float) -> int | None:
    """By the clock of whoever asks: to a host that is ahead every lease has run out."""
    row = session.get(LeaseRow, name)
    now = recorder.datetime.now(UTC)
    if row is not None and row.holder != holder and row.expires_at > now:
        return None
    session.merge(LeaseRow(name=name, holder=holder, token=1 + (row.token if row else 0), expires_at=DatabaseNow(30.0)))
    return 1


def _replaces_whoever_is_silent(attempt: decision.OpenAttempt, limits: decision.Limits) -> bool:
    return decision._is_silent(attempt, limits) or (attempt.job is not None and attempt.job.is_terminal)


def _begins_after_the_job(self: reconciler.Reconciler, one: Any, room: Any) -> None:
    self._submit(one, one.attempt + 1)
    _BEGIN(self, one, room)


_BEGIN = reconciler.Reconciler._begin
_SUCCEED = recorder.Recorder._succeed
_SHIP_CURVES: Callable[..., int] = trial_run.TrialRuns._ship_curves


def _ships_after_the_note(self: trial_run.TrialRuns, trial: Any, run: str) -> int:
    shipped = 0
    while True:
        with self._database.read() as session:
            rows = self._outbox.unshipped_metrics(session, trial, 900)
        if not rows:
            return shipped
        with self._database.write() as session:
            self._outbox.mark_shipped(session, trial, rows)
        self._tracker.log(run, [trial_run._point_of(row) for row in rows])
        shipped += len(rows)


def _succeeds_without_what_is_missing(self: recorder.Recorder, trial: Any, result: Any) -> None:
    self._recorded[trial.row_id] = {report.epoch for report in result.epochs}
    _SUCCEED(self, trial, result)


def _point_of_now(row: Any) -> trial_run.Point:
    return trial_run.Point(row.key, row.value, recorder.datetime.now(UTC), row.step)


def _own_run(self: Outbox, session: Session, experiment_id: str, trial_id: int, run_id: str) -> str:
    self._note(session, experiment_id, trial_id, run_id=run_id)
    return run_id


def _forgets_nothing_that_ran(session: Session, experiment_id: str, statuses: Any) -> int:
    return trials._set_all(session, experiment_id, (*statuses, TrialStatus.SUCCEEDED), TrialStatus.PENDING, "")


MUTANTS = (
    Mutant(
        "no fence",
        ((stored, "fence", _nothing), (trials, "fence", _nothing), (telemetry, "fence", _nothing)),
    ),
    Mutant("no claim", ((claims, "try_claim", _nothing), (claiming, "try_claim", _nothing))),
    Mutant("no de-duplication in the outbox: each shipper's own run", ((Outbox, "claim_run", _own_run),)),
    Mutant("points are sent with the time of sending", ((trial_run, "_point_of", _point_of_now),)),
    Mutant("sent is noted before it is sent", ((trial_run.TrialRuns, "_ship_curves", _ships_after_the_note),)),
    Mutant(
        "lease by the local clock",
        ((leases, "try_acquire", _takes_any_lease), (reconciler, "try_acquire", _takes_any_lease)),
    ),
    Mutant("polite ends are counted", ((AttemptEnd, "counts", property(lambda end: end is not AttemptEnd.DONE)),)),
    Mutant("whoever is silent is replaced alive", ((decision, "_is_dead", _replaces_whoever_is_silent),)),
    Mutant("the job before its row", ((reconciler.Reconciler, "_begin", _begins_after_the_job),)),
    Mutant("only what was heard is kept", ((recorder.Recorder, "_succeed", _succeeds_without_what_is_missing),)),
    Mutant(
        "a dead driver's finished trials are trained again", ((reconciler, "reopen_trials", _forgets_nothing_that_ran),)
    ),
    Mutant("no janitor", ((reconciler, "remove_leftovers", _nothing),)),
    Mutant("budgets never renew", ((telemetry, "note_progress", _nothing), (trials, "note_progress", _nothing))),
)
