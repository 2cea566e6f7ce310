"""Attachments of prompts: attachments.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A run that continues reads its files again.
deletes = ("attachments",)
deletes_journal = False


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE attachments (
            workflow_exec_id TEXT COLLATE "C" NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
            sha256 TEXT COLLATE "C" NOT NULL,
            content TEXT NOT NULL,
            PRIMARY KEY (workflow_exec_id, sha256)
        )
        """
    )


def downgrade() -> None:
    """Delete the table."""
    op.execute("DROP TABLE attachments")
