"""What was found where an experiment's data lie, in one line for each data set."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("experiments", sa.Column("data_found", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("experiments", "data_found")
