"""JSON Schemas of compozy.yaml and of workflow files for editors, made from the models that read them."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel

from compozy.config.shape import keys_of_field
from compozy.project.file import ProjectFile
from compozy.task.registry import DEFAULT_KIND, KINDS
from compozy.workflow.config import WorkflowConfig

PROJECT_SCHEMA_NAME = "compozy.schema.json"
WORKFLOW_SCHEMA_NAME = "workflow.schema.json"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_INTERPOLATION: dict[str, Any] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
_NOT_TEXT = frozenset({"integer", "number", "boolean"})


def project_schema() -> dict[str, Any]:
    """Return the schema of compozy.yaml; `${VAR}` may stand wherever a number, a boolean or a choice does."""
    schema = _schema_of(ProjectFile, "compozy.yaml")
    return _with_interpolation(schema)


def workflow_schema() -> dict[str, Any]:
    """Return the schema of a workflow file."""
    schema = _with_task_by_type(_schema_of(WorkflowConfig, "Compozy workflow"))
    return {**schema, "$defs": {**schema["$defs"], "Task": _task_by_type()}}


def _task_by_type() -> dict[str, Any]:
    """Return the schema of a task as a choice by its `type`: editors then know the one kind that is meant.

    Of `oneOf` they would show the faults of every kind.
    """
    is_plain: dict[str, Any] = {"not": {"required": ["type"]}}
    cases = [
        {"if": _has_type(kind), "then": {"$ref": f"#/$defs/{found.model.__name__}"}} for kind, found in KINDS.items()
    ]
    plain = {"if": is_plain, "then": {"$ref": f"#/$defs/{KINDS[DEFAULT_KIND].model.__name__}"}}
    kinds = {"enum": list(KINDS), "description": "Kind of task."}
    return {"type": "object", "required": ["id"], "properties": {"type": kinds}, "allOf": [plain, *cases]}


def _has_type(kind: str) -> dict[str, Any]:
    return {"required": ["type"], "properties": {"type": {"const": kind}}}


def _with_task_by_type(schema: Any) -> Any:
    """Replace each choice among all kinds of tasks by a reference to the one schema of them."""
    if isinstance(schema, list):
        return [_with_task_by_type(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _with_task_by_type(value) for key, value in cast("dict[str, Any]", schema).items()}
    kinds = [{"$ref": f"#/$defs/{kind.model.__name__}"} for kind in KINDS.values()]
    choices: list[Any] = changed.get("oneOf", [])
    if choices[-len(kinds) :] != kinds:
        return changed
    others = choices[: -len(kinds)]
    del changed["oneOf"]
    task = {"$ref": "#/$defs/Task"}
    return {**changed, "anyOf": [*others, task]} if others else {**changed, **task}


def _schema_of(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, mode="validation")
    _add_synonyms(model, schema)
    for definition in schema.get("$defs", {}).values():
        _tidy(definition)
    _tidy(schema)
    return {"$schema": _DIALECT, **schema, "title": title}


def _add_synonyms(model: type[BaseModel], schema: dict[str, Any]) -> None:
    by_name = {found.__name__: found for found in _all_models(model)}
    for name, definition in [(model.__name__, schema), *schema.get("$defs", {}).items()]:
        for field, info in by_name[name].model_fields.items() if name in by_name else ():
            first, *others = keys_of_field(field, info)
            for other in others:
                definition["properties"][other] = {
                    **definition["properties"][first],
                    "description": f"Synonym of `{first}`.",
                }


def _all_models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return `model` and all models of files: every one that could be in its schema."""
    from compozy.config.settings import Section

    found: list[type[BaseModel]] = [model]
    waiting: list[type[BaseModel]] = [Section]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return found


def _tidy(definition: dict[str, Any]) -> None:
    """Drop titles that only repeat the key, and defaults that say nothing; tolerate a number as `version`."""
    for key, value in definition.get("properties", {}).items():
        value.pop("title", None)
        if value.get("default") in (None, []) or isinstance(value["default"], dict):
            value.pop("default", None)
        if key == "version":
            value["anyOf"] = [*value["anyOf"], {"type": "number"}]


def _with_interpolation(schema: dict[str, Any]) -> dict[str, Any]:
    changed = dict(schema)
    for keyword in ("properties", "$defs"):
        if keyword in schema:
            changed[keyword] = {name: _with_interpolation(below) for name, below in schema[keyword].items()}
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            changed[keyword] = [_with_interpolation(below) for below in schema[keyword]]
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            changed[keyword] = _with_interpolation(schema[keyword])
    if changed.get("type") not in _NOT_TEXT and "enum" not in changed and not _is_choice(changed):
        return changed
    about = {key: changed.pop(key) for key in ("title", "description", "default") if key in changed}
    return {**about, "anyOf": [changed, _INTERPOLATION]}


def _is_choice(schema: dict[str, Any]) -> bool:
    return "const" in schema and isinstance(schema["const"], str)
