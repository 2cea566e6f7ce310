"""Moves between databases: the state MOVED, where a run came from, and how it left.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

deletes = ()
deletes_journal = False

_BEFORE = "'PENDING','RUNNING','WAITING','PAUSED','SUCCESS','FAILED','TIMED_OUT','CANCELED'"
_CHECK = "ALTER TABLE workflow_states ADD CONSTRAINT workflow_states_status_check CHECK (status IN ({}))"

_UP = (
    "ALTER TABLE workflow_states DROP CONSTRAINT workflow_states_status_check",
    _CHECK.format(f"{_BEFORE},'MOVED'"),
    "ALTER TABLE workflow_states ADD COLUMN origin TEXT CHECK (origin IS NULL OR origin::json IS NOT NULL)",
    "ALTER TABLE workflow_states ADD COLUMN moved TEXT CHECK (moved IS NULL OR moved::json IS NOT NULL)",
)
_DOWN = (
    "ALTER TABLE workflow_states DROP COLUMN moved",
    "ALTER TABLE workflow_states DROP COLUMN origin",
    # What goes on elsewhere must not go on here.
    "UPDATE workflow_states SET status = 'CANCELED' WHERE status = 'MOVED'",
    "ALTER TABLE workflow_states DROP CONSTRAINT workflow_states_status_check",
    _CHECK.format(_BEFORE),
)


def upgrade() -> None:
    """Add what moves store."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Delete it."""
    for statement in _DOWN:
        op.execute(statement)
