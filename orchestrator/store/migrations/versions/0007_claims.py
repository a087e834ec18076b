"""Which driver trains into a trial's folder."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("folder", sa.String(length=160), nullable=False),
        sa.Column("experiment_id", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name=op.f("fk_claims_experiment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("folder", name=op.f("pk_claims")),
    )


def downgrade() -> None:
    op.drop_table("claims")
