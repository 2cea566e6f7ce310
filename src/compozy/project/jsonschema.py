"""JSON Schemas of compozy.yaml, workflows and shared resources for editors, made from the models that read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel

from compozy.agent.config import AgentResource
from compozy.config.shape import keys_of_field
from compozy.memory.config import MemoryResource
from compozy.project.file import ProjectFile
from compozy.project.resource_kinds import REFERENCE
from compozy.schema.resource import SchemaResource
from compozy.task.registry import DEFAULT_KIND, KINDS
from compozy.tool.config import ToolResource
from compozy.tool.mcp.config import McpResource
from compozy.trigger.registry import TRIGGER_KINDS
from compozy.workflow.config import WorkflowConfig

PROJECT_SCHEMA_NAME = "compozy.schema.json"
WORKFLOW_SCHEMA_NAME = "workflow.schema.json"
AGENT_SCHEMA_NAME = "agent.schema.json"
TASK_SCHEMA_NAME = "task.schema.json"
TOOL_SCHEMA_NAME = "tool.schema.json"
MCP_SCHEMA_NAME = "mcp.schema.json"
MEMORY_SCHEMA_NAME = "memory.schema.json"
SCHEMA_SCHEMA_NAME = "schema.schema.json"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_INTERPOLATION: dict[str, Any] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
_TARGET = {"type": "string", "description": "ID of the shared task; other keys replace those that it has."}
_TYPES = ["object", "array", "string", "integer", "number", "boolean", "null"]
_NOT_TEXT = frozenset({"integer", "number", "boolean"})


def project_schema() -> dict[str, Any]:
    """Return the schema of compozy.yaml; `${VAR}` may stand wherever a number, a boolean or a choice does."""
    return _with_interpolation(schema_of(ProjectFile, "compozy.yaml"))


def workflow_schema() -> dict[str, Any]:
    """Return the schema of a workflow file."""
    return _with_tasks(schema_of(WorkflowConfig, "Compozy workflow"))


def editor_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of everything that is written in a project, by the name of the schema file."""
    workflow = workflow_schema()
    made = {WORKFLOW_SCHEMA_NAME: workflow, TASK_SCHEMA_NAME: task_schema(workflow)}
    return {name: made.get(name) or make() for name, make in EDITOR_SCHEMAS.items()}


def agent_schema() -> dict[str, Any]:
    """Return the schema of the file of a shared agent."""
    return schema_of(AgentResource, "Compozy agent")


def schema_schema() -> dict[str, Any]:
    """Return the schema of the file of a shared JSON Schema; the keywords are described as far as editors need them."""
    schema = schema_of(SchemaResource, "Compozy schema")
    map_of_schemas = {"type": "object", "additionalProperties": {"type": ["object", "boolean"]}}
    keywords: dict[str, Any] = {
        "type": {"anyOf": [{"enum": _TYPES}, {"type": "array", "items": {"enum": _TYPES}}]},
        "properties": map_of_schemas,
        "required": {"type": "array", "items": {"type": "string"}},
        "items": {"type": ["object", "boolean"]},
        "enum": {"type": "array"},
        "$ref": {"type": "string", "description": "ID of a shared schema, a file, or `#/...` in this one."},
        "$defs": map_of_schemas,
    }
    return {**schema, "properties": {**schema["properties"], **keywords}}


def tool_schema() -> dict[str, Any]:
    """Return the schema of the file of a shared tool."""
    return schema_of(ToolResource, "Compozy tool")


def mcp_schema() -> dict[str, Any]:
    """Return the schema of the file of a shared MCP server."""
    return schema_of(McpResource, "Compozy MCP server")


def memory_schema() -> dict[str, Any]:
    """Return the schema of the file of a memory."""
    return schema_of(MemoryResource, "Compozy memory")


def task_schema(workflow: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of the file of a shared task, made of the one of a workflow, where the caller has it."""
    triggers = [kind.model for kind in TRIGGER_KINDS.values()]
    below = {name for trigger in triggers for name in trigger.model_json_schema().get("$defs", {})}
    left_out = {"WorkflowOptions", *(trigger.__name__ for trigger in triggers), *below}
    found = (workflow or workflow_schema())["$defs"]
    definitions = {name: dict(value) for name, value in found.items() if name not in left_out}
    resource = {"const": "task", "description": "Kind of file, for files that `autoload` finds."}
    for kind in KINDS.values():
        definition = definitions[kind.model.__name__]
        definition["properties"] = {**definition["properties"], "resource": resource}
    return {"$schema": _DIALECT, "$ref": "#/$defs/Task", "$defs": definitions, "title": "Compozy task"}


def _with_tasks(schema: dict[str, Any]) -> dict[str, Any]:
    schema = _with_task_by_type(schema)
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
    kinds = {"enum": [*KINDS, REFERENCE], "description": "Kind of task; `reference` names a shared task."}
    reference = {"if": _has_type(REFERENCE), "then": {"required": ["target"], "properties": {"target": _TARGET}}}
    return {"type": "object", "required": ["id"], "properties": {"type": kinds}, "allOf": [plain, *cases, reference]}


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


# The schemas of everything that is written in a project, by the name of the schema file.
EDITOR_SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    PROJECT_SCHEMA_NAME: project_schema,
    WORKFLOW_SCHEMA_NAME: workflow_schema,
    AGENT_SCHEMA_NAME: agent_schema,
    TASK_SCHEMA_NAME: task_schema,
    TOOL_SCHEMA_NAME: tool_schema,
    MCP_SCHEMA_NAME: mcp_schema,
    MEMORY_SCHEMA_NAME: memory_schema,
    SCHEMA_SCHEMA_NAME: schema_schema,
}


def schema_of(model: type[BaseModel], title: str) -> dict[str, Any]:
    """Return the schema of a file that `model` reads."""
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
