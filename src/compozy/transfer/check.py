"""Checks the integrity of a database, and that the journal and the tables agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from compozy.database.attachments import list_damaged_attachments
from compozy.database.database import Database
from compozy.database.events import WORKFLOW_STATUS
from compozy.database.migrate import REVISIONS, read_status
from compozy.database.status import OPEN, Status
from compozy.durable.journal import has_journal, list_refused_rows
from compozy.plural import plural

_SHOWN = 5
# The log is not checkpointed for long if a reader never ends, or if no process writes.
_LARGE_LOG = 256 * 1024 * 1024
_OPEN = ", ".join(f"'{status.value}'" for status in OPEN)
_PATH = "substr(t.task_exec_id, length(t.workflow_exec_id) + 2)"
# Each query returns the IDs of the rows that violate the rule.
_RULES: tuple[tuple[str, str], ...] = (
    (
        "runs that ended have no open tasks",
        f"""SELECT t.task_exec_id FROM task_states t JOIN workflow_states w ON w.workflow_exec_id = t.workflow_exec_id
        WHERE w.status NOT IN ({_OPEN}, '{Status.MOVED.value}') AND t.status IN ({_OPEN})""",  # noqa: S608 - constants
    ),
    (
        "every task that ended has its end in the journal",
        f"""SELECT t.task_exec_id FROM task_states t WHERE t.status IN ('SUCCESS', 'FAILED') AND t.attempts > 0
        AND NOT EXISTS (SELECT 1 FROM {{journal}}operation_outputs o WHERE o.workflow_uuid = t.workflow_exec_id
        AND o.function_name = {_PATH} || '.end')""",  # noqa: S608 - constants
    ),
    (
        "no task is open whose end the journal has",
        f"""SELECT t.task_exec_id FROM task_states t WHERE t.status IN ({_OPEN}) AND EXISTS
        (SELECT 1 FROM {{journal}}operation_outputs o WHERE o.workflow_uuid = t.workflow_exec_id
        AND o.function_name = {_PATH} || '.end')""",  # noqa: S608 - constants
    ),
    (
        "the event log of every run has no gap",
        """SELECT e.execution_id FROM execution_events e GROUP BY e.execution_id
        HAVING count(*) <> max(e.seq) OR min(e.seq) <> 1""",
    ),
    (
        "the event log of every run ends in the state of the run",
        f"""SELECT w.workflow_exec_id FROM workflow_states w
        JOIN execution_events e ON e.execution_id = w.workflow_exec_id
        WHERE w.origin IS NULL AND e.seq = (SELECT max(l.seq) FROM execution_events l
        WHERE l.execution_id = w.workflow_exec_id AND l.kind = '{WORKFLOW_STATUS}')
        AND e.data NOT LIKE '{{{{"status":"' || w.status || '"%'""",  # noqa: S608 - constants
    ),
    (
        "the journal has no run that the tables lack",
        """SELECT j.workflow_uuid FROM {journal}workflow_status j WHERE NOT EXISTS
        (SELECT 1 FROM workflow_states w WHERE w.workflow_exec_id = j.workflow_uuid)""",
    ),
    (
        "no run is open that the journal has closed",
        f"""SELECT w.workflow_exec_id FROM workflow_states w JOIN {{journal}}workflow_status j
        ON j.workflow_uuid = w.workflow_exec_id WHERE w.status IN ({_OPEN}) AND w.owner IS NULL
        AND j.status IN ('SUCCESS', 'ERROR')""",  # noqa: S608 - constants
    ),
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A check: its name, the problem or "", and a note."""

    name: str
    fault: str = ""
    note: str = ""


def check_database(database: Database) -> list[Finding]:
    """Check a whole database without changing it.

    Raises:
        DatabaseError: the database cannot be read at all.
    """
    status = read_status(database)
    lacking = f"{plural(len(status.pending), 'pending migration')}: run `compozy migrate up`" if status.pending else ""
    findings = [Finding(name="tables", fault=lacking, note=f"revision {status.current} of {REVISIONS[-1]}")]
    with database.snapshot() as connection:
        findings += [
            Finding(name=name, fault=fault, note=note) for name, fault, note in database.driver.examine(connection)
        ]
        if not status.pending:
            findings += _compare(database, connection)
            damaged = _named(list_damaged_attachments(connection))
            findings.append(Finding(name="every attachment has the content of its SHA-256", fault=damaged))
    log = database.log_size()
    if log is not None:
        is_large = log > _LARGE_LOG
        what = "a process keeps reading an old snapshot; stop processes that hang" if is_large else ""
        findings.append(Finding(name="log", fault=what, note=f"{log / 1024:.0f} KiB in the write-ahead log"))
    return findings


def _compare(database: Database, connection: sa.Connection) -> list[Finding]:
    prefix = f"{database.journal_schema}." if database.journal_schema else ""
    if not has_journal(database, connection):
        return [Finding(name="journal", note="does not exist yet")]
    refused = "; ".join(list_refused_rows(database, connection))
    findings = [Finding(name="the journal holds only what Compozy writes", fault=refused)]
    for name, query in _RULES:
        ids = list(connection.execute(sa.text(query.format(journal=prefix))).scalars())
        findings.append(Finding(name=name, fault=_named(ids)))
    return findings


def _named(ids: Sequence[object]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(map(str, ids[:_SHOWN])) + more
