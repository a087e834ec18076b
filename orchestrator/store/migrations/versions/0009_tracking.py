"""What trackers have of trials and experiments moves into a table of its own, which has room for several of them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tracking",
        sa.Column("tracker", sa.String(length=32), nullable=False),
        sa.Column("experiment_id", sa.String(length=32), nullable=False),
        sa.Column("trial_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("group_id", sa.String(length=255), nullable=True),
        sa.Column("run_id", sa.String(length=255), nullable=True),
        sa.Column("shipped_to", sa.BigInteger(), nullable=False),
        sa.Column("told_status", sa.String(length=16), nullable=True),
        sa.Column("told_ended_at", UTC, nullable=True),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("not_before", UTC, nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name=op.f("fk_tracking_experiment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tracker", "experiment_id", "trial_id", name=op.f("pk_tracking")),
    )
    op.create_index("ix_tracking_open", "tracking", ["tracker", "told_status", "trial_id"], unique=False)
    op.execute(
        "INSERT INTO tracking (tracker, experiment_id, trial_id, group_id, run_id, shipped_to, told_status, "
        "told_ended_at, refusals) "
        "SELECT 'mlflow', id, 0, mlflow_experiment_id, summary_run_id, 0, "
        "CASE WHEN summary_shipped THEN status END, CASE WHEN summary_shipped THEN ended_at END, 0 FROM experiments "
        "WHERE mlflow_experiment_id IS NOT NULL OR summary_run_id IS NOT NULL OR summary_shipped"
    )
    # Values were sent in the order of their ids. One that was not sent yet, and all after it, are sent (again).
    op.execute(
        "INSERT INTO tracking (tracker, experiment_id, trial_id, run_id, shipped_to, told_status, told_ended_at, "
        "refusals) "
        "SELECT 'mlflow', trials.experiment_id, trials.id, trials.run_id, "
        "COALESCE((SELECT MIN(id) - 1 FROM metrics WHERE trial_id = trials.id AND NOT shipped), "
        "(SELECT MAX(id) FROM metrics WHERE trial_id = trials.id), 0), "
        "CASE WHEN tracking_done THEN trials.status END, CASE WHEN tracking_done THEN trials.ended_at END, 0 "
        "FROM trials JOIN experiments ON experiments.id = trials.experiment_id "
        "WHERE run_id IS NOT NULL OR tracking_done OR summary_shipped"
    )
    op.drop_index("ix_trials_tracking", table_name="trials")
    op.drop_index("ix_metrics_outbox", table_name="metrics")
    op.create_index("ix_metrics_outbox", "metrics", ["trial_id", "id"], unique=False)
    op.drop_column("metrics", "shipped")
    for column in ("run_id", "tracking_done"):
        op.drop_column("trials", column)
    for column in ("mlflow_experiment_id", "summary_run_id", "summary_shipped"):
        op.drop_column("experiments", column)


def downgrade() -> None:
    op.add_column("experiments", sa.Column("mlflow_experiment_id", sa.String(length=64), nullable=True))
    op.add_column("experiments", sa.Column("summary_run_id", sa.String(length=64), nullable=True))
    op.add_column("experiments", sa.Column("summary_shipped", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("trials", sa.Column("run_id", sa.String(length=64), nullable=True))
    op.add_column("trials", sa.Column("tracking_done", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("metrics", sa.Column("shipped", sa.Boolean(), nullable=False, server_default=sa.false()))
    of_mlflow = "FROM tracking WHERE tracker = 'mlflow' AND experiment_id = "
    of_experiment = f"{of_mlflow} experiments.id AND trial_id = 0"
    of_trial = f"{of_mlflow} trials.experiment_id AND trial_id = trials.id"
    op.execute(
        f"UPDATE experiments SET mlflow_experiment_id = (SELECT group_id {of_experiment}), "
        f"summary_run_id = (SELECT run_id {of_experiment}), "
        f"summary_shipped = EXISTS (SELECT 1 {of_experiment} AND told_status = experiments.status)"
    )
    op.execute(
        f"UPDATE trials SET run_id = (SELECT run_id {of_trial}), "
        f"tracking_done = EXISTS (SELECT 1 {of_trial} AND told_status = trials.status)"
    )
    op.execute(
        "UPDATE metrics SET shipped = EXISTS (SELECT 1 FROM trials JOIN tracking ON tracker = 'mlflow' "
        "AND tracking.experiment_id = trials.experiment_id AND tracking.trial_id = trials.id "
        "WHERE trials.id = metrics.trial_id AND shipped_to >= metrics.id)"
    )
    op.drop_index("ix_metrics_outbox", table_name="metrics")
    op.create_index("ix_metrics_outbox", "metrics", ["shipped", "trial_id"], unique=False)
    op.create_index("ix_trials_tracking", "trials", ["tracking_done", "experiment_id"], unique=False)
    op.drop_index("ix_tracking_open", table_name="tracking")
    op.drop_table("tracking")
