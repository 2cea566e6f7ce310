"""The trigger and the labels of a run: their values, and how they are read and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

import sqlalchemy as sa

from compozy.database.tables import execution_labels, workflow_states
from compozy.errors import UsageError

MAX_LABELS = 32
MAX_LABEL_VALUE = 256
LABEL_NAME_PATTERN = "^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$"
_LABEL_NAME = re.compile(LABEL_NAME_PATTERN.removesuffix("$"))
# Neither can be part of a name or a value.
_EQUALS, _NEXT = "=", "\n"


class TriggerType(StrEnum):
    """The types of triggers. An imported run may have a type of a later version."""

    API = "api"
    CLI = "cli"
    MCP = "mcp"
    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    EVENT = "event"
    RERUN = "rerun"
    BATCH = "batch"
    RUN = "run"
    SERVER = "server"


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """The trigger of a run, and who started it.

    Args:
        type: the kind of trigger.
        id: the schedule, the slug of the webhook, the event, the repeated run, or the run that started this one.
        by: the user or the API key, None if it is not known.
    """

    type: str
    id: str | None = None
    by: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """Return the trigger as JSON."""
        return asdict(self)


BY_API = Trigger(type=TriggerType.API)


def check_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return `labels` if a run can have them.

    Raises:
        UsageError: they are too many, or a name or value is invalid.
    """
    if len(labels) > MAX_LABELS:
        raise UsageError(f"an execution has at most {MAX_LABELS} labels, got {len(labels)}")
    for name, value in labels.items():
        if not _LABEL_NAME.fullmatch(name):
            raise UsageError(
                f"invalid label name {name!r:.80}",
                hint="a name has 1 to 63 letters, digits and the characters . _ / -, and starts and ends with a letter "
                "or digit",
            )
        if len(value) > MAX_LABEL_VALUE or not value.isprintable():
            raise UsageError(
                f"invalid value of label {name!r}",
                hint=f"a value has at most {MAX_LABEL_VALUE} characters and no control characters",
            )
    return dict(labels)


def insert_labels(connection: sa.Connection, execution_id: str, labels: Mapping[str, str]) -> None:
    """Store the labels of a run that this transaction inserts."""
    if labels:
        rows = [{"execution_id": execution_id, "name": name, "value": value} for name, value in labels.items()]
        connection.execute(sa.insert(execution_labels), rows)


def labels_column() -> sa.Label[str]:
    """Return the column `labels` of a query of `workflow_states`; `read_labels` reads it."""
    pair = execution_labels.c.name.concat(_EQUALS).concat(execution_labels.c.value)
    return (
        sa.select(sa.func.aggregate_strings(pair, _NEXT))
        .where(execution_labels.c.execution_id == workflow_states.c.workflow_exec_id)
        .correlate(workflow_states)
        .scalar_subquery()
        .label("labels")
    )


def read_labels(stored: str | None) -> dict[str, str]:
    """Return the labels of a run, sorted by name, from the column of `labels_column`."""
    pairs = (line.partition(_EQUALS) for line in sorted((stored or "").split(_NEXT)) if line)
    return {name: value for name, _, value in pairs}


def has_label(text: str) -> sa.ColumnElement[bool]:
    """Return the condition that a run has a label: `NAME`, or `NAME=VALUE`."""
    name, equals, value = text.partition(_EQUALS)
    chosen = sa.select(execution_labels.c.execution_id).where(execution_labels.c.name == name)
    if equals:
        chosen = chosen.where(execution_labels.c.value == value)
    return workflow_states.c.workflow_exec_id.in_(chosen)
