"""An index that answers what a trial of a cell takes without touching the bulky rows of results."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = ["cell", "status", "hardware", "id", "reused_from", "training_seconds", "num_epochs"]


def upgrade() -> None:
    op.create_index("ix_trials_cost", "trials", _COLUMNS, unique=False)


def downgrade() -> None:
    op.drop_index("ix_trials_cost", "trials")
