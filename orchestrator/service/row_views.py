"""From rows to what is shown."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from orchestrator.service.views import Condition, EventView, ExperimentView, Progress, TrialView
from orchestrator.statistics.comparison import Cell
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from orchestrator.store.experiments import EXTENDED, RESUMED
from orchestrator.store.progress import ExpectedEnd, TrialCounts
from orchestrator.store.tables import DriverAttemptRow, EventRow, ExperimentRow, TrialRow
from orchestrator.stored.spec import stored_devices
from trainers.counted import counted


def experiment_view(
    row: ExperimentRow,
    counts: TrialCounts,
    pairs_complete: int,
    *,
    conditions: Sequence[Condition] = (),
    labels: Mapping[str, str] = MappingProxyType({}),
    expected_end: ExpectedEnd | None = None,
    mlflow_url: str | None,
) -> ExperimentView:
    """An experiment with its counts."""
    status = ExperimentStatus(row.status)
    # A search that has ended may have needed fewer trials than it might have.
    num_search_trials = counts.known_search if status.is_final else max(row.num_search_trials, counts.known_search)
    num_trials = row.num_confirm_trials + num_search_trials
    cores, gpus = stored_devices(row)
    used_hours, expected_hours = _hours(counts, num_trials, is_over=status is ExperimentStatus.SUCCEEDED)
    return ExperimentView(
        id=row.id,
        name=row.name,
        digest=row.digest,
        status=status,
        reason=row.reason,
        question=row.question,
        data_found=row.data_found or {},
        created_at=row.created_at,
        updated_at=row.updated_at,
        ended_at=row.ended_at,
        expected_end_at=expected_end.at if expected_end else None,
        expected_end_basis=_basis(expected_end) if expected_end else "",
        attempt=row.attempt,
        progress=Progress(
            trials_total=num_trials,
            trials_done=counts.done,
            trials_failed=counts.failed,
            trials_reused=counts.reused,
            trials_running=counts.running,
            pairs_total=row.num_pairs,
            pairs_complete=pairs_complete,
            cpu_hours_used=cores * used_hours,
            cpu_hours_expected=None if expected_hours is None else cores * expected_hours,
            gpu_hours_used=gpus * used_hours,
            gpu_hours_expected=None if expected_hours is None else gpus * expected_hours,
        ),
        conditions=tuple(conditions),
        control=row.control,
        arm_labels=dict(labels),
        mlflow_url=mlflow_url,
    )


def _hours(counts: TrialCounts, num_trials: int, *, is_over: bool) -> tuple[float, float | None]:
    """Hours that trials have trained, and that all planned ones will have (`None`: no trial tells yet)."""
    used = counts.trained_seconds / 3600
    num_unknown = max(0, num_trials - counts.known)
    if is_over or counts.open_seconds is None or (num_unknown and counts.mean_seconds is None):
        return used, used if is_over else None
    return used, used + (counts.open_seconds + num_unknown * (counts.mean_seconds or 0.0)) / 3600


def _basis(expected: ExpectedEnd) -> str:
    finished = counted(expected.num_finished, "finished trial")
    running = f"{expected.num_running} that train{'s' if expected.num_running == 1 else ''} now"
    return f"an estimate from {finished} and {running}"


def driver_condition(
    row: ExperimentRow, attempt: DriverAttemptRow | None, heartbeat_age_seconds: float | None, timeout_seconds: float
) -> Condition:
    """Whether the experiment's driver does what the status says."""
    status = ExperimentStatus(row.status)
    if status.is_final:
        return Condition(type="driver", ok=status is not ExperimentStatus.FAILED, reason=row.reason or f"{status}")
    if attempt is None or attempt.ended_at is not None:
        is_expected = attempt is None or row.reason.startswith((EXTENDED, RESUMED))
        return Condition(type="driver", ok=is_expected, reason=row.reason or "waits for its driver to be started")
    name = f"attempt {attempt.number} ({attempt.job_id or 'started by hand'})"
    if heartbeat_age_seconds is None:
        return Condition(type="driver", ok=True, reason=f"{name} is starting")
    return Condition(
        type="driver",
        ok=heartbeat_age_seconds <= timeout_seconds,
        reason=f"{name} was last heard of {heartbeat_age_seconds:.0f} s ago",
    )


def trials_condition(counts: TrialCounts) -> Condition:
    """Whether trials failed."""
    if counts.failed == 0:
        return Condition(type="trials", ok=True, reason="no trial has failed")
    return Condition(
        type="trials",
        ok=False,
        reason=f"{counted(counts.failed, 'trial has', 'trials have')} failed; a pair with a failed trial enters no "
        "comparison",
    )


def nodes_condition(row: ExperimentRow) -> Condition:
    """Whether a node of the cluster is avoided."""
    if not row.avoided_nodes:
        return Condition(type="nodes", ok=True, reason="no node is avoided")
    told = "; ".join(f"{name}: {why}" for name, why in sorted(row.avoided_nodes.items()))
    return Condition(type="nodes", ok=False, reason=f"no trial is given to {told}")


def storage_condition(row: ExperimentRow) -> Condition:
    """Whether trials wait for the storage."""
    if not row.storage_trouble or ExperimentStatus(row.status).is_final:
        return Condition(type="storage", ok=True, reason="no trial waits for the storage")
    reason = f"{row.storage_trouble}: trials wait, and go on by themselves once the storage can be written"
    return Condition(type="storage", ok=False, reason=reason)


def tracking_condition(num_unshipped: Mapping[str, int]) -> Condition:
    """Whether each tracker that is on (by its title) has every value."""
    if not num_unshipped:
        return Condition(type="tracking", ok=True, reason="no tracker is set; the store keeps everything")
    told = [
        f"{_wait(number)} to be sent to {title}" if number else f"{title} has every value"
        for title, number in num_unshipped.items()
    ]
    return Condition(type="tracking", ok=not any(num_unshipped.values()), reason="; ".join(told))


def _wait(num_values: int) -> str:
    return counted(num_values, "value waits", "values wait")


def trial_view(row: TrialRow, mlflow_run_id: str | None) -> TrialView:
    """A trial without its config and curves."""
    return TrialView(
        id=row.id,
        identity=row.identity,
        cell=cell_of(row),
        arm=row.arm,
        seed=row.seed,
        phase=Phase(row.phase),
        params=row.params,
        status=TrialStatus(row.status),
        error=row.error,
        attempt=row.attempt,
        metrics=row.final_metrics,
        training_seconds=row.training_seconds,
        reused_from=row.reused_from,
        started_at=row.started_at,
        ended_at=row.ended_at,
        mlflow_run_id=mlflow_run_id,
    )


def event_view(row: EventRow) -> EventView:
    """An event."""
    return EventView(id=row.id, kind=row.kind, payload=row.payload, created_at=row.created_at)


def cell_of(row: TrialRow) -> Cell:
    """The cell; labels have no slash."""
    model, _, dataset = row.cell.partition("/")
    return Cell(model=model, dataset=dataset)
