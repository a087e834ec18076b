"""Why each driver attempt ended and in which of Ray's sessions it ran; how many ended so since the last progress.

The count of attempts before the last `extend` goes: a budget that renews with progress has no use for it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("driver_attempts", sa.Column("ended_by", sa.String(length=16), nullable=True))
    op.add_column("driver_attempts", sa.Column("cluster", sa.String(length=128), nullable=True))
    op.add_column("experiments", sa.Column("attempt_ends", sa.JSON(), nullable=False, server_default="{}"))
    op.drop_column("experiments", "attempts_before")


def downgrade() -> None:
    op.add_column("experiments", sa.Column("attempts_before", sa.Integer(), nullable=False, server_default="0"))
    op.drop_column("experiments", "attempt_ends")
    op.drop_column("driver_attempts", "cluster")
    op.drop_column("driver_attempts", "ended_by")
