"""What each training ran on, beside the bulky result that says so, and an index that answers "was this trained?"."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TRIALS = sa.table("trials", sa.column("id"), sa.column("result"), sa.column("hardware"))


def upgrade() -> None:
    op.add_column("trials", sa.Column("hardware", sa.String(length=32), nullable=True))
    connection = op.get_bind()
    ids = connection.scalars(sa.select(_TRIALS.c.id).where(_TRIALS.c.result.is_not(None))).all()
    # One by one: results carry their curves.
    for trial_id in ids:
        of_trial = sa.select(_TRIALS.c.result).where(_TRIALS.c.id == trial_id)
        provenance = json.loads(str(connection.scalar(of_trial)))["provenance"]
        device = "cpu" if provenance["device"] == "cpu" else "cuda"
        hardware = f"{device}-{provenance['num_workers']}"
        connection.execute(sa.update(_TRIALS).where(_TRIALS.c.id == trial_id).values(hardware=hardware))
    op.drop_index(op.f("ix_trials_identity"), "trials")
    op.create_index("ix_trials_reuse", "trials", ["identity", "hardware", "status", "reused_from"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_trials_reuse", "trials")
    op.create_index(op.f("ix_trials_identity"), "trials", ["identity"], unique=False)
    op.drop_column("trials", "hardware")
