"""Which code each trial was planned with, part by part."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "codes",
        sa.Column("version", sa.String(length=12), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_codes")),
    )
    op.add_column("trials", sa.Column("code", sa.String(length=12), nullable=True))


def downgrade() -> None:
    op.drop_column("trials", "code")
    op.drop_table("codes")
