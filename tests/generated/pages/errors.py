"""Writes `reference/errors`: every code that Compozy gives, from the tree of errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from compozy import errors
from compozy.errors import CompozyError
from tests.generated.pages.markdown import code, front, prose

_HEAD = """
Every error has a code that stays the same, and a message for people: what is wrong, where, and what to do.

- A **command** prints the message to stderr, with what to do below it, and ends with an exit status. With
  `--format json` it prints `{"error": {"code": ..., "message": ..., "details": ...}}` to stdout instead; what to do is
  `details.hint`.
- The **server** answers with `application/problem+json`, in which `code`, `detail`, `hint` and `details` say the same;
  see [problems](/docs/api/overview#problems). A parameter, or a key of the body, that does not fit is `usage` with
  status 422.
- A **run** that failed keeps its error; `compozy workflow get` shows it. The exit status is then 1 whatever the code,
  and the status of the HTTP answer 200.
- A **retry policy** names codes in `non_retryable_error_types`. A template of the task that follows a failure reads
  the code as `.error.code`.

## Exit statuses

| Status | Meaning |
|---|---|
| 0 | it was done |
| 1 | a run failed, timed out or was canceled, or a defect |
| 2 | wrong on the command line or in a request |
| 3 | the server wants another key, or answers nobody from there |
| 4 | the database, a vector store or the server cannot be used |
| 5 | wrong in a file |
| 130, 143 | stopped by Ctrl-C, by SIGTERM |
"""

_GROUPS: dict[str, str] = {
    "UsageError": "On the command line, in a request",
    "SchemaMismatchError": "Values and schemas",
    "ProjectError": "Files of a project",
    "TemplateError": "Templates",
    "ExpressionError": "Expressions",
    "RunError": "Runs",
    "KnowledgeError": "Knowledge bases",
    "DatabaseError": "The database",
    "ExportFileError": "Files of an export",
    "AuthenticationError": "Who may ask",
    "ServerError": "The server",
    "InternalError": "Defects",
}
"""The kinds of error right below the base, in the order of the page, each with the heading of its section."""

ABSTRACT = {"TemplateError"}
"""Kinds that only others are derived from, and whose code nobody sees."""

_TOLD: dict[str, tuple[tuple[str, str], ...]] = {
    "usage": (("troubleshooting", "/docs/troubleshooting/workflows#nothing-ran-wrong-on-the-command-line"),),
    "not_found": (("troubleshooting", "/docs/troubleshooting/workflows#nothing-ran-wrong-on-the-command-line"),),
    "conflict": (("an id of your own", "/docs/cli/workflow#an-id-of-your-own"),),
    "idempotency_key": (("start a run over HTTP", "/docs/api/overview#start-a-run"),),
    "too_large": (("limits of the HTTP interface", "/docs/api/overview#limits"),),
    "media_type": (("limits of the HTTP interface", "/docs/api/overview#limits"),),
    "authentication": (("who may ask", "/docs/cli/start#who-may-ask"),),
    "forbidden": (("who may ask", "/docs/cli/start#who-may-ask"),),
    "server": (("commands beside a server", "/docs/cli/start#commands-beside-it"),),
    "stopping": (("stopping a server", "/docs/cli/start#stopping-it"),),
    "invalid_project": (("validation", "/docs/workflows/validation"),),
    "template_syntax": (("templates", "/docs/workflows/templates"),),
    "template_render": (("troubleshooting", "/docs/troubleshooting/workflows#input-has-no-key"),),
    "expression": (("conditions", "/docs/workflows/conditions"),),
    "expression_syntax": (("conditions", "/docs/workflows/conditions"),),
    "schema_mismatch": (
        ("troubleshooting", "/docs/troubleshooting/workflows#the-input-does-not-fit-the-schema"),
        ("the input of a run", "/docs/workflows/validation#the-input-of-a-run"),
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
    "children_failed": (("parallel tasks", "/docs/workflows/parallel"),),
    "items": (("collections", "/docs/workflows/collection"),),
    "task_timeout": (("tasks", "/docs/workflows/tasks"),),
    "timeout": (("troubleshooting", "/docs/troubleshooting/workflows#timed-out"),),
    "not_finished": (("start a run over HTTP", "/docs/api/overview#start-a-run"),),
    "canceled": (("pause, resume, cancel", "/docs/cli/workflow#compozy-workflow-pause-resume-cancel"),),
    "knowledge": (("compozy knowledge", "/docs/cli/knowledge"),),
    "document": (("documents", "/docs/knowledge-bases/overview#documents"),),
    "embedder": (("who embeds", "/docs/knowledge-bases/overview#who-embeds"),),
    "vector_store": (("vector databases", "/docs/knowledge-bases/vector-databases"),),
    "internal": (("troubleshooting", "/docs/troubleshooting/workflows#compozy-broke"),),
}
"""Code -> pages that tell more: `(words, address)`."""

_FAULTS_HEAD = """
## Faults in files

`invalid_project` holds one fault or more. With `--format json`, `details.faults` has the `file`, `line`, `col`,
`message` and `hint` of each, and a `code` of its own:

"""

DIAGNOSTIC_CODES: dict[str, str] = {
    "yaml": "the file is no YAML, or YAML that is not accepted",
    "unknown_key": "a key that has no meaning there",
    "missing_key": "a key that has to be there",
    "duplicate_key": "the same setting written twice, under one key or under its synonym",
    "value": "a value of another type, or out of its range",
    "variable": "`${VAR}` is not set, or not written right",
    "env_file": "a line of `.env` cannot be read",
    "files": "a workflow file that is named is not there, or lies outside of the project",
    "resource": "a file of another kind than its place says",
    "duplicate_id": "two things of one kind have the same id",
    "reference": "an id, file or value that is named does not exist",
    "cycle": "providers that fall back on one another in a circle",
    "provider": "a setting that does not suit this kind of provider",
    "database": "settings of `database` that are missing, or do not go together",
    "knowledge": "settings of `knowledge` that are missing, or do not go together",
    "schema": "what should be a JSON Schema is none",
    "task": "settings of a task that do not go together",
    "nesting": "tasks inside one another deeper than `limits.max_nesting_depth`",
    "transition": "what follows a task leads nowhere, in a circle, or leaves a task out",
    "expression": "an expression reads what is not there",
    "template_syntax": "the text is not a template",
    "expression_syntax": "the text is not an expression",
}
"""What each code of a fault means; a test compares the keys with those in the program."""


def write_errors() -> str:
    """Return the page."""
    page = (
        front(
            "Errors", "Every error code with its exit status, its HTTP status, what it means, and where more is told."
        )
        + _HEAD
    )
    for name, title in _GROUPS.items():
        page += f"\n## {title}\n"
        page += "".join(_section(kind) for kind in _family(getattr(errors, name)) if kind.__name__ not in ABSTRACT)
    return page + _FAULTS_HEAD + "".join(f"- {code(name)}: {text}\n" for name, text in DIAGNOSTIC_CODES.items())


def groups() -> set[str]:
    """Return the names of the kinds that have a section of their own."""
    return set(_GROUPS)


def shown_codes() -> set[str]:
    """Return the codes that the page explains."""
    return {kind.code for kind in _family(CompozyError)} - {getattr(errors, name).code for name in ABSTRACT} - {"error"}


def _family(kind: type[CompozyError]) -> Iterator[type[CompozyError]]:
    """Yield a kind and those derived from it, in the order of the source."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _family(below)


def _section(kind: type[CompozyError]) -> str:
    meaning = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    told = ", ".join(f"[{words}]({address})" for words, address in _TOLD[kind.code])
    status = f"Exit status {kind.exit_status}, HTTP status {kind.http_status}."
    return f"\n### {kind.code}\n\n{prose(meaning)} {status} More: {told}.\n"
