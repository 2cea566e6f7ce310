"""Every error that Compozy raises on purpose, in one tree.

CompozyError                 code                exit  http
├── UsageError               usage                  2   400   invalid command line or request
│   ├── NotFoundError        not_found              2   404   no such workflow, execution, task, ...
│   ├── ConflictError        conflict               2   409   already exists, or its state does not allow this
│   ├── IdempotencyError     idempotency_key        2   422   the key was used for a different request
│   ├── TooLargeError        too_large              2   413   the request is too large
│   ├── MediaTypeError       media_type             2   415   the request body is not JSON
│   └── RateLimitError       rate_limit             2   429   too many requests in a short time
├── AuthenticationError      authentication         3   401   the API key is missing or invalid
│   └── ForbiddenError       forbidden              3   403   its origin, role or key does not permit the request
├── ServerError              server                 4   502   no server, or an unusable one
│   └── StoppingError        stopping               4   503   the server is shutting down
├── ProjectError             invalid_project        5   422   errors in project files, each with its location
├── TemplateError            template               1   422
│   ├── TemplateSyntaxError  template_syntax        5   422   the text is not a template
│   └── TemplateRenderError  template_render        1   422   the template cannot be rendered with this data
├── ExpressionError          expression             1   422   an expression cannot be evaluated with these variables
│   └── ExpressionSyntaxError  expression_syntax    5   422   the text is not an expression
├── SchemaMismatchError      schema_mismatch        2   422   a value does not match its JSON Schema
├── DatabaseError            database               4   503
│   ├── DatabaseLockedError  database_locked        4   503   another program holds a lock on the file
│   └── DatabaseOwnedError   database_owned         4   409   another process executes runs on this file
├── ExportFileError          export_file            5   422   an export file cannot be read
├── RunError                 run_failed             1   500   a workflow or one of its tasks failed
│   ├── ModelError           model                  1   502   a model provider rejected a request or failed
│   ├── ToolError            tool                   1   422   a tool cannot be used, or a conversation misuses it
│   ├── BudgetError          budget                 1   402   a budget is spent, and was not raised
│   ├── AttachmentError      attachment             1   422   an attachment of a prompt cannot be read
│   ├── ConversationError    memory                 1   422   a conversation cannot be remembered
│   ├── ChildrenFailedError  children_failed        1   500   tasks inside a container failed
│   ├── ItemsError           items                  1   422   a collection's items are not a list
│   ├── TaskTimeoutError     task_timeout           1   504   a task exceeded its timeout
│   ├── RunTimeoutError      timeout                1   504   a run exceeded its deadline
│   ├── NotFinishedError     not_finished           1   408   the run is still running when the caller stops waiting
│   └── RunCanceledError     canceled               1   409
├── KnowledgeError           knowledge              1   422   documents cannot be ingested or queried
│   ├── DocumentError        document               1   422   one document cannot be read
│   ├── EmbedderError        embedder               1   502   an embedder failed or is not configured
│   └── VectorStoreError     vector_store           4   503   a vector store cannot be reached or used
└── InternalError            internal               1   500   a bug in Compozy

The command line and the server each translate this tree in one module. Stored errors are
`{"code": str, "message": str, "details": object}`, never pickles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True, order=True)
class SourceLocation:
    """A position in a text file: `line` and `col` count from 1; 0 stands for the whole file."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        """Return `file:line:col`, or only `file` without a line."""
        return f"{self.file}:{self.line}:{self.col}" if self.line else self.file


@dataclass(frozen=True, kw_only=True, order=True)
class Diagnostic:
    """One error in one file. `hint` says how to fix it, or is ""."""

    location: SourceLocation
    message: str
    hint: str = ""
    code: str = "invalid"

    def __str__(self) -> str:
        """Return `file:line:col: message (hint)`."""
        return f"{self.location}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class CompozyError(Exception):
    """Base class of the tree. `message` is complete without `hint`, which says what to do, or is ""."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, hint: str = "", http_hint: str = "", details: dict[str, Any] | None = None
    ) -> None:
        """Keep what to report. HTTP clients get `http_hint`, which is needed where `hint` names options or commands."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.http_hint = http_hint
        self.details: dict[str, Any] = details or {}

    def to_json(self) -> dict[str, Any]:
        """Return the stored form: `{"code", "message", "details"}`; the hint is part of the details."""
        details = {**self.details, "hint": self.hint} if self.hint else dict(self.details)
        return {"code": self.code, "message": self.message, "details": details}


class UsageError(CompozyError):
    """The command line or a request is invalid: an option, an argument or an input."""

    code, exit_status, http_status = "usage", 2, 400


class NotFoundError(UsageError):
    """The named workflow, execution, task or path does not exist."""

    code, exit_status, http_status = "not_found", 2, 404


class ConflictError(UsageError):
    """The resource already exists with other content, or its state does not allow this operation."""

    code, exit_status, http_status = "conflict", 2, 409


class IdempotencyError(UsageError):
    """The `Idempotency-Key` was already used for a different request."""

    code, exit_status, http_status = "idempotency_key", 2, 422


class TooLargeError(UsageError):
    """The request body is larger than the limit."""

    code, exit_status, http_status = "too_large", 2, 413


class MediaTypeError(UsageError):
    """The request body is not declared as `application/json`."""

    code, exit_status, http_status = "media_type", 2, 415


class RateLimitError(UsageError):
    """Too many requests came in a short time. `retry_after_s` is how long to wait."""

    code, http_status = "rate_limit", 429

    def __init__(self, message: str, *, retry_after_s: int, hint: str = "") -> None:
        """Keep the message, and how long the client should wait."""
        super().__init__(message, hint=hint or "retry later")
        self.retry_after_s = retry_after_s


class AuthenticationError(CompozyError):
    """The API key is missing, wrong, expired or revoked."""

    code, exit_status, http_status = "authentication", 3, 401


class ForbiddenError(AuthenticationError):
    """The request comes from another web page, or the role or the API key of its sender does not permit it."""

    code, http_status = "forbidden", 403


class ServerError(CompozyError):
    """No Compozy server answers at the address, or its answer cannot be used."""

    code, exit_status, http_status = "server", 4, 502


class StoppingError(ServerError):
    """The server is shutting down and accepts no new work. Try again in a moment."""

    code, http_status = "stopping", 503


class ProjectError(CompozyError):
    """The project's files are invalid. Every error in every file is reported, each with its location.

    `diagnostics` holds them, sorted by location.
    """

    code, exit_status, http_status = "invalid_project", 5, 422

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics))
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))


class TemplateError(CompozyError):
    """A template is invalid, or cannot be rendered.

    `line` and `col` count from 1 within the template.
    """

    code, exit_status, http_status = "template", 1, 422

    def __init__(
        self,
        message: str,
        *,
        name: str,
        line: int = 0,
        col: int = 0,
        location: SourceLocation | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint, details={"place": str(location)} if location else None)
        self.name = name
        self.line = line
        self.col = col
        self.location = location


class TemplateSyntaxError(TemplateError):
    """The text is not a valid template. Reported with its location before anything runs."""

    code, exit_status = "template_syntax", 5


class TemplateRenderError(TemplateError):
    """A template cannot be rendered with the data of this run; usually because it reads a missing key."""

    code, exit_status = "template_render", 1


class ExpressionError(CompozyError):
    """An expression (CEL) cannot be evaluated with the data of this run.

    `offset` counts from 0 within its text.
    """

    code, exit_status, http_status = "expression", 1, 422

    def __init__(
        self, message: str, *, name: str, offset: int = 0, location: SourceLocation | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint, details={"place": str(location)} if location else None)
        self.name = name
        self.offset = offset
        self.location = location


class ExpressionSyntaxError(ExpressionError):
    """The text is not a valid expression. Reported with its location before anything runs."""

    code, exit_status = "expression_syntax", 5


class SchemaMismatchError(CompozyError):
    """A value does not match its JSON Schema. `details.problems` lists each mismatch with its path and message."""

    code, exit_status, http_status = "schema_mismatch", 2, 422


class DatabaseError(CompozyError):
    """The database cannot be reached, read or written, or its contents are not valid."""

    code, exit_status, http_status = "database", 4, 503


class DatabaseLockedError(DatabaseError):
    """Another program held a lock on the SQLite file for longer than `database.busy_timeout`."""

    code = "database_locked"


class DatabaseOwnedError(DatabaseError):
    """Another process already executes runs on this SQLite file. Only one process can do so."""

    code, http_status = "database_owned", 409


class ExportFileError(CompozyError):
    """An export file is not from `compozy db export`, is incomplete, or was changed."""

    code, exit_status, http_status = "export_file", 5, 422


class RunError(CompozyError):
    """A workflow or one of its tasks failed."""

    code, exit_status, http_status = "run_failed", 1, 500


class ModelError(RunError):
    """A model provider rejected a request, could not be reached, failed, or is not configured."""

    code, http_status = "model", 502


class ToolError(RunError):
    """A tool cannot be used, the outcome of its call is unknown, or a model calls it without progress."""

    code, http_status = "tool", 422


class BudgetError(RunError):
    """A budget does not allow another model request or tool call, and was not raised. `details` has the limit."""

    code, http_status = "budget", 402


class AttachmentError(RunError):
    """An attachment of a prompt cannot be read, or is of another kind than expected."""

    code, http_status = "attachment", 422


class ConversationError(RunError):
    """A conversation cannot be remembered: its key is empty, or its text cannot be redacted."""

    code, http_status = "memory", 422


class ChildrenFailedError(RunError):
    """Tasks inside a container failed. `details.failed` has their IDs, `details.first` the first error."""

    code = "children_failed"


class ItemsError(RunError):
    """The items of a collection are not a list, or yield invalid task IDs."""

    code, http_status = "items", 422


class TaskTimeoutError(RunError):
    """A task exceeded its `timeout`, including all attempts."""

    code, http_status = "task_timeout", 504


class RunTimeoutError(RunError):
    """The run did not finish by its deadline, `--timeout`, and was stopped."""

    code, http_status = "timeout", 504


class NotFinishedError(RunError):
    """The run is still running when the caller stops waiting. `details.execution_id` identifies it."""

    code, exit_status, http_status = "not_finished", 1, 408


class RunCanceledError(RunError):
    """The run was canceled."""

    code, http_status = "canceled", 409


class KnowledgeError(CompozyError):
    """Documents cannot be ingested or queried."""

    code, exit_status, http_status = "knowledge", 1, 422


class DocumentError(KnowledgeError):
    """One document cannot be read. The other documents of the ingestion are ingested."""

    code = "document"


class EmbedderError(KnowledgeError):
    """An embedder rejected a request, could not be reached, failed, or is not configured."""

    code, http_status = "embedder", 502


class VectorStoreError(KnowledgeError):
    """A vector store cannot be reached or used."""

    code, exit_status, http_status = "vector_store", 4, 503


class InternalError(CompozyError):
    """A bug in Compozy. Please report it together with the output."""

    code = "internal"


def restore_error(stored: dict[str, Any]) -> CompozyError:
    """Return the error that `to_json` stored, of the class with its code; an unknown code gives a RunError."""
    details = dict(stored.get("details") or {})
    hint = str(details.pop("hint", ""))
    kind = _RESTORED.get(str(stored.get("code")), RunError)
    return kind(str(stored.get("message", "")), hint=hint, details=details)


def _kinds(kind: type[CompozyError]) -> Iterator[type[CompozyError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


# Classes that can be created from message, hint and details alone, by code.
_RESTORED = {kind.code: kind for kind in _kinds(CompozyError) if kind.__init__ is CompozyError.__init__}
