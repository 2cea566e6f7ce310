"""The JSON Schema of a `compozy db export` document, generated from the tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from compozy.transfer.document import FORMAT, VERSION, Header
from compozy.transfer.sections import Section, all_sections, kind_of

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CHECKSUM: dict[str, Any] = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_KINDS: dict[str, dict[str, Any]] = {
    "json": {},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "number": {"type": "number"},
    "string": {"type": "string"},
}


def export_schema() -> dict[str, Any]:
    """Return the schema of a whole document; a schema cannot describe the checksums and the layout in lines."""
    sections = all_sections()
    return {
        "$schema": _DIALECT,
        "title": "Document of compozy db export",
        **_object(
            {
                "header": _header(),
                "header_checksum": {**_CHECKSUM, "description": "Checksum of the header as compact JSON."},
                "sections": _object({section.name: _section(section) for section in sections}),
                "counts": _object({section.name: _COUNT for section in sections}),
                "checksum": {**_CHECKSUM, "description": "Checksum of the lines between the first and the last."},
            }
        ),
    }


def _header() -> dict[str, Any]:
    texts = {field.name: _KINDS["string"] for field in fields(Header)}
    return _object(
        {
            **texts,
            "format": {"const": FORMAT},
            "version": {"const": VERSION},
            "driver": {"enum": ["sqlite", "postgres"]},
            "mode": {"enum": ["copy", "move"]},
            "journal_revision": _COUNT,
            "move_id": {"type": ["string", "null"]},
            "filters": {"type": "object"},
        }
    )


def _section(section: Section) -> dict[str, Any]:
    if not section.is_carried:
        return {"type": "array", "maxItems": 0}
    required = [column.name for column in section.table.columns if _is_required(column)]
    columns = {column.name: _KINDS[kind_of(column.type)] for column in section.table.columns}
    return {"type": "array", "items": {**_object(columns), "required": required}}


def _is_required(column: sa.Column[Any]) -> bool:
    return not column.nullable and column.default is None and not isinstance(column.type, sa.Boolean)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
