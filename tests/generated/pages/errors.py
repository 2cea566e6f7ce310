"""Writes `reference/errors`: every error code of Compozy, from the error classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from compozy import errors
from compozy.errors import CompozyError
from tests.generated.pages.markdown import code, front, prose

_HEAD = """
Every error has a stable code and a message that names the problem, its location and a solution.

- A **command** prints the message and the hint to stderr and exits with a status. With `--format json` it prints
  `{"error": {"code": ..., "message": ..., "details": ...}}` to stdout instead; the hint is `details.hint`.
- The **server** answers with `application/problem+json`: `code`, `detail`, `hint` and `details` hold the same
  information; see [problems](/docs/api/overview#problems). An invalid parameter or body is `usage` with status 422.
- A **run** that failed stores its error; `compozy workflow get` shows it. The exit code is then 1 for every code, and
  the HTTP status is 200.
- A **retry policy** lists codes in `non_retryable_error_types`. Templates of an error handler read the code as
  `.error.code`.

## Exit codes

All commands use the same codes:

| Code | Meaning |
|---|---|
"""

EXIT_CODES: dict[int, str] = {
    0: "The command succeeded.",
    1: "A run failed, timed out or was canceled, documents were not ingested, or an internal error occurred.",
    2: "The command line is invalid: an option, an argument, the input, an unknown ID, or a port in use.",
    3: "The API key is missing or invalid, or the server does not permit the request.",
    4: "The database, its lock, a vector store or the server cannot be used.",
    5: "A file is invalid: a project file, or a document of `compozy db export`.",
    130: "The command was stopped by Ctrl-C.",
    143: "The command was stopped by SIGTERM.",
}
"""Exit code -> its meaning; a test compares the codes with those in the program."""

_GROUPS: dict[str, str] = {
    "UsageError": "Command line and requests",
    "SchemaMismatchError": "Values and schemas",
    "ProjectError": "Project files",
    "TemplateError": "Templates",
    "ExpressionError": "Expressions",
    "RunError": "Runs",
    "KnowledgeError": "Knowledge bases",
    "DatabaseError": "Database",
    "ExportFileError": "Export files",
    "AuthenticationError": "Authentication",
    "ServerError": "Server",
    "InternalError": "Internal errors",
}
"""The classes directly below the base, in page order, each with its section heading."""

ABSTRACT = {"TemplateError"}
"""Base classes whose code is never shown."""

_RELATED: dict[str, tuple[tuple[str, str], ...]] = {
    "usage": (("troubleshooting", "/docs/troubleshooting/workflows#nothing-ran-invalid-command-line"),),
    "not_found": (("troubleshooting", "/docs/troubleshooting/workflows#nothing-ran-invalid-command-line"),),
    "conflict": (("execution IDs", "/docs/cli/workflow#execution-ids"),),
    "idempotency_key": (("start a run over HTTP", "/docs/api/overview#start-a-run"),),
    "too_large": (("limits of the HTTP API", "/docs/api/overview#limits"),),
    "media_type": (("limits of the HTTP API", "/docs/api/overview#limits"),),
    "rate_limit": (
        ("limits", "/docs/guides/users-and-api-keys#limits"),
        ("answers of webhooks", "/docs/guides/receive-webhooks#answers"),
    ),
    "authentication": (("authentication", "/docs/cli/start#authentication"),),
    "forbidden": (("authentication", "/docs/cli/start#authentication"),),
    "server": (("commands and the server", "/docs/cli/start#commands-and-the-server"),),
    "stopping": (("stopping the server", "/docs/cli/start#stopping-the-server"),),
    "invalid_project": (("validation", "/docs/workflows/validation"),),
    "template_syntax": (("templates", "/docs/workflows/templates"),),
    "template_render": (("troubleshooting", "/docs/troubleshooting/workflows#input-has-no-key"),),
    "expression": (("conditions", "/docs/workflows/conditions"),),
    "expression_syntax": (("conditions", "/docs/workflows/conditions"),),
    "schema_mismatch": (
        ("troubleshooting", "/docs/troubleshooting/workflows#the-input-does-not-match-the-schema"),
        ("run input", "/docs/workflows/validation#run-input"),
    ),
    "database": (("troubleshooting", "/docs/troubleshooting/database"),),
    "database_locked": (("troubleshooting", "/docs/troubleshooting/database#database-is-locked"),),
    "database_owned": (("troubleshooting", "/docs/troubleshooting/database#process--executes-runs-on-"),),
    "export_file": (("compozy db import", "/docs/cli/db#import"), ("compozy db verify", "/docs/cli/db#verify")),
    "run_failed": (("troubleshooting", "/docs/troubleshooting/workflows"),),
    "model": (
        ("troubleshooting", "/docs/troubleshooting/workflows#cannot-be-reached"),
        ("limits, timeouts and retries", "/docs/agents/providers#limits-timeouts-and-retries"),
    ),
    "tool": (("tools", "/docs/agents/tools"),),
    "budget": (("limit what a run may spend", "/docs/guides/limit-costs"),),
    "attachment": (("attachments", "/docs/agents/attachments"),),
    "memory": (("remember a conversation", "/docs/guides/remember"),),
    "children_failed": (("parallel tasks", "/docs/workflows/parallel"),),
    "items": (("collections", "/docs/workflows/collection"),),
    "task_timeout": (("tasks", "/docs/workflows/tasks"),),
    "timeout": (("troubleshooting", "/docs/troubleshooting/workflows#timed-out"),),
    "not_finished": (("start a run over HTTP", "/docs/api/overview#start-a-run"),),
    "canceled": (("pause, resume, cancel", "/docs/cli/workflow#compozy-workflow-pause-resume-cancel"),),
    "knowledge": (("compozy knowledge", "/docs/cli/knowledge"),),
    "document": (("documents", "/docs/knowledge-bases/overview#documents"),),
    "embedder": (("embedders", "/docs/knowledge-bases/overview#embedders"),),
    "vector_store": (("vector databases", "/docs/knowledge-bases/vector-databases"),),
    "internal": (("troubleshooting", "/docs/troubleshooting/workflows#internal-error"),),
}
"""Code -> related pages: `(link text, address)`."""

_DIAGNOSTICS_HEAD = """
## Errors in files

`invalid_project` reports one or more errors in files. With `--format json`, `details.faults` lists each with its
`file`, `line`, `col`, `message`, `hint` and its own `code`:

"""

DIAGNOSTIC_CODES: dict[str, str] = {
    "yaml": "invalid or unsupported YAML",
    "unknown_key": "unknown key",
    "missing_key": "missing required key",
    "duplicate_key": "setting given twice, by one key or by its synonym",
    "cassette_key": "recorded answer whose key does not belong to its request",
    "secret": "cassette that contains a secret",
    "test": "test without an expectation or a workflow",
    "value": "value of the wrong type, or out of range",
    "variable": "`${VAR}` not set, or malformed",
    "env_file": "invalid line in `.env`",
    "tool": "tool without a function or request, a missing file, a variable that is not passed to tools",
    "files": "workflow file not found, or outside the project folder",
    "resource": "file of another kind than its folder requires",
    "duplicate_id": "duplicate ID",
    "reference": "reference to an ID, file or value that does not exist",
    "cycle": "providers whose fallbacks form a cycle",
    "provider": "setting that this kind of provider does not support",
    "database": "missing or conflicting settings of `database`",
    "knowledge": "missing or conflicting settings of `knowledge`",
    "schema": "invalid JSON Schema",
    "task": "conflicting task settings",
    "trigger": "trigger whose name is reserved",
    "schedule": "schedule in a list without an ID",
    "nesting": "tasks nested deeper than `limits.max_nesting_depth`",
    "transition": "transition to an unknown task, a cycle, or an unreachable task",
    "expression": "expression that reads an unknown variable or field",
    "template_syntax": "invalid template",
    "expression_syntax": "invalid expression",
}
"""The meaning of each code; a test compares the keys with those in the program."""


def write_errors() -> str:
    """Return the page."""
    page = front("Errors", "Every error code with its exit code, its HTTP status and its meaning.") + _HEAD
    page += "".join(f"| {number} | {meaning} |\n" for number, meaning in EXIT_CODES.items())
    for name, title in _GROUPS.items():
        page += f"\n## {title}\n"
        page += "".join(_section(kind) for kind in _family(getattr(errors, name)) if kind.__name__ not in ABSTRACT)
    return page + _DIAGNOSTICS_HEAD + "".join(f"- {code(name)}: {text}\n" for name, text in DIAGNOSTIC_CODES.items())


def groups() -> set[str]:
    """Return the names of the classes that have their own section."""
    return set(_GROUPS)


def shown_codes() -> set[str]:
    """Return the codes that the page documents."""
    return {kind.code for kind in _family(CompozyError)} - {getattr(errors, name).code for name in ABSTRACT} - {"error"}


def _family(kind: type[CompozyError]) -> Iterator[type[CompozyError]]:
    """Yield a class and its subclasses, in source order."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _family(below)


def _section(kind: type[CompozyError]) -> str:
    meaning = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    links = ", ".join(f"[{words}]({address})" for words, address in _RELATED[kind.code])
    status = f"Exit code {kind.exit_status}, HTTP status {kind.http_status}."
    return f"\n### {kind.code}\n\n{prose(meaning)} {status} See {links}.\n"
