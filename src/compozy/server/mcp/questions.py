"""Approvals of runs as questions to the person in front of an MCP client, and the state between question and answer.

A client returns the state with the answer. It is neither secret nor trusted: it names a run and the questions that were
asked, and everything in it is compared with the run. It holds for every server of the project, also after a restart.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from compozy.schema.json_kinds import is_map
from compozy.server.mcp.runs import Document, digest_of

_MAX_STATE = 16 * 1024
_VERSION = 1
_TEXT = frozenset({"title", "description", "default"})
# Keys of a field that clients know, by its type. Everything else is left to the check of the answer.
_KEYWORDS: Mapping[str, frozenset[str]] = {
    "string": _TEXT | {"minLength", "maxLength", "format", "enum", "oneOf"},
    "number": _TEXT | {"minimum", "maximum"},
    "integer": _TEXT | {"minimum", "maximum"},
    "boolean": _TEXT,
}
_FORMATS = frozenset({"email", "uri", "date", "date-time"})
_CONDITIONS = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if"})


@dataclass(frozen=True, kw_only=True)
class Question:
    """A task of a run that waits with a form.

    Attributes:
        task: path of the task.
        form: JSON Schema of the answer.
        digest: differs from that of other questions of the same task.
    """

    task: str
    form: dict[str, Any]
    digest: str

    @property
    def message(self) -> str:
        """Text for the person."""
        texts = [self.form.get("title"), self.form.get("description")]
        return "\n".join(str(text) for text in texts if text) or f"Task {self.task!r} waits for an answer."

    @property
    def fields(self) -> dict[str, Any] | None:
        """The form as MCP clients can show it: fields without nesting; None if an answer needs more."""
        properties = self.form.get("properties")
        if self.form.get("type") != "object" or _CONDITIONS & self.form.keys() or not is_map(properties):
            return None
        fields = {name: field for name in properties if (field := _field_of(properties[name])) is not None}
        required = [str(name) for name in self.form.get("required", ())]
        if not fields or not fields.keys() >= set(required):
            return None
        return {"type": "object", "properties": fields, "required": required}

    def to_json(self) -> dict[str, Any]:
        """Return the question for a model."""
        return {"task": self.task, "message": self.message, "form": self.form}


def open_questions(document: Document) -> list[Question]:
    """Return the questions of a run that wait for an answer."""
    return list(_open_questions(document))


def _open_questions(document: Document) -> Iterator[Question]:
    for task in document["tasks"]:
        asked = task["output"]
        if task["waits_for"] is None or task["signal_arrived"] or not is_map(asked) or "form" not in asked:
            continue
        # A question that is asked again, because an answer was declined, is another question.
        digest = digest_of([task["waits_for"], asked["form"], asked.get("declined", 0)])
        yield Question(task=task["path"], form=asked["form"], digest=digest)


@dataclass(frozen=True, kw_only=True)
class AskedState:
    """The state that a client keeps between a question and its answer.

    Attributes:
        execution_id: the run.
        call: hash of the tool and its arguments, since the answer belongs to the same call.
        asked: digests of the questions by the paths of their tasks.
    """

    execution_id: str
    call: str
    asked: Mapping[str, str]

    def encode(self) -> str:
        """Return the state as text for a client."""
        values = {"v": _VERSION, "run": self.execution_id, "call": self.call, "asked": dict(self.asked)}
        return base64.urlsafe_b64encode(json.dumps(values, sort_keys=True).encode()).decode()

    @classmethod
    def decode(cls, text: str) -> AskedState:
        """Return the state that a client sent.

        Raises:
            ValueError: it is not one of ours.
        """
        if len(text) > _MAX_STATE:
            raise ValueError("the state is too long")
        values = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
        if not is_map(values) or values.get("v") != _VERSION or not is_map(values.get("asked")):
            raise ValueError("the state is of another version")
        asked = {str(path): str(digest) for path, digest in values["asked"].items()}
        return cls(execution_id=str(values.get("run")), call=str(values.get("call")), asked=asked)


def _field_of(schema: Any) -> dict[str, Any] | None:
    """Return the schema of a field as clients read it, None if they cannot show it."""
    if not is_map(schema):
        return None
    kind = str(schema.get("type", "string" if "enum" in schema else ""))
    if kind not in _KEYWORDS or not _has_texts(schema):
        return None
    field = {key: schema[key] for key in schema if key in _KEYWORDS[kind]}
    if field.get("format") not in _FORMATS:
        field.pop("format", None)
    return {"type": kind, **field}


def _has_texts(schema: Mapping[str, Any]) -> bool:
    """Return whether all choices are texts, as clients show them."""
    choices = schema.get("enum", [])
    named = schema.get("oneOf", [])
    consts = [choice.get("const") if is_map(choice) else None for choice in named]
    return all(isinstance(choice, str) for choice in [*choices, *consts])
