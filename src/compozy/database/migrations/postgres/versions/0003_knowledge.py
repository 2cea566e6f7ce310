"""Documents of knowledge bases: knowledge_documents.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The vectors stay in their stores; what is deleted here only says what they hold.
deletes = ("knowledge_documents",)

_STATEMENTS = (
    """
    CREATE TABLE knowledge_documents (
        knowledge_base_id TEXT COLLATE "C" NOT NULL,
        document TEXT COLLATE "C" NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('PENDING','READY','FAILED')),
        hash TEXT NOT NULL,
        recipe TEXT NOT NULL,
        title TEXT NOT NULL,
        size BIGINT NOT NULL,
        chunks BIGINT NOT NULL,
        error TEXT CHECK (error IS NULL OR error::json IS NOT NULL),
        workflow_exec_id TEXT COLLATE "C" NOT NULL,
        created_ms BIGINT NOT NULL,
        updated_ms BIGINT NOT NULL,
        PRIMARY KEY (knowledge_base_id, document)
    )
    """,
    "CREATE INDEX ix_knowledge_documents_run ON knowledge_documents (workflow_exec_id, status)",
)


def upgrade() -> None:
    """Create the table."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Delete the table."""
    op.execute("DROP TABLE knowledge_documents")
