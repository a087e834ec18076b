"""How an experiment comes to its end, whoever ends it: rows only, fenced by the attempt."""

from orchestrator.errors import StaleAttemptError
from orchestrator.status import ExperimentStatus
from orchestrator.store.database import Database
from orchestrator.store.experiments import get_experiment, move, request_cancel
from orchestrator.store.trials import cancel_open_trials


def end_experiment(
    database: Database, experiment_id: str, attempt: int, status: ExperimentStatus, reason: str
) -> tuple[ExperimentStatus, str]:
    """Move an experiment to a final status; trials that are open then are cancelled.

    Returns:
        Status and reason as they were written: a cancel that came before is what counts.

    Raises:
        StaleAttemptError: the attempt has ended or been replaced.
    """
    with database.write() as session:
        row = get_experiment(session, experiment_id, lock=True)
        if row.status == ExperimentStatus.CANCELLING:
            # Asked for while the last trial ended: what the user saw was "cancelling".
            status, reason = ExperimentStatus.CANCELLED, "cancelled"
        elif status is ExperimentStatus.CANCELLED:
            request_cancel(session, experiment_id)
        if status is not ExperimentStatus.SUCCEEDED:
            why = f"the experiment {'was cancelled' if status is ExperimentStatus.CANCELLED else 'failed'}"
            cancel_open_trials(session, experiment_id, attempt, reason=why)
        move(session, experiment_id, status, reason, attempt=attempt)
    return status, reason


def abandon(
    database: Database, experiment_id: str, attempt: int, status: ExperimentStatus, reason: str
) -> ExperimentStatus:
    """End an experiment that nobody will go on with, unless it has ended or somebody else has it; gives its status."""
    with database.read() as session:
        found = ExperimentStatus(get_experiment(session, experiment_id).status)
    if found.is_final:
        return found
    try:
        return end_experiment(database, experiment_id, attempt, status, reason)[0]
    except StaleAttemptError:
        return found
