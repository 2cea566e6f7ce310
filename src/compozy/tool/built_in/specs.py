"""Specifications of the built-in tools: descriptions for the model, and the effect of repeated calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compozy.config.settings import Approval
from compozy.tool.config import Effect

MAX_FILE_BYTES = 1024 * 1024
"""Size of a file that is read or written."""
MAX_ARGUMENTS = 12
MAX_STDOUT = 2 * 1024 * 1024
MAX_STDERR = 1024
EXEC_TIMEOUT_MS = 30_000
FETCH_TIMEOUT_MS = 5_000
MAX_FETCHED = 2 * 1024 * 1024
FETCH_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
MAX_PAGE = 10_000
MAX_RESULTS = 1000
MAX_FILES_VISITED = 10_000
MAX_CALLS = 10
"""Agents or tasks that one call can run."""


@dataclass(frozen=True, kw_only=True)
class BuiltInSpec:
    """A built-in tool.

    Attributes:
        description: text for the model.
        properties: JSON Schemas of the arguments, by name.
        required: arguments without a default.
        output: fields of the result, for people; `?` marks those that are not always there.
        effect: what a repeated call means; `effect_of_call` is more exact.
        approve: default of `approve`.
    """

    description: str
    properties: Mapping[str, Any]
    required: tuple[str, ...]
    output: str
    effect: Effect = "read"
    approve: Approval = "never"

    @property
    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments."""
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description}


def _number(description: str, default: int, most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most, "default": default, "description": description}


def _several(call: Mapping[str, Any], required: str, description: str) -> dict[str, Any]:
    item = {"type": "object", "properties": dict(call), "required": [required], "additionalProperties": False}
    return {"type": "array", "items": item, "minItems": 1, "maxItems": MAX_CALLS, "description": description}


_AGENT_ID = _text("ID of the agent.", minLength=1)
_WITH = {"type": "object", "description": "Input, by name."}
_CALL_TIMEOUT = {"type": "integer", "minimum": 1, "description": "Time limit in milliseconds. Default: none."}
_AGENT_CALL: Mapping[str, Any] = {
    "agent_id": _AGENT_ID,
    "action_id": _text("Action of the agent. Without one, the agent gets `prompt`.", minLength=1),
    "prompt": _text("Prompt for the agent. It sees nothing else of this conversation.", minLength=1),
    "with": _WITH,
    "timeout_ms": _CALL_TIMEOUT,
}
_TASK_CALL: Mapping[str, Any] = {
    "task_id": _text("ID of the task.", minLength=1),
    "with": _WITH,
    "timeout_ms": _CALL_TIMEOUT,
}
_WORKFLOW_CALL: Mapping[str, Any] = {
    "workflow_id": _text("ID of the workflow.", minLength=1),
    "input": _WITH,
    "timeout_ms": _CALL_TIMEOUT,
}
_FILE = _text("Path of the file; `/` is the root folder of the tools.", minLength=1)
_FOLDER = _text("Path of the folder; `/` is the root folder of the tools.", minLength=1)

SPECS: Mapping[str, BuiltInSpec] = {
    "cp__read_file": BuiltInSpec(
        description="Read a text file of at most 1 MiB.",
        properties={"path": _FILE},
        required=("path",),
        output="content, metadata {path, size, mode, modified}",
    ),
    "cp__write_file": BuiltInSpec(
        description="Write a text file of at most 1 MiB. Replaces the file, or appends to it. Creates missing folders.",
        properties={
            "path": _FILE,
            "content": _text("Text to write."),
            "append": _flag("Append to the file. Default: false, which replaces it."),
            "mode": {
                "type": "integer",
                "minimum": 0,
                "maximum": 0o777,
                "description": "Permissions as a decimal number; 420, the default of new files, is rw-r--r--.",
            },
        },
        required=("path", "content"),
        output="success, metadata {path, size, mode, modified}",
        effect="retry",
        approve="ask",
    ),
    "cp__list_dir": BuiltInSpec(
        description="List the files and folders in a folder, in pages, sorted by path.",
        properties={
            "path": _FOLDER,
            "pattern": _text("Only entries whose name matches, such as `*.md`; with a `/`, whose path does."),
            "recursive": _flag("Whether to include subfolders. Default: false."),
            "include_files": _flag("Whether to list files. Default: true."),
            "include_dirs": _flag("Whether to list folders. Default: true."),
            "page_size": _number("Maximum number of entries per page.", 200, MAX_PAGE),
            "page_token": _text("`next_page_token` of the previous page."),
        },
        required=("path",),
        output="entries [{name, path, type, size, modified}], next_page_token?",
    ),
    "cp__list_files": BuiltInSpec(
        description="List the paths of the files in a folder, sorted.",
        properties={
            "dir": _FOLDER,
            "exclude": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 100}],
                "description": "Patterns of files and folders to leave out, such as `*.{log,tmp}`; the last one that "
                "matches decides, and `!` before a pattern keeps what it matches.",
            },
            "recursive": _flag("Whether to include subfolders. Default: false."),
        },
        required=("dir",),
        output="files [path], truncated?",
    ),
    "cp__grep": BuiltInSpec(
        description="Search text files for a regular expression (RE2 syntax), line by line.",
        properties={
            "pattern": _text("Regular expression.", minLength=1, maxLength=1000),
            "path": _text("Path of a file or folder; `/` is the root folder of the tools.", minLength=1),
            "recursive": _flag("Whether to include subfolders. Default: false."),
            "ignore_case": _flag("Whether to ignore case. Default: false."),
            "max_results": _number("Maximum number of matches.", MAX_RESULTS, MAX_RESULTS),
            "max_files_visited": _number("Maximum number of files to search.", MAX_FILES_VISITED, MAX_FILES_VISITED),
            "max_file_bytes": _number("Maximum file size. Larger files are skipped.", MAX_FILE_BYTES, MAX_FILE_BYTES),
        },
        required=("pattern", "path"),
        output="matches [{file, line, column, text}], truncated?",
    ),
    "cp__delete_file": BuiltInSpec(
        description="Delete a file, or a folder with everything in it.",
        properties={"path": _FILE, "recursive": _flag("Whether `path` can be a folder. Default: false.")},
        required=("path",),
        output="success (false if it did not exist)",
        effect="retry",
        approve="ask",
    ),
    "cp__exec": BuiltInSpec(
        description="Run a command without a shell, in the root folder of the tools or a folder below it.",
        properties={
            "command": _text("The command.", minLength=1),
            "args": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": MAX_ARGUMENTS,
                "description": "Arguments; letters, digits and `_-./@=+:,` only.",
            },
            "working_dir": _text("Folder to run in; `/` is the root folder of the tools, and the default."),
            "timeout_ms": _number("Time limit in milliseconds.", EXEC_TIMEOUT_MS, EXEC_TIMEOUT_MS),
            "env": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Variables; only LANG, LC_ALL, TZ, COLUMNS, NO_COLOR and TERM.",
            },
        },
        required=("command",),
        output="stdout, stderr, exit_code, success, duration_ms, timed_out, stdout_truncated, stderr_truncated",
        effect="once",
        approve="ask",
    ),
    "cp__fetch": BuiltInSpec(
        description="Send an HTTP request to a host of the public network.",
        properties={
            "url": _text("URL, http or https.", minLength=1, maxLength=8192),
            "method": {"type": "string", "enum": list(FETCH_METHODS), "default": "GET", "description": "Method."},
            "headers": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "maxProperties": 50,
                "description": "Headers.",
            },
            "body": {"description": "Body: a text, or a value that is sent as JSON; not with GET or HEAD."},
            "timeout_ms": _number("Time limit in milliseconds.", FETCH_TIMEOUT_MS, 60_000),
        },
        required=("url",),
        output="status_code, status_text, headers, body, body_truncated, duration_ms",
        effect="once",
    ),
    "cp__call_agent": BuiltInSpec(
        description="Ask another agent and return its answer.",
        properties=_AGENT_CALL,
        required=("agent_id",),
        output="success, agent_id, action_id?, exec_id, response or error {code, message}",
        effect="retry",
    ),
    "cp__call_agents": BuiltInSpec(
        description="Ask several agents concurrently and return their answers in the same order.",
        properties={"agents": _several(_AGENT_CALL, "agent_id", "Agents with their prompts.")},
        required=("agents",),
        output="results [{success, agent_id, action_id?, exec_id, response or error}], total_count, success_count, "
        "failure_count",
        effect="retry",
    ),
    "cp__list_agents": BuiltInSpec(
        description="List the agents that can be asked.",
        properties={},
        required=(),
        output="agents [{agent_id, description?}]",
    ),
    "cp__describe_agent": BuiltInSpec(
        description="Describe an agent and its actions.",
        properties={"agent_id": _AGENT_ID},
        required=("agent_id",),
        output="agent_id, description?, actions [{id, description?, input?}]",
    ),
    "cp__call_task": BuiltInSpec(
        description="Run a task and return its output.",
        properties=_TASK_CALL,
        required=("task_id",),
        output="success, task_id, exec_id, output or error {code, message}",
        effect="retry",
    ),
    "cp__call_workflow": BuiltInSpec(
        description="Run a workflow and return its output.",
        properties=_WORKFLOW_CALL,
        required=("workflow_id",),
        output="success, workflow_id, exec_id, status, output or error {code, message}",
        effect="retry",
    ),
    "cp__call_workflows": BuiltInSpec(
        description="Run several workflows concurrently and return their outputs in the same order.",
        properties={"workflows": _several(_WORKFLOW_CALL, "workflow_id", "Workflows with their input.")},
        required=("workflows",),
        output="results [{success, workflow_id, exec_id, status, output or error}], total_count, success_count, "
        "failure_count",
        effect="retry",
    ),
    "cp__call_tasks": BuiltInSpec(
        description="Run several tasks concurrently and return their outputs in the same order.",
        properties={"tasks": _several(_TASK_CALL, "task_id", "Tasks with their input.")},
        required=("tasks",),
        output="results [{success, task_id, exec_id, output or error}], total_count, success_count, failure_count",
        effect="retry",
    ),
}
"""The built-in tools by their IDs."""

NESTING = frozenset(name for name in SPECS if name.startswith("cp__call_"))
"""Tools whose calls run tasks of the run."""
AGENT_TOOLS = ("cp__call_agent", "cp__call_agents", "cp__list_agents", "cp__describe_agent")
"""Tools that concern the agents in `sub_agents`."""
TASK_TOOLS = ("cp__call_task", "cp__call_tasks")
"""Tools that run the tasks in their own `tasks`."""
WORKFLOW_TOOLS = ("cp__call_workflow", "cp__call_workflows")
"""Tools that run the workflows in their own `workflows`."""
TARGETS = {
    **dict.fromkeys(AGENT_TOOLS, "agents"),
    **dict.fromkeys(TASK_TOOLS, "tasks"),
    **dict.fromkeys(WORKFLOW_TOOLS, "workflows"),
}
"""The key of a tool that lists what it can call, by the ID of the tool."""


def effect_of_call(name: str, arguments: Mapping[str, Any]) -> Effect:
    """Return the effect of a repeated call of a built-in tool with these arguments."""
    if name == "cp__write_file" and arguments.get("append"):
        return "once"
    if name == "cp__fetch":
        method = arguments.get("method", "GET")
        return "read" if method in {"GET", "HEAD"} else "once" if method in {"POST", "PATCH"} else "retry"
    return SPECS[name].effect
