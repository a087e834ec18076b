"""What an experiment waits for where its storage can't be written."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("experiments", sa.Column("storage_trouble", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("experiments", "storage_trouble")
