"""The database's tables. Rows are written before their side effects; they are the truth.

experiments 1-n driver_attempts, idempotency_keys
experiments 1-n trials 1-n metrics
experiments 1-n tracking                (what each tracker has of them; the rest is the outbox to it)
experiments 1-n events                  (what `GET /experiments/{id}/events` replays)
experiments 1-n claims                  (folders that its driver trains into)
leases

A change here needs a migration beside it (`migrations/versions/`); a test compares the two.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every database (SQLite drops the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive datetime; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; pass an aware UTC datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give SQLite's naive value its zone back."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


_BigId = BigInteger().with_variant(Integer, "sqlite")


class Table(DeclarativeBase):
    """Base of all tables."""

    # Named, so that a later migration can name them.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime(), dict[str, Any]: JSON()}  # noqa: RUF012 (SQLAlchemy's own form)


class ExperimentRow(Table):
    """One submitted question."""

    __tablename__ = "experiments"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    spec: Mapped[str] = mapped_column(Text)
    """Canonical JSON of the ExperimentSpec."""
    question: Mapped[str] = mapped_column(Text, default="")
    """The spec's question, here so that a list need not parse every spec."""
    control: Mapped[str] = mapped_column(String(64))
    """Name of the control arm: lets SQL count complete pairs."""
    num_pairs: Mapped[int]
    """Pairs of the plan: cells x treatments x seeds."""
    num_confirm_trials: Mapped[int]
    """Confirm trials of the plan, those whose params are not chosen yet included."""
    num_search_trials: Mapped[int] = mapped_column(default=0)
    """Search trials of the plan (at most, with early stopping)."""
    status: Mapped[str] = mapped_column(String(16), index=True)
    cancel_requested_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why the status is what it is, for people."""
    attempt: Mapped[int] = mapped_column(default=0)
    """Number of the newest driver attempt; writes that carry an older one are refused."""
    attempt_ends: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """`AttemptEnd` -> how many driver attempts ended so since the last progress (a trial's end, a new epoch)."""
    avoided_nodes: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """Name of a node -> why the newest driver gives it no more trials."""
    storage_trouble: Mapped[str] = mapped_column(Text, default="")
    """What is wrong with the storage that its trials wait for (empty: nothing is known)."""
    chosen_params: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """`<cell key>/<arm>` -> params chosen by the search phase."""
    data_found: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Data set -> what was found where it lies, in one line (`None`: stored before that was kept)."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked for the end; the driver watches this."""
        return self.cancel_requested_at is not None


class DriverAttemptRow(Table):
    """One execution of an experiment's driver."""

    __tablename__ = "driver_attempts"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str | None] = mapped_column(String(128))
    """Ray job submission id (`None`: the driver was started by hand)."""
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(Text, default="")
    ended_by: Mapped[str | None] = mapped_column(String(16))
    """`AttemptEnd` (`None`: it is open, or ended before that was kept)."""
    cluster: Mapped[str | None] = mapped_column(String(128))
    """Ray's name of the session that the job was submitted to; a head that restarts has another one."""


class TrialRow(Table):
    """One training of one experiment (search or confirm)."""

    __tablename__ = "trials"
    __table_args__ = (
        UniqueConstraint("experiment_id", "phase", "cell", "arm", "seed", "identity"),
        Index("ix_trials_progress", "experiment_id", "phase", "status"),
        # Holds all that a guess of the cost reads: rows carry their results, and are far apart.
        Index("ix_trials_cost", "cell", "status", "hardware", "id", "reused_from", "training_seconds", "num_epochs"),
        Index("ix_trials_reuse", "identity", "hardware", "status", "reused_from"),
    )

    id: Mapped[int] = mapped_column(_BigId, primary_key=True, autoincrement=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    identity: Mapped[str] = mapped_column(String(64))
    cell: Mapped[str] = mapped_column(String(600))
    """`Cell.key`: `<model>/<data set>`."""
    arm: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int]
    phase: Mapped[str] = mapped_column(String(16))
    params: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    config: Mapped[str] = mapped_column(Text)
    """Canonical JSON of the TrialConfig."""
    code: Mapped[str | None] = mapped_column(String(12))
    """Version of the code that the identity holds, see `CodeRow` (`None`: planned before that was kept)."""
    status: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(default=0)
    """Executions so far."""
    error: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[str | None] = mapped_column(Text)
    """JSON of the TrialResult."""
    hardware: Mapped[str | None] = mapped_column(String(32))
    """`Hardware.key` of the result: where the training that stands here was done."""
    final_metrics: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """`TrialResult.metrics`, apart from the per-epoch bulk of `result`: all that a comparison reads."""
    training_seconds: Mapped[float | None] = mapped_column(Float(53))
    """`TrialResult.training_seconds`."""
    num_epochs: Mapped[int | None]
    """Epochs that were trained; with the seconds, what the next plan's cost is guessed from."""
    reused_from: Mapped[str | None] = mapped_column(String(32))
    """Experiment whose trial stands in for this one."""
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class MetricRow(Table):
    """One value of one metric of one trial; unique, so that a re-executed epoch adds nothing."""

    __tablename__ = "metrics"
    __table_args__ = (
        UniqueConstraint("trial_id", "key", "step"),
        Index("ix_metrics_outbox", "trial_id", "id"),
    )

    id: Mapped[int] = mapped_column(_BigId, primary_key=True, autoincrement=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(128))
    step: Mapped[int]
    """Epoch, from 0."""
    value: Mapped[float] = mapped_column(Float(53))
    recorded_at: Mapped[datetime]


class TrackingRow(Table):
    """What one tracker has of a trial, or of an experiment itself: all that is known of trackers is in here.

    A row says what was sent, and never that something is new: that is read from the truth beside it. Once an experiment
    has ended and was told, each of its trials has a row, and whatever a trial still has to tell is a row without a
    `told_status`; so nobody need look at the trials of experiments that are done.
    """

    __tablename__ = "tracking"
    __table_args__ = (Index("ix_tracking_open", "tracker", "told_status", "trial_id"),)

    tracker: Mapped[str] = mapped_column(String(32), primary_key=True)
    """`Tracker.name`."""
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True)
    trial_id: Mapped[int] = mapped_column(_BigId, primary_key=True, autoincrement=False)
    """0: the experiment itself, whose run is the summary."""
    group_id: Mapped[str | None] = mapped_column(String(255))
    """Of an experiment: the tracker's own id of what holds its runs."""
    run_id: Mapped[str | None] = mapped_column(String(255))
    """The tracker's own id of the run."""
    shipped_to: Mapped[int] = mapped_column(BigInteger, default=0)
    """`metrics.id` of the newest value that was sent, after all before it. A trial has one writer at a time: no
    value with a smaller id comes later."""
    told_status: Mapped[str | None] = mapped_column(String(16))
    """The final status with which the run was closed (`None`: it is open)."""
    told_ended_at: Mapped[datetime | None]
    """The end with which the run was closed; a trial or experiment that runs again ends at another time."""
    refusals: Mapped[int] = mapped_column(default=0)
    """How often it could not be sent, one after another."""
    not_before: Mapped[datetime | None]
    """When to try again after that."""


class EventRow(Table):
    """Something that a watcher of an experiment wants to know; the id is the SSE event id."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_replay", "experiment_id", "id"),)

    id: Mapped[int] = mapped_column(_BigId, primary_key=True, autoincrement=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    """`status`, `trial`, `epoch`, `pair`, `end`."""
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]


class IdempotencyKeyRow(Table):
    """An `Idempotency-Key` and what it stood for."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(64))
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    """Written in one transaction with the experiment: a key without its experiment never exists."""
    created_at: Mapped[datetime]


class CodeRow(Table):
    """One version of the code that a trial uses: all its parts."""

    __tablename__ = "codes"

    version: Mapped[str] = mapped_column(String(12), primary_key=True)
    parts: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Module -> digest, library -> version (`trainers.version.UsedCode`)."""


class ClaimRow(Table):
    """Who trains into a trial's folder; holds as long as that driver attempt lives."""

    __tablename__ = "claims"

    folder: Mapped[str] = mapped_column(String(160), primary_key=True)
    """`trial_folder(identity, hardware)`."""
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    """Of its driver."""


class LeaseRow(Table):
    """Who may do a job that only one process does at a time (reconciler, shipper)."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))
    token: Mapped[int] = mapped_column(BigInteger)
    """Grows with every change of holder: the fence."""
    expires_at: Mapped[datetime]
